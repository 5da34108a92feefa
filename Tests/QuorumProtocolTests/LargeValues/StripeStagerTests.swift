// Staging one stripe at many servers, some of which lie, refuse or say nothing (docs/protocol.md, Large values).

import ErasureCode
import QuorumProtocol
import Testing

/// Groups in which stripes have 512 bytes.
enum StagingGroups {
    static let all: [TestGroup] = [VerificationMode.fingerprint, .full].flatMap { mode in
        [
            TestGroup.staging(mode), TestGroup.staging(mode, faults: 2),
            TestGroup.staging(mode, dataFragmentCount: 8),
        ]
    }
}

/// A stripe being staged, step by step.
private struct Staging {
    var machine: StripeStager
    /// Since they were looked at last.
    var sent: [(server: Position, stage: Stage)] = []
    var hedgeCount = 0
    var result: Result<StageOutcome, OperationFailure>?

    init(_ group: TestGroup, _ part: TestPart, targets: [Position]? = nil, need: Int? = nil) {
        machine = StripeStager(
            parameters: group.parameters, key: .photo, stripe: part.stripes[0],
            targets: PositionSet(targets ?? group.servers), need: need ?? group.quorums.quorum)
        feed(.start)
    }

    mutating func feed(_ input: StripeStager.Input) {
        var effects: [StripeStager.Effect] = []
        machine.handle(input, into: &effects)
        for effect in effects {
            #expect(result == nil, "nothing comes after the end")
            switch effect {
            case .send(let server, .stage(let stage)): sent.append((server, stage))
            case .send(_, let request): Issue.record("\(request)")
            case .startHedge: hedgeCount += 1
            case .finish(let ended): result = ended
            }
        }
    }

    mutating func answer(_ servers: some Sequence<Position>, _ reply: Reply = .staged) {
        for server in servers { feed(.reply(server, reply)) }
    }

    var outcome: StageOutcome? { try? result?.get() }

    var failure: OperationFailure? {
        if case .failure(let failure)? = result { failure } else { nil }
    }

    /// Who was sent the stripe since this was asked last.
    mutating func takeSent() -> [Position] {
        defer { sent = [] }
        return sent.map(\.server)
    }
}

@Suite("LargeValues: staging a stripe")
struct StripeStagerTests {
    private func part(_ group: TestGroup) -> TestPart { group.part(lengthBytes: 500) }

    @Test("brings each server what it takes, and ends when all have it", arguments: StagingGroups.all)
    func all(group: TestGroup) {
        let part = part(group)
        var staging = Staging(group, part)
        #expect(staging.sent.map(\.server) == group.servers && staging.hedgeCount == 1)
        for (server, stage) in staging.sent {
            #expect(staging.result == nil)
            let host = ReplicaHost(group, server)
            let reply = host.answer(.stage(stage))
            #expect(reply == .staged && host.has(part))
            staging.answer([server], reply)
        }
        #expect(staging.outcome?.staged == PositionSet(group.servers))
        #expect(staging.outcome?.observations.slow == [])
    }

    @Test("ends with q servers once the others had their time, and names them", arguments: StagingGroups.all)
    func hedge(group: TestGroup) {
        for isEarly in [false, true] {
            var staging = Staging(group, part(group))
            let fast = group.servers.suffix(group.quorums.quorum)
            if isEarly { staging.feed(.hedge) }
            staging.answer(fast.dropLast())
            #expect(staging.result == nil)
            // Twice is once.
            staging.answer(fast.dropLast())
            #expect(staging.result == nil)
            staging.answer(fast.suffix(1))
            if !isEarly {
                #expect(staging.result == nil, "a server that is a little slower is not left behind")
                staging.feed(.hedge)
            }
            #expect(staging.outcome?.staged == PositionSet(fast))
            let slow = group.servers.filter { !fast.contains($0) }.map(group.node)
            #expect(staging.outcome?.observations.slow == slow)
        }
    }

