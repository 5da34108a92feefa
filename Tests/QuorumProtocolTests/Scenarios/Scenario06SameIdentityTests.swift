// Scenario 6, sixteen puts. Sixteen writers of one identity write one key at once, which no gateway does: each server
// can hold eight of their versions, and may be made to hold another eight than the next one. Late and repeated refusals
// belong to PREPAREs of long ago. No write may be lost, ended by an answer to something else, or reported as failed for
// good when a later recovery may still commit it.
//
// The rules: admission and recovery (docs/protocol.md, When servers are full); an answer of an earlier phase says
// nothing (Write).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 6, sixteen puts under one identity")
struct Scenario06SameIdentityTests {
    /// Starts sixteen puts, whose PREPAREs are held.
    private func startSixteen(_ simulation: Simulation) -> [Int] {
        simulation.holds = { event in
            if case .request(_, _, .prepare) = event { true } else { false }
        }
        let sessions = (0..<16).map { simulation.startWrite(.photo, Array("put \($0)".utf8), by: .alice) }
        simulation.settle()
        return sessions
    }

    private func finishAll(_ simulation: Simulation, _ sessions: [Int], _ comment: Comment) {
        for _ in 0..<12 {
            simulation.settle()
            for session in sessions { simulation.remind(session) }
        }
        simulation.settle()
        let unfinished = sessions.filter { simulation.sessions[$0].outcome.wrote == nil }
        #expect(unfinished.isEmpty, comment)
        #expect(simulation.read().text?.hasPrefix("put") == true, comment)
    }

    @Test("6: sixteen writes at once under one identity all finish, in any order", arguments: 0..<10)
    func randomOrder(seed: UInt64) {
        for group in TestGroup.scenarioGroups.prefix(seed < 2 ? 3 : 1) {
            let simulation = Simulation(group, seed: seed)
            let sessions = startSixteen(simulation)
            simulation.release()
            finishAll(simulation, sessions, "seed \(seed), \(group.servers.count) servers")
        }
    }

    @Test(
        "6: sixteen writes at once all finish when each server gets their PREPAREs in another order and is full of others",
        arguments: TestGroup.scenarioGroups, [1, 3, 5, 7])
    func adverseOrder(group: TestGroup, shift: Int) {
        let simulation = Simulation(group)
        let sessions = startSixteen(simulation)
        simulation.release { event in
            guard case .request(let server, let session, _) = event else { return 0 }
            return (session + Int(server.rawValue) * shift) % 16
        }
        finishAll(simulation, sessions, "\(group.servers.count) servers, shift \(shift)")
    }

