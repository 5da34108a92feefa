// Who is next on a pool of threads (docs/protocol.md, Fair shares). Principals take turns, so that one with much to do
// keeps nobody from the little that another wants; who is in debt comes after all others. No principal has more than
// some of the threads at once: its work may wait for a slow disk, and what another wants may be in memory.

import NIOCore
import NIOPosix
import QuorumProtocol
import Synchronization

/// Turns on a pool of threads. Safe to use from any thread.
final class WorkTurns: Sendable {
    typealias Work = @Sendable () -> Void

    private struct State {
        /// Of those who come first, and of those who come last.
        var first = FairQueue<Work>()
        var last = FairQueue<Work>()
        /// On how many threads each one's work runs; nil is the server itself.
        var running: [Principal?: Int] = [:]
        /// Threads that were free and found only work of those who may not have another.
        var passedCount = 0

        /// What a free thread does now, and whose it is.
        mutating func begin(threadsMax: Int) -> (owner: Principal?, work: Work)? {
            let mayRun = { [running] (owner: Principal?) in running[owner, default: 0] < threadsMax }
            guard let next = first.popFirst(where: mayRun) ?? last.popFirst(where: mayRun) else {
                passedCount += 1
                return nil
            }
            running[next.owner, default: 0] += 1
            return (next.owner, next.element)
        }

        /// Whether a thread has to look again, since there may be work now that it had to pass.
        mutating func end(of owner: Principal?) -> Bool {
            let left = running[owner, default: 1] - 1
            running[owner] = left > 0 ? left : nil
            guard passedCount > 0 else { return false }
            passedCount -= 1
            return true
        }
    }

    private let pool: NIOThreadPool
    private let debts: RefusalDebts
    private let threadsPerPrincipalMax: Int
    private let state = Mutex(State())
    private let lastCount = Atomic<UInt64>(0)

    /// How often work was put behind that of all others, since its principal was in debt.
    var servedLastCount: UInt64 { lastCount.load(ordering: .relaxed) }

    /// - Parameters:
    ///   - threadsPerPrincipalMax: on how many threads one principal's work may run at once, at least 1.
    ///   - debts: who comes last.
    init(pool: NIOThreadPool, threadsPerPrincipalMax: Int, debts: RefusalDebts) {
        self.pool = pool
        self.debts = debts
        self.threadsPerPrincipalMax = threadsPerPrincipalMax
    }

    /// Has work done on a thread of the pool, in its principal's turn; nil: the server's own.
    func submit(for principal: Principal?, _ work: @escaping Work) {
        let isLast = principal.map { debts.isIndebted($0) } ?? false
        if isLast { lastCount.add(1, ordering: .relaxed) }
        state.withLock { state in
            if isLast {
                state.last.append(work, of: principal)
            } else {
                state.first.append(work, of: principal)
            }
        }
        callThread()
    }

    /// One for each piece of work: whose turn it is shows when a thread is free.
    private func callThread() {
        pool.submit { item in
            while let next = self.state.withLock({ $0.begin(threadsMax: self.threadsPerPrincipalMax) }) {
                next.work()
                guard self.state.withLock({ $0.end(of: next.owner) }) else { return }
                // A pool that is shut down has this called at once, on this thread's stack.
                if item == .active { return self.callThread() }
            }
        }
    }
}
