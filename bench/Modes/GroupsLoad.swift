// Closed loops on several clusters at once, each loop on objects of one group.

import BenchmarkResults
import ErasureCode
import QuorumClient
import QuorumProtocol

/// So many operations in flight for each group of some clusters.
struct GroupsLoad: Sendable {
    /// How many objects each loop reads.
    private static let readObjectCount = 16

    private let clusters: [BenchmarkCluster]
    private let loops: [Loop]
    private let value: SharedBytes

    /// One operation after the other on objects of one group.
    private struct Loop: Sendable {
        let cluster: BenchmarkCluster
        let client: ObjectClient
        let name: String
        let group: GroupID?

        /// An object that only this loop writes, in its group: names are drawn until one is.
        func key(_ number: Int) -> ObjectKey {
            for attempt in 0... {
                guard let key = try? ObjectKey("bench/groups/\(name)/\(number)/\(attempt)") else { break }
                if group == nil || client.parameters.placement(of: key).group.id == group { return key }
            }
            preconditionFailure("the benchmark's own key is none")
        }
    }

    init(_ clusters: [BenchmarkCluster], groupsPerCluster: Int, clientsPerGroup: Int, size: ByteSize) {
        self.clusters = clusters
        loops = clusters.flatMap { cluster in
            // There are as many clients for each group, and each keeps to it.
            (0..<groupsPerCluster * clientsPerGroup).map { number in
                let client = cluster.clients[number % cluster.clients.count]
                let groups = client.parameters.configuration.groups
                return Loop(
                    cluster: cluster, client: client, name: "loop-\(number)", group: groups[number % groups.count].id)
            }
        }
        value = RandomBytes.block(sizeBytes: size.bytes)
    }

    /// Writes what is to be read.
    func prepare() async throws {
        try await forEachLoop { loop in
            for number in 0..<Self.readObjectCount { _ = try await loop.client.put(loop.key(number), value) }
            return 0
        }
    }

    /// Runs for so long and says what it cost.
    func measure(_ operation: BenchmarkOperation, seconds: Double) async throws -> Sample {
        for cluster in clusters { try await cluster.settle() }
        let before = try clusters.map { try $0.readBefore() }
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let count = try await forEachLoop { loop in
            var count = 0
            repeat {
                if operation.isWrite {
                    _ = try await loop.client.put(loop.key(.random(in: Self.readObjectCount...(.max >> 1))), value)
                } else {
                    _ = try await loop.client.get(loop.key(.random(in: 0..<Self.readObjectCount)))
                }
                count += 1
            } while ContinuousClock.now < deadline
            return count
        }
        let duration = (ContinuousClock.now - start).inSeconds
        for cluster in clusters { try await cluster.settle() }
        let after = try clusters.map { try $0.readAfter() }
        var sample = Sample()
        sample.operationCount = count
        sample.seconds = duration
        // All clients are in this process.
        sample.clientCPUSeconds = after[0].clientCPUSeconds - before[0].clientCPUSeconds
        for (before, after) in zip(before, after) {
            sample.serverCPUSeconds += after.serverCPUSeconds - before.serverCPUSeconds
            sample.signatureCount += after.signatures - before.signatures
            sample.groupCommitCount += after.groupCommits - before.groupCommits
        }
        return sample
    }

    /// Runs all loops at once; the sum of what they return.
    @discardableResult
    private func forEachLoop(_ body: @escaping @Sendable (Loop) async throws -> Int) async throws -> Int {
        try await withThrowingTaskGroup(of: Int.self) { group in
            for loop in loops { group.addTask { try await body(loop) } }
            return try await group.reduce(0, +)
        }
    }
}
