// Scenario 7, as far as there is a case of it today. Mallory lists for C's position a hash that no fragment of the
// value has: position C is void, nothing will ever be good there. The others hold good fragments and sign, the version
// is committed. Then D's disk is replaced and A is lost. If C could be made to take what Mallory calls its fragment,
// the fragments would encode more than one value; if C counted as a holder, two faults would go unnoticed.
//
// The rules: a server stores a fragment only if hash and fingerprint match (docs/protocol.md, Write, step 2), so C
// refuses every fragment and only records the COMMIT (step 3); q signers are q holders, m of them beyond any f faults.
// A server does not rebuild itself yet: D gets its fragment back by the writer's retransmission.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 7, a void fragment")
struct Scenario07VoidFragmentTests {
    private func commitVoid(_ simulation: Simulation, _ void: Position, holders: [Position]) -> TestVersion {
        let group = simulation.group
        #expect(simulation.write("honest").wrote != nil)
        let name = TranscriptNames.name(void)
        let version = group.poisonedVersion(.photo, "void at \(name)", garbageAt: void, counter: 2)
        simulation.note("Mallory lists for \(name) the hash of garbage, and sends \(name) that garbage")
        let garbage = Request.prepare(version.prepare(for: void))
        let index = FragmentIndex(void.rawValue)
        let refusal = Refusal.invalidFragment(StripeIndex(0), .fingerprintMismatch(index))
        #expect(simulation.ask(void, garbage, as: .mallory) == .refused(refusal))
        simulation.note("the fragment that belongs there has another hash than the one listed")
        let sound = group.value(.photo, Array("void at \(name)".utf8)).1[void.offset]
        let truthful = Prepare(
            key: .photo, timestamp: version.timestamp, position: void, descriptor: version.descriptor,
            fragments: sound)
        #expect(
            simulation.ask(void, .prepare(truthful), as: .mallory)
                == .refused(.invalidFragment(StripeIndex(0), .hashMismatch(index))))
        let statements = simulation.prepare(version, at: holders)
        #expect(statements.map(\.claim) == holders.map { _ in .stored })
        let certificate = group.certificate(version.timestamp, statements)
        #expect(simulation.commit(version, certificate, at: group.servers, as: .mallory))
        #expect(simulation.host(void).record(.photo).version(version.timestamp)?.holdsFragments == false)
        return version
    }

    /// The writer sends the fragment again, with proof of the version below to a server that has forgotten everything.
    private func sendAgain(_ simulation: Simulation, _ version: TestVersion, to server: Position) {
        let below = simulation.group.version(.photo, "honest", counter: 1)
        let proof = simulation.group.certificate(of: below)
        #expect(simulation.prepare(version, at: [server], justification: proof).map(\.claim) == [.stored])
    }

    private func expectTooFew(_ simulation: Simulation, _ version: TestVersion) {
        let outcome = simulation.finish(simulation.startRead(.photo), retransmissions: 1)
        let need = simulation.group.quorums.dataFragmentCount
        guard case .tooFewFragments(version.timestamp, need - 1, need, _)? = outcome.failure else {
            Issue.record("the read ends with \(String(describing: outcome))")
            return
        }
    }

    @Test("7: a void position takes no fragment, and is missed only when f other servers fail as well")
    func transcript() {
        let transcript = Transcript("Scenario 7: a void fragment (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        let version = commitVoid(simulation, 2, holders: [0, 1, 3])
        simulation.wipe(3)
        #expect(simulation.read(preference: [2, 3, 0, 1]).text == "void at C")
        simulation.note("A is lost before D is whole: two faults, and B's is the only fragment")
        simulation.crash(0)
        expectTooFew(simulation, version)
        simulation.note("D gets its fragment again; now A is the only fault")
        sendAgain(simulation, version, to: 3)
        #expect(simulation.read(preference: [2, 3, 0, 1]).text == "void at C")
        simulation.note("verdict: one value or none, and none only with more than f faults; C never held anything")
        transcript.expectKept(as: "07-void-fragment")
    }

    @Test(
        "7: with any position void, replacing one server and losing others is survived up to f faults",
        arguments: TestGroup.scenarioGroups)
    func everyPosition(group: TestGroup) {
        for void in group.servers {
            let simulation = Simulation(group)
            // The void position and f - 1 others hold nothing.
            let others = group.preferring([void]).dropFirst()
            let holders = Array(others.dropFirst(group.quorums.faults - 1))
            let version = commitVoid(simulation, void, holders: holders)
            let text = "void at \(TranscriptNames.name(void))"
            let (replaced, lost) = (holders.last!, holders.prefix(group.quorums.faults))
            simulation.wipe(replaced)
            for server in lost.dropLast() { simulation.crash(server) }
            for preference in group.turns { #expect(simulation.read(preference: preference).text == text) }
            simulation.crash(lost.last!)
            expectTooFew(simulation, version)
            sendAgain(simulation, version, to: replaced)
            for preference in group.turns { #expect(simulation.read(preference: preference).text == text) }
            #expect(simulation.host(void).record(.photo).version(version.timestamp)?.holdsFragments == false)
        }
    }
}
