// A whole cluster on this machine: durable stores, a process per server, TLS on loopback or on links of a rate, and
// clients in this process.

import BenchmarkResults
import ClusterFiles
import ErasureCode
import Foundation
import Glibc
import ObjectStorage
import QuorumClient
import QuorumProtocol
import QuorumServer
import Synchronization

/// What all clusters of a run have in common.
struct ClusterPlan: Sendable {
    var faults: Int
    var dataFragmentCount: Int
    /// How many servers there are, in all groups.
    var serverCount: Int
    /// How many clients there are, each with its own certificate and connections.
    var identityCount: Int
    /// Further clients that the cluster is to know, for which nothing is opened here.
    var otherClientNames: [String] = []
    /// How long an operation may take.
    var clientTimeoutMilliseconds = 60_000
    /// The `solidus` to run.
    var program: String
    /// What links servers and clients; nil for loopback.
    var network: ShapedNetwork?
}

/// A running cluster.
final class BenchmarkCluster: Sendable {
    let variant: Variant
    let plan: ClusterPlan
    let clients: [ObjectClient]
    let servers: [ServerChild]
    let directory: String
    /// How many objects of each size there are: their names end in 0 ..< count.
    private let objectCounts = Mutex<[ByteSize: Int]>([:])

    /// Makes the cluster in `directory`, which must not exist, and returns when all servers listen.
    ///
    /// - Parameter beforeStart: does something with the cluster's files before any server runs.
    init(
        _ plan: ClusterPlan, variant: Variant, directory: String, beforeStart: () throws -> Void = {}
    ) throws {
        self.variant = variant
        self.plan = plan
        self.directory = directory
        var new = NewCluster()
        new.faults = plan.faults
        new.dataFragmentCount = plan.dataFragmentCount
        new.mode = variant.mode
        new.without = variant.without
        let clientNames = (0..<plan.identityCount).map { "client-\($0)" }
        new.clientNames = clientNames + plan.otherClientNames
        new.serverCount = plan.serverCount
        if let network = plan.network {
            new.hosts = (0..<plan.serverCount).map(network.address(ofServer:))
            new.ports = try network.takePorts(plan.serverCount)
        } else {
            new.ports = try FreePorts.take(plan.serverCount)
        }
        let configuration = try new.write(to: directory) { store in
            try ObjectStore.create(
                directory: store.directory, owner: StoreOwner(store.node, of: store.cluster), incarnation: 1)
        }
        try beforeStart()
        var servers: [ServerChild] = []
        var clients: [ObjectClient] = []
        do {
            for index in configuration.servers.indices {
                servers.append(
                    try ServerChild(
                        index: index, home: "\(directory)/servers/\(index)", program: plan.program,
                        network: plan.network))
            }
            for server in servers { try server.waitUntilReady() }
            var options = ClientOptions()
            options.timeoutMilliseconds = plan.clientTimeoutMilliseconds
            options.writesPartially = true
            options.leaveOut(variant.without)
            for name in clientNames {
                clients.append(
                    try ObjectClient(home: ClientHome(clusterDirectory: directory, client: name), options: options))
            }
        } catch {
            for server in servers { server.kill() }
            throw error
        }
        self.servers = servers
        self.clients = clients
    }

