// solidus cluster up

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Glibc
import QuorumProtocol
import ServerProcesses

struct ClusterUp: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start a cluster's servers, each as a process of its own.",
        discussion: """
            Prints "ready" when every server is. One that cannot start, or that is up already, does not stop the others: \
            it is named, and the exit code is 11. In the foreground, Ctrl-C or SIGTERM stops those that were started, and \
            none of them outlives this command. What a server says goes to DIR/servers/INDEX/server.log.

            Examples:
              solidus cluster up demo --detach
              solidus cluster up demo --server 2 --detach
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var selection: ServerSelection
    @Flag(help: "Leave the servers running and return; 'solidus cluster down' stops them.")
    var detach = false
    @Option(help: "How many seconds the servers may take to be ready.")
    var wait: Double = 30
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard wait > 0, wait <= 86_400 else {
            throw ValidationError("--wait must be more than 0 and at most 86400 seconds.")
        }
    }

    /// What became of each server, in JSON.
    private struct Outcome: Encodable {
        struct Server: Encodable {
            let number: Int
            let address: String
            let state: State
            let process: Int?
            let failure: String?
        }
        enum State: String, Encodable {
            case started
            case alreadyUp = "already_up"
            case failed
        }
        let servers: [Server]
    }

    func run() throws {
        let target = try target.place
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let chosen = try selection.chosen(of: cluster)
        let run = target.run
        try ProcessStamp.checkProcesses()
        try run.create()
        let own = ProcessStamp(of: getpid())
        var supervisor = try Supervisor(run: run)
        var earlier: [Int: ProcessStamp] = [:]
        let (ready, failures) = try run.locked {
            for index in chosen { earlier[index] = run.server(index) }
            let started = try supervisor.start(
                chosen.filter { earlier[$0] == nil }.map { (index: $0, path: target.home($0)) },
                diesWithCaller: !detach, waitMilliseconds: Int(wait * 1000))
            // A later supervisor of other servers leaves the first one its file.
            if !detach, !started.ready.isEmpty, run.supervisor == nil { run.note(own, in: run.supervisorFile) }
            return started
        }
        defer { if let own { run.remove(run.supervisorFile, of: own) } }
        let servers = chosen.map { index in
            let failure = failures.first { $0.server == index }?.failure.message
            return Outcome.Server(
                number: index, address: cluster.server(NodeID(UInt16(index)))?.address ?? "",
                state: earlier[index] != nil ? .alreadyUp : failure == nil ? .started : .failed,
                process: (earlier[index] ?? run.server(index)).map { Int($0.processID) }, failure: failure)
        }
        for (index, stamp) in earlier.sorted(by: { $0.key < $1.key }) {
            Standard.complain("warning: server \(index) was up already (process \(stamp.processID))")
        }
        if ready.isEmpty {
            // Nothing was started: what kept the first one from it says more than that not all were.
            guard let failure = failures.first?.failure else {
                throw Failure(
                    .inputOutput,
                    "every server was up already; 'solidus cluster down \(target.path)' stops them")
            }
            throw Failure(failure.status, failures.map(\.failure.message).joined(separator: "\n"))
        }
        for (_, failure) in failures { Standard.complain("warning: \(failure.message)") }
        let addresses = servers.filter { $0.state == .started }.map(\.address).joined(separator: " ")
        let isWhole = ready.count == chosen.count
        try Report.finish(
            report, Outcome(servers: servers),
            text: isWhole
                ? "ready: \(serverCount(ready.count)) at \(addresses)"
                : "ready: \(ready.count) of \(serverCount(chosen.count)), at \(addresses)")
        if !detach {
            let wasRunning = supervisor.watch()
            supervisor.stop()
            guard wasRunning else { throw Failure(.unexpected, "every server has ended") }
            Standard.complain("stopped \(serverCount(ready.count))")
        }
        if !isWhole { throw ReportedVerdict(status: .partial) }
    }
}
