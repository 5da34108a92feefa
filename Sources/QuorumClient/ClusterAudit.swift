// Auditing all that a cluster has, by a client that administers it (docs/protocol.md, Audit).

import QuorumOperations
import QuorumProtocol

/// What an audit of a cluster has found.
package struct ClusterAudit: Sendable {
    package var tally = AuditTally()
    /// Groups that could not be audited to their end, and why.
    package var failures: [(group: GroupID, failure: AuditFailure)] = []
}

extension ObjectClient {
    private static let auditAttemptsMax = 5

    /// Audits the groups one after the other: every committed version, or those of one bucket.
    ///
    /// It ends early when its task is cancelled.
    ///
    /// - Parameter progress: told now and then of what was found so far, and the share of the slots that is done, 0 to 1.
    package func audit(
        bucket: String?, progress: (AuditTally, Double) -> Void
    ) async -> ClusterAudit {
        var found = ClusterAudit()
        let groups = parameters.configuration.groups
        for (number, group) in groups.enumerated() {
            var audit = GroupAudit(group, bucket: bucket, context: context)
            await audit.connect()
            var attempts = 0
            while let place = audit.place, attempts < Self.auditAttemptsMax {
                do {
                    _ = try await audit.goOn()
                    attempts = 0
                } catch let failure as AuditFailure {
                    attempts += 1
                    if attempts == Self.auditAttemptsMax || failure.isLasting(parameters) {
                        found.failures.append((group.id, failure))
                        break
                    }
                    guard (try? await Task.sleep(for: .seconds(1))) != nil else { return found }
                } catch {
                    return found
                }
                var all = found.tally
                all.add(audit.tally)
                let share = Double(place.slot.rawValue) / Double(Slot.count)
                progress(all, (Double(number) + share) / Double(groups.count))
            }
            found.tally.add(audit.tally)
        }
        return found
    }
}

extension AuditFailure {
    /// Whether asking again is of no use.
    fileprivate func isLasting(_ parameters: ClusterParameters) -> Bool { isRefused(faults: parameters.quorums.faults) }

    /// Whether a correct server says that the client may not ask this.
    package func isRefused(faults: Int) -> Bool {
        guard case .tooFewAnswers(_, _, _, let refusals) = self else { return false }
        return refusals.values.count { if case .notEntitled = $0 { true } else { false } } > faults
    }
}
