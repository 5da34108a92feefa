// The client library: objects in and out of a cluster of which f servers may lie.

import ClusterFiles
import ErasureCode
import Fingerprint
import Glibc
import Logging
import NIOCore
import NIOPosix
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// A client of one cluster. Its methods may be called concurrently; each operation is atomic (linearizable) for its
/// object, whatever other clients and up to f servers do (docs/protocol.md, Promises).
///
/// Two writes of one client to one object take their turns: the protocol allows a client one write per object at a
/// time.
public final class ObjectClient: Sendable {
    /// The client's name in timestamps.
    public let id: ClientID
    /// The cluster's fault model, code and limits.
    public let parameters: ClusterParameters

    let context: OperationContext
    private static let doubtsUnderWayMax = 16
    private let doubtsUnderWay = Mutex(0)
    let readHedge: HedgeTime
    let stageHedge: HedgeTime
    let stripesInFlight: Int
    let stallTime: TimeAmount
    let uploadMemory: MemoryShares
    private let writeHedge: HedgeTime
    let demotionTime: TimeAmount
    private let writesPartially: Bool
    /// Nil when writes do not ask whether their bucket exists.
    let knownBuckets: KnownBuckets?
    /// The rights that the access list of the client's home gives it.
    let grants: [Grant]
    private let readsInOneRound: Bool
    private let group: MultiThreadedEventLoopGroup
    private let turns = WriteTurns()
    private let remembered: RememberedCertificates
    private let liars: KnownLiars
    private let isClosed = Mutex(false)
    let instruments: ClientInstruments

