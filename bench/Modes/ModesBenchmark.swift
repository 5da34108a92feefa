// solidus-bench modes

import ArgumentParser
import BenchmarkResults
import CommandArguments
import Foundation
import Glibc
import QuorumProtocol

/// `solidus-bench modes`: the verification modes against each other, on real clusters.
struct ModesBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "modes",
        abstract:
            "Compares the verification modes on real clusters: a process per server, TLS, durable stores.",
        discussion: """
            Lists are written with commas. In each round every mode does every workload once, in an order that \
            rotates; medians over the rounds are printed, and ratios are medians of the rounds' ratios to the mode \
            none. With --report only what the reports need is measured: they have modes and workloads of their own.
            """)

    /// What can be asked for beside the table of everything.
    enum Report: String, ExpressibleByArgument, CaseIterable {
        /// Where the time of one write goes.
        case breakdown
        /// Latency by the time of verification, by default for f = 1 to 4.
        case verification
        /// The promises on cost.
        case targets
        /// What each optimisation is worth.
        case optimisations
    }

    @Option(help: "The modes; all when not given.")
    var modes: CommaList<ModeArgument>?
    @Option(help: "How many servers may fail (f), 1 to 6; 1 when not given, for --report verification 1,2,3,4.")
    var faults: CommaList<Int>?
    @Option(help: "How many fragments make an object (m); f + 1 when not given.")
    var dataFragments: Int?
    @Option(help: "Sizes of values: B, KiB or MiB; at most 8MiB, which is one stripe; 64KiB,1MiB when not given.")
    var sizes: CommaList<ByteSize>?
    @Option(help: "Operations in flight, each 1 to 256; 1,16,64 when not given.")
    var clients: CommaList<Int>?
    @Option(help: "How many client certificates the operations are spread over.")
    var identities = 4
    @Option(help: "Seconds of a measurement; a warm-up of half as long comes before it.")
    var seconds = 2.0
    @Option(help: "Interleaved rounds.")
    var rounds = 5
    @Option(
        help: "PUTs of each client before the first round: keys that are used often get tables (docs/benchmarks.md).")
    var warmUp = 2 * KnownKey.checksBeforeTable
    @Flag(help: "One short round without warm-up, without --report of 64KiB with 16 clients: to see that all works.")
    var quick = false
    @Option(name: .customLong("report"), help: "breakdown, verification, targets or optimisations; may be repeated.")
    var reports: [Report] = []
    @Option(help: "Leave these optimisations out, at clients and servers.")
    var without: CommaList<Optimisation>?
    @Flag(help: "Have clients write partially: f servers get no fragments as long as the others take theirs.")
    var partial = false
    @Option(help: "Link every server and the clients at this rate, 1gbit or 10gbit (as root); loopback when not given.")
    var network: LinkRate?
    @Option(help: "Write all results to this file, as JSON.")
    var json: String?
    @Option(help: "Write all results to this file, as CSV.")
    var csv: String?
    @Option(help: "Where the clusters are made, and removed at the end; the disk under it is what is measured.")
    var directory = NSTemporaryDirectory()
    @Option(help: "The solidus to run; the one beside this program when not given.")
    var program: String?

    private var chosenModes: [VerificationMode] { modes?.elements.map(\.mode) ?? VerificationMode.allCases }
    private var chosenFaults: [Int] { faults?.elements ?? [1] }
    private var chosenSizes: [ByteSize] { sizes?.elements ?? [ByteSize(bytes: 64 << 10), ByteSize(bytes: 1 << 20)] }
    private var chosenClients: [Int] { clients?.elements ?? [1, 16, 64] }

    func validate() throws {
        guard chosenFaults.allSatisfy((1...6).contains) else { throw ValidationError("--faults are 1 to 6") }
        guard chosenClients.allSatisfy((1...256).contains) else { throw ValidationError("--clients are 1 to 256") }
        guard chosenSizes.allSatisfy({ $0.bytes <= ProtocolLimits().stripeSizeBytesMax }) else {
            throw ValidationError("--sizes are at most one stripe, 8MiB")
        }
        guard (1...64).contains(identities) else { throw ValidationError("--identities are 1 to 64") }
        guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds are more than 0, at most 3600") }
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds are 1 to 1000") }
        guard (0...1_000_000).contains(warmUp) else { throw ValidationError("--warm-up is 0 to 1000000 PUTs") }
        guard without == nil && !partial || !reports.contains(.optimisations) else {
            throw ValidationError(
                "--report optimisations leaves out each in turn, so --without and --partial make no sense with it")
        }
        guard !quick || sizes == nil && clients == nil else {
            throw ValidationError(
                "--quick has a size and a number of clients of its own: leave out --sizes and --clients")
        }
        try refuseUnused()
        for faults in chosenFaults {
            do {
                _ = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragments)
            } catch {
                throw ValidationError("\(error)")
            }
        }
    }

    /// Refuses options that no report looks at.
    private func refuseUnused() throws {
        guard !reports.isEmpty else { return }
        let unused = [
            ("--modes", modes != nil), ("--faults", faults != nil && !reports.contains(.verification)),
            ("--data-fragments", dataFragments != nil), ("--sizes", sizes != nil), ("--clients", clients != nil),
        ]
        guard let option = unused.first(where: { $0.1 })?.0 else { return }
        let names = reports.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("\(option) is not used by --report \(names)")
    }

    func run() throws {
        let leftovers = Leftovers()
        defer { leftovers.removeAll() }
        let scratch = try ScratchDirectory(in: directory, leftovers: leftovers)
        let settings = settings
        let conditions = Conditions(link: network, without: leftOut)
        let links = try network.map { rate in
            Progress.say("linking servers and clients at \(rate.rawValue)")
            return try ShapedNetwork(
                rate, serverCount: settings.map(\.workload.serverCount).max() ?? 0, leftovers: leftovers)
        }
        let runner = ModesRunner(
            seconds: quick ? min(seconds, 1) : seconds, rounds: quick ? 1 : rounds,
            warmUpOperationCount: quick ? 0 : warmUp, identityCount: identities,
            program: try SolidusProgram.path(program),
            network: links, directory: scratch.path, leftovers: leftovers.removals, progress: Progress.say)
        var book = try runner.run(settings)
        var breakdown: [Breakdown] = []
        if reports.contains(.breakdown) {
            Progress.say("timing the parts of a write")
            breakdown = try Breakdown.modes.compactMap {
                try Breakdown(mode: $0, without: conditions.without, book: book, directory: scratch.path)
            }
        }

        if reports.contains(.targets) {
            Progress.say("timing a store's journal by itself")
            book.journalAppendsPerSecond = try JournalRate.appendsPerSecond(
                ModeTarget.journalWorkload, directory: scratch.path, seconds: runner.seconds)
        }

        let table = ModesTable(book: book, conditions: conditions)
        table.machine(.current)
        table.results()
        breakdown.forEach(table.breakdown)
        if reports.contains(.verification) { table.verification(verificationWorkloads) }
        if reports.isEmpty || reports.contains(.targets) { table.targets() }
        if reports.contains(.optimisations) { table.optimisations() }
        let file = ResultFile(
            machine: .current, conditions: conditions, secondsPerMeasurement: runner.seconds, book: book,
            breakdown: breakdown.flatMap(\.parts))
        if let json { try file.json().write(to: URL(fileURLWithPath: json)) }
        if let csv { try Data(file.csv().utf8).write(to: URL(fileURLWithPath: csv)) }
    }

    /// Partial writes are a choice of the client's; by default it does not make it.
    private var leftOut: Set<Optimisation> { Set(without?.elements ?? []).union(partial ? [] : [.partialWrites]) }

    /// Everything to be measured, each setting once.
    private var settings: [Setting] {
        func product(_ modes: [VerificationMode], _ workloads: [Workload]) -> [Setting] {
            modes.flatMap { mode in workloads.map { Setting(mode: mode, without: leftOut, workload: $0) } }
        }
        guard !reports.isEmpty else { return product(chosenModes, workloads) }
        var chosen: [Setting] = []
        if reports.contains(.breakdown) { chosen += product(Breakdown.modes, [Breakdown.workload]) }
        if reports.contains(.verification) {
            chosen += product(VerificationMode.allCases, verificationWorkloads)
        }
        if reports.contains(.targets) { chosen += ModeTarget.settings(without: leftOut) }
        if reports.contains(.optimisations) { chosen += OptimisationReport.settings }
        var seen: Set<Setting> = []
        return chosen.filter { seen.insert($0).inserted }
    }

    private var workloads: [Workload] {
        chosenFaults.flatMap { faults in
            (quick ? [ByteSize(bytes: 64 << 10)] : chosenSizes).flatMap { size in
                (quick ? [16] : chosenClients).flatMap { clients in
                    BenchmarkOperation.basic.map {
                        Workload(
                            faults: faults, dataFragmentCount: dataFragments ?? faults + 1, operation: $0,
                            size: size, clientCount: clients)
                    }
                }
            }
        }
    }

    private var verificationWorkloads: [Workload] {
        (faults?.elements ?? [1, 2, 3, 4]).flatMap { faults in
            BenchmarkOperation.basic.map {
                Workload(
                    faults: faults, dataFragmentCount: faults + 1, operation: $0, size: ByteSize(bytes: 64 << 10),
                    clientCount: 1)
            }
        }
    }
}

/// How it goes on, on standard error.
enum Progress {
    @Sendable static func say(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }
}

extension CommaList: ExpressibleByArgument where Element: ExpressibleByArgument {
    package init?(argument: String) {
        self.init(argument) { Element(argument: $0) }
    }

    package var defaultValueDescription: String { description }

    /// What each element may be.
    package static var allValueStrings: [String] { Element.allValueStrings }
}

extension ByteSize: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}

extension Optimisation: ExpressibleByArgument {}

extension LinkRate: ExpressibleByArgument {}
