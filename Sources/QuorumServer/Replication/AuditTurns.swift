// Audits wait for the disk behind what the server does of its own accord. An answer takes long compared with the
// question, and questions outlive the connections that brought them: so each principal has few under way.

import QuorumProtocol
import Synchronization

/// Turns on threads for audits. Safe to use from any thread.
final class AuditTurns: Sendable {
    /// An auditor that lost patience with a question may ask the next one.
    static let underWayMax = 4

    private let turns: WorkTurns
    private let underWay = Mutex<[Principal: Int]>([:])

    init(_ turns: WorkTurns) {
        self.turns = turns
    }

    /// Has an audit done in its principal's turn; whether it is, since he may have too many under way.
    func submit(for principal: Principal, _ work: @escaping WorkTurns.Work) -> Bool {
        let isTaken = underWay.withLock { underWay in
            guard underWay[principal, default: 0] < Self.underWayMax else { return false }
            underWay[principal, default: 0] += 1
            return true
        }
        guard isTaken else { return false }
        turns.submit(for: principal) {
            work()
            self.underWay.withLock { underWay in
                let left = underWay[principal, default: 1] - 1
                underWay[principal] = left > 0 ? left : nil
            }
        }
        return true
    }
}
