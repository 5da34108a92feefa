// Stores that were filled without running the servers: real servers on them know no difference.

import ClusterFiles
import ErasureCode
import Foundation
import ObjectStorage
import ProtocolStorage
import QuorumClient
import QuorumProtocol
import QuorumServer
import StoreSeeding
import Testing

extension Clusters {
    @Suite("Seeded clusters", .serialized) struct Seeded {
        @Test(
            "every seeded object is read, listed, verified, overwritten and deleted like any other",
            .timeLimit(.minutes(3)),
            arguments: [
                (VerificationMode.fingerprint, 300, 100), (.full, 20, 5000), (.none, 20, 100),
                (.fingerprint, 3, 1 << 20), (.fingerprint, 20, 0),
            ])
        func served(mode: VerificationMode, count: Int, sizeBytes: Int) async throws {
            try await withCluster(starts: false, change: { $0.mode = mode }) { cluster in
                let plan = SeedPlan(bucket: "seeded", objectCount: count, valueSizeBytes: sizeBytes)
                try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                try await cluster.startAll()
                try await cluster.withClient { client in
                    for number in 0..<count {
                        let value = try await client.get(plan.key(number)).value
                        #expect(value == plan.value(number))
                    }
                    #expect(try await listed(client, "seeded") == (0..<count).map { try plan.key($0) })

                    // Both take the seeded version's certificate, which each server checks.
                    let result = try await client.put(plan.key(1), SharedBytes([7]))
                    #expect(result.timestamp.counter == 2)
                    #expect(try await client.get(plan.key(1)).value == SharedBytes([7]))
                    _ = try await client.delete(plan.key(0))
                    await expectNotFound(client, try plan.key(0))
                    #expect(try await listed(client, "seeded") == (1..<count).map { try plan.key($0) })
                    let bucket = try #require(try await client.bucket("seeded"))
                    #expect(bucket.owner == client.id)
                }
                let last = try plan.key(count - 1).text
                let list = try await cluster.run(["ls", "--cluster", cluster.directory, "seeded"])
                #expect(list.end == .exit(0) && list.output.contains(last), "\(list)")
                let verify = try await cluster.run(["verify", "--cluster", cluster.directory, last])
                #expect(verify.end == .exit(0) && verify.output.contains("4 of 4"), "\(verify)")
            }
        }

        @Test(
            "a server that was left behind lacks the last objects and nothing else, and nobody else notices",
            .timeLimit(.minutes(2)))
        func lagging() async throws {
            try await withCluster(starts: false) { cluster in
                let plan = SeedPlan(
                    bucket: "seeded", objectCount: 200, valueSizeBytes: 50, pattern: "a/{}/b",
                    laggard: (NodeID(2), 30))
                try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                try await cluster.startAll()
                let home = try cluster.clientHome()
                try await cluster.withClient { client in
                    for (number, isThere) in [(0, true), (169, true), (170, false), (199, false)] {
                        let holdings = try await ObjectHoldings.ask(
                            plan.key(number), home, by: client, timeoutMilliseconds: 30_000)
                        #expect(holdings.goodCount == (isThere ? 4 : 3), "object \(number)")
                        for (node, answer) in holdings.servers where node == NodeID(2) && !isThere {
                            // Of the commit it may have heard: reads write back what they find.
                            guard case .answer(.nothing) = answer else {
                                Issue.record("the server that lags says of object \(number): \(answer)")
                                continue
                            }
                        }
                    }
                    #expect(try await listed(client, "seeded") == (0..<200).map { try plan.key($0) })
                    #expect(try await client.get(plan.key(199)).value == plan.value(199))
                    _ = try await client.put(plan.key(199), SharedBytes([1]))
                    #expect(try await client.get(plan.key(199)).value == SharedBytes([1]))
                }
            }
        }

