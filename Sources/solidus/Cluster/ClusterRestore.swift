// solidus cluster restore

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Glibc
import QuorumClient
import QuorumProtocol

struct ClusterRestore: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make a cluster's directory of a backup, and take over the newest lists that its servers have.",
        discussion: """
            The directory must be absent or empty. The backup is checked before anything is made of it. Then the servers \
            are asked for lists that are newer than the backup's: whoever changed an older list would make another one of \
            the same version, which no server takes. As long as fewer than a quorum of each group have answered the \
            command fails (exit code 11), and is to be repeated without --from, which only asks. Unless it is done, change \
            no list.

            No server is started, and none can be from here. One that runs elsewhere goes on; one that is lost is rebuilt \
            ('solidus server rebuild'), one after the other.

            Examples:
              solidus cluster restore demo --from /media/safe/demo
              solidus cluster restore demo
            """)

    @OptionGroup var target: ClusterArgument
    @Option(
        name: .customLong("from"), help: "The backup. The directory is there already when not given.",
        completion: .directory)
    var backup: String?
    @Option(help: "How many seconds the servers may take.")
    var timeout: Double = 5
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
    }

    private struct Outcome: Encodable {
        struct Silence: Encodable {
            let server: Int
            let why: String
        }
        let directory: String
        /// What was made of the backup.
        let restored: [String]
        let lists: [String: UInt64]
        /// Lists of which servers had a newer version.
        let taken: [String]
        let answered: [Int]
        let silent: [Silence]
        let groupsWithoutQuorum: [Int]
    }

    /// More than this often nobody signs lists while the command runs.
    private static let roundsMax = 10

    func run() async throws {
        let directory = try target.place.path
        var restored: [String] = []
        if let backup {
            let contents = try BackupContents(of: backup)
            try contents.copy(to: directory)
            restored = contents.files
        }
        var taken: Set<ListKind> = []
        var round = try await ask(directory)
        for _ in 1..<Self.roundsMax where !round.taken.isEmpty {
            taken.formUnion(round.taken)
            // By the newest list of addresses, and as a client that is still listed.
            round = try await ask(directory)
        }
        taken.formUnion(round.taken)
        let configuration = round.cluster.parameters.configuration
        let groups = configuration.groups
            .filter { $0.members.count(where: round.answered.contains) < configuration.quorums.quorum }
        let outcome = Outcome(
            directory: directory, restored: restored, lists: round.cluster.listVersions,
            taken: ListKind.allCases.filter(taken.contains).map(\.fileName),
            answered: round.answered.map { Int($0.rawValue) }.sorted(),
            silent: round.silent.map { Outcome.Silence(server: Int($0.server.rawValue), why: $0.why) },
            groupsWithoutQuorum: groups.map { Int($0.id.rawValue) })
        for silence in outcome.silent {
            Standard.complain("warning: server \(silence.server) does not say which lists it has: \(silence.why)")
        }
        try Report.finish(report, outcome, text: Self.text(outcome, serverCount: configuration.nodes.count))
        guard groups.isEmpty else { throw ReportedVerdict(status: .partial) }
    }

    private static func text(_ outcome: Outcome, serverCount: Int) -> String {
        var lines: [String] = []
        if !outcome.restored.isEmpty { lines.append("restored \(outcome.directory) (\(outcome.restored.count) files)") }
        let versions = outcome.lists.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        let newer = outcome.taken.isEmpty ? "" : ", newer than here: " + outcome.taken.joined(separator: ", ")
        lines.append("lists: \(versions), by \(outcome.answered.count) of \(serverCount) servers\(newer)")
        if !outcome.groupsWithoutQuorum.isEmpty {
            let names = outcome.groupsWithoutQuorum.map(String.init).joined(separator: ", ")
            lines.append(
                "fewer than a quorum of group \(names): there may be newer lists. Change none before "
                    + "'solidus cluster restore \(outcome.directory)' has asked enough servers")
        }
        return lines.joined(separator: "\n")
    }

    // MARK: Asking

    private struct Round {
        var cluster: ClusterDescription
        var answered: Set<NodeID> = []
        var silent: [(server: NodeID, why: String)] = []
        var taken: [ListKind] = []
    }

    /// Asks the servers once, as the first client that any of them knows, and writes what is newer there.
    private func ask(_ directory: String) async throws -> Round {
        let contents = try BackupContents(of: directory)
        var round = Round(cluster: contents.cluster)
        for name in contents.clientNames where round.answered.isEmpty {
            let home = try ClientHome(clusterDirectory: directory, client: name)
            let answers: [NodeID: NewestLists.Answer]
            do {
                answers = try await NewestLists.ask(home, timeoutMilliseconds: max(1, Int(timeout * 1000)))
            } catch {
                throw Failure(.configuration, error.description)
            }
            round.silent = []
            for (server, answer) in answers.sorted(by: { $0.key < $1.key }) {
                switch answer {
                case .answer(let lists):
                    round.answered.insert(server)
                    for list in lists { Self.take(list, of: server, &round) }
                case .silent(let why): round.silent.append((server, why))
                case .unreachable(let error): round.silent.append((server, error.description))
                }
            }
        }
        try round.cluster.write(round.taken)
        return round
    }

    private static func take(_ list: AnySignedList, of server: NodeID, _ round: inout Round) {
        do throws(ListError) {
            guard try round.cluster.take(list) else { return }
            round.taken.append(list.kind)
        } catch .rolledBack {
            // Another server had a newer one still.
        } catch {
            Standard.complain("warning: \(server) has a list that is not taken: \(error)")
        }
    }
}
