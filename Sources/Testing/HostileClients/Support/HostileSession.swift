// A client's session that is used as no correct client would: frames of any bytes, left open, with answers left unread.

import ClusterFiles
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// One connection to one server, past TLS and HELLO. Methods may be called from any thread.
final class HostileSession: Sendable {
    private struct State {
        var isOpen = true
        var nextNumber: UInt64 = 1
        /// Requests without an answer.
        var unanswered = 0
        var awaited: [UInt64: CheckedContinuation<Reply, any Error>] = [:]
        var waitingForRoom: [(limit: Int, continuation: CheckedContinuation<Void, any Error>)] = []
    }

    let server: ServerEntry
    private let attacker: Attacker
    private let channel: any Channel
    private let state = Mutex(State())

    private static let handshakeTimeout = TimeAmount.seconds(5)
    private static let answerTimeout = TimeAmount.seconds(10)

    /// Connects, and returns when the server's HELLO has come.
    ///
    /// - Throws: whatever keeps it from becoming a session, the task's cancellation among it.
    static func open(to server: ServerEntry, by attacker: Attacker) async throws -> HostileSession {
        try await attacker.waitForTurn(at: server.node)
        attacker.tally.count { $0.connections += 1 }
        let eventLoop = attacker.group.next()
        let greeted = eventLoop.makePromise(of: Void.self)
        let timer = eventLoop.scheduleTask(in: handshakeTimeout) {
            greeted.fail(ChannelError.connectTimeout(handshakeTimeout))
        }
        defer { timer.cancel() }
        let expected = server.pin
        let handlers = NIOLoopBoundBox<SessionHandler?>.makeEmptyBox(eventLoop: eventLoop)
        let connected = ClientBootstrap(group: eventLoop)
            .connectTimeout(.seconds(2))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try NIOSSLClientHandler(context: attacker.tls, serverHostname: nil) { chain, promise in
                        let bytes = (try? chain.first?.toDERBytes()) ?? []
                        promise.succeed(
                            CertificatePin(derCertificate: bytes) == expected ? .certificateVerified : .failed)
                    }
                    let handler = SessionHandler(attacker: attacker, greeted: greeted)
                    handlers.value = handler
                    try channel.pipeline.syncOperations.addHandlers([tls, handler])
                }
            }
            .connect(host: server.host, port: server.port)
        connected.whenFailure { greeted.fail($0) }
        do {
            try await withTaskCancellationHandler {
                try await greeted.futureResult.get()
            } onCancel: {
                greeted.fail(CancellationError())
            }
        } catch {
            connected.whenSuccess { $0.close(promise: nil) }
            if !Task.isCancelled { attacker.tally.count { $0.endedByServer += 1 } }
            throw error
        }
        let channel = try await connected.get()
        let session = HostileSession(server: server, attacker: attacker, channel: channel)
        try await eventLoop.submit {
            handlers.value?.session = session
            // It may have ended before anybody could be told.
            if !channel.isActive { session.closedByServer() }
        }.get()
        attacker.tally.count { $0.sessions += 1 }
        return session
    }

    private init(server: ServerEntry, attacker: Attacker, channel: any Channel) {
        self.server = server
        self.attacker = attacker
        self.channel = channel
    }

    // MARK: Sending

    /// A request as a frame, to be sent as often as one likes.
    func frame(_ request: Request) -> ByteBuffer {
        let number = state.withLock { state in
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
        return frame(request, number: number)
    }

    private func frame(_ request: Request, number: UInt64) -> ByteBuffer {
        let message = request.encoded(
            request: number, to: attacker.parameters.placement(of: request.key).route)
        var frame = channel.allocator.buffer(capacity: FrameFormat.headerSizeBytes + message.sizeBytes)
        frame.writeInteger(UInt32(message.sizeBytes), endianness: .little)
        frame.writeBytes(message.head)
        for fragment in message.fragments { _ = fragment.withUnsafeBytes { frame.writeBytes($0) } }
        return frame
    }

    /// Sends a request's frame once fewer than `limit` requests are without an answer, and returns when the socket has
    /// it.
    ///
    /// - Throws: `AttackError.sessionEnded`.
    func send(_ frame: ByteBuffer, unansweredMax limit: Int) async throws {
        try await attacker.waitForTurn(at: server.node)
        try await waitForRoom(limit)
        state.withLock { $0.unanswered += 1 }
        try await write(frame)
        attacker.tally.count { $0.requests += 1 }
    }

    func send(_ request: Request, unansweredMax limit: Int) async throws {
        try await send(frame(request), unansweredMax: limit)
    }

    /// Sends a request and returns its answer, however many are without one.
    ///
    /// - Throws: `AttackError.sessionEnded`, also when no answer has come within `answerTimeout`: the session is ended
    ///   then, so that what prepares an attack is tried anew rather than waited for without end.
    func ask(_ request: Request) async throws -> Reply {
        let number = state.withLock { state in
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
        let frame = frame(request, number: number)
        let timer = channel.eventLoop.scheduleTask(in: Self.answerTimeout) { self.abandon() }
        defer { timer.cancel() }
        return try await withCheckedThrowingContinuation { continuation in
            let isOpen = state.withLock { state in
                guard state.isOpen else { return false }
                state.awaited[number] = continuation
                state.unanswered += 1
                return true
            }
            guard isOpen else { return continuation.resume(throwing: ended) }
            attacker.tally.count {
                $0.requests += 1
                $0.sentBytes += UInt64(frame.readableBytes)
            }
            channel.writeAndFlush(frame, promise: nil)
        }
    }

    /// The certificate of what the server has committed of an object; nil when that is nothing.
    func committed(_ key: ObjectKey) async throws -> Certificate? {
        guard case .timestamp(let claim) = try await ask(.readTimestamp(key)), let timestamp = claim.timestamp,
            case .certificate(_, let certificate) = try await ask(.certificate(key, timestamp))
        else { return nil }
        return certificate
    }

    /// Sends any bytes, and returns when the socket has them.
    func write(_ bytes: ByteBuffer) async throws {
        attacker.tally.count { $0.sentBytes += UInt64(bytes.readableBytes) }
        try await channel.writeAndFlush(bytes).get()
    }

    /// From now on nothing is taken from the socket.
    func stopReading() async throws {
        try await channel.setOption(.autoRead, value: false).get()
    }

    /// Returns when every request has its answer.
    func waitForAnswers() async throws { try await waitForRoom(1) }

    private func waitForRoom(_ limit: Int) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            enum Verdict { case goOn, wait, end }
            let verdict = state.withLock { state -> Verdict in
                guard state.isOpen else { return .end }
                guard state.unanswered >= limit else { return .goOn }
                state.waitingForRoom.append((limit, continuation))
                return .wait
            }
            switch verdict {
            case .goOn: continuation.resume()
            case .end: continuation.resume(throwing: ended)
            case .wait: break
            }
        }
    }

    private var ended: AttackError { .sessionEnded(server: server.node.rawValue) }

    // MARK: Ending

    /// Returns when the server has ended the session, or somebody here has.
    func waitForEnd() async {
        try? await channel.closeFuture.get()
    }

    /// Ends the session, and returns when it is gone.
    func close() async {
        abandon()
        await waitForEnd()
    }

    /// Ends the session as soon as may be.
    func abandon() {
        finish()
        channel.close(promise: nil)
    }

    /// Whether this was the first time.
    @discardableResult
    private func finish() -> Bool {
        let (isFirst, awaited, waiting) = state.withLock { state in
            defer {
                state.isOpen = false
                state.awaited = [:]
                state.waitingForRoom = []
            }
            return (state.isOpen, state.awaited.values.map { $0 }, state.waitingForRoom)
        }
        for continuation in awaited { continuation.resume(throwing: ended) }
        for (_, continuation) in waiting { continuation.resume(throwing: ended) }
        return isFirst
    }

    // MARK: What comes in

    fileprivate func closedByServer() {
        if finish() { attacker.tally.count { $0.endedByServer += 1 } }
    }

    fileprivate func received(_ frame: ByteBuffer) {
        let decoded = try? Reply.decode(frame, parameters: attacker.parameters)
        attacker.tally.count { counters in
            counters.receivedBytes += UInt64(frame.readableBytes)
            counters.answers[decoded?.reply.name ?? "other", default: 0] += 1
        }
        let (awaited, free) = state.withLock { state in
            state.unanswered -= min(1, state.unanswered)
            var free: CheckedContinuation<Void, any Error>?
            if let index = state.waitingForRoom.firstIndex(where: { $0.limit > state.unanswered }) {
                free = state.waitingForRoom.remove(at: index).continuation
            }
            return (decoded.flatMap { state.awaited.removeValue(forKey: $0.number) }, free)
        }
        if let decoded { awaited?.resume(returning: decoded.reply) }
        free?.resume()
    }
}

