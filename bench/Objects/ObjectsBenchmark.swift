// solidus-bench objects: large objects, ranges, listings of many keys, restarts, and the memory that all of it takes.

import ArgumentParser
import BenchmarkResults
import CommandArguments
import Foundation
import QuorumProtocol

struct ObjectsBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "objects",
        abstract: "Measures large objects, ranges, listings, restarts and peak memory on one cluster.",
        discussion: """
            One cluster of four servers (f = 1), a process per server, with a bucket of many objects and one in which \
            one server lacks the last ones (see 'seed'). The large object goes in and out in a client process of its \
            own. What the stores alone and TLS alone manage is measured in the same run.
            """)

    @Option(help: "How many objects the listed bucket has.")
    var objects = 1_000_000
    @Option(help: "How many the bucket has in which one server lags.")
    var laggingObjects = 100_000
    @Option(help: "How many of them that server lacks, the last ones.")
    var lack = 10_000
    @Option(help: "The size of the large object: B, KiB, MiB or GiB.")
    var large = ByteSize(bytes: 8 << 30)
    @Option(help: "How the cluster verifies.")
    var mode = ModeArgument(.fingerprint)
    @Option(help: "Seconds of a measurement under load.")
    var seconds = 10.0
    @Option(help: "How many ranges are read, and as many small objects.")
    var reads = 200
    @Flag(help: "Measure listings and nothing else.")
    var listings = false
    @Option(help: "Write all results to this file, as JSON.")
    var json: String?
    @Option(help: "Where the cluster is made, and removed at the end; the disk under it is what is measured.")
    var directory = NSTemporaryDirectory()
    @Option(help: "The solidus to run; the one beside this program when not given.")
    var program: String?

    func validate() throws {
        guard (1...100_000_000).contains(objects), (1...100_000_000).contains(laggingObjects) else {
            throw ValidationError("--objects and --lagging-objects are 1 to 100000000")
        }
        guard (0...laggingObjects).contains(lack) else {
            throw ValidationError("--lack is at most the number of --lagging-objects")
        }
        guard large.bytes >= ObjectsRunner.largeSizeBytesMin else {
            throw ValidationError("--large is more than one stripe: at least 16MiB")
        }
        guard mode.mode.isSigned, !mode.mode.verifiesLater else {
            throw ValidationError("--mode is one that verifies before it stores: fingerprint or full")
        }
        guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds are more than 0, at most 3600") }
        guard (1...1_000_000).contains(reads) else { throw ValidationError("--reads are 1 to 1000000") }
    }

    func run() throws {
        let leftovers = Leftovers()
        defer { leftovers.removeAll() }
        let scratch = try ScratchDirectory(in: directory, leftovers: leftovers)
        var runner = try ObjectsRunner(
            objectCount: objects, laggingCount: laggingObjects, lackingCount: lack, largeSizeBytes: large.bytes,
            mode: mode.mode, seconds: seconds, readCount: reads, program: try SolidusProgram.path(program),
            directory: scratch.path, leftovers: leftovers.removals)
        let figures = try runner.run(listingsOnly: listings)
        let machine = MachineDescription.current
        print(machine.text)
        print(
            "\(objects) objects, and \(laggingObjects) of which a server lacks \(lack); a large object of \(large); "
                + "mode \(mode.mode), f = 1")
        FigureTable.print(figures)
        if let json {
            let file = ObjectsFile(
                machine: machine, mode: mode.mode.description, seededObjects: objects, laggingObjects: laggingObjects,
                largeObjectBytes: UInt64(large.bytes), secondsPerMeasurement: seconds, figures: figures)
            try file.json().write(to: URL(fileURLWithPath: json))
        }
    }
}
