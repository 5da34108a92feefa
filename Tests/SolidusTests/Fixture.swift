// One cluster in the test's own process for all tests here: real servers with real stores and sockets.

import ClusterFiles
import Foundation
import Logging
import LoopbackPorts
import ObjectStorage
import QuorumServer
import Solidus
import Synchronization
import Testing

/// A running cluster of four servers in a temporary directory.
final class Fixture: Sendable {
    /// The smallest that there is.
    static let stripeSizeBytes = 1 << 20

    let directory: String
    /// Those that run.
    private let servers: Mutex<[Server]>

    private init(directory: String, servers: [Server]) {
        self.directory = directory
        self.servers = Mutex(servers)
    }

    private static func start() async throws -> Fixture {
        let directory = NSTemporaryDirectory() + "solidus-\(UUID().uuidString)"
        var new = NewCluster()
        new.stripeSizeBytesMax = stripeSizeBytes
        new.ports = try FreePorts.take(4)
        try new.write(to: directory + "/cluster") { store in
            try ObjectStore.create(
                directory: store.directory, owner: StoreOwner(store.node, of: store.cluster), incarnation: 1)
        }
        _ = try OperatorHome(clusterDirectory: directory + "/cluster").add(
            NewClient(name: "guest", grants: [#require(Grant("shared:read"))]))
        var servers: [Server] = []
        for index in 0..<4 {
            var configuration = ServerConfiguration(
                home: try ServerHome(path: "\(directory)/cluster/servers/\(index)"))
            configuration.eventLoopCount = 1
            configuration.workerCount = 1
            configuration.storage.segmentSizeBytes = 4 << 20
            configuration.storage.reservedFreeBytes = 0
            servers.append(try await Server.start(configuration, logger: Logger(label: "server \(index)")))
        }
        return Fixture(directory: directory, servers: servers)
    }

    /// Stops more servers than may fail.
    func stopHalf() async { await stop(2) }

    private func stop(_ count: Int) async {
        let stopped = servers.withLock { servers in
            defer { servers.removeFirst(min(count, servers.count)) }
            return servers.prefix(count)
        }
        for server in stopped { await server.shutdown() }
    }

    private func remove() async {
        await stop(4)
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// A path that nothing has yet.
    func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// - Parameter client: `first`, who may do everything, or `guest`, who may read in the bucket `shared`.
    func home(_ client: String = "first") throws -> ClientHome {
        try ClientHome(clusterDirectory: directory + "/cluster", client: client)
    }

    /// Runs `body` with a cluster of its own, and removes it whatever happens.
    static func run(_ body: (Fixture) async throws -> Void) async throws {
        let fixture = try await start()
        do {
            try await body(fixture)
        } catch {
            await fixture.remove()
            throw error
        }
        await fixture.remove()
    }
}

/// One cluster for all tests of a suite, which leave its servers running.
struct OneCluster: SuiteTrait, TestScoping {
    @TaskLocal private static var running: Fixture?

    static var current: Fixture {
        get throws { try #require(running, "the suite has no cluster") }
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Fixture.run { fixture in
            try await Self.$running.withValue(fixture) { try await function() }
        }
    }
}

extension Trait where Self == OneCluster {
    static var oneCluster: Self { OneCluster() }
}

/// Bytes that differ with every position and seed.
func testBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    let words = (0..<(count + 7) / 8).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
}