    @Test("6: a late or repeated refusal of a PREPARE ends neither the recovery nor the write it belongs to")
    func lateRefusals() {
        for group in TestGroup.scenarioGroups {
            // All servers but one have not seen the version below, f of these do not say so, and every reply comes
            // three times.
            let simulation = Simulation(group)
            simulation.writePartially("below", committingAt: [0])
            let unheard = group.servers.suffix(group.quorums.faults)
            simulation.loses = Simulation.losing { server, request in
                if case .readTimestamp = request { unheard.contains(server) } else { false }
            }
            for server in group.servers { simulation.rewrites[server] = { _, _, reply in [reply, reply, reply] } }
            #expect(simulation.write("above").wrote?.timestamp.counter == 2)

            // They come again when the write is in its last phase already.
            let late = Simulation(group)
            late.loses = Simulation.losing { _, request in
                if case .commit = request { true } else { false }
            }
            let session = late.startWrite(.photo, [1], by: .alice)
            late.settle()
            late.loses = { _ in false }
            for server in group.servers {
                late.inject(.refused(.justificationRequired(committedCounter: 0)), of: server, to: session)
                late.inject(.refused(.tooManyPending([])), of: server, to: session)
            }
            #expect(late.finish(session).wrote != nil)

            // They come again while the write reads the timestamp anew, after a recovery.
            let full = Simulation(group)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                full.writePartially("crash \(crash)", committingAt: [])
            }
            for server in group.servers { full.rewrites[server] = { _, _, reply in [reply, reply, reply] } }
            let recovered = full.write("at last")
            #expect(recovered.wrote != nil)
            #expect(recovered.wrote?.observations.misbehaving.isEmpty == true, "nobody is blamed for what came late")
        }
    }

    @Test(
        "6: late and doubled acknowledgements of what a recovery committed do not complete the write that follows",
        arguments: TestGroup.scenarioGroups)
    func lateAcknowledgements(group: TestGroup) {
        let simulation = Simulation(group)
        for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            simulation.writePartially("crash \(crash)", committingAt: [])
        }
        // Of so many values one is above what is recovered, and keeps its timestamp.
        let value = (0..<64).map { Array("next \($0)".utf8) }.max { low, high in
            group.value(.photo, low).0.digest < group.value(.photo, high).0.digest
        }
        var recovered: Timestamp?
        let digest = group.value(.photo, value ?? []).0.digest
        simulation.holds = { event in
            guard case .request(_, _, .commit(let commit)) = event else { return false }
            if commit.certificate.timestamp.digest == digest { return true }
            recovered = commit.certificate.timestamp
            return false
        }
        let session = simulation.startWrite(.photo, value, by: .alice)
        simulation.settle()
        guard let recovered else {
            Issue.record("nothing was recovered")
            return
        }
        let late = Reply.committed(recovered, needsDescriptor: false)
        for server in group.servers { simulation.inject(late, of: server, to: session) }
        simulation.settle()
        #expect(simulation.sessions[session].isRunning, "no server has seen its COMMIT")
        simulation.release()
        simulation.settle()
        #expect(simulation.sessions[session].outcome.wrote?.timestamp.counter == 1)
    }

    @Test(
        "6: a write that failed after its PREPARE left says that it may take effect, since a later recovery commits it")
    func failedPrepareMayTakeEffect() {
        let simulation = Simulation(TestGroup.scenarioGroups[0])
        var failure: OperationFailure?
        for crash in 0..<8 {
            simulation.loses = { event in
                if case .reply(_, _, .prepared) = event { true } else { false }
            }
            failure =
                simulation.finish(
                    simulation.startWrite(.photo, Array("lost \(crash)".utf8), by: .alice), retransmissions: 1
                ).failure
        }
        simulation.loses = { _ in false }
        #expect(failure?.mayHaveTakenEffect == true)
        #expect(simulation.read().text == nil)
        // The next write commits one of the eight first, and goes away before it comes to its own.
        let next = simulation.startWrite(.photo, Array("next".utf8), by: .alice)
        var hasRecovered = false
        simulation.loses = Simulation.losing { _, request in
            if case .commit = request { hasRecovered = true }
            if case .prepare = request { return hasRecovered }
            return false
        }
        simulation.settle()
        simulation.crashClient(next)
        simulation.loses = { _ in false }
        #expect(simulation.read().text?.hasPrefix("lost") == true)
    }

    @Test("6: a write that failed while it read the timestamp anew, after a recovery, says that it may take effect")
    func failedAfterRecovery() {
        let simulation = Simulation(TestGroup.scenarioGroups[0])
        for crash in 0..<8 { simulation.writePartially("crash \(crash)", committingAt: []) }
        var hasRecovered = false
        simulation.loses = { event in
            switch event {
            case .request(_, _, .commit):
                hasRecovered = true
                return false
            case .reply(_, _, .timestamp):
                return hasRecovered
            default:
                return false
            }
        }
        // Of so many values the one that is lowest in order is below what is recovered, and gets a new timestamp.
        let value = (0..<20).map { Array("next \($0)".utf8) }.min { low, high in
            simulation.group.value(.photo, low).0.digest < simulation.group.value(.photo, high).0.digest
        }
        let write = simulation.startWrite(.photo, value, by: .alice)
        let failure = simulation.finish(write, retransmissions: 1).failure
        #expect(hasRecovered)
        #expect(failure?.mayHaveTakenEffect == true, "its PREPARE has left")
    }
}
