// solidus get

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

struct Get: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read an object into a file, or many into a folder.",
        discussion: """
            A file appears, or is replaced, only once all of its bytes are written and synced, and has its object's time \
            of modification. With --continue what an interrupted download of a large object has left beside the file is \
            checked and gone on with, if the object is still the same version; and what this one leaves stays.

            With --recursive nothing outside of the folder is written: keys with '..', '.', an empty part or a zero byte \
            in them fail by name, and so does what a symbolic link is in the way of. An empty object whose key ends with a \
            slash becomes a folder. --delete deletes files, and leaves folders.

            Examples:
              solidus get photos/cat.jpg cat.jpg
              solidus get backups/disk.img disk.img --continue
              solidus get -r photos/2024 pictures/2024
              solidus get -r photos pictures --sync --include '*.jpg'
            """)

    @Argument(
        help: "The object, BUCKET/KEY; with --recursive BUCKET or BUCKET/PREFIX.", transform: PlaceArgument.init)
    var source: PlaceArgument
    @Argument(help: "The file to write, or - for standard output; with --recursive the folder.")
    var file: FileArgument
    @Flag(help: "Leave holes in files where there are blocks of zeros, which take no space.")
    var sparse = false
    @OptionGroup var many: ManyArguments
    @OptionGroup var sync: SyncArguments
    @OptionGroup var continuing: ContinueArguments
    @OptionGroup var version: VersionArguments
    @OptionGroup var stalling: StallArguments
    @OptionGroup var shown: ShownArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let object: String
        let file: String
        let lengthBytes: UInt64
        let version: String
        let rounds: Int
        let servers: ObservedServers
    }

    mutating func validate() throws {
        try sync.check(many)
        try continuing.check(many, file)
        try version.check(many)
        if many.recursive {
            _ = try source.prefix()
            if file.isStandard { throw ValidationError("Standard output is no folder.") }
        } else {
            _ = try source.key()
        }
        if report.json && file.isStandard {
            throw ValidationError("--json and the object's bytes cannot both go to standard output.")
        }
    }

    func run() async throws {
        let home = try access.home()
        if many.recursive {
            try await getMany(home)
        } else {
            try await getOne(home)
        }
    }

    private func getOne(_ home: ClientHome) async throws {
        let (key, file, report, quiet) = (try source.key(), file, report, shown.quiet)
        let console = TransferConsole(shown.console(report, name: key.text)) { _ in
            ItemNames(source: key.text, target: file.readable)
        }
        let (keepsPartial, version, sparse) = (continuing.goesOn, version.version, sparse)
        try await access.withTransfers(home, stall: stalling) { client in
            defer { console.finish() }
            console.watch(client, other: file.isStandard ? "whoever reads the output" : file.readable.printable)
            let status = try await FileTransfer(client).download(
                key, version: version, to: file.isStandard ? .standardOutput : .file(file.bytes),
                keepsPartial: keepsPartial, isSparse: sparse, notice: { Standard.complain("\(key): \($0)") },
                progress: console.progressed)
            console.finish()
            ClientArguments.warn(of: client, key)
            Report.warn(status.observations)
            let text = "read \(status.key): \(status.lengthBytes) bytes of version \(status.timestamp)"
            guard report.json || !quiet else { return }
            guard !file.isStandard else { return Standard.complain(text) }
            try Report.finish(
                report,
                Outcome(
                    object: status.key.text, file: file.readable, lengthBytes: status.lengthBytes,
                    version: status.timestamp.fullName, rounds: status.rounds,
                    servers: ObservedServers(status.observations)),
                text: text)
        }
    }

    private func getMany(_ home: ClientHome) async throws {
        let (prefix, folder, filter) = (try source.prefix(), file.bytes, try many.filter())
        let shownFolder = LocalFolder(existing: folder)
        let console = TransferConsole(shown.console(report)) { path in
            ItemNames(source: (prefix.bytes + path).readablePath, target: shownFolder.name(path.pathParts))
        }
        let (chosen, failed) = (sync.apply(to: many.runOptions), many.failed)
        let (place, sparse) = (sync.sync || sync.delete ? nil : prefix.description, sparse)
        try await access.withTransfers(home, stall: stalling) { client in
            console.watch(client, other: "the files")
            try await client.requireBucket(of: prefix)
            let local = try chosen.isDryRun ? shownFolder : LocalFolder(folder)
            var options = chosen
            options.foldsNames = local.foldsNames
            let ends = DownloadEnds(FileTransfer(client), from: prefix, to: local, isSparse: sparse)
            try await TransferRun(ends, options, observer: console).runAndReport(
                console, place: place, failed: failed
            ) { () throws(Failure) in
                NamedEntries(
                    try ObjectEntries(client, below: prefix, filter: filter), foldsNames: local.foldsNames)
            } target: { () throws(Failure) in
                FolderEntries(folder, filter: filter, keysBelow: nil)
            }
        }
    }
}
