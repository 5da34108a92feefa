// Scenario 3, against a version that is complete but not verified. A writer has read the timestamp; before its PREPARE
// arrives a higher version is committed everywhere that may turn out to be poisonous. Were the writer told
// *superseded*, and the higher version then dropped as poison, a completed write would be stored nowhere.
//
// The rule: only a version that the server knows to be sound supersedes; above it everything is stored, committed and
// kept (docs/protocol.md, Verification modes). What the reply to PREPARE names as committed counts unverified versions
// too: a writer that has skipped reading the timestamp learns from it that it may have to begin again
// (Scenario03RememberedTimestampTests).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 3, overtaken by a version that is not verified")
struct Scenario03UnverifiedTests {
    private static let modes: [VerificationMode] = [.lazy, .readTime]

    /// bob's PREPAREs arrive when mallory's version of the same counter is committed everywhere. What bob was told.
    @discardableResult
    private func overtake(_ simulation: Simulation, isPoisonous: Bool, isVerified: Bool = false) -> WriteOutcome? {
        let group = simulation.group
        simulation.verifies = { _ in false }
        simulation.quietly { #expect(simulation.write("one").wrote != nil) }
        var committed: [Timestamp?] = []
        let late = simulation.startWrite(.photo, Array("overtaken".utf8), by: .bob)
        for server in group.servers {
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
        simulation.note("mallory's version of the same counter is higher in order, complete, and not verified")
        let higher =
            isPoisonous
            ? group.poisonedVersion(.photo, "evil", garbageAt: group.servers[1], counter: 2)
            : group.version(.photo, "higher", counter: 2, writer: .mallory)
        let statements = simulation.prepare(higher, at: group.servers)
        #expect(statements.count == group.servers.count)
        let certificate = group.certificate(higher.timestamp, Array(statements.prefix(group.quorums.quorum)))
        #expect(simulation.commit(higher, certificate, at: group.servers, as: .mallory))
        if isVerified {
            for server in group.servers {
                let shown = group.shown([higher])
                simulation.host(server).runToEnd(.found(.photo, group.findings(shown, by: server)))
            }
        }
        simulation.note("bob's PREPARE arrives")
        simulation.release()
        let outcome = simulation.finish(late)
        guard let lower = outcome.wrote else {
            Issue.record("the overtaken write fails: \(String(describing: outcome.failure))")
            return nil
        }
        #expect(lower.timestamp < higher.timestamp && lower.timestamp.counter == 2)
        #expect(committed == committed.map { _ in higher.timestamp }, "every reply names what overtook it")
        #expect(committed.count >= group.quorums.quorum)
        return lower
    }

    @Test("3: a writer overtaken by an unverified version is not told that it is superseded, and loses nothing")
    func transcript() {
        let transcript = Transcript("Scenario 3: overtaken by unverified poison (lazy, f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(mode: .lazy), transcript: transcript)
        let lower = overtake(simulation, isPoisonous: true)
        #expect(lower?.certificate.statements.allSatisfy { $0.claim == .stored } ?? false)
        #expect(simulation.read(by: .alice).text == "overtaken")
        simulation.note("verdict: bob's write is complete and is read; mallory's is passed over")
        transcript.expectKept(as: "03-overtaken-by-unverified")
    }

    @Test(
        "3: an unverified version supersedes nobody, and what is read is the highest sound one",
        arguments: [TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 8)], modes)
    func everyGroup(shape: TestGroup.Shape, mode: VerificationMode) {
        for isPoisonous in [true, false] {
            let simulation = Simulation(shape.group(mode))
            let lower = overtake(simulation, isPoisonous: isPoisonous)
            #expect(lower?.certificate.statements.allSatisfy { $0.claim == .stored } ?? false)
            for preference in simulation.group.turns {
                let read = simulation.read(by: .alice, preference: preference)
                #expect(read.text == (isPoisonous ? "overtaken" : "higher"), "\(String(describing: read))")
            }
            for server in simulation.group.servers {
                let record = simulation.host(server).record(.photo)
                #expect(lower.map { record.version($0.timestamp)?.holdsFragments ?? false } ?? false, "\(server)")
            }
            let next = simulation.write("next")
            #expect(next.wrote?.timestamp.counter == 3)
            #expect(simulation.read(by: .bob).text == "next")
        }
    }

    @Test("3: once the higher version is known to be sound, it supersedes", arguments: modes)
    func verifiedSupersedes(mode: VerificationMode) {
        let simulation = Simulation(TestGroup(mode: mode))
        let lower = overtake(simulation, isPoisonous: false, isVerified: true)
        #expect(lower?.certificate.statements.allSatisfy { $0.claim == .superseded } ?? false)
        #expect(simulation.read(by: .alice).text == "higher")
    }
}
