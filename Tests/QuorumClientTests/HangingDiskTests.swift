// Disks that hang: nothing grows without bound meanwhile, what does not need them goes on, and so does all the rest when
// they come back.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import QuorumServer
import StorageSimulator
import Synchronization
import Testing

@Suite("A disk that hangs", .timeLimit(.minutes(4)))
struct HangingDiskTests {
    /// What every access waits for.
    private final class Disk: Sendable {
        private let condition = NSCondition()
        private let isHanging = Mutex(false)
        private let waiting = Mutex(0)

        func hang() { isHanging.withLock { $0 = true } }

        func comeBack() {
            condition.lock()
            isHanging.withLock { $0 = false }
            condition.broadcast()
            condition.unlock()
        }

        func pass() {
            condition.lock()
            waiting.withLock { $0 += 1 }
            while isHanging.withLock({ $0 }) { condition.wait() }
            waiting.withLock { $0 -= 1 }
            condition.unlock()
        }

        var waitingCount: Int { waiting.withLock { $0 } }
    }

    private func put(_ count: Int, _ label: String, by client: ObjectClient) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                if number >= 32 { try await group.next() }
                group.addTask {
                    _ = try await client.put(try ObjectKey("tests/\(label)-\(number)"), testBytes(300, seed: 1))
                }
            }
            try await group.waitForAll()
        }
    }

    private func eventually(_ what: String, _ condition: () -> Bool) async throws {
        for _ in 0..<6000 {
            if condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("never happened: \(what)")
    }

    @Test("holds no more than was admitted, while clients and clocks go on, and catches up when it is back")
    func hangs() async throws {
        try await withCluster { cluster, client in
            let disk = Disk()
            defer { disk.comeBack() }
            await cluster.stop(0)
            try await cluster.start(0) { configuration in
                configuration.storage.system.files = AlteredFiles(syncFailure: { _ in
                    disk.pass()
                    return nil
                })
                // As many ticks in a second as otherwise in a quarter of an hour.
                configuration.tickInterval = .milliseconds(1)
            }
            let server = try #require(cluster.servers[0])
            try await put(1, "before", by: client)
            disk.hang()

            try await put(600, "first", by: client)
            var counters = server.counters
            #expect(counters.openRequests > 100, "the server has not been asked for much: \(counters)")
            #expect(counters.openRequests <= 1024, "one connection's bound: \(counters)")
            #expect(counters.waitingChanges <= counters.openRequests, "\(counters)")

            // Others go on, and what they leave behind at this server when they go is charged to them still.
            for round in 0..<3 {
                try await cluster.withClient(ClientOptions()) { try await put(100, "round-\(round)", by: $0) }
            }
            counters = server.counters
            #expect(counters.openRequests <= 4 * 1024 && counters.waitingChanges <= counters.openRequests)
            #expect(counters.memory.heldBytes >= Int(counters.openRequests) * 4096, "\(counters)")
            #expect(counters.memory.mostHeldBytes <= counters.memory.budgetBytes)

            disk.comeBack()
            try await eventually("all is answered") {
                let counters = server.counters
                return counters.openRequests == 0 && counters.waitingChanges == 0 && counters.memory.heldBytes == 0
            }
            // The server is needed for each quorum now.
            await cluster.stop(3)
            try await put(20, "after", by: client)
        }
    }

    /// Each server has one worker, and reads of this client's are enough for several times all readers.
    @Test("keeps nobody who needs nothing from it waiting for another's reads")
    func coldReads() async throws {
        try await withCluster { cluster, client in
            let cold = try (0..<64).map { try ObjectKey("tests/cold-\($0)") }
            let value = testBytes(400_000, seed: 1)
            for key in cold { _ = try await client.put(key, value) }
            let disk = Disk()
            defer { disk.comeBack() }
            for index in cluster.servers.indices {
                await cluster.stop(index)
                try await cluster.start(index) { configuration in
                    configuration.storage.system.files = AlteredFiles(read: { _ in disk.pass() })
                }
            }
            disk.hang()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for key in cold {
                    group.addTask {
                        let found = try await client.get(key)
                        #expect(found.value == value)
                    }
                }
                // Of one principal, no more at each than leaves one for its listings and one for others.
                try await eventually("each server waits for its disk") { disk.waitingCount >= 4 * 6 }
                try await cluster.withClient(ClientOptions()) { other in
                    for number in 0..<8 {
                        // Small ones are in the index, large ones are verified by workers.
                        let key = try ObjectKey("tests/warm-\(number)")
                        _ = try await other.put(key, testBytes(500_000, seed: 2))
                        _ = try await other.put(key, testBytes(300, seed: 3))
                        #expect(try await other.get(key).value == testBytes(300, seed: 3))
                    }
                }
                #expect(disk.waitingCount == 4 * 6, "one client has all readers")
                disk.comeBack()
                try await group.waitForAll()
            }
        }
    }
}
