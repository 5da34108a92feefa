// Scenario 10. The writer of the newest version has sent its COMMIT to one server and is gone. A lower version of the
// same counter is superseded there, stored elsewhere, and gets its certificate. One reader sees the one server that
// knows the newest version, the next reader does not: the second must not return an older version than the first.
//
// The rule: a version that fewer than q servers name as committed is written back to q before the read returns it
// (docs/protocol.md, Read, step 3), "not found" by a tombstone likewise.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 10, committed at one server only")
struct Scenario10CommittedOnceTests {
    /// The newest version, nil for a deletion, is committed at `holder` only; two readers follow, the second without
    /// it.
    private func run(_ simulation: Simulation, _ newest: String?, holder: Position, completesEarly: Bool) {
        let group = simulation.group
        #expect(simulation.write("old").wrote != nil)
        simulation.note("alice's COMMIT reaches \(TranscriptNames.name(holder)) only; she crashes")
        simulation.writePartially(newest, committingAt: [holder])
        let others = group.servers.filter { $0 != holder }
        let between = group.version(.photo, "between", counter: 2, writer: .bob)
        simulation.note("bob's version is lower: superseded at \(TranscriptNames.name(holder)), stored elsewhere")
        let statements = simulation.prepare(between, at: [holder] + others)
        #expect(statements.map(\.claim) == [.superseded] + others.map { _ in .stored })
        let certificate = group.certificate(between.timestamp, Array(statements.prefix(group.quorums.quorum)))
        if completesEarly { #expect(simulation.commit(between, certificate, at: group.servers)) }
        let silent = Array(others.suffix(group.quorums.faults))
        simulation.note(
            "the first reader hears of alice's version, not of \(TranscriptNames.names(silent)): no q others will do"
        )
        simulation.loses = Simulation.losing { server, _ in silent.contains(server) }
        let first = simulation.read(preference: [holder] + others)
        simulation.loses = { _ in false }
        #expect(first.text == newest && first.read?.rounds == 3, "proven and written back")
        #expect(first.read?.found.timestamp?.writer == .alice)
        if !completesEarly {
            simulation.note("bob's COMMITs arrive now")
            #expect(simulation.commit(between, certificate, at: group.servers))
        }
        simulation.note("the second reader never hears of \(TranscriptNames.name(holder))")
        simulation.loses = Simulation.losing { server, _ in server == holder }
        let second = simulation.read(preference: others + [holder])
        #expect(second.text == newest, "\(holder)")
        #expect(second.read?.found.timestamp == first.read?.found.timestamp, "\(holder)")
    }

    @Test("10: a version committed at one server only is found again by a reader that cannot reach that server")
    func transcript() {
        let transcript = Transcript("Scenario 10: committed at one server only (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        run(simulation, "new", holder: 0, completesEarly: false)
        simulation.note("verdict: the first reader wrote back what it returned; the second returns it too")
        transcript.expectKept(as: "10-committed-once")
    }

    @Test(
        "10: whichever server it is, and whenever the lower version is complete, both readers agree",
        arguments: TestGroup.scenarioGroups, [true, false])
    func everyHolder(group: TestGroup, completesEarly: Bool) {
        for holder in group.servers {
            run(Simulation(group), "new", holder: holder, completesEarly: completesEarly)
            run(Simulation(group), nil, holder: holder, completesEarly: completesEarly)
        }
    }
}