    /// A client that connects to a server when it first needs it.
    ///
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    public init(home: ClientHome, options: ClientOptions = ClientOptions(), logger: Logger? = nil) throws(ClientError) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: options.eventLoopCount)
        let logger = logger ?? Logger(label: "solidus.client") { _ in SwiftLogNoOpLogHandler() }
        let verifier = StatementVerifier(
            history: home.cluster.parameters.history, keys: home.cluster.statementKeys,
            remembersChecks: options.remembersChecks)
        let connections: ServerConnections
        do {
            connections = try ServerConnections(
                cluster: home.cluster, identity: home.identity, group: group, logger: logger,
                learned: { verifier.learn(history: $0.parameters.history, keys: $0.statementKeys) })
        } catch {
            group.shutdownGracefully { _ in }
            throw .identity(error.description)
        }
        let workers = NIOThreadPool(numberOfThreads: options.workerCount)
        workers.start()
        id = home.id
        parameters = home.cluster.parameters
        self.group = group
        remembered = RememberedCertificates(countMax: options.rememberedObjectCount)
        liars = KnownLiars()
        demotionTime = .milliseconds(Int64(options.demotionMilliseconds))
        readHedge = HedgeTime(leastMilliseconds: options.hedgeMilliseconds)
        writeHedge = HedgeTime(leastMilliseconds: options.hedgeMilliseconds)
        stageHedge = HedgeTime(leastMilliseconds: options.stageHedgeMilliseconds)
        stripesInFlight = max(1, options.stripesInFlight)
        stallTime = .milliseconds(Int64(max(1, options.stallMilliseconds)))
        uploadMemory = MemoryShares(sizeBytes: options.uploadMemoryBytes)
        writesPartially = options.writesPartially
        knownBuckets = options.checksBuckets ? KnownBuckets() : nil
        grants = home.cluster.lists.access.contents.client(named: home.name)?.grants ?? []
        readsInOneRound = options.readsInOneRound
        instruments = ClientInstruments(options)
        context = OperationContext(
            parameters: home.cluster.parameters,
            patience: OperationPatience(
                timeoutMilliseconds: options.timeoutMilliseconds,
                retransmitMilliseconds: options.retransmitMilliseconds),
            connections: connections,
            verifier: verifier,
            eventLoop: group.any(), workers: workers)
    }

    /// How long `close` lets the slower servers take what finished operations sent them.
    private static let lingerMilliseconds = 500

    /// Closes the connections; operations under way fail. Must be called before the client is let go.
    ///
    /// What finished writes still have to send to the servers beyond the quorum is sent first, within half a second, so
    /// that a short-lived client leaves no server behind.
    public func close() async {
        guard
            isClosed.withLock({ isClosed in
                defer { isClosed = true }
                return !isClosed
            })
        else { return }
        for _ in 0..<(Self.lingerMilliseconds / 5) where context.connections.hasQueuedRequests {
            try? await Task.sleep(for: .milliseconds(5))
        }
        context.connections.close()
        try? await context.workers.shutdownGracefully()
        try? await group.shutdownGracefully()
    }

    /// Bytes that crossed this client's sockets so far, TLS included.
    package var trafficBytes: (sent: UInt64, received: UInt64) { context.connections.trafficBytes }

    /// The servers of an object that cannot be reached now, though nothing that was done needed them.
    package func unreachableServers(of key: ObjectKey) -> [ServerTrouble] {
        context.connections.unreachable(at: parameters.placement(of: key))
    }

    /// The servers that operations under way have asked and not heard of, and how things stand with each.
    package var waitedFor: [ServerTrouble] { context.connections.waitedForTroubles }

    /// The cluster as far as this client knows it by now.
    package var cluster: ClusterDescription { context.connections.cluster }

    /// Whether finished writes still have something to send to the servers beyond the quorum.
    package var hasQueuedRequests: Bool { context.connections.hasQueuedRequests }

    /// Stores a value as the object's new version. One that is not in memory is better taken piece by piece, by
    /// `put(_:lengthBytes:metadata:progress:seal:from:)`.
    ///
    /// - Throws: `.valueTooLarge`, `.invalidMetadata`, `.reservedKey`, `.noBucket` where the options say that it is asked,
    ///   `.unavailable`, `.refused`, `.cancelled`, `.closed`. After `.unavailable` the write may yet take effect if its
    ///   failure says so.
    @discardableResult
    public func put(
        _ key: ObjectKey, _ value: SharedBytes, metadata: ObjectMetadata = ObjectMetadata()
    ) async throws(ClientError) -> PutResult {
        try await measure(
            .put, .object(key), facts: { OperationFacts($0, valueBytes: UInt64(value.count)) }
        ) { () throws(ClientError) in
            if value.count > parameters.limits.stripeSizeBytesMax {
                return try await putStriped(key, value, metadata: metadata)
            }
            let metadata = try validated(metadata, of: key)
            try await checkBucket(of: key)
            return try await write(key, .value(value, metadata, salt: .random()))
        }
    }

    /// With the time of now, if it has none.
    func validated(_ metadata: ObjectMetadata, of key: ObjectKey) throws(ClientError) -> ObjectMetadata {
        var metadata = metadata
        if metadata.modifiedMilliseconds == 0 { metadata.modifiedMilliseconds = Self.currentMilliseconds() }
        do {
            try metadata.validate()
        } catch {
            throw .invalidMetadata(key, error)
        }
        return metadata
    }

    /// Deletes the object by writing a tombstone. Reads first, and writes nothing where there is nothing: a tombstone
    /// takes space, too. The read and the write have the client's whole time each.
    ///
    /// - Returns: What was written, in the write's rounds; nil when there was no object.
    /// - Throws: as `put`.
    @discardableResult
    public func delete(_ key: ObjectKey) async throws(ClientError) -> PutResult? {
        try await measure(
            .delete, .object(key), facts: { $0.map { OperationFacts($0) } ?? OperationFacts() }
        ) { () throws(ClientError) in
            guard key.reservation == nil else { throw .reservedKey(key) }
            do throws(ClientError) {
                _ = try await read(key, wantsValue: false)
            } catch .notFound {
                return nil
            } catch .unavailable(_, .tooFewFragments, _) {
                // In the modes that verify later it takes the fragments to read anything. What has lost them is there.
            }
            return try await writeTombstone(key)
        }
    }

    /// Writes a tombstone whatever there is: it stands above versions that were begun and never committed, too.
    ///
    /// - Throws: as `put`.
    package func writeTombstone(_ key: ObjectKey) async throws(ClientError) -> PutResult {
        try await write(key, .deletion(modifiedMilliseconds: Self.currentMilliseconds()))
    }

    /// Reads the object's value.
    ///
    /// - Throws: `.notFound`, `.unavailable`, `.refused`, `.cancelled`, `.closed`.
    public func get(_ key: ObjectKey) async throws(ClientError) -> StoredObject {
        try await measure(
            .get, .object(key), facts: { OperationFacts($0.status, valueBytes: UInt64($0.value.count)) }
        ) { () throws(ClientError) in
            try await rereading { () throws(ClientError) in
                let (status, descriptor, stripes) = try await read(key, wantsValue: true)
                if let staged = descriptor.staged {
                    let pieces = PieceReader(
                        staged, key: key, timestamp: status.timestamp, isCurrent: true,
                        range: 0..<staged.lengthBytes, client: self)
                    do throws(ClientError) {
                        return StoredObject(value: Self.joined(try await pieces.rest()), status: status)
                    } catch .closed where Task.isCancelled {
                        throw cancellation(of: key)
                    }
                }
                return StoredObject(value: Self.decode(stripes, of: descriptor), status: status)
            }
        }
    }

    private static let rereadingsMax = 8

    /// Reads, and reads again what was overwritten meanwhile.
    package func rereading<Value>(
        _ body: () async throws(ClientError) -> Value
    ) async throws(ClientError) -> Value {
        var left = Self.rereadingsMax
        while true {
            do throws(ClientError) {
                return try await body()
            } catch .overwritten where left > 0 {
                left -= 1
            }
        }
    }

    /// The value whose fragments came with its descriptor.
    static func decode(_ stripes: [[VerifiedFragment]], of descriptor: Descriptor) -> SharedBytes {
        joined(
            zip(descriptor.stripes, stripes).map { stripe, fragments in
                do {
                    return try stripe.decode(fragments)
                } catch {
                    preconditionFailure("m verified fragments of one stripe do not decode: \(error)")
                }
            })
    }

    /// Reads what is to know of the object beside its bytes.
    ///
    /// - Throws: as `get`.
    public func head(_ key: ObjectKey) async throws(ClientError) -> ObjectStatus {
        try await measure(.head, .object(key), facts: { OperationFacts($0) }) { () throws(ClientError) in
            try await read(key, wantsValue: false).status
        }
    }
}

