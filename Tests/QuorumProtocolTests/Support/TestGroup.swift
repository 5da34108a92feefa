// A group of servers with known keys: makes versions, statements and certificates, good ones and bad ones.

import Crypto
import ErasureCode
import Fingerprint
import QuorumProtocol
import Synchronization

extension ServerIndex: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: UInt8) { self.init(value) }
}

/// A version with the fragments of every server.
struct TestVersion: Sendable {
    let timestamp: Timestamp
    let descriptor: SealedDescriptor
    let fragments: [[SharedBytes]]

    var key: ObjectKey { descriptor.descriptor.key }

    func prepare(
        for server: ServerIndex, justification: Certificate? = nil, admission: [SignedStatement] = []
    ) -> Prepare {
        Prepare(
            key: key, timestamp: timestamp, descriptor: descriptor, fragments: fragments[server.offset],
            justification: justification, admission: admission)
    }

    func commit(_ certificate: Certificate) -> Request {
        .commit(Commit(key: key, certificate: certificate, descriptor: descriptor))
    }
}

final class TestGroup: Sendable {
    let parameters: ClusterParameters
    let verifier: StatementVerifier
    private let keys: [P256.Signing.PrivateKey]
    /// Signing and encoding are pure for this purpose: short random runs repeat most of them.
    private let signed = Mutex<[Statement: SignedStatement]>([:])