    /// Ends clients and servers and removes all files.
    func remove() async {
        for client in clients { await client.close() }
        for server in servers { server.kill() }
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Objects

    /// The key of a new object.
    func newKey(_ size: ByteSize) -> ObjectKey {
        key(
            size,
            number: objectCounts.withLock { counts in
                defer { counts[size, default: 0] += 1 }
                return counts[size, default: 0]
            })
    }

    /// How many objects of a size there are; each can be read while nobody writes.
    func objectCount(_ size: ByteSize) -> Int { objectCounts.withLock { $0[size] ?? 0 } }

    func key(_ size: ByteSize, number: Int) -> ObjectKey { Self.key("\(size)/\(number)") }

    /// The key of an object that only the operations of one slot, and so only one client, write.
    func ownKey(_ size: ByteSize, slot: Int, number: Int) -> ObjectKey { Self.key("\(size)/of-\(slot)/\(number)") }

    private static func key(_ name: String) -> ObjectKey {
        guard let key = try? ObjectKey("bench/\(name)") else { preconditionFailure("the benchmark's own key is none") }
        return key
    }

    // MARK: Counts

    /// All counts of one moment.
    struct Reading {
        var clientCPUSeconds = 0.0
        var serverCPUSeconds = 0.0
        var sentBytes: UInt64 = 0
        var receivedBytes: UInt64 = 0
        var diskBytes = 0
        var signatures: UInt64 = 0
        var groupCommits: UInt64 = 0
        var verificationBytes: UInt64 = 0
    }

    /// The counts before something begins. Processor time comes last: asking for the rest costs some, and is no part of
    /// it.
    func readBefore() throws -> Reading {
        var reading = Reading()
        try readCounts(into: &reading)
        try readProcessorTime(into: &reading)
        return reading
    }

    /// The counts when it has ended. Processor time comes first.
    func readAfter() throws -> Reading {
        var reading = Reading()
        try readProcessorTime(into: &reading)
        try readCounts(into: &reading)
        return reading
    }

    /// Processor time so far, in seconds: of this process, and of all servers together.
    func readProcessorTimes() throws -> (client: Double, servers: Double) {
        var reading = Reading()
        try readProcessorTime(into: &reading)
        return (reading.clientCPUSeconds, reading.serverCPUSeconds)
    }

    /// How many requests were refused so far, by reason, all servers together.
    func refusals() throws -> [String: UInt64] {
        try servers.reduce(into: [:]) { total, server in
            total.merge(try server.counters().refusals, uniquingKeysWith: +)
        }
    }

    private func readProcessorTime(into reading: inout Reading) throws {
        reading.clientCPUSeconds = try ProcessorTime.seconds(of: getpid())
        for server in servers { reading.serverCPUSeconds += try ProcessorTime.seconds(of: server.processID) }
    }

    private func readCounts(into reading: inout Reading) throws {
        for client in clients {
            let (sent, received) = client.trafficBytes
            reading.sentBytes += sent
            reading.receivedBytes += received
        }
        for server in servers {
            reading.diskBytes += DiskSpace.usedBytes(below: server.store)
            let counters = try server.counters()
            reading.signatures += counters.signatures
            reading.groupCommits += counters.groupCommits
            reading.verificationBytes += counters.verificationReceivedBytes
        }
    }

    /// Returns when nothing is on its way any more: what finished operations still send to the servers beyond the
    /// quorum, and the answers to it.
    func settle() async throws {
        var last: (UInt64, UInt64)?
        while true {
            try await Task.sleep(for: .milliseconds(30))
            let traffic = clients.map(\.trafficBytes).reduce((UInt64(0), UInt64(0))) {
                ($0.0 + $1.sent, $0.1 + $1.received)
            }
            if let last, last == traffic, !clients.contains(where: \.hasQueuedRequests) { return }
            last = traffic
        }
    }

    /// Returns when the servers have verified what they put off, in the mode that has them do so when they are idle; at
    /// the latest after two minutes.
    func finishLaterWork() async throws {
        guard variant.mode == .lazy else { return }
        // More than the delay after which a version is due and the two intervals at which servers look, a second each.
        let quietTime = Duration.milliseconds(2500)
        let begin = ContinuousClock.now
        var lastChange = begin
        var last: UInt64?
        while ContinuousClock.now - lastChange < quietTime, ContinuousClock.now - begin < .seconds(120) {
            try await Task.sleep(for: .milliseconds(250))
            let verified = try servers.reduce(UInt64(0)) { $0 + (try $1.counters().verifiedObjects) }
            if let last, verified != last { lastChange = .now }
            last = verified
        }
    }
}
