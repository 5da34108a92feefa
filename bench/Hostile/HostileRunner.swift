// Measures attacks in turns: in each round every attack is preceded by a measurement at rest, so that a slow moment of
// the machine hits both alike.

import BenchmarkResults
import Foundation
import HostileClients
import QuorumProtocol

struct HostileRunner {
    let seconds: Double
    let rounds: Int
    let load: PacedLoad
    /// How much an attacker may do to each server a second; nil for as much as he can.
    let attacksPerSecond: Double?
    /// Where attackers are entered, so that none outlives an interrupted run.
    let leftovers: Leftovers.Removals

    private static let onsetSeconds = 0.5
    /// Time for what an attack has left under way to end.
    private static let aftermathSeconds = 1.0

    /// The client as which an attack is made in a round. Each time it is another one: what the last one has been
    /// charged with is not to protect anybody from the next.
    static func client(_ kind: AttackName, round: Int) -> String { "\(kind.rawValue)-\(round)" }

    static func clients(_ kinds: [AttackName], rounds: Int) -> [String] {
        kinds.flatMap { kind in (0..<rounds).map { client(kind, round: $0) } }
    }

    /// Stays on the thread that it is called on, since attackers end with the thread that started them.
    func run(_ kinds: [AttackName]) throws -> [HostileOutcome] {
        var outcomes = kinds.map { HostileOutcome(kind: $0.rawValue) }
        for round in 0..<rounds {
            for (index, kind) in kinds.enumerated() {
                let found = try measure(kind, round: round)
                outcomes[index].add(found)
                let rest = found.rest.operations[.put]?.p99Milliseconds ?? 0
                let attacked = found.attacked.operations[.put]?.p99Milliseconds ?? 0
                Progress.say(
                    "round \(round + 1) of \(rounds): \(kind.rawValue): p99 of PUTs \(brief(attacked)) ms, "
                        + "\(brief(rest)) ms at rest")
            }
        }
        return outcomes
    }

    private func measure(_ kind: AttackName, round: Int) throws -> HostileRound {
        let (rest, _) = try measure(attacker: nil)
        for (operation, figures) in rest.operations {
            if let failure = figures.firstFailure {
                throw BenchmarkError.failedAtRest(operation.rawValue, reason: failure)
            }
        }
        let child = try AttackChild(
            kind, as: Self.client(kind, round: round), on: load.cluster, objects: load.writtenObjects,
            perSecond: attacksPerSecond)
        leftovers.add { child.kill() }
        pause(Self.onsetSeconds)
        let (attacked, refusals) = try measure(attacker: child)
        let counters = try child.stop()
        pause(Self.aftermathSeconds)
        return HostileRound(rest: rest, attacked: attacked, attacker: counters.byName, refusals: refusals)
    }

    private func measure(attacker: AttackChild?) throws -> (HostileSample, refusals: [String: UInt64]) {
        let cluster = load.cluster
        let refusalsBefore = try cluster.refusals()
        let attackerBefore = try attacker.map { try ProcessorTime.seconds(of: $0.processID) } ?? 0
        let before = try cluster.readProcessorTimes()
        let start = ContinuousClock.now
        let (load, seconds) = (self.load, self.seconds)
        let operations = try waiting { await load.run(seconds: seconds) }
        let spent = (ContinuousClock.now - start).inSeconds
        let after = try cluster.readProcessorTimes()
        let attackerAfter = try attacker.map { try ProcessorTime.seconds(of: $0.processID) } ?? 0
        let refusals = try cluster.refusals().merging(refusalsBefore) { $0 - $1 }.filter { $0.value > 0 }
        let sample = HostileSample(
            operations: operations, clientProcessors: (after.client - before.client) / spent,
            serverProcessors: (after.servers - before.servers) / spent,
            attackerProcessors: (attackerAfter - attackerBefore) / spent)
        return (sample, refusals)
    }

    private func pause(_ seconds: Double) { usleep(useconds_t(seconds * 1e6)) }
}

extension AttackCounters {
    /// All of it by name, answers under names of their own.
    fileprivate var byName: [String: UInt64] {
        var counts = [
            "connections": connections, "sessions": sessions, "ended_by_server": endedByServer, "requests": requests,
            "sent_bytes": sentBytes, "received_bytes": receivedBytes, "dropped_files": droppedFiles,
        ].filter { $0.value > 0 }
        for (name, count) in answers { counts["answer_\(name)"] = count }
        return counts
    }
}
