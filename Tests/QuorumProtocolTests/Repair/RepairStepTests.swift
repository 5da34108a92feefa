// Repair driven to its end, over servers of which some lie or have nothing (docs/protocol.md, Repair).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Repair, driven to its end,")
struct RepairStepTests {
    private static let modes: [VerificationMode] = [.fingerprint, .full, .lazy, .none]
    private static let shapes = [TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 4)]

    /// The fragment that the server should have, in all modes.
    private func own(_ group: TestGroup, _ text: String, _ server: Position) -> [SharedBytes] {
        [group.quorums.code.encode(block: SharedBytes(Array(text.utf8)))[server.offset]]
    }

    private func fragments(_ host: ReplicaHost, _ version: TestVersion) -> [SharedBytes]? {
        guard
            case .version(_, let parts) = host.answer(
                .read(Read(key: .photo, version: version.timestamp, portion: .fragments)))
        else { return nil }
        return parts?.fragments
    }

    private func garbage(_ reply: Reply) -> Reply {
        guard case .version(let claim, let parts?) = reply else { return reply }
        return .version(
            claim,
            HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                fragments: parts.fragments?.map { SharedBytes($0.array.map { ~$0 }) }))
    }

    // MARK: Values of one stripe

    @Test("brings each server what it lacks", arguments: modes, shapes)
    func small(mode: VerificationMode, shape: TestGroup.Shape) {
        let group = shape.group(mode)
        for (server, leavesSpares) in group.servers.flatMap({ [($0, false), ($0, true)] }) {
            let repairing = Repairing(group)
            let version =
                leavesSpares
                ? group.partial("some value", counter: 1) : group.version(.photo, "some value", counter: 1)
            repairing.write(version, at: group.servers.filter { $0 != server })
            let host = repairing.host(server)
            let isSpare = leavesSpares && group.isSpare(server)
            repairing.beforeStep = { host, _ in host.crash() }
            #expect(repairing.end(at: server) == .done)
            #expect(host.state(version) == (isSpare ? .absent : .held), "\(server)")
            if !isSpare { #expect(fragments(host, version) == own(group, "some value", server)) }
            #expect(host.wanted() == nil && host.store.wants.isEmpty)
            // Then there is nothing to do.
            #expect(repairing.end(at: server) == .done && repairing.sent.isEmpty && repairing.stepCount == 1)
        }
    }

    @Test("brings back a lost descriptor and lost fragments", arguments: modes)
    func lost(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        for server in group.servers {
            let repairing = Repairing(group)
            let version = group.version(.photo, "some value", counter: 1)
            repairing.write(version, at: group.servers)
            let host = repairing.host(server)
            for lost in [LostParts.descriptor(version.timestamp), .fragments(version.timestamp)] {
                host.runToEnd(.lost(.photo, [lost], answering: nil))
                #expect(host.wanted() == version.timestamp)
                #expect(repairing.end(at: server) == .done)
                #expect(fragments(host, version) == own(group, "some value", server), "\(server)")
                host.expectCharges()
            }
        }
    }

    @Test("brings a version above the committed one that is nowhere to be had", arguments: modes)
    func behindTheUnobtainable(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let server = group.servers[0]
        let repairing = Repairing(group)
        let host = repairing.host(server)
        let committed = group.version(.photo, "some value", counter: 1)
        repairing.write(committed, at: [server])
        let pending = group.version(.photo, "another value", counter: 2)
        for host in repairing.hosts.dropFirst() { host.prepare(pending) }
        host.prepare(pending)
        host.runToEnd(.lost(.photo, [.fragments(committed.timestamp)], answering: nil))
        host.runToEnd(.lost(.photo, [.fragments(pending.timestamp)], answering: nil))
        #expect(host.state(committed) == .lost && host.state(pending) == .lost)
        #expect(repairing.end(at: server) == .failed)
        #expect(host.state(committed) == .lost && host.state(pending) == .held)
        #expect(host.wanted() == committed.timestamp)
    }

    @Test("brings the descriptors of what is empty", arguments: [nil, ""])
    func empty(text: String?) {
        let group = TestGroup()
        let repairing = Repairing(group)
        let version = group.version(.photo, text, counter: 1)
        for server in [0, 1, 3] as [Position] { repairing.host(server).prepare(version) }
        for host in repairing.hosts { host.commit(version) }
        #expect(repairing.host(2).wanted() == version.timestamp)
        #expect(repairing.end(at: 2) == .done)
        #expect(repairing.host(2).state(version) == .held)
    }

    @Test(
        "brings back values of hardly any bytes, in the end of fragments that were all brought back themselves",
        arguments: [VerificationMode.fingerprint, .full], shapes)
    func smallest(mode: VerificationMode, shape: TestGroup.Shape) {
        let group = shape.group(mode)
        for lengthBytes in 0...(group.quorums.dataFragmentCount + 1) {
            let text = String(repeating: "x", count: lengthBytes)
            let repairing = Repairing(group)
            let version = group.version(.photo, text, counter: 1)
            repairing.write(version, at: group.servers)
            for server in group.servers + group.servers {
                let host = repairing.host(server)
                // With its descriptor goes all that is here of the version.
                host.runToEnd(.lost(.photo, [.descriptor(version.timestamp)], answering: nil))
                #expect(host.state(version) == nil && host.wanted() == version.timestamp)
                #expect(repairing.end(at: server) == .done)
                #expect(host.state(version) == .held && host.wanted() == nil, "\(lengthBytes) bytes at \(server)")
                if lengthBytes > 0 { #expect(fragments(host, version) == own(group, text, server)) }
                host.expectCharges()
            }
        }
    }

    @Test("meets a fragment that has rotted, takes another, and both are whole in the end", arguments: shapes)
    func rottenSource(shape: TestGroup.Shape) {
        let group = shape.group(.fingerprint)
        // Those that are asked first.
        for source in group.servers.dropFirst().prefix(group.quorums.dataFragmentCount) {
            let repairing = Repairing(group)
            let version = group.version(.photo, "some value", counter: 1)
            repairing.write(version, at: Array(group.servers.dropFirst()))
            repairing.host(source).rotten = [.fragments(version.timestamp)]
            #expect(repairing.end(at: 0) == .done)
            #expect(repairing.host(source).state(version) == .lost)
            #expect(repairing.host(source).wanted() == version.timestamp)
            #expect(repairing.end(at: source) == .done)
            for server in [0, source] {
                #expect(fragments(repairing.host(server), version) == own(group, "some value", server), "\(source)")
            }
        }
    }

    @Test("takes no garbage, whoever of f sends it", arguments: [VerificationMode.fingerprint, .full, .lazy], shapes)
    func garbage(mode: VerificationMode, shape: TestGroup.Shape) {
        let group = shape.group(mode)
        let version = group.version(.photo, "some value", counter: 1)
        for first in group.servers.dropFirst() {
            let liars = group.servers.dropFirst().filter { $0.offset >= first.offset }.prefix(group.quorums.faults)
            let repairing = Repairing(group)
            repairing.write(version, at: Array(group.servers.dropFirst()))
            repairing.answer = { source, _, honest in liars.contains(source) ? self.garbage(honest) : honest }
            #expect(repairing.end(at: 0) == .done)
            #expect(fragments(repairing.host(0), version) == own(group, "some value", 0), "\(liars)")
        }
    }

    @Test("goes on to others when some say nothing, or that they have nothing", arguments: [false, true])
    func nothing(isSilent: Bool) {
        let group = TestGroup()
        let version = group.version(.photo, "some value", counter: 1)
        for other in [1, 2, 3] as [Position] {
            let repairing = Repairing(group)
            repairing.write(version, at: [1, 2, 3])
            repairing.answer = { source, _, honest in
                source != other ? honest : isSilent ? nil : .version(CommittedClaim(sound: nil), nil)
            }
            #expect(repairing.end(at: 0) == .done)
            #expect(fragments(repairing.host(0), version) == version.fragments[0])
            // With fewer than m there is nothing to be had, and nothing changes.
            repairing.host(0).runToEnd(.lost(.photo, [.fragments(version.timestamp)], answering: nil))
            let before = repairing.host(0).store
            repairing.answer = { source, _, honest in
                source == other ? honest : isSilent ? nil : .version(CommittedClaim(sound: nil), nil)
            }
            #expect(repairing.end(at: 0) == .failed && repairing.host(0).store == before)
        }
    }

    @Test("does not take another version's descriptor, whoever shows it")
    func otherDescriptor() {
        let group = TestGroup()
        let repairing = Repairing(group)
        let version = group.version(.photo, "some value", counter: 1)
        let other = group.version(.photo, "another one", counter: 1)
        for server in [1, 2, 3] as [Position] { repairing.host(server).expectStored(version) }
        for host in repairing.hosts { host.commit(version) }
        repairing.answer = { source, _, honest in
            guard source == 1, case .version(let claim, _) = honest else { return honest }
            return .version(
                claim,
                HeldParts(
                    timestamp: version.timestamp, position: source, descriptor: other.descriptor,
                    fragments: other.fragments[1]))
        }
        #expect(repairing.end(at: 0) == .done)
        #expect(fragments(repairing.host(0), version) == version.fragments[0])
    }

    @Test("finds a void position once, and never tries again")
    func void() {
        let group = TestGroup()
        for victim in [0, 1, 2] as [Position] {
            let repairing = Repairing(group)
            let version = group.poisonedVersion(.photo, "evil", garbageAt: victim, counter: 1)
            repairing.write(version, at: group.servers.filter { $0 != victim })
            let host = repairing.host(victim)
            #expect(repairing.end(at: victim) == .done)
            #expect(host.state(version) == .void && host.store.wants.isEmpty)
            #expect(fragments(host, version) == nil)
            #expect(repairing.end(at: victim) == .done && repairing.sent.isEmpty)
        }
    }

    @Test("ends with what is committed by then", arguments: [false, true])
    func overwritten(isDeleted: Bool) {
        let group = TestGroup()
        let repairing = Repairing(group)
        let version = group.version(.photo, "some value", counter: 1)
        let next = group.version(.photo, isDeleted ? nil : "next", counter: 2)
        repairing.write(version, at: [1, 2, 3])
        repairing.answer = { source, request, honest in
            // While it reads, the object is overwritten everywhere.
            if case .read(let read) = request, read.version == version.timestamp, source == 2 {
                for server in [1, 2, 3] as [Position] { repairing.host(server).prepare(next) }
                for host in repairing.hosts { host.commit(next) }
            }
            return honest
        }
        #expect(repairing.end(at: 0) == .done)
        #expect(repairing.host(0).record(.photo).held.map(\.timestamp) == [version.timestamp, next.timestamp])
        #expect(repairing.host(0).state(version) == .absent && repairing.host(0).state(next) == .held)
    }

    @Test("leaves what is unverified to who verifies it", arguments: [VerificationMode.lazy, .readTime])
    func unverified(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let repairing = Repairing(group)
        let version = group.poisonedVersion(.photo, "evil", garbageAt: 0, counter: 1)
        for server in [1, 2, 3] as [Position] { repairing.host(server).expectStored(version) }
        for host in repairing.hosts { host.commit(version) }
        #expect(repairing.host(0).wanted() == version.timestamp)
        #expect(repairing.end(at: 0) == .failed && repairing.sent.isEmpty)
        #expect(repairing.host(0).state(version) == nil)
    }
}