        @Test(
            "clients are charged what they are charged for putting the same, and as much as all records say",
            .timeLimit(.minutes(2)))
        func charges() async throws {
            let plan = SeedPlan(bucket: "seeded", objectCount: 40, valueSizeBytes: 3000)
            let put = try await withCluster { cluster in
                let home = try cluster.clientHome()
                try await cluster.withClient { client in
                    _ = try await client.createBucket(plan.bucket)
                    for number in 0..<plan.objectCount {
                        _ = try await client.put(plan.key(number), plan.value(number))
                    }
                    // The fourth server may be told later.
                    for key in try (0..<plan.objectCount).map(plan.key) + [ObjectKey(recordOf: plan.bucket)] {
                        var isEverywhere = false
                        while !isEverywhere {
                            let holdings = try await ObjectHoldings.ask(
                                key, home, by: client, timeoutMilliseconds: 30_000)
                            isEverywhere = holdings.servers.allSatisfy {
                                if case .answer(.good(knowsCommit: true)) = $0.answer { true } else { false }
                            }
                        }
                    }
                }
                for server in cluster.servers { #expect(try await cluster.terminate(server) == .exit(0)) }
                return try cluster.servers.map { try Self.charges(cluster, $0) }
            }
            let seeded = try await withCluster(starts: false) { cluster in
                try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                return try cluster.servers.map { try Self.charges(cluster, $0) }
            }
            for (put, seeded) in zip(put, seeded) {
                #expect(seeded.rows == put.rows)
                #expect(seeded.records == seeded.rows && put.records == put.rows)
                #expect(seeded.rows.first?.objects == 41)
            }
        }

        @Test("what cannot be seeded is refused and changes nothing", .timeLimit(.minutes(1)))
        func refused() async throws {
            try await withCluster(starts: false) { cluster in
                let plan = SeedPlan(bucket: "seeded", objectCount: 5, valueSizeBytes: 10)
                try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                let before = try cluster.servers.map { try Self.charges(cluster, $0).rows }
                #expect {
                    try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                } throws: {
                    guard case .exists? = $0 as? SeedingError else { return false }
                    return true
                }
                let unknown = SeedPlan(
                    bucket: "other", objectCount: 5, valueSizeBytes: 10, laggard: (NodeID(9), 1))
                let huge = SeedPlan(bucket: "other", objectCount: 5, valueSizeBytes: (1 << 20) + 1)
                let same = SeedPlan(bucket: "other", objectCount: 5, valueSizeBytes: 10, pattern: "one")
                let late = SeedPlan(
                    bucket: "other", objectCount: 5, valueSizeBytes: 10, laggard: (NodeID(1), 6))
                for plan in [unknown, huge, same, late] {
                    #expect(throws: SeedingError.self) {
                        try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                    }
                }
                #expect(try cluster.servers.map { try Self.charges(cluster, $0).rows } == before)
                try await cluster.startAll()
                let running = SeedPlan(bucket: "other", objectCount: 5, valueSizeBytes: 10)
                #expect(throws: StorageError.self) {
                    try StoreSeeder(running, clusterDirectory: cluster.directory).run()
                }
            }
            try await withCluster(starts: false, change: { $0.mode = .lazy }) { cluster in
                let plan = SeedPlan(bucket: "seeded", objectCount: 5, valueSizeBytes: 10)
                #expect(throws: SeedingError.self) {
                    try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                }
            }
        }

        @Test(
            "a byte that was turned is damage and no more once it was turned back; what was discarded is missing",
            .timeLimit(.minutes(2)))
        func damage() async throws {
            try await withCluster(starts: false) { cluster in
                let plan = SeedPlan(bucket: "seeded", objectCount: 20, valueSizeBytes: 8192)
                try StoreSeeder(plan, clusterDirectory: cluster.directory).run()
                let server = cluster.servers[1]
                let home = cluster.home(server)
                func harm<Result>(_ body: (StoreSeeding.StoreDamage) throws -> Result) throws -> Result {
                    let store = try StoreSeeding.StoreDamage(home: ServerHome(path: home))
                    let result = try body(store)
                    try store.close()
                    return result
                }
                func check() async throws -> CommandResult {
                    try await cluster.run(["server", "check", "--home", home])
                }
                let byte = try harm { store in
                    #expect(try store.stripeCount(of: plan.key(3)) == 1)
                    return try store.turnByte(of: plan.key(3), stripe: 0)
                }
                #expect(try await check().end == .exit(11))
                try byte.turnBack()
                #expect(try await check().end == .exit(0))
                #expect(try harm { try $0.discardFragments(of: [plan.key(4), plan.key(5)]) } == 2)
                #expect(try await check().end == .exit(11))
                #expect(throws: DamageError.self) { try harm { try $0.turnByte(of: plan.key(4), stripe: 0) } }
            }
        }

        private func listed(_ client: ObjectClient, _ bucket: String) async throws -> [ObjectKey] {
            var keys: [ObjectKey] = []
            for try await entry in try client.list(bucket) {
                guard case .object(let object) = entry else { continue }
                keys.append(object.key)
            }
            return keys
        }

        /// What the store of a server that does not run says that clients are charged, and what its records say; in the
        /// clients' order.
        private static func charges(
            _ cluster: TestCluster, _ server: NodeID
        ) throws -> (rows: [Charge], records: [Charge]) {
            let parameters = cluster.configuration.parameters
            let store = try ObjectStore(
                directory: cluster.home(server) + "/store",
                owner: StoreOwner(server, of: parameters.configuration.cluster))
            defer { store.abandon() }
            let protocolStore = ProtocolStore(store: store, node: server, parameters: parameters) { _ in false }
            let rows = try protocolStore.charges().map(\.charge)
            var sums: [ClientID: Charge] = [:]
            for object in try store.objects(after: nil, limit: .max) {
                for charge in try ObjectRecord(decoding: object.record).charges {
                    sums[charge.client] = (sums[charge.client] ?? Charge()) + charge.charge
                }
            }
            return (rows, sums.sorted { $0.key < $1.key }.map(\.value))
        }
    }
}
