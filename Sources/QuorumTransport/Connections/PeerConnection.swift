// The connecting side: one connection to one server, kept up for as long as its owner wants it.
//
// States: idle -> connecting -> connected -> disconnected -> connecting -> ...; closed from anywhere, for good. Only
// the event loop moves them, except for `start` and `close`, which any thread may call. Each attempt has a number; what
// an attempt reports after it was superseded or the connection was closed is ignored.

import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Which server to connect to, and how.
package struct PeerConnectionConfiguration: Sendable {
    /// The server's number in the cluster, for error texts.
    package var serverNumber: UInt16
    /// Name or address of the server.
    package var host: String
    /// The server's port.
    package var port: Int
    /// The certificate that the server must present.
    package var expectedPin: CertificatePin
    /// The one that takes its place, which it may present instead.
    package var secondPin: CertificatePin?
    /// The cluster that both HELLOs must name, and what this side's own says at first.
    package var scope: ClusterScope
    /// Bounds and times of the connection.
    package var limits: ConnectionLimits
    /// Delays between attempts.
    package var backoff = Backoff()

    package init(
        serverNumber: UInt16, host: String, port: Int, expectedPin: CertificatePin, scope: ClusterScope,
        limits: ConnectionLimits
    ) {
        self.serverNumber = serverNumber
        self.host = host
        self.port = port
        self.expectedPin = expectedPin
        self.scope = scope
        self.limits = limits
    }

    /// Whether the server may present this certificate.
    func expects(_ pin: CertificatePin) -> Bool { pin == expectedPin || pin == secondPin }

    /// "server 2 at 10.0.0.3:7002".
    package var peer: String { "server \(serverNumber) at \(host):\(port)" }
}

/// What a connection tells its owner, in order, on its event loop.
package enum PeerConnectionEvent: Sendable {
    /// TLS and HELLO are done; frames may be sent. What the server's HELLO says.
    case connected(ClusterScope)
    /// A frame came in; the buffer owns exactly its own bytes.
    case frame(ByteBuffer)
    /// An attempt failed or the connection broke; frames queued until now are gone. Another attempt follows by itself.
    case disconnected(TransportError)
}

/// Where a connection stands.
package enum PeerConnectionState: Equatable, Sendable {
    /// Neither started nor asked to send.
    case idle
    /// An attempt is under way.
    case connecting
    /// Frames flow.
    case connected
    /// Waiting for the next attempt; why the last one ended.
    case disconnected(TransportError)
    /// Closed for good by its owner.
    case closed
}

