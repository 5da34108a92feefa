// Scenario 13. A server is away while the object is deleted, and comes back when the grace time of everything is over.
// Then all certificates from before the deletion, which are genuine, are replayed to it and to all others, and f liars
// show the last value as if it were there.
//
// The rule: a deletion is a version, a tombstone, whose timestamp and certificate are never dropped (docs/protocol.md,
// Write, Delete); a lower certificate never replaces a higher one, and a proven higher claim outweighs any number of
// lower ones.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 13, absent during a deletion")
struct Scenario13AbsentDuringDeleteTests {
    private func run(_ simulation: Simulation, preferences: [[Position]]) {
        let group = simulation.group
        let absent = group.servers.suffix(group.quorums.faults)
        let liars = group.servers.dropLast(group.quorums.faults).suffix(group.quorums.faults)
        var old: [(version: TestVersion, certificate: Certificate)] = []
        for (counter, text) in [(1, "one"), (2, "two")] as [(UInt64, String)] {
            guard let outcome = simulation.write(text).wrote else {
                Issue.record("the write fails")
                return
            }
            old.append((group.version(.photo, text, counter: counter), outcome.certificate))
        }
        for server in absent { simulation.crash(server) }
        #expect(simulation.write(nil).wrote != nil)
        simulation.tick(advancingBy: 60_000)
        simulation.settle()
        for server in absent { simulation.restart(server) }
        simulation.note("all certificates from before the deletion are replayed to all, in both orders")
        for (version, certificate) in old + old.reversed() {
            #expect(simulation.commit(version, certificate, at: group.servers, as: .mallory), "they are genuine")
        }
        for server in group.servers where !absent.contains(server) {
            #expect(simulation.host(server).record(.photo).committed?.timestamp.counter == 3)
        }
        simulation.note(
            "a liar from now on, showing the value as if it were there: \(TranscriptNames.names(Array(liars)))")
        let stale = CommittedClaim(certificate: old[1].certificate)
        for liar in liars {
            simulation.lies[liar] = { _, _, request in
                switch request {
                case .readTimestamp: [.timestamp(stale)]
                case .read: [group.showing(old[1].version, old[1].certificate, at: liar)]
                case .certificate: [.certificate(stale, old[1].certificate)]
                case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: nil
                }
            }
        }
        for preference in preferences {
            let read = simulation.read(preference: preference)
            #expect(read.read?.found.timestamp?.counter == 3 && read.text == nil, "\(preference)")
        }
        #expect(simulation.write("three").wrote?.timestamp.counter == 4)
        for preference in preferences { #expect(simulation.read(preference: preference).text == "three") }
    }

    @Test("13: a server that was absent during a deletion revives nothing, whatever it gets to see")
    func transcript() {
        let transcript = Transcript("Scenario 13: absent during a deletion (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        run(simulation, preferences: [simulation.group.servers.reversed()])
        simulation.note("verdict: the tombstone outranks every certificate from before it")
        transcript.expectKept(as: "13-absent-during-delete")
    }

    @Test(
        "13: nobody is shown a deleted value, whoever is asked first, and the next write is above the tombstone",
        arguments: TestGroup.scenarioGroups)
    func everyReader(group: TestGroup) { run(Simulation(group), preferences: group.turns) }
}
