// A server that lies. It holds the right key and stands between the clients and a true server, whose answers it
// replaces, bends or withholds.

import ClusterFiles
import ErasureCode
import Fingerprint
import Logging
import NIOCore
import NIOPosix
import QuorumOperations
import QuorumProtocol
import QuorumServer
import QuorumTransport
import QuorumWire
import Synchronization

/// What a lying server does with the true answer.
enum Lie: String, CaseIterable, Sendable {
    case silence
    case disconnects
    case randomBytes
    case mutatedBytes
    case truncatedBytes
    case otherNumbers
    case repeated
    case wrongType
    case refusals
    case forgetsEverything
    case answersFromThePast
    case inflatedClaims
    case garbageFragments
    case partsOfOtherObjects
    case invalidSignatures
    case statementsOfOthers
    case acknowledgesWithoutStoring
    /// Another lie for every answer.
    case everything
}

/// The lying server at one position of a cluster.
final class Impostor: ServerEndpointDelegate {
    private struct State {
        var lie: Lie
        var generator: SeededGenerator
        var relays: [ObjectIdentifier: Relay] = [:]
        /// The first answers to each kind of question about each object, for lies from the past.
        var firstReplies: [String: Reply] = [:]
        var someParts: [HeldParts] = []
        /// What it has seen certified, and the certificates of what it claims without having any.
        var seenCertificates: [Timestamp: Certificate] = [:]
        var promisedCertificates: [Timestamp: Certificate] = [:]
        var lieCount = 0
    }

    private let home: ServerHome
    private let clients: [PeerIdentity: ClientHome]
    private let truth: Server
    private let truthPort: Int
    private let group: MultiThreadedEventLoopGroup
    private let endpoint = Mutex<ServerEndpoint?>(nil)
    private let state: Mutex<State>
    private var parameters: ClusterParameters { home.cluster.parameters }

    /// Takes the place of a server whose process does not run; its store serves the true server behind.
    ///
    /// - Parameter scope: what it says of itself, given what would be true but for its life.
    static func start(
        _ cluster: TestCluster, _ server: NodeID, _ lie: Lie, scope: (ClusterDescription) -> ClusterScope = { $0.scope }
    ) async throws -> Impostor {
        let home = try ServerHome(path: cluster.home(server))
        var configuration = ServerConfiguration(home: home)
        configuration.port = 0
        let truth = try await Server.start(configuration, logger: .silent)
        do {
            let impostor = try Impostor(home: home, clientHome: cluster.clientHome(), truth: truth, lie: lie)
            try await impostor.listen(scope(home.cluster))
            return impostor
        } catch {
            await truth.shutdown()
            throw error
        }
    }

    private init(home: ServerHome, clientHome: ClientHome, truth: Server, lie: Lie) throws {
        self.home = home
        clients = [.client(clientHome.id.description): clientHome]
        self.truth = truth
        truthPort = truth.port ?? 0
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        state = Mutex(State(lie: lie, generator: SeededGenerator("impostor \(home.node.rawValue) \(lie.rawValue)")))
    }

    private func listen(_ scope: ClusterScope) async throws {
        let configuration = ServerEndpointConfiguration(
            host: home.entry.host, port: home.entry.port, scope: scope, peers: home.cluster.peers,
            limits: ConnectionLimits(parameters))
        let started = try await ServerEndpoint.start(
            configuration, identity: home.identity, delegate: self, group: group, logger: .silent)
        endpoint.withLock { $0 = started }
    }

    /// Changes what it does from now on.
    func lie(_ lie: Lie) {
        state.withLock { $0.lie = lie }
    }

    /// How many answers were not the true ones.
    var lieCount: Int { state.withLock { $0.lieCount } }

    func shutdown() async {
        await endpoint.withLock { $0 }?.shutdown(grace: .milliseconds(100))
        for relay in state.withLock({ Array($0.relays.values) }) { relay.close() }
        await truth.shutdown()
        try? await group.shutdownGracefully()
    }

    // MARK: Sessions

