// addresses.toml, keys.toml and access.toml: the lists beside cluster.toml, for people to read and to edit. A file is
// believed by the operator's signature, which is over the list's canonical bytes: how the file is spelled is free.

import Crypto
import Fingerprint
import QuorumProtocol

/// A list that has a file.
package protocol ListFile: ClusterList {
    static var fileName: String { get }
    /// What the file begins with.
    static var remark: String { get }
    /// The name of the tables that the contents are in.
    static var section: String { get }
    /// The names of such a table's keys.
    static var columns: Set<String> { get }
    init(tables: [StrictTable], path: String) throws(ConfigurationError)
    /// A table for each entry, as lines.
    var tables: [[String]] { get }
}

extension SignedList where Contents: ListFile {
    /// The format of the lists' files.
    static var format: Int { 1 }

    /// Reads and checks the file at `path`.
    ///
    /// - Throws: what is wrong, and where; `untrusted` when it is not as the operator has signed it.
    package init(contentsOf path: String, for configuration: ClusterConfiguration) throws(ConfigurationError) {
        let file = try UnsignedListFile<Contents>(contentsOf: path)
        let cluster = configuration.parameters.configuration.cluster
        guard file.cluster == cluster else {
            throw .untrusted(path: path, .foreignCluster(Contents.kind, file.cluster))
        }
        do {
            try self.init(
                file.contents, cluster: cluster, version: file.version, signature: file.signature,
                checkedBy: configuration.operatorKey)
        } catch {
            throw .untrusted(path: path, error)
        }
    }

