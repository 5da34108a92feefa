// What colluding liars share: their keys, what passed before their eyes, and what they agreed on.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// The common knowledge of liars, servers and clients, who trust each other. A liar on its own has one to itself.
///
/// Everything is kept in the order in which it was seen, the oldest forgotten first, and looked up by position: no
/// liar's choice may depend on a hash table's order. Not for use from several threads at once.
package final class Conspiracy {
    /// The keys of the conspirators' servers: with them they sign whatever they like, but only as themselves.
    package let signers: [StatementSigner]

    package private(set) var certificates: [SeenCertificate] = []
    package private(set) var statements: [SeenStatement] = []
    package private(set) var parts: [SeenParts] = []
    /// Versions of which a server's fragment is garbage under the right hash, and that server knows.
    package private(set) var pacts: [PoisonPact] = []
    /// What liars named in their claims, to be shown when somebody asks for it.
    private var promises: [(key: ObjectKey, certificate: Certificate)] = []
    /// Versions that nobody wrote.
    package private(set) var fabrications: [ForgedVersion] = []

    /// How much of each kind is remembered.
    package let memoryMax: Int

    /// - Parameter signers: of the servers in the conspiracy.
    package init(signers: [StatementSigner], memoryMax: Int = 64) {
        precondition(memoryMax > 0)
        self.signers = signers
        self.memoryMax = memoryMax
    }

    /// A certificate, genuine or not, that somebody sent or showed.
    package struct SeenCertificate: Hashable {
        package let key: ObjectKey
        package let certificate: Certificate
        /// Whether a correct server or a verifier found it good; what is only alleged may be anybody's forgery.
        package let isGenuine: Bool
    }

    /// A statement on a version.
    package struct SeenStatement: Hashable {
        package let key: ObjectKey
        package let timestamp: Timestamp
        package let signed: SignedStatement
    }

    /// One server's parts of a version.
    package struct SeenParts {
        package let key: ObjectKey
        package let timestamp: Timestamp
        package let descriptor: SealedDescriptor
        package let node: NodeID
        package let fragments: [SharedBytes]
    }

    /// A writer's promise to a server: "your fragments of this version are garbage under the right hash; sign them".
    package struct PoisonPact {
        package let version: ForgedVersion
        package let victim: NodeID
    }
}

// MARK: - Remembering

extension Conspiracy {
    /// Everything that a request shows.
    func note(_ request: Request, at node: NodeID) {
        switch request {
        case .readTimestamp, .read, .certificate, .describe, .stage, .discard, .fetch, .listHeld:
            break
        case .prepare(let prepare):
            if let justification = prepare.justification {
                note(justification, of: prepare.key, isGenuine: false)
            }
            for signed in prepare.admission { note(signed, of: prepare.key, prepare.timestamp) }
            note(
                SeenParts(
                    key: prepare.key, timestamp: prepare.timestamp, descriptor: prepare.descriptor, node: node,
                    fragments: prepare.fragments))
        case .commit(let commit):
            note(commit.certificate, of: commit.key, isGenuine: false)
        case .restate(let restate):
            note(restate.certificate, of: restate.key, isGenuine: false)
            for signed in restate.statements { note(signed, of: restate.key, restate.certificate.timestamp) }
        }
    }

    /// Everything that the honest replica of `node` shows by answering `request`: its certificates are genuine.
    func note(honest reply: Reply, of node: NodeID, answering request: Request) {
        note(reply, of: node, key: request.key, isGenuine: true)
        switch (reply, request) {
        case (.prepared(let signed, _), .prepare(let prepare)):
            note(signed, of: prepare.key, prepare.timestamp)
        case (.committed, .commit(let commit)):
            note(commit.certificate, of: commit.key, isGenuine: true)
        default:
            break
        }
    }

    /// What `node`'s reply about an object shows by itself.
    func note(_ reply: Reply, of node: NodeID, key: ObjectKey, isGenuine: Bool) {
        switch reply {
        case .certificate(_, let certificate?):
            note(certificate, of: key, isGenuine: isGenuine)
        case .version(_, let held):
            if let held, let fragments = held.fragments {
                note(
                    SeenParts(
                        key: key, timestamp: held.timestamp, descriptor: held.descriptor, node: node,
                        fragments: fragments))
            }
        case .refused(.tooManyPending(let versions)):
            for version in versions { note(version.statement, of: key, version.timestamp) }
        case .timestamp, .certificate, .prepared, .committed, .staged, .discarded, .fetched, .held, .refused:
            break
        }
    }

