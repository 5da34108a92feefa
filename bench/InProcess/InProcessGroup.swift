// The servers of a cluster without their shells: the protocol's machines, keys and stores in this process's memory.

import Crypto
import ErasureCode
import Fingerprint
import QuorumProtocol

/// All servers of the one group, numbered from 0, and one client's name.
package final class InProcessGroup {
    private static let incarnation = Incarnation(1)

    package let parameters: ClusterParameters
    package let client = ClientID(high: 1, low: 1)
    package let signers: [StatementSigner]
    private let keys: StatementKeys
    private(set) var servers: [InProcessServer] = []

    /// - Parameter secrets: the servers' keys, one each; others are drawn when there are none.
    package init(
        faults: Int, dataFragmentCount: Int?, mode: VerificationMode, secrets: [P256.Signing.PrivateKey] = []
    ) throws {
        let quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        parameters = ClusterParameters(
            Configuration(cluster: ClusterID(high: 1, low: 1), mode: mode, quorums: quorums))
        let nodes = parameters.configuration.nodes.map(\.id)
        precondition(secrets.isEmpty || secrets.count == nodes.count)
        let secrets = secrets.isEmpty ? nodes.map { _ in P256.Signing.PrivateKey() } : secrets
        // As servers and clients that have been at work for a while have them.
        keys = StatementKeys(
            ofFirstLives: secrets.map { secret in
                let key = KnownKey(secret.publicKey)
                key.makeTable()
                return .p256(key)
            })
        signers = zip(nodes, secrets).map { node, secret in
            StatementSigner(node: node, incarnation: Self.incarnation, mode: mode, key: .p256(secret))
        }
        servers = signers.map { InProcessServer(parameters: parameters, signer: $0, verifier: makeVerifier()) }
    }

    /// A verifier that has checked nothing yet.
    package func makeVerifier() -> StatementVerifier { StatementVerifier(history: parameters.history, keys: keys) }

    package func key(_ number: Int) -> ObjectKey {
        guard let key = try? ObjectKey("bench/\(number)") else {
            preconditionFailure("the benchmark's own key is none")
        }
        return key
    }

    package func encoded(_ value: SharedBytes, number: Int) -> EncodedValue {
        EncodedValue(value, key: key(number), metadata: ObjectMetadata(), parameters: parameters)
    }

    /// What each server would state of the object's first version once it has stored it.
    package func statements(on value: EncodedValue, number: Int) -> [Statement] {
        let timestamp = Timestamp(counter: 1, writer: client, digest: value.descriptor.digest)
        let placement = parameters.placement(of: key(number))
        return placement.nodes.map { node in
            Statement(
                scope: placement.scope, node: node, incarnation: Self.incarnation, key: key(number),
                timestamp: timestamp, claim: .stored)
        }
    }

    /// The statements of the first quorum, each signed by itself.
    package func certificate(_ statements: [Statement]) throws -> Certificate {
        let quorum = statements.prefix(parameters.quorums.quorum)
        let signed = try quorum.flatMap { try signers[Int($0.node.rawValue)].sign([$0]) }
        return parameters.placement(of: statements[0].key).certificate(of: statements[0].timestamp, signed)
    }
}