    func sessionOpened(_ session: Session) {
        guard let client = clients[session.identity],
            let relay = try? Relay(
                to: truthPort, home: home, as: client.identity, group: group,
                answer: { [weak self] frame, request in self?.answer(session, frame, request) })
        else {
            session.close()
            return
        }
        state.withLock { $0.relays[ObjectIdentifier(session)] = relay }
    }

    func session(_ session: Session, received frame: ByteBuffer) {
        session.completed(frameSizeBytes: frame.readableBytes)
        guard let (number, _, request) = try? Request.decode(frame, parameters: parameters) else { return }
        if case .commit(let commit) = request {
            state.withLock { $0.seenCertificates[commit.certificate.timestamp] = commit.certificate }
            if chosenLie() == .acknowledgesWithoutStoring {
                state.withLock { $0.lieCount += 1 }
                send(.committed(commit.certificate.timestamp, needsDescriptor: false), number, to: session)
                return
            }
        }
        state.withLock { $0.relays[ObjectIdentifier(session)] }?.forward(frame, number: number, request: request)
    }

    func sessionClosed(_ session: Session, error: TransportError?) {
        state.withLock { $0.relays.removeValue(forKey: ObjectIdentifier(session)) }?.close()
    }

    private func send(_ reply: Reply, _ number: UInt64, to session: Session) {
        session.send(OutboundFrame(reply.encoded(request: number)))
    }

    // MARK: Lies

    private func chosenLie() -> Lie {
        state.withLock { state in
            guard state.lie == .everything else { return state.lie }
            return Lie.allCases.filter { $0 != .everything }.randomElement(using: &state.generator)!
        }
    }

    private func answer(_ session: Session, _ frame: ByteBuffer, _ request: Request) {
        guard let (number, reply) = try? Reply.decode(frame, parameters: parameters) else { return }
        let lie = chosenLie()
        let bent = state.withLock { state in
            state.lieCount += 1
            if case .version(_, let parts?) = reply, state.someParts.count < 16 { state.someParts.append(parts) }
            return bend(reply, lie, request, &state)
        }
        switch lie {
        case .silence:
            return
        case .disconnects:
            session.close(grace: .milliseconds(1))
        case .randomBytes:
            let bytes = state.withLock { state in
                let count = Int.random(in: 1...2000, using: &state.generator)
                return state.generator.bytes(count).array
            }
            session.send(OutboundFrame(head: ByteBuffer(bytes: bytes)))
        case .mutatedBytes:
            let bytes = state.withLock { Mutation.flipped(Array(buffer: frame), &$0.generator) }
            session.send(OutboundFrame(head: ByteBuffer(bytes: bytes)))
        case .truncatedBytes:
            let count = state.withLock { Int.random(in: 1...frame.readableBytes, using: &$0.generator) }
            session.send(OutboundFrame(head: ByteBuffer(bytes: Array(buffer: frame).prefix(count))))
        case .otherNumbers:
            let other = state.withLock { UInt64.random(in: 1...number &+ 3, using: &$0.generator) }
            send(bent, other, to: session)
        case .repeated:
            for _ in 0..<3 { send(bent, number, to: session) }
        default:
            send(bent, number, to: session)
        }
    }

