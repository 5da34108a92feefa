// Repair of large versions, driven to its end (docs/protocol.md, Repair, Large values).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Repair of a large version, driven to its end,")
struct RepairStripesTests {
    /// Stripes of each part: named in the descriptor, or in pages.
    private static let shapes = [[3], [2, 4], [20], [258], [9, 9]]
    private static let modes: [VerificationMode] = [.fingerprint, .full, .none]

    private func parts(_ group: TestGroup, _ shape: [Int]) -> [TestPart] {
        shape.enumerated().map { group.part(UInt16($0 + 1), lengthBytes: $1 * 512 - 100) }
    }

    /// Whether the server has its own fragments, in all modes.
    private func has(_ host: ReplicaHost, _ parts: [TestPart]) -> Bool {
        parts.allSatisfy { part in
            part.stripes.indices.allSatisfy { stripe in
                host.fetched(part.attempt, stripe)?.fragment == part.fragments[stripe][host.server.offset]
            }
        }
    }

    private func expectWhole(
        _ repairing: Repairing, _ server: Position, _ version: TestVersion, _ parts: [TestPart],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let host = repairing.host(server)
        #expect(host.state(version) == .held && host.store.wants.isEmpty, sourceLocation: sourceLocation)
        #expect(has(host, parts), sourceLocation: sourceLocation)
        host.expectCharges(sourceLocation: sourceLocation)
        host.expectStored(version, sourceLocation: sourceLocation)
    }

    @Test("brings each server all of it, step by step, whatever crashes", arguments: shapes, modes)
    func all(shape: [Int], mode: VerificationMode) {
        let group = TestGroup.staging(mode)
        let parts = parts(group, shape)
        let version = group.version(parts, counter: 1)
        for server in [0, 3] as [Position] {
            for stripesMax in [1, 16] {
                let repairing = Repairing(group)
                repairing.write(parts, version, at: group.servers.filter { $0 != server })
                repairing.beforeStep = { host, _ in host.crash() }
                #expect(repairing.end(at: server, stripesMax: stripesMax) == .done)
                expectWhole(repairing, server, version, parts)
                #expect(repairing.end(at: server) == .done && repairing.sent.isEmpty)
            }
        }
    }

    @Test("brings a sound one where versions are verified later", arguments: [VerificationMode.lazy, .readTime])
    func later(mode: VerificationMode) {
        let group = TestGroup.staging(mode)
        let parts = parts(group, [3])
        let version = group.version(parts, counter: 1)
        let repairing = Repairing(group)
        for server in [1, 2, 3] as [Position] {
            for part in parts { repairing.host(server).expectStaged(part) }
            repairing.host(server).expectStored(version)
        }
        var shown = group.shown([version])
        shown.parts = parts
        for host in repairing.hosts {
            host.commit(version)
            host.runToEnd(.found(.photo, group.findings(shown, by: host.server)))
        }
        #expect(repairing.host(0).wanted() == version.timestamp)
        #expect(repairing.end(at: 0) == .done)
        expectWhole(repairing, 0, version, parts)
    }

    @Test("moves nothing that the server turns out to have", arguments: [[3], [20]])
    func partlyStaged(shape: [Int]) {
        let group = TestGroup.staging()
        let parts = parts(group, shape)
        let version = group.version(parts, counter: 1)
        let repairing = Repairing(group)
        let staged = Array(0..<(shape[0] - 2))
        repairing.host(0).expectStaged(parts[0], staged)
        repairing.write(parts, version, at: [1, 2, 3])
        #expect(repairing.end(at: 0) == .done)
        expectWhole(repairing, 0, version, parts)
        let missing = Set(UInt32(shape[0] - 2)..<UInt32(shape[0]))
        // The page that names all comes with the first stripe.
        let isPaged = shape[0] > StagedLimits.namedStripesMax
        #expect(repairing.fetchedStripes == (isPaged ? missing.union([0]) : missing))
    }

    @Test("asks nobody when all of it is staged", arguments: [[3], [20], [2, 4]])
    func allStaged(shape: [Int]) {
        let group = TestGroup.staging()
        let parts = parts(group, shape)
        let version = group.version(parts, counter: 1)
        let repairing = Repairing(group)
        for part in parts { repairing.host(0).expectStaged(part) }
        repairing.write(parts, version, at: [1, 2, 3])
        #expect(repairing.end(at: 0) == .done && repairing.sent.isEmpty)
        expectWhole(repairing, 0, version, parts)
    }

    @Test("replaces stripes that were staged as something else, and no others")
    func otherStripes() {
        let group = TestGroup.staging()
        let parts = parts(group, [5])
        let other = group.part(lengthBytes: 5 * 512, seed: 9)
        let version = group.version(parts, counter: 1)
        let repairing = Repairing(group)
        repairing.host(0).expectStaged(parts[0])
        repairing.host(0).expectStaged(other, [2])
        repairing.write(parts, version, at: [1, 2, 3])
        #expect(repairing.end(at: 0) == .done)
        #expect(repairing.fetchedStripes == [2])
        expectWhole(repairing, 0, version, parts)
    }

    @Test("takes no garbage for a fragment or a page", arguments: [[3], [20]], [false, true])
    func garbage(shape: [Int], hasNothing: Bool) {
        let group = TestGroup.staging()
        let parts = parts(group, shape)
        let version = group.version(parts, counter: 1)
        for liar in [1, 2, 3] as [Position] {
            let repairing = Repairing(group)
            repairing.write(parts, version, at: [1, 2, 3])
            repairing.answer = { source, _, honest in
                guard source == liar, case .fetched(let parts) = honest else { return honest }
                return .fetched(
                    FetchedParts(
                        position: source,
                        fragment: hasNothing ? nil : parts.fragment.map { SharedBytes($0.array.map { ~$0 }) },
                        page: hasNothing ? nil : parts.page.map { $0.reversed() }, tag: parts.tag))
            }
            #expect(repairing.end(at: 0) == .done)
            expectWhole(repairing, 0, version, parts)
        }
    }

