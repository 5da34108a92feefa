// solidus-bench groups: what an operation costs in a cluster of several groups, beside one of one group.

import ArgumentParser
import BenchmarkResults
import Foundation
import QuorumProtocol

/// `solidus-bench groups`: one group of n servers and G groups of n servers each, with so many clients per group.
struct GroupsBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "groups",
        abstract: "Compares what operations cost in a cluster of several groups with a cluster of one group.",
        discussion: """
            Both clusters are up together and measured in turns. Processor time counts clients and all servers. Ratios \
            are medians of the rounds' ratios, several groups to one.
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
        let runner = ModesRunner(
            seconds: seconds, rounds: rounds, warmUpOperationCount: 0, identityCount: Self.identityCount,
            program: program, network: nil, directory: scratch.path, leftovers: leftovers.removals,
            progress: Progress.say)
        let groupSize = 3 * faults + 1
        let counts = [1, groups]
        var clusters: [BenchmarkCluster] = []
        defer {
            let all = clusters
            try? waiting { for cluster in all { await cluster.remove() } }
        }
        for count in counts {
            Progress.say("starting \(count * groupSize) servers, groups: \(count)")
            let plan = ClusterPlan(
                faults: faults, dataFragmentCount: faults + 1, serverCount: count * groupSize,
                identityCount: Self.identityCount, program: program, network: nil)
            let cluster = try BenchmarkCluster(
                plan, variant: Variant(mode: .fingerprint), directory: "\(scratch.path)/groups-\(count)")
            clusters.append(cluster)
            leftovers.removals.add { for server in cluster.servers { server.kill() } }
        }
        var samples: [BenchmarkOperation: [[Sample]]] = [:]
        for round in 0..<rounds {
            for operation in BenchmarkOperation.basic {
                var pair: [Sample] = Array(repeating: Sample(), count: counts.count)
                for index in round.isMultiple(of: 2) ? [0, 1] : [1, 0] {
                    let (cluster, clientCount) = (clusters[index], clients * counts[index])
                    let workload = Workload(
                        faults: faults, dataFragmentCount: faults + 1, operation: operation, size: size,
                        clientCount: clientCount)
                    pair[index] = try waiting { try await runner.measure(workload, on: cluster) }
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
            print("    \(name): \(brief(one)) with 1 group, \(brief(several)) with \(groups)\(ratio)")
        }
        row("processor time an operation in microseconds") {
            ($0.clientCPUSeconds + $0.serverCPUSeconds) / Double(max(1, $0.operationCount)) * 1e6
        }
        row("signatures an operation") { Double($0.signatureCount) / Double(max(1, $0.operationCount)) }
        row("group commits an operation") { Double($0.groupCommitCount) / Double(max(1, $0.operationCount)) }
        row("operations a second") { Double($0.operationCount) / $0.seconds }
    }
}
