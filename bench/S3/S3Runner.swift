// The measurements of `solidus-bench s3`, one after the other on one cluster.

import BenchmarkResults
import ClusterFiles
import ErasureCode
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import QuorumServer
import S3Wire
import StoreSeeding

/// What is measured, and how long.
struct S3Plan: Sendable {
    let sizes: [ByteSize]
    let clientCount: Int
    let seconds: Double
    let rounds: Int
    let idleCount: Int
    let activeCount: Int
    let largeBytes: Int
    let objectCount: Int
    let peer: (port: Int, identity: S3Identity)?
}

final class S3Runner {
    private static let gatewayName = "gateway"
    private static let seededSizeBytes = 256
    private static let seededBucket = "seeded"
    /// PUTs of each client before anything is measured: keys that are used often get tables.
    private static let warmUpCount = 100
    /// Of each client, how many objects it goes round among: as many as the library's clients do.
    private static let objectCount = Load.ownObjectCount
    /// What operations leave to be done is done by then.
    private static let restMicroseconds: UInt32 = 300_000
    private static let idleMemoryMax = ModeTarget.Bound.atMost(512)
    private static let transferMemoryMax = ModeTarget.Bound.atMost(512)
    private static let listingMin = ModeTarget.Bound.atLeast(30_000)
    /// By size: what the gateway may add to an operation's processor time, in milliseconds.
    private static let addedMax: [Int: ModeTarget.Bound] = [64 << 10: .atMost(0.5), 1 << 20: .atMost(3)]

    private let plan: S3Plan
    private let cluster: BenchmarkCluster
    private let gateway: GatewayChild
    private var figures: [PromisedFigure] = []

    /// - Parameter seeds: whether there is to be a bucket to list.
    init(_ plan: S3Plan, seeds: Bool, program: String, directory: String, leftovers: Leftovers.Removals) throws {
        self.plan = plan
        let clusterPlan = ClusterPlan(
            faults: 1, dataFragmentCount: 2, serverCount: 4, identityCount: 1, program: program)
        let path = directory + "/cluster"
        let cluster = try BenchmarkCluster(
            clusterPlan, variant: Variant(mode: .fingerprint, without: [.partialWrites]), directory: path
        ) {
            _ = try OperatorHome(clusterDirectory: path).add(NewClient(name: Self.gatewayName))
            try GatewayHome.make(Self.gatewayName, clusterDirectory: path, settings: GatewaySettings())
            guard seeds else { return }
            Progress.say("seeding \(plan.objectCount) objects")
            let seed = SeedPlan(
                bucket: Self.seededBucket, objectCount: plan.objectCount, valueSizeBytes: Self.seededSizeBytes)
            try StoreSeeder(seed, clusterDirectory: path).run()
        }
        for server in cluster.servers { leftovers.add { server.kill() } }
        self.cluster = cluster
        let gateway = try GatewayChild(Self.gatewayName, cluster: path, program: program)
        leftovers.add { gateway.kill() }
        self.gateway = gateway
    }

    private var target: S3Target { S3Target(port: gateway.port, identity: gateway.identity) }

    func run(_ sections: Set<S3Section>) throws -> [PromisedFigure] {
        defer { remove() }
        let cluster = cluster
        try waiting { _ = try await cluster.clients[0].createBucket(S3Load.bucket) }
        try ServerRest.wait(for: cluster.servers)
        if sections.contains(.listing) { try list() }
        if sections.contains(.operations) { try operate() }
        if sections.contains(.connections) { try connect() }
        if sections.contains(.transfers) { try transfer() }
        return figures
    }

    private func remove() {
        gateway.kill()
        let cluster = cluster
        try? waiting { await cluster.remove() }
    }

    private func add(_ name: String, _ value: Double, _ unit: String, _ bound: ModeTarget.Bound? = nil) {
        figures.append(PromisedFigure(name, value, unit, bound: bound))
        Progress.say("\(name): \(brief(value)) \(unit)")
    }

    // MARK: Operations

    /// One way's measurements, a value a round.
    private struct Rounds {
        var perSecond: [Double] = []
        var p50: [Double] = []
        var p99: [Double] = []
        /// Of all processes but the load generator, in milliseconds an operation.
        var processor: [Double] = []
        /// Of the gateway's, or where there is none of the library's.
        var own: [Double] = []
    }

