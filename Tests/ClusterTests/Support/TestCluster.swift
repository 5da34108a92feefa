// A cluster of real server processes on loopback, with its homes in a temporary directory.

import ClusterFiles
import ErasureCode
import Foundation
import Glibc
import LoopbackPorts
import ObjectStorage
import QuorumClient
import QuorumProtocol
import QuorumServer
import QuorumTransport
import Synchronization
import Testing

/// The servers of one cluster, each a process of its own.
final class TestCluster: Sendable {
    /// No server takes longer to start or stop unless something is wrong.
    static let patienceSeconds = 60.0
    /// The stripes of clusters whose stripes' size does not matter: small ones, since every test stores a full one.
    static let smallStripeSizeBytes = 2 << 20

    let directory: String
    let configuration: ClusterDescription
    private let processes: Mutex<[NodeID: ChildProcess]> = Mutex([:])

    /// Writes a cluster's files on ports that are free now; no server runs yet.
    init(
        directory: String, faults: Int = 1, dataFragmentCount: Int? = nil, clientNames: [String] = ["first"],
        storage: StorageOptions = StorageOptions(),
        change: (inout NewCluster) -> Void = { _ in }
    ) throws {
        var plan = NewCluster()
        plan.faults = faults
        plan.dataFragmentCount = dataFragmentCount
        plan.clientNames = clientNames
        plan.stripeSizeBytesMax = Self.smallStripeSizeBytes
        plan.ports = try FreePorts.take((dataFragmentCount ?? faults + 1) + 2 * faults)
        change(&plan)
        self.directory = directory
        configuration = try plan.write(to: directory) { store in
            try ObjectStore.create(
                directory: store.directory, owner: StoreOwner(store.node, of: store.cluster), incarnation: 1,
                options: storage)
        }
    }

    var servers: [NodeID] { configuration.servers.map(\.node) }
    var mode: VerificationMode { configuration.parameters.mode }
    var stripeSizeBytes: Int { configuration.parameters.limits.stripeSizeBytesMax }

    func home(_ server: NodeID) -> String { "\(directory)/servers/\(server.rawValue)" }
    func port(_ server: NodeID) -> Int { configuration.server(server)?.port ?? 0 }
    func log(_ server: NodeID) -> String { (try? File.text("\(home(server))/log")) ?? "" }

    // MARK: Processes

    func startAll() async throws {
        for server in servers { try launch(server) }
        for server in servers { try await waitUntilListening(server) }
    }

    func start(_ server: NodeID) async throws {
        try launch(server)
        try await waitUntilListening(server)
    }

    /// Starts a server's process without waiting for anything.
    @discardableResult
    func launch(
        _ server: NodeID, program: String = "solidus", _ arguments: [String]? = nil
    ) throws -> ChildProcess {
        let process = try ChildProcess(
            Executable.path(program), arguments ?? ["serve", "--home", home(server)],
            outputPath: "\(home(server))/log", group: Watchdog.group.get())
        let earlier = processes.withLock { $0.updateValue(process, forKey: server) }
        earlier?.destroy()
        return process
    }

    /// The same under a limit of descriptors, as the shell's `ulimit` takes it.
    func launch(_ server: NodeID, limit: String) throws {
        let process = try ChildProcess(
            "/bin/sh",
            ["-c", "ulimit \(limit) && exec \"$0\" serve --home \"$1\"", Executable.path(), home(server)],
            outputPath: "\(home(server))/log", group: Watchdog.group.get())
        processes.withLock { $0.updateValue(process, forKey: server) }?.destroy()
    }

