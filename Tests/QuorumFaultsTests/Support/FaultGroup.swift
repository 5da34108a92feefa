// A group of servers with known keys, and the honest versions that liars are shown.

import Crypto
import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol

final class FaultGroup: Sendable {
    let parameters: ClusterParameters
    let verifier: StatementVerifier
    private let keys: [P256.Signing.PrivateKey]

    init(faults: Int = 1, mode: VerificationMode = .fingerprint) {
        guard let quorums = try? QuorumConfiguration(faults: faults) else {
            preconditionFailure("a valid quorum system")
        }
        parameters = ClusterParameters(
            identity: ClusterIdentity(cluster: ClusterID(high: 0, low: 1), epoch: 1, mode: mode), quorums: quorums)
        keys = quorums.servers.map { server in
            guard
                let key = try? P256.Signing.PrivateKey(
                    rawRepresentation: [UInt8](repeating: 1, count: 31) + [server.rawValue + 1])
            else { preconditionFailure("these bytes are a valid scalar") }
            return key
        }
        verifier = StatementVerifier(parameters: parameters, keys: keys.map { .p256(KnownKey($0.publicKey)) })
    }

    var quorums: QuorumConfiguration { parameters.quorums }
    var servers: [ServerIndex] { quorums.servers }

    func signer(_ server: ServerIndex, epoch: UInt64 = 1, mode: VerificationMode? = nil) -> StatementSigner {
        StatementSigner(
            identity: ClusterIdentity(
                cluster: ClusterID(high: 0, low: 1), epoch: epoch, mode: mode ?? parameters.identity.mode),
            server: server,
            incarnation: Incarnation(1), key: .p256(keys[server.offset]))
    }

    func statement(_ server: ServerIndex, _ key: ObjectKey, _ timestamp: Timestamp) -> SignedStatement {
        let statement = Statement(
            identity: parameters.identity, server: server, incarnation: Incarnation(1), key: key,
            timestamp: timestamp, claim: .stored)
        guard let signed = try? signer(server).sign([statement])[0] else { preconditionFailure("signing failed") }
        return signed
    }

    func certificate(of version: ForgedVersion) -> Certificate {
        Certificate(
            timestamp: version.timestamp,
            statements: servers.prefix(quorums.quorum).map { statement($0, version.key, version.timestamp) })
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
    func areGood(_ parts: HeldParts?, of timestamp: Timestamp, from server: ServerIndex) -> Bool {
        guard let parts, parts.timestamp == timestamp, parts.descriptor.digest == timestamp.digest,
            let fragments = parts.fragments
        else { return false }
        let stripes = parts.descriptor.descriptor.stripes
        return fragments.count == stripes.count
            && zip(stripes, fragments).allSatisfy { stripe, fragment in
                (try? stripe.verify(fragment, at: FragmentIndex(server.rawValue))) != nil
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
