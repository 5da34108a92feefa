// What a server signs on accepting a PREPARE (docs/protocol.md, Statements and certificates).

import Fingerprint

/// What a server says of a version.
public enum Claim: UInt8, Sendable {
    /// "I durably hold my fragments of this version, verified as the mode demands."
    case stored = 1
    /// "I hold a committed version with a higher timestamp."
    case superseded = 2
}

/// One server's word on one version of one object. Both claims also say: "I authenticated the writer as entitled to
/// write this object."
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
    package var bytes: [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 256)
        encode(into: &encoder)
        return encoder.bytes
    }

    /// `MerkleTree.leaf(bytes)`, without the copy.
    var leaf: Digest256 {
        var encoder = CanonicalEncoder(reservingBytes: 256)
        encoder.append(MerkleTree.leafMark)
        encode(into: &encoder)
        return Digest256.sha256(encoder.bytes)
    }

    private func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(tag: "solidus.prepared.1")
        encoder.append(identity.mode.rawValue)
        encoder.append(identity.cluster)
        encoder.append(identity.epoch)
        encoder.append(identity.group)
        encoder.append(server.rawValue)
        encoder.append(incarnation.rawValue)
        if !isPlanted(.statementWithoutKey) { encoder.append(counted: key.bytes) }
        if isPlanted(.statementWithoutDigest) {
            encoder.append(timestamp.counter)
        } else {
            encoder.append(timestamp)
        }
        encoder.append(claim.rawValue)
    }
}
