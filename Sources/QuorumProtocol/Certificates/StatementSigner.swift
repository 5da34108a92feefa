// Signing: one signature over the Merkle root of all statements of one group commit, whatever groups they are of.

import Fingerprint

/// What the signature covers: the batch's root in its cluster, epoch, server and incarnation.
struct SignedRoot: Hashable {
    let cluster: ClusterID
    let epoch: UInt64
    let node: NodeID
    let incarnation: Incarnation
    let root: Digest256
    let leafCount: UInt32

    private static let tag: StaticString = "solidus.statements.2"
    private static let sizeBytes = 1 + tag.utf8CodeUnitCount + 24 + 2 + 8 + Digest256.sizeBytes + 4

    /// Calls `body` with the bytes, valid only during the call.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        CanonicalWriter.withBytes(capacity: Self.sizeBytes) { writer in
            writer.append(tag: Self.tag)
            writer.append(cluster.high)
            writer.append(cluster.low)
            writer.append(epoch)
            writer.append(node.rawValue)
            writer.append(incarnation.rawValue)
            writer.append(root)
            writer.append(leafCount)
        } body: {
            body($0)
        }
    }
}

/// A node's signing hand, for all groups that it is in.
package struct StatementSigner: Sendable {
    package let node: NodeID
    package let incarnation: Incarnation
    /// Whether statements are signed at all, which they are not in the mode `none`.
    package let isSigning: Bool
    private let key: StatementKey

    package init(node: NodeID, incarnation: Incarnation, mode: VerificationMode, key: StatementKey) {
        self.node = node
        self.incarnation = incarnation
        isSigning = mode.isSigned
        self.key = key
    }

    /// Signs up to `MerkleTree.leafCountMax` statements, which must be this node's and of one cluster and epoch, with
    /// one signature. In the mode `none` there is no signature, and the path is the leaf itself: it still says what the
    /// statement is on, which a reply does not.
    ///
    /// - Parameter verifier: this server's own, which need not check what it has signed itself.
    package func sign(
        _ statements: [Statement], knownTo verifier: StatementVerifier? = nil
    ) throws(SigningError) -> [SignedStatement] {
        guard let first = statements.first?.scope else { return [] }
        for statement in statements {
            precondition(
                statement.scope.cluster == first.cluster && statement.scope.epoch == first.epoch
                    && statement.node == node && statement.incarnation == incarnation)
        }
        guard isSigning else {
            return statements.map { signed($0.claim, leafIndex: 0, leafCount: 1, path: [$0.leaf], []) }
        }
        if statements.count == 1 {
            let signature = try sign(root: statements[0].leaf, leafCount: 1, in: first, knownTo: verifier)
            return [signed(statements[0].claim, leafIndex: 0, leafCount: 1, path: [], signature)]
        }
        let (root, paths) = MerkleTree.build(statements.map(\.leaf))
        let leafCount = UInt32(statements.count)
        let signature = try sign(root: root, leafCount: leafCount, in: first, knownTo: verifier)
        return statements.indices.map { index in
            signed(
                statements[index].claim, leafIndex: UInt32(index), leafCount: leafCount, path: paths[index], signature)
        }
    }

    private func sign(
        root: Digest256, leafCount: UInt32, in scope: StatementScope, knownTo verifier: StatementVerifier?
    ) throws(SigningError) -> [UInt8] {
        let message = SignedRoot(
            cluster: scope.cluster, epoch: scope.epoch, node: node, incarnation: incarnation, root: root,
            leafCount: leafCount)
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
            node: node, incarnation: incarnation, claim: claim, leafIndex: leafIndex, leafCount: leafCount, path: path,
            signature: signature)
    }
}

/// The cryptographic library refused to sign.
package struct SigningError: Error, Sendable {
    package let reason: String
}
