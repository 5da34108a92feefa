// How long those who were asked first are given before the others are asked too.
//
// A fixed time is wrong when it is the network or the servers that are full: then everything takes longer than it, all
// servers are asked for everything, and that makes it worse. So the time follows what operations take, as TCP's
// retransmission timer follows round trips (RFC 6298): the smoothed time and four times its mean deviation.

import NIOCore
import Synchronization

/// The hedge time of one kind of operation.
package final class HedgeTime: Sendable {
    /// No more than so many times the least: liars that take their time do not make others wait for ever.
    private static let factorMax: Int64 = 10

    private struct Estimate {
        var smoothed: Int64
        var deviation: Int64
    }

    private let leastNanoseconds: Int64
    private let estimate = Mutex<Estimate?>(nil)

    /// - Parameter leastMilliseconds: the time before any operation has ended, and the least ever.
    package init(leastMilliseconds: Int) {
        leastNanoseconds = TimeAmount.milliseconds(Int64(min(max(0, leastMilliseconds), 86_400_000))).nanoseconds
    }

    /// Takes what an operation took.
    package func record(_ time: TimeAmount) {
        let nanoseconds = min(time.nanoseconds, Self.factorMax * leastNanoseconds)
        estimate.withLock { estimate in
            guard let before = estimate else {
                estimate = Estimate(smoothed: nanoseconds, deviation: nanoseconds / 2)
                return
            }
            let deviation = before.deviation + (abs(nanoseconds - before.smoothed) - before.deviation) / 4
            estimate = Estimate(
                smoothed: before.smoothed + (nanoseconds - before.smoothed) / 8, deviation: deviation)
        }
    }

    package var current: TimeAmount {
        let wanted = estimate.withLock { $0.map { $0.smoothed + 4 * $0.deviation } ?? 0 }
        return .nanoseconds(min(max(wanted, leastNanoseconds), Self.factorMax * leastNanoseconds))
    }
}
