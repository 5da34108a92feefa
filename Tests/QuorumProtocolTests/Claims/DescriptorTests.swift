// COMMIT without a descriptor, and DESCRIPTOR (docs/protocol.md, Write, steps 3 and 4; Modes that verify later,
// Descriptors).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A version that is committed without its descriptor")
struct DescriptorTests {
    private static let allModes: [VerificationMode] = [.fingerprint, .full, .lazy, .readTime, .none]
    private static let laterModes: [VerificationMode] = [.lazy, .readTime]

    private func commit(_ version: TestVersion, at host: ReplicaHost, as client: ClientID = .alice) -> Reply {
        host.answer(version.commit(host.group.certificate(of: version)), from: .client(client))
    }

    private func claim(_ host: ReplicaHost) -> CommittedClaim? {
        guard case .timestamp(let claim) = host.answer(.readTimestamp(.photo)) else { return nil }
        return claim
    }

    private func held(_ timestamp: Timestamp, at host: ReplicaHost) -> HeldParts? {
        guard
            case .version(_, let parts) = host.answer(
                .read(Read(key: .photo, version: timestamp, portion: .descriptor)))
        else { return nil }
        return parts
    }

    @Test("is recorded, needs it, takes it once from anyone, and keeps it through a crash", arguments: allModes)
    func described(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let version = group.version(.photo, "value", counter: 3)
        for _ in 0..<2 {
            #expect(commit(version, at: host) == .committed(version.timestamp, needsDescriptor: true))
            #expect(claim(host)?.versions == [ClaimedVersion(group.certificate(of: version))])
            #expect(host.record(.photo).version(version.timestamp) == nil && held(version.timestamp, at: host) == nil)
            host.crash()
        }
        let described = Reply.committed(version.timestamp, needsDescriptor: false)
        #expect(host.answer(version.describe, from: .client(.mallory)) == described)
        let before = host.store
        for _ in 0..<2 {
            #expect(held(version.timestamp, at: host)?.descriptor == version.descriptor)
            #expect(host.record(.photo).version(version.timestamp)?.holdsFragments == false)
            #expect(commit(version, at: host) == described && host.answer(version.describe) == described)
            #expect(host.store == before)
            host.crash()
        }
        // Its fragments complete it.
        guard case .prepared(let signed, _) = host.answer(.prepare(version.prepare(for: 0))) else {
            Issue.record("the fragments are not taken")
            return
        }
        #expect(signed.claim == .stored)
        #expect(host.record(.photo).version(version.timestamp)?.holdsFragments == true)
    }

    @Test("does not need one that came with PREPARE, and keeps nothing of one that comes again", arguments: allModes)
    func prepared(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let version = group.version(.photo, "value", counter: 1)
        _ = host.answer(.prepare(version.prepare(for: 0)))
        #expect(commit(version, at: host) == .committed(version.timestamp, needsDescriptor: false))
        let before = host.store
        #expect(host.answer(version.describe) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.store == before)
    }

    @Test("takes no other", arguments: allModes)
    func otherDescriptors(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let version = group.version(.photo, "value", counter: 3)
        let other = group.version(.photo, "other", counter: 4)
        let foreign = group.version(.other, "value", counter: 3)
        _ = commit(version, at: host)
        let before = host.store
        func refusal(_ timestamp: Timestamp, _ descriptor: SealedDescriptor) -> Reply {
            host.answer(.describe(Describe(key: .photo, timestamp: timestamp, descriptor: descriptor)))
        }
        for _ in 0..<2 {
            #expect(refusal(version.timestamp, other.descriptor) == .refused(.digestMismatch))
            #expect(refusal(version.timestamp, foreign.descriptor) == .refused(.digestMismatch))
            #expect(refusal(foreign.timestamp, foreign.descriptor) == .refused(.foreignDescriptor))
            #expect(refusal(other.timestamp, other.descriptor) == .refused(.notCommitted))
            #expect(host.store == before)
            host.crash()
        }
        #expect(host.answer(version.describe) == .committed(version.timestamp, needsDescriptor: false))
    }

    @Test(
        "is the only kind that takes any: not a pending version, nor one of which nothing is known", arguments: allModes
    )
    func uncommitted(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let version = group.version(.photo, "value", counter: 1)
        let pending = group.version(.photo, "pending", counter: 1, writer: .bob)
        let unknown = group.version(.photo, nil, counter: 9)
        #expect(host.answer(version.describe) == .refused(.notCommitted))
        #expect(host.store == MemoryStore(), "nothing is kept of an object that is not there")
        #expect(Refusal.notCommitted.isTransient, "a COMMIT may be under way")
        _ = host.answer(.prepare(pending.prepare(for: 0)), from: .client(.bob))
        let before = host.store
        for described in [version, pending, unknown] {
            #expect(host.answer(described.describe) == .refused(.notCommitted))
            #expect(host.store == before)
            host.crash()
        }
    }

    @Test("no longer needs it below what is committed, and keeps none")
    func superseded() {
        let group = TestGroup()
        let host = ReplicaHost(group, 0)
        let (lower, higher) = (group.version(.photo, "lower", counter: 1), group.version(.photo, "higher", counter: 2))
        _ = commit(lower, at: host)
        #expect(commit(higher, at: host) == .committed(higher.timestamp, needsDescriptor: true))
        let before = host.store
        #expect(commit(lower, at: host) == .committed(lower.timestamp, needsDescriptor: false))
        #expect(host.answer(lower.describe) == .committed(lower.timestamp, needsDescriptor: false))
        #expect(host.store == before)
        #expect(claim(host)?.timestamp == higher.timestamp)
    }