    init(
        faults: Int = 1, dataFragmentCount: Int? = nil, cluster: UInt64 = 1, epoch: UInt64 = 1, group: UInt32 = 0,
        mode: VerificationMode = .fingerprint, limits: ProtocolLimits = ProtocolLimits(), keySeed: UInt8 = 0
    ) {
        guard let quorums = try? QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount) else {
            preconditionFailure("no such quorum system")
        }
        parameters = ClusterParameters(
            identity: ClusterIdentity(
                cluster: ClusterID(high: 0, low: cluster), epoch: epoch, group: group, mode: mode),
            quorums: quorums, limits: limits)
        keys = quorums.servers.map { server in
            let raw = [UInt8](repeating: keySeed &+ 1, count: 31) + [server.rawValue &+ 1]
            guard let key = try? P256.Signing.PrivateKey(rawRepresentation: raw) else {
                preconditionFailure("these bytes are a valid scalar")
            }
            return key
        }
        verifier = StatementVerifier(parameters: parameters, keys: keys.map { .p256(KnownKey($0.publicKey)) })
    }

    var quorums: QuorumConfiguration { parameters.quorums }
    var servers: [ServerIndex] { quorums.servers }

    /// How many servers a group has, for tables of groups in several modes.
    struct Shape: Sendable {
        var faults = 1
        var dataFragmentCount: Int?

        func group(_ mode: VerificationMode, limits: ProtocolLimits = ProtocolLimits()) -> TestGroup {
            TestGroup(faults: faults, dataFragmentCount: dataFragmentCount, mode: mode, limits: limits)
        }
    }

    /// A verifier without memory.
    func freshVerifier() -> StatementVerifier {
        StatementVerifier(parameters: parameters, keys: keys.map { .p256(KnownKey($0.publicKey)) })
    }

    // MARK: Statements

    func signer(_ server: ServerIndex, incarnation: UInt64 = 1) -> StatementSigner {
        StatementSigner(
            identity: parameters.identity, server: server, incarnation: Incarnation(incarnation),
            key: .p256(keys[server.offset]))
    }

    func sign(_ statement: Statement) -> SignedStatement {
        if let known = signed.withLock({ $0[statement] }) { return known }
        guard
            let fresh = try? signer(statement.server, incarnation: statement.incarnation.rawValue).sign([statement])[0]
        else { preconditionFailure("signing failed") }
        signed.withLock { $0[statement] = fresh }
        return fresh
    }

    func statement(
        of server: ServerIndex, _ key: ObjectKey, _ timestamp: Timestamp, _ claim: Claim = .stored,
        incarnation: UInt64 = 1
    ) -> SignedStatement {
        sign(
            Statement(
                identity: parameters.identity, server: server, incarnation: Incarnation(incarnation), key: key,
                timestamp: timestamp, claim: claim))
    }

    /// The certificate of a version, signed by the first q servers unless others are named.
    func certificate(
        of version: TestVersion, by servers: [ServerIndex]? = nil, _ claim: Claim = .stored
    ) -> Certificate {
        let signers = servers ?? Array(self.servers.prefix(quorums.quorum))
        return Certificate(
            timestamp: version.timestamp,
            statements: signers.map { statement(of: $0, version.key, version.timestamp, claim) })
    }

    /// What a liar can make without anybody's help: q statements with its own signature under everybody's name.
    func forgedCertificate(_ key: ObjectKey, _ timestamp: Timestamp, liar: ServerIndex) -> Certificate {
        let own = statement(of: liar, key, timestamp)
        return Certificate(
            timestamp: timestamp,
            statements: servers.prefix(quorums.quorum).map { server in
                SignedStatement(
                    server: server, incarnation: own.incarnation, claim: own.claim, leafIndex: 0, leafCount: 1,
                    path: [], signature: own.signature)
            })
    }

    /// A server's signature over any root it likes, as a liar makes it.
    func signature(of server: ServerIndex, onRoot root: Digest256, leafCount: UInt32 = 1) -> [UInt8] {
        var encoder = CanonicalEncoder()
        encoder.append(tag: "solidus.statements.1")
        encoder.append(parameters.identity.cluster)
        encoder.append(parameters.identity.epoch)
        encoder.append(server.rawValue)
        encoder.append(UInt64(1))
        encoder.append(root)
        encoder.append(leafCount)
        guard let signature = try? keys[server.offset].signature(for: encoder.bytes) else {
            preconditionFailure("signing failed")
        }
        return Array(signature.rawRepresentation)
    }

    // MARK: Versions

    func value(_ key: ObjectKey, _ bytes: [UInt8], etag: String = "") -> (SealedDescriptor, [[SharedBytes]]) {
        guard !bytes.isEmpty else {
            let descriptor = Descriptor(
                value: key, lengthBytes: 0, stripeSizeBytes: 1 << 16, stripes: [],
                metadata: ObjectMetadata(etag: etag), parameters: parameters)
            return (SealedDescriptor(descriptor), servers.map { _ in [] })
        }
        let mode = parameters.identity.mode
        let block = SharedBytes(bytes)
        let (fragments, crossChecksum) = CrossChecksum.encode(
            block: block, code: quorums.code, coverage: mode.coverage)
        return (
            descriptor(key, lengthBytes: bytes.count, crossChecksum, etag: etag),
            fragments.map { [mode.sendsBlocks ? block : $0] }
        )
    }

    func descriptor(
        _ key: ObjectKey, lengthBytes: Int, _ crossChecksum: CrossChecksum, etag: String = ""
    ) -> SealedDescriptor {
        SealedDescriptor(
            Descriptor(
                value: key, lengthBytes: UInt64(lengthBytes), stripeSizeBytes: 1 << 16, stripes: [crossChecksum],
                metadata: ObjectMetadata(etag: etag), parameters: parameters))
    }

    func tombstone(_ key: ObjectKey, at milliseconds: UInt64 = 0) -> (SealedDescriptor, [[SharedBytes]]) {
        let descriptor = Descriptor(tombstone: key, modifiedMilliseconds: milliseconds, parameters: parameters)
        return (SealedDescriptor(descriptor), servers.map { _ in [] })
    }

    func version(_ key: ObjectKey, _ text: String?, counter: UInt64, writer: ClientID = .alice) -> TestVersion {
        let (descriptor, fragments) = text.map { value(key, Array($0.utf8)) } ?? tombstone(key)
        return TestVersion(
            timestamp: Timestamp(counter: counter, writer: writer, digest: descriptor.digest), descriptor: descriptor,
            fragments: fragments)
    }

    /// A version whose fragment for `victim` is garbage under the right hash; everything else is as an honest writer
    /// makes it: poisonous where PREPARE checks no more than hashes. Fingerprints are taken of the honest data under
    /// the key that follows from the altered hashes, which is the most consistent such a writer can be.
    func poisonedVersion(
        _ key: ObjectKey, _ text: String, garbageAt victim: ServerIndex, counter: UInt64, writer: ClientID = .mallory
    ) -> TestVersion {
        let block = SharedBytes(Array(text.utf8))
        var fragments = quorums.code.encode(block: block)
        let data = fragments.prefix(quorums.dataFragmentCount)
        fragments[victim.offset] = SharedBytes(fragments[victim.offset].array.map { ~$0 })
        let hashes = Digest256.fragmentHashes(of: fragments)
        var crossChecksum = CrossChecksum(
            code: quorums.code, blockSizeBytes: block.count, hashes: hashes, data: data)
        if parameters.identity.mode.coverage == .hashes,
            let hashed = try? CrossChecksum(
                code: quorums.code, blockSizeBytes: block.count, hashes: hashes, fingerprints: [])
        {
            crossChecksum = hashed
        }
        let sealed = descriptor(key, lengthBytes: block.count, crossChecksum)
        return TestVersion(
            timestamp: Timestamp(counter: counter, writer: writer, digest: sealed.digest), descriptor: sealed,
            fragments: fragments.map { [$0] })
    }
}

extension ClientID {
    static let alice = ClientID(high: 0, low: 0xa11c)
    static let bob = ClientID(high: 0, low: 0xb0b)
    static let mallory = ClientID(high: 0, low: 0xbad)
}

extension ObjectKey {
    /// A key that the test knows to be valid.
    static func of(_ text: String) -> ObjectKey {
        guard let key = try? ObjectKey(text) else { preconditionFailure("\(text) is no key") }
        return key
    }

    static let photo = ObjectKey.of("pictures/photo")
    static let other = ObjectKey.of("pictures/other")
}
