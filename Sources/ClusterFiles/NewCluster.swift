// Making a cluster: keys, certificates, a home per server and client, the operator's key, the lists that it signs, and
// cluster.toml.

import Crypto
import Foundation
import QuorumProtocol
import QuorumTransport

/// A store to be made, and whose it is to be.
package struct NewStore: Sendable {
    package let cluster: ClusterID
    package let node: NodeID
    package let directory: String
}

/// What a cluster shall be, and the writing of all its files.
///
/// All of it is written and synced under another name first (`NewDirectory`), so there is a cluster or none, whatever
/// interrupts its making.
/// Private keys get mode 0600 and directories 0700.
package struct NewCluster: Sendable {
    /// How many servers; nil takes n of them, one group.
    package var serverCount: Int?
    /// What fails together, all servers accounted for; empty when nothing is known of that.
    package var zones: [Zone] = []
    /// Whether a ring in which the loss of one zone stops groups is taken all the same.
    package var acceptsZoneLoss = false
    /// f: how many servers of each group may fail.
    package var faults = 1
    /// m: how many fragments make a stripe; nil takes f + 1.
    package var dataFragmentCount: Int?
    /// How fragments are verified.
    package var mode = VerificationMode.fingerprint
    /// Where every server listens.
    package var host = "127.0.0.1"
    /// Where each server listens, in their order, instead of all at `host`.
    package var hosts: [String]?
    /// The port of server 0; server i gets the i-th after it.
    package var basePort = 7400
    /// A port for each server, in their order, instead of consecutive ones.
    package var ports: [Int]?
    /// The port on the loopback interface where server 0 tells its metrics, server i at the i-th after it; nil: nowhere.
    package var metricsBasePort: Int?
    /// Optimisations that the servers leave out, to measure what each is worth; those that are not servers' are
    /// ignored.
    package var without: Set<Optimisation> = []
    /// The largest stripe.
    package var stripeSizeBytesMax = ProtocolLimits().stripeSizeBytesMax
    /// The clients to make.
    package var clientNames = ["first"]
    /// What each of them may do.
    package var clientGrants = [NewClient.everything]
    /// When the certificates begin to be valid; an hour ago allows for clocks that differ.
    package var validFrom = Date(timeIntervalSinceNow: -3600)
    /// When the certificates end to be valid: after ten years.
    package var validUntil = Date(timeIntervalSinceNow: 10 * 365.25 * 86400)

    package init() {}

    /// Writes the cluster into `directory`, which must be absent or empty, and returns its description.
    ///
    /// - Parameter makeStore: makes a server's empty store, durably, in a directory that does not exist yet.
    /// - Throws: `invalidParameters`, `directoryNotEmpty` or `cannotWrite`; then nothing that was written is left.
    @discardableResult
    package func write(
        to directory: String, makeStore: (NewStore) throws -> Void
    ) throws(ConfigurationError) -> ClusterDescription {
        let quorums = try checkedQuorums()
        let layout = try checkedLayout(quorums)
        let addresses = try checkedAddresses(count: layout.nodes.count)
        try checkClientNames()

        let place = try NewDirectory(HomeFiles(directory).directory, entries: Self.entries)
        do throws(ConfigurationError) {
            let made = try write(place, quorums, layout, addresses, makeStore)
            try place.finish()
            return made
        } catch {
            place.abandon()
            throw error
        }
    }

    /// What is in a cluster's directory; cluster.toml, without which it is none, comes last.
    private static let entries = [
        "servers", "clients", "operator", ClusterConfiguration.runDirectoryName, AddressList.fileName, KeyList.fileName,
        AccessList.fileName,
        ClusterConfiguration.fileName,
    ]

    private func write(
        _ place: NewDirectory, _ quorums: QuorumConfiguration, _ layout: RingLayout, _ addresses: [NetworkAddress],
        _ makeStore: (NewStore) throws -> Void
    ) throws(ConfigurationError) -> ClusterDescription {
        let root = place.staging
        var limits = ProtocolLimits()
        limits.stripeSizeBytesMax = stripeSizeBytesMax
        var random = SystemRandomNumberGenerator()
        let id = ClusterID(high: random.next(), low: random.next())
        let operatorKey = try OperatorHome.create(in: root)
        try HomeFiles.makeDirectory("\(root)/servers")
        var servers: [AddressEntry] = []
        var keys: [KeyEntry] = []
        for server in layout.nodes.map(\.id) {
            let home = HomeFiles("\(root)/servers/\(server.rawValue)")
            try HomeFiles.makeDirectory(home.directory)
            let identity = try home.makeIdentity(
                commonName: "solidus server \(server.rawValue)", validFrom: validFrom, validUntil: validUntil)
            let statementKey = P256.Signing.PrivateKey()
            try TextFile.create(home.statementKey, statementKey.pemRepresentation + "\n", mode: 0o600)
            // Whoever makes a cluster without defence against liars says so for its servers, too.
            let faults = mode.isSigned ? "" : "faults = \"\(ServerHome.crashFaults)\"\n"
            let metrics = try self.metrics(of: server, beside: addresses)
            let names = without.filter(\.isServers).names.map { "\"\($0)\"" }.joined(separator: ", ")
            let switches = names.isEmpty ? "" : "without = [\(names)]\n"
            try TextFile.create(
                home.serverFile,
                "format = \(ServerHome.format)\nnumber = \(server.rawValue)\n\(faults)\(metrics)\(switches)",
                mode: 0o644)
            do {
                try makeStore(NewStore(cluster: id, node: server, directory: home.store))
            } catch {
                throw .cannotWrite(path: "\(place.path)/servers/\(server.rawValue)/store", reason: "\(error)")
            }
            servers.append(
                AddressEntry(node: server, address: addresses[Int(server.rawValue)], pin: identity.pin.digest))
            keys.append(KeyEntry(node: server, incarnation: Incarnation(1), key: statementKey.publicKey))
        }
        try HomeFiles.makeDirectory("\(root)/clients")
        var clients: [AccessEntry] = []
        for name in clientNames {
            clients.append(
                try NewClient(name: name, grants: clientGrants, validFrom: validFrom, validUntil: validUntil)
                    .write(to: "\(root)/clients/\(name)"))
        }
        let made: Configuration
        do {
            made = try Configuration(
                cluster: id, epoch: 1, mode: mode, quorums: quorums, nodes: layout.nodes, groups: layout.groups,
                slots: layout.slots)
        } catch {
            throw .invalidParameters(reason: error.description)
        }
        let configuration: ClusterConfiguration
        let lists: ClusterLists
        do {
            configuration = try ClusterConfiguration(
                parameters: ClusterParameters(made, limits: limits), signedBy: operatorKey)
            lists = try ClusterLists(
                addresses: SignedList(AddressList(servers), cluster: id, version: 1, signedBy: operatorKey),
                keys: SignedList(KeyList(keys), cluster: id, version: 1, signedBy: operatorKey),
                access: SignedList(AccessList(clients), cluster: id, version: 1, signedBy: operatorKey), for: made)
        } catch {
            throw .invalidParameters(reason: "\(error)")
        }
        try Self.create(lists, in: root)
        // What servers need to start and to be started is there from the beginning: later a disk may be full.
        for server in servers {
            let directory = HomeFiles("\(root)/servers/\(server.node.rawValue)").lists
            try HomeFiles.makeDirectory(directory)
            try Self.create(lists, in: directory)
        }
        try HomeFiles.makeDirectory("\(root)/\(ClusterConfiguration.runDirectoryName)")
        try TextFile.create("\(root)/\(ClusterConfiguration.fileName)", configuration.toml(), mode: 0o644)
        return ClusterDescription(configuration: configuration, lists: lists, directory: place.path)
    }

    private static func create(_ lists: ClusterLists, in directory: String) throws(ConfigurationError) {
        try TextFile.create("\(directory)/\(AddressList.fileName)", lists.addresses.toml(), mode: 0o644)
        try TextFile.create("\(directory)/\(KeyList.fileName)", lists.keys.toml(), mode: 0o644)
        try TextFile.create("\(directory)/\(AccessList.fileName)", lists.access.toml(), mode: 0o644)
    }

    private func checkedQuorums() throws(ConfigurationError) -> QuorumConfiguration {
        guard ClusterConfiguration.isStripeSize(stripeSizeBytesMax) else {
            throw .invalidParameters(
                reason: "a stripe of \(stripeSizeBytesMax) bytes is out of range, or no power of two")
        }
        do {
            return try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        } catch {
            throw .invalidParameters(reason: "\(error)")
        }
    }

    /// The servers and their groups. A ring of which one zone's loss would stop groups has to be asked for.
    package func checkedLayout() throws(ConfigurationError) -> RingLayout { try checkedLayout(checkedQuorums()) }

    private func checkedLayout(_ quorums: QuorumConfiguration) throws(ConfigurationError) -> RingLayout {
        if let invalid = zones.first(where: { !ZoneLabel.isValid($0.label) }) {
            throw .invalidParameters(reason: "'\(invalid.label)': \(ZoneLabel.rule)")
        }
        guard Set(zones.map(\.label)).count == zones.count, zones.allSatisfy({ $0.nodeCount > 0 }) else {
            throw .invalidParameters(reason: "each zone has a label of its own and at least one server")
        }
        let zoned = zones.reduce(0) { $0 + $1.nodeCount }
        let count = serverCount ?? (zones.isEmpty ? quorums.serverCount : zoned)
        guard zones.isEmpty || zoned == count else {
            throw .invalidParameters(reason: "the zones have \(zoned) servers, the cluster has \(count)")
        }
        guard count >= quorums.serverCount else {
            throw .invalidParameters(
                reason: "\(quorums.faults) faults and \(quorums.dataFragmentCount) data fragments take at least "
                    + "\(quorums.serverCount) servers, not \(count)")
        }
        let layout: RingLayout
        do {
            layout =
                try zones.isEmpty
                ? RingLayout(nodeCount: count, quorums: quorums) : RingLayout(zones: zones, quorums: quorums)
        } catch {
            throw .invalidParameters(reason: error.description)
        }
        let stopped = layout.zones.map { (zone: $0, groups: layout.stopped(byLossOf: $0)) }
            .filter { !$0.groups.isEmpty }
        guard stopped.isEmpty || acceptsZoneLoss else {
            let losses = stopped.map { zone, groups in
                "the loss of zone \(zone) would stop " + groups.map(\.description).joined(separator: ", ")
            }
            throw .invalidParameters(
                reason: losses.joined(separator: "; ") + "; have more zones, or accept that with --force")
        }
        return layout
    }

    private func checkedAddresses(count: Int) throws(ConfigurationError) -> [NetworkAddress] {
        let (last, overflow) = basePort.addingReportingOverflow(count - 1)
        guard ports != nil || (!overflow && basePort >= 1 && last <= 65535) else {
            throw .invalidParameters(reason: "\(count) ports from \(basePort) on do not lie within 1 to 65535")
        }
        let chosen = ports ?? Array(basePort...last)
        guard chosen.count == count, Set(chosen).count == count else {
            throw .invalidParameters(reason: "\(count) servers need \(count) different ports")
        }
        let hosts = hosts ?? Array(repeating: host, count: count)
        guard hosts.count == count else {
            throw .invalidParameters(reason: "\(count) servers need \(count) hosts, not \(hosts.count)")
        }
        var addresses: [NetworkAddress] = []
        for (host, port) in zip(hosts, chosen) {
            guard let address = NetworkAddress(host: host, port: port) else {
                throw .invalidParameters(reason: "'\(host)' port \(port) is no address to listen on")
            }
            addresses.append(address)
        }
        return addresses
    }

    /// The line of a server's file that says where its metrics are.
    private func metrics(of server: NodeID, beside addresses: [NetworkAddress]) throws(ConfigurationError) -> String {
        guard let metricsBasePort else { return "" }
        let (port, overflow) = metricsBasePort.addingReportingOverflow(Int(server.rawValue))
        guard !overflow, let address = NetworkAddress(host: "127.0.0.1", port: port) else {
            throw .invalidParameters(reason: "ports of metrics from \(metricsBasePort) on do not lie within 1 to 65535")
        }
        guard !addresses.contains(where: { $0.port == port }) else {
            throw .invalidParameters(reason: "a server listens on port \(port), where another's metrics would be")
        }
        return "metrics = \"\(address)\"\n"
    }

    private func checkClientNames() throws(ConfigurationError) {
        guard let invalid = clientNames.first(where: { !ClientName.isValid($0) }) else {
            guard Set(clientNames).count == clientNames.count else {
                throw .invalidParameters(reason: "two clients have the same name")
            }
            return
        }
        throw .invalidParameters(reason: "'\(invalid)': \(ClientName.rule)")
    }
}
