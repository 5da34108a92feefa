// One write per object at a time: the others of this client wait for their turn, in order.

import DequeModule
import QuorumProtocol
import Synchronization

/// Hands out turns by object.
final class WriteTurns: Sendable {
    private struct Waiter {
        let number: UInt64
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var nextNumber: UInt64 = 0
        /// Those that wait, for each object whose turn somebody has.
        var waiting: [ObjectKey: Deque<Waiter>] = [:]
    }

    private let state = Mutex(State())

    /// Returns true when it is the caller's turn, which must be given back; false when its task was cancelled first.
    func take(_ key: ObjectKey) async -> Bool {
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
                    guard state.waiting[key] != nil else {
                        state.waiting[key] = []
                        return true
                    }
                    state.waiting[key]!.append(Waiter(number: number, continuation: continuation))
                    return nil
                }
                if let isGranted { continuation.resume(returning: isGranted) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let position = state.waiting[key]?.firstIndex(where: { $0.number == number }) else { return nil }
                return state.waiting[key]!.remove(at: position)
            }
            waiter?.continuation.resume(returning: false)
        }
    }

    /// Passes the turn on.
    func give(_ key: ObjectKey) {
        let next = state.withLock { state in
            let next = state.waiting[key]?.popFirst()
            if next == nil { state.waiting[key] = nil }
            return next
        }
        next?.continuation.resume(returning: true)
    }
}
