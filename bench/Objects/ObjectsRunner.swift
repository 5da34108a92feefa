// The measurements of `solidus-bench objects`, one after the other on one cluster.

import BenchmarkResults
import ErasureCode
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import StoreSeeding

struct ObjectsRunner {
    /// More than one stripe, whatever the cluster's largest.
    static let largeSizeBytesMin = 16 << 20
    private static let seededSizeBytes = 256
    private static let clientCount = 16
    private static let identityCount = 4
    /// PUTs of each client before anything is measured: keys that are used often get tables.
    private static let warmUpCount = 300
    /// What each spell of a limit is measured with, at most.
    private static let limitSizeBytesMax = 1 << 30
    /// The best of some spells is the limit: what else the machine did only makes it less.
    private static let spellCount = 3
    private static let serverMemoryMax = ModeTarget.Bound.atMost(300)
    private static let transferMemoryMax = ModeTarget.Bound.atMost(256)

    let largeSizeBytes: Int
    let seconds: Double
    let readCount: Int
    let plain: SeedPlan
    let lagging: SeedPlan
    let directory: String
    let leftovers: Leftovers.Removals
    let cluster: BenchmarkCluster
    private let largeKey: ObjectKey
    /// Of the servers that run: others than the cluster began with, once these were killed.
    private var servers: [ServerChild]
    private var figures: [PromisedFigure] = []

    init(
        objectCount: Int, laggingCount: Int, lackingCount: Int, largeSizeBytes: Int, mode: VerificationMode,
        seconds: Double, readCount: Int, program: String, directory: String, leftovers: Leftovers.Removals
    ) throws {
        self.largeSizeBytes = largeSizeBytes
        self.seconds = seconds
        self.readCount = readCount
        self.directory = directory
        self.leftovers = leftovers
        largeKey = try ObjectKey("bench/large")
        let clusterPlan = ClusterPlan(
            faults: 1, dataFragmentCount: 2, serverCount: 4, identityCount: Self.identityCount, program: program)
        let plain = SeedPlan(bucket: "plain", objectCount: objectCount, valueSizeBytes: Self.seededSizeBytes)
        let lagging = SeedPlan(
            bucket: "lagging", objectCount: laggingCount, valueSizeBytes: Self.seededSizeBytes,
            laggard: (NodeID(UInt16(clusterPlan.serverCount - 1)), lackingCount))
        self.plain = plain
        self.lagging = lagging
        let path = directory + "/cluster"
        var seeding = 0.0
        cluster = try BenchmarkCluster(
            clusterPlan, variant: Variant(mode: mode, without: [.partialWrites]), directory: path
        ) {
            // What lags is to lag while it is measured.
            for server in 0..<clusterPlan.serverCount {
                let settings = try FileHandle(
                    forWritingTo: URL(fileURLWithPath: "\(path)/servers/\(server)/server.toml"))
                try settings.seekToEnd()
                try settings.write(contentsOf: Data("repair_mib_per_second = 0\nanti_entropy_seconds = 0\n".utf8))
                try settings.close()
            }
            for plan in [plain, lagging] {
                Progress.say("seeding \(plan.objectCount) objects into \(plan.bucket)/")
                let start = ContinuousClock.now
                try StoreSeeder(plan, clusterDirectory: path).run()
                seeding += (ContinuousClock.now - start).inSeconds
            }
        }
        servers = cluster.servers
        for server in servers { leftovers.add { server.kill() } }
        figures.append(PromisedFigure("seeding all objects", seeding, "s"))
    }

    /// Measures all, or listings only, and removes the cluster.
    mutating func run(listingsOnly: Bool) throws -> [PromisedFigure] {
        defer { remove() }
        try warmUp()
        try list()
        if listingsOnly { return figures }
        try putSmall()
        let limits = try measureLimits()
        try transfer(limits)
        try readRanges()
        try restart()
        return figures
    }

    private func remove() {
        for server in servers { server.kill() }
        let cluster = cluster
        try? waiting { await cluster.remove() }
    }

    private func load(_ operation: BenchmarkOperation, sizeBytes: Int) -> Load {
        Load(
            cluster: cluster,
            workload: Workload(
                faults: 1, dataFragmentCount: 2, operation: operation, size: ByteSize(bytes: sizeBytes),
                clientCount: Self.clientCount),
            value: RandomBytes.block(sizeBytes: sizeBytes))
    }

