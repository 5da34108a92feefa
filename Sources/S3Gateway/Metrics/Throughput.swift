// What a gateway has moved, second by second.

import Synchronization

/// What was done, and how many bytes of bodies went, as they go and not when a request ends: a large object takes many
/// seconds.
final class Throughput: Sendable {
    struct Amounts: Equatable, Sendable {
        var requests: UInt64 = 0
        /// Answered that the client has to change something, 4xx.
        var refused: UInt64 = 0
        /// Answered that the gateway or the cluster is to blame, 5xx.
        var failed: UInt64 = 0
        var receivedBytes: UInt64 = 0
        var sentBytes: UInt64 = 0
    }

    static let secondCount = 60

    private struct State {
        var total = Amounts()
        /// Of the second `newest` and those before, each at its number's remainder.
        var seconds = [Amounts](repeating: Amounts(), count: secondCount + 1)
        var newest: Int64 = 0

        /// Makes room for a second; those in which nothing happened are empty.
        mutating func advance(to second: Int64) {
            guard second > newest else { return }
            for passed in max(newest + 1, second - Int64(secondCount))...second {
                seconds[Self.place(passed)] = Amounts()
            }
            newest = second
        }

        static func place(_ second: Int64) -> Int { Int(second % Int64(secondCount + 1)) }
    }

    private let begin = ContinuousClock.now
    private let state = Mutex(State())

    private func now() -> Int64 { (ContinuousClock.now - begin).components.seconds }

    /// Counts in the second of now.
    func add(_ change: (inout Amounts) -> Void) { add(at: now(), change) }

    func add(at second: Int64, _ change: (inout Amounts) -> Void) {
        state.withLock { state in
            state.advance(to: second)
            change(&state.total)
            change(&state.seconds[State.place(state.newest)])
        }
    }

    var total: Amounts { state.withLock { $0.total } }

    /// The last minute's whole seconds, the oldest first. Before it has run for a minute the first ones are empty.
    var lastMinute: [Amounts] { lastMinute(at: now()) }

    func lastMinute(at second: Int64) -> [Amounts] {
        state.withLock { state in
            state.advance(to: second)
            return (1...Int64(Self.secondCount)).reversed().map { age in
                age > state.newest ? Amounts() : state.seconds[State.place(state.newest - age)]
            }
        }
    }
}
