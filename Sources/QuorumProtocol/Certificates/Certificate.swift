// Certificates: q signed statements that anyone can check who knows the cluster's public keys.

import Fingerprint

/// One server's statement on a version, reduced to what the version's context does not already say, with its proof: the
/// leaf's place in a signed Merkle tree.
public struct SignedStatement: Hashable, Sendable {
    /// The size of a P-256 signature (r ‖ s) in bytes; in the mode `none` there is none, of 0 bytes.
    package static let signatureSizeBytes = 64

    public let node: NodeID
    public let incarnation: Incarnation
    public let claim: Claim
    package let leafIndex: UInt32
    package let leafCount: UInt32
    package let path: [Digest256]
    package let signature: [UInt8]

    package init(
        node: NodeID, incarnation: Incarnation, claim: Claim, leafIndex: UInt32, leafCount: UInt32,
        path: [Digest256], signature: [UInt8]
    ) {
        self.node = node
        self.incarnation = incarnation
        self.claim = claim
        self.leafIndex = leafIndex
        self.leafCount = leafCount
        self.path = path
        self.signature = signature
    }

    /// The full statement, put into the context of a version of an object.
    package func statement(scope: StatementScope, key: ObjectKey, timestamp: Timestamp) -> Statement {
        Statement(
            scope: scope, node: node, incarnation: incarnation, key: key, timestamp: timestamp, claim: claim)
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(node.rawValue)
        encoder.append(incarnation.rawValue)
        encoder.append(claim.rawValue)
        encoder.append(leafIndex)
        encoder.append(leafCount)
        encoder.append(UInt8(path.count))
        for sibling in path { encoder.append(sibling) }
        encoder.append(UInt8(signature.isEmpty ? 0 : 1))
        encoder.append(raw: signature)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        node = NodeID(try decoder.integer("server"))
        incarnation = Incarnation(try decoder.integer("incarnation"))
        let claimValue: UInt8 = try decoder.integer("claim")
        guard let claim = Claim(rawValue: claimValue) else {
            throw .unknownValue(field: "claim", value: UInt64(claimValue))
        }
        self.claim = claim
        leafIndex = try decoder.integer("leaf index")
        leafCount = try decoder.integer("leaf count")
        let pathCount = try decoder.count("path", as: UInt8.self, limit: 16)
        var path: [Digest256] = []
        for _ in 0..<pathCount { path.append(try decoder.digest("path")) }
        self.path = path
        let isSigned = try decoder.flag("signed")
        signature = isSigned ? Array(try decoder.raw(Self.signatureSizeBytes, "signature")) : []
    }
}

/// What a certificate proves, and so which statements it consists of, and how many.
public enum CertificateKind: UInt8, Sendable {
    /// That a quorum accepted a version: q *stored* or *superseded* statements.
    case version = 1
}

/// Proof that a quorum accepted a version: exactly q statements of distinct members of one group in one epoch, in the
/// servers' order. Not yet checked; `StatementVerifier` turns it into a `VerifiedCertificate`.
public struct Certificate: Hashable, Sendable {
    /// What it takes beside its statements: kind, epoch, group, timestamp and their count.
    static let headSizeBytes = 1 + 8 + 4 + Timestamp.sizeBytes + 1

    /// The epoch whose servers and thresholds it goes by.
    public let epoch: UInt64
    public let group: GroupID
    public let timestamp: Timestamp
    public let statements: [SignedStatement]

    package init(epoch: UInt64, group: GroupID, timestamp: Timestamp, statements: [SignedStatement]) {
        self.epoch = epoch
        self.group = group
        self.timestamp = timestamp
        self.statements = statements.sorted { $0.node < $1.node }
    }

