// solidus cp and solidus mv

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

/// The two objects of a copy, or the two places of many.
struct CopyArguments: ParsableArguments {
    @Argument(
        help: "The object to read, BUCKET/KEY; with --recursive BUCKET or BUCKET/PREFIX.",
        transform: PlaceArgument.init)
    var source: PlaceArgument
    @Argument(
        help: "The object to write, BUCKET/KEY; with --recursive BUCKET or BUCKET/PREFIX.",
        transform: PlaceArgument.init)
    var target: PlaceArgument
    @OptionGroup var many: ManyArguments
    @OptionGroup var stalling: StallArguments
    @OptionGroup var shown: ShownArguments

    mutating func validate() throws {
        if many.recursive {
            let (source, target) = (try source.prefix(), try target.prefix())
            guard !source.overlaps(target) else {
                throw ValidationError("\(source) and \(target) are one within the other.")
            }
        } else {
            let source = try source.key()
            guard source != (try target.key()) else { throw ValidationError("\(source) cannot be copied onto itself.") }
        }
    }
}

private struct Outcome: Encodable {
    let source: String
    let sourceVersion: String
    let object: String
    let version: String
    let lengthBytes: UInt64
    let servers: ObservedServers

    init(_ copy: CopyResult) {
        source = copy.source.key.text
        sourceVersion = copy.source.timestamp.fullName
        object = copy.written.key.text
        version = copy.written.timestamp.fullName
        lengthBytes = copy.source.lengthBytes
        servers = ObservedServers(copy.written.observations)
    }
}

/// Copies or moves, and reports.
private func run(
    _ objects: CopyArguments, moves: Bool, _ access: ClientArguments, _ options: RunOptions, _ report: ReportOptions
) async throws {
    let home = try access.home()
    let quiet = objects.shown.quiet
    guard objects.many.recursive else {
        let (source, target) = (try objects.source.key(), try objects.target.key())
        return try await access.withTransfers(home, stall: objects.stalling) { client in
            let copy = try await client.copy(source, to: target)
            if moves { try await client.removeMoved(copy) }
            ClientArguments.warn(of: client, target)
            Report.warn(copy.source.observations)
            Report.warn(copy.written.observations)
            guard report.json || !quiet else { return }
            try Report.finish(
                report, Outcome(copy),
                text: "\(moves ? "moved" : "copied") \(copy.source.key) to \(copy.written.key): "
                    + "\(copy.source.lengthBytes) bytes as version \(copy.written.timestamp)")
        }
    }
    let (source, target) = (try objects.source.prefix(), try objects.target.prefix())
    let (filter, failed) = (try objects.many.filter(), objects.many.failed)
    let console = TransferConsole(objects.shown.console(report)) { path in
        ItemNames(source: (source.bytes + path).readablePath, target: (target.bytes + path).readablePath)
    }
    let place = options.comparison == .none && !options.deletes ? source.description : nil
    try await access.withTransfers(home, stall: objects.stalling) { client in
        console.watch(client, other: "the cluster")
        try await client.requireBucket(of: source)
        try await client.requireBucket(of: target)
        let ends = CopyEnds(client, from: source, to: target, moves: moves)
        try await TransferRun(ends, options, observer: console).runAndReport(
            console, place: place, failed: failed
        ) { () throws(Failure) in
            try ObjectEntries(client, below: source, filter: filter)
        } target: { () throws(Failure) in
            try ObjectEntries(client, below: target, filter: filter)
        }
    }
}

struct Copy: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp", abstract: "Copy an object to another key, or many below another prefix.",
        discussion: """
            Type, tag and user metadata go along; the time of modification is now. The copy of an object without a tag of \
            its own is tagged with the version that it was made of. By size and tag --sync tells what is a copy already.

            Examples:
              solidus cp photos/cat.jpg photos/old/cat.jpg
              solidus cp -r photos/2024 archive/2024 --sync
            """)

    @OptionGroup var objects: CopyArguments
    @OptionGroup var sync: SyncArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    mutating func validate() throws { try sync.check(objects.many) }

    func run() async throws {
        let options = sync.apply(to: objects.many.runOptions, ofObjects: true)
        try await solidus.run(objects, moves: false, access, options, report)
    }
}

struct Move: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "mv", abstract: "Copy an object to another key, or many below another prefix, then delete them.",
        discussion: """
            Not atomic: for a while both are there. An object that is written meanwhile is left where it is (exit code \
            11), as far as that is seen: what is written between the last look and the deletion goes with it.

            Examples:
              solidus mv photos/cat.jpg photos/dog.jpg
              solidus mv -r photos/2024 archive/2024
            """)

    @OptionGroup var objects: CopyArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await solidus.run(objects, moves: true, access, objects.many.runOptions, report)
    }
}
