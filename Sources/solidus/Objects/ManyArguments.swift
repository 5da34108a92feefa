// The options of commands that are about one object, or about many.

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

/// An object, or a place of many: BUCKET/KEY, BUCKET or BUCKET/PREFIX.
struct PlaceArgument: Sendable {
    let bytes: [UInt8]
    /// As it was written, for people.
    private let text: String

    init(_ text: String) throws {
        bytes = ArgumentBytes.bytes(of: text)
        self.text = ArgumentBytes.readable(text)
        try BucketArgument.refuseReserved(bytes)
    }

    func key() throws -> ObjectKey {
        do throws(ObjectKeyError) {
            return try ObjectKey(bytes: bytes)
        } catch {
            throw ValidationError("'\(text)': \(error)")
        }
    }

    func prefix() throws -> KeyPrefix {
        do throws(ObjectKeyError) {
            return try KeyPrefix(bytes)
        } catch {
            throw ValidationError("'\(text)': \(error)")
        }
    }
}

/// A pattern for paths on the command line.
struct GlobArgument: ExpressibleByArgument, Sendable {
    let pattern: GlobPattern

    init?(argument: String) {
        let bytes = ArgumentBytes.bytes(of: argument)
        guard let pattern = GlobPattern(bytes, text: ArgumentBytes.readable(argument)) else { return nil }
        self.pattern = pattern
    }
}

/// Which of many are meant.
struct SelectedArguments: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave out what matches, and all in a folder that does; may be repeated.", valueName: "pattern"))
    var exclude: [GlobArgument] = []
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Take only what matches, or is in a folder that does; may be repeated.", valueName: "pattern"))
    var include: [GlobArgument] = []
    @Option(
        help: ArgumentHelp(
            "At the end write into this file what failed, each path followed by a zero byte.", valueName: "file"))
    var failed: FileArgument?
    @Option(help: ArgumentHelp("Take only what such a file names.", valueName: "file"))
    var only: FileArgument?

    /// - Throws: `.inputOutput` when the file that names paths cannot be read.
    func filter() throws(Failure) -> PathFilter {
        let listed: PathList? = if let only { try PathList(file: only.bytes) } else { nil }
        return PathFilter(included: include.map(\.pattern), excluded: exclude.map(\.pattern), listed: listed)
    }

    /// Whether anything was selected.
    var isUsed: Bool { !exclude.isEmpty || !include.isEmpty || failed != nil || only != nil }
}

/// How many objects are taken together.
struct ManyArguments: ParsableArguments {
    @Flag(name: .shortAndLong, help: "All that is in the folder, or below the prefix, which stands for a folder.")
    var recursive = false
    @Option(help: "How many at a time; with --recursive.")
    var transfers = 8
    @Flag(name: [.customShort("n"), .long], help: "Say what would be done, and do nothing; with --recursive.")
    var dryRun = false
    @OptionGroup var selected: SelectedArguments

    mutating func validate() throws {
        guard (1...256).contains(transfers) else { throw ValidationError("--transfers is 1 to 256.") }
        guard recursive || !(dryRun || selected.isUsed) else {
            throw ValidationError("--dry-run, --exclude, --include, --failed and --only go with --recursive.")
        }
    }

    /// - Throws: as `SelectedArguments.filter`.
    func filter() throws(Failure) -> PathFilter { try selected.filter() }

    var failed: FileArgument? { selected.failed }

    var runOptions: RunOptions {
        var options = RunOptions()
        options.transferCount = transfers
        options.isDryRun = dryRun
        return options
    }
}

/// Whether a transfer of one large file may be gone on with.
struct ContinueArguments: ParsableArguments {
    @Flag(
        name: .customLong("continue"),
        help: """
            Go on where the same command with --continue was interrupted; and when this one is, keep what there is for \
            the next. Not with --recursive.
            """)
    var goesOn = false

    func check(_ many: ManyArguments, _ file: FileArgument) throws {
        guard goesOn else { return }
        if many.recursive { throw ValidationError("--continue is for one file, not with --recursive.") }
        if file.isStandard { throw ValidationError("--continue is for a file, not for a pipe.") }
    }
}

