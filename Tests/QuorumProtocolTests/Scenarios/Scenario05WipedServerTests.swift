// Scenario 5, as far as there is a case of it today. A server loses its disk between PREPARE and COMMIT: its *stored*
// statement is in the certificate, and what it stated is gone. Then others fail. With too few fragments left a reader
// must say so, and not fall back to an older version or to "not found".
//
// The rules: a server that lost its state counts towards f, and q = m + f statements leave m holders that are correct
// (docs/protocol.md, Model); a server without a fragment records the COMMIT all the same (Write, step 3), so that the
// commit itself survives; a PREPARE that comes again completes a committed version whose fragment is missing (Write,
// step 2). A server does not rebuild itself yet: here the writer's retransmission gives it its fragment back.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

extension Simulation {
    /// The server's disk is replaced by an empty one.
    func wipe(_ server: Position) {
        note("the disk of \(TranscriptNames.name(server)) is replaced by an empty one")
        crash(server)
        host(server).alterStore { $0 = MemoryStore() }
        restart(server)
    }
}

@Suite("Scenario 5, a wiped server")
struct Scenario05WipedServerTests {
    static let groups = [TestGroup(), TestGroup(faults: 2), TestGroup(dataFragmentCount: 8)]

    /// The version prepared at exactly q servers, f of which are wiped before the COMMIT; those f.
    private func wipeBetween(_ simulation: Simulation) -> (version: TestVersion, wiped: [Position]) {
        let group = simulation.group
        #expect(simulation.write("old").wrote != nil)
        let holders = Array(group.servers.prefix(group.quorums.quorum))
        let wiped = Array(holders.prefix(group.quorums.faults))
        simulation.loses = Simulation.losing { server, request in
            if case .prepare = request { !holders.contains(server) } else { false }
        }
        simulation.holds = { event in
            if case .request(_, _, .commit) = event { true } else { false }
        }
        let session = simulation.startWrite(.photo, Array("new".utf8), by: .alice)
        simulation.settle()
        simulation.note("alice has her certificate, of exactly q servers; her COMMITs are under way")
        for server in wiped { simulation.wipe(server) }
        simulation.settle()
        simulation.note("the COMMITs arrive")
        simulation.loses = { _ in false }
        simulation.release()
        guard let wrote = simulation.finish(session).wrote else {
            Issue.record("the write fails")
            return (group.version(.photo, "new", counter: 2), wiped)
        }
        #expect(Set(group.signers(wrote.certificate.statements)) == Set(holders))
        let version = group.version(.photo, "new", counter: 2)
        #expect(version.timestamp == wrote.timestamp)
        for server in wiped {
            let record = simulation.host(server).record(.photo)
            #expect(record.committed?.timestamp == version.timestamp, "the commit is recorded")
            #expect(record.version(version.timestamp)?.holdsFragments == false, "and the fragment is missing")
        }
        return (version, wiped)
    }

    private func expectTooFew(_ simulation: Simulation, _ version: TestVersion, have: Int) {
        let outcome = simulation.finish(simulation.startRead(.photo), retransmissions: 1)
        guard case .tooFewFragments(version.timestamp, have, _, _)? = outcome.failure else {
            Issue.record("the read ends with \(String(describing: outcome))")
            return
        }
    }

    @Test("5: a server wiped between PREPARE and COMMIT counts towards f, and is whole again after another PREPARE")
    func transcript() {
        let transcript = Transcript("Scenario 5: a wiped server (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        let (version, wiped) = wipeBetween(simulation)
        simulation.note("one fault is what f = 1 allows: the version is read from the two fragments that are left")
        #expect(simulation.read().text == "new")
        simulation.note(
            "B is a second fault, one too many: a read says that it lacks a fragment, and returns nothing older")
        simulation.crash(1)
        expectTooFew(simulation, version, have: 1)
        simulation.note("with its fragment sent again A is whole, and B is the only fault")
        #expect(simulation.prepare(version, at: wiped).map(\.claim) == [.stored])
        #expect(simulation.read().text == "new")
        simulation.note("verdict: nothing is lost by one fault at a time, and nothing wrong is read with two")
        transcript.expectKept(as: "05-wiped-server")
    }

    @Test("5: f servers wiped before COMMIT and f more after they are whole lose nothing", arguments: groups)
    func secondFault(group: TestGroup) {
        let simulation = Simulation(group)
        let (version, wiped) = wipeBetween(simulation)
        let others = group.servers.prefix(group.quorums.quorum).filter { !wiped.contains($0) }
        for preference in group.turns { #expect(simulation.read(preference: preference).text == "new") }
        simulation.crash(others[0])
        expectTooFew(simulation, version, have: group.quorums.dataFragmentCount - 1)
        #expect(simulation.prepare(version, at: wiped).map(\.claim) == wiped.map { _ in .stored })
        for server in others.prefix(group.quorums.faults) { simulation.crash(server) }
        for preference in group.turns { #expect(simulation.read(preference: preference).text == "new") }
    }

    @Test("5: what f wiped servers have forgotten altogether is read by everybody all the same", arguments: groups)
    func wipedAfterCommit(group: TestGroup) {
        let simulation = Simulation(group)
        #expect(simulation.write("old").wrote != nil)
        // Complete at exactly q servers, the first f of which are then wiped: f others never heard of it.
        let holders = Array(group.servers.prefix(group.quorums.quorum))
        simulation.loses = Simulation.losing { server, _ in !holders.contains(server) }
        #expect(simulation.write("new").wrote != nil)
        simulation.loses = { _ in false }
        for server in holders.prefix(group.quorums.faults) { simulation.wipe(server) }
        for preference in group.turns { #expect(simulation.read(preference: preference).text == "new") }
        #expect(simulation.write("newer").wrote?.timestamp.counter == 3)
    }
}
