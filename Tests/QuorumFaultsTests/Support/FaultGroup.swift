// Groups of servers with known keys, and the honest versions that liars are shown.

import Crypto
import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol

final class FaultGroup: Sendable {
    let parameters: ClusterParameters
    let verifier: StatementVerifier
    private let keys: [P256.Signing.PrivateKey]

    /// - Parameters:
    ///   - dataFragmentCount: m; f + 1 when it is nil.
    ///   - groups: the members of each group; one group of all servers when it is nil. Slots are dealt in turn.
    ///   - earlier: m of an epoch before, of one group with the lowest numbers.
    init(
        faults: Int = 1, dataFragmentCount: Int? = nil, mode: VerificationMode = .fingerprint,
        groups: [[UInt16]]? = nil,
        earlier: Int? = nil
    ) {
        func quorums(_ dataFragmentCount: Int?) -> QuorumConfiguration {
            guard let quorums = try? QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount) else {
                preconditionFailure("a valid quorum system")
            }
            return quorums
        }
        let newest = quorums(dataFragmentCount)
        let members = groups ?? [(0..<newest.serverCount).map { UInt16($0) }]
        let nodes = Set(members.joined()).sorted().map { Node(id: NodeID($0)) }
        func configuration(
            _ epoch: UInt64, _ quorums: QuorumConfiguration, _ members: [[UInt16]]
        ) -> Configuration {
            guard
                let groups = try? members.enumerated().map({ number, members in
                    try Group(id: GroupID(UInt32(number)), members: members.map { NodeID($0) })
                }),
                let configuration = try? Configuration(
                    cluster: ClusterID(high: 0, low: 1), epoch: epoch, mode: mode, quorums: quorums, nodes: nodes,
                    groups: groups, slots: (0..<Slot.count).map { groups[$0 % groups.count].id })
            else { preconditionFailure("a valid configuration") }
            return configuration
        }
        // No clock moves here.
        var limits = ProtocolLimits()
        limits.listIntervalMilliseconds = 0
        if let earlier {
            let before = quorums(earlier)
            var history = ConfigurationHistory(
                configuration(1, before, [nodes.prefix(before.serverCount).map(\.id.rawValue)]))
            guard history.add(configuration(2, newest, members)) else { preconditionFailure("one follows the other") }
            parameters = ClusterParameters(history: history, limits: limits)
        } else {
            parameters = ClusterParameters(configuration(1, newest, members), limits: limits)
        }
        keys = nodes.map { node in
            guard
                let key = try? P256.Signing.PrivateKey(
                    rawRepresentation: [UInt8](repeating: 1, count: 31) + [UInt8(node.id.rawValue + 1)])
            else { preconditionFailure("these bytes are a valid scalar") }
            return key
        }
        verifier = StatementVerifier(
            history: parameters.history,
            keys: StatementKeys(ofFirstLives: keys.map { .p256(KnownKey($0.publicKey)) }))
    }

    var quorums: QuorumConfiguration { parameters.quorums }
    var servers: [NodeID] { parameters.configuration.nodes.map(\.id) }

    func placement(_ key: ObjectKey) -> Placement { parameters.placement(of: key) }

    /// The server's position for an object of its group.
    func position(_ server: NodeID, _ key: ObjectKey) -> Position {
        guard let position = placement(key).position(of: server) else {
            preconditionFailure("\(server) is no member of \(key)'s group")
        }
        return position
    }

    func signer(_ server: NodeID) -> StatementSigner {
        StatementSigner(
            node: server, incarnation: Incarnation(1), mode: parameters.mode, key: .p256(keys[Int(server.rawValue)]))
    }

    func statement(_ server: NodeID, _ key: ObjectKey, _ timestamp: Timestamp) -> SignedStatement {
        let statement = Statement(
            scope: placement(key).scope, node: server, incarnation: Incarnation(1), key: key, timestamp: timestamp,
            claim: .stored)
        guard let signed = try? signer(server).sign([statement])[0] else { preconditionFailure("signing failed") }
        return signed
    }

    func certificate(of version: ForgedVersion) -> Certificate {
        let placement = placement(version.key)
        return placement.certificate(
            of: version.timestamp,
            placement.group.members.prefix(quorums.quorum).map { statement($0, version.key, version.timestamp) })
    }

    /// An honest writer's version.
    func version(_ key: ObjectKey, _ text: String?, counter: UInt64, writer: ClientID = .alice) -> ForgedVersion {
        ForgedVersion.make(
            key: key, value: text.map { Array($0.utf8) }, counter: counter, writer: writer, parameters: parameters)
    }

    func isValid(_ certificate: Certificate?, of key: ObjectKey) -> Bool {
        guard let certificate else { return false }
        return (try? verifier.verify(certificate, key: key)) != nil
    }

    func isValid(_ signed: SignedStatement, _ key: ObjectKey, _ timestamp: Timestamp) -> Bool {
        (try? verifier.verify(signed, key: key, timestamp: timestamp)) != nil
    }

    /// Whether a reader could use a server's parts of a version as they are.
    func areGood(_ parts: HeldParts?, of timestamp: Timestamp, from server: NodeID) -> Bool {
        guard let parts, parts.timestamp == timestamp, parts.descriptor.digest == timestamp.digest,
            parts.position == placement(parts.descriptor.descriptor.key).position(of: server),
            let fragments = parts.fragments
        else { return false }
        let stripes = parts.descriptor.descriptor.stripes
        return fragments.count == stripes.count
            && zip(stripes, fragments).allSatisfy { stripe, fragment in
                (try? stripe.verify(fragment, at: FragmentIndex(parts.position.rawValue))) != nil
            }
    }
}

extension ClientID {
    static let alice = ClientID(high: 0, low: 0xa11c)
    static let bob = ClientID(high: 0, low: 0xb0b)
    static let carol = ClientID(high: 0, low: 0xca01)
    static let mallory = ClientID(high: 0, low: 0xbad)
}

extension ObjectKey {
    static func of(_ text: String) -> ObjectKey {
        guard let key = try? ObjectKey(text) else { preconditionFailure("\(text) is no key") }
        return key
    }

    static let photo = ObjectKey.of("pictures/photo")
    static let other = ObjectKey.of("pictures/other")
}
