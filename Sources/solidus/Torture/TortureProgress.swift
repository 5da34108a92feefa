// What a torture counts while it runs, and whether it ever stood still.

import QuorumProtocol
import Synchronization

/// Counts of operations, and the longest time in which none completed. Safe to use from any thread.
final class TortureProgress: Sendable {
    struct Counts {
        var completed = 0
        /// Failed without effect, and with unknown outcome.
        var failed = 0
        var unknown = 0
        /// What the first one that failed by itself said.
        var firstFailure: String?
        /// By server: how many operations saw it do what no correct server does, and what the first one saw.
        var misbehaviours: [Int: (count: Int, first: String)] = [:]
        /// Begun again at the start, at each completion and at the end.
        var longestGapNanoseconds: Int64 = 0
        /// When the longest gap began, from the start.
        var longestGapBeganNanoseconds: Int64 = 0
    }

    private struct State {
        var counts = Counts()
        var start: Int64
        var lastCompletion: Int64
    }

    private let state: Mutex<State>

    init() {
        let now = HistoryRecorder.nowNanoseconds
        state = Mutex(State(start: now, lastCompletion: now))
    }

    /// From now on operations are to complete.
    func begin() {
        let now = HistoryRecorder.nowNanoseconds
        state.withLock { state in state = State(start: now, lastCompletion: now) }
    }

    func completed(atNanoseconds time: Int64) {
        state.withLock { state in
            state.counts.completed += 1
            Self.closeGap(&state, at: time)
        }
    }

    func failed(isUnknown: Bool, _ reason: String?) {
        state.withLock { state in
            if isUnknown { state.counts.unknown += 1 } else { state.counts.failed += 1 }
            if let reason, state.counts.firstFailure == nil { state.counts.firstFailure = reason }
        }
    }

    /// What an operation saw of the servers.
    func observed(_ observations: ServerObservations) {
        guard !observations.misbehaviours.isEmpty else { return }
        state.withLock { state in
            for (server, what) in observations.misbehaving {
                state.counts.misbehaviours[server.offset, default: (0, "\(what)")].count += 1
            }
        }
    }

    /// What was counted so far; the gap that is still open counts as well.
    var counts: Counts {
        state.withLock { state in
            var now = state
            Self.closeGap(&now, at: HistoryRecorder.nowNanoseconds)
            return now.counts
        }
    }

    private static func closeGap(_ state: inout State, at time: Int64) {
        let gap = time - state.lastCompletion
        if gap > state.counts.longestGapNanoseconds {
            state.counts.longestGapNanoseconds = gap
            state.counts.longestGapBeganNanoseconds = state.lastCompletion - state.start
        }
        state.lastCompletion = max(state.lastCompletion, time)
    }
}
