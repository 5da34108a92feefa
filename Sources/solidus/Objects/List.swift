// solidus ls

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import Foundation
import QuorumClient
import QuorumProtocol

struct List: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the objects of a bucket.",
        discussion: """
            Prints size, time and key of each object, in the order of the keys' bytes. Keys that go on alike up to a \
            slash are one line, unless --recursive is given. A listing is no snapshot: of each object it shows the last \
            write that was complete when it began, or a later one.
            """)

    @Argument(help: "The bucket, or BUCKET/PREFIX.", transform: PrefixArgument.init)
    var prefix: PrefixArgument
    @Flag(name: .shortAndLong, help: "Every object by itself.")
    var recursive = false
    @Option(help: "Only what comes behind this key, BUCKET/KEY, or behind a prefix as it was printed.")
    var after: String?
    @Option(help: "So many entries at most.")
    var limit: Int?
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Line: Encodable {
        let object: String?
        let prefix: String?
        let lengthBytes: UInt64?
        let modified: String?
        let version: String?
        let etag: String?
    }

    mutating func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1.") }
    }

    func run() async throws {
        let home = try access.home()
        let report = report
        var left = limit ?? .max
        let failed = try await access.withClient(home) { client async throws(ClientError) -> Failure? in
            let listing = try client.list(
                prefix: prefix.bytes, delimiter: recursive ? [] : Array("/".utf8),
                after: after.map { ArgumentBytes.bytes(of: $0) })
            var entries = listing.makeAsyncIterator()
            var failed: Failure?
            while left > 0, failed == nil, let entry = try await entries.next() {
                left -= 1
                do throws(Failure) { try Self.show(entry, report) } catch { failed = error }
            }
            return failed
        }
        if let failed { throw failed }
    }

    private static func show(_ entry: ListingEntry, _ report: ReportOptions) throws(Failure) {
        switch entry {
        case .object(let object):
            let modified = Stat.text(milliseconds: object.modifiedMilliseconds)
            let size = "\(object.lengthBytes)"
            try Report.line(
                report,
                Line(
                    object: object.key.text, prefix: nil, lengthBytes: object.lengthBytes, modified: modified,
                    version: object.timestamp.fullName, etag: object.etag),
                text: "\(String(repeating: " ", count: max(0, 14 - size.count)))\(size)  \(modified)  \(object.key)")
        case .prefix(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            try Report.line(
                report,
                Line(object: nil, prefix: text, lengthBytes: nil, modified: nil, version: nil, etag: nil),
                text: String(repeating: " ", count: 38) + text.printable)
        }
    }
}