    private func warmUp() throws {
        let load = load(.put, sizeBytes: 4 << 10)
        try waiting {
            _ = try await load.run(seconds: 0, operationCountMin: Self.warmUpCount)
            try await load.cluster.settle()
        }
    }

    // MARK: Memory

    private func resetPeaks() throws {
        for server in servers { try PeakMemory.reset(of: server.processID) }
    }

    /// The largest peak of any server, in MiB.
    private func serverPeak() throws -> Double {
        Double(try servers.map { try PeakMemory.bytes(of: $0.processID) }.max() ?? 0) / Double(1 << 20)
    }

    private mutating func add(
        _ name: String, _ value: Double, _ unit: String, _ bound: ModeTarget.Bound? = nil
    ) {
        figures.append(PromisedFigure(name, value, unit, bound: bound))
        Progress.say("\(name): \(brief(value)) \(unit)")
    }

    // MARK: Listing

    private mutating func list() throws {
        try ServerRest.wait(for: servers)
        let client = cluster.clients[0]
        for (plan, what) in [(plain, "listing"), (lagging, "listing with a lagging server")] {
            let before = try cluster.readProcessorTimes()
            let found = try waiting { try await ListingRun.run(plan, by: client) }
            let after = try cluster.readProcessorTimes()
            let pageCount = Double(plan.objectCount) / Double(ListingRun.pageSize)
            add("\(what), keys", found.keysPerSecond, "1/s", .atLeast(50_000))
            add("\(what), page of \(ListingRun.pageSize), median", found.pageMilliseconds, "ms", .atMost(50))
            add("\(what), processor time of the client a page", (after.client - before.client) / pageCount * 1e3, "ms")
            add(
                "\(what), processor time of all servers a page", (after.servers - before.servers) / pageCount * 1e3,
                "ms")
        }
        try listOpen()
    }

    /// With the laggard among the three that answer, what it lacks has to be read, and is brought to it.
    private mutating func listOpen() throws {
        guard let lackingCount = lagging.laggard?.missingCount, lackingCount > 0 else { return }
        let (client, plan) = (cluster.clients[0], lagging)
        servers[0].kill()
        let processes = [getpid()] + servers.dropFirst().map(\.processID)
        let before = try processes.map(ProcessorTime.seconds)
        let found = try waiting { try await ListingRun.run(plan, by: client) }
        let used = zip(try processes.map(ProcessorTime.seconds), before).map { ($0 - $1) / Double(lackingCount) * 1e3 }
        let seconds = Double(plan.objectCount) / found.keysPerSecond
        add("listing with a lagging server and one that is down, keys", found.keysPerSecond, "1/s")
        add("the same, objects that it has to read, of all its time", Double(lackingCount) / seconds, "1/s")
        add("the same, processor time of the client for each of these", used[0], "ms")
        add("the same, of the laggard", used[used.count - 1], "ms")
        add("the same, of each other server", used[1..<used.count - 1].reduce(0, +) / Double(used.count - 2), "ms")
        _ = try restarted([0])
    }

    // MARK: Values

    private mutating func putSmall() throws {
        let load = load(.put, sizeBytes: 1 << 20)
        try resetPeaks()
        let seconds = seconds
        let outcome = try waiting { try await load.run(seconds: seconds) }
        add("\(Self.clientCount) clients PUT 1MiB", Double(outcome.operationCount) / outcome.seconds, "MiB/s")
        add("the same, peak memory of a server", try serverPeak(), "MiB", Self.serverMemoryMax)
    }

    private struct Limits {
        let store: Double
        let sending: Double
        let receiving: Double
    }