    /// The true answer, bent within what can be encoded.
    private func bend(_ reply: Reply, _ lie: Lie, _ request: Request, _ state: inout State) -> Reply {
        switch lie {
        case .wrongType:
            return .committed(inflated(nil, &state), needsDescriptor: true)
        case .refusals:
            return .refused(
                [.storageFull, .storageFailed, .busy, .digestMismatch, .justificationRequired(committedCounter: .max)]
                    .randomElement(using: &state.generator)!)
        case .answersFromThePast:
            let question = "\(request.kind) \(request.key)"
            if let first = state.firstReplies[question] { return first }
            state.firstReplies[question] = reply
            return reply
        default:
            break
        }
        switch (lie, reply) {
        case (.forgetsEverything, .timestamp): return .timestamp(CommittedClaim(certificate: nil))
        case (.forgetsEverything, .version): return .version(CommittedClaim(certificate: nil), nil)
        case (.forgetsEverything, .certificate): return .certificate(CommittedClaim(certificate: nil), nil)
        case (.inflatedClaims, .timestamp(let claim)):
            return .timestamp(inflated(claim, &state))
        case (.inflatedClaims, .version(let claim, let parts)):
            return .version(inflated(claim, &state), parts)
        case (.inflatedClaims, .prepared(let statement, let committed)):
            return .prepared(statement, committed: inflated(committed, &state))
        case (.inflatedClaims, .committed(let timestamp, let needsDescriptor)):
            return .committed(inflated(timestamp, &state), needsDescriptor: needsDescriptor)
        case (.inflatedClaims, .certificate):
            guard case .certificate(_, let timestamp) = request, let promised = state.promisedCertificates[timestamp]
            else { return reply }
            return .certificate(CommittedClaim(certificate: promised), promised)
        case (.garbageFragments, .version(let claim, let parts?)):
            let fragments = parts.fragments?.map { state.generator.bytes($0.count) }
            return .version(
                claim,
                HeldParts(
                    timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                    fragments: fragments))
        case (.partsOfOtherObjects, .version(let claim, let parts?)):
            let other = state.someParts.randomElement(using: &state.generator) ?? parts
            return .version(
                claim,
                Bool.random(using: &state.generator)
                    ? other
                    : HeldParts(
                        timestamp: parts.timestamp, position: parts.position, descriptor: other.descriptor,
                        fragments: other.fragments))
        case (.invalidSignatures, .prepared(let statement, let committed)):
            return .prepared(
                bent(statement, signature: Mutation.flipped(statement.signature, &state.generator)),
                committed: committed)
        case (.invalidSignatures, .timestamp(let claim)):
            return .timestamp(misnamed(claim, &state))
        case (.invalidSignatures, .version(let claim, let parts)):
            return .version(misnamed(claim, &state), parts)
        case (.invalidSignatures, .certificate(_, let certificate?)):
            let forged = forged(certificate, &state)
            return .certificate(CommittedClaim(certificate: forged), forged)
        case (.statementsOfOthers, .prepared(let statement, let committed)):
            let others = parameters.configuration.nodes.map(\.id).filter { $0 != home.node }
            return .prepared(
                bent(statement, node: others.randomElement(using: &state.generator)!), committed: committed)
        default:
            return reply
        }
    }

    private func inflated(_ timestamp: Timestamp?, _ state: inout State) -> Timestamp {
        let rise = UInt64.random(in: 1...(.max - (timestamp?.counter ?? 0)), using: &state.generator)
        return Timestamp(
            counter: (timestamp?.counter ?? 0) + rise,
            writer: timestamp?.writer ?? ClientID(high: state.generator.next(), low: state.generator.next()),
            digest: timestamp?.digest ?? Digest256.sha256(state.generator.bytes(8)))
    }

    /// A version that there is not, by a certificate made of one that there is, which it shows when it is asked for it.
    private func inflated(_ claim: CommittedClaim, _ state: inout State) -> CommittedClaim {
        let genuine = claim.timestamp.flatMap { state.seenCertificates[$0] }
        let promised = Certificate(
            epoch: parameters.configuration.epoch, group: parameters.configuration.groups[0].id,
            timestamp: inflated(claim.timestamp, &state), statements: genuine?.statements ?? [])
        state.promisedCertificates[promised.timestamp] = promised
        return CommittedClaim(certificate: promised)
    }

    /// The true version, by the digest of no certificate.
    private func misnamed(_ claim: CommittedClaim, _ state: inout State) -> CommittedClaim {
        let digest = Digest256.sha256(state.generator.bytes(8))
        return CommittedClaim(sound: claim.timestamp.map { ClaimedVersion($0, certificateDigest: digest) })
    }

    private func forged(_ certificate: Certificate, _ state: inout State) -> Certificate {
        Certificate(
            epoch: certificate.epoch, group: certificate.group, timestamp: certificate.timestamp,
            statements: certificate.statements.map {
                bent($0, signature: Mutation.flipped($0.signature, &state.generator))
            })
    }

