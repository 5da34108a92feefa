// One write per object at a time: the others of this client wait for their turn, in order.

import DequeModule
import QuorumProtocol
import Synchronization

/// Hands out turns by object.
final class WriteTurns: Sendable {
    private let waiting = Mutex<[ObjectKey: Deque<CheckedContinuation<Void, Never>>]>([:])

    /// Returns when it is the caller's turn; each must be given back.
    func take(_ key: ObjectKey) async {
        await withCheckedContinuation { continuation in
            let isFree = waiting.withLock { waiting in
                guard waiting[key] != nil else {
                    waiting[key] = []
                    return true
                }
                waiting[key]!.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// Passes the turn on.
    func give(_ key: ObjectKey) {
        let next = waiting.withLock { waiting in
            let next = waiting[key]?.popFirst()
            if next == nil { waiting[key] = nil }
            return next
        }
        next?.resume()
    }
}
