// A client's home: its name, its key, and the configuration of its cluster.

import QuorumProtocol
import QuorumTransport

/// The directory of one client, loaded and checked against the cluster's access list: `client.toml` (format, name,
/// id), `key.pem` and `certificate.pem`. `cluster.toml` and the lists beside
/// it lie in it or two directories up.
public struct ClientHome: Sendable {
    /// The format of client.toml.
    static let format = 1

    /// The home's path.
    public let directory: String
    /// The cluster this client uses.
    public private(set) var cluster: ClusterDescription
    /// The client's name for people.
    public let name: String
    /// The client's name in timestamps.
    public let id: ClientID
    /// The key and certificate of its connections.
    package let identity: TransportIdentity

    /// Loads the home at `path`.
    ///
    /// - Throws: what is wrong, and where; a certificate that the access list does not name for this
    ///   client is.
    public init(path: String) throws(ConfigurationError) { try self.init(path: path, of: nil) }

    /// The same, of a cluster that was read before.
    init(path: String, of known: ClusterDescription?) throws(ConfigurationError) {
        let files = HomeFiles(path)
        let advice = "a client's home is DIR/clients/NAME of a cluster that 'solidus cluster init DIR' made"
        let file = try StrictTable(
            parsing: TextFile.read(files.clientFile, advice: advice), path: files.clientFile,
            keys: ["format", "name", "id"])
        try file.checkFormat(Self.format)
        let name = try file.text("name", expected: "the client's name")
        let id = try file.client()
        let cluster = if let known { known } else { try ClusterDescription(contentsOf: files.clusterFile) }
        guard let entry = cluster.clients.first(where: { $0.name == name }) else {
            throw .unknownClient(path: cluster.accessFile, name: name, listed: cluster.clients.map(\.name))
        }
        guard entry.id == id else {
            throw file.invalid("id", id, "\(cluster.accessFile) lists the id \(entry.id) for client \(name)")
        }

        directory = files.directory
        self.cluster = cluster
        self.name = name
        self.id = id
        identity = try files.identity(
            pinned: [CertificatePin(entry.pin)], owner: "client \(name)", listedIn: cluster.accessFile)
    }

    /// The same home with what is known of the cluster by now.
    package func following(_ cluster: ClusterDescription) -> ClientHome {
        var home = self
        home.cluster = cluster
        return home
    }

    /// Loads the home of the client named `client`, or of the first one listed, in a cluster's directory.
    ///
    /// - Throws: as `init(path:)`, and `unknownClient`.
    public init(clusterDirectory: String, client: String? = nil) throws(ConfigurationError) {
        let directory = HomeFiles(clusterDirectory).directory
        let clusterFile = directory + "/" + ClusterConfiguration.fileName
        let cluster = try ClusterDescription(contentsOf: clusterFile)
        let listed = cluster.clients.map(\.name)
        guard let name = client ?? listed.first, listed.contains(name) else {
            throw .unknownClient(path: cluster.accessFile, name: client ?? "", listed: listed)
        }
        try self.init(path: "\(directory)/clients/\(name)")
    }
}
