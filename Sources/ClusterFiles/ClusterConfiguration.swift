// cluster.toml: the public part of a cluster, the same file at every server and client.

import Crypto
import QuorumProtocol
import QuorumTransport

/// A server as the cluster's configuration lists it.
public struct ServerEntry: Sendable {
    /// The server's position, 0..<n; server i holds fragment i of each stripe.
    public let index: ServerIndex
    /// Name or address the server listens on, and under which clients reach it.
    public let host: String
    /// The port, 1...65535.
    public let port: Int
    /// The certificate by which the server is known.
    package let pin: CertificatePin
    /// The key that the server's statements must be signed with.
    package let statementKey: P256.Signing.PublicKey

    package init(
        index: ServerIndex, host: String, port: Int, pin: CertificatePin, statementKey: P256.Signing.PublicKey
    ) {
        self.index = index
        self.host = host
        self.port = port
        self.pin = pin
        self.statementKey = statementKey
    }

    /// "host:port", an IPv6 address in brackets.
    public var address: String { NetworkAddress(host: host, port: port)?.description ?? "\(host):\(port)" }
}

/// A client as the cluster's configuration lists it.
public struct ClientEntry: Sendable {
    /// The name for people, and of the client's directory.
    public let name: String
    /// The name that stands in timestamps.
    public let id: ClientID
    /// The certificate by which the client is known.
    package let pin: CertificatePin

    package init(name: String, id: ClientID, pin: CertificatePin) {
        self.name = name
        self.id = id
        self.pin = pin
    }
}

/// Everything that is public about a cluster: its fault model, its servers and its clients.
public struct ClusterConfiguration: Sendable {
    /// The file's name in a cluster's directory.
    package static let fileName = "cluster.toml"
    /// The format that this program reads and writes.
    static let format = 1
    /// What a stripe, and so for now a value, may measure.
    package static let stripeSizeBytesRange = (1 << 20)...(64 << 20)

    /// The cluster's identity, quorums and limits.
    public let parameters: ClusterParameters
    /// The servers, n of them, in the order of their indices.
    public let servers: [ServerEntry]
    /// The clients that may use the cluster, in the file's order.
    public let clients: [ClientEntry]

    init(parameters: ClusterParameters, servers: [ServerEntry], clients: [ClientEntry]) {
        precondition(servers.map(\.index) == parameters.quorums.servers)
        self.parameters = parameters
        self.servers = servers
        self.clients = clients
    }

    /// Reads and checks the file at `path`.
    ///
    /// - Throws: what is wrong, and where.
    public init(contentsOf path: String) throws(ConfigurationError) {
        let bytes = try TextFile.read(path, advice: "'solidus cluster init' writes it into a cluster's directory")
        try self.init(bytes: bytes, path: path)
    }

    /// Reads and checks the text of a cluster.toml; complaints name `path`.
    ///
    /// - Throws: what is wrong, and where.
    public init(toml: String, path: String) throws(ConfigurationError) {
        try self.init(bytes: Array(toml.utf8), path: path)
    }

    private init(bytes: [UInt8], path: String) throws(ConfigurationError) {
        let file = try StrictTable(parsing: bytes, path: path, keys: ["format", "cluster", "servers", "clients"])
        try file.checkFormat(Self.format)
        let parameters = try Self.parameters(
            file.section("cluster", keys: ["id", "epoch", "mode", "faults", "data_fragments", "stripe_bytes"]))
        var uniqueness = Uniqueness(path: path)
        let servers = try Self.servers(file, quorums: parameters.quorums, &uniqueness)
        let clients = try Self.clients(file, &uniqueness)
        self.init(parameters: parameters, servers: servers, clients: clients)
    }

    /// Every server's public statement key, in the order of the indices.
    package var statementKeys: [P256.Signing.PublicKey] { servers.map(\.statementKey) }

    /// What every connection within this cluster must name.
    package var scope: ClusterScope {
        guard let scope = ClusterScope(clusterID: parameters.identity.cluster.bytes, epoch: parameters.identity.epoch)
        else { preconditionFailure("a cluster's id has 16 bytes") }
        return scope
    }

    /// Who may connect to a server: the servers as `.server(i)`, the clients under their ids' hexadecimal digits.
    package var peers: PeerDirectory {
        var identities: [CertificatePin: PeerIdentity] = [:]
        for server in servers { identities[server.pin] = .server(server.index.rawValue) }
        for client in clients { identities[client.pin] = .client(client.id.description) }
        return PeerDirectory(identities)
    }
}

