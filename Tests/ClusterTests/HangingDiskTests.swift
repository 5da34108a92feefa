// The disk of one real server hangs while clients and clocks go on: nothing piles up there but what was asked of it.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import QuorumServer
import Testing

extension BesiegedClusters {
    @Suite(
        "A real disk that hangs", .serialized,
        .enabled(if: FreezableDisk.isAvailable, "needs to freeze a file system of its own: run as root"))
    struct HangingDisks {
        private static let objectCount = 40
        /// One session's bound of unanswered requests.
        private static let openRequestsMax: UInt64 = 1024
        private static let clientCount = 3

        private func put(_ label: String, _ count: Int, _ client: ObjectClient) async throws -> [StoredValue] {
            let items = try (0..<count).map {
                StoredValue(key: try ObjectKey("tests/\(label)/\($0)"), value: SeededBytes.make("\(label) \($0)", 3000))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, item) in items.enumerated() {
                    if number >= 32 { try await group.next() }
                    group.addTask { _ = try await client.put(item.key, item.value) }
                }
                try await group.waitForAll()
            }
            return items
        }

        @Test(
            "while it hangs requests wait, no more of them than were asked; then the server is a full member again",
            .timeLimit(.minutes(5)))
        func frozen() async throws {
            try await withCluster(starts: false) { cluster in
                let target = NodeID(1)
                let disk = try FreezableDisk(over: cluster.home(target) + "/store", sizeBytes: 1 << 30)
                defer {
                    // What hangs cannot be killed.
                    disk.thaw()
                    cluster.kill(target)
                }
                try await cluster.startAll()
                try await cluster.withClient { client in
                    for item in try await put("superseded", Self.objectCount, client) {
                        _ = try await client.delete(item.key)
                    }
                }
                try await cluster.counters(of: target, until: "all is stored") { $0.openRequests == 0 }
                try disk.freeze()
                let frozen = ContinuousClock.now

                var stored: [StoredValue] = []
                for number in 0..<Self.clientCount {
                    stored += try await cluster.withClient { try await put("hanging-\(number)", 100, $0) }
                    let counters = try await cluster.counters(of: target)
                    #expect(counters.openRequests > 0, "the server has not been asked for anything: \(counters)")
                    #expect(counters.openRequests <= UInt64(number + 1) * Self.openRequestsMax, "\(counters)")
                    #expect(counters.waitingChanges <= counters.openRequests, "\(counters)")
                }
                // What was deleted is due now, and the server looks for that each second: it finds it once.
                let asked = try await cluster.counters(of: target)
                while ContinuousClock.now < frozen + .seconds(40) {
                    let counters = try await cluster.counters(of: target)
                    #expect(counters.openRequests <= asked.openRequests, "\(counters)")
                    #expect(counters.waitingChanges <= asked.openRequests + UInt64(Self.objectCount), "\(counters)")
                    #expect(counters.memory.mostHeldBytes <= counters.memory.budgetBytes, "\(counters)")
                    try await Task.sleep(for: .seconds(1))
                }
                try await cluster.check(stored)

                disk.thaw()
                try await cluster.counters(of: target, until: "all is answered") {
                    $0.openRequests == 0 && $0.waitingChanges == 0 && $0.memory.heldBytes == 0
                }
                // It is needed for each quorum now.
                cluster.kill(NodeID(3))
                try await cluster.check(stored)
                try await cluster.withClient { stored += try await put("after", 20, $0) }
                #expect(try await cluster.terminate(target) == .exit(0), "\(cluster.log(target))")
                try await cluster.start(target)
                try await cluster.check(stored)
            }
        }
    }
}
