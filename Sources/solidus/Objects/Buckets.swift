// solidus mb and solidus rb

import ArgumentParser
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

/// A bucket that was made or deleted, or is there, in JSON.
struct BucketReport: Encodable {
    let bucket: String
    let created: String?
    /// The name of the client who made it, or else its id.
    let owner: String?

    init(bucket: String) {
        self.bucket = bucket
        created = nil
        owner = nil
    }

    init(_ bucket: Bucket, _ clients: [AccessEntry]) {
        self.bucket = bucket.name
        created = Stat.text(milliseconds: bucket.createdMilliseconds)
        owner = clients.first { $0.id == bucket.owner }?.name ?? bucket.owner.description
    }

    /// For `ls`.
    var text: String { "\(created ?? "")  \(bucket)  \(owner ?? "")" }
}

struct MakeBucket: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "mb", abstract: "Make a bucket.",
        discussion: """
            It takes the right 'admin' on the bucket. Without the bucket, put, cp and mv store nothing in it.

            Example: solidus mb photos
            """)

    @Argument(help: "The bucket: 1 to 63 of a-z, 0-9, '.' and '-'.", transform: BucketArgument.name)
    var bucket: String
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    func run() async throws {
        let home = try access.home()
        let made = try await access.withClient(home) { client throws(ClientError) in
            try await client.createBucket(bucket)
        }
        try Report.finish(
            report, BucketReport(made, home.cluster.lists.access.contents.clients), text: "made bucket \(bucket)")
    }
}

struct RemoveBucket: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "rb", abstract: "Delete a bucket.",
        discussion: """
            A bucket that is not empty is refused (exit code 5), and it is said how many objects are in it at least. \
            It takes the rights 'admin' and 'list' on the bucket, and 'read' or 'write'; with --force 'write'. What \
            others write into it meanwhile is not deleted.

            Examples:
              solidus rb photos
              solidus rb --force photos
            """)

    @Argument(help: "The bucket.", transform: BucketArgument.name)
    var bucket: String
    @Flag(help: "Delete all that is in it first.")
    var force = false
    @OptionGroup var shown: ShownArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    func run() async throws {
        let (bucket, force, report, shown) = (bucket, force, report, shown)
        try await access.withTransfers(try access.home()) { client in
            if force {
                // Nobody's record is deleted whose objects are not known to be gone.
                let prefix = try PlaceArgument(bucket).prefix()
                try await client.requireBucket(of: prefix)
                var quiet = shown.console(report)
                quiet.quiet = true
                quiet.json = false
                try await Remove.removeAll(prefix, PathFilter(), client, RunOptions(), quiet, place: nil)
            }
            try await client.deleteBucket(bucket)
            guard report.json || !shown.quiet else { return }
            try Report.finish(report, BucketReport(bucket: bucket), text: "deleted bucket \(bucket)")
        }
    }
}
