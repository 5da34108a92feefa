// cluster.toml: the public part of a cluster, the same file at every server and client.

import Crypto
import QuorumProtocol
import QuorumTransport

/// A server as the cluster's configuration lists it.
public struct ServerEntry: Sendable {
    public let node: NodeID
    /// Name or address the server listens on, and under which clients reach it.
    public let host: String
    /// The port, 1...65535.
    public let port: Int
    /// The certificate by which the server is known.
    package let pin: CertificatePin
    /// The key that the server's statements must be signed with.
    package let statementKey: P256.Signing.PublicKey

    package init(
        node: NodeID, host: String, port: Int, pin: CertificatePin, statementKey: P256.Signing.PublicKey
    ) {
        self.node = node
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

/// Everything that is public about a cluster: its fault model, its servers and their groups, and its clients.
public struct ClusterConfiguration: Sendable {
    /// The file's name in a cluster's directory.
    package static let fileName = "cluster.toml"
    /// The format that this program reads and writes.
    static let format = 2
    /// What a stripe, and so for now a value, may measure.
    package static let stripeSizeBytesRange = (1 << 20)...(64 << 20)

    /// The cluster's identity, quorums and limits.
    public let parameters: ClusterParameters
    /// The servers in the order of their numbers.
    public let servers: [ServerEntry]
    /// The clients that may use the cluster, in the file's order.
    public let clients: [ClientEntry]

    init(parameters: ClusterParameters, servers: [ServerEntry], clients: [ClientEntry]) {
        precondition(servers.map(\.node) == parameters.configuration.nodes.map(\.id))
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
        let file = try StrictTable(
            parsing: bytes, path: path, keys: ["format", "cluster", "servers", "groups", "clients"])
        try file.checkFormat(Self.format)
        let head = try Head(
            file.section("cluster", keys: ["id", "epoch", "mode", "faults", "data_fragments", "stripe_bytes"]))
        var uniqueness = Uniqueness(path: path)
        let servers = try Self.servers(file, &uniqueness)
        let (groups, slots) = try Self.groups(file, &uniqueness)
        let clients = try Self.clients(file, &uniqueness)
        let configuration: Configuration
        do {
            configuration = try Configuration(
                cluster: head.id, epoch: head.epoch, mode: head.mode, quorums: head.quorums,
                nodes: servers.map(\.node), groups: groups, slots: slots)
        } catch {
            throw .inconsistent(path: path, reason: error.description)
        }
        self.init(
            parameters: ClusterParameters(configuration, limits: head.limits), servers: servers.map(\.entry),
            clients: clients)
    }

    /// The server with this number; nil when there is none.
    public func server(_ node: NodeID) -> ServerEntry? { servers.first { $0.node == node } }

    /// Every server's public statement key, that of its first life.
    package var statementKeys: StatementKeys {
        var keys = StatementKeys()
        for server in servers { keys.add(.p256(KnownKey(server.statementKey)), of: server.node, Incarnation(1)) }
        return keys
    }

    /// What every connection within this cluster must name.
    package var scope: ClusterScope {
        guard
            let scope = ClusterScope(
                clusterID: parameters.configuration.cluster.bytes, epoch: parameters.configuration.epoch)
        else { preconditionFailure("a cluster's id has 16 bytes") }
        return scope
    }

    /// Who may connect to a server: the servers as `.server(i)`, the clients under their ids' hexadecimal digits.
    package var peers: PeerDirectory {
        var identities: [CertificatePin: PeerIdentity] = [:]
        for server in servers { identities[server.pin] = .server(server.node.rawValue) }
        for client in clients { identities[client.pin] = .client(client.id.description) }
        return PeerDirectory(identities)
    }
}

/// What [cluster] says.
private struct Head {
    let id: ClusterID
    let epoch: UInt64
    let mode: VerificationMode
    let quorums: QuorumConfiguration
    let limits: ProtocolLimits

    init(_ table: StrictTable) throws(ConfigurationError) {
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
        let stripes = ClusterConfiguration.stripeSizeBytesRange
        guard stripes.contains(limits.stripeSizeBytesMax) else {
            throw table.invalid(
                "stripe_bytes", limits.stripeSizeBytesMax,
                "a stripe has \(stripes.lowerBound) to \(stripes.upperBound) bytes")
        }
        self.id = id
        self.epoch = UInt64(epoch)
        self.mode = mode
        self.quorums = quorums
        self.limits = limits
    }
}

extension ClusterConfiguration {
    private static func servers(
        _ file: StrictTable, _ uniqueness: inout Uniqueness
    ) throws(ConfigurationError) -> [(node: Node, entry: ServerEntry)] {
        var servers: [(node: Node, entry: ServerEntry)] = []
        let keys: Set = ["number", "zone", "address", "certificate_pin", "statement_key"]
        for table in try file.sections("servers", keys: keys) {
            let number = try table.integer("number", expected: "the server's number, an integer from 0")
            guard let raw = UInt16(exactly: number) else {
                throw table.invalid("number", number, "servers' numbers are 0 to 65535")
            }
            try uniqueness.claim(.server, "\(number)", at: table.name(of: "number"))
            let zone = try table.text("zone", expected: "what fails together with the server", default: "")
            guard zone.isEmpty || ZoneLabel.isValid(zone) else { throw table.invalid("zone", zone, ZoneLabel.rule) }
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
            let node = NodeID(raw)
            servers.append(
                (
                    node: Node(id: node, zone: zone),
                    entry: ServerEntry(
                        node: node, host: address.host, port: address.port, pin: try pin(table, &uniqueness),
                        statementKey: key)
                ))
        }
        return servers.sorted { $0.node.id < $1.node.id }
    }

    /// The groups, and for each slot its group. Numbers in lists stand for themselves, "3-7" for 3, 4, 5, 6 and 7.
    private static func groups(
        _ file: StrictTable, _ uniqueness: inout Uniqueness
    ) throws(ConfigurationError) -> (groups: [Group], slots: [GroupID]) {
        var groups: [Group] = []
        var slots: [GroupID?] = Array(repeating: nil, count: Slot.count)
        for table in try file.sections("groups", keys: ["number", "servers", "slots"]) {
            let number = try table.integer("number", expected: "the group's number, an integer from 0")
            guard let raw = UInt32(exactly: number) else {
                throw table.invalid("number", number, "groups' numbers are 0 to 4294967295")
            }
            let id = GroupID(raw)
            try uniqueness.claim(.group, "\(number)", at: table.name(of: "number"))
            let membersText = try table.text("servers", expected: "the numbers of the group's servers, in order")
            guard let members = NumberList.numbers(membersText, max: Int(UInt16.max)) else {
                throw table.invalid("servers", membersText, "write numbers of servers like \"0 1 2 3\" or \"0-3\"")
            }
            do {
                groups.append(try Group(id: id, members: members.map { NodeID(UInt16($0)) }))
            } catch {
                throw table.invalid("servers", membersText, error.description)
            }
            let slotsText = try table.text("slots", expected: "the slots that the group has, like \"0-2047\"")
            guard let own = NumberList.numbers(slotsText, max: Slot.count - 1) else {
                throw table.invalid(
                    "slots", slotsText, "slots are 0 to \(Slot.count - 1), written like \"0-2047 3000\"")
            }
            for slot in own {
                if let other = slots[slot] {
                    throw table.invalid("slots", slotsText, "slot \(slot) belongs to \(other) already")
                }
                slots[slot] = id
            }
        }
        var dealt: [GroupID] = []
        for (slot, group) in slots.enumerated() {
            guard let group else { throw .inconsistent(path: file.path, reason: "no group has slot \(slot)") }
            dealt.append(group)
        }
        return (groups, dealt)
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
    enum Kind: Hashable { case server, group, address, key, pin, name, id }

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

/// What a zone may be called.
package enum ZoneLabel {
    package static let rule = "a zone's label is 1 to 63 of a-z, A-Z, 0-9, '-' and '_'"

    package static func isValid(_ label: String) -> Bool {
        label.utf8.count <= Node.zoneSizeBytesMax && ClientName.isValid(label)
    }
}

/// Lists of numbers as people write them.
enum NumberList {
    /// The numbers in the text's order, each at most once and 0...max: single ones and ranges "3-7", between spaces; nil
    /// for anything else, and for none at all.
    static func numbers(_ text: String, max: Int) -> [Int]? {
        var numbers: [Int] = []
        var seen: Set<Int> = []
        for part in text.split(separator: " ") {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
                first >= 0, first <= last, last <= max
            else { return nil }
            for number in first...last {
                guard seen.insert(number).inserted else { return nil }
                numbers.append(number)
            }
        }
        return numbers.isEmpty ? nil : numbers
    }

    /// Ascending runs of numbers as ranges.
    static func text(_ numbers: [Int]) -> String {
        var parts: [String] = []
        var rest = numbers[...]
        while let first = rest.popFirst() {
            var last = first
            while rest.first == last + 1 {
                last += 1
                rest.removeFirst()
            }
            parts.append(last == first ? "\(first)" : "\(first)-\(last)")
        }
        return parts.joined(separator: " ")
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
