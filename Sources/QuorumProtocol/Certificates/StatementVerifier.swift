// Checking statements and certificates against the servers' public keys.
//
// A proof is judged by the epoch that it names: by that epoch's groups, members and thresholds. And the group that it
// names must be the one that has the object's slot in that epoch. Two groups may share q servers, or more, whose
// statements in each are as good as the other's; without this rule an object would have two sets of certificates.

import Fingerprint
import Synchronization

/// The public keys of statements, by node and incarnation. A key is never removed, and never vouches for another life
/// of its server.
package struct StatementKeys: Sendable {
    private var keys: [NodeID: [(incarnation: Incarnation, key: StatementVerificationKey)]] = [:]
    /// A server's last life is the one that counts.
    package private(set) var fences = Fences()

    package init() {}

    /// The keys of nodes in their first life, in the order of the nodes' numbers from 0.
    package init(ofFirstLives keys: [StatementVerificationKey]) {
        for (number, key) in keys.enumerated() { add(key, of: NodeID(UInt16(number)), Incarnation(1)) }
    }

    /// Keeps an earlier key of the same life.
    package mutating func add(_ key: StatementVerificationKey, of node: NodeID, _ incarnation: Incarnation) {
        guard self.key(of: node, incarnation) == nil else { return }
        keys[node, default: []].append((incarnation, key))
        fences.raise(node, to: incarnation)
    }

    /// Takes what it has not of another's keys.
    mutating func add(_ other: StatementKeys) {
        for (node, lives) in other.keys {
            for (incarnation, key) in lives { add(key, of: node, incarnation) }
        }
    }

    func key(of node: NodeID, _ incarnation: Incarnation) -> StatementVerificationKey? {
        keys[node]?.last { $0.incarnation == incarnation }?.key
    }
}

