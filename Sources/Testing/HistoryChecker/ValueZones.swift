// Linearizability of a register whose every read names exactly one write, in the time of a sort.
//
// After Gibbons & Korach, *Testing shared memories* (1997). A write and its reads are a cluster, and in any order that
// explains the history a cluster's operations stand together, the write first. Let f be the earliest return in a
// cluster and s its latest invocation. Cluster A must come before B when some operation of A precedes one of B:
// f(A) < s(B). An order exists when no read precedes its own write and no two clusters must each come before the other:
// a longer cycle of "must come before" contains such a pair. For if A1 < A2 < … < Ak < A1 and no pair is mutual, then
// f(A1) < s(A2) ≤ f(A3)… , which leads around the cycle to f(A1) < f(A1).
// A cluster with f < s is *forward*: it lasts from f to s. Two clusters are mutual when both are forward and overlap,
// or when one is forward and surrounds the other, backward one, strictly; two backward ones never are.

/// A register's operations grouped by the write that they name.
struct ValueZones {
    private typealias Operation = RegisterHistory.Operation

    private struct Cluster {
        /// nil for the register's beginning.
        var write: Int?
        /// The operation with the earliest return, and that return.
        var firstReturn: (operation: Int?, time: Int64)
        /// The operation with the latest invocation, and that invocation.
        var lastInvocation: (operation: Int?, time: Int64)
        var hasReads = false

        var isForward: Bool { firstReturn.time < lastInvocation.time }
    }

    private let operations: [Operation]
    private let clusters: [Cluster]
    private let prematureRead: (read: Int, write: Int)?

    /// nil when some value that was read may come from more than one write, or from a write and from the beginning.
    init?(_ history: RegisterHistory) {
        operations = history.operations
        var readCounts = Array(repeating: 0, count: history.valueCount)
        var writeCounts = readCounts
        // The beginning is a write of nothing.
        writeCounts[0] = 1
        for operation in operations {
            if operation.isWrite { writeCounts[operation.value] += 1 } else { readCounts[operation.value] += 1 }
        }
        guard !zip(readCounts, writeCounts).contains(where: { $0 > 0 && $1 != 1 }) else { return nil }

        var clusters = [Cluster(write: nil, firstReturn: (nil, .min), lastInvocation: (nil, .min))]
        var clusterOfValue = Array(repeating: 0, count: history.valueCount)
        for (position, operation) in operations.enumerated() where operation.isWrite {
            if readCounts[operation.value] > 0 { clusterOfValue[operation.value] = clusters.count }
            clusters.append(
                Cluster(
                    write: position, firstReturn: (position, operation.returned),
                    lastInvocation: (position, operation.invoked)))
        }
        var prematureRead: (read: Int, write: Int)?
        for (position, operation) in operations.enumerated() where !operation.isWrite {
            let cluster = clusterOfValue[operation.value]
            clusters[cluster].hasReads = true
            if operation.returned < clusters[cluster].firstReturn.time {
                clusters[cluster].firstReturn = (position, operation.returned)
            }
            if operation.invoked > clusters[cluster].lastInvocation.time {
                clusters[cluster].lastInvocation = (position, operation.invoked)
            }
            if prematureRead == nil, let write = clusters[cluster].write,
                operation.returned < operations[write].invoked
            {
                prematureRead = (position, write)
            }
        }
        self.clusters = clusters
        self.prematureRead = prematureRead
    }

    /// The operations that contradict each other, by their positions in the history; nil when there are none.
    var contradiction: Contradiction? {
        if let (read, write) = prematureRead { return .prematureRead(read: read, write: write) }
        let forward = clusters.filter { $0.isForward && ($0.write != nil || $0.hasReads) }
            .sorted { $0.firstReturn.time < $1.firstReturn.time }
        for (earlier, later) in zip(forward, forward.dropFirst())
        where later.firstReturn.time < earlier.lastInvocation.time {
            return mutual(earlier, later)
        }
        // Now the forward ones follow each other: only the last that began before a backward one can surround it.
        for backward in clusters where backward.write != nil && !backward.isForward {
            var low = 0
            var high = forward.count
            while low < high {
                let middle = (low + high) / 2
                if forward[middle].firstReturn.time < backward.lastInvocation.time {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            guard low > 0, backward.firstReturn.time < forward[low - 1].lastInvocation.time else { continue }
            return mutual(forward[low - 1], backward)
        }
        return nil
    }

    private func mutual(_ first: Cluster, _ second: Cluster) -> Contradiction {
        let involved = [first, second].flatMap {
            [$0.write, $0.firstReturn.operation, $0.lastInvocation.operation]
        }.compactMap { $0 }
        return .mutual(operations: Array(Set(involved)).sorted())
    }

    enum Contradiction {
        /// The read returned before the write of its value began.
        case prematureRead(read: Int, write: Int)
        /// Two writes that must each come before the other, by their own times or those of their reads.
        case mutual(operations: [Int])
    }
}