extension ClusterConfiguration {
    private static func parameters(_ table: StrictTable) throws(ConfigurationError) -> ClusterParameters {
        let idText = try table.text("id", expected: "the cluster's id, 32 hexadecimal digits")
        guard let id = ClusterID(hexadecimal: idText) else {
            throw table.invalid("id", idText, "a cluster's id is 32 hexadecimal digits")
        }
        let epoch = try table.integer("epoch", expected: "the configuration's epoch, an integer from 1")
        guard epoch >= 1 else { throw table.invalid("epoch", epoch, "epochs count from 1") }
        let names = VerificationMode.allCases.map(\.description)
        let modeText = try table.text("mode", expected: "one of: \(names.joined(separator: ", "))")
        guard let mode = VerificationMode.allCases.first(where: { $0.description == modeText }) else {
            throw table.invalid("mode", modeText, "there is only \(names.joined(separator: ", "))")
        }
        let faults = try table.integer("faults", expected: "the number of servers that may fail, an integer")
        let dataFragments = try table.integer(
            "data_fragments", expected: "the number of fragments that make a stripe, an integer")
        let quorums: QuorumConfiguration
        do {
            quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragments)
        } catch {
            let key = if case .faultsOutOfRange = error { "faults" } else { "data_fragments" }
            throw table.invalid(key, key == "faults" ? faults : dataFragments, error.description)
        }
        var limits = ProtocolLimits()
        limits.stripeSizeBytesMax = try table.integer(
            "stripe_bytes", expected: "a stripe's size in bytes, an integer", default: limits.stripeSizeBytesMax)
        guard stripeSizeBytesRange.contains(limits.stripeSizeBytesMax) else {
            throw table.invalid(
                "stripe_bytes", limits.stripeSizeBytesMax,
                "a stripe has \(stripeSizeBytesRange.lowerBound) to \(stripeSizeBytesRange.upperBound) bytes")
        }
        return ClusterParameters(
            identity: ClusterIdentity(cluster: id, epoch: UInt64(epoch), mode: mode), quorums: quorums, limits: limits)
    }

    private static func servers(
        _ file: StrictTable, quorums: QuorumConfiguration, _ uniqueness: inout Uniqueness
    ) throws(ConfigurationError) -> [ServerEntry] {
        var servers: [ServerEntry] = []
        for table in try file.sections("servers", keys: ["index", "address", "certificate_pin", "statement_key"]) {
            let number = try table.integer("index", expected: "the server's index, counted from 0")
            guard (0..<quorums.serverCount).contains(number) else {
                throw table.invalid(
                    "index", number,
                    "with \(quorums.serverCount) servers the indices are 0 to "
                        + "\(quorums.serverCount - 1)")
            }
            try uniqueness.claim(.index, "\(number)", at: table.name(of: "index"))
            let addressText = try table.text("address", expected: "\"host:port\"")
            guard let address = NetworkAddress(addressText) else {
                throw table.invalid("address", addressText, "write \"host:port\", with a port from 1 to 65535")
            }
            try uniqueness.claim(.address, address.description, at: table.name(of: "address"))
            let keyText = try table.text("statement_key", expected: "the server's public P-256 key in hexadecimal")
            guard let keyBytes = Hexadecimal.bytes(keyText, countMax: 65),
                let key = try? P256.Signing.PublicKey(x963Representation: keyBytes)
            else { throw table.invalid("statement_key", keyText, "not a P-256 public key (65 bytes in hexadecimal)") }
            try uniqueness.claim(.key, keyText.lowercased(), at: table.name(of: "statement_key"))
            servers.append(
                ServerEntry(
                    index: ServerIndex(UInt8(number)), host: address.host, port: address.port,
                    pin: try pin(table, &uniqueness), statementKey: key))
        }
        guard servers.count == quorums.serverCount else {
            throw .serverCountMismatch(
                path: file.path, listed: servers.count, faults: quorums.faults,
                dataFragments: quorums.dataFragmentCount, needed: quorums.serverCount)
        }
        return servers.sorted { $0.index < $1.index }
    }

    private static func clients(
        _ file: StrictTable, _ uniqueness: inout Uniqueness
    ) throws(ConfigurationError) -> [ClientEntry] {
        var clients: [ClientEntry] = []
        for table in try file.sections("clients", keys: ["name", "id", "certificate_pin"]) {
            let name = try table.text("name", expected: "the client's name")
            guard ClientName.isValid(name) else { throw table.invalid("name", name, ClientName.rule) }
            try uniqueness.claim(.name, name, at: table.name(of: "name"))
            let idText = try table.text("id", expected: "the client's id, 32 hexadecimal digits")
            guard let id = ClientID(hexadecimal: idText) else {
                throw table.invalid("id", idText, "a client's id is 32 hexadecimal digits")
            }
            try uniqueness.claim(.id, id.description, at: table.name(of: "id"))
            clients.append(ClientEntry(name: name, id: id, pin: try pin(table, &uniqueness)))
        }
        return clients
    }

    private static func pin(
        _ table: StrictTable, _ uniqueness: inout Uniqueness
    ) throws(ConfigurationError) -> CertificatePin {
        let key = "certificate_pin"
        let text = try table.text(key, expected: "the SHA-256 of the certificate, 64 hexadecimal digits")
        guard let pin = CertificatePin(hex: text) else {
            throw table.invalid(key, text, "a pin is 64 hexadecimal digits")
        }
        try uniqueness.claim(.pin, pin.description, at: table.name(of: key))
        return pin
    }
}

/// Where each value that must be unique was seen first.
private struct Uniqueness {
    enum Kind: Hashable { case index, address, key, pin, name, id }

    private struct Claim: Hashable {
        let kind: Kind
        let value: String
    }

    let path: String
    private var places: [Claim: String] = [:]

    init(path: String) {
        self.path = path
    }

    mutating func claim(_ kind: Kind, _ value: String, at place: String) throws(ConfigurationError) {
        if let earlier = places.updateValue(place, forKey: Claim(kind: kind, value: value)) {
            throw .duplicate(path: path, key: place, value: value, earlier: earlier)
        }
    }
}

/// What a client may be called: the name is a directory's and a certificate's too.
enum ClientName {
    static let rule = "a client's name is 1 to 64 of a-z, A-Z, 0-9, '-' and '_'"

    static func isValid(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default:
                    false
                }
            }
    }
}
