// Who is next on the worker threads (docs/protocol.md, Fair shares). Principals take turns, so that one with much to do
// keeps nobody from the little that another wants. What was spent on requests that were then refused, since they proved
// nothing, is a debt: whoever has more of it than a correct client ever has is served when nobody else waits. Debts go
// by time, so that nobody stays last for long.

import NIOCore
import NIOPosix
import QuorumProtocol
import Synchronization

/// Turns on a pool of threads.
final class WorkTurns: Sendable {
    /// Nobody may spend more of a processor's time than one part in so many on what is refused.
    static let sharesPerProcessor: Int64 = 20
    /// From this debt on a principal comes last.
    static let debtMax = TimeAmount.milliseconds(50)
    /// No debt counts for more: it is gone after ten seconds.
    private static let debtCountedMax = TimeAmount.milliseconds(500)

    /// What one principal owes.
    struct Debt {
        private var nanoseconds: Int64 = 0
        private var asOf: NIODeadline

        init(asOf now: NIODeadline) {
            asOf = now
        }

        /// What is left of it.
        private func nanoseconds(at now: NIODeadline) -> Int64 {
            max(0, nanoseconds - (now - asOf).nanoseconds / WorkTurns.sharesPerProcessor)
        }

        mutating func add(_ spent: TimeAmount, at now: NIODeadline) {
            nanoseconds = min(nanoseconds(at: now) + spent.nanoseconds, WorkTurns.debtCountedMax.nanoseconds)
            asOf = now
        }

        func isGone(at now: NIODeadline) -> Bool { nanoseconds(at: now) == 0 }
        func isTooMuch(at now: NIODeadline) -> Bool { nanoseconds(at: now) > WorkTurns.debtMax.nanoseconds }
    }

    private struct State {
        /// Of those who come first, and of those who come last.
        var first = FairQueue<Work>()
        var last = FairQueue<Work>()
        var debts: [Principal: Debt] = [:]

        mutating func next() -> Work? { first.popFirst() ?? last.popFirst() }

        mutating func isIndebted(_ principal: Principal) -> Bool {
            guard let debt = debts[principal] else { return false }
            let now = NIODeadline.now()
            if debt.isGone(at: now) { debts[principal] = nil }
            return debt.isTooMuch(at: now)
        }
    }

    typealias Work = @Sendable () -> Void

    private let pool: NIOThreadPool
    private let state = Mutex(State())
    /// Read without the lock: mostly nobody owes anything.
    private let debtorCount = Atomic(0)

    init(pool: NIOThreadPool) {
        self.pool = pool
    }

    /// Has work done on a thread of the pool, in its principal's turn; nil: the server's own.
    func submit(for principal: Principal?, _ work: @escaping Work) {
        state.withLock { state in
            if let principal, state.isIndebted(principal) {
                state.last.append(work, of: principal)
            } else {
                state.first.append(work, of: principal)
            }
        }
        // One for each: whose turn it is shows when a thread is free.
        pool.submit { _ in self.state.withLock { $0.next() }?() }
    }

    /// Whether the principal is served last.
    func isIndebted(_ principal: Principal) -> Bool {
        guard debtorCount.load(ordering: .relaxed) > 0 else { return false }
        return state.withLock { state in
            defer { debtorCount.store(state.debts.count, ordering: .relaxed) }
            return state.isIndebted(principal)
        }
    }

    /// What a principal had done was refused, and has taken this long.
    func charge(_ principal: Principal, _ spent: TimeAmount) {
        state.withLock { state in
            let now = NIODeadline.now()
            state.debts[principal, default: Debt(asOf: now)].add(spent, at: now)
            debtorCount.store(state.debts.count, ordering: .relaxed)
        }
    }
}