// MARK: - Writing

extension ObjectClient {
    /// Writes a version. By itself this counts as the operation that it completes.
    func write(_ key: ObjectKey, _ content: WriteContent) async throws(ClientError) -> PutResult {
        var operation = ClientOperation.put
        if case .deletion = content { operation = .delete }
        return try await measure(operation, .object(key), facts: { OperationFacts($0) }) { () throws(ClientError) in
            try await writeInTurn(key, content)
        }
    }

    private func writeInTurn(_ key: ObjectKey, _ content: WriteContent) async throws(ClientError) -> PutResult {
        try checkOpen()
        // Waiting for a turn is part of the operation's time, so that a queue of writes that cannot succeed fails
        // together.
        let deadline = context.deadline
        guard await turns.take(key) else {
            throw error(
                key,
                .unavailable(
                    .readTimestamp, answered: [], need: parameters.quorums.quorum, observations: ServerObservations()))
        }
        let writer = Writer(
            parameters: parameters, key: key, writer: id, content: content, remembered: remembered.take(key),
            spares: spares(for: key), distrusted: liars.positions(parameters.placement(of: key)))
        let operation = Operation(
            writer, key: key, deadline: deadline, progress: content.isLong || readsLong ? context.progress : nil,
            hedge: writeHedge, context: context)
        let result = await operation.run()
        defer { turns.give(key) }
        switch result {
        case .success(let outcome):
            demote(outcome.observations)
            remembered.put(outcome.proof)
            return PutResult(
                key: key, timestamp: outcome.timestamp, rounds: outcome.rounds,
                durableAt: outcome.certificate.statements.map(\.node), observations: outcome.observations)
        case .failure(let failure):
            throw error(key, failure, operation.seenReplies)
        }
    }
}

extension ObjectClient {
    /// The servers that a write leaves without fragments if it can. It cannot when one of the others was found wanting
    /// just now: waiting for that one again would cost more than the spares' fragments do.
    private func spares(for key: ObjectKey) -> [Position] {
        guard writesPartially else { return [] }
        let spares = parameters.quorums.spares
        let others = parameters.placement(of: key).nodes.dropLast(spares.count)
        return others.contains(where: context.connections.isDemoted) ? [] : spares
    }
}

// MARK: - Reading

extension ObjectClient {
    /// Reads a version, its value too if that came with it. By itself this is what opens an object.
    func read(
        _ key: ObjectKey, wantsValue: Bool
    ) async throws(ClientError) -> (status: ObjectStatus, descriptor: Descriptor, stripes: [[VerifiedFragment]]) {
        try await measure(.open, .object(key), facts: { OperationFacts($0.status) }) { () throws(ClientError) in
            let outcome = try await find(key, wantsValue: wantsValue)
            guard case .version(_, let sealed, let stripes) = outcome.found,
                let status = ObjectStatus(key, outcome, at: parameters.placement(of: key))
            else { throw .notFound(key) }
            return (status, sealed.descriptor, stripes)
        }
    }

    /// Whether it may take all of a large value to know which version is the highest.
    private var readsLong: Bool { parameters.mode.verifiesLater }

    /// What a read finds, be it nothing.
    ///
    /// - Parameter knownUpTo: when not nil, servers that name nothing higher are waited for, too, for some time.
    /// - Throws: as `get`, but `.notFound`.
    func find(
        _ key: ObjectKey, wantsValue: Bool, knownUpTo: Timestamp? = nil
    ) async throws(ClientError) -> ReadOutcome {
        try checkOpen()
        let reader = Reader(
            parameters: parameters, key: key, wantsValue: wantsValue,
            preference: context.connections.preference(parameters.placement(of: key)),
            thoroughReminders: knownUpTo.map { _ in Self.thoroughReminders }, thoroughUpTo: knownUpTo,
            alwaysWritesBack: !readsInOneRound)
        let operation = Operation(
            reader, key: key, deadline: context.deadline,
            progress: wantsValue || readsLong ? context.progress : nil, hedge: readHedge, context: context)
        switch await operation.run() {
        case .success(let outcome):
            demote(outcome.observations)
            if let timestamp = outcome.found.timestamp {
                doubt(outcome.observations, AuditDoubt(key: key, .ofVersion(timestamp, 0)))
            }
            return outcome
        case .failure(let failure):
            throw error(key, failure, operation.seenReplies)
        }
    }

