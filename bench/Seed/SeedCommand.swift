// solidus-bench seed: fills the stores of a new cluster without running it.

import ArgumentParser
import BenchmarkResults
import QuorumProtocol
import StoreSeeding

struct SeedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seed",
        abstract: "Fills the stores of a cluster whose servers do not run with objects of a new bucket.",
        discussion: """
            The stores are written as the servers would write them if a client had put the objects: in their formats, \
            with certificates signed by the servers' own keys, listed and charged. It takes the homes of all servers, \
            so it is for measurements and tests.
            """)

    @Argument(help: "The cluster's directory, as 'solidus cluster init' has made it.")
    var cluster: String
    @Option(help: "How many objects.")
    var objects = 1_000_000
    @Option(help: "The size of values: B, KiB or MiB; up to 1MiB.")
    var size = ByteSize(bytes: 256)
    @Option(help: "The bucket, which must be new.")
    var bucket = "seeded"
    @Option(help: "The objects' names, in which {} stands for the number.")
    var pattern = "object-\(SeedPlan.placeholder)"
    @Option(help: "Who is said to have put them; the first client listed when not given.")
    var client: String?
    @Option(help: "The number of a server that is to lack the last objects, as one that was out of reach.")
    var lagging: UInt16?
    @Option(help: "How many objects the lagging server lacks.")
    var lack = 10_000

    func validate() throws {
        guard (1...1_000_000_000).contains(objects) else { throw ValidationError("--objects are 1 to 1000000000") }
        guard size.bytes <= SeedPlan.valueSizeBytesMax else { throw ValidationError("--size is at most 1MiB") }
        guard pattern.ranges(of: SeedPlan.placeholder).count == 1 else {
            throw ValidationError("--pattern has \(SeedPlan.placeholder) once, for the object's number")
        }
        guard lagging == nil || (0...objects).contains(lack) else {
            throw ValidationError("--lack is at most the number of objects")
        }
    }

    func run() throws {
        let plan = SeedPlan(
            bucket: bucket, objectCount: objects, valueSizeBytes: size.bytes, pattern: pattern, client: client,
            laggard: lagging.map { (NodeID($0), lack) })
        let seeder = try StoreSeeder(plan, clusterDirectory: cluster)
        let start = ContinuousClock.now
        var told = start
        try seeder.run { count in
            guard ContinuousClock.now - told > .seconds(10) else { return }
            told = .now
            Progress.say("\(count) of \(objects) objects")
        }
        let seconds = (ContinuousClock.now - start).inSeconds
        print("seeded \(objects) objects of \(size) into \(bucket)/ in \(fixed(seconds, digits: 1)) s")
    }
}
