import QuorumProtocol
import Synchronization

/// Spaces what an attacker does to a server evenly, so that an attack can be no more than so strong.
final class Pace: Sendable {
    private let interval: Duration
    /// When the next is due at each server.
    private let due = Mutex<[NodeID: ContinuousClock.Instant]>([:])

    /// - Parameter perSecond: how much may be done to one server a second.
    init(perSecond: Double) {
        precondition(perSecond > 0, "an attack does something")
        interval = .seconds(1 / perSecond)
    }

    /// Returns when it is the caller's turn. Turns that nobody took are not made up for.
    ///
    /// - Throws: when the task is cancelled.
    func wait(for server: NodeID) async throws {
        let turn = due.withLock { due in
            let turn = max(due[server] ?? .now, .now)
            due[server] = turn + interval
            return turn
        }
        try await Task.sleep(until: turn, clock: .continuous)
    }
}
