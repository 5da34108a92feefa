// How long to wait before connecting again.

import NIOCore

/// Delays that double from `minimum` to `maximum`, each shortened at random by up to a half so that the clients of a
/// restarted server do not return in step.
package struct Backoff: Sendable, Equatable {
    /// The first delay.
    package var minimum = TimeAmount.milliseconds(50)
    /// The longest delay, also the delay after a refusal that only a person can remedy.
    package var maximum = TimeAmount.seconds(2)
    private var failureCount = 0

    package init() {}

    /// The next delay. `isFinal` asks for the longest one.
    package mutating func next(isFinal: Bool, using generator: inout some RandomNumberGenerator) -> TimeAmount {
        precondition(minimum.nanoseconds > 0 && minimum <= maximum)
        var delay = minimum.nanoseconds
        for _ in 0..<failureCount where delay < maximum.nanoseconds {
            delay = delay.multipliedReportingOverflow(by: 2).overflow ? maximum.nanoseconds : delay * 2
        }
        if isFinal { delay = maximum.nanoseconds }
        delay = min(delay, maximum.nanoseconds)
        if failureCount < 64 { failureCount += 1 }
        return .nanoseconds(Int64.random(in: delay - delay / 2...delay, using: &generator))
    }

    /// Starts over: the connection had been good.
    package mutating func reset() {
        failureCount = 0
    }
}
