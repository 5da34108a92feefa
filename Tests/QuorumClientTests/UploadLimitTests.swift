// What uploads ask of servers and of memory at a time, and those who let them wait: sources and readers.

import ErasureCode
import Foundation
import QuorumProtocol
import QuorumServer
import Synchronization
import Testing

@testable import QuorumClient

/// Counts the stripes that a server is asked to stage at a time, which it takes a while for.
private final class SlowStager: ServerInterposer {
    private let answer = Mutex<(@Sendable (RequestTag, Reply?) -> Void)?>(nil)
    private let open = Mutex((now: 0, most: 0))

    var most: Int { open.withLock { $0.most } }
    func reset() { open.withLock { $0.most = 0 } }

    func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
        self.answer.withLock { $0 = answer }
    }

    func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? {
        if case .stage = request { open.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) } }
        return request
    }

    func send(_ reply: Reply, tag: RequestTag) {
        let answer = answer.withLock { $0 }
        guard case .staged = reply else {
            answer?(tag, reply)
            return
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(20)) { [self] in
            open.withLock { $0.now -= 1 }
            answer?(tag, reply)
        }
    }

    func keeps(_ change: ObjectChange) -> Bool { true }
}

@Suite("Uploads at a time", .serialized, .timeLimit(.minutes(3)))
struct UploadLimitTests {
    private static let stripe = 1 << 20

    @Test("ask a server for few stripes at once however large the value is, and share one bound of memory")
    func bounded() async throws {
        let stager = SlowStager()
        let cluster = try await InProcessCluster(interposers: [0: stager])
        do {
            let value = testBytes(12 * Self.stripe + 5, seed: 1)
            try await cluster.withClient(ClientOptions()) { client in
                _ = try await client.put(try ObjectKey("bucket/one"), value)
                #expect((2...4).contains(stager.most), "\(stager.most)")
            }
            stager.reset()
            var options = ClientOptions()
            // Fragments of three stripes.
            options.uploadMemoryBytes = 6 * Self.stripe
            try await cluster.withClient(options) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<3 {
                        group.addTask {
                            let own = testBytes(5 * Self.stripe, seed: UInt64(number) + 2)
                            let key = try ObjectKey("bucket/many-\(number)")
                            _ = try await client.put(key, own)
                            #expect(try await client.get(key).value == own)
                        }
                    }
                    try await group.waitForAll()
                }
                #expect((2...3).contains(stager.most), "\(stager.most)")
            }
        } catch {
            await cluster.remove()
            throw error
        }
        await cluster.remove()
    }

    @Test("wait for a source, and for a reader, longer than servers may go without progress")
    func patient() async throws {
        let cluster = try await InProcessCluster()
        do {
            var options = ClientOptions()
            options.stallMilliseconds = 2000
            try await cluster.withClient(options) { client in
                let key = try ObjectKey("bucket/patient")
                let value = testBytes(6 * Self.stripe, seed: 7)
                let (pieces, sender) = AsyncStream<SharedBytes>.makeStream()
                let feeding = Task {
                    for start in stride(from: 0, to: value.count, by: Self.stripe) {
                        if start == 3 * Self.stripe { try await Task.sleep(for: .seconds(4)) }
                        sender.yield(value[start..<(start + Self.stripe)])
                    }
                    sender.finish()
                }
                _ = try await client.put(key, from: pieces)
                try await feeding.value
                var read: [UInt8] = []
                var iterator = try await client.open(key).makeAsyncIterator()
                while let piece = try await iterator.next() {
                    if read.isEmpty { try await Task.sleep(for: .seconds(4)) }
                    read += piece.array
                }
                #expect(read == value.array)
            }
        } catch {
            await cluster.remove()
            throw error
        }
        await cluster.remove()
    }
}

@Suite("Shares of memory") struct MemorySharesTests {
    /// How much is held at a time.
    private final class Held: Sendable {
        private let counts = Mutex((now: 0, most: 0))

        var now: Int { counts.withLock { $0.now } }
        var most: Int { counts.withLock { $0.most } }

        func add(_ size: Int) { counts.withLock { $0 = ($0.now + size, max($0.most, $0.now + size)) } }
    }

    @Test("are given in order, no more of them than there are, and more than there are as all there are")
    func order() async throws {
        let shares = MemoryShares(sizeBytes: 10)
        let held = Held()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for size in [3, 5, 1, 4, 20, 2, 7, 10, 6] {
                group.addTask {
                    try await shares.with(size) {
                        let size = min(size, 10)
                        held.add(size)
                        try await Task.sleep(for: .milliseconds(5))
                        held.add(-size)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(held.now == 0 && held.most <= 10)
    }

    @Test("who is cancelled while he waits takes none, and whoever waits behind him gets in")
    func cancelled() async throws {
        let shares = MemoryShares(sizeBytes: 10)
        let (ends, end) = AsyncStream<Void>.makeStream()
        let first = Task {
            try await shares.with(6) { for await _ in ends { break } }
        }
        while !(await shares.isTaken(5)) { await Task.yield() }
        let large = Task { try await shares.with(10) {} }
        let small = Task { try await shares.with(4) { true } }
        large.cancel()
        await #expect(throws: CancellationError.self) { try await large.value }
        #expect(try await small.value)
        end.yield()
        try await first.value
        try await shares.with(10) {}
    }
}

extension MemoryShares {
    /// Whether so many bytes cannot be had at once.
    fileprivate func isTaken(_ sizeBytes: Int) async -> Bool {
        let task = Task { try await with(sizeBytes) {} }
        try? await Task.sleep(for: .milliseconds(20))
        task.cancel()
        return (try? await task.value) == nil
    }
}
