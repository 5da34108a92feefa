// Scenario 3, where versions are verified before they are stored. A writer has read the timestamp; before its PREPARE
// arrives another version, higher in order, is written completely. Its PREPARE must neither fail for ever, nor replace
// what is committed, nor vanish without the writer's knowing whether it took effect.
//
// The rule: a server that holds a *committed* version with a higher timestamp signs *superseded* and stores nothing
// (docs/protocol.md, Write, step 2). q statements are a certificate whichever they claim, so the writer finishes: its
// write takes effect just before the other's. A pending version supersedes nobody, since it may never be committed.
// Versions whose verification is put off are Scenario03UnverifiedTests', and writers that skip the reading of the
// timestamp Scenario03RememberedTimestampTests'.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 3, an overtaken writer")
struct Scenario03OvertakenWriterTests {
    private func overtake(_ simulation: Simulation) {
        #expect(simulation.write("one").wrote != nil)
        var committed: [Timestamp?] = []
        let late = simulation.startWrite(.photo, Array("overtaken".utf8), by: .bob)
        for server in simulation.group.servers {
            simulation.rewrites[server] = { _, session, reply in
                if session == late, case .prepared(_, let timestamp) = reply { committed.append(timestamp) }
                return [reply]
            }
        }
        simulation.note("bob has the timestamp; his PREPARE is under way for a long time")
        simulation.holds = { event in
            if case .request(_, late, .prepare) = event { true } else { false }
        }
        simulation.settle()
        simulation.note("alice's version of the same counter is higher in order, and complete")
        guard let higher = simulation.write("overtaking").wrote else {
            Issue.record("the overtaking write fails")
            return
        }
        simulation.note("bob's PREPARE arrives")
        simulation.release()
        let outcome = simulation.finish(late)
        guard let lower = outcome.wrote else {
            Issue.record("the overtaken write fails: \(String(describing: outcome.failure))")
            return
        }
        #expect(lower.timestamp < higher.timestamp && lower.timestamp.counter == 2 && lower.rounds == 3)
        #expect(lower.certificate.statements.allSatisfy { $0.claim == .superseded })
        #expect(committed == committed.map { _ in higher.timestamp }, "every reply names what overtook it")
        #expect(committed.count >= simulation.group.quorums.quorum)
        for server in simulation.group.servers {
            let record = simulation.host(server).record(.photo)
            #expect(record.committed?.timestamp == higher.timestamp)
            #expect(record.version(lower.timestamp) == nil, "nothing is stored of it")
        }
        simulation.note("whoever reads now, reads alice's version")
    }

    @Test("3: a writer overtaken between reading the timestamp and PREPARE finishes, just before the other")
    func transcript() {
        let transcript = Transcript("Scenario 3: an overtaken writer (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        overtake(simulation)
        #expect(simulation.read().text == "overtaking")
        simulation.note("verdict: both writes are complete; bob's is ordered before alice's, and stored nowhere")
        transcript.expectKept(as: "03-overtaken-writer")
    }

    @Test(
        "3: the value of an overtaken write is read by nobody, whoever is asked", arguments: TestGroup.scenarioGroups)
    func everyReader(group: TestGroup) {
        let simulation = Simulation(group)
        overtake(simulation)
        for preference in group.turns { #expect(simulation.read(preference: preference).text == "overtaking") }
        #expect(simulation.write("next").wrote?.timestamp.counter == 3)
    }

    @Test(
        "3: a higher version that is only pending, at however many servers, supersedes nobody",
        arguments: TestGroup.scenarioGroups)
    func pendingSupersedesNobody(group: TestGroup) {
        for count in [0, group.quorums.faults, group.servers.count - 1] {
            let simulation = Simulation(group)
            let pending = simulation.prepareAndCrash("never committed", at: Array(group.servers[...count]))
            let write = simulation.write("lower", by: .bob)
            guard let lower = write.wrote else {
                Issue.record("the write fails")
                return
            }
            #expect(lower.certificate.statements.allSatisfy { $0.claim == .stored })
            #expect(simulation.sessions[pending].outcome == nil)
            #expect(simulation.read().text == "lower")
        }
    }
}
