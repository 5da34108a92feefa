// solidus-bench s3: what the gateway adds to the library, what its connections and transfers take of memory, and listings.

import ArgumentParser
import BenchmarkResults
import CommandArguments
import Foundation
import QuorumProtocol
import S3Wire

/// What of it is measured.
enum S3Section: String, CaseIterable, ExpressibleByArgument {
    case operations, connections, transfers, listing
}

struct S3Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "s3",
        abstract: "Measures the S3 gateway beside the library, its memory, and its listings.",
        discussion: """
            One cluster of four servers (f = 1) with TLS and a gateway, a process each. The load is made by this process \
            with a thread and a connection for each client, and is no part of any processor time but the library's, \
            which works in this process. With --peer the same load goes to another server of S3 that runs already \
            (bench/run-seaweedfs starts one).

            Example:
              solidus-bench s3 --section operations,connections --seconds 5 --json s3.json
            """)

    @Option(help: "What to measure, with commas: operations, connections, transfers, listing; all when not given.")
    var section: CommaList<S3Section>?
    @Option(help: "Sizes of values, with commas.")
    var sizes: CommaList<ByteSize>?
    @Option(help: "How many operations are under way at a time.")
    var clients = 16
    @Option(help: "Seconds of a measurement under load.")
    var seconds = 5.0
    @Option(help: "Rounds, of which medians are told.")
    var rounds = 3
    @Option(help: "How many connections do nothing.")
    var idle = 10_000
    @Option(help: "How many beside them do operations of 64KiB.")
    var active = 1000
    @Option(help: "The size of the large object: B, KiB, MiB or GiB.")
    var large = ByteSize(bytes: 8 << 30)
    @Option(help: "How many objects the listed bucket has.")
    var objects = 1_000_000
    @Option(help: "The port on loopback of another server of S3 to compare with.")
    var peer: Int?
    @Option(help: "The other server's access key and secret, with a colon between.")
    var peerKey = "bench:benchsecret"
    @Option(help: "Write all results to this file, as JSON.")
    var json: String?
    @Option(help: "Where the cluster is made, and removed at the end; the disk under it is what is measured.")
    var directory = NSTemporaryDirectory()
    @Option(help: "The solidus to run; the one beside this program when not given.")
    var program: String?

    func validate() throws {
        guard (1...10_000).contains(clients) else { throw ValidationError("--clients are 1 to 10000") }
        guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds are more than 0, at most 3600") }
        guard (1...100).contains(rounds) else { throw ValidationError("--rounds are 1 to 100") }
        guard (0...15_000).contains(idle), (1...10_000).contains(active) else {
            throw ValidationError("--idle is 0 to 15000, --active 1 to 10000")
        }
        guard large.bytes >= 1 << 20, (1...100_000_000).contains(objects) else {
            throw ValidationError("--large is at least 1MiB, --objects are 1 to 100000000")
        }
        guard peer.map({ (1...65535).contains($0) }) ?? true, peerKey.split(separator: ":").count == 2 else {
            throw ValidationError("--peer is a port, --peer-key is KEY:SECRET")
        }
    }

    func run() throws {
        let leftovers = Leftovers()
        defer { leftovers.removeAll() }
        let scratch = try ScratchDirectory(in: directory, leftovers: leftovers)
        let sections = section?.elements ?? S3Section.allCases
        let key = peerKey.split(separator: ":").map(String.init)
        let plan = S3Plan(
            sizes: sizes?.elements ?? [4 << 10, 64 << 10, 1 << 20, 16 << 20].map { ByteSize(bytes: $0) },
            clientCount: clients, seconds: seconds, rounds: rounds, idleCount: idle, activeCount: active,
            largeBytes: large.bytes, objectCount: objects,
            peer: peer.map { ($0, S3Identity(accessKey: key[0], secret: key[1])) })
        let runner = try S3Runner(
            plan, seeds: sections.contains(.listing), program: try SolidusProgram.path(program),
            directory: scratch.path, leftovers: leftovers.removals)
        let figures = try runner.run(Set(sections))
        let machine = MachineDescription.current
        print(machine.text)
        print(
            "\(clients) clients, \(seconds) s a measurement, medians of \(rounds) rounds, mode fingerprint, f = 1; all "
                + "processor time is without that of the load")
        FigureTable.print(figures)
        if let json {
            let file = S3File(
                machine: machine, sections: sections.map(\.rawValue), clients: clients,
                secondsPerMeasurement: seconds, rounds: rounds, idleConnections: idle, activeConnections: active,
                largeObjectBytes: UInt64(large.bytes), listedObjects: objects, figures: figures)
            try file.json().write(to: URL(fileURLWithPath: json))
        }
    }
}
