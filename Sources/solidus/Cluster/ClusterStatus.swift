// solidus cluster status, solidus status

import ArgumentParser
import ClusterFiles
import CommandOutcome
import FileTransfers
import Foundation
import QuorumClient

/// How a command asks the servers how they are.
struct HealthArguments: ParsableArguments {
    @Option(help: "The client to be, by its name in access.toml; the first one listed when not given.")
    var client: String?
    @Option(help: "How many seconds the servers may take.")
    var timeout: Double = 5

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
    }

    /// What the servers say now. Files are read anew each time: lists may have changed.
    func condition(of target: ClusterDirectory) async throws -> ClusterCondition {
        try await ClusterCondition(
            asking: ClientHome(clusterDirectory: target.path, client: client), target.run,
            timeoutMilliseconds: max(1, Int(timeout * 1000)))
    }
}

struct ClusterStatus: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Ask every server how it is, and show what that means for each group.",
        discussion: """
            Asks over the network, as a client of the cluster, so it works from any machine with a client's home. What a \
            server says of itself is not signed. Fails with exit code 4 when a group has fewer servers at work than are \
            needed.

            With --watch it asks again and again, until Ctrl-C ends it (exit code 130): a terminal shows the last answers \
            in place, a pipe or file gets one block after the other, and with --json one object on a line of its own. A \
            server that hangs delays each round by --timeout and no more.

            Examples:
              solidus cluster status demo
              solidus cluster status demo --watch
              solidus status --watch 10 --json
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var health: HealthArguments
    // What is no number is taken for the directory.
    @Option(
        defaultAsFlag: 2, parsing: .next,
        help: ArgumentHelp("Ask again each so many seconds, until interrupted.", valueName: "seconds"))
    var watch: Double?
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard let watch else { return }
        guard watch > 0, watch <= 86_400 else {
            throw ValidationError("--watch must be more than 0 and at most 86400 seconds.")
        }
    }

    func run() async throws {
        let target = try target.place
        guard let watch else {
            let condition = try await health.condition(of: target)
            try Report.finish(report, condition, text: condition.lines.joined(separator: "\n"))
            guard condition.isAvailable else { throw ReportedVerdict(status: .unavailable) }
            return
        }
        // Nothing is under way that would have to be given up.
        try await Interruption.run(patienceSeconds: 0) { [health, report] in
            var screen = StatusScreen(target: target, intervalSeconds: watch, report: report)
            while true {
                let begun = ContinuousClock.now
                try screen.show(try await health.condition(of: target))
                try await Task.sleep(until: begun + .seconds(watch))
            }
        }
    }
}
