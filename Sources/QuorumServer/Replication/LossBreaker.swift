// When so much is lost that it is not parts which are bad but the machine, marking them as lost would make it worse.

import Synchronization

/// Stops a server from marking parts as lost when it loses more than disks do.
final class LossBreaker: Sendable {
    /// How many parts a server marks as lost in a minute.
    static let lossesPerMinuteMax = 16
    private static let minute = Duration.seconds(60)

    private struct State {
        var began: ContinuousClock.Instant?
        var losses = 0
        var complaints = 0
    }

    private let state = Mutex(State())

    /// Counts a loss; whether it may be marked.
    func admits() -> Bool {
        state.withLock { state in
            Self.turn(&state)
            state.losses += 1
            return state.losses <= Self.lossesPerMinuteMax
        }
    }

    /// Whether the last loss was the first in its minute that was not admitted.
    var isNews: Bool { state.withLock { $0.losses == Self.lossesPerMinuteMax + 1 } }

    /// Whether there is still room in this minute for a line about what cannot be read.
    func mayComplain() -> Bool {
        state.withLock { state in
            Self.turn(&state)
            state.complaints += 1
            return state.complaints <= Self.lossesPerMinuteMax
        }
    }

    private static func turn(_ state: inout State) {
        let now = ContinuousClock.now
        if let began = state.began, now - began < minute { return }
        state = State(began: now)
    }
}
