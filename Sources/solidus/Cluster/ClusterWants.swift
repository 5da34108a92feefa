// solidus cluster wants

import ArgumentParser
import ClusterFiles
import CommandOutcome
import FileTransfers
import Foundation
import QuorumClient
import QuorumProtocol

struct ClusterWants: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "wants",
        abstract: "List the objects of which servers lack something, and why they cannot have it back.",
        discussion: """
            Servers bring back by themselves what they lack. What they could not have so far is told with the reason, and \
            tried again. 'Irreparable' is what fewer good fragments are left of than it takes, with all other servers of the \
            object there: unless one of them finds some, only writing the object again or deleting it ends that. It takes the \
            right 'admin' on every bucket. Fails with exit code 11 when a server lacks something, and with 4 when none says.

            Example: solidus cluster wants demo --server 2
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var selection: ServerSelection
    @Option(help: "The client to be, by its name in access.toml; the first one listed when not given.")
    var client: String?
    @Option(help: "How many objects of each server are listed.")
    var limit: Int = 1000
    @Option(help: "How many seconds the servers may take.")
    var timeout: Double = 15
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
        guard limit > 0 else { throw ValidationError("--limit must be at least 1.") }
    }

    private struct Outcome: Encodable {
        struct Want: Encodable {
            let server: Int
            let object: String
            let sinceSeconds: Double
            let attempts: UInt32
            let isIrreparable: Bool
            let reason: String
        }
        let wants: [Want]
        let silentServers: [Int]
    }

    func run() async throws {
        let home = try ClientHome(clusterDirectory: try target.place.path, client: client)
        let chosen = try selection.chosen(of: home.cluster)
        let answers: [NodeID: ServerWants.Answer]
        do {
            answers = try await ServerWants.ask(
                home, only: Set(chosen.map { NodeID(UInt16($0)) }), limit: limit,
                timeoutMilliseconds: max(1, Int(timeout * 1000)))
        } catch {
            throw Failure(.configuration, error.description)
        }
        var wants: [Outcome.Want] = []
        var silent: [Int] = []
        for (server, answer) in answers.sorted(by: { $0.key < $1.key }) {
            let number = Int(server.rawValue)
            switch answer {
            case .answer(let listed):
                wants += listed.prefix(limit).map {
                    Outcome.Want(
                        server: number, object: $0.key.text, sinceSeconds: Double($0.sinceMilliseconds) / 1000,
                        attempts: $0.attempts, isIrreparable: $0.isIrreparable, reason: $0.reason)
                }
            case .silent(let reason):
                silent.append(number)
                Standard.complain("warning: \(server) did not say: \(reason)")
            case .unreachable(let error):
                silent.append(number)
                Standard.complain("warning: \(server) did not say: \(error.description)")
            }
        }
        let now = Date().timeIntervalSince1970
        let lines = wants.map { want in
            let age = durationText(seconds: UInt64(max(0, now - want.sinceSeconds)))
            let state =
                want.isIrreparable
                ? "IRREPARABLE: \(want.reason)"
                : want.attempts > 0 ? "\(want.attempts) attempts failed: \(want.reason)" : "waits for its turn"
            return "server \(want.server)  \(want.object.printable)  for \(age)  \(state)"
        }
        let summary = wants.isEmpty ? "no server that answers lacks anything" : "\(wants.count) objects"
        try Report.finish(
            report, Outcome(wants: wants, silentServers: silent), text: (lines + [summary]).joined(separator: "\n"))
        if silent.count == answers.count { throw ReportedVerdict(status: .unavailable) }
        if !wants.isEmpty { throw ReportedVerdict(status: .partial) }
    }
}
