// Scenario 6, servers that are full of what was overtaken. A client's crashes left each server another version; another
// write is committed above all of them, and hardly any server has been told.
//
// The rule (docs/protocol.md, When servers are full): after its attempts to finish what it left behind, a writer reads
// the object as a reader does. That brings what is committed to a quorum, and so to all but f of the full servers,
// which it frees; these get its certificate as a justification.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 6, servers that are full of what was overtaken")
struct Scenario06UntoldTests {
    private static let shapes = [
        TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 4),
        TestGroup.Shape(faults: 2, dataFragmentCount: 4),
    ]

    /// One pending version fills a server.
    private static func group(_ shape: TestGroup.Shape, _ mode: VerificationMode = .fingerprint) -> TestGroup {
        var limits = ProtocolLimits()
        limits.pendingVersionsPerClientMax = 1
        // No clock moves here.
        limits.listIntervalMilliseconds = 0
        return shape.group(mode, limits: limits)
    }

    /// alice's versions of one counter, in the order of their timestamps, and what they say.
    private static func versions(_ count: Int, counter: UInt64 = 1, of group: TestGroup) -> [(String, TestVersion)] {
        (0..<count).map { "text \($0)" }.map { ($0, group.version(.photo, $0, counter: counter)) }
            .sorted { $0.1.timestamp < $1.1.timestamp }
    }

    @Test(
        "6: a write that begins anew above what it recovered asks again whom READ-TIMESTAMP did not reach",
        arguments: shapes)
    func beginsAnewBeyondLoss(shape: TestGroup.Shape) throws {
        let group = Self.group(shape)
        let simulation = Simulation(group)
        let remembered = try #require(simulation.write("one").wrote)
        let pair = Self.versions(2, counter: 2, of: group)
        simulation.prepareAndCrash(pair[1].0, at: group.servers)
        var lost = 0
        simulation.loses = Simulation.losing { _, request in
            guard case .readTimestamp = request, lost < group.servers.count else { return false }
            lost += 1
            return true
        }
        let session = simulation.startWrite(
            .photo, Array(pair[0].0.utf8), by: .alice, remembered: remembered.proof)
        let wrote = try #require(simulation.finish(session).wrote)
        #expect(lost == group.servers.count, "what was left behind was committed, and the timestamp read")
        #expect(wrote.timestamp.counter == 3)
        #expect(simulation.read().text == pair[0].0)
    }

    @Test(
        "6: servers full of what nobody can finish are told what one server has committed above it, and take the next",
        arguments: shapes, [true, false])
    func committedAtOne(shape: TestGroup.Shape, isAbove: Bool) throws {
        let group = Self.group(shape)
        let simulation = Simulation(group)
        let others = group.servers.dropFirst()
        var versions = Self.versions(others.count + 2, of: group)
        let own = versions.remove(at: isAbove ? 0 : versions.count - 1)
        let committed = versions.removeLast().1
        #expect(simulation.prepare(committed, at: group.servers).count == group.servers.count)
        for host in simulation.hosts.dropFirst() { host.alterStore { $0 = MemoryStore() } }
        for (server, version) in zip(others, versions) {
            #expect(simulation.prepare(version.1, at: [server]).count == 1)
        }
        simulation.commit(committed, group.certificate(of: committed), at: [0])
        // The writer does not hear of it before it prepares.
        simulation.loses = Simulation.losing { server, request in
            if case .readTimestamp = request, server == 0 { true } else { false }
        }
        let session = simulation.startWrite(.photo, Array(own.0.utf8), by: .alice)
        simulation.settle()
        simulation.loses = { _ in false }
        #expect(simulation.sessions[session].isRunning)
        let wrote = try #require(simulation.finish(session).wrote)
        #expect(isAbove ? wrote.timestamp.counter == 2 : wrote.timestamp == own.1.timestamp)
        #expect(simulation.read().text == own.0)
    }

    /// Found by simulation: f servers are silent, so that a single full one stands between the writer and its quorum.
    @Test(
        "6: a server full of what was overtaken is told so, although those beside it that are silent may all be faulty",
        arguments: shapes)
    func fullBesideSilent(shape: TestGroup.Shape) throws {
        let group = Self.group(shape)
        let simulation = Simulation(group)
        let informed = Array(group.servers.prefix(group.quorums.quorum - 1))
        let full = group.servers[informed.count]
        let versions = Self.versions(2, of: group)
        #expect(simulation.prepare(versions[0].1, at: [full]).count == 1)
        let committed = group.version(.photo, "bob's", counter: 2, writer: .bob)
        simulation.holds = { event in
            if case .request(_, _, .prepare) = event { true } else { false }
        }
        let session = simulation.startWrite(.photo, Array(versions[1].0.utf8), by: .alice)
        simulation.settle()
        // Between its reading and its PREPARE.
        #expect(simulation.commit(committed, group.certificate(of: committed), at: informed, as: .bob))
        for silent in group.servers.dropFirst(informed.count + 1) { simulation.lies[silent] = { _, _, _ in [] } }
        simulation.release()
        let wrote = try #require(simulation.finish(session).wrote)
        #expect(wrote.timestamp.counter == 3)
        #expect(simulation.read().text == versions[1].0)
    }

    @Test("6: a full server that what the writer has found was not brought to is shown its certificate")
    func foundIsJustification() throws {
        let group = Self.group(TestGroup.Shape())
        let (a, b, c, d) = (group.servers[0], group.servers[1], group.servers[2], group.servers[3])
        let simulation = Simulation(group)
        let versions = Self.versions(4, of: group)
        let (committed, own) = (versions[2].1, versions[3])
        simulation.holds = { event in
            if case .request(_, _, .prepare) = event { true } else { false }
        }
        let session = simulation.startWrite(.photo, Array(own.0.utf8), by: .alice)
        simulation.settle()
        // d is full below it, b above it, and c, which lies, signs nothing.
        #expect(simulation.prepare(versions[0].1, at: [d]).count == 1)
        #expect(simulation.commit(committed, group.certificate(of: committed), at: [a, b, c]))
        #expect(simulation.prepare(group.version(.photo, "higher", counter: 2), at: [b]).count == 1)
        simulation.lies[c] = { _, _, request in
            if case .prepare = request { [] } else { nil }
        }
        simulation.release()
        #expect(simulation.finish(session).wrote?.timestamp == own.1.timestamp)
        #expect(simulation.read().text == own.0)
    }

    @Test("6: a server keeps a justification although it is full still, and finds out whether that frees it")
    func justificationKept() {
        for mode in [.lazy, .readTime] as [VerificationMode] {
            let group = Self.group(TestGroup.Shape(), mode)
            let host = ReplicaHost(group, 0)
            let versions = Self.versions(2, of: group)
            let committed = group.version(.photo, "bob's", counter: 1, writer: ClientID(high: 1, low: 0))
            #expect(versions[1].1.timestamp < committed.timestamp)
            guard case .prepared = host.answer(.prepare(versions[0].1.prepare(for: 0))) else {
                Issue.record("there was no room to begin with")
                return
            }
            let certificate = group.certificate(of: committed)
            let next = versions[1].1.prepare(for: 0, justification: certificate)
            for _ in 0..<2 {
                guard case .refused(.tooManyPending(let pending)) = host.answer(.prepare(next)) else {
                    Issue.record("what is not known to be sound frees nothing")
                    return
                }
                #expect(pending.map(\.timestamp) == [versions[0].1.timestamp])
                #expect(host.record(.photo).unverified == [CommittedVersion(certificate)], "\(mode)")
                host.crash()
            }
        }
    }
}