    private static let thoroughReminders = 2

    /// Whether the object has a higher version than the one whose bytes are not to be had, be it one that few servers
    /// know. It is written back then, and found by whoever reads next.
    func hasHigher(than timestamp: Timestamp, of key: ObjectKey) async -> Bool {
        guard let outcome = try? await find(key, wantsValue: false, knownUpTo: timestamp) else { return false }
        return timestamp.precedes(outcome.found.timestamp)
    }

    package static func joined(_ blocks: [SharedBytes]) -> SharedBytes {
        if blocks.count <= 1 { return blocks.first ?? SharedBytes() }
        return SharedBytes(count: blocks.reduce(0) { $0 + $1.count }) { target in
            var offset = 0
            for block in blocks {
                block.withUnsafeBytes { target[offset...].copyBytes(from: $0) }
                offset += block.count
            }
        }
    }
}

extension ObjectStatus {
    /// Nil when nothing was found, or a tombstone.
    init?(_ key: ObjectKey, _ outcome: ReadOutcome, at placement: Placement) {
        guard case .version(let timestamp, let sealed, _) = outcome.found else { return nil }
        let descriptor = sealed.descriptor
        self.init(
            key: key, lengthBytes: descriptor.lengthBytes, timestamp: timestamp, metadata: descriptor.metadata,
            layout: ObjectLayout(descriptor, at: placement),
            rounds: outcome.rounds, observations: outcome.observations)
    }
}

// MARK: - Failure

extension ObjectClient {
    func checkOpen() throws(ClientError) {
        if isClosed.withLock({ $0 }) { throw .closed }
    }

    /// Servers that misbehaved, refused or kept an operation waiting are asked last for some time.
    func demote(_ observations: ServerObservations) {
        liars.add(observations.liars)
        for (server, _) in observations.misbehaving { context.connections.demote(server, for: demotionTime) }
        for (server, _) in observations.refusing { context.connections.demote(server, for: demotionTime) }
        for server in observations.slow { context.connections.demote(server, for: demotionTime) }
    }

    /// Has servers look at their own fragment that have sent one which is not the version's. Nobody waits for that.
    func doubt(_ observations: ServerObservations, _ doubt: @autoclosure () -> AuditDoubt) {
        let servers = observations.misbehaving.compactMap { server, what -> NodeID? in
            if case .invalidFragment = what { server } else { nil }
        }
        guard !servers.isEmpty else { return }
        let message = AuditMessage.doubt(doubt(), epoch: parameters.configuration.epoch)
        for server in servers {
            // Who never answers is not to have the client remember each of its bad fragments.
            let isTaken = doubtsUnderWay.withLock { count in
                guard count < Self.doubtsUnderWayMax else { return false }
                count += 1
                return true
            }
            guard isTaken else { return }
            Task {
                _ = await PeerQuestion.ask(message, of: server, context)
                doubtsUnderWay.withLock { $0 -= 1 }
            }
        }
    }

    func error(
        _ key: ObjectKey, _ failure: OperationFailure, _ seen: SeenReplies = SeenReplies()
    ) -> ClientError {
        demote(failure.observations)
        if Task.isCancelled { return .cancelled(key, failure) }
        if isClosed.withLock({ $0 }) { return .closed }
        switch failure {
        case .refused:
            return .refused(key, failure)
        case .unavailable(_, let answered, _, let observations):
            let troubles = context.connections.troubles(
                at: parameters.placement(of: key), except: answered, seen: seen,
                observations: observations)
            return .unavailable(key, failure, troubles: troubles)
        case .tooFewFragments(_, _, _, let observations):
            return .unavailable(
                key, failure,
                troubles: context.connections.troubles(
                    at: parameters.placement(of: key), except: Array(seen.withFragments), seen: seen,
                    observations: observations))
        case .timestampExhausted:
            return .unavailable(key, failure, troubles: [])
        }
    }

    /// An error of a transfer, which is told as that of any other operation when its task was cancelled between the
    /// operations that it consists of.
    package func told(_ error: any Error, of key: ObjectKey) -> any Error {
        guard Task.isCancelled else { return error }
        switch error {
        case ClientError.closed, is CancellationError: return cancellation(of: key)
        default: return error
        }
    }

    private func cancellation(of key: ObjectKey) -> ClientError {
        .cancelled(
            key,
            .unavailable(.stage, answered: [], need: parameters.quorums.quorum, observations: ServerObservations()))
    }

    static func currentMilliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
}
