// What a torture counts while it runs, and whether it ever stood still.

import QuorumProtocol
import Synchronization

/// Counts of operations, and the longest times in which no read, and no write, and no put, completed. Safe to use from
/// any thread.
final class TortureProgress: Sendable {
    /// What is counted by itself: reads may go on when writes have stopped, and the other way round.
    enum Kind { case read, put, deletion }

    /// The operations of one kind that completed.
    struct Completions {
        private(set) var count = 0
        /// Begun again at the start, at each completion and at the end.
        private(set) var longestGapNanoseconds: Int64 = 0
        /// When the longest gap began, from the start.
        private(set) var longestGapBeganNanoseconds: Int64 = 0
        /// When the last one completed, from the start.
        private var lastNanoseconds: Int64 = 0

        fileprivate mutating func add(atNanoseconds time: Int64) {
            count += 1
            closeGap(atNanoseconds: time)
        }

        fileprivate mutating func closeGap(atNanoseconds time: Int64) {
            let gap = time - lastNanoseconds
            if gap > longestGapNanoseconds {
                longestGapNanoseconds = gap
                longestGapBeganNanoseconds = lastNanoseconds
            }
            lastNanoseconds = max(lastNanoseconds, time)
        }

        /// Begins a gap at this time: what came before was no time in which any had to complete.
        fileprivate mutating func beginGap(atNanoseconds time: Int64) { lastNanoseconds = time }
    }

    struct Counts {
        var reads = Completions()
        /// Puts and deletions.
        var writes = Completions()
        /// Puts alone. Their gaps are those of the time in which disks had room.
        var puts = Completions()
        /// Puts that were refused for want of room, and those that completed when there was room again.
        var refusedAsFull = 0
        var putsAfterFull = 0
        /// Reads that were of ranges, and listings of all objects.
        var ranges = 0
        var listings = 0
        /// Uploads in parts of which all parts were stored.
        var uploads = 0
        /// Failed without effect, and with unknown outcome.
        var failed = 0
        var unknown = 0
        /// What the first one that failed by itself said.
        var firstFailure: String?
        /// By server: how many operations saw it do what no correct server does, and what the first one saw.
        var misbehaviours: [Int: (count: Int, first: String)] = [:]

        var completed: Int { reads.count + writes.count }
    }

    private struct State {
        var counts = Counts()
        let start: Int64
        var putsAreExpected = true
        var wasFull = false
    }

    private let state: Mutex<State>

    init() {
        state = Mutex(State(start: HistoryRecorder.nowNanoseconds))
    }

    /// From now on operations are to complete.
    func begin() {
        let now = HistoryRecorder.nowNanoseconds
        state.withLock { state in state = State(start: now) }
    }

    func completed(_ kind: Kind, atNanoseconds time: Int64) {
        state.withLock { state in
            let time = time - state.start
            switch kind {
            case .read: state.counts.reads.add(atNanoseconds: time)
            case .deletion: state.counts.writes.add(atNanoseconds: time)
            case .put:
                state.counts.writes.add(atNanoseconds: time)
                if !state.putsAreExpected {
                    state.counts.puts.beginGap(atNanoseconds: time)
                } else if state.wasFull {
                    state.counts.putsAfterFull += 1
                }
                state.counts.puts.add(atNanoseconds: time)
            }
        }
    }

    /// Says whether puts are to complete from now on; they are not while all disks are full.
    func disksChanged(_ change: TortureDisks.RoomChange) {
        let now = HistoryRecorder.nowNanoseconds
        state.withLock { state in
            let time = now - state.start
            if state.putsAreExpected { state.counts.puts.closeGap(atNanoseconds: time) }
            state.counts.puts.beginGap(atNanoseconds: time)
            switch change {
            case .filling:
                state.putsAreExpected = false
            case .roomAgain(let wasFull):
                state.putsAreExpected = true
                state.wasFull = state.wasFull || wasFull
            }
        }
    }

    func refusedAsFull() {
        state.withLock { $0.counts.refusedAsFull += 1 }
    }

    func readRange() {
        state.withLock { $0.counts.ranges += 1 }
    }

    func listed() {
        state.withLock { $0.counts.listings += 1 }
    }

    func uploaded() {
        state.withLock { $0.counts.uploads += 1 }
    }

    func failed(isUnknown: Bool, _ reason: String?) {
        state.withLock { state in
            if isUnknown { state.counts.unknown += 1 } else { state.counts.failed += 1 }
            if let reason, state.counts.firstFailure == nil { state.counts.firstFailure = reason }
        }
    }

    /// What an operation saw of the servers.
    func observed(_ observations: ServerObservations) {
        guard !observations.misbehaving.isEmpty else { return }
        state.withLock { state in
            for (server, what) in observations.misbehaving {
                state.counts.misbehaviours[Int(server.rawValue), default: (0, "\(what)")].count += 1
            }
        }
    }

    /// What was counted so far; the gaps that are still open count as well.
    var counts: Counts {
        state.withLock { state in
            var counts = state.counts
            let time = HistoryRecorder.nowNanoseconds - state.start
            counts.reads.closeGap(atNanoseconds: time)
            counts.writes.closeGap(atNanoseconds: time)
            if state.putsAreExpected { counts.puts.closeGap(atNanoseconds: time) }
            return counts
        }
    }
}