/// A persistent connection to one server. Methods may be called from any thread. The connection holds itself alive from
/// the first attempt until `close`.
package final class PeerConnection: Sendable {
    private struct Core {
        var state = PeerConnectionState.idle
        var attempt: UInt64 = 0
        var channel: (any Channel)?
        var outbound: OutboundQueue?
        var scope: ClusterScope
        var connectedAt: NIODeadline?
        var backoff: Backoff
        var reconnect: Scheduled<Void>?
    }

    /// The server and its limits.
    package let configuration: PeerConnectionConfiguration
    /// The loop on which events are delivered.
    package let eventLoop: any EventLoop
    let logger: Logger
    private let tls: NIOSSLContext
    private let statistics = TransportStatistics()
    private let onEvent: @Sendable (PeerConnectionEvent) -> Void
    private let core: Mutex<Core>

    /// A connection that is idle until `start` or the first `send`.
    ///
    /// - Parameters:
    ///   - identity: this side's key and certificate.
    ///   - eventLoop: a loop of NIOPosix.
    ///   - onEvent: called on `eventLoop`; must not block.
    /// - Throws: `TransportError.identity` when TLS refuses the identity.
    package init(
        _ configuration: PeerConnectionConfiguration, identity: TransportIdentity, eventLoop: any EventLoop,
        logger: Logger, onEvent: @escaping @Sendable (PeerConnectionEvent) -> Void
    ) throws(TransportError) {
        configuration.limits.check()
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.logger = logger
        self.onEvent = onEvent
        core = Mutex(Core(scope: configuration.scope, backoff: configuration.backoff))
        do {
            tls = try identity.clientContext(closeTimeout: configuration.limits.closeTimeout)
        } catch {
            throw .identity(error)
        }
    }

    /// Where the connection stands now.
    package var state: PeerConnectionState { core.withLock { $0.state } }

    /// Bytes that wait for the socket.
    package var queuedBytes: Int { core.withLock { $0.outbound }?.queuedBytes ?? 0 }

    /// Counts since this object was made; only those of bytes and frames apply to a connecting side.
    package var counters: TransportCounters { statistics.snapshot }

    /// Looks how many bytes the socket has taken and given so far, TLS included, and tells it on the event loop. What
    /// was encrypted and waits for the socket is not among them, as it is among those of `counters`.
    package func withMovedBytes(_ body: @escaping @Sendable (UInt64) -> Void) {
        eventLoop.execute { [self] in
            let counters = counters
            let all = counters.sentBytes + counters.receivedBytes
            let waiting = try? core.withLock({ $0.channel })?.syncOptions?.getOption(.bufferedWritableBytes)
            body(all - min(all, UInt64(waiting ?? 0)))
        }
    }

    /// What this side's HELLO says now.
    var scope: ClusterScope { core.withLock { $0.scope } }

    /// From its next attempt on this side's HELLO says this.
    package func announce(_ scope: ClusterScope) {
        core.withLock { $0.scope = scope }
    }

    /// Begins to connect, unless that was done before.
    package func start() {
        let begins = core.withLock { core -> Bool in
            guard core.state == .idle else { return false }
            core.state = .connecting
            return true
        }
        if begins { eventLoop.execute { self.connect() } }
    }

    /// Queues a frame, in order. Without a connection the frame is dropped and the outcome says so; an idle connection
    /// is started by it.
    @discardableResult
    package func send(_ frame: OutboundFrame) -> SendOutcome {
        if let outbound = core.withLock({ $0.outbound }) { return outbound.send(frame) }
        start()
        return .notConnected
    }

    /// Ends the connection for good; no event follows, except one that is being delivered.
    package func close() {
        let (channel, outbound, reconnect) = core.withLock { core in
            defer {
                core.state = .closed
                core.attempt += 1
                core.channel = nil
                core.outbound = nil
                core.reconnect = nil
            }
            return (core.channel, core.outbound, core.reconnect)
        }
        reconnect?.cancel()
        outbound?.abandon()
        channel?.close(promise: nil)
    }

    // MARK: On the event loop

    private func connect() {
        let attempt = core.withLock { core -> UInt64? in
            guard core.state != .closed else { return nil }
            core.attempt += 1
            core.state = .connecting
            core.reconnect = nil
            return core.attempt
        }
        guard let attempt else { return }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(configuration.limits.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(SocketTuning.keepAliveIdle), value: SocketTuning.keepAliveIdleSeconds)
            .channelOption(.tcpOption(SocketTuning.userTimeout), value: SocketTuning.userTimeoutMilliseconds)
            .channelOption(.tcpOption(SocketTuning.unsentLowWater), value: SocketTuning.unsentLowWaterBytes)
            .channelOption(.recvAllocator, value: SocketTuning.receiveAllocator)
            .channelOption(.writeBufferWaterMark, value: SocketTuning.waterMark)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.addHandlers(to: channel, attempt: attempt) }
            }
            .connect(host: configuration.host, port: configuration.port)
            .whenFailure { error in
                self.ended(attempt: attempt, error: self.connectError(error))
            }
    }

    private func addHandlers(to channel: any Channel, attempt: UInt64) throws {
        let isCurrent = core.withLock { core -> Bool in
            guard core.attempt == attempt, core.state != .closed else { return false }
            core.channel = channel
            return true
        }
        guard isCurrent else { throw ChannelError.ioOnClosedChannel }
        let verdict = PeerVerdict()
        let configuration = configuration
        let tlsHandler = try NIOSSLClientHandler(context: tls, serverHostname: nil) { chain, promise in
            let certificate = PresentedCertificate(chain: chain, now: CertificateValidity.currentSecond()) {
                configuration.expects($0)
            }
            verdict.certificate = certificate
            if case .valid = certificate { promise.succeed(.certificateVerified) } else { promise.succeed(.failed) }
        }
        let handler = PeerConnectionHandler(
            connection: self, attempt: attempt, verdict: verdict, statistics: statistics)
        try channel.pipeline.syncOperations.addHandlers([SocketMeter(statistics: statistics), tlsHandler, handler])
    }

    private func connectError(_ error: any Error) -> TransportError {
        if isConnectTimeout(error) {
            let milliseconds = configuration.limits.connectTimeout.nanoseconds / 1_000_000
            return .connectTimedOut(peer: configuration.peer, milliseconds: milliseconds)
        }
        return .cannotConnect(peer: configuration.peer, reason: reasonText(error))
    }

    /// The handler finished HELLO; false when nobody waits for it any more.
    func opened(attempt: UInt64, outbound: OutboundQueue, peerScope: ClusterScope) -> Bool {
        let isCurrent = core.withLock { core -> Bool in
            guard core.attempt == attempt, core.state == .connecting else { return false }
            core.state = .connected
            core.outbound = outbound
            core.connectedAt = .now()
            return true
        }
        if isCurrent { onEvent(.connected(peerScope)) }
        return isCurrent
    }

    /// A frame came in; it goes up unless the owner closed the connection meanwhile.
    func received(_ frame: ByteBuffer, attempt: UInt64) {
        if core.withLock({ $0.attempt == attempt }) { onEvent(.frame(frame)) }
    }

    /// The attempt failed, or its connection is gone.
    func ended(attempt: UInt64, error: TransportError) {
        var generator = SystemRandomNumberGenerator()
        let delay = core.withLock { core -> TimeAmount? in
            guard core.attempt == attempt, core.state == .connecting || core.state == .connected else { return nil }
            core.state = .disconnected(error)
            core.channel = nil
            core.outbound = nil
            // A server that lets us in only to drop us at once does not earn quick returns.
            if let connectedAt = core.connectedAt, NIODeadline.now() - connectedAt >= configuration.backoff.maximum {
                core.backoff.reset()
            }
            core.connectedAt = nil
            return core.backoff.next(isFinal: error.needsAPerson, using: &generator)
        }
        guard let delay else { return }
        logger.debug("disconnected", metadata: ["reason": "\(error)"])
        let reconnect = eventLoop.scheduleTask(in: delay) { self.connect() }
        let isClosed = core.withLock { core -> Bool in
            guard core.state != .closed else { return true }
            core.reconnect = reconnect
            return false
        }
        if isClosed {
            reconnect.cancel()
        } else {
            onEvent(.disconnected(error))
        }
    }
}

extension TransportError {
    /// Whether only a change of some configuration or certificate can mend it, so that trying often is of no use.
    fileprivate var needsAPerson: Bool {
        switch self {
        case .refused(_, let reason): !reason.isTransient
        case .helloRejected, .certificateNotPinned, .certificateExpired, .certificateNotYetValid: true
        default: false
        }
    }
}