    private enum Way: String { case library, gateway, peer }

    private func operate() throws {
        var ways: [Way] = [.library, .gateway]
        if let peer = plan.peer {
            ways.append(.peer)
            let answer = try S3Target(port: peer.port, identity: peer.identity).caller()
                .call(S3Call("PUT", "/\(S3Load.bucket)"))
            guard [200, 409].contains(answer.status) else {
                throw BenchmarkError.unusable(path: "the peer's bucket", reason: "status \(answer.status)")
            }
        }
        for size in plan.sizes {
            let clientCount = max(1, min(plan.clientCount, (128 << 20) / size.bytes))
            for operation in [BenchmarkOperation.put, .get] {
                var rounds: [Way: Rounds] = [:]
                for round in 0..<plan.rounds {
                    for way in ways {
                        if round == 0 { _ = try measure(way, operation, size, clientCount, isWarmUp: true) }
                        let (outcome, processor) = try measure(way, operation, size, clientCount, isWarmUp: false)
                        let count = Double(outcome.operationCount)
                        rounds[way, default: Rounds()].perSecond.append(count / outcome.seconds)
                        rounds[way, default: Rounds()].p50.append(outcome.microseconds(atPercentile: 50) / 1000)
                        rounds[way, default: Rounds()].p99.append(outcome.microseconds(atPercentile: 99) / 1000)
                        rounds[way, default: Rounds()].processor.append(processor.all / count * 1000)
                        rounds[way, default: Rounds()].own.append(processor.own / count * 1000)
                    }
                }
                tell(rounds, ways, operation, size)
            }
        }
    }

    private func tell(_ rounds: [Way: Rounds], _ ways: [Way], _ operation: BenchmarkOperation, _ size: ByteSize) {
        for way in ways {
            guard let found = rounds[way] else { continue }
            let name = "\(operation.rawValue) \(size), \(way.rawValue)"
            add("\(name), operations", median(found.perSecond), "1/s")
            add("\(name), p50", median(found.p50), "ms")
            add("\(name), p99", median(found.p99), "ms")
            guard way != .peer else { continue }
            add("\(name), processor time", median(found.processor), "ms")
            add("\(name), of that without the servers", median(found.own), "ms")
        }
        guard let gateway = rounds[.gateway], let library = rounds[.library] else { return }
        let added = zip(gateway.processor, library.processor).map { $0 - $1 }
        add(
            "\(operation.rawValue) \(size), what the gateway adds to the processor time", median(added), "ms",
            Self.addedMax[size.bytes])
        if let peer = rounds[.peer] {
            let ratios = zip(gateway.perSecond, peer.perSecond).map { $0 / $1 }
            add("\(operation.rawValue) \(size), operations of the gateway / the peer's", median(ratios), "")
        }
    }

    /// - Returns: also the processor time, in seconds, of all processes but the load generator.
    private func measure(
        _ way: Way, _ operation: BenchmarkOperation, _ size: ByteSize, _ clientCount: Int, isWarmUp: Bool
    ) throws -> (LoadOutcome, Processor) {
        let seconds = isWarmUp ? 0 : plan.seconds
        // A GET reads what the warm-up's PUTs stored.
        let warmUpCount = size.bytes >= 1 << 20 ? Self.objectCount : Self.warmUpCount
        let count = isWarmUp && operation == .put ? warmUpCount : 1
        usleep(Self.restMicroseconds)
        let before = try processorTime(way)
        let outcome: LoadOutcome
        switch way {
        case .library:
            let load = Load(
                cluster: cluster,
                workload: Workload(
                    faults: 1, dataFragmentCount: 2, operation: operation == .put ? .overwrite : .get, size: size,
                    clientCount: clientCount), value: RandomBytes.block(sizeBytes: size.bytes))
            if isWarmUp, operation == .get {
                // What GETs read has names of its own.
                let stored = Load(
                    cluster: cluster,
                    workload: Workload(
                        faults: 1, dataFragmentCount: 2, operation: .put, size: size, clientCount: clientCount),
                    value: load.value)
                try waiting { _ = try await stored.run(seconds: 0, operationCountMin: Self.objectCount) }
            }
            outcome = try waiting { try await load.run(seconds: seconds, operationCountMin: count) }
        case .gateway:
            outcome = try s3Load(target, operation, size, clientCount).run(
                seconds: seconds, operationCountMin: count)
        case .peer:
            guard let peer = plan.peer else { preconditionFailure("no peer to measure") }
            outcome = try s3Load(
                S3Target(port: peer.port, identity: peer.identity), operation, size, clientCount
            ).run(seconds: seconds, operationCountMin: count)
        }
        usleep(Self.restMicroseconds)
        let after = try processorTime(way)
        return (outcome, Processor(all: after.all - before.all, own: after.own - before.own))
    }

