// addresses.toml, keys.toml and access.toml: the lists beside cluster.toml, for people to read and to edit. A file is
// believed by the operator's signature, which is over the list's canonical bytes: how the file is spelled is free.

import QuorumProtocol

/// A list that has a file.
package protocol ListFile: ClusterList {
    associatedtype Entry: ListFileEntry
    static var fileName: String { get }
    /// What the file begins with.
    static var remark: String { get }
    /// The name of the entries' tables.
    static var section: String { get }
    init(_ entries: [Entry]) throws(ListFault)
    var entries: [Entry] { get }
}

/// An entry of such a list, which is a table of the file.
package protocol ListFileEntry {
    /// The names of the table's keys.
    static var columns: Set<String> { get }
    init(_ table: StrictTable, _ uniqueness: inout Uniqueness) throws(ConfigurationError)
    /// The table's lines.
    var lines: [String] { get }
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
        for entry in contents.entries { lines += ["", "[[\(Contents.section)]]"] + entry.lines }
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
        cluster = try file.cluster("cluster")
        version = try file.ordinal("version", expected: "the list's version", of: "versions")
        signature = try file.signature()
        var uniqueness = Uniqueness(path: path)
        var entries: [Contents.Entry] = []
        for table in try file.sections(Contents.section, keys: Contents.Entry.columns, isOptional: true) {
            entries.append(try Contents.Entry(table, &uniqueness))
        }
        do throws(ListFault) {
            contents = try Contents(entries)
        } catch {
            throw .inconsistent(path: path, reason: error.description)
        }
    }
}

extension AddressList: ListFile {
    package static let fileName = "addresses.toml"
    package static let remark =
        "Where the servers of a solidus cluster listen, and by which certificates they are known."
    package static let section = "servers"
    package var entries: [AddressEntry] { servers }
}

extension AddressEntry: ListFileEntry {
    package static let columns: Set = ["number", "address", "certificate_pin", "second_certificate_pin"]
    private static let secondPinKey = "second_certificate_pin"

    package init(_ table: StrictTable, _ uniqueness: inout Uniqueness) throws(ConfigurationError) {
        let node = try table.node(&uniqueness)
        let text = try table.text("address", expected: "\"host:port\"")
        guard let address = NetworkAddress(text) else {
            throw table.invalid("address", text, "write \"host:port\", with a port from 1 to 65535")
        }
        try uniqueness.claim(.address, address.description, at: table.name(of: "address"))
        let pin = try table.pin(&uniqueness)
        let hasSecond = try !table.text(Self.secondPinKey, expected: "the pin of a certificate", default: "").isEmpty
        self.init(
            node: node, address: address, pin: pin,
            secondPin: hasSecond ? try table.pin(&uniqueness, key: Self.secondPinKey) : nil)
    }

    package var lines: [String] {
        ["number = \(node.rawValue)", "address = \"\(address)\"", "certificate_pin = \"\(pin)\""]
            + (secondPin.map { ["\(Self.secondPinKey) = \"\($0)\""] } ?? [])
    }
}

extension KeyList: ListFile {
    package static let fileName = "keys.toml"
    package static let remark =
        "The public keys of the statements of a solidus cluster's servers. No entry is ever removed."
    package static let section = "keys"
    package var entries: [KeyEntry] { keys }
}

extension KeyEntry: ListFileEntry {
    package static let columns: Set = ["number", "incarnation", "statement_key"]

    package init(_ table: StrictTable, _ uniqueness: inout Uniqueness) throws(ConfigurationError) {
        let node = try table.node()
        let number = try table.ordinal("incarnation", expected: "which life of its store", of: "incarnations")
        try uniqueness.claim(.life, "\(node.rawValue) \(number)", at: table.name(of: "incarnation"))
        let key = try table.publicKey("statement_key", expected: "the server's public P-256 key")
        self.init(node: node, incarnation: Incarnation(number), key: key)
        try uniqueness.claim(.key, Hexadecimal.text(keyBytes), at: table.name(of: "statement_key"))
    }

    package var lines: [String] {
        [
            "number = \(node.rawValue)", "incarnation = \(incarnation.rawValue)",
            "statement_key = \"\(Hexadecimal.text(keyBytes))\"",
        ]
    }
}

extension AccessList: ListFile {
    package static let fileName = "access.toml"
    package static let remark =
        "Who may use a solidus cluster, and with which rights on which buckets (\"*\": every one)."
    package static let section = "clients"
    package var entries: [AccessEntry] { clients }
}

extension AccessEntry: ListFileEntry {
    package static let columns: Set = [
        "name", "id", "certificate_pin", "rights", "quota_bytes", "quota_uncommitted_percent", "quota_bare_versions",
    ]

    package init(_ table: StrictTable, _ uniqueness: inout Uniqueness) throws(ConfigurationError) {
        let name = try table.text("name", expected: "the client's name")
        guard ClientName.isValid(name) else { throw table.invalid("name", name, ClientName.rule) }
        try uniqueness.claim(.name, name, at: table.name(of: "name"))
        let id = try table.client()
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
        let quotas = ClientQuotas(
            storedBytes: try Self.quota("quota_bytes", UInt64(Int.max), "bytes", in: table),
            uncommittedPercent: try Self.quota(
                "quota_uncommitted_percent", ClientQuotas.uncommittedPercentMax, "hundredths of the disk", in: table),
            bareVersions: try Self.quota(
                "quota_bare_versions", ClientQuotas.bareVersionsMax, "versions", in: table))
        self.init(name: name, id: id, pin: pin, grants: grants, quotas: quotas)
    }

    private static func quota<Number: FixedWidthInteger & UnsignedInteger>(
        _ key: String, _ most: Number, _ unit: String, in table: StrictTable
    ) throws(ConfigurationError) -> Number? {
        let number = try table.integer(key, expected: "how many \(unit) each server keeps for the client", default: -1)
        guard number >= -1, number <= Int(most) else {
            throw table.invalid(key, number, "at most \(most) \(unit), or no line at all")
        }
        return number < 0 ? nil : Number(number)
    }

    package var lines: [String] {
        [
            "name = \"\(name)\"", "id = \"\(id)\"", "certificate_pin = \"\(pin)\"",
            "rights = [\(grants.map { "\"\($0)\"" }.joined(separator: ", "))]",
        ] + (quotas.storedBytes.map { ["quota_bytes = \($0)"] } ?? [])
            + (quotas.uncommittedPercent.map { ["quota_uncommitted_percent = \($0)"] } ?? [])
            + (quotas.bareVersions.map { ["quota_bare_versions = \($0)"] } ?? [])
    }
}

extension ClusterDescription {
    /// Writes lists beside cluster.toml, each durably in the place of an older one.
    package func write(_ kinds: [ListKind]) throws(ConfigurationError) {
        for kind in kinds {
            guard let list = lists.list(kind) else { continue }
            try TextFile.replace(file(of: kind), list.toml, mode: 0o644)
        }
    }
}

extension AnySignedList {
    /// The text of a file that reads back as this list.
    var toml: String {
        switch self {
        case .addresses(let list): list.toml()
        case .keys(let list): list.toml()
        case .access(let list): list.toml()
        }
    }
}
