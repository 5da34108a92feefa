// When what is done at an even pace is due.

import Synchronization

/// When each of so many operations is due; safe to use from any thread.
final class Schedule: Sendable {
    let start = ContinuousClock.now
    let count: Int
    private let rate: Double
    private let begun = Atomic(0)

    init(rate: Double, count: Int) {
        self.rate = rate
        self.count = count
    }

    /// The next operation's number, and when it is due; nil when there is no further one.
    func next() -> (number: Int, due: ContinuousClock.Instant)? {
        let number = begun.wrappingAdd(1, ordering: .relaxed).oldValue
        return number < count ? (number, start + .seconds(Double(number) / rate)) : nil
    }
}