    /// A certificate that replaces what was known of its version, unless only that is genuine.
    func note(_ certificate: Certificate, of key: ObjectKey, isGenuine: Bool) {
        guard
            let known = certificates.firstIndex(where: {
                $0.certificate.timestamp == certificate.timestamp && $0.key == key
            })
        else {
            let seen = SeenCertificate(key: key, certificate: certificate, isGenuine: isGenuine)
            Self.remember(seen, in: &certificates, max: memoryMax)
            return
        }
        let before = certificates[known]
        let isBetter = isGenuine || !before.isGenuine
        certificates[known] = SeenCertificate(
            key: key, certificate: isBetter ? certificate : before.certificate,
            isGenuine: isGenuine || before.isGenuine)
    }

    func note(_ signed: SignedStatement, of key: ObjectKey, _ timestamp: Timestamp) {
        let seen = SeenStatement(key: key, timestamp: timestamp, signed: signed)
        guard !statements.contains(seen) else { return }
        Self.remember(seen, in: &statements, max: memoryMax)
    }

    func note(_ seen: SeenParts) {
        guard !parts.contains(where: { $0.timestamp == seen.timestamp && $0.node == seen.node }) else { return }
        Self.remember(seen, in: &parts, max: memoryMax)
    }

    /// A writer and the server `victim` agree on garbage.
    func agree(on version: ForgedVersion, garbageAt victim: NodeID) {
        Self.remember(PoisonPact(version: version, victim: victim), in: &pacts, max: memoryMax)
    }

    /// A liar claims a version by this certificate.
    func promise(_ certificate: Certificate, of key: ObjectKey) {
        Self.remember((key, certificate), in: &promises, max: memoryMax)
    }

    /// By which certificate liars last claimed the version.
    func promised(_ timestamp: Timestamp, of key: ObjectKey) -> Certificate? {
        promises.last { $0.certificate.timestamp == timestamp && $0.key == key }?.certificate
    }

    func agree(onFabrication version: ForgedVersion) {
        Self.remember(version, in: &fabrications, max: memoryMax)
    }

    private static func remember<Element>(_ element: Element, in memory: inout [Element], max: Int) {
        if memory.count >= max { memory.removeFirst() }
        memory.append(element)
    }
}

// MARK: - Recalling

extension Conspiracy {
    /// The genuine certificates of an object's versions, in ascending order of timestamps.
    func certificates(of key: ObjectKey) -> [SeenCertificate] {
        certificates.filter { $0.isGenuine && $0.key == key }
            .sorted { $0.certificate.timestamp < $1.certificate.timestamp }
    }

    /// The parts that `node` was seen to have of a version.
    func parts(of timestamp: Timestamp, at node: NodeID) -> SeenParts? {
        parts.last { $0.timestamp == timestamp && $0.node == node }
    }

    /// The distinct servers' genuine-looking statements seen on a version, in the servers' order.
    func statements(on timestamp: Timestamp, of key: ObjectKey) -> [SignedStatement] {
        var chosen: [SignedStatement] = []
        for seen in statements where seen.timestamp == timestamp && seen.key == key {
            if !chosen.contains(where: { $0.node == seen.signed.node }) { chosen.append(seen.signed) }
        }
        return chosen.sorted { $0.node < $1.node }
    }

    /// Of how many servers a statement was seen on a version.
    func signerCount(on timestamp: Timestamp, of key: ObjectKey) -> Int {
        var signers: [NodeID] = []
        for index in statements.indices
        where statements[index].timestamp == timestamp && statements[index].key == key {
            let signer = statements[index].signed.node
            if !signers.contains(signer) { signers.append(signer) }
        }
        return signers.count
    }

    /// What the writer of a version agreed on with `node`.
    func pact(on timestamp: Timestamp, with node: NodeID) -> PoisonPact? {
        pacts.last { $0.version.timestamp == timestamp && $0.victim == node }
    }
}