/// The handler above TLS: says HELLO, and cuts what comes in into frames.
private final class SessionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let attacker: Attacker
    private let greeted: EventLoopPromise<Void>
    private var isGreeted = false
    private var decoder: FrameDecoder
    var session: HostileSession?

    init(attacker: Attacker, greeted: EventLoopPromise<Void>) {
        self.attacker = attacker
        self.greeted = greeted
        decoder = FrameDecoder(limitBytes: WireLimits.frameSizeBytesMax(attacker.parameters))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case TLSUserEvent.handshakeCompleted = event else {
            return context.fireUserInboundEventTriggered(event)
        }
        let payload = Greeting.hello(version: Greeting.currentVersion, attacker.home.cluster.scope).encoded()
        var frame = ByteBuffer()
        frame.writeInteger(UInt32(payload.readableBytes), endianness: .little)
        frame.writeImmutableBuffer(payload)
        context.writeAndFlush(NIOAny(frame), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var chunk = unwrapInboundIn(data)
        do {
            while let frame = try decoder.next(from: &chunk) {
                if isGreeted {
                    session?.received(frame)
                } else if case .hello? = Greeting(decoding: frame) {
                    isGreeted = true
                    greeted.succeed()
                } else {
                    context.close(promise: nil)
                }
            }
        } catch {
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        greeted.fail(ChannelError.eof)
        session?.closedByServer()
        session = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension Reply {
    /// The name in counts: the message's, or the reason of a refusal.
    fileprivate var name: String {
        switch self {
        case .timestamp: "timestamp"
        case .prepared: "prepared"
        case .committed: "committed"
        case .staged: "staged"
        case .discarded: "discarded"
        case .fetched: "fetched"
        case .held: "held"
        case .version: "version"
        case .certificate: "certificate"
        case .refused(let refusal): refusal.name
        }
    }
}
