// Clients of S3 at work while as many servers as may fail do so, in every way at once.

import QuorumFaults
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("A gateway among failing servers", .serialized) struct GatewayFaults {
        /// Who lies, throughout; another one of the rest is killed or stopped at any time.
        private static let liar = NodeID(0)

        @Test(
            "all that clients store comes back while a server lies and others are killed and stopped",
            .timeLimit(.minutes(20)), .acceptance, .installed(anyOf: S3Client.allCases))
        func failing() async throws {
            try await withCluster(faults: 2) { cluster in
                try await cluster.startLiar(Self.liar, .mixture)
                try await withGateway(cluster) { gateway in
                    let rounds = try S3Client.installed.map {
                        try S3Round($0, gateway, sizeBytes: 24 << 20, count: 40)
                    }
                    let repository =
                        S3Client.find("restic") == nil
                        ? nil : try ResticRepository(gateway, bucket: "restic", sizeBytes: 24 << 20)
                    let disturbances = try await harming(cluster) {
                        for round in rounds {
                            try await round.store()
                            try await round.check()
                        }
                        try await repository?.backUp()
                        try await repository?.check()
                    }
                    #expect(disturbances > 2, "hardly anything was disturbed")
                    // What was stored meanwhile is there without any of those that failed then: others may fail now.
                    cluster.kill(NodeID(3))
                    for round in rounds {
                        try await round.check()
                        try await round.change()
                        try await round.clear()
                    }
                    try await repository?.check()
                }
            }
        }

        /// Runs `body` while one server after the other is killed and started again, or stopped for a while. At the end
        /// all run.
        ///
        /// - Returns: how often that was done.
        private func harming(_ cluster: TestCluster, _ body: () async throws -> Void) async throws -> Int {
            let isOver = Flag()
            let servers = cluster.servers.filter { $0 != Self.liar }
            async let count = {
                var count = 0
                while !isOver.isRaised {
                    let server = servers[count % servers.count]
                    if count.isMultiple(of: 2) { cluster.kill(server) } else { cluster.freeze(server) }
                    try await Task.sleep(for: .seconds(2))
                    if count.isMultiple(of: 2) { try await cluster.start(server) } else { cluster.thaw(server) }
                    try await Task.sleep(for: .seconds(1))
                    count += 1
                }
                return count
            }()
            do {
                try await body()
            } catch {
                isOver.raise()
                _ = try? await count
                throw error
            }
            isOver.raise()
            return try await count
        }
    }
}
