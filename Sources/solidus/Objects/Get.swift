// solidus get

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import QuorumClient
import QuorumProtocol

struct Get: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read an object into a file.",
        discussion: "The file appears, or is replaced, only once all of its bytes are written.")

    @OptionGroup var target: ObjectArgument
    @Argument(help: "The file to write, or - for standard output.")
    var file: FileArgument
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let object: String
        let file: String
        let lengthBytes: Int
        let version: String
        let rounds: Int
        let servers: ObservedServers
    }

    mutating func validate() throws {
        if report.json && file.isStandard {
            throw ValidationError("--json and the object's bytes cannot both go to standard output.")
        }
    }

    func run() async throws {
        let home = try access.home()
        let object = try await access.withClient(home, for: target.object) { client throws(ClientError) in
            try await client.get(target.object)
        }
        Report.warn(object.status.observations)
        try OutputFile.write(object.value, to: file)
        let text = "read \(object.status.key): \(object.value.count) bytes of version \(object.status.timestamp)"
        if file.isStandard {
            Standard.complain(text)
            return
        }
        try Report.finish(
            report,
            Outcome(
                object: object.status.key.text, file: file.readable, lengthBytes: object.value.count,
                version: object.status.timestamp.fullName, rounds: object.status.rounds,
                servers: ObservedServers(object.status.observations)),
            text: text)
    }
}
