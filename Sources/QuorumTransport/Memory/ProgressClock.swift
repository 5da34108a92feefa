// Whether a peer moves on with what it holds memory for. Time counts only from one look to the next while somebody
// looks, that is while memory is short, and no more of it than looks are apart: what a server itself was too busy to
// read, its peer has not failed to send.

import NIOCore

/// What is asked of who holds memory while it is short.
package struct ProgressDemand: Sendable, Equatable {
    /// Bytes a second, on average over a window.
    package var bytesPerSecond = 64 << 10
    /// How long a peer may take to show that average.
    package var window = TimeAmount.seconds(10)
    /// How often a server looks.
    package var interval = TimeAmount.seconds(1)

    package init() {}
}

/// What has moved in the present window.
struct ProgressClock {
    private var movedBytes = 0
    private var counted = TimeAmount.nanoseconds(0)
    private var lastLook: NIODeadline?

    /// So many bytes moved.
    mutating func moved(_ bytes: Int) { movedBytes += bytes }

    /// Something new begins, or the other side had no chance to go on: the time since the last look does not count.
    mutating func excuse() { lastLook = nil }

    /// Something new begins.
    mutating func restart() { self = ProgressClock() }

    /// Looks at the clock; true when a window has passed with too little in it.
    mutating func isTooSlow(now: NIODeadline, demand: ProgressDemand) -> Bool {
        defer { lastLook = now }
        guard let lastLook else { return false }
        counted = counted + min(now - lastLook, demand.interval + demand.interval)
        guard counted >= demand.window else { return false }
        let demandedBytes = Double(demand.bytesPerSecond) * Double(counted.nanoseconds) / 1e9
        let isTooSlow = Double(movedBytes) < demandedBytes
        movedBytes = 0
        counted = .nanoseconds(0)
        return isTooSlow
    }
}
