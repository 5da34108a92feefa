// solidus-bench heal: rebuilding, repair beside load, audits, and what rest costs.

import ArgumentParser
import BenchmarkResults
import CommandArguments
import Foundation
import QuorumProtocol
import StoreSeeding

extension HealingSection: ExpressibleByArgument {}

struct HealBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "heal",
        abstract: "Measures rebuilding, repair beside GETs, audits, and what servers take at rest.",
        discussion: """
            Clusters of four servers (f = 1), a process per server: one of large objects, one of many small ones, one \
            for GETs beside repair. Server 3 loses its store and is rebuilt by the commands that an operator uses. \
            Audits are also made of a server whose fragments were corrupted, and of one that has discarded a tenth.
            """)

    @Option(help: "What to measure, with commas: large, small, beside, audit, idle; all when not given.")
    var section: CommaList<HealingSection>?
    @Option(help: "How much there is in large objects: B, KiB, MiB or GiB.")
    var large = ByteSize(bytes: 10 << 30)
    @Option(help: "The size of each of them.")
    var largeObject = ByteSize(bytes: 256 << 20)
    @Option(help: "How many small objects there are.")
    var objects = 1_000_000
    @Option(help: "The size of each of them.")
    var size = ByteSize(bytes: 4 << 10)
    @Option(help: "How many objects there are beside whose repair GETs are measured.")
    var besideObjects = 50_000
    @Option(help: "The size of each of them.")
    var besideSize = ByteSize(bytes: 64 << 10)
    @Option(help: "How many GETs are under way when it is found out how many there can be.")
    var clients = 16
    @Option(help: "Seconds of a measurement under load.")
    var seconds = 10.0
    @Option(help: "Rounds of GETs without and beside repair.")
    var rounds = 5
    @Option(help: "Seconds of rest.")
    var idleSeconds = 300.0
    @Option(help: "How many fragments are corrupted.")
    var planted = 100
    @Option(help: "How the clusters verify.")
    var mode = ModeArgument(.fingerprint)
    @Option(help: "Write all results to this file, as JSON.")
    var json: String?
    @Option(help: "Where the clusters are made, and removed at the end; the disk under it is what is measured.")
    var directory = NSTemporaryDirectory()
    @Option(help: "The solidus to run; the one beside this program when not given.")
    var program: String?

    /// Smaller fragments are kept in the index, where nobody can corrupt them singly.
    private static let sizeBytesMin = 4 << 10

    func validate() throws {
        guard largeObject.bytes >= ObjectsRunner.largeSizeBytesMin, large.bytes >= largeObject.bytes else {
            throw ValidationError("--large-object is at least 16MiB, and --large not less than one of them")
        }
        guard (1...100_000_000).contains(objects), (1...100_000_000).contains(besideObjects) else {
            throw ValidationError("--objects and --beside-objects are 1 to 100000000")
        }
        guard [size, besideSize].allSatisfy({ (Self.sizeBytesMin...SeedPlan.valueSizeBytesMax).contains($0.bytes) })
        else { throw ValidationError("--size and --beside-size are 4KiB to 1MiB") }
        guard (1...10_000).contains(clients) else { throw ValidationError("--clients are 1 to 10000") }
        guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds are more than 0, at most 3600") }
        guard (1...100).contains(rounds) else { throw ValidationError("--rounds are 1 to 100") }
        guard idleSeconds >= 1, idleSeconds <= 3600 else { throw ValidationError("--idle-seconds are 1 to 3600") }
        guard (0...10_000).contains(planted) else { throw ValidationError("--planted are 0 to 10000") }
        guard mode.mode.isSigned, !mode.mode.verifiesLater else {
            throw ValidationError("--mode is one that verifies before it stores: fingerprint or full")
        }
    }

    func run() throws {
        let leftovers = Leftovers()
        defer { leftovers.removeAll() }
        let scratch = try ScratchDirectory(in: directory, leftovers: leftovers)
        let sizes = HealingSizes(
            largeBytes: large.bytes, largeObjectBytes: largeObject.bytes, smallCount: objects, smallBytes: size.bytes,
            besideCount: besideObjects, besideBytes: besideSize.bytes, loopCount: clients, seconds: seconds,
            rounds: rounds, idleSeconds: idleSeconds, plantedCount: planted)
        var runner = HealingRunner(
            sizes: sizes, mode: mode.mode, program: try SolidusProgram.path(program), directory: scratch.path,
            leftovers: leftovers.removals)
        let sections = section?.elements ?? HealingSection.allCases
        let figures = try runner.run(Set(sections))
        let machine = MachineDescription.current
        print(machine.text)
        print(
            "\(large) in objects of \(largeObject); \(objects) objects of \(size); \(besideObjects) of \(besideSize) "
                + "beside GETs; mode \(mode.mode), f = 1")
        FigureTable.print(figures)
        if let json {
            let file = HealingFile(
                machine: machine, mode: mode.mode.description, sections: sections.map(\.rawValue),
                largeBytes: UInt64(large.bytes), largeObjectBytes: UInt64(largeObject.bytes), smallObjects: objects,
                smallObjectBytes: size.bytes, besideObjects: besideObjects, besideObjectBytes: besideSize.bytes,
                secondsPerMeasurement: seconds, figures: figures)
            try file.json().write(to: URL(fileURLWithPath: json))
        }
    }
}