    func waitUntilListening(_ server: NodeID) async throws {
        let process = try #require(self.process(server))
        let deadline = ContinuousClock.now + .seconds(Self.patienceSeconds)
        while !Loopback.accepts(port: port(server)) {
            if let end = process.currentEnd { throw ProcessError.endedEarly(process.name, end, output: log(server)) }
            guard ContinuousClock.now < deadline else {
                throw ProcessError.stillRunning("\(process.name), without listening,", seconds: Self.patienceSeconds)
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        if let end = process.currentEnd { throw ProcessError.endedEarly(process.name, end, output: log(server)) }
    }

    func process(_ server: NodeID) -> ChildProcess? { processes.withLock { $0[server] } }

    func isAlive(_ server: NodeID) -> Bool { process(server).map { $0.currentEnd == nil } ?? false }

    /// kill -9.
    func kill(_ server: NodeID) { process(server)?.destroy() }

    /// SIGSTOP: the machine still answers TCP, the server nothing.
    func freeze(_ server: NodeID) { process(server)?.signal(SIGSTOP) }
    func thaw(_ server: NodeID) { process(server)?.signal(SIGCONT) }

    /// Starts the server again with another line in its server.toml, ahead of what is there.
    func restart(_ server: NodeID, with setting: String) async throws {
        kill(server)
        try set(server, setting)
        try await start(server)
    }

    /// Puts a line into the server's server.toml, ahead of what is there.
    func set(_ server: NodeID, _ setting: String) throws {
        let file = "\(home(server))/server.toml"
        try File.write(file, Array("\(setting)\n\(File.text(file))".utf8))
    }

    /// SIGTERM, and waits for the end.
    func terminate(_ server: NodeID) async throws -> ProcessEnd {
        let process = try #require(self.process(server))
        process.signal(SIGTERM)
        return try await process.wait(seconds: Self.patienceSeconds)
    }

    func killAll() {
        for server in servers { process(server)?.signal(SIGKILL) }
        for server in servers { kill(server) }
    }

    // MARK: Clients

    func clientHome(_ name: String = "first") throws -> ClientHome {
        try ClientHome(clusterDirectory: directory, client: name)
    }

    /// Runs `body` with a client that is closed afterwards.
    @discardableResult
    func withClient<R>(
        _ name: String = "first", timeoutMilliseconds: Int = 30_000, retransmitMilliseconds: Int = 500,
        _ body: (ObjectClient) async throws -> R
    ) async throws -> R {
        var options = ClientOptions()
        options.timeoutMilliseconds = timeoutMilliseconds
        options.retransmitMilliseconds = retransmitMilliseconds
        let client = try ObjectClient(home: clientHome(name), options: options)
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Makes the bucket without which the command line stores nothing in it.
    func makeBucket(_ name: String) async throws {
        try await withClient { client in _ = try await client.createBucket(name) }
    }

    /// Runs the command line against this cluster.
    func run(_ arguments: [String], seconds: Double = 60) async throws -> CommandResult {
        try await Executable.run(arguments, in: directory, seconds: seconds)
    }

    /// Stores values under keys of the label's own and reads them back.
    @discardableResult
    func checkOperations(
        _ client: ObjectClient, _ label: String, sizesBytes: [Int]? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> [StoredValue] {
        var generator = SeededGenerator(label)
        let stored = try (sizesBytes ?? Self.sizesBytes(stripeSizeBytes)).map { size in
            StoredValue(key: try ObjectKey("tests/\(label)/\(size)"), value: generator.bytes(size))
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for item in stored { group.addTask { _ = try await client.put(item.key, item.value) } }
            try await group.waitForAll()
        }
        try await check(stored, client, sourceLocation: sourceLocation)
        return stored
    }

    /// Every value reads back as it was stored.
    func check(
        _ stored: [StoredValue], _ client: ObjectClient, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for item in stored {
                group.addTask {
                    let object = try await client.get(item.key)
                    #expect(object.value == item.value, "\(item.key)", sourceLocation: sourceLocation)
                }
            }
            try await group.waitForAll()
        }
    }

    /// So it is also for somebody who knows nothing yet.
    func check(_ stored: [StoredValue], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await withClient { try await check(stored, $0, sourceLocation: sourceLocation) }
    }

    /// Nothing, one byte, less than a fragment's alignment, an inline bound, a large one, and the largest.
    static func sizesBytes(_ stripeSizeBytes: Int) -> [Int] { [0, 1, 5, 64 << 10, 1 << 20, stripeSizeBytes] }
}

/// What an object is known to hold.
struct StoredValue: Sendable {
    let key: ObjectKey
    let value: SharedBytes
}

/// Runs `body` with a cluster whose servers all run, and ends them in every case.
func withCluster<R>(
    faults: Int = 1, dataFragmentCount: Int? = nil, starts: Bool = true, clientNames: [String] = ["first"],
    storage: StorageOptions = StorageOptions(), change: (inout NewCluster) -> Void = { _ in },
    _ body: (TestCluster) async throws -> R
) async throws -> R {
    try await withTemporaryDirectory { directory in
        let cluster = try TestCluster(
            directory: directory + "/cluster", faults: faults, dataFragmentCount: dataFragmentCount,
            clientNames: clientNames, storage: storage, change: change)
        defer { cluster.killAll() }
        if starts { try await cluster.startAll() }
        return try await body(cluster)
    }
}

/// One cluster for all tests of a suite, which leave every server running and in order; for those that ask for another
/// mode than the cluster's, one more in each mode.
struct SharedCluster: SuiteTrait, TestScoping {
    let change: @Sendable (inout NewCluster) -> Void

    @TaskLocal private static var running: SharedClusters?

    /// The suite's cluster.
    static var current: TestCluster {
        get throws { try suite().first }
    }

    /// The suite's cluster in a mode.
    static func current(in mode: VerificationMode) async throws -> TestCluster {
        try await suite().cluster(in: mode)
    }

    private static func suite() throws -> SharedClusters {
        try #require(running, "the suite has no shared cluster")
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let clusters = try SharedClusters(directory: directory, change: change)
            defer { clusters.killAll() }
            try await clusters.first.startAll()
            try await Self.$running.withValue(clusters) { try await function() }
        }
    }
}

/// A suite's clusters by mode. They run until the suite ends: each of its tests goes through all modes, and starting a
/// cluster costs more than to let it idle.
private final class SharedClusters: Sendable {
    let first: TestCluster
    private let directory: String
    private let change: @Sendable (inout NewCluster) -> Void
    private let others: Mutex<[VerificationMode: TestCluster]> = Mutex([:])

    init(directory: String, change: @escaping @Sendable (inout NewCluster) -> Void) throws {
        self.directory = directory
        self.change = change
        first = try TestCluster(directory: directory + "/cluster", change: change)
    }

    /// For tests that take turns: two that ask at once for a mode's first cluster would make two.
    func cluster(in mode: VerificationMode) async throws -> TestCluster {
        if mode == first.mode { return first }
        if let running = others.withLock({ $0[mode] }) { return running }
        let cluster = try TestCluster(directory: "\(directory)/\(mode)") { plan in
            change(&plan)
            plan.mode = mode
        }
        // Known before it runs, so that its servers are killed also when some of them do not start.
        others.withLock { $0[mode] = cluster }
        try await cluster.startAll()
        return cluster
    }

    func killAll() {
        first.killAll()
        for cluster in others.withLock({ Array($0.values) }) { cluster.killAll() }
    }
}

extension Trait where Self == SharedCluster {
    static var sharedCluster: Self { sharedCluster { _ in } }

    static func sharedCluster(_ change: @escaping @Sendable (inout NewCluster) -> Void) -> Self {
        SharedCluster(change: change)
    }
}

extension Array where Element == NodeID {
    /// The four servers of the smallest cluster.
    static var four: [NodeID] { (0..<4).map { NodeID($0) } }
}
