// How many audits one principal has under way.

import Dispatch
import NIOPosix
import QuorumProtocol
import Synchronization
import Testing

@testable import QuorumServer

@Suite("Turns of audits")
struct AuditTurnsTests {
    private static let alice = Principal.client(ClientID(high: 0, low: 1))
    private static let mallory = Principal.client(ClientID(high: 0, low: 2))

    @Test("one has few under way, whatever others have, and the next one when one is over")
    func limit() async throws {
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        let turns = AuditTurns(WorkTurns(pool: pool, threadsPerPrincipalMax: 1, debts: RefusalDebts()))
        let disk = DispatchSemaphore(value: 0)
        let done = Mutex(0)
        let work = { @Sendable in
            disk.wait()
            done.withLock { $0 += 1 }
        }
        let taken = (0..<3 * AuditTurns.underWayMax).filter { _ in turns.submit(for: Self.mallory, work) }
        #expect(taken.count == AuditTurns.underWayMax)
        let isOthersTaken = turns.submit(for: Self.alice, work)
        #expect(isOthersTaken)
        for _ in 0...AuditTurns.underWayMax { disk.signal() }
        while done.withLock({ $0 }) <= AuditTurns.underWayMax { try await Task.sleep(for: .milliseconds(1)) }
        disk.signal()
        // What is over is forgotten only after it has answered.
        while !turns.submit(for: Self.mallory, work) { try await Task.sleep(for: .milliseconds(1)) }
        try await pool.shutdownGracefully()
        #expect(done.withLock { $0 } == AuditTurns.underWayMax + 2)
    }
}
