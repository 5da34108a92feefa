// solidus-bench hostile: what each attack does to the latency of others.

import ArgumentParser
import BenchmarkResults
import CommandArguments
import Foundation
import HostileClients
import QuorumProtocol

struct HostileBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hostile",
        abstract: "Measures what hostile clients and strangers do to the latency of others.",
        discussion: """
            One cluster, a process per server. Correct clients put and get at an even pace, at rest and while somebody \
            attacks, in turns; each attacker is a process of its own, at the lowest priority. The aim is that no \
            attack more than doubles the 99th percentile of what others wait. Attacks:

            """ + AttackName.all.map { "  \($0.rawValue): \($0.summary)" }.joined(separator: "\n"))

    @Option(help: "The attacks, with commas; all when not given.")
    var kinds: CommaList<AttackName>?
    @Option(help: "How the cluster verifies; what poison does depends on it.")
    var mode = ModeArgument(.fingerprint)
    @Option(help: "How many servers may fail (f).")
    var faults = 1
    @Option(help: "The size of values: B, KiB or MiB.")
    var size = ByteSize(bytes: 64 << 10)
    @Option(help: "How many PUTs are due a second, and as many GETs.")
    var rate = 25.0
    @Option(
        help:
            "How many requests and connections an attacker makes to each server a second; all it can when not given.")
    var attackRate: Double?
    @Option(help: "Seconds of a measurement.")
    var seconds = 6.0
    @Option(help: "Interleaved rounds.")
    var rounds = 5
    @Option(
        help: "PUTs of each client before the first round: keys that are used often get tables (docs/benchmarks.md).")
    var warmUp = 2 * KnownKey.checksBeforeTable
    @Flag(help: "One short round without warm-up, to see that all works.")
    var quick = false
    @Option(help: "Write all results to this file, as JSON.")
    var json: String?
    @Option(help: "Where the cluster is made, and removed at the end; the disk under it is what is measured.")
    var directory = NSTemporaryDirectory()
    @Option(help: "The solidus to run; the one beside this program when not given.")
    var program: String?

    /// Certificates, and so connections, that the operations are spread over.
    private static let identityCount = 4
    private static let visitor = "visitor"
    /// Longer than anybody waits who is to be served at all.
    private static let timeoutMilliseconds = 20_000
    private static let warmUpSize = ByteSize(bytes: 4 << 10)

    private var chosenKinds: [AttackName] { kinds?.elements ?? AttackName.all }
    private var chosenRounds: Int { quick ? 1 : rounds }
    private var chosenSeconds: Double { quick ? min(seconds, 1) : seconds }

    func validate() throws {
        guard Set(chosenKinds).count == chosenKinds.count else { throw ValidationError("--kinds are each named once") }
        guard (1...6).contains(faults) else { throw ValidationError("--faults are 1 to 6") }
        guard size.bytes <= ProtocolLimits().stripeSizeBytesMax else {
            throw ValidationError("--size is at most one stripe, 8MiB")
        }
        guard rate >= 1, rate <= 10_000 else { throw ValidationError("--rate is 1 to 10000 operations a second") }
        guard attackRate.map({ $0 >= 1 && $0 <= 1_000_000 }) ?? true else {
            throw ValidationError("--attack-rate is 1 to 1000000 a second")
        }
        guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds are more than 0, at most 3600") }
        guard (1...100).contains(rounds) else { throw ValidationError("--rounds are 1 to 100") }
        guard (0...1_000_000).contains(warmUp) else { throw ValidationError("--warm-up is 0 to 1000000 PUTs") }
    }

    func run() throws {
        let leftovers = Leftovers()
        defer { leftovers.removeAll() }
        let scratch = try ScratchDirectory(in: directory, leftovers: leftovers)
        var plan = ClusterPlan(
            faults: faults, dataFragmentCount: faults + 1, serverCount: 3 * faults + 1,
            identityCount: Self.identityCount, program: try SolidusProgram.path(program), network: nil)
        plan.otherClientNames = [Self.visitor] + HostileRunner.clients(chosenKinds, rounds: chosenRounds)
        plan.clientTimeoutMilliseconds = Self.timeoutMilliseconds
        Progress.say("starting \(plan.serverCount) servers, mode \(mode.mode), f = \(faults)")
        let cluster = try BenchmarkCluster(
            plan, variant: Variant(mode: mode.mode, without: [.partialWrites]),
            directory: "\(scratch.path)/cluster")
        defer { try? waiting { await cluster.remove() } }
        leftovers.add { for server in cluster.servers { server.kill() } }
        let load = PacedLoad(cluster: cluster, size: size, operationsPerSecond: rate, visitor: Self.visitor)
        if !quick, warmUp > 0 { try waiting { try await warm(cluster) } }
        try waiting { try await load.prepare() }
        let runner = HostileRunner(
            seconds: chosenSeconds, rounds: chosenRounds, load: load, attacksPerSecond: attackRate,
            leftovers: leftovers.removals)
        let outcomes = try runner.run(chosenKinds)
        let machine = MachineDescription.current
        print(machine.text)
        HostileTable(outcomes: outcomes).print(seconds: chosenSeconds, rate: rate, size: size)
        if let json {
            let file = HostileFile(
                machine: machine, secondsPerMeasurement: chosenSeconds, size: size, operationsPerSecond: rate,
                attacksPerSecond: attackRate, outcomes: outcomes)
            try file.json().write(to: URL(fileURLWithPath: json))
        }
    }

    private func warm(_ cluster: BenchmarkCluster) async throws {
        let workload = Workload(
            faults: faults, dataFragmentCount: faults + 1, operation: .put, size: Self.warmUpSize,
            clientCount: cluster.clients.count)
        let load = Load(
            cluster: cluster, workload: workload, value: RandomBytes.block(sizeBytes: Self.warmUpSize.bytes))
        _ = try await load.run(seconds: 0, operationCountMin: warmUp)
        try await cluster.settle()
    }
}
