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

    /// Calls `body` with the bytes, valid only during the call.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        CanonicalWriter.withBytes(capacity: Self.sizeBytes) { writer in
            writer.append(tag: Self.tag)
            writer.append(identity.cluster.high)
            writer.append(identity.cluster.low)
            writer.append(identity.epoch)
            writer.append(server.rawValue)
            writer.append(incarnation.rawValue)
            writer.append(root)
            writer.append(leafCount)
        } body: {
            body($0)
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
        if statements.count == 1 {
            let signature = try sign(root: statements[0].leaf, leafCount: 1, knownTo: verifier)
            return [signed(statements[0].claim, leafIndex: 0, leafCount: 1, path: [], signature)]
        }
        let (root, paths) = MerkleTree.build(statements.map(\.leaf))
        let leafCount = UInt32(statements.count)
        let signature = try sign(root: root, leafCount: leafCount, knownTo: verifier)
        return statements.indices.map { index in
            signed(
                statements[index].claim, leafIndex: UInt32(index), leafCount: leafCount, path: paths[index], signature)
        }
    }

    private func sign(
        root: Digest256, leafCount: UInt32, knownTo verifier: StatementVerifier?
    ) throws(SigningError) -> [UInt8] {
        let message = SignedRoot(
            identity: identity, server: server, incarnation: incarnation, root: root, leafCount: leafCount)
        let signature = try message.withBytes { message in
            Result { () throws(SigningError) in try key.signature(for: message) }
        }.get()
        verifier?.remember(message, signature: signature)
        return signature
    }

    private func signed(
        _ claim: Claim, leafIndex: UInt32, leafCount: UInt32, path: [Digest256], _ signature: [UInt8]
    ) -> SignedStatement {
        SignedStatement(
            server: server, incarnation: incarnation, claim: claim, leafIndex: leafIndex, leafCount: leafCount,
            path: path, signature: signature)
    }
}

/// The cryptographic library refused to sign.
package struct SigningError: Error, Sendable {
    package let reason: String
}
