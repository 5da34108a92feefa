// Bringing servers the stripes that they lack when a large version is prepared (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@testable import QuorumProtocol

/// A filling of one version, and servers that answer it.
private struct Filled {
    let group: TestGroup
    let part: TestPart
    var filling: StripeFilling
    /// The stripes that each server has.
    var has: [Position: Set<UInt32>]
    var filled: [Position] = []
    var givenUp: [Position] = []
    var fetches: [Fetch] = []
    /// Servers where a version holds each stripe before the answer to its STAGE comes.
    var holding: Set<Position> = []
    /// Servers that say nothing to STAGE.
    var silent: Set<Position> = []
    /// Answers that come once more, later, for what was asked before.
    var late: [(Position, Reply)] = []
    var echoesLate = false

    init(_ group: TestGroup, stripeCount: Int, inPages: Bool = false) {
        self.group = group
        part = group.part(lengthBytes: stripeCount * 512 - 12)
        filling = StripeFilling(
            StagedContents(parts: [part.named(group, inPages: inPages)]), of: .photo, by: .alice, number: 3,
            parameters: group.parameters)
        let all = Set(0..<UInt32(stripeCount))
        has = Dictionary(uniqueKeysWithValues: group.servers.map { ($0, all) })
    }

    mutating func lose(_ stripes: [UInt32], at server: Position) { has[server]?.subtract(stripes) }

    /// What the server says to PREPARE; nil when it has everything.
    func missing(at server: Position) -> [MissingStripes]? {
        let lacks = (0..<UInt32(part.stripes.count)).filter { has[server]?.contains($0) == false }
        return lacks.isEmpty ? nil : lacks.map { MissingStripes(part: 0, stripes: $0..<($0 + 1)) }
    }

    mutating func run(_ step: (inout StripeFilling, inout [StripeFilling.Effect]) -> Void) {
        var effects: [StripeFilling.Effect] = []
        step(&filling, &effects)
        var turns = 0
        while !effects.isEmpty {
            turns += 1
            guard turns < 10_000 else {
                Issue.record("it does not end")
                return
            }
            perform(effects.removeFirst(), into: &effects)
        }
    }

    private mutating func perform(_ effect: StripeFilling.Effect, into effects: inout [StripeFilling.Effect]) {
        switch effect {
        case .send(let server, .fetch(let fetch)):
            fetches.append(fetch)
            if echoesLate { for (other, reply) in late { _ = filling.take(reply, of: other, into: &effects) } }
            let stripe = fetch.stripe ?? 0
            let fragment = has[server]?.contains(stripe) == true ? part.fragments[Int(stripe)][server.offset] : nil
            let page = fetch.page.map {
                StripePage(first: $0.first, stripes: part.crossChecksums).bytes(group.parameters)
            }
            let isWhole = has[server]?.count == part.stripes.count
            let reply = Reply.fetched(
                FetchedParts(position: server, fragment: fragment, page: isWhole ? page : nil, tag: fetch.tag))
            late.append((server, reply))
            _ = filling.take(reply, of: server, into: &effects)
        case .send(let server, .stage(let stage)):
            if silent.contains(server) { return }
            let good = (try? stage.crossChecksum.verify(stage.fragment, at: server.fragmentIndex)) != nil
            #expect(good && stage.crossChecksum == part.crossChecksums[Int(stage.stripe)] && stage.position == server)
            has[server]?.insert(stage.stripe)
            let answer = holding.contains(server) ? Reply.refused(.stripeHeld) : .staged
            _ = filling.take(answer, of: server, into: &effects)
        case .send(_, let request): Issue.record("\(request)")
        case .verify(let server, let stripe, let crossChecksum, let bytes):
            let result = Result { () throws(FragmentVerificationError) in
                try crossChecksum.verify(bytes, at: server.fragmentIndex)
            }
            filling.verified(result, of: server, stripe, into: &effects)
        case .encode(let stripe, let crossChecksum, let fragments):
            let job = ReencodingJob(
                timestamp: Timestamp(counter: 1, writer: .alice, digest: .sha256([1])), stripe: stripe,
                crossChecksums: [crossChecksum], fragments: [fragments], mode: group.parameters.mode)
            filling.encoded(stripe, job.run().flatMap { $0 }, into: &effects)
        case .filled(let server): filled.append(server)
        case .givenUp(let server): givenUp.append(server)
        }
    }
}

@Suite("LargeValues: filling")
struct StripeFillingTests {
    private let group = TestGroup.staging(faults: 1)

