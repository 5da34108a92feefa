// A group of servers with known keys: makes versions, statements and certificates, good ones and bad ones.

import Crypto
import ErasureCode
import Fingerprint
import QuorumProtocol
import Synchronization

extension Position: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: UInt8) { self.init(value) }
}

/// A version with the fragments of every server.
struct TestVersion: Sendable {
    let timestamp: Timestamp
    let descriptor: SealedDescriptor
    let fragments: [[SharedBytes]]

    var key: ObjectKey { descriptor.descriptor.key }

    func prepare(
        for server: Position, justification: Certificate? = nil, admission: [SignedStatement] = []
    ) -> Prepare {
        Prepare(
            key: key, timestamp: timestamp, position: server, descriptor: descriptor,
            fragments: fragments[server.offset],
            justification: justification, admission: admission)
    }

    func commit(_ certificate: Certificate) -> Request {
        .commit(Commit(key: key, certificate: certificate))
    }

    var describe: Request { .describe(Describe(key: key, timestamp: timestamp, descriptor: descriptor)) }
}

/// One group of nodes that has all slots, by the positions of the tests' objects: `.photo` and all whose keys have the
/// same rotation, as `.other` has. Nodes and positions have different numbers, so that none is taken for the other, and
/// the same order, unless it is to be reversed: then a script's certificates list its servers in the order of
/// positions.
final class TestGroup: Sendable {
    /// The number of the node at position 0, counted from which the others have theirs.
    static let firstNode: UInt16 = 20

    let parameters: ClusterParameters
    let verifier: StatementVerifier
    private let keys: [P256.Signing.PrivateKey]
    /// Signing and encoding are pure for this purpose: short random runs repeat most of them.
    private let signed = Mutex<[Statement: SignedStatement]>([:])
    /// All certificates that scripts made, good and bad, by their digests: whoever claims one has it to show.
    private let made = Mutex<[Digest256: Certificate]>([:])

