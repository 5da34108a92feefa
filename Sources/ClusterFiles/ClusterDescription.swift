// What a party knows of its cluster: the configuration of the epoch, and the newest lists that it has.

import Crypto
import Fingerprint
import QuorumProtocol
import QuorumTransport

/// A server, with where it is reached and by what it is known.
public struct ServerEntry: Sendable {
    public let node: NodeID
    /// Name or address the server listens on, and under which clients reach it.
    public let host: String
    /// The port, 1...65535.
    public let port: Int
    /// The certificate by which the server is known.
    package let pin: CertificatePin
    /// The one that takes its place: until then the server may show either.
    package let secondPin: CertificatePin?

    init(_ entry: AddressEntry) {
        node = entry.node
        host = entry.address.host
        port = entry.address.port
        pin = CertificatePin(entry.pin)
        secondPin = entry.secondPin.map(CertificatePin.init)
    }

    package var pins: [CertificatePin] { [pin] + (secondPin.map { [$0] } ?? []) }

    /// "host:port", an IPv6 address in brackets.
    public var address: String { NetworkAddress(host: host, port: port)?.description ?? "\(host):\(port)" }
}

/// A cluster's configuration and lists.
public struct ClusterDescription: Sendable {
    /// The epoch's configuration.
    public let configuration: ClusterConfiguration
    /// The newest lists known.
    package private(set) var lists: ClusterLists
    /// Where it was read from.
    package let directory: String

    package init(configuration: ClusterConfiguration, lists: ClusterLists, directory: String) {
        self.configuration = configuration
        self.lists = lists
        self.directory = directory
    }

    /// Reads and checks the cluster.toml at `path` and the lists beside it.
    ///
    /// - Throws: what is wrong, and where; `untrusted` when something is not as the operator has signed it.
    public init(contentsOf path: String) throws(ConfigurationError) {
        configuration = try ClusterConfiguration(contentsOf: path)
        // Of bytes: a mark that combines with the slash before it does not hide it.
        directory = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[..<$0]) } ?? "."
        lists = try Self.lists(in: directory, for: configuration)
    }

    /// Reads and checks a cluster's own directory.
    public init(directory: String) throws(ConfigurationError) {
        try self.init(contentsOf: HomeFiles(directory).directory + "/" + ClusterConfiguration.fileName)
    }

    /// The lists in a directory.
    package static func lists(
        in directory: String, for configuration: ClusterConfiguration
    ) throws(ConfigurationError) -> ClusterLists {
        let addresses = try SignedList<AddressList>(
            contentsOf: "\(directory)/\(AddressList.fileName)", for: configuration)
        let keys = try SignedList<KeyList>(contentsOf: "\(directory)/\(KeyList.fileName)", for: configuration)
        let access = try SignedList<AccessList>(
            contentsOf: "\(directory)/\(AccessList.fileName)", for: configuration)
        do {
            return try ClusterLists(
                addresses: addresses, keys: keys, access: access, for: configuration.parameters.configuration)
        } catch {
            throw .untrusted(path: directory, error)
        }
    }

    package var addressesFile: String { "\(directory)/\(AddressList.fileName)" }
    package var keysFile: String { "\(directory)/\(KeyList.fileName)" }
    package var accessFile: String { "\(directory)/\(AccessList.fileName)" }

    /// The lists that lie beside cluster.toml now, each checked by its signature and nothing else, and what is wrong
    /// with the others. The configuration is not read again: an epoch's never changes.
    package func listsOnDisk() -> (lists: [AnySignedList], complaints: [ConfigurationError]) {
        var lists: [AnySignedList] = []
        var complaints: [ConfigurationError] = []
        func read(_ load: () throws(ConfigurationError) -> AnySignedList) {
            do throws(ConfigurationError) {
                lists.append(try load())
            } catch {
                complaints.append(error)
            }
        }
        read { () throws(ConfigurationError) in
            .addresses(try SignedList(contentsOf: addressesFile, for: configuration))
        }
        read { () throws(ConfigurationError) in .keys(try SignedList(contentsOf: keysFile, for: configuration)) }
        read { () throws(ConfigurationError) in .access(try SignedList(contentsOf: accessFile, for: configuration)) }
        return (lists, complaints)
    }

    /// Takes a list if it is newer than the one known; see `ClusterLists.take`.
    package mutating func take(_ offered: AnySignedList) throws(ListError) -> Bool {
        try lists.take(offered, for: configuration.parameters.configuration)
    }

    /// Goes by another list of the same version.
    mutating func restore(_ kept: AnySignedList) { lists.restore(kept) }

    /// The cluster's identity, quorums, groups and limits.
    public var parameters: ClusterParameters { configuration.parameters }

    /// The configuration's servers in the order of their numbers.
    public var servers: [ServerEntry] {
        parameters.configuration.nodes.compactMap { server($0.id) }
    }

    /// The clients that may use the cluster, in the list's order.
    public var clients: [AccessEntry] { lists.access.contents.clients }

    /// The server with this number; nil when there is none.
    public func server(_ node: NodeID) -> ServerEntry? {
        guard parameters.configuration.contains(node) else { return nil }
        return lists.addresses.contents[node].map(ServerEntry.init)
    }

    /// Every server's public statement keys.
    package var statementKeys: StatementKeys { lists.keys.contents.statementKeys }

    /// What a client's HELLO says.
    package var scope: ClusterScope { scope(incarnation: nil) }

    /// What a HELLO says: the cluster, and what is known of it.
    ///
    /// - Parameter incarnation: a server's; nil of a client.
    package func scope(incarnation: Incarnation?) -> ClusterScope {
        guard
            let scope = ClusterScope(
                clusterID: parameters.configuration.cluster.bytes, epoch: parameters.configuration.epoch,
                configurationDigest: configuration.digest.withUnsafeBytes { [UInt8]($0) },
                partTags: configuration.partTags,
                listVersions: ListVersions(
                    addresses: lists.addresses.version, keys: lists.keys.version, access: lists.access.version),
                incarnation: incarnation?.rawValue)
        else { preconditionFailure("a cluster's id has 16 bytes, a digest 32") }
        return scope
    }

    /// Who may connect to a server: the servers as `.server(i)`, the clients under their ids' hexadecimal digits.
    package var peers: PeerDirectory {
        var identities: [CertificatePin: PeerIdentity] = [:]
        for client in clients { identities[CertificatePin(client.pin)] = .client(client.id.description) }
        for server in lists.addresses.contents.servers {
            for pin in server.pins { identities[CertificatePin(pin)] = .server(server.node.rawValue) }
        }
        return PeerDirectory(identities)
    }
}

extension CertificatePin {
    /// The pin that a list names.
    package init(_ digest: Digest256) {
        let bytes = digest.withUnsafeBytes { [UInt8]($0) }
        guard let pin = CertificatePin(bytes: bytes) else { preconditionFailure("a digest has 32 bytes") }
        self = pin
    }

    /// The pin as lists have it.
    package var digest: Digest256 {
        guard let digest = Digest256(bytes: bytes) else { preconditionFailure("a pin has 32 bytes") }
        return digest
    }
}
