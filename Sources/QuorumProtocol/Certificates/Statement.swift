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

/// What every statement is bound to besides its object: the cluster, the epoch, the group and the mode.
public struct StatementScope: Hashable, Sendable {
    public let cluster: ClusterID
    public let epoch: UInt64
    public let group: GroupID
    public let mode: VerificationMode

    public init(cluster: ClusterID, epoch: UInt64, group: GroupID, mode: VerificationMode) {
        self.cluster = cluster
        self.epoch = epoch
        self.group = group
        self.mode = mode
    }
}

/// What a statement is about; all kinds are leaves of one tree under one signature.
enum StatementKind: UInt8 {
    /// On a version: *stored*, *superseded* or *poisonous*.
    case version = 1
}

/// One server's word on one version of one object. *Stored* and *superseded* also say: "I authenticated the writer as
/// entitled to write this object."
package struct Statement: Hashable, Sendable {
    package let scope: StatementScope
    package let node: NodeID
    package let incarnation: Incarnation
    package let key: ObjectKey
    package let timestamp: Timestamp
    package let claim: Claim

    package init(
        scope: StatementScope, node: NodeID, incarnation: Incarnation, key: ObjectKey,
        timestamp: Timestamp, claim: Claim
    ) {
        self.scope = scope
        self.node = node
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
        var form = StatementForm(scope: scope, key: key, timestamp: timestamp)
        form.fill(node: node, incarnation: incarnation, claim: claim)
        return form.bytes
    }
}

/// The leaf's bytes of all statements on one version in one scope, of which only node, incarnation and claim differ:
/// written once and filled in for each.
struct StatementForm {
    private(set) var bytes: [UInt8]
    /// Where node and incarnation are; the claim comes last.
    private let nodeOffset: Int

    private static let tag: StaticString = "solidus.statement.2"
    /// What the form takes beside its tag and the object's key.
    private static let fixedSizeBytes = 1 + 1 + 1 + 24 + 4 + 2 + 8 + 1 + 4 + Timestamp.sizeBytes + 1

    init(scope: StatementScope, key: ObjectKey, timestamp: Timestamp) {
        var nodeOffset = 0
        let capacity = Self.fixedSizeBytes + Self.tag.utf8CodeUnitCount + key.bytes.count
        bytes = CanonicalWriter.bytes(capacity: capacity) { writer in
            writer.append(MerkleTree.leafMark)
            writer.append(tag: Self.tag)
            writer.append(StatementKind.version.rawValue)
            writer.append(scope.cluster.high)
            writer.append(scope.cluster.low)
            writer.append(scope.epoch)
            if !isPlanted(.statementWithoutGroup) { writer.append(scope.group.rawValue) }
            nodeOffset = writer.count
            writer.append(UInt16(0))
            writer.append(UInt64(0))
            if !isPlanted(.statementWithoutMode) { writer.append(scope.mode.rawValue) }
            if !isPlanted(.statementWithoutKey) { writer.append(counted: key.bytes) }
            if isPlanted(.statementWithoutDigest) {
                writer.append(timestamp.counter)
            } else {
                writer.append(timestamp)
            }
            writer.append(UInt8(0))
        }
        self.nodeOffset = nodeOffset
    }

    mutating func fill(node: NodeID, incarnation: Incarnation, claim: Claim) {
        let offset = nodeOffset
        bytes.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: node.rawValue.bigEndian, toByteOffset: offset, as: UInt16.self)
            bytes.storeBytes(of: incarnation.rawValue.bigEndian, toByteOffset: offset + 2, as: UInt64.self)
            bytes[bytes.count - 1] = claim.rawValue
        }
    }

    /// The leaf of one server's statement.
    mutating func leaf(of signed: SignedStatement) -> Digest256 {
        fill(node: signed.node, incarnation: signed.incarnation, claim: signed.claim)
        return Digest256.sha256(bytes)
    }
}
