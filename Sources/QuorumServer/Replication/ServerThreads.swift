// A server's threads besides its event loops and those of verification: workers for what takes a processor, readers for
// what takes the disk. A slow disk then delays nobody's proofs, and one who reads much from it nobody else's reads.

import NIOPosix

/// Two pools of threads, and whose turn it is on them.
final class ServerThreads: Sendable {
    let workers: NIOThreadPool
    private let readers: NIOThreadPool
    /// For what the server reads of its own accord: however slow the disk is, that keeps no reader from anybody.
    private let background = NIOThreadPool(numberOfThreads: 2)
    let debts = RefusalDebts()
    let workTurns: WorkTurns
    let readTurns: WorkTurns
    /// For scans of the index, of which each principal has one at a time.
    let listTurns: WorkTurns
    let backgroundTurns: WorkTurns
    /// For audits, of which each principal has one at a time.
    let auditTurns: AuditTurns

    /// Starts them.
    init(workerCount: Int, readerCount: Int) {
        workers = NIOThreadPool(numberOfThreads: workerCount)
        readers = NIOThreadPool(numberOfThreads: readerCount)
        workers.start()
        readers.start()
        background.start()
        // Proofs end soon. What waits for the disk may not, and what another wants may be in memory.
        workTurns = WorkTurns(pool: workers, threadsPerPrincipalMax: workerCount, debts: debts)
        // One that lists and reads has all but one of the threads.
        readTurns = WorkTurns(pool: readers, threadsPerPrincipalMax: max(1, readerCount - 2), debts: debts)
        listTurns = WorkTurns(pool: readers, threadsPerPrincipalMax: 1, debts: debts)
        backgroundTurns = WorkTurns(pool: background, threadsPerPrincipalMax: 2, debts: debts)
        auditTurns = AuditTurns(WorkTurns(pool: background, threadsPerPrincipalMax: 1, debts: debts))
    }

    /// How often somebody was served after all others.
    var servedLastCount: UInt64 { workTurns.servedLastCount + readTurns.servedLastCount + listTurns.servedLastCount }

    /// Finishes what was submitted, and ends all threads.
    func shutdown() async {
        try? await workers.shutdownGracefully()
        try? await readers.shutdownGracefully()
        try? await background.shutdownGracefully()
    }
}