    @Test(
        "brings each server what it lacks, a stripe once for all of them, and ends with each", arguments: [false, true])
    func brings(inPages: Bool) {
        var test = Filled(group, stripeCount: 20, inPages: inPages)
        let (first, second) = (group.servers[0], group.servers[1])
        test.lose([2, 3, 7], at: first)
        test.lose([3, 19], at: second)
        let (lacks, others) = (test.missing(at: first)!, test.missing(at: second)!)
        test.run { $0.take(lacks, of: first, into: &$1) }
        test.run { $0.take(others, of: second, into: &$1) }
        #expect(Set(test.filled) == [first, second] && test.givenUp.isEmpty)
        #expect(test.missing(at: first) == nil && test.missing(at: second) == nil)
        #expect(!inPages || test.fetches.contains { $0.page != nil })
    }

    @Test("ends with a server where a version holds what it is brought")
    func held() {
        var test = Filled(group, stripeCount: 3)
        let server = group.servers[0]
        test.lose([0, 2], at: server)
        test.holding = [server]
        let lacks = test.missing(at: server)!
        test.run { $0.take(lacks, of: server, into: &$1) }
        #expect(test.filled == [server] && test.givenUp.isEmpty)
    }

    @Test("takes no late answer for one to the next question", arguments: [VerificationMode.fingerprint, .none])
    func late(mode: VerificationMode) {
        var test = Filled(TestGroup.staging(mode), stripeCount: 6)
        test.echoesLate = true
        let server = test.group.servers[2]
        test.lose([0, 1, 2, 3, 4, 5], at: server)
        let lacks = test.missing(at: server)!
        // Every fragment is checked for being the stripe's when it is staged; in the mode `none` nothing else would.
        test.run { $0.take(lacks, of: server, into: &$1) }
        #expect(test.filled == [server])
        #expect(Set(test.fetches.map(\.tag)).count == 6 && test.fetches.allSatisfy { $0.tag >> 32 == 3 })
    }

    @Test("gives up who names stripes that there are none of, or another's, or nothing")
    func nonsense() {
        let server = group.servers[0]
        for runs in [
            [MissingStripes(part: 0, stripes: 3..<5)], [MissingStripes(part: 1, stripes: 0..<1)], [],
        ] {
            var test = Filled(group, stripeCount: 4)
            test.run { $0.take(runs, of: server, into: &$1) }
            #expect(test.givenUp == [server] && test.fetches.isEmpty)
        }
        var foreign = Filled(group, stripeCount: 4)
        foreign.filling = StripeFilling(
            StagedContents(parts: [foreign.part.named(group, inPages: false)]), of: .photo, by: .mallory, number: 1,
            parameters: group.parameters)
        foreign.run { $0.take([MissingStripes(part: 0, stripes: 0..<1)], of: server, into: &$1) }
        #expect(foreign.givenUp == [server])
    }

    @Test("brings a server no more stripes than the value has, however often it names them")
    func endless() {
        var test = Filled(group, stripeCount: 4)
        let server = group.servers[0]
        let runs = [MissingStripes(part: 0, stripes: 0..<3)]
        test.lose([0, 1, 2], at: server)
        test.run { $0.take(runs, of: server, into: &$1) }
        #expect(test.filled == [server] && test.givenUp.isEmpty)
        test.run { $0.take(runs, of: server, into: &$1) }
        #expect(test.filled == [server] && test.givenUp == [server])
    }

    @Test("gives up who says nothing to STAGE for an interval, and goes on with the others")
    func silent() {
        var test = Filled(group, stripeCount: 4)
        let (mute, other) = (group.servers[0], group.servers[1])
        test.silent = [mute]
        test.lose([1], at: mute)
        test.lose([2], at: other)
        let (first, second) = (test.missing(at: mute)!, test.missing(at: other)!)
        test.run { $0.take(first, of: mute, into: &$1) }
        test.run { $0.take(second, of: other, into: &$1) }
        #expect(test.filled.isEmpty)
        test.run { $0.retransmit(into: &$1) }
        #expect(test.givenUp.isEmpty)
        test.run { $0.retransmit(into: &$1) }
        #expect(test.givenUp == [mute] && test.filled == [other])
    }

    @Test("gives up all who lack a stripe that fewer than m servers can have")
    func hopeless() {
        var test = Filled(group, stripeCount: 3)
        let lacking = group.servers.prefix(group.quorums.serverCount - group.quorums.dataFragmentCount + 1)
        for server in lacking { test.lose([1], at: server) }
        for server in lacking.prefix(2) {
            let runs = test.missing(at: server)!
            test.run { $0.take(runs, of: server, into: &$1) }
        }
        #expect(Set(test.givenUp) == Set(lacking.prefix(2)) && test.filled.isEmpty)
    }
}
