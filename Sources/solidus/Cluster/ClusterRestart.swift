// solidus cluster restart

import ArgumentParser
import ClusterFiles
import CommandOutcome
import FileTransfers
import ServerProcesses

struct ClusterRestart: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract:
            "Restart the servers that run on this machine one after the other, without keeping clients from work.",
        discussion: """
            Each is stopped, started, and waited for until it answers and has back what it has missed; only then comes the \
            next one. Those that are down are started first. Before a server is stopped all others are asked how they \
            are: it is left alone, and the command ends with exit code 4, if more than f servers of one of its groups would \
            not work then.

            After Ctrl-C the server that is being restarted is started still, and the command ends (exit code 130); a \
            second Ctrl-C ends it at once. The same command goes on with the servers that are left, unless the program was \
            replaced meanwhile. Only servers that 'cluster up --detach' has started are restarted: others are restarted \
            where and as they were started, as 'systemctl restart solidus@N' does, one after the other.

            Examples:
              solidus cluster restart demo
              solidus cluster restart demo --server 2 --server 3
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var selection: ServerSelection
    @OptionGroup var health: HealthArguments
    @Option(help: "How many seconds a server may take to be ready.")
    var wait: Double = 30
    @Option(help: "How many seconds a server may take to get back what it has missed.")
    var catchUp: Double = 3600
    @Flag(help: "Restart also the servers that an interrupted run has restarted already.")
    var anew = false
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        for (name, seconds) in [("--wait", wait), ("--catch-up", catchUp)] where seconds <= 0 || seconds > 86_400 {
            throw ValidationError("\(name) must be more than 0 and at most 86400 seconds.")
        }
    }

    func run() async throws {
        let target = try target.place
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let chosen = try selection.chosen(of: cluster)
        try ProcessStamp.checkProcesses()
        try target.run.create()
        let plan = RollingRestart.Plan(
            target: target, cluster: cluster, servers: chosen, health: health,
            readyMilliseconds: Int(wait * 1000), catchUp: .seconds(catchUp), beginsAnew: anew)
        // A server that was stopped is started again, however long that takes.
        try await Interruption.run(patienceSeconds: nil) { [report] in
            try await target.run.locked {
                var restart = try RollingRestart(plan, report)
                try await restart.run()
            }
        }
    }
}