    /// SHA-256 of the canonical bytes, by which claims name it.
    package var digest: Digest256 {
        var encoder = CanonicalEncoder(reservingBytes: Self.headSizeBytes + statements.count * 256)
        encode(into: &encoder)
        return Digest256.sha256(encoder.bytes)
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(CertificateKind.version.rawValue)
        encoder.append(epoch)
        encoder.append(group.rawValue)
        encoder.append(timestamp)
        encoder.append(UInt8(statements.count))
        for statement in statements { statement.encode(into: &encoder) }
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        let kind: UInt8 = try decoder.integer("certificate's kind")
        guard kind == CertificateKind.version.rawValue else {
            throw .unknownValue(field: "certificate's kind", value: UInt64(kind))
        }
        epoch = try decoder.integer("certificate's epoch")
        group = GroupID(try decoder.integer("certificate's group"))
        timestamp = try decoder.timestamp("certificate's timestamp")
        statements = try decoder.statements()
    }
}

extension CanonicalDecoder {
    /// Up to 255 statements of distinct servers, in the servers' order.
    mutating func statements() throws(MalformedEncoding) -> [SignedStatement] {
        let count = try count("statements", as: UInt8.self, limit: 255)
        var statements: [SignedStatement] = []
        for _ in 0..<count {
            let statement = try SignedStatement(from: &self)
            if let last = statements.last, last.node >= statement.node {
                throw .notCanonical(field: "statements' order")
            }
            statements.append(statement)
        }
        return statements
    }
}

/// A certificate whose q signatures were checked for one object; only `StatementVerifier` can make one.
public struct VerifiedCertificate: Hashable, Sendable {
    public let key: ObjectKey
    public let certificate: Certificate

    init(key: ObjectKey, certificate: Certificate) {
        self.key = key
        self.certificate = certificate
    }

    public var timestamp: Timestamp { certificate.timestamp }
}

/// A statement whose signature was checked for one version of one object; only `StatementVerifier` can make one.
package struct VerifiedStatement: Hashable, Sendable {
    package let key: ObjectKey
    package let timestamp: Timestamp
    package let signed: SignedStatement

    init(key: ObjectKey, timestamp: Timestamp, signed: SignedStatement) {
        self.key = key
        self.timestamp = timestamp
        self.signed = signed
    }
}

/// Why a certificate or a statement proves nothing.
public enum CertificateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It has not exactly q statements.
    case wrongStatementCount(have: Int, need: Int)
    /// Two statements of one server, or out of order.
    case repeatedServer(NodeID)
    /// The server is no member of the object's group.
    case unknownServer(NodeID)
    /// The epoch is not known here; it may be, later.
    case unknownEpoch(UInt64)
    /// The certificate is of another group than the one that has the object's slot in that epoch.
    case foreignGroup(GroupID, expected: GroupID)
    /// No key of this life of the server's is known here; it may be, later.
    case unknownIncarnation(NodeID, Incarnation)
    /// The path does not belong to a tree of its leaf count.
    case invalidPath(NodeID)
    /// The signature is not the server's over this statement.
    case invalidSignature(NodeID)
    /// The statement says something that counts for no certificate.
    case wrongClaim(NodeID)
    /// The server has lost its memory since it signed: what it said in that life counts no more.
    case fenced(NodeID)

    public var description: String {
        switch self {
        case .wrongStatementCount(let have, let need): "a certificate of \(have) statements; it takes \(need)"
        case .repeatedServer(let server): "\(server) is named twice or out of order"
        case .unknownServer(let server): "\(server) is no member of the object's group"
        case .unknownEpoch(let epoch): "epoch \(epoch) is not known here"
        case .foreignGroup(let group, let expected): "it is of \(group); the object belongs to \(expected)"
        case .unknownIncarnation(let server, let incarnation): "no key of \(server) in \(incarnation) is known here"
        case .invalidPath(let server): "the Merkle path of \(server)'s statement has the wrong shape"
        case .invalidSignature(let server): "the signature of \(server) does not match its statement"
        case .wrongClaim(let server): "the statement of \(server) is none on storing the version"
        case .fenced(let server): "the statement of \(server) is of an earlier life, which it has forgotten"
        }
    }

    /// Whether it says nothing against whoever showed the proof: what is not known here yet may be known there, and what
    /// counts no more here may count there still.
    public var isIgnorance: Bool {
        switch self {
        case .unknownEpoch, .unknownIncarnation, .fenced: true
        default: false
        }
    }
}
