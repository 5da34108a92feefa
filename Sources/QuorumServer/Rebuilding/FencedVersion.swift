// One attempt to have one version's certificate count again.

import NIOCore
import ProtocolStorage
import QuorumOperations
import QuorumProtocol

/// A version whose certificate does not count here.
struct FencedVersion {
    private let key: ObjectKey
    private let certificate: Certificate
    private let reads: PeerReads
    private let host: ReplicaHost
    private let store: ProtocolStore
    private let placement: Placement

    init(_ key: ObjectKey, _ certificate: Certificate, reads: PeerReads, host: ReplicaHost, store: ProtocolStore) {
        self.key = key
        self.certificate = certificate
        self.reads = reads
        self.host = host
        self.store = store
        placement = reads.context.parameters.placement(of: key)
    }

    private var timestamp: Timestamp { certificate.timestamp }
    private var quorums: QuorumConfiguration { reads.context.parameters.quorums }
    private var verifier: StatementVerifier { reads.context.verifier }

    /// Whether nothing is left to do: the version has a certificate that counts, or something higher that is
    /// sound is committed here. The others of the object's group get that certificate, too: they have what it replaces,
    /// and each of them would have it restated once more when somebody asks for it.
    func restate() async -> Bool {
        let own = await own()
        if own == .outranked { return true }
        var statements = Statements(certificate, counting: verifier.fences)
        // What it lacks itself it would not sign.
        await collect(&statements, descriptor: nil, besides: own == .lacking ? reads.node : nil)
        if statements.all.count < quorums.quorum, statements.stored.count >= quorums.vouchers,
            let descriptor = await descriptor()
        {
            await collect(&statements, descriptor: descriptor)
        }
        guard statements.all.count >= quorums.quorum else { return false }
        let made = Certificate(
            epoch: certificate.epoch, group: certificate.group, timestamp: timestamp,
            statements: Array(statements.all.prefix(quorums.quorum)))
        guard let counting = try? verifier.verifyCounting(made, key: key) else { return false }
        guard case .success = await host.learn(key, counting) else { return false }
        let commit = Request.commit(Commit(key: key, certificate: made))
        _ = await ask { $0 == reads.node ? nil : commit }
        return true
    }

    private enum Own {
        /// Something higher that is sound is committed here.
        case outranked
        /// The version's fragments are not here.
        case lacking
        /// They are, or it cannot be said just now.
        case other
    }

    /// What the server itself has.
    private func own() async -> Own {
        let (store, key, timestamp) = (store, key, timestamp)
        return await host.inBackground { _ in
            switch store.record(of: key) {
            case .held(let record) where record.claim.verified.map { $0 > timestamp } ?? false: .outranked
            case .held(let record): record.version(timestamp)?.holdsFragments ?? false ? .other : .lacking
            case .absent: .lacking
            case .lost, .unreadable, .notInMemory: .other
            }
        }
    }

    /// Statements on the version that count, of one life of each server.
    private struct Statements {
        private(set) var all: [SignedStatement] = []
        var stored: [SignedStatement] { all.filter { $0.claim == .stored } }

        init(_ certificate: Certificate, counting fences: Fences) {
            all = certificate.statements.filter(fences.counts)
        }

        func has(_ node: NodeID) -> Bool { all.contains { $0.node == node } }

        mutating func add(_ statement: SignedStatement) {
            guard !has(statement.node) else { return }
            all.append(statement)
        }
    }

    /// Asks those for their statements that have none here yet, one server perhaps left out.
    private func collect(
        _ statements: inout Statements, descriptor: SealedDescriptor?, besides excepted: NodeID? = nil
    ) async {
        let restate = Restate(key: key, certificate: certificate, descriptor: descriptor, statements: statements.stored)
        let known = statements
        for (node, reply) in await ask({ known.has($0) || $0 == excepted ? nil : .restate(restate) }) {
            guard case .prepared(let signed, _) = reply, signed.node == node, signed.claim.accepts else { continue }
            if (try? verifier.verifyCounting(signed, key: key, timestamp: timestamp)) != nil { statements.add(signed) }
        }
    }

    /// The version's, from here or from whoever has it.
    private func descriptor() async -> SealedDescriptor? {
        let (store, key, timestamp) = (store, key, timestamp)
        let own = await host.inBackground { host -> SealedDescriptor? in
            guard case .held(let record) = store.record(of: key), record.version(timestamp) != nil,
                case .held(let descriptor) = store.descriptor(of: timestamp, key: key)
            else { return nil }
            return descriptor
        }
        if let own { return own }
        let read = Request.read(Read(key: key, version: timestamp, portion: .descriptor))
        for (_, reply) in await ask({ $0 == reads.node ? nil : read }) {
            guard case .version(_, let parts?) = reply, parts.descriptor.digest == timestamp.digest else { continue }
            return parts.descriptor
        }
        return nil
    }

    /// Asks each server of the object's group, this one among them, and waits for all.
    private func ask(_ request: @escaping @Sendable (NodeID) -> Request?) async -> [NodeID: Reply] {
        let (host, reads) = (host, reads)
        return await withTaskGroup(of: (NodeID, Reply?).self) { group in
            for node in placement.nodes {
                guard let request = request(node) else { continue }
                group.addTask {
                    if node == reads.node { return (node, await host.ask(request)) }
                    guard case .reply(let reply)? = await PeerQuestion.ask(request, of: node, reads.context) else {
                        return (node, nil)
                    }
                    return (node, reply)
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }
}
