// solidus stat

import ArgumentParser
import ClusterFiles
import CommandOutcome
import FileTransfers
import Foundation
import QuorumClient
import QuorumProtocol

struct Stat: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is known of an object beside its bytes.",
        discussion: """
            With --versions also earlier ones, and deletions, as far as servers still keep them: by default 30 seconds. \
            Who holds which fragment, and whether it is good, says 'solidus verify'.

            Examples:
              solidus stat photos/cat.jpg --json
              solidus stat photos/cat.jpg --versions
            """)

    @OptionGroup var target: ObjectArgument
    @Flag(help: "All versions that servers still keep, the newest first, by their full names.")
    var versions = false
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
        let stripes: UInt64
        let stripeBytes: Int
        /// Where its fragments lie, in the order of their positions.
        let placement: [Int]
        let rounds: Int
        let servers: ObservedServers
    }

    private struct Version: Encodable {
        let version: String
        let current: Bool
        let deletion: Bool
        let lengthBytes: UInt64?
        let etag: String?
        let modified: String?
    }

    func run() async throws {
        let home = try access.home()
        if versions {
            try await listVersions(home)
        } else {
            try await show(home)
        }
    }

    private func listVersions(_ home: ClientHome) async throws {
        let versions = try await access.withClient(home, for: target.object) { client throws(ClientError) in
            try await client.versions(of: target.object)
        }
        guard !versions.isEmpty else { throw Failure(.notFound, "\(target.object) does not exist") }
        for version in versions {
            let modified = version.head.map { Self.text(milliseconds: $0.modifiedMilliseconds) }
            let what = version.head.map { "\($0.lengthBytes) bytes, \(modified ?? "")" } ?? "deletion"
            try Report.finish(
                report,
                Version(
                    version: version.timestamp.fullName, current: version.isCurrent, deletion: version.head == nil,
                    lengthBytes: version.head?.lengthBytes, etag: version.head?.etag, modified: modified),
                text: "\(version.timestamp.fullName)  \(what)\(version.isCurrent ? ", current" : "")")
        }
    }

    private func show(_ home: ClientHome) async throws {
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
                metadata: status.metadata.user, stripes: status.layout.stripeCount,
                stripeBytes: status.layout.stripeSizeBytes,
                placement: status.layout.servers.map { Int($0.rawValue) }, rounds: status.rounds,
                servers: ObservedServers(status.observations)),
            text: lines(status, modified: modified))
    }

    private func lines(_ status: ObjectStatus, modified: String) -> String {
        var rows = [
            ("object", "\(status.key)"), ("size", "\(status.lengthBytes) bytes"), ("version", "\(status.timestamp)"),
            ("etag", status.etag), ("modified", modified), ("stripes", "\(status.layout)"),
            ("servers", status.layout.servers.map { "\($0.rawValue)" }.joined(separator: ", ")),
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
