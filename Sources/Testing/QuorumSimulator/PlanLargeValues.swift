// Worlds in which some values are large: drawn from a stream of their own, so that all others are what they would be if
// there were none.

import QuorumFaults
import QuorumProtocol

extension WorldPlan {
    /// In a third of the worlds half of the writes are of several stripes, which are staged ahead of them.
    mutating func drawLargeValues(_ selection: FaultSelection) {
        var generator = SeededGenerator(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ 6)
        guard generator.chance(percent: 33) else { return }
        limits.stagedMilliseconds = [100, 2_000, 7 * 86_400_000, 7 * 86_400_000][generator.below(4)]
        limits.pinMilliseconds = [20, 500, 60_000][generator.below(3)]
        limits.stagedDropsPerChangeMax = [1, 4096][generator.below(2)]
        for position in operations.indices {
            let isStaged = generator.chance(percent: 50)
            // Mostly few enough for the descriptor to name them, at times only its pages.
            let many = mode.verifiesLater ? 13...StagedLimits.namedStripesMax : 17...20
            let stripeCount = generator.within(generator.chance(percent: 90) ? 1...5 : many)
            let lastBytes = generator.within(1...512)
            let staging = PlannedOperation.Staging(
                firstPartStripes: generator.chance(percent: 60) ? stripeCount : generator.within(1...stripeCount),
                reuses: generator.chance(percent: 50), discards: generator.chance(percent: 20))
            guard isStaged, case .write = operations[position].kind else { continue }
            operations[position].kind = .write(sizeBytes: (stripeCount - 1) * 512 + lastBytes)
            operations[position].staging = staging
        }
        let hasLiar = generator.chance(percent: 40)
        if hasLiar, selection.clients.contains(.otherStripes), byzantineClients.count < 2 {
            byzantineClients[byzantineClients.count] = .otherStripes
        }
    }
}

extension PlannedOperation.Staging {
    /// What is said of it behind the operation's kind.
    var summary: String {
        ", staged, \(firstPartStripes) stripes first\(reuses ? ", or what was before" : "")"
            + (discards ? ", that discarded" : "")
    }
}
