// solidus put

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

struct Put: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Store a file as an object, or a folder as many.",
        discussion: """
            An object has its file's time of modification, and as its tag the SHA-256 of its content. A file that is \
            changed while it is read is not stored (exit code 13). With --continue a large file that was interrupted is \
            read again, and only what the servers do not have yet is sent; what they have waits there for seven days.

            With --recursive symbolic links are not followed, and pipes, sockets and devices never opened: they are named \
            and left out, as empty folders are. Each file has an outcome of its own; when some fail the exit code is 12. \
            In patterns '*' and '?' stand for no slash, '**' for anything; one without a slash is about the last name.

            Examples:
              solidus put photos/cat.jpg cat.jpg
              pg_dump shop | solidus put backups/shop.sql -
              solidus put backups/disk.img disk.img --continue
              solidus put -r photos/2024 pictures/2024 --exclude '*.tmp'
              solidus put -r photos pictures --sync --delete --dry-run
            """)

    @Argument(
        help: "The object, BUCKET/KEY; with --recursive BUCKET or BUCKET/PREFIX.", transform: PlaceArgument.init)
    var target: PlaceArgument
    @Argument(help: "The file to store, or - for standard input; with --recursive the folder.")
    var file: FileArgument
    @Option(help: "The MIME type of what is stored.")
    var contentType = ""
    @Option(name: .customLong("meta"), help: "User metadata, NAME=VALUE; may be repeated.")
    var metadata: [String] = []
    @Flag(
        help: """
            Leave f servers without a fragment as long as the m + f others take theirs: less to send and store, and \
            no redundancy beyond what f faults take.
            """)
    var partial = false
    @Flag(help: "Store what was read also of a file that is changed meanwhile.")
    var allowChanging = false
    @OptionGroup var many: ManyArguments
    @OptionGroup var sync: SyncArguments
    @OptionGroup var continuing: ContinueArguments
    @OptionGroup var stalling: StallArguments
    @OptionGroup var shown: ShownArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let object: String
        let lengthBytes: UInt64
        let version: String
        let rounds: Int
        let durableAt: [Int]
        let servers: ObservedServers
    }

    mutating func validate() throws {
        _ = try userMetadata()
        try sync.check(many)
        try continuing.check(many, file)
        if many.recursive {
            _ = try target.prefix()
            if file.isStandard { throw ValidationError("Standard input is no folder.") }
        } else {
            _ = try target.key()
        }
    }

    func run() async throws {
        let home = try access.home()
        let metadata = ObjectMetadata(contentType: contentType, user: try userMetadata())
        if many.recursive {
            try await putFolder(home, metadata)
        } else {
            try await putFile(home, metadata)
        }
    }

    private func putFile(_ home: ClientHome, _ metadata: ObjectMetadata) async throws {
        let source = try file.isStandard ? SourceFile(standardInput: ()) : SourceFile(path: file.bytes)
        let (key, quorums) = (try target.key(), home.cluster.parameters.quorums)
        let console = TransferConsole(shown.console(report, name: key.text)) { _ in
            ItemNames(source: source.name, target: key.text)
        }
        if let facts = source.facts {
            console.planned(TransferItem(path: [], sizeBytes: facts.sizeBytes))
            console.planIsComplete()
        }
        let (report, quiet, allowChanging) = (report, shown.quiet, allowChanging)
        let records = continuing.goesOn ? UploadRecords(home) : nil
        try await access.withTransfers(home, writesPartially: partial, stall: stalling) { client in
            defer { console.finish() }
            console.watch(client, other: source.name)
            let transfer = FileTransfer(client)
            let uploaded: FileTransfer.Uploaded
            if let records {
                uploaded = try await transfer.upload(
                    source, to: key, metadata: metadata, allowsChanging: allowChanging, keptIn: records,
                    notice: { Standard.complain("\(key): \($0)") }, progress: console.progressed)
            } else {
                uploaded = try await transfer.upload(
                    source, to: key, metadata: metadata, allowsChanging: allowChanging, progress: console.progressed)
            }
            console.finish()
            let result = uploaded.result
            ClientArguments.warn(of: client, key)
            Report.warn(result.observations)
            guard report.json || !quiet else { return }
            try Report.finish(
                report,
                Outcome(
                    object: result.key.text, lengthBytes: uploaded.sizeBytes, version: result.timestamp.fullName,
                    rounds: result.rounds, durableAt: result.durableAt.map { Int($0.rawValue) },
                    servers: ObservedServers(result.observations)),
                text: uploaded.wasStored
                    ? "\(result.key): \(uploaded.sizeBytes) bytes were stored already, as version \(result.timestamp)"
                    : "stored \(result.key): \(uploaded.sizeBytes) bytes as version \(result.timestamp), durable at "
                        + result.places(of: quorums))
        }
    }

    private func putFolder(_ home: ClientHome, _ metadata: ObjectMetadata) async throws {
        let (prefix, folder, filter) = (try target.prefix(), file.bytes, try many.filter())
        let local = LocalFolder(existing: folder)
        let console = TransferConsole(shown.console(report)) { path in
            ItemNames(
                source: local.name(path.pathParts), target: (prefix.bytes + path).readablePath)
        }
        let (options, allowChanging, failed) = (sync.apply(to: many.runOptions), allowChanging, many.failed)
        try await access.withTransfers(home, writesPartially: partial, stall: stalling) { client in
            console.watch(client, other: "the files")
            try await client.requireBucket(of: prefix)
            let ends = UploadEnds(
                FileTransfer(client), from: local, to: prefix, metadata: metadata, allowsChanging: allowChanging)
            try await TransferRun(ends, options, observer: console).runAndReport(
                console, place: nil, failed: failed
            ) { () throws(Failure) in
                FolderEntries(folder, filter: filter, keysBelow: prefix)
            } target: { () throws(Failure) in
                try ObjectEntries(client, below: prefix, filter: filter)
            }
        }
    }

    private func userMetadata() throws -> [String: String] {
        var entries: [String: String] = [:]
        for entry in metadata {
            // Of bytes: a mark that follows '=' and combines with it does not hide it.
            guard let mark = entry.utf8.firstIndex(of: UInt8(ascii: "=")), mark != entry.startIndex else {
                throw ValidationError("--meta '\(entry)' is not of the form NAME=VALUE.")
            }
            let name = String(entry[..<mark])
            guard entries.updateValue(String(entry[entry.utf8.index(after: mark)...]), forKey: name) == nil else {
                throw ValidationError("--meta names '\(name)' twice.")
            }
        }
        return entries
    }
}