    @Test("does not wait for who refuses, and gives up when more than f do", arguments: StagingGroups.all)
    func refusals(group: TestGroup) {
        let faults = group.quorums.faults
        let refusing = group.servers.prefix(faults)
        var staging = Staging(group, part(group))
        staging.answer(refusing, .refused(.storageFull))
        staging.answer(group.servers.dropFirst(faults))
        #expect(staging.outcome?.staged == PositionSet(group.servers.dropFirst(faults)))
        #expect(staging.outcome?.observations.refusing.map(\.server) == refusing.map(group.node))
        #expect(staging.outcome?.observations.slow == [])

        staging = Staging(group, part(group))
        staging.answer(refusing, .refused(.uploadEnded))
        #expect(staging.result == nil)
        staging.answer(group.servers.suffix(1), .refused(.uploadEnded))
        guard case .refused(.stage, let observations)? = staging.failure else {
            Issue.record("\(String(describing: staging.result))")
            return
        }
        #expect(observations.refusing.count == faults + 1)
    }

    @Test("waits for servers that are busy, and takes what they say later", arguments: StagingGroups.all)
    func transient(group: TestGroup) {
        var staging = Staging(group, part(group))
        staging.answer(group.servers, .refused(.busy))
        staging.feed(.hedge)
        #expect(staging.result == nil)
        _ = staging.takeSent()
        staging.feed(.retransmit)
        #expect(staging.takeSent() == group.servers)
        staging.answer(group.servers.prefix(group.quorums.quorum))
        #expect(staging.outcome?.staged == PositionSet(group.servers.prefix(group.quorums.quorum)))
        #expect(staging.outcome?.observations.refusing.count == group.quorums.faults)
    }

    @Test("counts no answer that is none, and no refusal of who has it", arguments: StagingGroups.all)
    func nonsense(group: TestGroup) {
        var staging = Staging(group, part(group))
        let liars = group.servers.prefix(group.quorums.faults)
        let committed = Timestamp(counter: 1, writer: .alice, digest: .sha256([1]))
        staging.answer(liars, .discarded)
        staging.answer(liars, .timestamp(CommittedClaim(certificate: nil)))
        staging.answer(liars, .committed(committed, needsDescriptor: false))
        staging.answer(group.servers.dropFirst(group.quorums.faults))
        staging.answer(group.servers.suffix(1), .refused(.storageFull))
        #expect(staging.result == nil)
        staging.feed(.hedge)
        #expect(staging.outcome?.staged == PositionSet(group.servers.dropFirst(group.quorums.faults)))
        #expect(staging.outcome?.observations.misbehaving.map(\.server) == liars.map(group.node))
    }

    @Test("asks again whom a lost connection may have kept it from", arguments: StagingGroups.all)
    func reconnect(group: TestGroup) {
        var staging = Staging(group, part(group))
        let first = group.servers[0]
        _ = staging.takeSent()
        staging.answer([first])
        staging.feed(.connected(first))
        #expect(staging.takeSent() == [])
        staging.feed(.connected(group.servers[1]))
        #expect(staging.takeSent() == [group.servers[1]])
        staging.feed(.retransmit)
        #expect(staging.takeSent() == Array(group.servers.dropFirst()))
    }

    @Test("fails at its deadline with who has it, and says nothing more", arguments: StagingGroups.all)
    func deadline(group: TestGroup) {
        var staging = Staging(group, part(group))
        let need = group.quorums.quorum
        let have = group.servers.prefix(need - 1)
        staging.answer(have)
        staging.feed(.hedge)
        staging.feed(.deadline)
        guard case .unavailable(.stage, let answered, need, _)? = staging.failure else {
            Issue.record("\(String(describing: staging.result))")
            return
        }
        #expect(answered == have.map(group.node))
        _ = staging.takeSent()
        staging.answer(group.servers)
        staging.feed(.retransmit)
        #expect(staging.takeSent() == [])
    }

    @Test("of one server, which was left behind, is of no other", arguments: StagingGroups.all)
    func one(group: TestGroup) {
        let behind = group.servers[group.servers.count - 1]
        var staging = Staging(group, part(group), targets: [behind], need: 1)
        #expect(staging.takeSent() == [behind])
        staging.answer(group.servers.dropLast())
        staging.feed(.connected(group.servers[0]))
        #expect(staging.result == nil && staging.takeSent() == [])
        staging.answer([behind])
        #expect(staging.outcome?.staged == PositionSet([behind]))
        staging = Staging(group, part(group), targets: [behind], need: 1)
        staging.answer(group.servers.dropLast(), .refused(.storageFull))
        #expect(staging.result == nil)
        staging.answer([behind], .refused(.storageFull))
        #expect(staging.failure != nil)
    }
}
