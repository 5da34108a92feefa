// What all of a cluster knows and is no part of an epoch's configuration: addresses, statement keys, and who may do
// what. Each is a list with a version of its own, counted from 1, that the operator signs. A list is believed by its
// signature alone, so anybody may hand it on; and since nobody takes a lower version than the one that he has, what was
// revoked stays revoked.

import Crypto

/// What the operator signs; the raw value stands in what is signed, and in messages.
public enum ListKind: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// The configuration of an epoch, whose version is the epoch.
    case configuration = 1
    case addresses = 2
    case keys = 3
    case access = 4

    public var description: String {
        switch self {
        case .configuration: "configuration"
        case .addresses: "list of addresses"
        case .keys: "list of statement keys"
        case .access: "access list"
        }
    }
}

/// The contents of a list.
package protocol ClusterList: Hashable, Sendable {
    static var kind: ListKind { get }
    /// Appends the contents in canonical form.
    func encode(into encoder: inout CanonicalEncoder)
    /// Takes contents in canonical form.
    init(from decoder: inout CanonicalDecoder) throws(ListFault)
    /// Why this may not follow `earlier`, whatever the versions; nil when it may.
    func fault(after earlier: Self) -> ListFault?
}

extension ClusterList {
    package func fault(after earlier: Self) -> ListFault? { nil }
}

/// What is wrong with a list's contents.
public enum ListFault: Error, Equatable, Sendable, CustomStringConvertible {
    case malformed(MalformedEncoding)
    case invalidName(String)
    case invalidAddress(NodeID)
    case invalidKey(NodeID, Incarnation)
    /// What must be different from entry to entry is there twice.
    case repeated(String)
    /// A server of the configuration is not in the list.
    case missing(NodeID)
    /// A client has the certificate of a server.
    case certificateOfServer(client: String, NodeID)
    /// A statement key that was listed is not any more, or has become another.
    case keyRemoved(NodeID, Incarnation)

    public var description: String {
        switch self {
        case .malformed(let error): "\(error)"
        case .invalidName(let name): "'\(name)': \(ClientName.rule)"
        case .invalidAddress(let node): "the address of \(node) is none"
        case .invalidKey(let node, let incarnation): "the key of \(node), \(incarnation), is no point of P-256"
        case .repeated(let value): "\(value) is there twice"
        case .missing(let node): "\(node) is not in it"
        case .certificateOfServer(let client, let node): "client \(client) has the certificate of \(node)"
        case .keyRemoved(let node, let incarnation):
            "the statement key of \(node), \(incarnation), was listed before; it may never be removed or changed"
        }
    }
}

/// Why a signed list is not taken. Nothing changes by it.
public enum ListError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The signature is not the operator's.
    case wrongSignature(ListKind, version: UInt64)
    /// It is another cluster's.
    case foreignCluster(ListKind, ClusterID)
    /// The bytes are no signed list.
    case malformed(MalformedEncoding)
    /// The contents are no list, or do not fit the configuration or the list before.
    case unsound(ListKind, version: UInt64, ListFault)
    /// A higher version is known.
    case rolledBack(ListKind, offered: UInt64, known: UInt64)
    /// Another list of the same version is known: the operator has signed two.
    case forked(ListKind, version: UInt64)

    public var description: String {
        switch self {
        case .wrongSignature(let kind, let version):
            "the signature of the \(kind), version \(version), is not the operator's"
        case .foreignCluster(let kind, let cluster): "the \(kind) is that of the cluster \(cluster)"
        case .malformed(let error): "no signed list: \(error)"
        case .unsound(let kind, let version, let fault): "the \(kind), version \(version): \(fault)"
        case .rolledBack(let kind, let offered, let known):
            "the \(kind) has version \(offered), but version \(known) is known; lists do not roll back"
        case .forked(let kind, let version):
            "the \(kind), version \(version), is another one than the one known of that version; "
                + "sign what is meant as a higher version"
        }
    }
}

/// The public key by which a cluster believes its lists.
package struct OperatorKey: Hashable, Sendable, CustomStringConvertible {
    package static let sizeBytes = 65

    private let key: P256.Signing.PublicKey
    /// X9.63, uncompressed.
    package let bytes: [UInt8]

    package init(_ key: P256.Signing.PublicKey) {
        self.key = key
        bytes = Array(key.x963Representation)
    }

    /// Nil unless the bytes are a point of P-256.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.sizeBytes, let key = try? P256.Signing.PublicKey(x963Representation: bytes) else {
            return nil
        }
        self.init(key)
    }

    package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        guard let parsed = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
        return key.isValidSignature(parsed, for: message)
    }

    package static func == (left: OperatorKey, right: OperatorKey) -> Bool { left.bytes == right.bytes }
    package func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
    package var description: String { "operator's key" }
}
