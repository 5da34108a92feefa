// solidus ls

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import FileTransfers
import Foundation
import QuorumClient
import QuorumProtocol

struct List: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the objects of a bucket, or the buckets.",
        discussion: """
            Without a bucket: when each was made, its name and its owner, of all buckets to a client that has the rights \
            'list' and 'read' on every one, else of those that it has any right on by name.

            With one: prints size, time and key of each object, in the order of the keys' bytes. Keys that go on alike up to a \
            slash are one line, unless --recursive is given. A listing is no snapshot: of each object it shows the last \
            write that was complete when it began, or a later one.

            Examples:
              solidus ls
              solidus ls photos/2024/
              solidus ls -r photos --after photos/2024/cat.jpg --limit 100
            """)

    @Argument(help: "The bucket, or BUCKET/PREFIX; the buckets are listed without.", transform: PrefixArgument.init)
    var prefix: PrefixArgument?
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
        if prefix == nil, recursive || after != nil {
            throw ValidationError("--recursive and --after are about objects: name a bucket.")
        }
    }

    func run() async throws {
        let home = try access.home()
        guard let prefix else { return try await listBuckets(home) }
        let report = report
        var left = limit ?? .max
        let failed = try await access.withClient(home) { client async throws(ClientError) -> Failure? in
            let listing = try client.list(
                prefix: prefix.bytes, delimiter: recursive ? [] : Array("/".utf8),
                after: after.map { ArgumentBytes.bytes(of: $0) })
            var entries = listing.makeAsyncIterator()
            var failed: Failure?
            var isEmpty = true
            while left > 0, failed == nil, let entry = try await entries.next() {
                left -= 1
                isEmpty = false
                do throws(Failure) { try Self.show(entry, report) } catch { failed = error }
            }
            // Nothing in it is one thing, and no such bucket another.
            if isEmpty, try await !client.bucketExists(prefix.bucket) { throw .noBucket(prefix.bucket) }
            return failed
        }
        if let failed { throw failed }
    }

    private func listBuckets(_ home: ClientHome) async throws {
        let list = try await access.withClient(home) { client async throws(ClientError) in try await client.buckets() }
        for bucket in list.buckets.prefix(limit ?? .max) {
            let line = BucketReport(bucket, home.cluster.lists.access.contents.clients)
            try Report.line(report, line, text: line.text)
        }
        if !list.isComplete {
            Standard.complain(
                "only buckets that \(home.name) has rights on by name: the list of all takes 'list' and 'read' on '*'")
        }
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
