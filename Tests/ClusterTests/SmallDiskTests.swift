// Real servers on real file systems that are really full: nothing ends but what is refused, and everything opens again.

import ClusterFiles
import ErasureCode
import Foundation
import ObjectStorage
import QuorumClient
import QuorumProtocol
import SmallDisks
import Testing

extension BesiegedClusters {
    @Suite(
        "Real disks, really full", .serialized,
        .enabled(if: SmallDisk.isAvailable, "needs to mount file systems of its own: run as root"))
    struct SmallDisks {
        private static let options = StorageOptions()

        /// Runs `body` with a cluster of which a directory of every server is a disk of its own.
        private func withDisks(
            _ sizeBytes: Int, over name: String, _ body: (TestCluster, [SmallDisk]) async throws -> Void
        ) async throws {
            try await withCluster(starts: false) { cluster in
                var disks: [SmallDisk] = []
                for server in cluster.servers {
                    disks.append(try SmallDisk(over: cluster.home(server) + name, sizeBytes: sizeBytes))
                }
                // The disks are to be what is full.
                _ = try OperatorHome(clusterDirectory: cluster.directory).setQuotas("first") {
                    $0.storedBytes = 1 << 50
                }
                try await cluster.startAll()
                try await body(cluster, disks)
                for server in cluster.servers {
                    #expect(try await cluster.terminate(server) == .exit(0), "\(cluster.log(server))")
                }
            }
        }

        /// Puts values of a size until the servers refuse one because their disks are full.
        private func putUntilRefused(_ client: ObjectClient, sizeBytes: Int) async throws -> [StoredValue] {
            var stored: [StoredValue] = []
            while true {
                let item = StoredValue(
                    key: try ObjectKey("tests/filling/\(sizeBytes)/\(stored.count)"),
                    value: SeededBytes.make("\(stored.count)", sizeBytes))
                do throws(ClientError) {
                    _ = try await client.put(item.key, item.value)
                } catch {
                    guard case .refused(_, let failure) = error else { throw error }
                    #expect(failure.observations.refusing.allSatisfy { $0.why == .storageFull })
                    return stored
                }
                stored.append(item)
            }
        }

        private func putSucceeds(_ client: ObjectClient, _ item: StoredValue) async throws -> Bool {
            do throws(ClientError) {
                _ = try await client.put(item.key, item.value)
                return true
            } catch {
                guard case .refused = error else { throw error }
                return false
            }
        }

        @Test(
            "filled by puts until no 100 bytes are taken any more: what is there is read, rm works, space comes back, puts work",
            .timeLimit(.minutes(10)))
        func filledByPuts() async throws {
            let free = Self.options.segmentSizeBytes + Self.options.indexSetAsideBytes + (24 << 20)
            try await withDisks(Self.options.reservedFreeBytes + free, over: "/store") { cluster, disks in
                try await cluster.withClient(timeoutMilliseconds: 60_000) { client in
                    var stored: [StoredValue] = []
                    for size in [1 << 20, 64 << 10, 4096, 100] {
                        stored += try await putUntilRefused(client, sizeBytes: size)
                    }
                    #expect(stored.count > 20)
                    var status = try await cluster.run(["status", cluster.directory])
                    // What is tidied up meanwhile makes room for some more.
                    for _ in 0..<100 where !status.output.contains("FULL: takes no puts") {
                        stored += try await putUntilRefused(client, sizeBytes: 100)
                        status = try await cluster.run(["status", cluster.directory])
                    }
                    #expect(status.end == .exit(0) && status.output.contains("FULL: takes no puts"), "\(status)")
                    try await cluster.check(stored, client)
                    let deleted = stored.filter { $0.value.count == 1 << 20 }
                    for item in deleted {
                        let result = try await cluster.run(["rm", "\(item.key)", "--cluster", cluster.directory])
                        #expect(result.end == .exit(0), "\(result)")
                    }
                    for item in deleted { await expectNotFound(client, item.key) }
                    // After the retention time their bytes are given back.
                    let large = StoredValue(
                        key: try ObjectKey("tests/after"), value: SeededBytes.make("after", 2 << 20))
                    var isStored = false
                    for _ in 0..<240 where !isStored {
                        isStored = try await putSucceeds(client, large)
                        if !isStored { try await Task.sleep(for: .milliseconds(500)) }
                    }
                    #expect(isStored, "no put is taken although \(deleted.count) MiB were deleted")
                    let kept = stored.filter { $0.value.count != 1 << 20 } + (isStored ? [large] : [])
                    try await cluster.check(kept, client)
                    #expect(cluster.servers.allSatisfy { cluster.isAlive($0) })
                }
                _ = disks
            }
        }

        @Test(
            "filled by another program: servers read, delete, give space back, stop and start, and go on with room",
            .timeLimit(.minutes(10)))
        func filledByOthers() async throws {
            let size = Self.options.segmentSizeBytes + Self.options.indexSetAsideBytes + (32 << 20)
            try await withDisks(size, over: "") { cluster, disks in
                let stored = try await cluster.withClient { try await cluster.checkOperations($0, "before") }
                func fill() { for disk in disks { disk.fill(leavingBytes: 0) } }
                fill()
                try await cluster.check(stored)
                let deleted = stored[5]
                try await cluster.withClient { _ = try await $0.delete(deleted.key) }
                // Beyond the retention time, so that the bytes are given back where there is no room to write that
                // down.
                let deadline = ContinuousClock.now + .seconds(35)
                while ContinuousClock.now < deadline {
                    fill()
                    try await Task.sleep(for: .milliseconds(500))
                }
                let kept = Array(stored[..<5])
                for server in cluster.servers { #expect(cluster.isAlive(server), "\(cluster.log(server))") }
                try await cluster.check(kept)
                for _ in 0..<2 {
                    for server in cluster.servers {
                        fill()
                        #expect(try await cluster.terminate(server) == .exit(0), "\(cluster.log(server))")
                        fill()
                        try await cluster.start(server)
                        try await cluster.check(kept)
                    }
                }
                try await cluster.withClient { await expectNotFound($0, deleted.key) }
                for server in cluster.servers {
                    fill()
                    cluster.kill(server)
                    fill()
                    try await cluster.start(server)
                }
                try await cluster.check(kept)
                for disk in disks { disk.release() }
                try await cluster.withClient { client in
                    let item = StoredValue(key: try ObjectKey("tests/room"), value: SeededBytes.make("room", 1 << 20))
                    var isStored = false
                    for _ in 0..<120 where !isStored {
                        isStored = try await putSucceeds(client, item)
                        if !isStored { try await Task.sleep(for: .milliseconds(500)) }
                    }
                    #expect(isStored, "no put is taken although there is room")
                    try await cluster.check(kept, client)
                }
            }
        }
    }
}