    // MARK: Modes that verify later

    @Test(
        "waits to be verified, if it is a deletion or an empty value, until it has it", arguments: laterModes,
        [nil, ""])
    func withoutStripes(mode: VerificationMode, text: String?) {
        let group = TestGroup(mode: mode)
        for isPrepared in [false, true] {
            let host = ReplicaHost(group, 0)
            let below = group.version(.photo, "below", counter: 1)
            let empty = group.version(.photo, text, counter: 2)
            let above = group.version(.photo, "above", counter: 3)
            for version in [below, empty, above] { _ = commit(version, at: host) }
            let named = [below, empty, above].map { ClaimedVersion(group.certificate(of: $0)) }
            #expect(claim(host) == CommittedClaim(sound: nil, unverified: named))
            host.crash()
            #expect(claim(host) == CommittedClaim(sound: nil, unverified: named))
            if isPrepared {
                guard case .prepared = host.answer(.prepare(empty.prepare(for: 0))) else {
                    Issue.record("what it lacks is not taken")
                    continue
                }
            } else {
                #expect(host.answer(empty.describe) == .committed(empty.timestamp, needsDescriptor: false))
            }
            for _ in 0..<2 {
                #expect(claim(host) == CommittedClaim(sound: named[1], unverified: [named[2]]), "\(isPrepared)")
                host.crash()
            }
            #expect(host.record(.photo).committed?.certificate == group.certificate(of: empty))
        }
    }

    @Test("waits on with it, if it has fragments that may be poisonous", arguments: laterModes)
    func withStripes(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let versions = [1, 2].map { group.version(.photo, "version \($0)", counter: $0) }
        for version in versions { _ = commit(version, at: host) }
        let before = claim(host)
        for version in versions {
            #expect(host.answer(version.describe) == .committed(version.timestamp, needsDescriptor: false))
        }
        #expect(claim(host) == before && before?.sound == nil && before?.unverified.count == 2)
    }

    // MARK: Clients

    @Test(
        "is sent it by its writer, once, and what it says to that keeps nobody waiting",
        arguments: TestGroup.scenarioGroups)
    func sentOnce(group: TestGroup) {
        let own = group.version(.photo, "own", counter: 1)
        var writer = Writer(
            parameters: group.parameters, key: .photo, writer: .alice, content: .deletion(modifiedMilliseconds: 0))
        var effects: [Writer.Effect] = []
        let quorum = Array(group.servers.prefix(group.quorums.quorum))
        writer.handle(.start, into: &effects)
        writer.handle(.encoded(own.descriptor, fragments: own.fragments), into: &effects)
        for server in quorum {
            writer.handle(.reply(server, .timestamp(CommittedClaim(certificate: nil))), into: &effects)
        }
        for server in quorum {
            let signed = group.statement(of: server, .photo, own.timestamp)
            let verified = Result { () throws(CertificateError) in
                try group.verifier.verify(signed, key: .photo, timestamp: own.timestamp)
            }
            writer.handle(.reply(server, .prepared(signed, committed: nil)), into: &effects)
            writer.handle(.statementVerified(server, signed, own.timestamp, verified), into: &effects)
        }
        effects = []
        let needing = quorum.dropLast()
        for server in needing {
            for _ in 0..<3 {
                writer.handle(.reply(server, .committed(own.timestamp, needsDescriptor: true)), into: &effects)
            }
            writer.handle(.reply(server, .refused(.storageFull)), into: &effects)
        }
        let described = effects.compactMap { effect -> Position? in
            guard case .send(let server, .describe(let describe)) = effect else { return nil }
            #expect(Request.describe(describe) == own.describe)
            return server
        }
        #expect(described == Array(needing) && effects.count == described.count, "\(effects)")
        writer.handle(.reply(quorum.last!, .committed(own.timestamp, needsDescriptor: false)), into: &effects)
        guard case .finish(.success(let outcome))? = effects.last else {
            Issue.record("\(effects)")
            return
        }
        #expect(outcome.timestamp == own.timestamp)
    }

    @Test("is sent it by a reader that writes it back", arguments: TestGroup.scenarioGroups)
    func sentByReader(group: TestGroup) {
        let simulation = Simulation(group)
        let holders = Array(group.servers.prefix(group.quorums.quorum))
        simulation.loses = Simulation.losing { server, request in
            switch request {
            case .prepare: !holders.contains(server)
            case .commit: server != 0
            case .read, .readTimestamp, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate: false
            }
        }
        let session = simulation.startWrite(.photo, Array("value".utf8), by: .alice)
        simulation.settle()
        simulation.crashClient(session)
        // Those without fragments are written back to: as many holders are out of reach.
        let silent = holders.suffix(group.quorums.faults)
        simulation.loses = Simulation.losing { server, _ in silent.contains(server) }
        #expect(simulation.read().text == "value")
        simulation.settle()
        for server in group.servers where !holders.contains(server) {
            let record = simulation.host(server).record(.photo)
            #expect(record.committed?.timestamp.counter == 1)
            #expect(record.committed.flatMap { record.version($0.timestamp) }?.holdsFragments == false, "\(server)")
        }
    }
}