    @Test("fails when fewer than m have a stripe, and goes on from there", arguments: [[3], [20]])
    func tooFew(shape: [Int]) {
        let group = TestGroup.staging()
        let parts = parts(group, shape)
        let version = group.version(parts, counter: 1)
        let repairing = Repairing(group)
        repairing.write(parts, version, at: [1, 2, 3])
        let blocked = UInt32(1)
        repairing.answer = { source, request, honest in
            guard case .fetch(let fetch) = request, fetch.stripe == blocked, source != 1 else { return honest }
            return .fetched(FetchedParts(position: source, fragment: nil, page: nil, tag: fetch.tag))
        }
        #expect(repairing.end(at: 0) == .failed)
        let host = repairing.host(0)
        #expect(host.state(version) == .lost && host.wanted() == version.timestamp)
        #expect(host.record(.photo).attempt(parts[0].attempt)?.lost.ranges == [1..<UInt32(shape[0])])
        repairing.answer = { _, _, honest in honest }
        #expect(repairing.end(at: 0) == .done)
        #expect(!repairing.fetchedStripes.contains(0))
        expectWhole(repairing, 0, version, parts)
    }

    @Test("brings back lost stripes only")
    func lostStripes() {
        let group = TestGroup.staging()
        for shape in [[5], [20]] {
            let parts = parts(group, shape)
            let version = group.version(parts, counter: 1)
            let repairing = Repairing(group)
            repairing.write(parts, version, at: group.servers)
            let host = repairing.host(2)
            host.rotten = [.stripe(parts[0].attempt, 1), .stripe(parts[0].attempt, 4)]
            for stripe in 0..<5 { _ = host.fetched(parts[0].attempt, stripe) }
            #expect(host.state(version) == .lost)
            #expect(repairing.end(at: 2) == .done)
            #expect(repairing.fetchedStripes == [1, 4])
            expectWhole(repairing, 2, version, parts)
        }
    }

    @Test("begins anew when the descriptor is lost meanwhile")
    func descriptorLost() {
        let group = TestGroup.staging()
        let parts = parts(group, [4])
        let version = group.version(parts, counter: 1)
        let repairing = Repairing(group)
        repairing.write(parts, version, at: [1, 2, 3])
        repairing.beforeStep = { host, number in
            if number == 3 { host.rotten = [.descriptor(version.timestamp)] }
        }
        #expect(repairing.end(at: 0) == .done)
        expectWhole(repairing, 0, version, parts)
    }

    @Test("ends with nothing left of what is overwritten meanwhile", arguments: 0..<6)
    func overwritten(when: Int) {
        let group = TestGroup.staging()
        let parts = parts(group, [4])
        let version = group.version(parts, counter: 1)
        let repairing = Repairing(group)
        repairing.write(parts, version, at: [1, 2, 3])
        let tombstone = group.version(.photo, nil, counter: 2)
        repairing.beforeStep = { host, number in
            guard number == when else { return }
            for host in repairing.hosts {
                host.prepare(tombstone)
                host.commit(tombstone)
                host.pass(toMilliseconds: 1_000_000)
            }
        }
        #expect(repairing.end(at: 0) == .done)
        let host = repairing.host(0)
        #expect(host.record(.photo).held.map(\.timestamp) == [tombstone.timestamp])
        if when < 6 - 1 { #expect(host.record(.photo).staged.isEmpty && host.isWithout(parts[0].attempt)) }
        host.expectCharges()
    }

    @Test("finds one void stripe, gives the version up, and never tries again", arguments: [[4], [20]])
    func void(shape: [Int]) {
        let group = TestGroup.staging()
        for victim in [0, 3] as [Position] {
            let repairing = Repairing(group)
            let bad = parts(group, shape).map { $0.void(stripe: 2, at: victim, group) }
            let version = group.version(bad, counter: 1)
            repairing.write(bad, version, at: group.servers.filter { $0 != victim })
            let host = repairing.host(victim)
            #expect(repairing.end(at: victim) == .done)
            #expect(host.state(version) == .void && host.store.wants.isEmpty)
            guard case .refused(.stripesMissing) = host.prepare(version) else {
                Issue.record("a void version is signed as stored")
                return
            }
            #expect(repairing.end(at: victim) == .done && repairing.sent.isEmpty)
            // A good one at another position is no less good for it.
            let other: Position = victim == 0 ? 1 : 0
            for part in bad { repairing.host(other).rotten.append(.stripe(part.attempt, 2)) }
            _ = repairing.host(other).fetched(bad[0].attempt, 2)
            #expect(repairing.end(at: other) == .done)
            expectWhole(repairing, other, version, bad)
        }
    }

    @Test("waits while another version holds what it names, and is done once that has gone")
    func blocked() {
        let group = TestGroup.staging()
        let parts = [group.part(lengthBytes: 1100)]
        let version = group.version(parts, counter: 1, writer: .alice)
        let repairing = Repairing(group)
        let other = group.part(lengthBytes: 1100, seed: 1)
        repairing.host(0).expectStaged(other)
        let holder = group.version([other], counter: 1, writer: ClientID(high: 0, low: 1))
        repairing.host(0).expectStored(holder)
        repairing.write(parts, version, at: [1, 2, 3])
        #expect(repairing.end(at: 0) == .failed)
        #expect(repairing.host(0).has(other))
        repairing.host(0).pass(toMilliseconds: 100_000)
        #expect(repairing.end(at: 0) == .done)
        expectWhole(repairing, 0, version, parts)
    }
}
