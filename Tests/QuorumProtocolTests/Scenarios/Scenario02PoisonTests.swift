// Scenario 2. In a cluster that verifies later, mallory's poisonous version commits over bob's good one of the same
// counter, which is concurrent and lower in order. At some point servers verify, find the poison and drop it. If they
// kept only the highest committed version, bob's completed write would then be gone.
//
// The rule: a server keeps and reports every committed version above the highest sound one, only a sound version
// supersedes, and a reader that finds a version poisonous goes back to the one before (docs/protocol.md, Verification
// modes).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 2, poison over a good version")
struct Scenario02PoisonTests {
    static let modes: [VerificationMode] = [.lazy, .readTime]

    /// bob's writing of "good" and a reading of alice's, both under way, over mallory's poison, which is committed
    /// everywhere; "old" is settled.
    private struct Play {
        let simulation: Simulation
        let poison: TestVersion
        let writer: Int
        let reader: Int

        init(_ simulation: Simulation, isPoisonEarly: Bool) {
            self.simulation = simulation
            let group = simulation.group
            simulation.verifies = { _ in false }
            simulation.quietly {
                #expect(simulation.write("old").wrote != nil)
                simulation.verifyMeanwhile(by: group.servers)
                simulation.settle()
            }
            simulation.note("\"old\" is known everywhere to be sound; bob's COMMITs are under way for a while")
            let poison = group.poisonedVersion(.photo, "evil", garbageAt: group.servers[0], counter: 2)
            func poisonAll() {
                let statements = simulation.prepare(poison, at: group.servers)
                #expect(statements.count == group.servers.count)
                let certificate = group.certificate(poison.timestamp, Array(statements.prefix(group.quorums.quorum)))
                #expect(simulation.commit(poison, certificate, at: group.servers, as: .mallory))
            }
            if isPoisonEarly {
                simulation.holds = { event in
                    if case .request(_, _, .prepare) = event { true } else { false }
                }
            } else {
                simulation.holds = { event in
                    if case .request(_, _, .commit) = event { true } else { false }
                }
            }
            self.poison = poison
            writer = simulation.startWrite(.photo, Array("good".utf8), by: .bob)
            simulation.settle()
            simulation.note("mallory's version is higher in order; A's fragment of it is garbage under the right hash")
            poisonAll()
            reader = simulation.startRead(.photo, by: .alice, preference: group.servers)
            simulation.release()
        }

        /// Everything ends, and nothing of bob's is lost.
        func conclude(_ comment: String) {
            let group = simulation.group
            let read = simulation.finish(reader)
            #expect(read.text == "old" || read.text == "good", "\(comment): \(String(describing: read))")
            let wrote = simulation.finish(writer)
            #expect(wrote.wrote != nil, "\(comment): \(String(describing: wrote.failure))")
            #expect(
                wrote.wrote?.certificate.statements.allSatisfy { $0.claim == .stored } ?? false,
                "\(comment): what is not sound supersedes nobody")
            for preference in [group.servers, group.servers.reversed()] {
                let read = simulation.read(by: .alice, preference: preference)
                #expect(read.text == "good", "\(comment): \(String(describing: read))")
            }
        }
    }

    @Test(
        "2: a good version under a poisonous one is read as soon as the poison is found, and stays when it is dropped")
    func transcript() {
        let transcript = Transcript("Scenario 2: poison over a good version (lazy, f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(mode: .lazy), transcript: transcript)
        let play = Play(simulation, isPoisonEarly: false)
        #expect(simulation.finish(play.reader).text != nil)
        #expect(simulation.finish(play.writer).wrote != nil)
        simulation.note("A verifies; nobody else has yet")
        simulation.verifyMeanwhile(by: [0])
        simulation.settle()
        simulation.note("B verifies")
        simulation.verifyMeanwhile(by: [1])
        simulation.settle()
        #expect(simulation.host(1).record(.photo).committed?.timestamp.writer == .bob)
        #expect(simulation.read(by: .alice).text == "good")
        simulation.note("verdict: bob's write is complete and stays; the poison was never read")
        transcript.expectKept(as: "02-poison-over-good")
    }

    /// How many steps the play takes without any verification.
    private func stepCount(_ group: TestGroup, isPoisonEarly: Bool) -> Int {
        let play = Play(Simulation(group), isPoisonEarly: isPoisonEarly)
        var count = 0
        while play.simulation.step() { count += 1 }
        return count
    }

    @Test(
        "2: it does not matter at which step one server, f + 1 of them or all drop the poison",
        arguments: modes, [true, false])
    func everyStep(mode: VerificationMode, isPoisonEarly: Bool) {
        // What servers and readers do at each step is the same in both modes.
        let stepStride = mode == .lazy ? 1 : 5
        for group in [TestGroup(mode: mode), TestGroup(faults: 2, mode: mode)] {
            let count = stepCount(group, isPoisonEarly: isPoisonEarly)
            #expect(count > 20)
            for step in stride(from: 0, through: count, by: group.quorums.faults == 1 ? stepStride : 40) {
                let verifierCount = [group.quorums.vouchers, group.servers.count, 1][step % 3]
                let play = Play(Simulation(group), isPoisonEarly: isPoisonEarly)
                for _ in 0..<step { play.simulation.step() }
                play.simulation.verifyMeanwhile(by: Array(group.servers.suffix(verifierCount)))
                play.conclude("\(group.servers.count) servers, step \(step), \(verifierCount) verifiers")
            }
        }
    }

    @Test("2: nor at which step of its verification the verifier crashes", arguments: modes)
    func everyCrash(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let count = stepCount(group, isPoisonEarly: false)
        for step in stride(from: 0, through: count, by: 37) {
            for crashStep in stride(from: 0, through: 48, by: 4) {
                let simulation = Simulation(group)
                let play = Play(simulation, isPoisonEarly: false)
                for _ in 0..<step { simulation.step() }
                let verification = simulation.startVerification(.photo, by: 0)
                simulation.hold(allBut: [verification])
                for _ in 0..<crashStep { simulation.step() }
                simulation.crash(0)
                simulation.crashClient(verification)
                simulation.settle()
                simulation.restart(0)
                simulation.release()
                play.conclude("step \(step), crash after \(crashStep)")
                simulation.verifyMeanwhile(by: group.servers)
                play.conclude("step \(step), crash after \(crashStep), verified at last")
            }
        }
    }

    @Test("2: a version that is dropped stays dropped when mallory sends everything again", arguments: modes)
    func replay(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let simulation = Simulation(group)
        let play = Play(simulation, isPoisonEarly: false)
        play.conclude("before")
        // The first ones see the others' statements when they look again.
        for server in group.servers + group.servers {
            simulation.verifyMeanwhile(by: [server])
            simulation.settle()
        }
        let certificate = group.certificate(of: play.poison)
        for server in group.servers {
            let record = simulation.host(server).record(.photo)
            #expect(record.version(play.poison.timestamp) == nil, "\(server) has f + 1 statements")
            let prepared = simulation.ask(server, .prepare(play.poison.prepare(for: server)), as: .mallory)
            let committed = simulation.ask(server, play.poison.commit(certificate), as: .mallory)
            #expect(prepared == .refused(.poisonous) && committed == .refused(.poisonous), "\(server)")
        }
        play.conclude("after")
    }
}
