// The listening side: accepts connections, lets the pinned peers in and hands their frames up.

import Glibc
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// What a server endpoint listens on and whom it lets in.
package struct ServerEndpointConfiguration: Sendable {
    /// Name or address to listen on.
    package var host: String
    /// Port to listen on; 0 lets the system choose.
    package var port: Int
    /// The cluster that a peer's HELLO must name, and what this server's own says when it starts.
    package var scope: ClusterScope
    /// The certificates that may connect.
    package var peers: PeerDirectory
    /// Bounds of each connection.
    package var limits: ConnectionLimits
    /// Bounds on the number of connections.
    package var admission = AdmissionLimits()
    /// Where the nodes of the configuration stand, for whom places are kept.
    package var nodeSources: Set<SourceAddress> = []
    /// What all connections together may make the process hold.
    package var memory = MemoryBudget()

    package init(host: String, port: Int, scope: ClusterScope, peers: PeerDirectory, limits: ConnectionLimits) {
        self.host = host
        self.port = port
        self.scope = scope
        self.peers = peers
        self.limits = limits
    }
}

/// A listening endpoint with TLS 1.3 and mutual authentication.
package final class ServerEndpoint: Sendable {
    let configuration: ServerEndpointConfiguration
    let delegate: any ServerEndpointDelegate
    let registry: SessionRegistry
    let statistics = TransportStatistics()
    let logger: Logger
    private let group: any EventLoopGroup
    /// What connections are accepted with from now on.
    private let tls: Mutex<NIOSSLContext>
    private let announced: Mutex<ClusterScope>
    private let listener = Mutex<(any Channel)?>(nil)
    private let progressLooks = Mutex<RepeatedTask?>(nil)

    /// Listens and serves until `shutdown`.
    ///
    /// - Parameters:
    ///   - identity: this server's key and certificate.
    ///   - delegate: told about sessions and frames; kept alive until the endpoint is shut down.
    ///   - group: the event loops that connections are spread over.
    /// - Throws: `addressInUse`, `addressForbidden`, `cannotListen` or `identity`.
    package static func start(
        _ configuration: ServerEndpointConfiguration, identity: TransportIdentity,
        delegate: any ServerEndpointDelegate, group: any EventLoopGroup, logger: Logger
    ) async throws(TransportError) -> ServerEndpoint {
        let endpoint = try ServerEndpoint(
            configuration, identity: identity, delegate: delegate, group: group, logger: logger)
        try await endpoint.listen()
        return endpoint
    }

    private init(
        _ configuration: ServerEndpointConfiguration, identity: TransportIdentity,
        delegate: any ServerEndpointDelegate, group: any EventLoopGroup, logger: Logger
    ) throws(TransportError) {
        configuration.limits.check()
        self.configuration = configuration
        self.delegate = delegate
        self.group = group
        announced = Mutex(configuration.scope)
        self.logger = logger
        precondition(
            configuration.memory.counts.budgetBytes
                >= MemoryBudget.largestFramesMin * configuration.limits.maximumFrameSizeBytes)
        registry = SessionRegistry(
            directory: configuration.peers, nodeSources: configuration.nodeSources, limits: configuration.admission)
        do {
            tls = Mutex(try identity.serverContext(closeTimeout: configuration.limits.closeTimeout))
        } catch {
            throw .identity(error)
        }
    }

    /// The port listened on; differs from the configured one when that is 0. Nil after shutdown.
    package var port: Int? { listener.withLock { $0?.localAddress?.port } }

    /// Counts since the start.
    package var counters: TransportCounters { statistics.snapshot }

    /// Number of sessions open now.
    package var sessionCount: Int { registry.sessionCount }

    /// Number of connections now whose handshake is not finished.
    package var handshakeCount: Int { registry.handshakeCount }

    /// What all connections hold together.
    package var memory: MemoryCounts { configuration.memory.counts }

    /// What this server's HELLO says now.
    var scope: ClusterScope { announced.withLock { $0 } }

    /// From now on this server's HELLO says this.
    package func announce(_ scope: ClusterScope) {
        announced.withLock { $0 = scope }
    }

    /// Replaces the pinned certificates; sessions of certificates that are gone or belong to others now are cut off.
    package func replacePeers(_ peers: PeerDirectory) {
        for session in registry.replaceDirectory(peers) { session.cutOff() }
    }

    /// From now on connections are accepted with this key and certificate; those that are there go on.
    package func show(_ identity: TransportIdentity) throws(TransportError) {
        do {
            let context = try identity.serverContext(closeTimeout: configuration.limits.closeTimeout)
            tls.withLock { $0 = context }
        } catch {
            throw .identity(error)
        }
    }

    /// Ends all sessions: who connects anew is told what this server's HELLO says by then.
    package func endSessions() {
        for session in registry.sessions { session.cutOff() }
    }

    /// From now on places are kept for whoever comes from these sources.
    package func keepPlaces(for nodeSources: Set<SourceAddress>) {
        registry.keepPlaces(for: nodeSources)
    }

    /// Accepts nobody any more, sends what is queued, closes every connection, and returns when all are closed.
    ///
    /// - Parameter grace: how long peers may take to receive what is queued for them before they are cut off.
    package func shutdown(grace: TimeAmount) async {
        let channel = listener.withLock { box in
            defer { box = nil }
            return box
        }
        progressLooks.withLock { $0?.cancel() }
        try? await channel?.close().get()
        for session in registry.beginShutdown() { session.close(grace: grace) }
        let remaining = registry.openChannels
        let cutOff = group.any().scheduleTask(in: grace) {
            for channel in remaining { channel.close(promise: nil) }
        }
        for channel in remaining { try? await channel.closeFuture.get() }
        cutOff.cancel()
    }

    private func listen() async throws(TransportError) {
        let address = "\(configuration.host):\(configuration.port)"
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 512)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptPause(statistics: self.statistics, logger: self.logger))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.tcpOption(SocketTuning.keepAliveIdle), value: SocketTuning.keepAliveIdleSeconds)
            .childChannelOption(.tcpOption(SocketTuning.userTimeout), value: SocketTuning.userTimeoutMilliseconds)
            .childChannelOption(.recvAllocator, value: SocketTuning.receiveAllocator)
            // What one connection has read and may not hand up yet is one read's worth.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.writeBufferWaterMark, value: SocketTuning.waterMark)
            .childChannelInitializer { self.initialize($0) }
        do {
            let channel = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
            listener.withLock { $0 = channel }
            lookForProgress()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw .addressInUse(address: address)
        } catch let error as IOError where error.errnoCode == EACCES || error.errnoCode == EPERM {
            throw .addressForbidden(address: address)
        } catch {
            throw .cannotListen(address: address, reason: reasonText(error))
        }
    }

    /// While memory is short, looks again and again at who holds it.
    private func lookForProgress() {
        let interval = configuration.limits.progress.interval
        let looks = group.any().scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
            guard let self else { return }
            self.configuration.memory.wakeAll()
            guard self.configuration.memory.isShort else { return }
            for session in self.registry.sessions { session.lookForProgress() }
        }
        progressLooks.withLock { $0 = looks }
    }

    private func initialize(_ channel: any Channel) -> EventLoopFuture<Void> {
        statistics.count { $0.acceptedConnections += 1 }
        switch registry.admit(channel, from: SourceAddress(channel.remoteAddress)) {
        case .shuttingDown:
            return channel.close()
        case .full:
            statistics.count { $0.refusedAtAccept += 1 }
            return channel.close()
        case .admitted(let evicted?):
            statistics.count { $0.evictedHandshakes += 1 }
            AbruptClose.close(evicted)
        case .admitted(nil):
            break
        }
        channel.closeFuture.whenComplete { _ in self.registry.remove(channel) }
        return channel.eventLoop.makeCompletedFuture {
            let verdict = PeerVerdict()
            let registry = self.registry
            let tlsHandler = NIOSSLServerHandler(context: tls.withLock { $0 }) { chain, promise in
                verdict.certificate = PresentedCertificate(chain: chain, now: CertificateValidity.currentSecond()) {
                    registry.identity(of: $0) != nil
                }
                // Whoever it is may finish TLS, if only to be told in words why it is refused.
                promise.succeed(.certificateVerified)
            }
            try channel.pipeline.syncOperations.addHandlers([
                AbruptCloser(), tlsHandler, ServerSessionHandler(endpoint: self, verdict: verdict),
            ])
        }
    }
}
