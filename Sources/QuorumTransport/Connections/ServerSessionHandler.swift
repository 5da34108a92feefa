// The server's end of one connection's pipeline, above TLS.
//
// Phases: TLS -> HELLO -> open -> ended. A peer whose certificate is not good passes TLS only to be told so: it gets
// one refusal frame and the phase becomes `ended`, in which every byte that arrives is dropped unread. The same timer
// covers TLS and HELLO, so a silent peer does not outlast it.
//
// Reading stops in two ways, both above TLS: chunks that may not be handed up yet stay in `heldChunks`, and `read`
// events on their way to the socket are held back, so that the peer's bytes pile up on the peer's side. Both end
// through events (`Resumed`, `Drained`) that re-examine the reasons; the reasons are never counted or remembered.
//
// A loop carries many sessions, and much of what a frame asks for is done on it. So a session that has had its turn goes
// on when the loop has looked at the others, however many of its frames are there.

import Logging
import NIOCore
import NIOSSL
import NIOTLS

final class ServerSessionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case tls
        case hello(PeerIdentity, CertificatePin)
        case open(Session)
        case ended(Session?)
    }

    private let endpoint: ServerEndpoint
    private let verdict: PeerVerdict
    private var phase = Phase.tls
    private var decoder = FrameDecoder(limitBytes: FrameFormat.helloLimitBytes)
    private var heldChunks = CircularBuffer<ByteBuffer>()
    /// Bytes of held chunks that the session's account knows of.
    private var heldBytes = 0
    /// The size of the frame that has begun and for which memory was taken; 0 between frames.
    private var openFrameBytes = 0
    private var frameProgress = ProgressClock()
    private var isPumping = false
    private var isReadHeld = false
    private var failure: TransportError?
    private var isClosedByUs = false
    private var timer: Scheduled<Void>?
    private var nextTurn: Scheduled<Void>?
    private var address = "unknown address"
    /// Frames handed up and not counted yet: the counts are shared by all loops, so they are touched once per burst.
    private var uncountedFrames: UInt64 = 0

    /// How long a session may keep its loop at a time, and how long it then leaves it to others. A loop runs all that is
    /// due before it looks at its sockets again, so there has to be a pause.
    private static let turn = TimeAmount.milliseconds(1)
    private static let pause = TimeAmount.microseconds(50)

    init(endpoint: ServerEndpoint, verdict: PeerVerdict) {
        self.endpoint = endpoint
        self.verdict = verdict
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if let remote = context.channel.remoteAddress { address = addressText(remote) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: endpoint.configuration.limits.handshakeTimeout) {
            let (handler, context) = bound.value
            handler.handshakeTimedOut(context: context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        if let nextTurn {
            // What came before the end and only waited for its turn is heard all the same.
            nextTurn.cancel()
            self.nextTurn = nil
            pump(context: context, isLastTurn: true)
        }
        let session: Session? =
            switch phase {
            case .tls, .hello: nil
            case .open(let session): session
            case .ended(let session): session
            }
        if failure == nil, !isClosedByUs, case .open(let session) = phase {
            if decoder.missingBytes > 0 {
                fail(.truncatedFrame(peer: session.peer, missingBytes: decoder.missingBytes))
            } else {
                failure = .connectionLost(peer: session.peer, reason: "the peer closed it")
            }
        }
        phase = .ended(nil)
        heldChunks.removeAll()
        countFrames()
        if let session {
            settle(session)
            session.outbound.abandon()
            session.account.close()
            endpoint.delegate.sessionClosed(session, error: isClosedByUs ? nil : failure)
        }
        context.fireChannelInactive()
    }

    // MARK: TLS and HELLO

    private func handshakeTimedOut(context: ChannelHandlerContext) {
        switch phase {
        case .tls, .hello:
            endpoint.statistics.count { $0.handshakeTimeouts += 1 }
            endpoint.logger.debug("a peer did not finish its handshake", metadata: ["address": "\(address)"])
            phase = .ended(nil)
            context.triggerUserOutboundEvent(AbruptClose(), promise: nil)
        case .open, .ended:
            break
        }
    }

    private func tlsCompleted(context: ChannelHandlerContext) {
        guard case .tls = phase else { return }
        switch verdict.certificate {
        case .valid(let pin):
            guard let identity = endpoint.registry.identity(of: pin) else {
                return refuse(.unknownPeer, context: context)
            }
            phase = .hello(identity, pin)
        case .expired(_, let notAfter):
            refuse(.certificateExpired(notAfter: notAfter), context: context)
        case .notYetValid(_, let notBefore):
            refuse(.certificateNotYetValid(notBefore: notBefore), context: context)
        case .notPinned, .unreadable, nil:
            refuse(.unknownPeer, context: context)
        }
    }

    private func receivedGreeting(
        _ frame: ByteBuffer, identity: PeerIdentity, pin: CertificatePin, context: ChannelHandlerContext
    ) {
        guard case .hello(let version, let scope)? = Greeting(decoding: frame) else {
            return refuse(.malformedHello, context: context)
        }
        let ours = endpoint.scope
        if let objection = Greeting.objection(toVersion: version, peerScope: scope, scope: ours) {
            return refuse(objection, context: context)
        }
        let session = Session(
            identity: identity, pin: pin, peer: "\(identity) at \(address)", channel: context.channel,
            limits: endpoint.configuration.limits, memory: endpoint.configuration.memory,
            statistics: endpoint.statistics)
        if let objection = endpoint.registry.open(session) {
            session.account.close()
            return refuse(objection, context: context)
        }
        timer?.cancel()
        timer = nil
        decoder.limitBytes = endpoint.configuration.limits.maximumFrameSizeBytes
        phase = .open(session)
        // What is announced only now is said all the same: sessions that end because of it are those opened before.
        write(.hello(version: Greeting.currentVersion, endpoint.scope), context: context)
        endpoint.statistics.count { $0.openedSessions += 1 }
        session.outbound.announceDrain()
        endpoint.delegate.sessionOpened(session)
    }

    private func refuse(_ reason: ConnectionRefusal, context: ChannelHandlerContext) {
        endpoint.statistics.count(refusal: reason)
        var metadata: Logger.Metadata = ["address": "\(address)", "reason": "\(reason.name)"]
        if let pin = verdict.certificate?.pin { metadata["certificate"] = "\(pin)" }
        // Strangers are counted only: whoever they are, a log is not theirs to write.
        let level: Logger.Level = reason == .unknownPeer ? .debug : .info
        endpoint.logger.log(level: level, "refused a connection", metadata: metadata)
        phase = .ended(nil)
        heldChunks.removeAll()
        timer?.cancel()
        timer = nil
        write(.refusal(reason), context: context)
        context.close(promise: nil)
    }

    private func write(_ greeting: Greeting, context: ChannelHandlerContext) {
        let payload = greeting.encoded()
        var frame = context.channel.allocator.buffer(capacity: FrameFormat.headerSizeBytes + payload.readableBytes)
        frame.writeInteger(UInt32(payload.readableBytes), endianness: .little)
        frame.writeImmutableBuffer(payload)
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }

    // MARK: Frames

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch phase {
        case .tls, .ended:
            return
        case .open(let session):
            session.outbound.announceDrain()
        case .hello:
            break
        }
        heldChunks.append(unwrapInboundIn(data))
        pump(context: context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .open(let session) = phase { session.outbound.drain() }
        countFrames()
    }

    private func countFrames() {
        guard uncountedFrames > 0 else { return }
        let frames = uncountedFrames
        uncountedFrames = 0
        endpoint.statistics.count { $0.receivedFrames += frames }
    }

    /// Hands up frames while the session's budget, its share of memory and its turn allow.
    private func pump(context: ChannelHandlerContext, isLastTurn: Bool = false) {
        guard !isPumping else { return }
        isPumping = true
        defer {
            isPumping = false
            accountForHeldChunks()
        }
        let turnEnd = NIODeadline.now() + Self.turn
        while !heldChunks.isEmpty {
            if case .open(let session) = phase {
                guard session.admitsFrame() else { return }
                guard isLastTurn || NIODeadline.now() < turnEnd else { return goOnLater(context: context) }
            }
            let frame: ByteBuffer?
            do throws(FramingError) {
                guard try takesMemory(for: &heldChunks[heldChunks.startIndex]) else { return }
                let before = heldChunks[heldChunks.startIndex].readableBytes
                frame = try decoder.next(from: &heldChunks[heldChunks.startIndex])
                frameProgress.moved(before - heldChunks[heldChunks.startIndex].readableBytes)
            } catch {
                return endStream(error, context: context)
            }
            guard let frame else {
                heldChunks.removeFirst()
                continue
            }
            switch phase {
            case .hello(let identity, let pin):
                receivedGreeting(frame, identity: identity, pin: pin, context: context)
            case .open(let session):
                openFrameBytes = 0
                session.admitted(frameSizeBytes: frame.readableBytes)
                uncountedFrames += 1
                endpoint.delegate.session(session, received: frame)
            case .tls, .ended:
                heldChunks.removeAll()
                return
            }
        }
    }

    /// The next turn comes when the loop has looked at its other sessions.
    private func goOnLater(context: ChannelHandlerContext) {
        guard nextTurn == nil else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        nextTurn = context.eventLoop.scheduleTask(in: Self.pause) {
            let (handler, context) = bound.value
            handler.nextTurn = nil
            handler.resume(context: context)
        }
    }

    /// Takes memory for the frame whose header is next, if one is; false when there is none for it.
    private func takesMemory(for chunk: inout ByteBuffer) throws(FramingError) -> Bool {
        guard case .open(let session) = phase, let sizeBytes = try decoder.header(from: &chunk) else { return true }
        guard session.reserves(frameSizeBytes: sizeBytes) else { return false }
        openFrameBytes = sizeBytes
        frameProgress.restart()
        return true
    }

    /// What waits here for memory is held already, whatever the share.
    private func accountForHeldChunks() {
        guard case .open(let session) = phase else { return }
        let bytes = heldChunks.reduce(0) { $0 + $1.readableBytes }
        if bytes > heldBytes { session.account.hold(bytes - heldBytes) }
        if bytes < heldBytes { session.account.release(heldBytes - bytes) }
        heldBytes = bytes
    }

    /// Gives back what the session holds here.
    private func settle(_ session: Session) {
        session.account.release(heldBytes)
        heldBytes = 0
        if openFrameBytes > 0 { session.gaveUp(frameSizeBytes: openFrameBytes) }
        openFrameBytes = 0
    }

    private func lookForProgress(context: ChannelHandlerContext) {
        guard case .open(let session) = phase else { return }
        let now = NIODeadline.now()
        // Nobody can send what is not read.
        if isReadHeld || openFrameBytes == 0 { frameProgress.excuse() }
        let isStuck =
            openFrameBytes > 0 && frameProgress.isTooSlow(now: now, demand: endpoint.configuration.limits.progress)
        guard isStuck || session.outbound.isStalled(now: now) else { return }
        fail(.stalled(peer: session.peer))
        phase = .ended(session)
        heldChunks.removeAll()
        session.outbound.abandon()
        context.triggerUserOutboundEvent(AbruptClose(), promise: nil)
    }

    private func endStream(_ error: FramingError, context: ChannelHandlerContext) {
        let (session, peer): (Session?, String) =
            switch phase {
            case .open(let session): (session, session.peer)
            case .hello(let identity, _): (nil, "\(identity) at \(address)")
            case .tls, .ended: (nil, address)
            }
        switch error {
        case .tooLarge(let sizeBytes, let limitBytes):
            fail(.frameTooLarge(peer: peer, sizeBytes: sizeBytes, limitBytes: limitBytes))
        case .empty:
            fail(.emptyFrame(peer: peer))
        }
        phase = .ended(session)
        heldChunks.removeAll()
        session?.outbound.abandon()
        context.close(promise: nil)
    }

    private func fail(_ error: TransportError) {
        failure = error
        endpoint.statistics.count(frameError: error)
        endpoint.logger.notice("dropped a connection", metadata: ["reason": "\(error)"])
    }

    // MARK: Back-pressure

    func read(context: ChannelHandlerContext) {
        if case .open(let session) = phase {
            let isHeld = !heldChunks.isEmpty || !session.admitsFrame() || session.outbound.askForDrainEvent()
            if isHeld {
                isReadHeld = true
                return
            }
        }
        context.read()
    }

    private func resume(context: ChannelHandlerContext) {
        if case .open(let session) = phase {
            session.outbound.announceDrain()
            pump(context: context)
            session.outbound.drain()
            countFrames()
        }
        guard isReadHeld else { return }
        isReadHeld = false
        read(context: context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            switch phase {
            case .open(let session), .ended(let session?): session.outbound.drain()
            case .tls, .hello, .ended(nil): break
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted:
            tlsCompleted(context: context)
        case is Session.ProgressLook:
            lookForProgress(context: context)
        case is Session.Resumed, is OutboundQueue.Drained:
            resume(context: context)
        case is Session.Closing:
            guard case .open(let session) = phase else { return }
            isClosedByUs = true
            phase = .ended(session)
            heldChunks.removeAll()
            resume(context: context)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        // Whoever loses his place is not one whose TLS failed.
        if event is AbruptClose {
            switch phase {
            case .tls, .hello: phase = .ended(nil)
            case .open, .ended: break
            }
        }
        context.triggerUserOutboundEvent(event, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch phase {
        case .tls:
            endpoint.statistics.count { $0.failedTLS += 1 }
            endpoint.logger.debug("TLS failed", metadata: ["address": "\(address)", "reason": "\(error)"])
            phase = .ended(nil)
        case .open(let session):
            if failure == nil, decoder.missingBytes == 0 {
                failure = .connectionLost(peer: session.peer, reason: reasonText(error))
            }
        case .hello, .ended:
            break
        }
        context.close(promise: nil)
    }
}
