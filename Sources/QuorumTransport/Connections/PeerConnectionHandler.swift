// The connecting side's end of one connection's pipeline, above TLS.
//
// It always reads, even while its own frames cannot leave: a server that waits for us to read before it reads on must
// find us reading, or both would wait for ever. What a server may push on us is bounded by the frame limit, since each
// frame is handed up at once.

import Logging
import NIOCore
import NIOSSL
import NIOTLS

final class PeerConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private enum Phase {
        case tls
        case hello
        case open(OutboundQueue)
        case ended
    }

    private let connection: PeerConnection
    private let attempt: UInt64
    private let verdict: PeerVerdict
    private let statistics: TransportStatistics
    private var phase = Phase.tls
    private var decoder = FrameDecoder(limitBytes: FrameFormat.helloLimitBytes)
    private var failure: TransportError?
    private var timer: Scheduled<Void>?

    private var peer: String { connection.configuration.peer }

    init(connection: PeerConnection, attempt: UInt64, verdict: PeerVerdict, statistics: TransportStatistics) {
        self.connection = connection
        self.attempt = attempt
        self.verdict = verdict
        self.statistics = statistics
    }

    func channelActive(context: ChannelHandlerContext) {
        let limit = connection.configuration.limits.handshakeTimeout
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: limit) {
            let (handler, context) = bound.value
            handler.end(
                .handshakeTimedOut(peer: handler.peer, milliseconds: limit.nanoseconds / 1_000_000), context: context)
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        if case .open(let outbound) = phase { outbound.abandon() }
        if failure == nil {
            failure =
                decoder.missingBytes > 0
                ? .truncatedFrame(peer: peer, missingBytes: decoder.missingBytes)
                : .connectionLost(peer: peer, reason: closeText)
        }
        phase = .ended
        report()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case TLSUserEvent.handshakeCompleted = event else {
            return context.fireUserInboundEventTriggered(event)
        }
        guard case .tls = phase else { return }
        guard case .valid? = verdict.certificate else {
            return end(certificateError() ?? .tlsFailed(peer: peer, reason: "no certificate"), context: context)
        }
        phase = .hello
        let payload = Greeting.hello(version: Greeting.currentVersion, connection.scope).encoded()
        var frame = context.channel.allocator.buffer(capacity: FrameFormat.headerSizeBytes + payload.readableBytes)
        frame.writeInteger(UInt32(payload.readableBytes), endianness: .little)
        frame.writeImmutableBuffer(payload)
        context.writeAndFlush(NIOAny(frame), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .open(let outbound) = phase { outbound.announceDrain() }
        var chunk = unwrapInboundIn(data)
        do throws(FramingError) {
            while let frame = try decoder.next(from: &chunk) {
                switch phase {
                case .hello: receivedGreeting(frame, context: context)
                case .open: deliver(frame)
                case .tls, .ended: return
                }
            }
        } catch {
            switch error {
            case .tooLarge(let sizeBytes, let limitBytes):
                end(.frameTooLarge(peer: peer, sizeBytes: sizeBytes, limitBytes: limitBytes), context: context)
            case .empty:
                end(.emptyFrame(peer: peer), context: context)
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .open(let outbound) = phase { outbound.drain() }
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, case .open(let outbound) = phase { outbound.drain() }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch phase {
        case .tls:
            connection.logger.debug("TLS failed", metadata: ["peer": "\(peer)", "reason": "\(error)"])
            end(certificateError() ?? .tlsFailed(peer: peer, reason: handshakeText(error)), context: context)
        case .hello, .open:
            if decoder.missingBytes > 0 {
                end(.truncatedFrame(peer: peer, missingBytes: decoder.missingBytes), context: context)
            } else {
                end(.connectionLost(peer: peer, reason: reasonText(error)), context: context)
            }
        case .ended:
            context.close(promise: nil)
        }
    }

    private func deliver(_ frame: ByteBuffer) {
        statistics.count { $0.receivedFrames += 1 }
        connection.received(frame, attempt: attempt)
    }

    private func receivedGreeting(_ frame: ByteBuffer, context: ChannelHandlerContext) {
        switch Greeting(decoding: frame) {
        case .hello(let version, let scope)?:
            let ours = connection.scope
            if let objection = Greeting.objection(toVersion: version, peerScope: scope, scope: ours) {
                return end(.helloRejected(peer: peer, reason: objection), context: context)
            }
            timer?.cancel()
            timer = nil
            decoder.limitBytes = connection.configuration.limits.maximumFrameSizeBytes
            let outbound = OutboundQueue(
                channel: context.channel, limits: connection.configuration.limits, statistics: statistics)
            phase = .open(outbound)
            outbound.announceDrain()
            if !connection.opened(attempt: attempt, outbound: outbound, peerScope: scope) {
                end(.closed(peer: peer), context: context)
            }
        case .refusal(let reason)?:
            end(.refused(peer: peer, reason: reason), context: context)
        case nil:
            end(.helloRejected(peer: peer, reason: .malformedHello), context: context)
        }
    }

    private var closeText: String {
        switch phase {
        case .tls: "it was closed before the server had said who it is; another service may use this port"
        case .hello, .open, .ended: "the server closed it"
        }
    }

    private func certificateError() -> TransportError? {
        switch verdict.certificate {
        case .notPinned(let got)?:
            .certificateNotPinned(peer: peer, expected: connection.configuration.expectedPin, got: got)
        case .expired(_, let notAfter)?:
            .certificateExpired(peer: peer, notAfter: notAfter)
        case .notYetValid(_, let notBefore)?:
            .certificateNotYetValid(peer: peer, notBefore: notBefore)
        case .unreadable?:
            .tlsFailed(peer: peer, reason: "its certificate cannot be read")
        case .valid?, nil:
            nil
        }
    }

    /// Gives the connection up; the first reason is the one reported, at once: what TLS still does to close the socket
    /// is of no interest to anybody.
    private func end(_ error: TransportError, context: ChannelHandlerContext) {
        if case .open(let outbound) = phase { outbound.abandon() }
        timer?.cancel()
        timer = nil
        if failure == nil {
            failure = error
            statistics.count(frameError: error)
        }
        phase = .ended
        report()
        context.close(promise: nil)
    }

    private func report() {
        if let failure { connection.ended(attempt: attempt, error: failure) }
    }
}
