// What is left out is really left out, and nothing else changes.

import ErasureCode
import QuorumClient
import QuorumProtocol
import QuorumServer
import Testing

@Suite("Clusters without some of their optimisations", .serialized)
struct OptimisationTests {
    private static let keyCount = 24

    private static let choices: [Set<Optimisation>] =
        [[]] + Optimisation.allCases.map { [$0] } + [Set(Optimisation.allCases)]

    @Test("values come back, and servers and clients do without what they were told to", arguments: choices)
    func leavesOut(without: Set<Optimisation>) async throws {
        try await withCluster(without: without) { cluster, client in
            for (version, rounds) in [(1, 3), (2, without.contains(.cachedTimestamps) ? 3 : 2)] {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<Self.keyCount {
                        group.addTask {
                            let key = try ObjectKey("bucket/\(number)")
                            let value = testBytes(5000, seed: UInt64(100 * version + number))
                            #expect(try await client.put(key, value).rounds == rounds)
                            let object = try await client.get(key)
                            #expect(object.value == value)
                            // What is written back has to be proven first.
                            if without.contains(.oneRoundReads) { #expect(object.status.rounds == 3) }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            for server in cluster.servers {
                let counters = try #require(server).counters
                try #require(counters.storedChanges > 0 && counters.signedStatements > 0)
                if without.contains(.groupCommit) { #expect(counters.groupCommits == counters.storedChanges) }
                if without.contains(.batchedSignatures) {
                    #expect(counters.signatures == counters.signedStatements)
                }
            }
        }
    }
}
