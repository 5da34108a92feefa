// One cluster and one gateway in the test's own process for all tests of a suite.

import ClusterFiles
import Foundation
import Logging
import LoopbackPorts
import ObjectStorage
import QuorumServer
import Solidus
import Synchronization
import Testing

@testable import S3Gateway

final class GatewayFixture: Sendable {
    static let stripeSizeBytes = 1 << 20

    let directory: String
    let servers: [Server]
    let gateway: RunningGateway
    /// Who may do everything.
    let caller: S3Caller
    private let client: ObjectClient
    private let sharedKey: [UInt8]
    private let stopped = Mutex<Set<Int>>([])

    private init(_ directory: String, change: (inout GatewayOptions) -> Void) async throws {
        self.directory = directory
        let cluster = directory + "/cluster"
        var new = NewCluster()
        new.stripeSizeBytesMax = Self.stripeSizeBytes
        new.ports = try FreePorts.take(4)
        try new.write(to: cluster) { store in
            try ObjectStore.create(
                directory: store.directory, owner: StoreOwner(store.node, of: store.cluster), incarnation: 1)
        }
        _ = try OperatorHome(clusterDirectory: cluster).add(NewClient(name: "gateway"))
        var settings = GatewaySettings()
        settings.domains = ["s3.test"]
        try GatewayHome.make("gateway", clusterDirectory: cluster, settings: settings)
        var servers: [Server] = []
        for index in 0..<4 {
            var configuration = ServerConfiguration(home: try ServerHome(path: "\(cluster)/servers/\(index)"))
            configuration.eventLoopCount = 1
            configuration.workerCount = 1
            configuration.storage.segmentSizeBytes = 4 << 20
            configuration.storage.reservedFreeBytes = 0
            servers.append(try await Server.start(configuration, logger: Logger(label: "server \(index)")))
        }
        self.servers = servers
        let home = try GatewayHome(clusterDirectory: cluster)
        sharedKey = home.sharedKey
        client = try ObjectClient(home: ClientHome(clusterDirectory: cluster))
        let everything = try #require(Grant(bucket: Grant.everyBucket, rights: .all))
        let records = CredentialRecords(client, key: sharedKey)
        let credential = try records.make(name: "test", grants: [everything])
        try await records.add(credential)
        var options = GatewayOptions()
        change(&options)
        var addresses = GatewayAddresses(host: "127.0.0.1", port: 0)
        addresses.metrics = ("127.0.0.1", 0)
        gateway = try await RunningGateway.start(
            home, at: addresses, options: options, logger: Logger(label: "gateway"))
        caller = S3Caller(port: gateway.port, credential: credential)
    }

    /// Somebody who may do less.
    func caller(_ grants: String...) async throws -> S3Caller {
        let records = CredentialRecords(client, key: sharedKey)
        let credential = try records.make(name: "other", grants: grants.map { try #require(Grant($0)) })
        try await records.add(credential)
        return S3Caller(port: gateway.port, credential: credential)
    }

    /// An access key that nobody stored.
    func unknown() throws -> Credential {
        try CredentialRecords(client, key: sharedKey).make(name: "unknown", grants: caller.credential.grants)
    }

    func remove(_ caller: S3Caller) async throws {
        try await CredentialRecords(client, key: sharedKey).remove(caller.credential.accessKey)
    }

    func setAnonymous(_ rights: String?, on bucket: String) async throws {
        try await AnonymousAccess.set(rights, on: bucket, client, key: sharedKey)
    }

    func withClient<R>(_ body: (ObjectClient) async throws -> R) async throws -> R { try await body(client) }

    /// Stops a server for good.
    func stopServer(_ number: Int) async {
        guard stopped.withLock({ $0.insert(number).inserted }) else { return }
        await servers[number].shutdown()
    }

    static func run(
        change: (inout GatewayOptions) -> Void = { _ in }, _ body: (GatewayFixture) async throws -> Void
    ) async throws {
        let directory = NSTemporaryDirectory() + "solidus-\(UUID().uuidString)"
        let fixture = try await GatewayFixture(directory, change: change)
        var failure: (any Error)?
        do {
            try await body(fixture)
        } catch {
            failure = error
        }
        await fixture.gateway.stop()
        await fixture.client.close()
        for number in fixture.servers.indices { await fixture.stopServer(number) }
        try? FileManager.default.removeItem(atPath: directory)
        if let failure { throw failure }
    }
}

/// One gateway for all tests of a suite, which leave it running.
struct OneGateway: SuiteTrait, TestScoping {
    @TaskLocal private static var running: GatewayFixture?

    static var current: GatewayFixture {
        get throws { try #require(running, "the suite has no gateway") }
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await GatewayFixture.run { fixture in
            try await Self.$running.withValue(fixture) { try await function() }
        }
    }
}

extension Trait where Self == OneGateway {
    static var oneGateway: Self { OneGateway() }
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
