// One bound for what many uploads of a client hold in memory at once, or many transfers of a gateway: who finds no room
// waits, in order.

import DequeModule
import Synchronization

/// Bytes that are handed out and given back.
package final class MemoryShares: Sendable {
    /// Bytes that somebody has; given back when nobody has this any more.
    package final class Lease: Sendable {
        private let shares: MemoryShares
        private let sizeBytes: Int

        fileprivate init(_ shares: MemoryShares, _ sizeBytes: Int) {
            self.shares = shares
            self.sizeBytes = sizeBytes
        }

        deinit { shares.give(sizeBytes) }
    }

    private struct Waiter {
        let number: UInt64
        let sizeBytes: Int
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var freeBytes: Int
        var nextNumber: UInt64 = 0
        var waiting: Deque<Waiter> = []

        /// Takes off the queue who has room now.
        mutating func granted() -> [Waiter] {
            var granted: [Waiter] = []
            while let first = waiting.first, first.sizeBytes <= freeBytes {
                waiting.removeFirst()
                freeBytes -= first.sizeBytes
                granted.append(first)
            }
            return granted
        }
    }

    package let sizeBytes: Int
    private let state: Mutex<State>

    package init(sizeBytes: Int) {
        self.sizeBytes = max(1, sizeBytes)
        state = Mutex(State(freeBytes: max(1, sizeBytes)))
    }

    package var freeBytes: Int { state.withLock { $0.freeBytes } }
    /// How many wait for room.
    package var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Runs `body` while it has so many bytes, or all that there are if those are fewer.
    ///
    /// - Throws: `CancellationError` when the task is cancelled before there is room; what `body` throws.
    func with<Value>(_ wantedBytes: Int, _ body: () async throws -> Value) async throws -> Value {
        let lease = try await lease(wantedBytes)
        defer { withExtendedLifetime(lease) {} }
        return try await body()
    }

    /// So many bytes, or all that there are if those are fewer, when there is room.
    ///
    /// - Throws: when the task is cancelled before.
    package func lease(_ wantedBytes: Int) async throws(CancellationError) -> Lease {
        let wantedBytes = min(max(0, wantedBytes), sizeBytes)
        guard await take(wantedBytes) else { throw CancellationError() }
        return Lease(self, wantedBytes)
    }

    /// The same, if there is room now and nobody waits for it.
    package func leaseAtOnce(_ wantedBytes: Int) -> Lease? {
        let wantedBytes = min(max(0, wantedBytes), sizeBytes)
        let isGranted = state.withLock { state in
            guard state.waiting.isEmpty, wantedBytes <= state.freeBytes else { return false }
            state.freeBytes -= wantedBytes
            return true
        }
        return isGranted ? Lease(self, wantedBytes) : nil
    }

    /// False when the task was cancelled first.
    private func take(_ wantedBytes: Int) async -> Bool {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isGranted = state.withLock { state -> Bool? in
                    // A task is marked as cancelled before its handler runs, so whichever of the two comes to the lock
                    // first, the other one finds out.
                    if Task.isCancelled { return false }
                    state.waiting.append(Waiter(number: number, sizeBytes: wantedBytes, continuation: continuation))
                    guard state.waiting.count == 1, !state.granted().isEmpty else { return nil }
                    return true
                }
                if let isGranted { continuation.resume(returning: isGranted) }
            }
        } onCancel: {
            let (waiter, granted) = state.withLock { state -> (Waiter?, [Waiter]) in
                guard let position = state.waiting.firstIndex(where: { $0.number == number }) else { return (nil, []) }
                let waiter = state.waiting.remove(at: position)
                return (waiter, state.granted())
            }
            waiter?.continuation.resume(returning: false)
            for waiter in granted { waiter.continuation.resume(returning: true) }
        }
    }

    private func give(_ bytes: Int) {
        let granted = state.withLock { state in
            state.freeBytes += bytes
            return state.granted()
        }
        for waiter in granted { waiter.continuation.resume(returning: true) }
    }
}
