// solidus compare

import ArgumentParser
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

struct Compare: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say whether the files of a folder and the objects below a prefix are the same.",
        discussion: """
            Nothing is written at either end. Every file is read; an object is, too, unless its tag is the file's \
            SHA-256, as 'put' makes it. What differs, or is at one end only, is told, and \
            the exit code is 14. What cannot be read at either end counts for nothing else: it is named, and the code is \
            12. Time and type do not matter.

            Examples:
              solidus compare photos/2024 pictures/2024
              solidus compare backups /srv --exclude '*.tmp' --json
            """)

    @Argument(help: "BUCKET or BUCKET/PREFIX.", transform: PlaceArgument.init)
    var place: PlaceArgument
    @Argument(help: "The folder.")
    var folder: FileArgument
    @OptionGroup var selected: SelectedArguments
    @OptionGroup var stalling: StallArguments
    @OptionGroup var shown: ShownArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        _ = try place.prefix()
        if folder.isStandard { throw ValidationError("Standard input is no folder.") }
    }

    func run() async throws {
        let home = try access.home()
        let (prefix, folder, filter) = (try place.prefix(), folder.bytes, try selected.filter())
        let local = LocalFolder(existing: folder)
        let console = TransferConsole(shown.console(report)) { path in
            ItemNames(source: local.name(path.pathParts), target: (prefix.bytes + path).readablePath)
        }
        var chosen = RunOptions()
        chosen.isComparison = true
        let (options, failed) = (chosen, selected.failed)
        try await access.withTransfers(home, stall: stalling) { client in
            console.watch(client, other: "the files")
            try await client.requireBucket(of: prefix)
            let ends = ComparedEnds(FileTransfer(client), local, with: prefix)
            try await TransferRun(ends, options, observer: console).runAndReport(
                console, place: nil, failed: failed
            ) { () throws(Failure) in
                FolderEntries(folder, filter: filter, keysBelow: prefix)
            } target: { () throws(Failure) in
                try ObjectEntries(client, below: prefix, filter: filter)
            }
        }
    }
}