    private func bent(
        _ statement: SignedStatement, node: NodeID? = nil, signature: [UInt8]? = nil
    ) -> SignedStatement {
        SignedStatement(
            node: node ?? statement.node, incarnation: statement.incarnation, claim: statement.claim,
            leafIndex: statement.leafIndex, leafCount: statement.leafCount, path: statement.path,
            signature: signature ?? statement.signature)
    }
}

/// A client's way through the impostor to the true server.
private final class Relay: Sendable {
    private struct State {
        var connection: PeerConnection?
        var waiting: [ByteBuffer] = []
        var requests: [UInt64: Request] = [:]
    }

    private let state = Mutex(State())

    init(
        to port: Int, home: ServerHome, as identity: TransportIdentity, group: any EventLoopGroup,
        answer: @escaping @Sendable (ByteBuffer, Request) -> Void
    ) throws {
        let configuration = PeerConnectionConfiguration(
            serverNumber: home.node.rawValue, host: home.entry.host, port: port, expectedPin: home.entry.pin,
            scope: home.cluster.scope, limits: ConnectionLimits(home.cluster.parameters))
        let connection = try PeerConnection(
            configuration, identity: identity, eventLoop: group.next(), logger: .silent
        ) { [weak self] event in
            switch event {
            case .connected: self?.flush()
            case .frame(let frame):
                let number = frame.getInteger(at: frame.readerIndex + 1, as: UInt64.self)
                if let number, let request = self?.state.withLock({ $0.requests[number] }) { answer(frame, request) }
            case .disconnected: break
            }
        }
        state.withLock { $0.connection = connection }
        connection.start()
    }

    func forward(_ frame: ByteBuffer, number: UInt64, request: Request) {
        state.withLock { state in
            state.requests[number] = request
            state.waiting.append(frame)
        }
        flush()
    }

    private func flush() {
        state.withLock { state in
            guard let connection = state.connection, connection.state == .connected else { return }
            for frame in state.waiting { connection.send(OutboundFrame(head: frame)) }
            state.waiting = []
        }
    }

    func close() {
        state.withLock { $0.connection }?.close()
    }
}

extension Request {
    /// The name of the kind of question.
    var kind: String {
        switch self {
        case .readTimestamp: "timestamp"
        case .prepare: "prepare"
        case .commit: "commit"
        case .read: "read"
        case .certificate: "certificate"
        case .describe: "describe"
        case .stage: "stage"
        case .discard: "discard"
        case .fetch: "fetch"
        case .listHeld: "listHeld"
        case .restate: "restate"
        }
    }
}

extension Logger {
    /// A log that nobody reads.
    static var silent: Logger { Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() } }
}

/// Damage to bytes.
enum Mutation {
    /// The bytes with some of their bits turned.
    static func flipped(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        guard !bytes.isEmpty else { return bytes }
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        }
        return bytes
    }

    /// The bytes cut, lengthened, turned, overwritten or replaced.
    static func any(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0:
            return Array(bytes.prefix(Int.random(in: 1...max(1, bytes.count), using: &generator)))
        case 1:
            return bytes + generator.bytes(Int.random(in: 1...64, using: &generator)).array
        case 2:
            return generator.bytes(Int.random(in: 1...512, using: &generator)).array
        case 3:
            // A length or count field with an extreme value.
            var bytes = bytes
            let width = min([1, 2, 4, 8].randomElement(using: &generator)!, bytes.count)
            let start = Int.random(in: 0...(bytes.count - width), using: &generator)
            let value: UInt8 = Bool.random(using: &generator) ? 0xff : 0
            for offset in start..<(start + width) { bytes[offset] = value }
            return bytes
        case 4:
            // Two places exchanged.
            var bytes = bytes
            bytes.swapAt(
                Int.random(in: 0..<bytes.count, using: &generator), Int.random(in: 0..<bytes.count, using: &generator))
            return bytes
        case 5:
            var bytes = bytes
            let start = Int.random(in: 0..<bytes.count, using: &generator)
            let end = min(bytes.count, start + Int.random(in: 1...16, using: &generator))
            bytes.removeSubrange(start..<end)
            return bytes.isEmpty ? [0] : bytes
        default:
            return flipped(bytes, &generator)
        }
    }
}
