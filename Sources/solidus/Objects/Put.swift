// solidus put

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import QuorumClient
import QuorumProtocol

struct Put: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(abstract: "Store a file as an object.")

    @OptionGroup var target: ObjectArgument
    @Argument(help: "The file to store, or - for standard input.")
    var file: FileArgument
    @Option(help: "The object's MIME type.")
    var contentType = ""
    @Option(name: .customLong("meta"), help: "User metadata, NAME=VALUE; may be repeated.")
    var metadata: [String] = []
    @Flag(
        help: """
            Leave f servers without a fragment as long as the m + f others take theirs: less to send and store, and \
            no redundancy beyond what f faults take.
            """)
    var partial = false
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let object: String
        let lengthBytes: Int
        let version: String
        let rounds: Int
        let durableAt: [Int]
        let servers: ObservedServers
    }

    mutating func validate() throws {
        _ = try userMetadata()
    }

    func run() async throws {
        let home = try access.home()
        let quorums = home.cluster.parameters.quorums
        // One byte more than may be stored shows that a file is too large without reading all of it.
        let value = try InputFile.read(file, sizeBytesMax: home.cluster.parameters.limits.stripeSizeBytesMax + 1)
        let metadata = ObjectMetadata(contentType: contentType, user: try userMetadata())
        let result = try await access.withClient(home, for: target.object, writesPartially: partial) {
            client throws(ClientError) in
            try await client.put(target.object, value, metadata: metadata)
        }
        Report.warn(result.observations)
        try Report.finish(
            report,
            Outcome(
                object: result.key.text, lengthBytes: value.count, version: result.timestamp.fullName,
                rounds: result.rounds, durableAt: result.durableAt.map { Int($0.rawValue) },
                servers: ObservedServers(result.observations)),
            text: "stored \(result.key): \(value.count) bytes as version \(result.timestamp), durable at "
                + result.places(of: quorums))
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
