// solidus cluster init

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import ObjectStorage
import QuorumProtocol
import QuorumServer

struct ClusterInit: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract:
            "Make a new cluster: keys, certificates, its configuration and lists, a store per server, a first client.",
        discussion: """
            The directory must be absent or empty. Its servers listen on consecutive ports of one host; to place them \
            on several machines, edit addresses.toml, have 'solidus cluster sign' sign it, and copy each home with \
            cluster.toml, addresses.toml, keys.toml and access.toml in it.

            DIR/operator/key.pem is the operator's key: it signs those files, and whoever has it decides who may use the \
            cluster. Keep it offline, away from the servers; only 'client add', 'client revoke' and 'cluster sign' need it.

            Groups of m + 2f servers hold the objects, up to f of each may fail. With more servers there are several \
            groups, and each object belongs to one. A zone is what fails together: with --zone the groups are laid such \
            that any one zone may fail, if that can be.

            Examples:
              solidus cluster init demo
              solidus cluster init store --servers 8 --faults 1
              solidus cluster init store --servers 12 --zone east=3 --zone west=3 --zone north=3 --zone south=3
            """)

    @OptionGroup var target: ClusterArgument
    @Option(help: "How many servers there are (N); one group of m + 2f when not given.")
    var servers: Int?
    @Option(help: "How many servers of a group may fail or lie (f).")
    var faults = 1
    @Option(help: "How many fragments make an object (m); f + 1 when not given. A group has m + 2f servers.")
    var dataFragments: Int?
    @Option(
        name: .customLong("zone"),
        help: ArgumentHelp("A zone and how many servers are in it; may be repeated.", valueName: "label=count"),
        transform: Self.zone)
    var zones: [Zone] = []
    @Flag(help: "Make the cluster even if the loss of one zone would stop some of its groups.")
    var force = false
    @Option(help: "How fragments are verified; none tolerates crashes only.")
    var mode = ModeArgument(.fingerprint)
    @Option(help: "The size of the largest stripe in bytes: 1 to 64 MiB, a power of two.")
    var stripeBytes: Int?
    @Option(help: "The port of server 0; server i gets the i-th after it.")
    var basePort = 7400
    @Option(help: "The name or address that every server listens on.")
    var host = "127.0.0.1"
    @Option(
        help:
            "Have each server tell its metrics over HTTP on the loopback interface: the port of server 0's, server i's is the i-th after it."
    )
    var metricsPort: Int?
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
        let groups: [[Int]]
        let zones: [String: [Int]]
        let faultsForCertain: Int
        let faultsAtBest: Int
        let clients: [String]
    }

    private static func zone(_ text: String) throws -> Zone {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, ZoneLabel.isValid(String(parts[0])), let count = Int(parts[1]), count > 0 else {
            throw ValidationError("'\(text)': write LABEL=COUNT; \(ZoneLabel.rule), and the count is at least 1.")
        }
        return Zone(label: String(parts[0]), nodeCount: count)
    }

    func run() throws {
        let target = try target.place
        var cluster = NewCluster()
        cluster.serverCount = servers
        cluster.zones = zones
        cluster.acceptsZoneLoss = force
        cluster.faults = faults
        cluster.dataFragmentCount = dataFragments
        cluster.mode = mode.mode
        cluster.basePort = basePort
        cluster.metricsBasePort = metricsPort
        cluster.host = host
        if let stripeBytes { cluster.stripeSizeBytesMax = stripeBytes }
        if !clients.isEmpty { cluster.clientNames = clients }
        let configuration = try cluster.write(to: target.path) { new in
            try ObjectStore.create(
                directory: new.directory, owner: StoreOwner(new.node, of: new.cluster), incarnation: 1)
        }
        let made = configuration.parameters.configuration
        let layout = try cluster.checkedLayout()
        let addresses = configuration.servers.map(\.address)
        let zoned = Dictionary(grouping: made.nodes.filter { !$0.zone.isEmpty }, by: \.zone)
            .mapValues { $0.map { Int($0.id.rawValue) } }
        var lines = [
            "made a cluster of \(serverCount(made.nodes.count)) (\(addresses.first ?? "") to "
                + "\(addresses.last ?? "")) in \(target.path), any \(made.quorums.faults) of which may "
                + (mode.mode.isSigned ? "fail or lie" : "crash, but not lie")
        ]
        if made.groups.count > 1 {
            lines.append(
                "\(made.groups.count) groups of \(made.quorums.serverCount); with luck \(layout.faultsAtBest) servers "
                    + "may fail at once, \(made.quorums.faults) of each group")
        }
        for (label, members) in zoned.sorted(by: { $0.key < $1.key }) {
            let stopped = layout.stopped(byLossOf: label).map(\.description).joined(separator: ", ")
            lines.append(
                "zone \(label): servers \(members.map(String.init).joined(separator: ", "))"
                    + (stopped.isEmpty ? "" : "; its loss stops \(stopped)"))
        }
        lines.append("start it with 'solidus cluster up \(target.path)'; 'solidus mb NAME' then makes a bucket")
        lines.append("keep \(target.path)/operator/key.pem offline: it decides who may use the cluster")
        try Report.finish(
            report,
            Outcome(
                directory: target.path, cluster: "\(made.cluster)", faults: made.quorums.faults,
                dataFragments: made.quorums.dataFragmentCount, mode: mode.mode.description, servers: addresses,
                groups: made.groups.map { $0.members.map { Int($0.rawValue) } }, zones: zoned,
                faultsForCertain: made.quorums.faults, faultsAtBest: layout.faultsAtBest,
                clients: configuration.clients.map(\.name)),
            text: lines.joined(separator: "\n"))
    }
}
