// A TOML table that is read strictly: only known keys, only the expected types, every complaint with file and key.

import Crypto
import Fingerprint
import QuorumProtocol

/// One table of a TOML file, and how to name its keys in complaints.
package struct StrictTable {
    let path: String
    /// What stands before a key in complaints: "" or "cluster." or "servers[2].".
    private let prefix: String
    private let values: [String: TOMLValue]

    /// Parses a whole file's bytes.
    init(parsing bytes: [UInt8], path: String, keys: Set<String>) throws(ConfigurationError) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw .notTOML(path: path, line: 1, column: 1, reason: "the file is not UTF-8 text")
        }
        let document: TOMLDocument
        do {
            document = try TOMLDocument(bytes)
        } catch {
            throw .notTOML(path: path, line: error.line, column: error.column, reason: error.reason)
        }
        try self.init(document.root, path: path, prefix: "", keys: keys)
    }

    private init(
        _ values: [String: TOMLValue], path: String, prefix: String, keys: Set<String>
    ) throws(ConfigurationError) {
        self.path = path
        self.prefix = prefix
        self.values = values
        if let unknown = values.keys.sorted().first(where: { !keys.contains($0) }) {
            throw .unknownKey(path: path, key: prefix + unknown)
        }
    }

    /// The key as complaints name it.
    func name(of key: String) -> String { prefix + key }

    /// The complaint that a key's value makes no sense.
    func invalid(_ key: String, _ value: some CustomStringConvertible, _ reason: String) -> ConfigurationError {
        .invalidValue(path: path, key: name(of: key), value: value.description, reason: reason)
    }

    func text(_ key: String, expected: String) throws(ConfigurationError) -> String {
        let value = try self.value(key, expected: expected)
        guard case .string(let text) = value else { throw wrongType(key, expected: expected, value) }
        return text
    }

    func text(_ key: String, expected: String, default: String) throws(ConfigurationError) -> String {
        values[key] == nil ? `default` : try text(key, expected: expected)
    }

    func integer(_ key: String, expected: String) throws(ConfigurationError) -> Int {
        let value = try self.value(key, expected: expected)
        guard case .integer(let integer) = value else { throw wrongType(key, expected: expected, value) }
        return integer
    }

    func integer(_ key: String, expected: String, default: Int) throws(ConfigurationError) -> Int {
        values[key] == nil ? `default` : try integer(key, expected: expected)
    }

    func strings(_ key: String, expected: String) throws(ConfigurationError) -> [String] {
        let value = try self.value(key, expected: expected)
        guard case .strings(let strings) = value else { throw wrongType(key, expected: expected, value) }
        return strings
    }

    func strings(_ key: String, expected: String, default: [String]) throws(ConfigurationError) -> [String] {
        values[key] == nil ? `default` : try strings(key, expected: expected)
    }

    func section(_ key: String, keys: Set<String>) throws(ConfigurationError) -> StrictTable {
        let expected = "a table [\(key)]"
        let value = try self.value(key, expected: expected)
        guard case .table(let table) = value else { throw wrongType(key, expected: expected, value) }
        return try StrictTable(table, path: path, prefix: "\(prefix)\(key).", keys: keys)
    }

    /// - Parameter isOptional: whether there may be none.
    func sections(
        _ key: String, keys: Set<String>, isOptional: Bool = false
    ) throws(ConfigurationError) -> [StrictTable] {
        if isOptional, values[key] == nil { return [] }
        let expected = "tables [[\(key)]]"
        let value = try self.value(key, expected: expected)
        guard case .tables(let tables) = value else { throw wrongType(key, expected: expected, value) }
        var sections: [StrictTable] = []
        for (index, table) in tables.enumerated() {
            try sections.append(StrictTable(table, path: path, prefix: "\(prefix)\(key)[\(index)].", keys: keys))
        }
        return sections
    }

    private func value(_ key: String, expected: String) throws(ConfigurationError) -> TOMLValue {
        guard let value = values[key] else { throw .missingKey(path: path, key: name(of: key), expected: expected) }
        return value
    }

    private func wrongType(_ key: String, expected: String, _ value: TOMLValue) -> ConfigurationError {
        .wrongType(path: path, key: name(of: key), expected: expected, found: value.typeName)
    }
}

