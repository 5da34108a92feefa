// The public keys of servers' statements. Each life of a server's store has a key of its own, and a key stays listed
// for as long as there may be statements under it, which is for ever.

import Crypto

/// The statement key of one life of a server's store.
package struct KeyEntry: Hashable, Sendable {
    package let node: NodeID
    package let incarnation: Incarnation
    /// X9.63, uncompressed: 65 bytes.
    package let keyBytes: [UInt8]

    package init(node: NodeID, incarnation: Incarnation, key: P256.Signing.PublicKey) {
        self.node = node
        self.incarnation = incarnation
        keyBytes = Array(key.x963Representation)
    }
}

/// Everybody's statement keys.
package struct KeyList: Hashable, Sendable {
    /// By node and incarnation, ascending.
    package let keys: [KeyEntry]

    /// - Throws: when two entries share node and incarnation, or a key.
    package init(_ keys: [KeyEntry]) throws(ListFault) {
        let sorted = keys.sorted { ($0.node, $0.incarnation) < ($1.node, $1.incarnation) }
        var seen: Set<[UInt8]> = []
        for (entry, next) in zip(sorted, sorted.dropFirst())
        where entry.node == next.node && entry.incarnation == next.incarnation {
            throw .repeated("\(entry.node), \(entry.incarnation)")
        }
        for entry in sorted where !seen.insert(entry.keyBytes).inserted {
            throw .repeated("the key of \(entry.node), \(entry.incarnation)")
        }
        self.keys = sorted
    }

    /// Whether the key is that of one of the server's lives.
    package func contains(_ key: P256.Signing.PublicKey, of node: NodeID) -> Bool {
        let bytes = Array(key.x963Representation)
        return keys.contains { $0.node == node && $0.keyBytes == bytes }
    }

    /// The key of one of a server's lives, X9.63.
    package func key(of node: NodeID, _ incarnation: Incarnation) -> [UInt8]? {
        keys.first { $0.node == node && $0.incarnation == incarnation }?.keyBytes
    }

    /// The keys in the form in which statements are checked.
    package var statementKeys: StatementKeys {
        var statementKeys = StatementKeys()
        for entry in keys {
            // Each was parsed when the list was made.
            guard let key = try? P256.Signing.PublicKey(x963Representation: entry.keyBytes) else { continue }
            statementKeys.add(.p256(KnownKey(key)), of: entry.node, entry.incarnation)
        }
        return statementKeys
    }
}

extension KeyList: ClusterList {
    package static let kind = ListKind.keys

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(UInt32(keys.count))
        for entry in keys {
            encoder.append(entry.node.rawValue)
            encoder.append(entry.incarnation.rawValue)
            encoder.append(counted: entry.keyBytes)
        }
    }

    package init(from decoder: inout CanonicalDecoder) throws(ListFault) {
        do {
            var keys: [KeyEntry] = []
            for _ in 0..<(try decoder.count("keys", as: UInt32.self, limit: decoder.remaining)) {
                let node = NodeID(try decoder.integer("server"))
                let incarnation = Incarnation(try decoder.integer("incarnation"))
                let bytes = try decoder.counted("statement key", limit: OperatorKey.sizeBytes)
                guard let key = try? P256.Signing.PublicKey(x963Representation: bytes) else {
                    throw ListFault.invalidKey(node, incarnation)
                }
                keys.append(KeyEntry(node: node, incarnation: incarnation, key: key))
            }
            try self.init(keys)
            guard self.keys == keys else { throw MalformedEncoding.notCanonical(field: "keys") }
        } catch let fault as ListFault {
            throw fault
        } catch {
            throw .malformed((error as? MalformedEncoding) ?? .notCanonical(field: "list of statement keys"))
        }
    }

    package func fault(after earlier: KeyList) -> ListFault? {
        let listed = Set(keys)
        guard let removed = earlier.keys.first(where: { !listed.contains($0) }) else { return nil }
        return .keyRemoved(removed.node, removed.incarnation)
    }
}