/// Whether the target is to become what the source is.
struct SyncArguments: ParsableArguments {
    @Flag(help: "Transfer only what is new, or differs in size or time of modification; with --recursive.")
    var sync = false
    @Flag(help: "With --sync: tell by size and content, and not by time.")
    var checksum = false
    @Flag(
        help: """
            Then delete at the target what the source does not have; nothing below what could not be seen, or beside \
            what could not be read. With --recursive.
            """)
    var delete = false

    mutating func validate() throws {
        guard sync || !checksum else { throw ValidationError("--checksum goes with --sync.") }
    }

    func check(_ many: ManyArguments) throws {
        guard many.recursive || !(sync || delete) else {
            throw ValidationError("--sync and --delete go with --recursive.")
        }
    }

    /// - Parameter ofObjects: both ends are objects, whose tags say whether one is a copy of the other.
    func apply(to options: RunOptions, ofObjects: Bool = false) -> RunOptions {
        var options = options
        options.deletes = delete
        if sync { options.comparison = ofObjects ? .tags : checksum ? .content : .sizeAndTime }
        return options
    }
}

/// How long a transfer may go on without progress.
struct StallArguments: ParsableArguments {
    @Option(help: "After how many seconds without any progress a transfer is given up, with exit code 4.")
    var stall: Double = 60

    mutating func validate() throws {
        guard stall > 0, stall <= 86_400 else {
            throw ValidationError("--stall must be more than 0 and at most 86400 seconds.")
        }
    }
}

/// How much a command shows.
struct ShownArguments: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Show neither progress nor what went well.")
    var quiet = false

    func console(_ report: ReportOptions, name: String? = nil) -> ConsoleOptions {
        var options = ConsoleOptions()
        options.json = report.json
        options.quiet = quiet
        options.name = name
        return options
    }
}

extension ClientArguments {
    /// Runs `body` with a client that is closed afterwards, until a signal ends it.
    func withTransfers(
        _ home: ClientHome, writesPartially: Bool = false, stall: StallArguments? = nil,
        _ body: @escaping @Sendable (ObjectClient) async throws -> Void
    ) async throws {
        let options = options(writesPartially: writesPartially, stall: stall)
        try await Interruption.run {
            let client = try ObjectClient(home: home, options: options)
            do {
                try await body(client)
            } catch {
                await client.close()
                throw error
            }
            await client.close()
        }
    }
}

extension ObjectClient {
    /// Refuses a bucket that is not there, once and not for each of its objects.
    func requireBucket(of prefix: KeyPrefix) async throws {
        guard try await bucketExists(prefix.bucket) else { throw ClientError.noBucket(prefix.bucket) }
    }
}

extension TransferRun {
    /// Runs, shows what came of all, and ends with the exit code of that.
    ///
    /// - Parameters:
    ///   - place: what is said not to be there when nothing was found; nil when that is no failure.
    ///   - failed: the file that gets the paths of what failed, if one was named.
    func runAndReport<Source: TransferEntries, Target: TransferEntries>(
        _ console: TransferConsole, place: String?, failed: FileArgument?,
        source: @escaping @Sendable () throws(Failure) -> Source,
        target: @escaping @Sendable () throws(Failure) -> Target
    ) async throws {
        let tally = await run(source: source, target: target)
        let listing = Result { () throws(Failure) in
            if let failed { try Self.write(tally.failedPaths, to: failed) }
        }
        try console.finish(tally)
        try listing.get()
        if tally.isInterrupted { throw ReportedVerdict(status: .interrupted) }
        if tally.isEmpty, let place { throw Failure(.notFound, "there is no object below \(place) that was asked for") }
        if tally.status != .success { throw ReportedVerdict(status: tally.status) }
    }

    private static func write(_ paths: [[UInt8]], to file: FileArgument) throws(Failure) {
        let unnamed = try PathList.write(paths, to: file.bytes)
        guard unnamed > 0 else { return }
        Standard.complain(
            "warning: \(file.readable) does not name \(unnamed) of what failed: there is a zero byte in "
                + (unnamed == 1 ? "its key" : "their keys"))
    }
}