    /// In bytes of values a second.
    private mutating func measureLimits() throws -> Limits {
        let quorums = cluster.clients[0].parameters.quorums
        let size = min(largeSizeBytes, Self.limitSizeBytesMax)
        func best(_ spell: (Int) throws -> Double) rethrows -> Double {
            try (0..<Self.spellCount).map(spell).max() ?? 0
        }
        let store = try best { spell in
            try StoreLimit.valueBytesPerSecond(
                quorums, stripeSizeBytes: 1 << 20, valueSizeBytes: size, directory: "\(directory)/limit-\(spell)")
        }
        let home = cluster.servers[0].home
        func stream(_ direction: StreamLimit.Direction) throws -> Double {
            try best { _ in
                try StreamLimit.bytesPerSecond(
                    direction, connectionCount: quorums.serverCount, sizeBytes: size, serverHome: home)
            }
        }
        let expansion = Double(quorums.serverCount) / Double(quorums.dataFragmentCount)
        let limits = Limits(
            store: store, sending: try stream(.fromClient) / expansion, receiving: try stream(.toClient))
        add("limit: the stores alone, synced, bytes of values", limits.store / Double(1 << 20), "MiB/s")
        add("limit: TLS alone, to the servers, bytes of values", limits.sending / Double(1 << 20), "MiB/s")
        add("limit: TLS alone, from the servers", limits.receiving / Double(1 << 20), "MiB/s")
        return limits
    }

    private mutating func transfer(_ limits: Limits) throws {
        for direction in TransferDirection.allCases {
            try resetPeaks()
            let report = try TransferChild.run(
                direction, largeKey, sizeBytes: UInt64(largeSizeBytes), cluster: cluster.directory,
                leftovers: leftovers)
            let rate = Double(largeSizeBytes) / report.seconds
            let name = direction == .put ? "the large object in" : "the large object out"
            add(name, report.seconds, "s")
            add("\(name), rate", rate / Double(1 << 20), "MiB/s")
            switch direction {
            case .put:
                add("\(name), rate / limit of the stores", rate / limits.store, "")
                add("\(name), rate / limit of TLS", rate / limits.sending, "")
            case .get:
                add("\(name), rate / limit of TLS", rate / limits.receiving, "")
            }
            let memory = Double(report.peakMemoryBytes) / Double(1 << 20)
            add("\(name), peak memory of the client", memory, "MiB", Self.transferMemoryMax)
            add("\(name), peak memory of a server", try serverPeak(), "MiB", Self.transferMemoryMax)
        }
    }

    private mutating func readRanges() throws {
        let run = RangeRun(
            cluster: cluster, servers: servers, key: largeKey, sizeBytes: UInt64(largeSizeBytes), readCount: readCount)
        let found = try waiting { try await run.run() }
        let what = "range of 64KiB of the large object"
        add("\(what), median", found.rangeMilliseconds, "ms")
        add("GET of an object of 1MiB, median", found.objectMilliseconds, "ms")
        add("\(what) / GET of 1MiB", found.rangeMilliseconds / found.objectMilliseconds, "", .atMost(1.5))
        add("\(what), received", found.receivedBytes / Double(1 << 20), "MiB")
        add("\(what), requests that the servers answered", found.requests, "")
        add("\(what), rounds until it is open", found.openingRounds, "")
    }

    // MARK: Restart

    private mutating func restart() throws {
        let count = plain.objectCount + lagging.objectCount
        let seconds = seconds
        // So that something waits for the index when the servers are killed.
        let load = load(.put, sizeBytes: 4 << 10)
        try waiting { _ = try await load.run(seconds: min(2, seconds)) }
        let alone = try restarted([0])
        add("start of a server after kill -9, \(count) objects", alone, "s", .atMost(5))
        let together = try restarted(Array(servers.indices))
        add("the same, all servers at once, until an object was read", together, "s")
        try resetPeaks()
        let run = SeededReads(plan: plain, clients: cluster.clients, loopCount: Self.clientCount)
        let reads = try waiting {
            async let writing = load.run(seconds: seconds)
            let reads = try await run.run(seconds: seconds)
            _ = try await writing
            return reads
        }
        add("after that, GETs of seeded objects beside as many PUTs of 4KiB", Double(reads) / seconds, "1/s")
        add("the same, peak memory of a server", try serverPeak(), "MiB", Self.serverMemoryMax)
    }

    /// Kills servers and starts them again; the seconds until they serve.
    private mutating func restarted(_ indices: [Int]) throws -> Double {
        for index in indices { servers[index].kill() }
        let start = ContinuousClock.now
        for index in indices {
            let server = try ServerChild(
                index: index, home: servers[index].home, program: cluster.plan.program, network: nil)
            leftovers.add { server.kill() }
            servers[index] = server
        }
        for index in indices { try servers[index].waitUntilReady() }
        if indices.count == servers.count {
            let client = cluster.clients[0]
            let plan = plain
            _ = try waiting { try await client.get(plan.key(0)) }
        }
        return (ContinuousClock.now - start).inSeconds
    }
}
