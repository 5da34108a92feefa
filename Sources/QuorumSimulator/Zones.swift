// Is the history of one register linearizable, when no value is written twice? After Gibbons & Korach, *Testing Shared
// Memories* (SIAM J. Comput. 1997), section 4.
//
// A write and the reads that return its value form a cluster, in which the write comes first and everything lies
// together. With f the earliest end and s the latest beginning of a cluster's operations, a cluster with f < s must have
// its value in place during all of [f, s], its forward zone; one with s <= f can be put at a single point of [s, f], its
// backward zone. The history is linearizable exactly if no read ends before its write begins, no two forward zones
// overlap, and no backward zone lies within a forward one.

/// One operation on a register.
struct RegisterOperation {
    let isWrite: Bool
    /// What is written or read; no two writes have the same. 0 is what the register holds at first.
    let value: Int
    let invokedAt: Int
    /// nil: it may take effect at any time after its invocation, or never. Only for writes.
    let completedAt: Int?
}

/// Why the history is none of a register; nil when it is one.
func zoneConflict(in operations: [RegisterOperation]) -> String? {
    struct Cluster {
        var isWritten = false
        var isRead = false
        var writeInvokedAt = 0
        var firstEnd = Int.max
        var lastBeginning = Int.min
    }
    var clusters: [Int: Cluster] = [0: Cluster(isWritten: true, writeInvokedAt: -1, firstEnd: 0, lastBeginning: -1)]
    for operation in operations where operation.isWrite {
        clusters[operation.value] = Cluster(
            isWritten: true, writeInvokedAt: operation.invokedAt, firstEnd: operation.completedAt ?? .max,
            lastBeginning: operation.invokedAt)
    }
    for read in operations where !read.isWrite {
        guard var cluster = clusters[read.value] else { return "value \(read.value) was read, and nobody wrote it" }
        let end = read.completedAt ?? .max
        guard end > cluster.writeInvokedAt else { return "value \(read.value) was read before it was written" }
        cluster.isRead = true
        cluster.firstEnd = min(cluster.firstEnd, end)
        cluster.lastBeginning = max(cluster.lastBeginning, read.invokedAt)
        clusters[read.value] = cluster
    }
    let zones = clusters.sorted { $0.key < $1.key }
    for (value, zone) in zones where zone.firstEnd < zone.lastBeginning {
        for (other, otherZone) in zones where other != value {
            let isForward = otherZone.firstEnd < otherZone.lastBeginning
            let conflicts =
                isForward
                ? otherZone.firstEnd < zone.lastBeginning && zone.firstEnd < otherZone.lastBeginning
                : zone.firstEnd < otherZone.lastBeginning && otherZone.firstEnd < zone.lastBeginning
            if conflicts {
                return "value \(value) must last from \(zone.firstEnd) to \(zone.lastBeginning), and value \(other) "
                    + "cannot but come in between"
            }
        }
    }
    return nil
}