/// The cluster's configurations and public statement keys, and a bounded memory of roots already checked. Safe to use
/// from any thread.
package final class StatementVerifier: Sendable {
    private struct State {
        var history: ConfigurationHistory
        var keys: StatementKeys
        var checked = CheckedRoots()
    }

    private let remembersChecks: Bool
    private let state: Mutex<State>

    /// - Parameter remembersChecks: without it every signature is checked each time that it comes, also the holder's
    ///   own.
    package init(history: ConfigurationHistory, keys: StatementKeys, remembersChecks: Bool = true) {
        self.remembersChecks = remembersChecks
        state = Mutex(State(history: history, keys: keys))
    }

    /// Takes further epochs and keys. What is known stays, so that nobody who comes late with less makes it forgotten.
    package func learn(history: ConfigurationHistory, keys: StatementKeys) {
        state.withLock { state in
            state.history.add(history)
            state.keys.add(keys)
        }
    }

    /// The lives that count, as far as is known here.
    package var fences: Fences { state.withLock { $0.keys.fences } }

    /// The same as `verify`, and that each of its statements is of a life that counts.
    package func verifyCounting(
        _ certificate: Certificate, key: ObjectKey
    ) throws(CertificateError) -> VerifiedCertificate {
        // What is forged says something against whoever shows it, what is fenced does not.
        let verified = try verify(certificate, key: key)
        if let server = fences.fencedServer(in: certificate), !isPlanted(.fencedBelieved) { throw .fenced(server) }
        return verified
    }

    /// The same as `verify`, and that the statement is of a life that counts.
    package func verifyCounting(
        _ signed: SignedStatement, key: ObjectKey, timestamp: Timestamp
    ) throws(CertificateError) -> VerifiedStatement {
        let verified = try verify(signed, key: key, timestamp: timestamp)
        guard fences.counts(signed) else { throw .fenced(signed.node) }
        return verified
    }

    /// Checks one server's statement on one version, made in the newest epoch.
    package func verify(
        _ signed: SignedStatement, key: ObjectKey, timestamp: Timestamp
    ) throws(CertificateError) -> VerifiedStatement {
        let placement = Placement(key, in: state.withLock { $0.history.newest })
        guard placement.group.contains(signed.node) || isPlanted(.strangersCounted) else {
            throw .unknownServer(signed.node)
        }
        var form = StatementForm(scope: placement.scope, key: key, timestamp: timestamp)
        if signed.claim != .poisonous || !isPlanted(.poisonStatementsUnverified) {
            try check(signed, on: &form, in: placement.scope)
        }
        return VerifiedStatement(key: key, timestamp: timestamp, signed: signed)
    }

    /// Checks that the server has signed the statement in this scope, whether it may make one there or not.
    func verifySignature(
        of signed: SignedStatement, on timestamp: Timestamp, of key: ObjectKey, in scope: StatementScope
    ) throws(CertificateError) {
        var form = StatementForm(scope: scope, key: key, timestamp: timestamp)
        try check(signed, on: &form, in: scope)
    }

    private func check(
        _ signed: SignedStatement, on form: inout StatementForm, in scope: StatementScope
    ) throws(CertificateError) {
        guard scope.mode.isSigned else {
            guard signed.path == [form.leaf(of: signed)] else { throw .invalidPath(signed.node) }
            return
        }
        guard
            let root = MerkleTree.root(
                leaf: form.leaf(of: signed), index: signed.leafIndex, leafCount: signed.leafCount,
                path: signed.path)
        else { throw .invalidPath(signed.node) }
        let signedRoot = SignedRoot(
            cluster: scope.cluster, epoch: scope.epoch, node: signed.node, incarnation: signed.incarnation, root: root,
            leafCount: signed.leafCount)
        try check(signedRoot, signature: signed.signature)
    }

    /// Checks a version's certificate for an object: exactly q statements of distinct members of the object's group in
    /// the epoch that it names, each signed, whether its lives count or not.
    package func verify(_ certificate: Certificate, key: ObjectKey) throws(CertificateError) -> VerifiedCertificate {
        let history = state.withLock { $0.history }
        guard
            let configuration = history.configuration(of: certificate.epoch)
                ?? (isPlanted(.epochUnchecked) ? history.newest : nil)
        else { throw .unknownEpoch(certificate.epoch) }
        let placement = Placement(key, in: configuration)
        var group = placement.group
        if group.id != certificate.group {
            guard isPlanted(.foreignGroupAccepted), let named = configuration.group(certificate.group) else {
                throw .foreignGroup(certificate.group, expected: group.id)
            }
            group = named
        }
        let quorum = configuration.quorums.quorum
        guard
            certificate.statements.count == quorum
                || isPlanted(.earlierQuorumAccepted)
                    && history.contains(where: { $0.quorums.quorum == certificate.statements.count })
        else {
            throw .wrongStatementCount(have: certificate.statements.count, need: quorum)
        }
        var previous: NodeID?
        for position in certificate.statements.indices {
            let node = certificate.statements[position].node
            guard group.contains(node) || isPlanted(.strangersCounted) else { throw .unknownServer(node) }
            if let previous, previous >= node, !isPlanted(.repeatedSignersAccepted) { throw .repeatedServer(node) }
            previous = node
            guard certificate.statements[position].claim.accepts else { throw .wrongClaim(node) }
        }
        if !isPlanted(.certificateUnchecked) {
            let scope = StatementScope(
                cluster: configuration.cluster, epoch: configuration.epoch, group: group.id, mode: configuration.mode)
            var form = StatementForm(scope: scope, key: key, timestamp: certificate.timestamp)
            for position in certificate.statements.indices {
                try check(certificate.statements[position], on: &form, in: scope)
            }
        }
        return VerifiedCertificate(key: key, certificate: certificate)
    }

    private func check(_ root: SignedRoot, signature: [UInt8]) throws(CertificateError) {
        guard let checked = CheckedRoot(root, signature) else { throw .invalidSignature(root.node) }
        let key = state.withLock { state -> Result<StatementVerificationKey, CertificateError>? in
            if state.checked.contains(checked) { return nil }
            guard let key = state.keys.key(of: root.node, root.incarnation) else {
                return .failure(.unknownIncarnation(root.node, root.incarnation))
            }
            return .success(key)
        }
        guard let key = try key?.get() else { return }
        guard root.withBytes({ key.isValid(signature, for: $0) }) else { throw .invalidSignature(root.node) }
        if remembersChecks { state.withLock { $0.checked.insert(checked) } }
    }

    /// Takes a root that whoever holds this verifier has signed itself.
    func remember(_ root: SignedRoot, signature: [UInt8]) {
        guard remembersChecks, let checked = CheckedRoot(root, signature) else { return }
        state.withLock { $0.checked.insert(checked) }
    }
}
