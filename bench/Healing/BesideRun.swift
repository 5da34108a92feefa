// What repair at its floor does to GETs: in each round they are measured while all servers are well, and then while one
// of them that has lost its store gets it back, so that a slow moment of the machine hits both alike.

import BenchmarkResults
import StoreSeeding

struct BesideRun {
    /// Spells of the closed loop; what else the machine does only makes one slower.
    private static let peakSpellCount = 3
    private static let warmUpSeconds = 3.0
    /// So long GETs go on before it is looked whether repair has begun.
    private static let leadSeconds = 1.0

    let cluster: HealingCluster
    let plan: SeedPlan
    let loopCount: Int
    let seconds: Double
    let rounds: Int

    struct Spell {
        let p50Milliseconds: Double
        let p99Milliseconds: Double

        init(_ outcome: LoadOutcome) {
            p50Milliseconds = outcome.microseconds(atPercentile: 50) / 1000
            p99Milliseconds = outcome.microseconds(atPercentile: 99) / 1000
        }
    }

    struct Outcome {
        var peak = 0.0
        var well: [Spell] = []
        var repairing: [Spell] = []
        /// The first time: versions that have a statement of the server's earlier life are restated beside repair.
        var restating: Spell?
        /// Objects that came back a second, beside the GETs.
        var repairedPerSecond: [Double] = []

        /// The median of the rounds' ratios.
        var p99Ratio: Double { median(zip(repairing, well).map { $0.p99Milliseconds / $1.p99Milliseconds }) }
    }

    func run() throws -> Outcome {
        let gets = SeededGets(plan: plan, clients: cluster.clients)
        var outcome = Outcome()
        outcome.peak = try peak(gets)
        Progress.say("at most \(brief(outcome.peak)) GETs a second; from here on half as many")
        Progress.say("rebuilding server \(HealingRunner.lost) for the first time")
        outcome.restating = try measure(gets, perSecond: outcome.peak / 2).repairing
        for round in 0..<rounds {
            let (well, repairing, repaired) = try measure(gets, perSecond: outcome.peak / 2)
            outcome.well.append(well)
            outcome.repairing.append(repairing)
            outcome.repairedPerSecond.append(repaired)
            Progress.say(
                "round \(round + 1) of \(rounds): p99 \(brief(repairing.p99Milliseconds)) ms beside repair of "
                    + "\(brief(repaired)) objects a second, \(brief(well.p99Milliseconds)) ms without")
        }
        return outcome
    }

    private func peak(_ gets: SeededGets) throws -> Double {
        try cluster.awaitRest()
        let (loopCount, seconds) = (loopCount, seconds)
        _ = try waiting { try await gets.peak(loopCount: loopCount, seconds: Self.warmUpSeconds) }
        return median(
            try (0..<Self.peakSpellCount).map { _ in
                try waiting { try await gets.peak(loopCount: loopCount, seconds: seconds) }
            })
    }

    private func measure(
        _ gets: SeededGets, perSecond rate: Double
    ) throws -> (well: Spell, repairing: Spell, repairedPerSecond: Double) {
        let seconds = seconds
        try cluster.awaitRest()
        _ = try waiting { try await gets.paced(perSecond: rate, seconds: Self.leadSeconds) }
        let well = Spell(try waiting { try await gets.paced(perSecond: rate, seconds: seconds) })
        let rebuilding = try Rebuilding(HealingRunner.lost, of: cluster)
        _ = try rebuilding.untilAnswering()
        repeat {
            _ = try waiting { try await gets.paced(perSecond: rate, seconds: Self.leadSeconds) }
        } while try rebuilding.isUnderWay && rebuilding.repairedCount() == 0
        let before = try rebuilding.repairedCount()
        let repairing = try waiting { try await gets.paced(perSecond: rate, seconds: seconds) }
        let after = try rebuilding.repairedCount()
        guard rebuilding.isUnderWay, after > before else {
            throw BenchmarkError.wellTooSoon(objectCount: plan.objectCount)
        }
        _ = try rebuilding.untilWell()
        return (well, Spell(repairing), Double(after - before) / repairing.seconds)
    }
}
