// Who is next on the worker threads (docs/protocol.md, Fair shares).

import Dispatch
import NIOCore
import NIOPosix
import QuorumProtocol
import Synchronization
import Testing

@testable import QuorumServer

@Suite("Turns on the worker threads")
struct WorkTurnsTests {
    private static let alice = Principal.client(ClientID(high: 0, low: 1))
    private static let mallory = Principal.client(ClientID(high: 0, low: 2))

    /// What is done in which order when all of it waits for the only thread.
    private func order(
        owing debts: RefusalDebts = RefusalDebts(),
        _ turns: (WorkTurns, @escaping @Sendable (String) -> Void) -> Void
    ) async throws -> [String] {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        let gate = DispatchSemaphore(value: 0)
        pool.submit { _ in gate.wait() }
        let done = Mutex<[String]>([])
        turns(WorkTurns(pool: pool, threadsPerPrincipalMax: 1, debts: debts)) { name in
            done.withLock { $0.append(name) }
        }
        gate.signal()
        // What is submitted now is done when all before it is.
        await withCheckedContinuation { continuation in pool.submit { _ in continuation.resume() } }
        try await pool.shutdownGracefully()
        return done.withLock { $0 }
    }

    @Test("one with little to do waits for one piece of another's work, not for all of it")
    func turns() async throws {
        let order = try await order { turns, done in
            for number in 0..<5 { turns.submit(for: Self.mallory) { done("mallory \(number)") } }
            turns.submit(for: Self.alice) { done("alice") }
            turns.submit(for: nil) { done("server") }
        }
        #expect(
            order == ["mallory 0", "alice", "server", "mallory 1", "mallory 2", "mallory 3", "mallory 4"])
    }

    @Test("one whose requests proved nothing is served last, and not for ever")
    func debts() async throws {
        let debts = RefusalDebts()
        debts.charge(Self.mallory, .milliseconds(20))
        #expect(!debts.isIndebted(Self.mallory))
        debts.charge(Self.mallory, .hours(1))
        #expect(debts.isIndebted(Self.mallory) && !debts.isIndebted(Self.alice))
        let order = try await order(owing: debts) { turns, done in
            for number in 0..<3 { turns.submit(for: Self.mallory) { done("mallory \(number)") } }
            for number in 0..<3 { turns.submit(for: Self.alice) { done("alice \(number)") } }
            #expect(turns.servedLastCount == 3)
        }
        #expect(order == ["alice 0", "alice 1", "alice 2", "mallory 0", "mallory 1", "mallory 2"])
    }

    /// As a slow disk has it wait: none of mallory's work ends before the others' has.
    @Test("nobody has all threads, and what had to wait for that is done afterwards", arguments: 2...4)
    func slow(threadCount: Int) async throws {
        let pool = NIOThreadPool(numberOfThreads: threadCount)
        pool.start()
        let turns = WorkTurns(pool: pool, threadsPerPrincipalMax: threadCount - 1, debts: RefusalDebts())
        let disk = DispatchSemaphore(value: 0)
        let workCount = 3 * threadCount
        let done = Mutex(0)
        for _ in 0..<workCount {
            turns.submit(for: Self.mallory) {
                disk.wait()
                done.withLock { $0 += 1 }
            }
        }
        for owner in [Self.alice, nil, Self.alice, nil] {
            await withCheckedContinuation { continuation in
                turns.submit(for: owner) { continuation.resume() }
            }
        }
        #expect(done.withLock { $0 } == 0)
        for _ in 0..<workCount { disk.signal() }
        while done.withLock({ $0 }) < workCount { await Task.yield() }
        try await pool.shutdownGracefully()
    }

    @Test("a record that one asked for who comes last is read in the turn of whoever else waits for it, once")
    func loads() async throws {
        let debts = RefusalDebts()
        debts.charge(Self.mallory, .hours(1))
        let loads = ColdLoads()
        let (key, other) = (try ObjectKey("tests/cold"), try ObjectKey("tests/other"))
        #expect(loads.join(key, Self.alice) == nil)
        let order = try await order(owing: debts) { turns, done in
            turns.submit(for: Self.mallory, loads.begin(other, for: Self.mallory) { done("other") })
            turns.submit(for: Self.mallory, loads.begin(key, for: Self.mallory) { done("load") })
            for number in 0..<3 { turns.submit(for: nil) { done("server \(number)") } }
            // It is in mallory's turn already, and then in alice's.
            #expect(loads.join(key, Self.mallory) == nil)
            if let piece = loads.join(key, Self.alice) { turns.submit(for: Self.alice, piece) }
            #expect(loads.join(key, Self.alice) == nil)
            for number in 0..<2 { turns.submit(for: Self.alice) { done("alice \(number)") } }
        }
        #expect(order == ["load", "server 0", "alice 0", "server 1", "alice 1", "server 2", "other"])
        #expect(loads.join(key, Self.alice) == nil)
    }

    @Test(
        "what had to wait is done, however much it is, when the pool is shut down meanwhile", .timeLimit(.minutes(2)))
    func shutdown() async throws {
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        let turns = WorkTurns(pool: pool, threadsPerPrincipalMax: 1, debts: RefusalDebts())
        let gate = DispatchSemaphore(value: 0)
        let workCount = 100_000
        let done = Atomic(0)
        turns.submit(for: Self.mallory) { gate.wait() }
        for _ in 0..<workCount { turns.submit(for: Self.mallory) { done.add(1, ordering: .relaxed) } }
        // The other thread has passed all of mallory's by now.
        await withCheckedContinuation { continuation in turns.submit(for: Self.alice) { continuation.resume() } }
        let end = Task { try await pool.shutdownGracefully() }
        let isShutDown = Atomic(false)
        while !isShutDown.load(ordering: .relaxed) {
            pool.submit { item in if item == .cancelled { isShutDown.store(true, ordering: .relaxed) } }
            await Task.yield()
        }
        gate.signal()
        try await end.value
        // What the pool had not begun when it was shut down is done beside it, and may end later.
        while done.load(ordering: .relaxed) < workCount { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test("a debt is bounded, and goes by time")
    func ends() {
        var debt = RefusalDebts.Debt(asOf: .uptimeNanoseconds(0))
        debt.add(.hours(1), at: .uptimeNanoseconds(0))
        #expect(debt.isTooMuch(at: .uptimeNanoseconds(UInt64(TimeAmount.seconds(8).nanoseconds))))
        #expect(!debt.isTooMuch(at: .uptimeNanoseconds(UInt64(TimeAmount.seconds(10).nanoseconds))))
    }

    @Test("one who reads and lists leaves a reader to others", .timeLimit(.minutes(1)))
    func readsAndLists() async throws {
        let threads = ServerThreads(workerCount: 1, readerCount: 4)
        let gate = DispatchSemaphore(value: 0)
        let begun = Mutex(0)
        let hang: @Sendable () -> Void = {
            begun.withLock { $0 += 1 }
            gate.wait()
        }
        for _ in 0..<8 { threads.readTurns.submit(for: Self.mallory, hang) }
        for _ in 0..<8 { threads.listTurns.submit(for: Self.mallory, hang) }
        await withCheckedContinuation { continuation in
            threads.readTurns.submit(for: Self.alice) { continuation.resume() }
        }
        await withCheckedContinuation { continuation in
            threads.listTurns.submit(for: Self.alice) { continuation.resume() }
        }
        #expect(begun.withLock { $0 } <= 3, "one client has all readers")
        for _ in 0..<16 { gate.signal() }
        await threads.shutdown()
    }
}
