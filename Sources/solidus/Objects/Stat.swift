// solidus stat

import ArgumentParser
import CommandOutcome
import FileTransfers
import Foundation
import QuorumClient
import QuorumProtocol

struct Stat: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is known of an object beside its bytes.",
        discussion: "Example: solidus stat photos/cat.jpg --json")

    @OptionGroup var target: ObjectArgument
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let object: String
        let lengthBytes: UInt64
        let version: String
        let etag: String
        let contentType: String
        let modified: String
        let metadata: [String: String]
        let rounds: Int
        let servers: ObservedServers
    }

    func run() async throws {
        let home = try access.home()
        let status = try await access.withClient(home, for: target.object) { client throws(ClientError) in
            try await client.head(target.object)
        }
        Report.warn(status.observations)
        let modified = Self.text(milliseconds: status.metadata.modifiedMilliseconds)
        try Report.finish(
            report,
            Outcome(
                object: status.key.text, lengthBytes: status.lengthBytes, version: status.timestamp.fullName,
                etag: status.etag, contentType: status.metadata.contentType, modified: modified,
                metadata: status.metadata.user, rounds: status.rounds,
                servers: ObservedServers(status.observations)),
            text: lines(status, modified: modified))
    }

    private func lines(_ status: ObjectStatus, modified: String) -> String {
        var rows = [
            ("object", "\(status.key)"), ("size", "\(status.lengthBytes) bytes"), ("version", "\(status.timestamp)"),
            ("etag", status.etag), ("modified", modified),
        ]
        if !status.metadata.contentType.isEmpty { rows.append(("type", status.metadata.contentType)) }
        for (name, value) in status.metadata.user.sorted(by: { $0.key < $1.key }) {
            rows.append(("meta \(name.printable)", value))
        }
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { name, value in
            name + String(repeating: " ", count: width - name.count + 2) + value.printable
        }.joined(separator: "\n")
    }

    /// The writer's clock as ISO 8601 text; a writer may have sent any number.
    static func text(milliseconds: UInt64) -> String {
        guard milliseconds <= 253_402_300_799_000 else { return "\(milliseconds) ms" }
        return Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(.iso8601)
    }
}
