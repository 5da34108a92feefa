// Writes that leave f servers without fragments (docs/protocol.md, Partial writes).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A partial write")
struct PartialWriteTests {
    private static func spares(_ group: TestGroup) -> [Position] { group.quorums.spares }

    @Test("has the last f holders of parity fragments as spares, which are other servers for other objects")
    func choice() throws {
        let group = TestGroup(faults: 2, dataFragmentCount: 4)
        #expect(group.quorums.spares == [6, 7])
        #expect(try QuorumConfiguration(faults: 0, dataFragmentCount: 3).spares == [])
        var chosen: Set<NodeID> = []
        for number in 0..<100 {
            let placement = group.parameters.placement(of: try ObjectKey("tests/object-\(number)"))
            chosen.formUnion(group.quorums.spares.map(placement.node(at:)))
        }
        #expect(chosen.count == 8)
    }

    private static func preparedServers(_ simulation: Simulation) -> () -> [Position] {
        final class Seen { var servers: Set<Position> = [] }
        let seen = Seen()
        simulation.loses = { event in
            if case .request(let server, _, .prepare) = event { seen.servers.insert(server) }
            return false
        }
        return { seen.servers.sorted() }
    }

    /// Whether the server holds fragments of the version.
    private static func holds(_ server: Position, _ timestamp: Timestamp, _ simulation: Simulation) -> Bool {
        let read = Read(key: .photo, version: timestamp, portion: .fragments)
        guard case .version(_, let parts) = simulation.host(server).answer(.read(read)) else { return false }
        return parts?.fragments != nil
    }

    @Test(
        "takes as many rounds, sends nothing to the spares and tells all of the commit",
        arguments: TestGroup.scenarioGroups)
    func commonCase(group: TestGroup) throws {
        let simulation = Simulation(group)
        let spares = Self.spares(group)
        let prepared = Self.preparedServers(simulation)
        let write = simulation.startWrite(.photo, Array("one".utf8), by: .alice, spares: spares)
        let outcome = try #require(simulation.finish(write).wrote)
        #expect(outcome.rounds == 3)
        #expect(outcome.observations.slow.isEmpty)
        #expect(prepared() == group.servers.filter { !spares.contains($0) })
        for server in group.servers {
            #expect(simulation.host(server).record(.photo).committed?.timestamp == outcome.timestamp)
            #expect(Self.holds(server, outcome.timestamp, simulation) == !spares.contains(server))
        }
        #expect(simulation.read().read?.rounds == 1)
        #expect(simulation.read(preference: simulation.group.preferring(spares)).text == "one")
    }

