// Checking statements and certificates against the servers' public keys.

import Fingerprint
import Synchronization

/// The cluster's public statement keys, and a bounded memory of roots already checked. Safe to use from any thread.
package final class StatementVerifier: Sendable {
    private let parameters: ClusterParameters
    private let keys: [StatementVerificationKey]
    private let remembersChecks: Bool
    private let memory = Mutex(CheckedRoots())

    /// - Parameters:
    ///   - keys: the statement key of each server, in order; there must be n.
    ///   - remembersChecks: without it every signature is checked each time that it comes, also the holder's own.
    package init(
        parameters: ClusterParameters, keys: [StatementVerificationKey], remembersChecks: Bool = true
    ) {
        precondition(keys.count == parameters.quorums.serverCount)
        self.parameters = parameters
        self.keys = keys
        self.remembersChecks = remembersChecks
    }

    /// Checks one server's statement on one version.
    package func verify(
        _ signed: SignedStatement, key: ObjectKey, timestamp: Timestamp
    ) throws(CertificateError) -> VerifiedStatement {
        var form = StatementForm(identity: parameters.identity, key: key, timestamp: timestamp)
        if signed.claim != .poisonous || !isPlanted(.poisonStatementsUnverified) { try check(signed, on: &form) }
        return VerifiedStatement(key: key, timestamp: timestamp, signed: signed)
    }

    private func check(_ signed: SignedStatement, on form: inout StatementForm) throws(CertificateError) {
        guard parameters.quorums.contains(signed.server) else { throw .unknownServer(signed.server) }
        guard parameters.identity.mode.isSigned else {
            guard signed.path == [form.leaf(of: signed)] else { throw .invalidPath(signed.server) }
            return
        }
        guard
            let root = MerkleTree.root(
                leaf: form.leaf(of: signed), index: signed.leafIndex, leafCount: signed.leafCount,
                path: signed.path)
        else { throw .invalidPath(signed.server) }
        let signedRoot = SignedRoot(
            identity: parameters.identity, server: signed.server, incarnation: signed.incarnation, root: root,
            leafCount: signed.leafCount)
        guard isSigned(signedRoot, signature: signed.signature) else { throw .invalidSignature(signed.server) }
    }

    /// Checks a version's certificate for an object: exactly q statements of distinct servers, each signed.
    package func verify(_ certificate: Certificate, key: ObjectKey) throws(CertificateError) -> VerifiedCertificate {
        let quorum = parameters.quorums.quorum
        guard certificate.statements.count == quorum else {
            throw .wrongStatementCount(have: certificate.statements.count, need: quorum)
        }
        var previous: ServerIndex?
        for position in certificate.statements.indices {
            let server = certificate.statements[position].server
            guard parameters.quorums.contains(server) else { throw .unknownServer(server) }
            if let previous, previous >= server, !isPlanted(.repeatedSignersAccepted) { throw .repeatedServer(server) }
            previous = server
            guard certificate.statements[position].claim.accepts else { throw .wrongClaim(server) }
        }
        if !isPlanted(.certificateUnchecked) {
            var form = StatementForm(identity: parameters.identity, key: key, timestamp: certificate.timestamp)
            for position in certificate.statements.indices { try check(certificate.statements[position], on: &form) }
        }
        return VerifiedCertificate(key: key, certificate: certificate)
    }

    private func isSigned(_ root: SignedRoot, signature: [UInt8]) -> Bool {
        guard let checked = CheckedRoot(root, signature) else { return false }
        if memory.withLock({ $0.contains(checked) }) { return true }
        guard root.withBytes({ keys[root.server.offset].isValid(signature, for: $0) }) else { return false }
        if remembersChecks { memory.withLock { $0.insert(checked) } }
        return true
    }

    /// Takes a root that whoever holds this verifier has signed itself.
    func remember(_ root: SignedRoot, signature: [UInt8]) {
        precondition(root.identity == parameters.identity)
        guard remembersChecks, let checked = CheckedRoot(root, signature) else { return }
        memory.withLock { $0.insert(checked) }
    }
}
