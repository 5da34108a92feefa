// Space that deleted objects took comes back from running servers, at their own pace.

import ErasureCode
import Foundation
import ObjectStorage
import QuorumClient
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("Space on real servers", .serialized) struct Space {
        /// So many that small segments are filled and emptied several times.
        private static let objectCount = 800
        private static let tasks = 4
        private static let segmentMebibytes = 1
        /// What stays of a deleted object: a record with the certificate of its deletion.
        private static let tombstoneBytes = 1024

        /// Does the same for many keys, some at a time.
        private func each(
            _ numbers: some Collection<Int> & Sendable,
            _ body: @escaping @Sendable (ObjectKey, SharedBytes) async throws -> Void
        ) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (started, number) in numbers.enumerated() {
                    if started >= Self.tasks { try await group.next() }
                    let key = try ObjectKey("tests/space/\(number)")
                    group.addTask { try await body(key, SeededBytes.make("\(number)", 4096)) }
                }
                try await group.waitForAll()
            }
        }

        /// What the file system says that a server's journal takes.
        private func journalBytes(_ cluster: TestCluster, _ server: NodeID) throws -> Int {
            let directory = "\(cluster.home(server))/store/journal"
            return try File.names(directory).reduce(0) { sum, name in
                var status = stat()
                // One that is gone by now takes nothing.
                return stat("\(directory)/\(name)", &status) == 0 ? sum + Int(status.st_blocks) * 512 : sum
            }
        }

        @Test(
            "deleting 90 % of many objects of 4 KiB gives back 80 % of what they took but for tombstones, at every server",
            .timeLimit(.minutes(6)))
        func compaction() async throws {
            let storage = StorageOptions(segmentSizeBytes: Self.segmentMebibytes << 20)
            try await withCluster(starts: false, storage: storage) { cluster in
                for server in cluster.servers {
                    let file = "\(cluster.home(server))/server.toml"
                    let text = try File.text(file) + "segment_mib = \(Self.segmentMebibytes)\n"
                    try File.write(file, Array(text.utf8))
                }
                try await cluster.startAll()
                func takenBytes() throws -> [Int] { try cluster.servers.map { try journalBytes(cluster, $0) } }
                let empty = try takenBytes()
                var generator = SeededGenerator("space")
                let order = (0..<Self.objectCount).shuffled(using: &generator)
                let (dead, alive) = (order[..<(Self.objectCount * 9 / 10)], order[(Self.objectCount * 9 / 10)...])
                try await cluster.withClient(timeoutMilliseconds: 60_000) { client in
                    try await each(order) { _ = try await client.put($0, $1) }
                    for server in cluster.servers {
                        try await cluster.counters(of: server, until: "all is stored") { $0.openRequests == 0 }
                    }
                    let full = try takenBytes()
                    try await each(dead) { key, _ in _ = try await client.delete(key) }

                    // Superseded values are kept for the retention time. What is true is said again when so much was
                    // said that it is worth it, so there is a little to say.
                    func isGivenBack(_ left: [Int]) -> Bool {
                        zip(left, zip(empty, full)).allSatisfy { left, before in
                            let taken = (before.1 - before.0) * dead.count / order.count
                            return before.1 - left >= (taken - dead.count * Self.tombstoneBytes) * 4 / 5
                        }
                    }
                    let deadline = ContinuousClock.now + .seconds(120)
                    var least = full
                    while !isGivenBack(least), ContinuousClock.now < deadline {
                        try await each(alive.prefix(5)) { _ = try await client.put($0, $1) }
                        try await Task.sleep(for: .milliseconds(500))
                        least = zip(least, try takenBytes()).map { min($0, $1) }
                    }
                    #expect(isGivenBack(least), "\(empty) before, \(full) with all objects, \(least) were left")
                    try await each(alive) { key, value in
                        let found = try await client.get(key).value
                        #expect(found == value, "\(key)")
                    }
                }
                // What was moved is there after a crash, for somebody who knows nothing.
                for server in cluster.servers { cluster.kill(server) }
                try await cluster.startAll()
                try await cluster.withClient { client in
                    try await each(alive) { key, value in
                        let found = try await client.get(key).value
                        #expect(found == value, "\(key)")
                    }
                    for number in dead.prefix(50) {
                        await expectNotFound(client, try ObjectKey("tests/space/\(number)"))
                    }
                }
            }
        }
    }
}
