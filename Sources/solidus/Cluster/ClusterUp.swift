// solidus cluster up

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Glibc
import QuorumProtocol
import ServerProcesses

struct ClusterUp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start a cluster's servers, each as a process of its own.",
        discussion: """
            Prints "ready" when every server is. In the foreground, Ctrl-C or SIGTERM stops them all, and none \
            outlives this command. What a server says goes to DIR/servers/INDEX/server.log.
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var selection: ServerSelection
    @Flag(help: "Leave the servers running and return; 'solidus cluster down' stops them.")
    var detach = false
    @Option(help: "How many seconds the servers may take to be ready.")
    var wait: Double = 30

    mutating func validate() throws {
        guard wait > 0, wait <= 86_400 else {
            throw ValidationError("--wait must be more than 0 and at most 86400 seconds.")
        }
    }

    func run() throws {
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let chosen = try selection.chosen(of: cluster)
        let run = target.run
        try run.create()
        let own = ProcessStamp(of: getpid())
        var supervisor = try Supervisor(run: run)
        try run.locked {
            if let index = chosen.first(where: { run.server($0) != nil }), let stamp = run.server(index) {
                throw Failure(
                    .inputOutput,
                    "server \(index) is already up (process \(stamp.processID)); "
                        + "'solidus cluster down \(target.path)' stops it")
            }
            try supervisor.start(
                chosen.map { (index: $0, path: target.home($0)) }, diesWithCaller: !detach,
                waitMilliseconds: Int(wait * 1000))
            // A later supervisor of other servers leaves the first one its file.
            if !detach, run.supervisor == nil { try own?.write(to: run.supervisorFile) }
        }
        let addresses = chosen.compactMap { cluster.server(NodeID(UInt16($0)))?.address }.joined(separator: " ")
        try Standard.write("ready: \(serverCount(chosen.count)) at \(addresses)\n")
        if detach { return }

        defer { if let own { run.remove(run.supervisorFile, of: own) } }
        let wasRunning = supervisor.watch()
        supervisor.stop()
        guard wasRunning else { throw Failure(.unexpected, "every server has ended") }
        try Standard.write("stopped \(serverCount(chosen.count))\n")
    }
}
