// Looking for objects that are due, one scan at a time.

import ObjectStorage

/// Where looking for due objects stands. While the disk hangs, ticks go on, and each one that looked anew would queue
/// the same objects once more.
struct DueScan {
    private var isRunning = false
    /// How many changes had been queued for the disk when the last scan was over, those it led to among them.
    private var queuedCount: UInt64 = 0
    /// Where the next scan goes on from; nil: from the start. So what stays due whatever is done does not keep the
    /// objects behind it from being looked at.
    private(set) var last: ExpiredObject?

    /// Begins a scan unless one is running, or what the last one led to is not on the disk yet.
    ///
    /// - Parameter doneCount: how many changes the disk is done with.
    mutating func begins(doneCount: UInt64) -> Bool {
        guard !isRunning, doneCount >= queuedCount else { return false }
        isRunning = true
        return true
    }

    /// Ends a scan.
    ///
    /// - Parameters:
    ///   - last: the last object that it has found; nil when there are no more.
    ///   - queuedCount: how many changes have been queued for the disk.
    mutating func end(last: ExpiredObject?, queuedCount: UInt64) {
        precondition(isRunning, "a scan ends that has not begun")
        self = DueScan(queuedCount: queuedCount, last: last)
    }

    private init(queuedCount: UInt64, last: ExpiredObject?) {
        self.queuedCount = queuedCount
        self.last = last
    }

    init() {}
}
