// solidus recover, solidus cluster recover

import ArgumentParser
import ClusterFiles
import CommandOutcome
import FileTransfers
import ServerProcesses

struct Recover: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give servers a new key and an empty store, one after the other, and have the others fill it.",
        discussion: """
            For servers of which nobody knows whether somebody else has been in them, and now and then as a precaution: \
            whoever has a server's key and store has nothing after this that counts. Each server is stopped, begins its next \
            life as after 'solidus server rebuild', is started, and waited for until it is well; only then comes the next \
            one. So all that a server has is moved to it once more. Replace what runs on the machine first: this command \
            trusts the program and the machine. It takes the operator's key in DIR/operator, and works on servers that \
            'cluster up --detach' has started. It refuses (exit code 4) while others of a group do not work.

            After Ctrl-C the server in hand is started still, and the command ends (exit code 130); the same command goes \
            on with the servers that are left.

            Examples:
              solidus recover demo --rotate
              solidus cluster recover demo --server 2
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var selection: ServerSelection
    @Flag(help: "All servers of the cluster, one after the other.")
    var rotate = false
    @OptionGroup var health: HealthArguments
    @Option(help: "How many seconds a server may take to be ready.")
    var wait: Double = 30
    @Option(help: "How many seconds a server may take until it is well.")
    var catchUp: Double = 86_400
    @Flag(help: "Begin with the first server again, also if an interrupted run has come further.")
    var anew = false
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard wait > 0, wait <= 86_400, catchUp > 0, catchUp <= 604_800 else {
            throw ValidationError("--wait is 0 to 86400 seconds, --catch-up 0 to 604800, and neither is 0.")
        }
        guard rotate != !selection.numbers.isEmpty else {
            throw ValidationError("Name servers with --server, or all of them with --rotate.")
        }
    }

    func run() async throws {
        let target = try target.place
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        guard OperatorHome.isThere(clusterDirectory: target.path) else {
            throw Failure(
                .configuration,
                "\(target.path) has no operator's key, which has to sign each server's new key; see 'solidus server rebuild'"
            )
        }
        try ProcessStamp.checkProcesses()
        try target.run.create()
        let plan = RollingRestart.Plan(
            target: target, cluster: cluster, servers: try selection.chosen(of: cluster), health: health,
            readyMilliseconds: Int(wait * 1000), catchUp: .seconds(catchUp), beginsAnew: anew, renews: true)
        // A server that was stopped is started again, however long that takes.
        try await Interruption.run(patienceSeconds: nil) { [report] in
            try await target.run.locked {
                var restart = try RollingRestart(plan, report)
                try await restart.run()
            }
        }
    }
}
