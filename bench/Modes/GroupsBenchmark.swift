// solidus-bench groups: what an operation costs in a cluster of several groups, beside as many clusters of one group.
//
// As many, and at the same time, so that as many processes share the machine: what differs is the groups alone. Each
// client keeps to one group. Closed loops over all groups would gather at whichever is the slowest just then.

import ArgumentParser
import BenchmarkResults
import Foundation
import QuorumProtocol

/// `solidus-bench groups`: G clusters of n servers and one cluster of G groups of n servers, with so many clients per
/// group.
struct GroupsBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "groups",
        abstract: "Compares what operations cost in a cluster of several groups with clusters of one group.",
        discussion: """
            One cluster of so many groups, and as many clusters of one group that work at the same time, in turns. \
            Processor time counts clients and all servers. Ratios are medians of the rounds' ratios, the one cluster \
            to the many.
            """)

    @Option(help: "How many groups the larger cluster has.")
    var groups = 3
    @Option(help: "How many servers of a group may fail (f).")
    var faults = 1
    @Option(help: "The size of values: B, KiB or MiB.")
    var size = ByteSize(bytes: 64 << 10)
    @Option(help: "Operations in flight for each group.")
    var clients = 16
    @Option(help: "Seconds of a measurement; a warm-up of half as long comes before it.")
    var seconds = 2.0
    @Option(help: "Interleaved rounds.")
    var rounds = 5
    @Option(help: "Where the clusters are made, and removed at the end; the disk under it is what is measured.")
    var directory = NSTemporaryDirectory()
    @Option(help: "The solidus to run; the one beside this program when not given.")
    var program: String?

    /// Client certificates, and so connections and threads of clients, for each group.
    private static let identityCount = 4

    func validate() throws {
        guard (2...16).contains(groups) else { throw ValidationError("--groups are 2 to 16") }
        guard (1...6).contains(faults) else { throw ValidationError("--faults are 1 to 6") }
        guard (1...256).contains(clients) else { throw ValidationError("--clients are 1 to 256") }
        guard size.bytes <= ProtocolLimits().stripeSizeBytesMax else {
            throw ValidationError("--size is at most one stripe, 8MiB")
        }
        guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds are more than 0, at most 3600") }
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds are 1 to 1000") }
    }

    func run() throws {
        let leftovers = Leftovers()
        defer { leftovers.removeAll() }
        let scratch = try ScratchDirectory(in: directory, leftovers: leftovers)
        let program = try SolidusProgram.path(self.program)
        let groupSize = 3 * faults + 1
        var clusters: [BenchmarkCluster] = []
        defer {
            let all = clusters
            try? waiting { for cluster in all { await cluster.remove() } }
        }
        for count in [groups] + Array(repeating: 1, count: groups) {
            Progress.say("starting \(count * groupSize) servers, groups: \(count)")
            let plan = ClusterPlan(
                faults: faults, dataFragmentCount: faults + 1, serverCount: count * groupSize,
                identityCount: count * Self.identityCount, program: program, network: nil)
            let cluster = try BenchmarkCluster(
                plan, variant: Variant(mode: .fingerprint), directory: "\(scratch.path)/cluster-\(clusters.count)")
            clusters.append(cluster)
            leftovers.removals.add { for server in cluster.servers { server.kill() } }
        }
        let contenders = [
            GroupsLoad(Array(clusters.dropFirst()), groupsPerCluster: 1, clientsPerGroup: clients, size: size),
            GroupsLoad([clusters[0]], groupsPerCluster: groups, clientsPerGroup: clients, size: size),
        ]
        for contender in contenders { try waiting { try await contender.prepare() } }
        var samples: [BenchmarkOperation: [[Sample]]] = [:]
        for round in 0..<rounds {
            for operation in BenchmarkOperation.basic {
                var pair: [Sample] = Array(repeating: Sample(), count: contenders.count)
                for index in round.isMultiple(of: 2) ? [0, 1] : [1, 0] {
                    let contender = contenders[index]
                    pair[index] = try waiting {
                        _ = try await contender.measure(operation, seconds: seconds / 2)
                        return try await contender.measure(operation, seconds: seconds)
                    }
                }
                samples[operation, default: []].append(pair)
                Progress.say("round \(round + 1) of \(rounds): \(operation.rawValue)")
            }
        }
        for operation in BenchmarkOperation.basic { report(operation, samples[operation] ?? []) }
    }

    private func report(_ operation: BenchmarkOperation, _ samples: [[Sample]]) {
        print("\(operation.rawValue) of \(size), \(clients) clients per group, medians of \(samples.count) rounds")
        func row(_ name: String, _ value: (Sample) -> Double) {
            let one = median(samples.map { value($0[0]) })
            let several = median(samples.map { value($0[1]) })
            let ratio = one == 0 ? "" : "  ratio \(brief(median(samples.map { value($0[1]) / value($0[0]) })))"
            print("    \(name): \(brief(one)) in \(groups) clusters, \(brief(several)) in one\(ratio)")
        }
        row("processor time an operation in microseconds") {
            ($0.clientCPUSeconds + $0.serverCPUSeconds) / Double(max(1, $0.operationCount)) * 1e6
        }
        row("signatures an operation") { Double($0.signatureCount) / Double(max(1, $0.operationCount)) }
        row("group commits an operation") { Double($0.groupCommitCount) / Double(max(1, $0.operationCount)) }
        row("operations a second") { Double($0.operationCount) / $0.seconds }
    }
}
