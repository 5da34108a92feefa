// solidus cluster init

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import QuorumProtocol
import QuorumServer

struct ClusterInit: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a new cluster: keys, certificates, cluster.toml, a store per server and a first client.",
        discussion: """
            The directory must be absent or empty. Its servers listen on consecutive ports of one host; to place them \
            on several machines, edit the addresses in cluster.toml and copy each home with cluster.toml in it.
            """)

    @OptionGroup var target: ClusterArgument
    @Option(help: "How many servers may fail or lie (f).")
    var faults = 1
    @Option(help: "How many fragments make an object (m); f + 1 when not given. There are m + 2f servers.")
    var dataFragments: Int?
    @Option(help: "How fragments are verified; none tolerates crashes only.")
    var mode = ModeArgument(.fingerprint)
    @Option(help: "The port of server 0; server i gets the i-th after it.")
    var basePort = 7400
    @Option(help: "The name or address that every server listens on.")
    var host = "127.0.0.1"
    @Option(name: .customLong("client"), help: "A client to make, by name; may be repeated. One, 'first', without.")
    var clients: [String] = []
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let directory: String
        let cluster: String
        let faults: Int
        let dataFragments: Int
        let mode: String
        let servers: [String]
        let clients: [String]
    }

    func run() throws {
        var cluster = NewCluster()
        cluster.faults = faults
        cluster.dataFragmentCount = dataFragments
        cluster.mode = mode.mode
        cluster.basePort = basePort
        cluster.host = host
        if !clients.isEmpty { cluster.clientNames = clients }
        let configuration = try cluster.write(to: target.path) { _, directory in
            try ObjectStore.create(directory: directory, incarnation: 1)
        }
        let quorums = configuration.parameters.quorums
        let addresses = configuration.servers.map(\.address)
        try Report.finish(
            report,
            Outcome(
                directory: target.path, cluster: "\(configuration.parameters.identity.cluster)",
                faults: quorums.faults, dataFragments: quorums.dataFragmentCount,
                mode: mode.mode.description, servers: addresses,
                clients: configuration.clients.map(\.name)),
            text: "made a cluster of \(quorums.serverCount) servers (\(addresses.first ?? "") to "
                + "\(addresses.last ?? "")) in \(target.path), any \(quorums.faults) of which may "
                + (mode.mode.isSigned ? "fail or lie" : "crash, but not lie"))
    }
}
