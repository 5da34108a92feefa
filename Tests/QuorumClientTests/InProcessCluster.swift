// A whole cluster in the test's own process: real servers with real stores and sockets, without processes to manage.

import ClusterFiles
import ErasureCode
import Foundation
import Logging
import LoopbackPorts
import ObjectStorage
import QuorumClient
import QuorumProtocol
import QuorumServer

/// A running cluster in a temporary directory.
final class InProcessCluster {
    let directory: String
    private(set) var servers: [Server?] = []
    /// Where each server listened when it was started last.
    private(set) var ports: [Int] = []
    private let interposers: [Int: any ServerInterposer]

    /// - Parameter interposers: by server, who makes it do what no correct one does.
    init(
        serverCount: Int? = nil, faults: Int = 1, dataFragmentCount: Int? = nil, stripeSizeBytesMax: Int = 1 << 20,
        mode: VerificationMode = .fingerprint, without: Set<Optimisation> = [],
        interposers: [Int: any ServerInterposer] = [:]
    ) async throws {
        self.interposers = interposers
        directory = NSTemporaryDirectory() + "solidus-\(UUID().uuidString)"
        var new = NewCluster()
        new.faults = faults
        new.dataFragmentCount = dataFragmentCount
        new.stripeSizeBytesMax = stripeSizeBytesMax
        new.without = without
        new.mode = mode
        new.serverCount = serverCount
        let quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        let count = serverCount ?? quorums.serverCount
        new.ports = try FreePorts.take(count)
        try new.write(to: directory) { store in
            try ObjectStore.create(
                directory: store.directory, owner: StoreOwner(store.node, of: store.cluster), incarnation: 1)
        }
        for index in 0..<count {
            servers.append(nil)
            ports.append(0)
            try await start(index)
        }
    }

    /// Starts a server; `change` may change its configuration.
    func start(_ index: Int, change: (inout ServerConfiguration) -> Void = { _ in }) async throws {
        var configuration = ServerConfiguration(home: try ServerHome(path: "\(directory)/servers/\(index)"))
        configuration.eventLoopCount = 1
        configuration.workerCount = 1
        configuration.storage.segmentSizeBytes = 4 << 20
        configuration.storage.reservedFreeBytes = 0
        // Servers leave each other alone: what they hold is what clients have brought.
        configuration.antiEntropyMilliseconds = 0
        configuration.repairBytesPerSecond = 0
        configuration.scrubMilliseconds = 0
        configuration.auditMilliseconds = 0
        change(&configuration)
        ports[index] = configuration.port
        servers[index] = try await Server.start(
            configuration, logger: Logger(label: "server \(index)"), interposer: interposers[index])
    }

    func stop(_ index: Int) async {
        await servers[index]?.shutdown()
        servers[index] = nil
    }

    func client(_ options: ClientOptions = ClientOptions()) throws -> ObjectClient {
        try ObjectClient(home: ClientHome(clusterDirectory: directory), options: options)
    }

    /// Runs `body` with a further client that is closed afterwards.
    func withClient(_ options: ClientOptions, _ body: (ObjectClient) async throws -> Void) async throws {
        let client = try client(options)
        do {
            try await body(client)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }

    func remove() async {
        for index in servers.indices { await stop(index) }
        try? FileManager.default.removeItem(atPath: directory)
    }
}

/// Runs `body` with a cluster and a client, and removes both whatever happens.
func withCluster(
    serverCount: Int? = nil, faults: Int = 1, dataFragmentCount: Int? = nil, timeoutMilliseconds: Int = 30_000,
    without: Set<Optimisation> = [], interposers: [Int: any ServerInterposer] = [:],
    _ body: (InProcessCluster, ObjectClient) async throws -> Void
) async throws {
    let cluster = try await InProcessCluster(
        serverCount: serverCount, faults: faults, dataFragmentCount: dataFragmentCount, without: without,
        interposers: interposers)
    var options = ClientOptions()
    options.timeoutMilliseconds = timeoutMilliseconds
    options.writesPartially = true
    options.leaveOut(without)
    let client = try cluster.client(options)
    do {
        try await body(cluster, client)
    } catch {
        await client.close()
        await cluster.remove()
        throw error
    }
    await client.close()
    await cluster.remove()
}

/// Bytes that differ with every position and seed.
func testBytes(_ count: Int, seed: UInt64) -> SharedBytes {
    SharedBytes(count: count) { target in
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        for offset in target.indices {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            target[offset] = UInt8(truncatingIfNeeded: state)
        }
    }
}
