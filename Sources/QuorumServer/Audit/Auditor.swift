// Auditing of its own accord (docs/protocol.md, Audit): in each interval a server audits one share of its groups' slots,
// in the next one the next share, so that the servers of a group audit all of it together in one interval, and each of
// them all of it in n. What it finds of itself it looks at, and repairs; the others are told.

import Logging
import NIOCore
import QuorumOperations
import QuorumProtocol
import Synchronization

/// Audits one server's groups.
final class Auditor: Sendable {
    private static let firstWaitSecondsMax: UInt64 = 3600
    /// It pauses for so many times as long as it has worked, and a second at least.
    private static let pauseFactor = 9
    private static let failurePause = Duration.seconds(60)
    private static let failuresMax = 10
    /// Troubles of one share that are told of one by one.
    private static let loggedMax = 20

    private let reads: PeerReads
    private let statistics: ServerStatistics
    private let logger: Logger
    private let intervalMilliseconds: UInt64
    private let task = Mutex<Task<Void, Never>?>(nil)
    private let ended = Mutex<UInt64>(0)

    /// - Parameter intervalMilliseconds: in which time a group is audited; 0: never.
    init(intervalMilliseconds: UInt64, reads: PeerReads, statistics: ServerStatistics, logger: Logger) {
        self.intervalMilliseconds = intervalMilliseconds
        self.reads = reads
        self.statistics = statistics
        self.logger = logger
    }

    /// When a share was last audited to its end, in milliseconds since 1970; 0: not since the server was started.
    var endedMilliseconds: UInt64 { ended.withLock { $0 } }

    func start() {
        guard intervalMilliseconds > 0 else { return }
        task.withLock { $0 = Task { await self.run() } }
    }

    func stop() { task.withLock { $0?.cancel() } }

    func shutdown() async { await task.withLock { $0 }?.value }

    private func run() async {
        // Not all servers of a cluster at the same time, which were all started together; and what they have missed
        // meanwhile comes first.
        let most = min(Self.firstWaitSecondsMax, intervalMilliseconds / 1000)
        guard await sleep(.milliseconds(Int64.random(in: Int64(1000 * most / 12)...Int64(1000 * most)))) else { return }
        while !Task.isCancelled {
            let began = ContinuousClock.now
            let number = Server.currentMilliseconds() / intervalMilliseconds
            for group in reads.context.parameters.configuration.groups(of: reads.node) {
                guard await audit(group, share: number) else { return }
            }
            ended.withLock { $0 = Server.currentMilliseconds() }
            let next = began + .milliseconds(Int64(clamping: intervalMilliseconds))
            guard await sleep(max(.seconds(1), next - .now)) else { return }
        }
    }

    /// Audits this server's share of a group in the interval of this number. Whether to go on.
    private func audit(_ group: Group, share number: UInt64) async -> Bool {
        guard let place = group.members.firstIndex(of: reads.node) else { return true }
        let count = group.members.count
        let share = (place + Int(number % UInt64(count))) % count
        let end = Slot.count * (share + 1) / count
        var audit = GroupAudit(
            group, from: AuditPlace(Slot(UInt16(Slot.count * share / count))),
            before: end < Slot.count ? AuditPlace(Slot(UInt16(end))) : nil, context: reads.context)
        var failures = 0
        var logged = 0
        reads.start()
        await audit.connect()
        while audit.place != nil, failures < Self.failuresMax {
            let began = ContinuousClock.now
            do {
                let findings = try await audit.goOn()
                failures = 0
                note(findings, &logged)
            } catch is CancellationError {
                return false
            } catch {
                // Servers are down, which others notice.
                failures += 1
                logger.debug("auditing \(group.id) pauses: \(error)")
                guard await sleep(Self.failurePause) else { return false }
                continue
            }
            guard await sleep(max(.seconds(1), (.now - began) * Self.pauseFactor)) else { return false }
        }
        return true
    }

    private func note(_ findings: AuditFindings, _ logged: inout Int) {
        let troubles = findings.troubles
        statistics.count { counters in
            counters.auditStripes += findings.stripeCount
            counters.auditInconclusive += UInt64(troubles.count { !$0.isConclusive })
            for trouble in troubles {
                for (node, standing) in trouble.servers where standing <= .missing {
                    if node == self.reads.node {
                        counters.auditOwnFindings += 1
                    } else {
                        counters.auditFindings += 1
                    }
                }
            }
        }
        for trouble in troubles where logged < Self.loggedMax {
            logged += 1
            let servers = trouble.servers.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            logger.warning(
                """
                audit: \(trouble.key) at \(trouble.timestamp), stripe \(trouble.stripe): \
                \(servers.joined(separator: ", "))\(trouble.isConclusive ? "" : "; nobody can say which are right")
                """)
        }
    }

    private func sleep(_ time: Duration) async -> Bool { (try? await Task.sleep(for: time)) != nil }
}