extension StrictTable {
    /// Refuses every format but `supported`, the value of the key "format".
    func checkFormat(_ supported: Int) throws(ConfigurationError) {
        let found = try integer("format", expected: "the integer \(supported)")
        guard found == supported else { throw .unsupportedFormat(path: path, found: found, supported: supported) }
    }
}

// MARK: - What several files have

extension StrictTable {
    /// The operator's signature, the value of the key "signature".
    func signature() throws(ConfigurationError) -> [UInt8] {
        let text = try text("signature", expected: "the operator's signature, 128 hexadecimal digits")
        guard let bytes = Hexadecimal.bytes(text, countMax: OperatorSignature.sizeBytes),
            bytes.count == OperatorSignature.sizeBytes
        else { throw invalid("signature", text, "a signature is 128 hexadecimal digits") }
        return bytes
    }

    /// The id of a cluster.
    func cluster(_ key: String) throws(ConfigurationError) -> ClusterID {
        let text = try text(key, expected: "the cluster's id, 32 hexadecimal digits")
        guard let id = ClusterID(hexadecimal: text) else {
            throw invalid(key, text, "a cluster's id is 32 hexadecimal digits")
        }
        return id
    }

    /// The client's id, the value of the key "id".
    func client() throws(ConfigurationError) -> ClientID {
        let text = try text("id", expected: "the client's id, 32 hexadecimal digits")
        guard let id = ClientID(hexadecimal: text) else {
            throw invalid("id", text, "a client's id is 32 hexadecimal digits")
        }
        return id
    }

    /// A number from 1.
    ///
    /// - Parameter plural: what is counted, for complaints.
    func ordinal(_ key: String, expected: String, of plural: String) throws(ConfigurationError) -> UInt64 {
        let number = try integer(key, expected: "\(expected), an integer from 1")
        guard number >= 1 else { throw invalid(key, number, "\(plural) count from 1") }
        return UInt64(number)
    }

    /// A public key of P-256, X9.63 and uncompressed.
    func publicKey(_ key: String, expected: String) throws(ConfigurationError) -> P256.Signing.PublicKey {
        let text = try text(key, expected: "\(expected) in hexadecimal")
        guard let bytes = Hexadecimal.bytes(text, countMax: OperatorKey.sizeBytes),
            let publicKey = try? P256.Signing.PublicKey(x963Representation: bytes)
        else { throw invalid(key, text, "not a P-256 public key (65 bytes in hexadecimal)") }
        return publicKey
    }

    /// The server that the key "number" names, each once.
    func node(_ uniqueness: inout Uniqueness) throws(ConfigurationError) -> NodeID {
        let node = try node()
        try uniqueness.claim(.server, "\(node.rawValue)", at: name(of: "number"))
        return node
    }

    func node() throws(ConfigurationError) -> NodeID {
        let number = try integer("number", expected: "the server's number, an integer from 0")
        guard let raw = UInt16(exactly: number) else {
            throw invalid("number", number, "servers' numbers are 0 to 65535")
        }
        return NodeID(raw)
    }

    /// The certificate that a key names, each once.
    func pin(
        _ uniqueness: inout Uniqueness, key: String = "certificate_pin"
    ) throws(ConfigurationError) -> Digest256 {
        let text = try text(key, expected: "the SHA-256 of the certificate, 64 hexadecimal digits")
        guard let bytes = Hexadecimal.bytes(text, countMax: Digest256.sizeBytes), let pin = Digest256(bytes: bytes)
        else { throw invalid(key, text, "a pin is 64 hexadecimal digits") }
        try uniqueness.claim(.pin, pin.description, at: name(of: key))
        return pin
    }
}

/// Where each value that must be unique was seen first.
package struct Uniqueness {
    enum Kind: Hashable { case server, group, address, key, life, pin, name, id }

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
