// solidus cat

import ArgumentParser
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

struct Concatenate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Write the bytes of objects to standard output, one behind the other.",
        discussion: """
            No byte is written before it is known to be right. A large object is written piece by piece: when it cannot \
            be read to its end, the exit code says so.

            Examples:
              solidus cat logs/monday logs/tuesday | grep error
              solidus cat photos/cat.jpg --range 0-3 | od -c
              solidus cat logs/monday --range=-100
            """)

    @Argument(help: "The objects, BUCKET/KEY.", transform: ObjectArgument.key)
    var objects: [ObjectKey]
    @Option(
        help: "Only these bytes of each, counted from 0: FIRST-LAST, FIRST- for all from there, -COUNT for the last.",
        transform: { text in
            guard let range = ByteRange(text) else {
                throw ValidationError("--range '\(text)' is not of the form FIRST-LAST, FIRST- or -COUNT.")
            }
            return range
        })
    var range: ByteRange?
    @OptionGroup var version: VersionArguments
    @OptionGroup var stalling: StallArguments
    @OptionGroup var access: ClientArguments

    mutating func validate() throws {
        guard version.version == nil || objects.count == 1 else {
            throw ValidationError("--version is of one object.")
        }
        guard !objects.isEmpty else { throw ValidationError("Say which objects.") }
    }

    func run() async throws {
        let (objects, range, version) = (objects, range, version.version)
        try await access.withTransfers(try access.home(), stall: stalling) { client in
            for key in objects {
                let status = try await FileTransfer(client).download(
                    key, version: version, range: range, to: .standardOutput)
                ClientArguments.warn(of: client, key)
                Report.warn(status.observations)
            }
        }
    }
}
