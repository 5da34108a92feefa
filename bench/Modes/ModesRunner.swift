// Runs settings in interleaved rounds: in each round every variant does each workload once, one after the other in an
// order that rotates, while the other variants' clusters stand idle, so that a slow moment of the machine hits all
// alike.

import BenchmarkResults
import ErasureCode
import Foundation
import QuorumProtocol

/// Measures settings.
struct ModesRunner: Sendable {
    /// Seconds of load in a measurement; before it comes a warm-up of half as long.
    let seconds: Double
    let rounds: Int
    /// How many PUTs each client does one after the other on a new cluster before anything is measured. Servers and
    /// clients that run for long have long made the tables with which they check each other's signatures; making them
    /// takes seconds of a processor in a large cluster, which short measurements must not take for the cost of a PUT.
    let warmUpOperationCount: Int
    let identityCount: Int
    let program: String
    let network: ShapedNetwork?
    /// Where clusters are made, each in a directory of its own.
    let directory: String
    /// Where servers are entered, so that none outlives an interrupted run's files.
    let leftovers: Leftovers.Removals
    /// Told how it goes on, for people.
    let progress: @Sendable (String) -> Void

    /// No longer than operations wait for their time to be over.
    private static let pauseSecondsMax = 5.0
    /// The fewest objects that GETs choose from.
    private static let objectCountMin = 64
    private static let warmUpSize = ByteSize(bytes: 4 << 10)

    private struct Shape: Hashable {
        let faults: Int
        let dataFragmentCount: Int
    }

    /// Measures every setting in every round. Clusters of one shape are up together, one shape after the other.
    func run(_ settings: [Setting]) throws -> SampleBook {
        var book = SampleBook()
        let shapes = Dictionary(grouping: settings) {
            Shape(faults: $0.workload.faults, dataFragmentCount: $0.workload.dataFragmentCount)
        }
        for shape in shapes.keys.sorted(by: { ($0.faults, $0.dataFragmentCount) < ($1.faults, $1.dataFragmentCount) }) {
            try run(shape, shapes[shape] ?? [], into: &book)
        }
        return book
    }

    private func run(_ shape: Shape, _ settings: [Setting], into book: inout SampleBook) throws {
        let plan = ClusterPlan(
            faults: shape.faults, dataFragmentCount: shape.dataFragmentCount,
            serverCount: shape.dataFragmentCount + 2 * shape.faults,
            identityCount: min(identityCount, settings.map(\.workload.clientCount).max() ?? 1), program: program,
            network: network)
        var seen: Set<Variant> = []
        let variants = settings.map(\.variant).filter { seen.insert($0).inserted }
        let chosen = Set(settings)
        var clusters: [Variant: BenchmarkCluster] = [:]
        defer {
            let all = Array(clusters.values)
            try? waiting { for cluster in all { await cluster.remove() } }
        }
        for (number, variant) in variants.enumerated() {
            let serverCount = shape.dataFragmentCount + 2 * shape.faults
            progress("starting \(serverCount) servers, f = \(shape.faults), mode \(variant)")
            let cluster = try BenchmarkCluster(
                plan, variant: variant,
                directory: "\(directory)/\(variant.mode)-\(shape.faults)-\(shape.dataFragmentCount)-\(number)")
            clusters[variant] = cluster
            leftovers.add { for server in cluster.servers { server.kill() } }
            if warmUpOperationCount > 0 { try waiting { try await self.warmUp(cluster) } }
        }
        for round in 0..<rounds {
            for workload in Self.inOrder(settings) {
                for variant in Self.inOrder(variants, round: round) {
                    let setting = Setting(mode: variant.mode, without: variant.without, workload: workload)
                    guard chosen.contains(setting), let cluster = clusters[variant] else { continue }
                    let sample = try waiting { try await self.measure(workload, on: cluster) }
                    book.note(sample, of: setting, round: round)
                    let rate = Figure.operationsPerSecond.value(of: sample, size: workload.size)
                    progress("round \(round + 1) of \(rounds): \(setting): \(brief(rate)) operations/s")
                }
            }
        }
    }

