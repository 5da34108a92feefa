// What principals have had done for requests that were then refused (docs/protocol.md, Fair shares). Such requests
// proved nothing, so what they took is a debt: whoever has more of it than a correct client ever has is served when
// nobody else waits. Debts go by time, so that nobody stays last for long.

import NIOCore
import QuorumProtocol
import Synchronization

/// Who owes how much. Safe to use from any thread.
final class RefusalDebts: Sendable {
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
            max(0, nanoseconds - (now - asOf).nanoseconds / RefusalDebts.sharesPerProcessor)
        }

        mutating func add(_ spent: TimeAmount, at now: NIODeadline) {
            nanoseconds = min(nanoseconds(at: now) + spent.nanoseconds, RefusalDebts.debtCountedMax.nanoseconds)
            asOf = now
        }

        func isGone(at now: NIODeadline) -> Bool { nanoseconds(at: now) == 0 }
        func isTooMuch(at now: NIODeadline) -> Bool { nanoseconds(at: now) > RefusalDebts.debtMax.nanoseconds }
    }

    private let debts = Mutex<[Principal: Debt]>([:])
    /// Read without the lock: mostly nobody owes anything.
    private let debtorCount = Atomic(0)

    /// Whether the principal is served last.
    func isIndebted(_ principal: Principal) -> Bool {
        guard debtorCount.load(ordering: .relaxed) > 0 else { return false }
        return debts.withLock { debts in
            guard let debt = debts[principal] else { return false }
            let now = NIODeadline.now()
            if debt.isGone(at: now) {
                debts[principal] = nil
                debtorCount.store(debts.count, ordering: .relaxed)
            }
            return debt.isTooMuch(at: now)
        }
    }

    /// What a principal had done was refused, and has taken this long.
    func charge(_ principal: Principal, _ spent: TimeAmount) {
        debts.withLock { debts in
            let now = NIODeadline.now()
            debts[principal, default: Debt(asOf: now)].add(spent, at: now)
            debtorCount.store(debts.count, ordering: .relaxed)
        }
    }
}
