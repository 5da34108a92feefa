// Signing: one signature over the Merkle root of all statements of one group commit.

import Fingerprint

/// What the signature covers: the batch's root in its cluster, epoch, server and incarnation.
struct SignedRoot: Hashable {
    let identity: ClusterIdentity
    let server: ServerIndex
    let incarnation: Incarnation
    let root: Digest256
    let leafCount: UInt32

    private static let tag: StaticString = "solidus.statements.1"
    private static let sizeBytes = 1 + tag.utf8CodeUnitCount + 24 + 1 + 8 + Digest256.sizeBytes + 4

    var bytes: [UInt8] {
        CanonicalWriter.bytes(capacity: Self.sizeBytes) { writer in
            writer.append(tag: Self.tag)
            writer.append(identity.cluster.high)
            writer.append(identity.cluster.low)
            writer.append(identity.epoch)
            writer.append(server.rawValue)
            writer.append(incarnation.rawValue)
            writer.append(root)
            writer.append(leafCount)
        }
    }
}

/// A server's signing hand.
package struct StatementSigner: Sendable {
    package let identity: ClusterIdentity
    package let server: ServerIndex
    package let incarnation: Incarnation
    private let key: StatementKey

    package init(identity: ClusterIdentity, server: ServerIndex, incarnation: Incarnation, key: StatementKey) {
        self.identity = identity
        self.server = server
        self.incarnation = incarnation
        self.key = key
    }

    /// Signs up to `MerkleTree.leafCountMax` statements, which must be of this server's, with one signature. In the
    /// mode `none` there is no signature, and the path is the leaf itself: it still says what the statement is on,
    /// which a reply does not.
    ///
    /// - Parameter verifier: this server's own, which need not check what it has signed itself.
    package func sign(
        _ statements: [Statement], knownTo verifier: StatementVerifier? = nil
    ) throws(SigningError) -> [SignedStatement] {
        guard !statements.isEmpty else { return [] }
        for statement in statements {
            precondition(
                statement.identity == identity && statement.server == server && statement.incarnation == incarnation)
        }
        guard identity.mode.isSigned else {
            return statements.map { statement in
                SignedStatement(
                    server: server, incarnation: incarnation, claim: statement.claim, leafIndex: 0, leafCount: 1,
                    path: [statement.leaf], signature: [])
            }
        }
        let (root, paths) = MerkleTree.build(statements.map(\.leaf))
        let message = SignedRoot(
            identity: identity, server: server, incarnation: incarnation, root: root,
            leafCount: UInt32(statements.count))
        let signature = try key.signature(for: message.bytes)
        verifier?.remember(message, signature: signature)
        return statements.indices.map { index in
            SignedStatement(
                server: server, incarnation: incarnation, claim: statements[index].claim, leafIndex: UInt32(index),
                leafCount: UInt32(statements.count), path: paths[index], signature: signature)
        }
    }
}

/// The cryptographic library refused to sign.
package struct SigningError: Error, Sendable {
    package let reason: String
}
