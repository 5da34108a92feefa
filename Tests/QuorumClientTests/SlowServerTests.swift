// Transfers over lines that are slow, and beside servers that let hardly anything through: it is progress that counts.

import ErasureCode
import LoopbackPorts
import QuorumClient
import QuorumProtocol
import QuorumServer
import Testing

@Suite("Transfers over slow lines", .serialized, .timeLimit(.minutes(3)))
struct SlowServerTests {
    private static let stripe = 1 << 20
    private static let fast = 100 << 20

    /// Runs `body` with a cluster each of whose servers is behind a link.
    private func withLinks(
        _ options: ClientOptions, _ body: ([SlowLink], InProcessCluster, ObjectClient) async throws -> Void
    ) async throws {
        let cluster = try await InProcessCluster()
        var links: [SlowLink] = []
        defer { for link in links { link.end() } }
        do {
            for index in cluster.servers.indices {
                await cluster.stop(index)
                let real = try FreePorts.take(1)[0]
                var listed = 0
                try await cluster.start(index) { configuration in
                    listed = configuration.port
                    configuration.port = real
                }
                links.append(try SlowLink(port: listed, to: real, bytesPerSecond: Self.fast))
            }
            try await cluster.withClient(options) { client in
                // Handshakes are not what this is about.
                _ = try? await client.put(try ObjectKey("bucket/first"), testBytes(10, seed: 1))
                while !(0..<4).allSatisfy({ client.isConnected(to: NodeID($0)) }) {
                    try await Task.sleep(for: .milliseconds(10))
                }
                try await body(links, cluster, client)
            }
        } catch {
            await cluster.remove()
            throw error
        }
        await cluster.remove()
    }

    @Test("end well though each part takes longer than may pass without progress, and send little of it twice")
    func slowLine() async throws {
        var options = ClientOptions()
        options.stallMilliseconds = 2500
        options.timeoutMilliseconds = 2500
        options.retransmitMilliseconds = 300
        // No server is left behind and filled, which is the price of not waiting for the slower ones.
        options.stageHedgeMilliseconds = 60_000
        try await withLinks(options) { links, _, client in
            // A fragment takes more than three seconds.
            let (large, small) = (testBytes(2 * Self.stripe, seed: 2), testBytes(Self.stripe, seed: 3))
            for link in links { link.set(bytesPerSecond: 160_000) }
            let before = client.trafficBytes.sent
            _ = try await client.put(try ObjectKey("bucket/large"), large)
            // All of it is under way at once, a fragment of each stripe for each server.
            #expect(Double(client.trafficBytes.sent - before) < 1.5 * 2 * Double(large.count))
            #expect(try await client.get(try ObjectKey("bucket/large")).value == large)
            // So does a value that goes in one piece.
            _ = try await client.put(try ObjectKey("bucket/small"), small)
            #expect(try await client.get(try ObjectKey("bucket/small")).value == small)
        }
    }

    @Test("go on without a server that lets but drops through, and fail in time when there are two")
    func dripping() async throws {
        var options = ClientOptions()
        options.stallMilliseconds = 800
        options.timeoutMilliseconds = 4000
        options.stageHedgeMilliseconds = 100
        options.hedgeMilliseconds = 50
        try await withLinks(options) { links, cluster, client in
            links[1].set(bytesPerSecond: 500)
            let value = testBytes(6 * Self.stripe, seed: 4)
            _ = try await client.put(try ObjectKey("bucket/one"), value)
            #expect(try await client.get(try ObjectKey("bucket/one")).value == value)
            links[2].set(bytesPerSecond: 500)
            do {
                _ = try await client.put(try ObjectKey("bucket/two"), value)
                Issue.record("a value was stored at two servers of four")
            } catch ClientError.unavailable(_, let failure, let troubles) {
                #expect(!failure.mayHaveTakenEffect)
                #expect(Set(troubles.map(\.server)).isSubset(of: [NodeID(1), NodeID(2)]) && !troubles.isEmpty)
            }
        }
    }

    @Test("servers that are waited for are told while they are, and not afterwards")
    func waitedFor() async throws {
        var options = ClientOptions()
        options.timeoutMilliseconds = 60_000
        try await withLinks(options) { _, cluster, client in
            #expect(client.waitedFor.isEmpty)
            await cluster.stop(1)
            await cluster.stop(3)
            let writing = Task { try await client.put(try ObjectKey("bucket/waits"), testBytes(10, seed: 5)) }
            while client.waitedFor.map(\.server) != [NodeID(1), NodeID(3)] {
                try await Task.sleep(for: .milliseconds(10))
            }
            try await cluster.start(1) { $0.port = cluster.ports[1] }
            _ = try await writing.value
            #expect(!client.waitedFor.contains { $0.server == NodeID(0) })
        }
    }
}
