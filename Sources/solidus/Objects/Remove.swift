// solidus rm

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import FileTransfers
import QuorumClient
import QuorumProtocol

struct Remove: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Delete an object, or all below a prefix.",
        discussion: """
            An object that does not exist is an error. With --recursive 'photos/2024' stands for a folder: what is below \
            'photos/2024/' is deleted, and 'photos/2024-old' is not.

            Examples:
              solidus rm photos/cat.jpg
              solidus rm -r photos/2024 --dry-run
            """)

    @Argument(
        help: "The object, BUCKET/KEY; with --recursive BUCKET or BUCKET/PREFIX.", transform: PlaceArgument.init)
    var target: PlaceArgument
    @OptionGroup var many: ManyArguments
    @OptionGroup var shown: ShownArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let object: String
        let version: String
        let rounds: Int
        let durableAt: [Int]
        let servers: ObservedServers
    }

    mutating func validate() throws {
        if many.recursive { _ = try target.prefix() } else { _ = try target.key() }
    }

    func run() async throws {
        let home = try access.home()
        guard many.recursive else { return try await removeOne(home) }
        let (prefix, filter, options) = (try target.prefix(), try many.filter(), many.runOptions)
        let failed = many.failed
        let console = shown.console(report)
        try await access.withTransfers(home) { client in
            try await client.requireBucket(of: prefix)
            try await Self.removeAll(
                prefix, filter, client, options, console, place: prefix.description, failed: failed)
        }
    }

    /// Deletes all objects below a prefix, with a line for each.
    ///
    /// - Parameters:
    ///   - place: as `TransferRun.runAndReport`.
    ///   - failed: as there.
    static func removeAll(
        _ prefix: KeyPrefix, _ filter: PathFilter, _ client: ObjectClient, _ options: RunOptions,
        _ shown: ConsoleOptions, place: String?, failed: FileArgument? = nil
    ) async throws {
        let console = TransferConsole(shown) { path in
            ItemNames(source: nil, target: (prefix.bytes + path).readablePath)
        }
        console.watch(client, other: "the cluster")
        try await TransferRun(RemoveEnds(client, below: prefix), options, observer: console).runAndReport(
            console, place: place, failed: failed
        ) { () throws(Failure) in
            try ObjectEntries(client, below: prefix, filter: filter)
        } target: { () throws(Failure) in
            try ObjectEntries(client, below: prefix, filter: filter)
        }
    }

    private func removeOne(_ home: ClientHome) async throws {
        let (key, report, quiet, quorums) = (try target.key(), report, shown.quiet, home.cluster.parameters.quorums)
        try await access.withTransfers(home) { client in
            guard let result = try await client.delete(key) else { throw ClientError.notFound(key) }
            ClientArguments.warn(of: client, key)
            Report.warn(result.observations)
            guard report.json || !quiet else { return }
            try Report.finish(
                report,
                Outcome(
                    object: result.key.text, version: result.timestamp.fullName, rounds: result.rounds,
                    durableAt: result.durableAt.map { Int($0.rawValue) },
                    servers: ObservedServers(result.observations)),
                text: "deleted \(result.key) by version \(result.timestamp), durable at "
                    + result.places(of: quorums))
        }
    }
}