    private func s3Load(
        _ target: S3Target, _ operation: BenchmarkOperation, _ size: ByteSize, _ clientCount: Int
    ) -> S3Load {
        S3Load(
            target: target, operation: operation, size: size, clientCount: clientCount,
            objectCount: Self.objectCount)
    }

    /// Processor time in seconds: of servers and client, and of the client alone.
    private struct Processor {
        var all = 0.0
        var own = 0.0
    }

    private func processorTime(_ way: Way) throws -> Processor {
        let client: pid_t
        switch way {
        case .library: client = getpid()
        case .gateway: client = gateway.processID
        case .peer: return Processor()
        }
        let own = try ProcessorTime.seconds(of: client)
        return Processor(
            all: try cluster.servers.reduce(own) { $0 + (try ProcessorTime.seconds(of: $1.processID)) }, own: own)
    }

    // MARK: Connections

    private func gatewayPeak() throws -> Double {
        Double(try PeakMemory.bytes(of: gateway.processID)) / Double(1 << 20)
    }

    private func connect() throws {
        guard let limit = DescriptorLimit.raise(), limit > plan.idleCount + plan.activeCount + 100 else {
            throw BenchmarkError.unusable(
                path: "\(plan.idleCount + plan.activeCount) connections",
                reason: "this process may not have as many files open")
        }
        try PeakMemory.reset(of: gateway.processID)
        add("the gateway's memory before", try gatewayPeak(), "MiB")
        var idle: [S3Caller] = []
        for _ in 0..<plan.idleCount {
            // One that was used, as those that clients keep are.
            let caller = target.caller()
            _ = try caller.call(S3Call("GET", "/-/live"))
            idle.append(caller)
        }
        add("\(plan.idleCount) idle connections, peak memory", try gatewayPeak(), "MiB", Self.idleMemoryMax)
        for operation in [BenchmarkOperation.put, .get] {
            let load = S3Load(
                target: target, operation: operation, size: ByteSize(bytes: 64 << 10), clientCount: plan.activeCount,
                objectCount: 1)
            let outcome = try load.run(seconds: plan.seconds)
            let name = "\(plan.activeCount) connections that \(operation.rawValue) 64KiB beside them"
            add("\(name), operations", Double(outcome.operationCount) / outcome.seconds, "1/s")
            add("\(name), p99", outcome.microseconds(atPercentile: 99) / 1000, "ms")
            add("\(name), peak memory", try gatewayPeak(), "MiB", Self.idleMemoryMax)
        }
        withExtendedLifetime(idle) {}
    }

    // MARK: Transfers and listings

    private func transfer() throws {
        let transfer = S3Transfer(target: target, sizeBytes: plan.largeBytes)
        for (name, work) in [("the large object in", transfer.put), ("the large object out", transfer.get)] {
            try PeakMemory.reset(of: gateway.processID)
            let before = try gatewayPeak()
            let seconds = try work()
            add("\(name), rate", Double(plan.largeBytes) / seconds / Double(1 << 20), "MiB/s")
            add("\(name), peak memory of the gateway", try gatewayPeak(), "MiB", Self.transferMemoryMax)
            add("\(name), of that before it", before, "MiB")
        }
    }

    private func list() throws {
        let listing = S3Listing(target: target, bucket: Self.seededBucket, objectCount: plan.objectCount)
        let before = try processorTime(.gateway).all
        let perSecond = try listing.run()
        let used = try processorTime(.gateway).all - before
        add("ListObjectsV2 of \(plan.objectCount) keys", perSecond, "1/s", Self.listingMin)
        add("the same, processor time a thousand keys", used / Double(plan.objectCount) * 1e6, "ms")
    }
}