    @Test("is read back with any f servers gone", arguments: TestGroup.scenarioGroups)
    func durability(group: TestGroup) {
        for first in group.servers {
            let simulation = Simulation(group)
            let spares = Self.spares(group)
            #expect(
                simulation.finish(simulation.startWrite(.photo, Array("one".utf8), by: .alice, spares: spares)).wrote
                    != nil)
            for offset in 0..<group.quorums.faults {
                simulation.crash(group.servers[(first.offset + offset) % group.quorums.serverCount])
            }
            #expect(simulation.read().text == "one", "without \(first) and those after it")
        }
    }

    @Test("draws the spares in when its time is over, under the same timestamp, and names who was slow")
    func silentServer() throws {
        let group = TestGroup.scenarioGroups[0]
        let simulation = Simulation(group)
        let (silent, late, spare) = (group.servers[0], group.servers[1], group.servers[3])
        simulation.crash(silent)
        // Before the write is over: it is not to blame.
        simulation.holds = { event in
            if case .reply(_, late, .prepared) = event { true } else { false }
        }
        let write = simulation.startWrite(.photo, Array("one".utf8), by: .alice, spares: [spare])
        simulation.settle()
        #expect(simulation.sessions[write].isRunning)
        simulation.feed(write, Writer.Input.hedge)
        simulation.settle()
        #expect(simulation.sessions[write].isRunning)
        simulation.release()
        simulation.settle()
        let outcome = try #require(simulation.sessions[write].outcome.wrote)
        #expect(outcome.observations.slow == [group.node(silent)])
        #expect(outcome.rounds == 3)
        #expect(Self.holds(spare, outcome.timestamp, simulation))
        #expect(simulation.read().text == "one")
    }

    @Test("draws the spares in at once when a server refuses")
    func refusingServer() throws {
        let group = TestGroup.scenarioGroups[0]
        let simulation = Simulation(group)
        let spare = group.servers[3]
        simulation.lies[group.servers[1]] = { _, _, request in
            if case .prepare = request { [.refused(.storageFull)] } else { nil }
        }
        let write = simulation.startWrite(.photo, Array("one".utf8), by: .alice, spares: [spare])
        simulation.settle()
        let outcome = try #require(simulation.sessions[write].outcome.wrote)
        #expect(Self.holds(spare, outcome.timestamp, simulation))
    }

    @Test("draws the spares in at once when a statement is none")
    func unsoundStatement() throws {
        let group = TestGroup.scenarioGroups[0]
        let simulation = Simulation(group)
        let (liar, spare) = (group.servers[2], group.servers[3])
        simulation.rewrites[liar] = { _, _, reply in
            guard case .prepared(let signed, let committed) = reply else { return [reply] }
            let altered = SignedStatement(
                node: signed.node, incarnation: signed.incarnation, claim: signed.claim,
                leafIndex: signed.leafIndex, leafCount: signed.leafCount, path: signed.path,
                signature: signed.signature.map { ~$0 })
            return [.prepared(altered, committed: committed)]
        }
        let write = simulation.startWrite(.photo, Array("one".utf8), by: .alice, spares: [spare])
        simulation.settle()
        let outcome = try #require(simulation.sessions[write].outcome.wrote)
        #expect(outcome.observations.misbehaving.map(\.server) == [group.node(liar)])
        #expect(Self.holds(spare, outcome.timestamp, simulation))
        #expect(simulation.read().text == "one")
    }

    @Test("draws the spares in with its first reminder, if nothing else did")
    func reminder() throws {
        let group = TestGroup.scenarioGroups[0]
        let simulation = Simulation(group)
        simulation.crash(group.servers[0])
        let write = simulation.startWrite(.photo, Array("one".utf8), by: .alice, spares: [group.servers[3]])
        simulation.settle()
        simulation.feed(write, Writer.Input.retransmit)
        simulation.settle()
        let outcome = try #require(simulation.sessions[write].outcome.wrote)
        #expect(Self.holds(group.servers[3], outcome.timestamp, simulation))
    }

    @Test(
        "is finished by its writer's next run, from m of those that have it, when f of these say nothing",
        arguments: [1, 2])
    func recovery(faults: Int) throws {
        let group = TestGroup(faults: faults, limits: Self.oneAtATime)
        let simulation = Simulation(group)
        let spares = Self.spares(group)
        simulation.loses = { event in
            if case .request(_, _, .commit) = event { true } else { false }
        }
        let crashed = simulation.startWrite(.photo, Array("one".utf8), by: .alice, spares: spares)
        simulation.settle()
        simulation.crashClient(crashed)
        simulation.loses = { _ in false }
        let holders = group.servers.filter { !spares.contains($0) }
        for server in holders.prefix(faults) { simulation.crash(server) }
        let next = simulation.startWrite(.photo, Array("two".utf8), by: .alice, spares: spares)
        let outcome = try #require(simulation.finish(next).wrote)
        #expect(outcome.rounds > 3)
        #expect(simulation.read().text == "two")
    }

    private static let oneAtATime: ProtocolLimits = {
        var limits = ProtocolLimits()
        limits.pendingVersionsPerClientMax = 1
        return limits
    }()
}
