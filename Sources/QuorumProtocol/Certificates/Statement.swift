// What a server signs: on accepting a PREPARE, and on finding a version poisonous (docs/protocol.md, Statements and
// certificates).

import Fingerprint

/// What a server says of a version.
public enum Claim: UInt8, Sendable {
    /// "I durably hold my fragments of this version, verified as the mode demands."
    case stored = 1
    /// "I hold a committed version with a higher timestamp", which is verified in the modes that verify later.
    case superseded = 2
    /// "The fragments of this version are no block's encoding." Counts for no certificate.
    case poisonous = 3

    /// Whether a statement with this claim counts for a certificate.
    package var accepts: Bool { self != .poisonous }
}

/// One server's word on one version of one object. *Stored* and *superseded* also say: "I authenticated the writer as
/// entitled to write this object."
package struct Statement: Hashable, Sendable {
    package let identity: ClusterIdentity
    package let server: ServerIndex
    package let incarnation: Incarnation
    package let key: ObjectKey
    package let timestamp: Timestamp
    package let claim: Claim

    package init(
        identity: ClusterIdentity, server: ServerIndex, incarnation: Incarnation, key: ObjectKey,
        timestamp: Timestamp, claim: Claim
    ) {
        self.identity = identity
        self.server = server
        self.incarnation = incarnation
        self.key = key
        self.timestamp = timestamp
        self.claim = claim
    }

    /// The canonical bytes that become a leaf of the signed Merkle tree.
    package var bytes: [UInt8] { Array(leafBytes.dropFirst()) }

    /// `MerkleTree.leaf(bytes)`.
    var leaf: Digest256 { Digest256.sha256(leafBytes) }

    private var leafBytes: [UInt8] {
        var form = StatementForm(identity: identity, key: key, timestamp: timestamp)
        form.fill(server: server, incarnation: incarnation, claim: claim)
        return form.bytes
    }
}

/// The leaf's bytes of all statements on one version, of which only server, incarnation and claim differ: written once
/// and filled in for each.
struct StatementForm {
    private(set) var bytes: [UInt8]
    /// Where server and incarnation are; the claim comes last.
    private let serverOffset: Int

    private static let tag: StaticString = "solidus.prepared.1"
    /// What the form takes beside its tag and the object's key.
    private static let fixedSizeBytes = 1 + 1 + 1 + 24 + 4 + 1 + 8 + 4 + Timestamp.sizeBytes + 1

    init(identity: ClusterIdentity, key: ObjectKey, timestamp: Timestamp) {
        var serverOffset = 0
        let capacity = Self.fixedSizeBytes + Self.tag.utf8CodeUnitCount + key.bytes.count
        bytes = CanonicalWriter.bytes(capacity: capacity) { writer in
            writer.append(MerkleTree.leafMark)
            writer.append(tag: Self.tag)
            if !isPlanted(.statementWithoutMode) { writer.append(identity.mode.rawValue) }
            writer.append(identity.cluster.high)
            writer.append(identity.cluster.low)
            writer.append(identity.epoch)
            writer.append(identity.group)
            serverOffset = writer.count
            writer.append(UInt8(0))
            writer.append(UInt64(0))
            if !isPlanted(.statementWithoutKey) { writer.append(counted: key.bytes) }
            if isPlanted(.statementWithoutDigest) {
                writer.append(timestamp.counter)
            } else {
                writer.append(timestamp)
            }
            writer.append(UInt8(0))
        }
        self.serverOffset = serverOffset
    }

    mutating func fill(server: ServerIndex, incarnation: Incarnation, claim: Claim) {
        let offset = serverOffset
        bytes.withUnsafeMutableBytes { bytes in
            bytes[offset] = server.rawValue
            bytes.storeBytes(of: incarnation.rawValue.bigEndian, toByteOffset: offset + 1, as: UInt64.self)
            bytes[bytes.count - 1] = claim.rawValue
        }
    }

    /// The leaf of one server's statement.
    mutating func leaf(of signed: SignedStatement) -> Digest256 {
        fill(server: signed.server, incarnation: signed.incarnation, claim: signed.claim)
        return Digest256.sha256(bytes)
    }
}