    /// The text of a file that reads back as this list.
    package func toml() -> String {
        var lines = [
            "# \(Contents.remark)",
            "# Signed by the operator; after a change 'solidus cluster sign DIR' signs it as the next version.",
            "format = \(Self.format)",
            "cluster = \"\(cluster)\"",
            "version = \(version)",
            "signature = \"\(Hexadecimal.text(signature))\"",
        ]
        for table in contents.tables { lines += ["", "[[\(Contents.section)]]"] + table }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// A list's file whose signature nobody has checked yet.
package struct UnsignedListFile<Contents: ListFile> {
    package let cluster: ClusterID
    package let version: UInt64
    package let contents: Contents
    package let signature: [UInt8]

    package init(contentsOf path: String) throws(ConfigurationError) {
        let advice = "'solidus cluster init' writes it beside \(ClusterConfiguration.fileName); both belong together"
        let bytes = try TextFile.read(path, advice: advice, sizeBytesMax: TextFile.listSizeBytesMax)
        let file = try StrictTable(
            parsing: bytes, path: path, keys: ["format", "cluster", "version", "signature", Contents.section])
        try file.checkFormat(SignedList<Contents>.format)
        let idText = try file.text("cluster", expected: "the cluster's id, 32 hexadecimal digits")
        guard let cluster = ClusterID(hexadecimal: idText) else {
            throw file.invalid("cluster", idText, "a cluster's id is 32 hexadecimal digits")
        }
        let version = try file.integer("version", expected: "the list's version, an integer from 1")
        guard version >= 1 else { throw file.invalid("version", version, "versions count from 1") }
        self.cluster = cluster
        self.version = UInt64(version)
        signature = try file.signature()
        contents = try Contents(
            tables: file.sections(Contents.section, keys: Contents.columns, isOptional: true), path: path)
    }
}

/// Turns what is wrong with a whole list into what is wrong with its file.
private func checked<List>(_ path: String, _ make: () throws(ListFault) -> List) throws(ConfigurationError) -> List {
    do throws(ListFault) {
        return try make()
    } catch {
        throw .inconsistent(path: path, reason: error.description)
    }
}

extension AddressList: ListFile {
    package static let fileName = "addresses.toml"
    package static let remark =
        "Where the servers of a solidus cluster listen, and by which certificates they are known."
    package static let section = "servers"
    package static let columns: Set = ["number", "address", "certificate_pin"]

    package init(tables: [StrictTable], path: String) throws(ConfigurationError) {
        var uniqueness = Uniqueness(path: path)
        var servers: [AddressEntry] = []
        for table in tables {
            let node = try table.node(&uniqueness)
            let text = try table.text("address", expected: "\"host:port\"")
            guard let address = NetworkAddress(text) else {
                throw table.invalid("address", text, "write \"host:port\", with a port from 1 to 65535")
            }
            try uniqueness.claim(.address, address.description, at: table.name(of: "address"))
            servers.append(AddressEntry(node: node, address: address, pin: try table.pin(&uniqueness)))
        }
        self = try checked(path) { () throws(ListFault) in try AddressList(servers) }
    }

    package var tables: [[String]] {
        servers.map { server in
            [
                "number = \(server.node.rawValue)", "address = \"\(server.address)\"",
                "certificate_pin = \"\(server.pin)\"",
            ]
        }
    }
}

extension KeyList: ListFile {
    package static let fileName = "keys.toml"
    package static let remark =
        "The public keys of the statements of a solidus cluster's servers. No entry is ever removed."
    package static let section = "keys"
    package static let columns: Set = ["number", "incarnation", "statement_key"]

    package init(tables: [StrictTable], path: String) throws(ConfigurationError) {
        var uniqueness = Uniqueness(path: path)
        var entries: [KeyEntry] = []
        for table in tables {
            let node = try table.node()
            let number = try table.integer("incarnation", expected: "which life of its store, an integer from 1")
            guard number >= 1 else { throw table.invalid("incarnation", number, "incarnations count from 1") }
            try uniqueness.claim(.life, "\(node.rawValue) \(number)", at: table.name(of: "incarnation"))
            let text = try table.text("statement_key", expected: "the server's public P-256 key in hexadecimal")
            guard let bytes = Hexadecimal.bytes(text, countMax: OperatorKey.sizeBytes),
                let key = try? P256.Signing.PublicKey(x963Representation: bytes)
            else { throw table.invalid("statement_key", text, "not a P-256 public key (65 bytes in hexadecimal)") }
            try uniqueness.claim(.key, text.lowercased(), at: table.name(of: "statement_key"))
            entries.append(KeyEntry(node: node, incarnation: Incarnation(UInt64(number)), key: key))
        }
        self = try checked(path) { () throws(ListFault) in try KeyList(entries) }
    }

    package var tables: [[String]] {
        keys.map { entry in
            [
                "number = \(entry.node.rawValue)", "incarnation = \(entry.incarnation.rawValue)",
                "statement_key = \"\(Hexadecimal.text(entry.keyBytes))\"",
            ]
        }
    }
}

extension AccessList: ListFile {
    package static let fileName = "access.toml"
    package static let remark =
        "Who may use a solidus cluster, and with which rights on which buckets (\"*\": every one)."
    package static let section = "clients"
    package static let columns: Set = ["name", "id", "certificate_pin", "rights", "quota_bytes"]

    package init(tables: [StrictTable], path: String) throws(ConfigurationError) {
        var uniqueness = Uniqueness(path: path)
        var clients: [AccessEntry] = []
        for table in tables {
            let name = try table.text("name", expected: "the client's name")
            guard ClientName.isValid(name) else { throw table.invalid("name", name, ClientName.rule) }
            try uniqueness.claim(.name, name, at: table.name(of: "name"))
            let idText = try table.text("id", expected: "the client's id, 32 hexadecimal digits")
            guard let id = ClientID(hexadecimal: idText) else {
                throw table.invalid("id", idText, "a client's id is 32 hexadecimal digits")
            }
            try uniqueness.claim(.id, id.description, at: table.name(of: "id"))
            let pin = try table.pin(&uniqueness)
            var grants: [Grant] = []
            for text in try table.strings("rights", expected: "an array like [\"photos:read,write\"]") {
                guard let grant = Grant(text) else {
                    throw table.invalid(
                        "rights", text, "write BUCKET:RIGHT,…; a right is read, write, list or admin, '*' every bucket")
                }
                grants.append(grant)
            }
            let quota = try table.integer(
                "quota_bytes", expected: "how many bytes each server keeps for the client", default: -1)
            guard quota >= -1 else { throw table.invalid("quota_bytes", quota, "a number of bytes, or no line at all") }
            clients.append(
                AccessEntry(
                    name: name, id: id, pin: pin, grants: grants, quotaBytes: quota < 0 ? nil : UInt64(quota)))
        }
        self = try checked(path) { () throws(ListFault) in try AccessList(clients) }
    }

    package var tables: [[String]] {
        clients.map { client in
            [
                "name = \"\(client.name)\"", "id = \"\(client.id)\"", "certificate_pin = \"\(client.pin)\"",
                "rights = [\(client.grants.map { "\"\($0)\"" }.joined(separator: ", "))]",
            ] + (client.quotaBytes.map { ["quota_bytes = \($0)"] } ?? [])
        }
    }
}