    init(
        faults: Int = 1, dataFragmentCount: Int? = nil, cluster: UInt64 = 1, epoch: UInt64 = 1, group: UInt32 = 3,
        mode: VerificationMode = .fingerprint, limits: ProtocolLimits = ProtocolLimits(), keySeed: UInt8 = 0,
        isReversed: Bool = false
    ) {
        guard let quorums = try? QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount) else {
            preconditionFailure("no such quorum system")
        }
        let configuration = Self.configuration(
            ClusterID(high: 0, low: cluster), epoch, GroupID(group), mode, quorums, isReversed: isReversed)
        parameters = ClusterParameters(configuration, limits: limits)
        keys = quorums.positions.map { position in
            let raw = [UInt8](repeating: keySeed &+ 1, count: 31) + [position.rawValue &+ 1]
            guard let key = try? P256.Signing.PrivateKey(rawRepresentation: raw) else {
                preconditionFailure("these bytes are a valid scalar")
            }
            return key
        }
        verifier = StatementVerifier(history: parameters.history, keys: Self.statementKeys(keys, parameters))
    }

    private static func configuration(
        _ cluster: ClusterID, _ epoch: UInt64, _ group: GroupID, _ mode: VerificationMode,
        _ quorums: QuorumConfiguration, isReversed: Bool
    ) -> Configuration {
        let count = quorums.serverCount
        let inOrder = quorums.positions.map { NodeID(firstNode + UInt16($0.rawValue)) }
        let byPosition = isReversed ? inOrder.reversed() : inOrder
        let rotation = Placement(.photo, in: Configuration(cluster: cluster, quorums: quorums)).rotation
        let members = (0..<count).map { place in byPosition[(place - rotation + count) % count] }
        do {
            return try Configuration(
                cluster: cluster, epoch: epoch, mode: mode, quorums: quorums, nodes: inOrder.map { Node(id: $0) },
                groups: [Group(id: group, members: members)], slots: Array(repeating: group, count: Slot.count))
        } catch {
            preconditionFailure("\(error)")
        }
    }

    private static func statementKeys(
        _ keys: [P256.Signing.PrivateKey], _ parameters: ClusterParameters
    ) -> StatementKeys {
        var known = StatementKeys()
        for (position, key) in zip(parameters.quorums.positions, keys) {
            let node = parameters.placement(of: .photo).node(at: position)
            known.add(.p256(KnownKey(key.publicKey)), of: node, Incarnation(1))
        }
        return known
    }

    var quorums: QuorumConfiguration { parameters.quorums }
    var configuration: Configuration { parameters.configuration }
    var placement: Placement { parameters.placement(of: .photo) }
    /// The group itself.
    var members: Group { placement.group }
    /// The servers by their positions.
    var servers: [Position] { quorums.positions }

    func node(_ server: Position) -> NodeID { placement.node(at: server) }

    /// The position of a member; nil for others.
    func server(_ node: NodeID) -> Position? { placement.position(of: node) }

    /// Who has signed, in the order of the statements.
    func signers(_ statements: [SignedStatement]) -> [Position] { statements.compactMap { server($0.node) } }

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
        StatementVerifier(history: parameters.history, keys: Self.statementKeys(keys, parameters))
    }

    // MARK: Statements

    func signer(_ server: Position, incarnation: UInt64 = 1) -> StatementSigner {
        StatementSigner(
            node: node(server), incarnation: Incarnation(incarnation), mode: parameters.mode,
            key: .p256(keys[server.offset]))
    }

    /// By which others check what the server signs, in whichever life.
    func verificationKey(of server: Position) -> StatementVerificationKey {
        .p256(KnownKey(keys[server.offset].publicKey))
    }

    func sign(_ statement: Statement) -> SignedStatement {
        if let known = signed.withLock({ $0[statement] }) { return known }
        guard let server = server(statement.node),
            let fresh = try? signer(server, incarnation: statement.incarnation.rawValue).sign([statement])[0]
        else { preconditionFailure("signing failed") }
        signed.withLock { $0[statement] = fresh }
        return fresh
    }

    /// What a server says, before it is signed.
    func unsigned(
        of server: Position, _ key: ObjectKey, _ timestamp: Timestamp, _ claim: Claim = .stored,
        incarnation: UInt64 = 1
    ) -> Statement {
        Statement(
            scope: placement.scope, node: node(server), incarnation: Incarnation(incarnation), key: key,
            timestamp: timestamp, claim: claim)
    }

    func statement(
        of server: Position, _ key: ObjectKey, _ timestamp: Timestamp, _ claim: Claim = .stored,
        incarnation: UInt64 = 1
    ) -> SignedStatement {
        sign(unsigned(of: server, key, timestamp, claim, incarnation: incarnation))
    }

    /// The certificate that these statements would be, whatever they are worth.
    func certificate(_ timestamp: Timestamp, _ statements: [SignedStatement]) -> Certificate {
        let certificate = placement.certificate(of: timestamp, statements)
        remember(certificate)
        return certificate
    }

    func remember(_ certificate: Certificate) { made.withLock { $0[certificate.digest] = certificate } }

    /// The certificate by which a claim names a version, if a script made it.
    func certificate(of claimed: ClaimedVersion) -> Certificate? {
        made.withLock { $0[claimed.certificateDigest] }
    }

    /// How somebody who makes this claim answers FETCH-CERTIFICATE, when the certificates are a script's.
    func proof(of claim: CommittedClaim, asked timestamp: Timestamp) -> Reply {
        let named = claim.versions.first { $0.timestamp == timestamp } ?? claim.versions.last
        return .certificate(claim, named.flatMap { certificate(of: $0) })
    }

    /// The certificate of a version, signed by the first q servers unless others are named.
    func certificate(
        of version: TestVersion, by servers: [Position]? = nil, _ claim: Claim = .stored
    ) -> Certificate {
        let signers = servers ?? Array(self.servers.prefix(quorums.quorum))
        return certificate(
            version.timestamp, signers.map { statement(of: $0, version.key, version.timestamp, claim) })
    }

    /// What a liar can make without anybody's help: q statements with its own signature under everybody's name.
    func forgedCertificate(_ key: ObjectKey, _ timestamp: Timestamp, liar: Position) -> Certificate {
        let own = statement(of: liar, key, timestamp)
        return certificate(
            timestamp,
            servers.prefix(quorums.quorum).map { server in
                SignedStatement(
                    node: node(server), incarnation: own.incarnation, claim: own.claim, leafIndex: 0, leafCount: 1,
                    path: [], signature: own.signature)
            })
    }

    /// A server's signature over any root it likes, as a liar makes it.
    func signature(of server: Position, onRoot root: Digest256, leafCount: UInt32 = 1) -> [UInt8] {
        var encoder = CanonicalEncoder()
        encoder.append(tag: "solidus.statements.2")
        encoder.append(configuration.cluster)
        encoder.append(configuration.epoch)
        encoder.append(node(server).rawValue)
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
        let mode = parameters.mode
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
        _ key: ObjectKey, _ text: String, garbageAt victim: Position, counter: UInt64, writer: ClientID = .mallory
    ) -> TestVersion {
        let block = SharedBytes(Array(text.utf8))
        var fragments = quorums.code.encode(block: block)
        let data = fragments.prefix(quorums.dataFragmentCount)
        fragments[victim.offset] = SharedBytes(fragments[victim.offset].array.map { ~$0 })
        let hashes = Digest256.fragmentHashes(of: fragments)
        var crossChecksum = CrossChecksum(
            code: quorums.code, blockSizeBytes: block.count, hashes: hashes, data: data)
        if parameters.mode.coverage == .hashes,
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
    /// Its rotation is the same.
    static let other = ObjectKey.of("pictures/other-5861")
}