    /// Every order is followed by its reverse, and then another variant begins, so that what one leaves behind in the
    /// machine does not always meet the same one next.
    private static func inOrder(_ variants: [Variant], round: Int) -> [Variant] {
        let rotated = variants.indices.map { variants[($0 + round / 2) % variants.count] }
        return round.isMultiple(of: 2) ? rotated : rotated.reversed()
    }

    /// The workloads, each once: those that write before those that read what was written.
    private static func inOrder(_ settings: [Setting]) -> [Workload] {
        var seen: Set<Workload> = []
        return settings.map(\.workload).filter { seen.insert($0).inserted }.sorted {
            ($0.size.bytes, $0.clientCount, $0.operation) < ($1.size.bytes, $1.clientCount, $1.operation)
        }
    }

    /// One measurement of a workload, after its warm-up.
    func measure(_ workload: Workload, on cluster: BenchmarkCluster) async throws -> Sample {
        let value = RandomBytes.block(sizeBytes: workload.size.bytes)
        let load = Load(cluster: cluster, workload: workload, value: value)
        if !workload.operation.isWrite, cluster.objectCount(workload.size) < Self.objectCountMin {
            try await fill(cluster, workload, value)
        }
        _ = try await load.run(seconds: seconds / 2)
        try await cluster.settle()
        if workload.operation.isWrite { try await cluster.finishLaterWork() }
        let before = try cluster.readBefore()
        let outcome =
            workload.operation == .getDuringPause
            ? try await runWithPause(load) : try await load.run(seconds: seconds)
        try await cluster.settle()
        let after = try cluster.readAfter()
        var later = after
        if workload.operation.isWrite, cluster.variant.mode == .lazy {
            try await cluster.finishLaterWork()
            later = try cluster.readAfter()
        }

        var sample = Sample()
        sample.operationCount = outcome.operationCount
        sample.roundCount = outcome.roundCount
        sample.seconds = outcome.seconds
        sample.p50Microseconds = outcome.microseconds(atPercentile: 50)
        sample.p99Microseconds = outcome.microseconds(atPercentile: 99)
        sample.p999Microseconds = outcome.microseconds(atPercentile: 99.9)
        sample.clientCPUSeconds = after.clientCPUSeconds - before.clientCPUSeconds
        sample.serverCPUSeconds = after.serverCPUSeconds - before.serverCPUSeconds
        sample.laterServerCPUSeconds = later.serverCPUSeconds - after.serverCPUSeconds
        sample.sentBytes = after.sentBytes - before.sentBytes
        sample.receivedBytes = after.receivedBytes - before.receivedBytes
        sample.verificationBytes = later.verificationBytes - before.verificationBytes
        sample.diskBytes = after.diskBytes - before.diskBytes
        sample.signatureCount = after.signatures - before.signatures
        sample.groupCommitCount = after.groupCommits - before.groupCommits
        return sample
    }

    private func warmUp(_ cluster: BenchmarkCluster) async throws {
        let workload = Workload(
            faults: cluster.plan.faults, dataFragmentCount: cluster.plan.dataFragmentCount, operation: .put,
            size: Self.warmUpSize, clientCount: cluster.clients.count)
        let load = Load(
            cluster: cluster, workload: workload, value: RandomBytes.block(sizeBytes: Self.warmUpSize.bytes))
        _ = try await load.run(seconds: 0, operationCountMin: warmUpOperationCount)
        try await cluster.settle()
        try await cluster.finishLaterWork()
    }

    /// The load of a measurement while a server that reads prefer stands still for the first half of it.
    private func runWithPause(_ load: Load) async throws -> LoadOutcome {
        let server = load.cluster.servers[0]
        server.pause()
        defer { server.resume() }
        async let outcome = load.run(seconds: seconds)
        try await Task.sleep(for: .seconds(min(seconds / 2, Self.pauseSecondsMax)))
        server.resume()
        return try await outcome
    }

    /// Writes objects to read, when no workload has written enough of them.
    private func fill(_ cluster: BenchmarkCluster, _ workload: Workload, _ value: SharedBytes) async throws {
        var writing = workload
        writing.operation = .put
        let load = Load(cluster: cluster, workload: writing, value: value)
        while cluster.objectCount(workload.size) < Self.objectCountMin { _ = try await load.run(seconds: 0.05) }
        try await cluster.settle()
        try await cluster.finishLaterWork()
    }
}
