// Five nodes in five groups of four: any two groups have q = 3 nodes in common, the most that two groups can have.

import Crypto
import ErasureCode
import Fingerprint
import QuorumProtocol

/// The cluster with known keys. Its nodes have the numbers 10 to 14, group g the four that follow node 10 + g on the
/// ring, itself included; slot s belongs to group s mod 5.
struct OverlappingCluster {
    let parameters: ClusterParameters
    private let keys: [NodeID: P256.Signing.PrivateKey]

    init(mode: VerificationMode = .fingerprint) {
        parameters = ClusterParameters(Self.configuration(epoch: 1, mode: mode))
        keys = Dictionary(uniqueKeysWithValues: Self.nodes.map { ($0, Self.key(of: $0, life: 1)) })
    }

    static let cluster = ClusterID(high: 0, low: 0xc1)
    static let nodes = (10...14).map { NodeID($0) }
    static let quorums = quorums(faults: 1, dataFragmentCount: 2)

    static func quorums(faults: Int, dataFragmentCount: Int) -> QuorumConfiguration {
        guard let quorums = try? QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount) else {
            preconditionFailure("no such quorum system")
        }
        return quorums
    }

    static func configuration(epoch: UInt64, mode: VerificationMode = .fingerprint) -> Configuration {
        let groupCount = UInt32(nodes.count)
        do {
            return try Configuration(
                cluster: cluster, epoch: epoch, mode: mode, quorums: quorums, nodes: nodes.map { Node(id: $0) },
                groups: (0..<groupCount).map { number in
                    let members = (0..<quorums.serverCount).map { nodes[(Int(number) + $0) % nodes.count] }
                    return try Group(id: GroupID(number), members: members)
                },
                slots: (0..<UInt32(Slot.count)).map { GroupID($0 % groupCount) })
        } catch {
            preconditionFailure("\(error)")
        }
    }

    var configuration: Configuration { parameters.configuration }

    func group(_ number: UInt32) -> Group {
        guard let group = configuration.group(GroupID(number)) else { preconditionFailure("no group \(number)") }
        return group
    }

    /// An object that belongs to the group, another for each number.
    func object(of group: Group, number: Int = 0) -> ObjectKey {
        var passed = 0
        for name in 0... {
            let key = ObjectKey.of("pictures/\(name)")
            guard configuration.group(of: key.slot) == group else { continue }
            if passed == number { return key }
            passed += 1
        }
        preconditionFailure("there is no end of names")
    }

    func version(_ key: ObjectKey, _ text: String = "value", counter: UInt64 = 1) -> TestVersion {
        let value = EncodedValue(
            SharedBytes(Array(text.utf8)), key: key, metadata: ObjectMetadata(), parameters: parameters)
        return TestVersion(
            timestamp: Timestamp(counter: counter, writer: .alice, digest: value.descriptor.digest),
            descriptor: value.descriptor, fragments: value.fragments)
    }

    // MARK: Statements

    /// The statement key of a node's life.
    static func key(of node: NodeID, life: UInt8) -> P256.Signing.PrivateKey {
        let raw = [UInt8](repeating: life, count: 30) + [UInt8(node.rawValue >> 8), UInt8(node.rawValue & 0xff)]
        guard let key = try? P256.Signing.PrivateKey(rawRepresentation: raw) else {
            preconditionFailure("these bytes are a valid scalar")
        }
        return key
    }

    /// The keys of all nodes' first lives.
    static func statementKeys() -> StatementKeys {
        var known = StatementKeys()
        for node in nodes { known.add(.p256(KnownKey(key(of: node, life: 1).publicKey)), of: node, Incarnation(1)) }
        return known
    }

    func verifier(_ history: ConfigurationHistory? = nil) -> StatementVerifier {
        StatementVerifier(history: history ?? parameters.history, keys: Self.statementKeys())
    }

    func scope(_ group: Group, epoch: UInt64 = 1) -> StatementScope {
        StatementScope(cluster: Self.cluster, epoch: epoch, group: group.id, mode: parameters.mode)
    }

    func sign(_ statements: [Statement]) -> [SignedStatement] {
        guard let first = statements.first, let key = keys[first.node] else { return [] }
        let signer = StatementSigner(
            node: first.node, incarnation: first.incarnation, mode: parameters.mode, key: .p256(key))
        guard let signed = try? signer.sign(statements) else { preconditionFailure("signing failed") }
        return signed
    }

    /// What the node says of the version in the group's name, whether it is the object's group or not.
    func statement(of node: NodeID, on version: TestVersion, in group: Group, epoch: UInt64 = 1) -> SignedStatement {
        sign([
            Statement(
                scope: scope(group, epoch: epoch), node: node, incarnation: Incarnation(1), key: version.key,
                timestamp: version.timestamp, claim: .stored)
        ])[0]
    }

    /// What these nodes sign in the group's name.
    func certificate(
        of version: TestVersion, by signers: [NodeID], in group: Group, epoch: UInt64 = 1
    ) -> Certificate {
        Certificate(
            epoch: epoch, group: group.id, timestamp: version.timestamp,
            statements: signers.map { statement(of: $0, on: version, in: group, epoch: epoch) })
    }

    // MARK: Servers

    func replica(of node: NodeID, in group: Group) -> Replica {
        Replica(parameters: parameters, group: group, node: node, incarnation: Incarnation(1))
    }

    /// What a replica answers with an empty store, and what it would have had stored.
    func answer(
        of replica: Replica, to request: Request, from principal: Principal = .client(.alice)
    ) -> (reply: Reply?, stored: [ObjectChange]) {
        var replica = replica
        var effects: [ReplicaEffect] = []
        var accounts = Accounts()
        var reply: Reply?
        var stored: [ObjectChange] = []
        replica.handle(
            .request(RequestTag(session: 1, request: 1), from: principal, request), accounts: &accounts, into: &effects)
        while !effects.isEmpty {
            switch effects.removeFirst() {
            case .reply(_, let answer): reply = answer
            case .replyWithVersion(_, let claim, _, _, _): reply = .version(claim, nil)
            case .load(let key, _): replica.handle(.loaded(key, .success(nil)), accounts: &accounts, into: &effects)
            case .verify(let token, let job, _):
                let result = job.run(verifier: verifier(), parameters: parameters)
                replica.handle(.verified(token, result), accounts: &accounts, into: &effects)
            case .store(let token, let change, let statements):
                if let change { stored.append(change) }
                replica.handle(.stored(token, .success(sign(statements))), accounts: &accounts, into: &effects)
            case .replyTooManyPending, .replyWithFetched, .inspect, .findDue, .findBare, .verifyVersions,
                .repairEnded, .restate, .forgotten:
                break
            }
            replica.checkInvariants()
        }
        return (reply, stored)
    }
}
