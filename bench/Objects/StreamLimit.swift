// What TLS by itself carries between one client and as many servers as a cluster has, through the same library: bytes
// without meaning on as many connections, one event loop for the client as it has by default.

import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

enum StreamLimit {
    enum Direction: Sendable {
        case fromClient
        case toClient
    }

    private static let chunkSizeBytes = 128 << 10
    /// As connections of the cluster have it.
    private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 128 << 10, high: 512 << 10)
    private static let receiveAllocator = AdaptiveRecvByteBufferAllocator(
        minimum: 2048, initial: 16384, maximum: 262_144)

    /// Bytes a second, all connections together.
    ///
    /// - Parameter serverHome: whose key and certificate the servers show.
    static func bytesPerSecond(
        _ direction: Direction, connectionCount: Int, sizeBytes: Int, serverHome: String
    ) throws -> Double {
        let servers = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let clients = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer {
            try? clients.syncShutdownGracefully()
            try? servers.syncShutdownGracefully()
        }
        var serverTLS = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(serverHome + "/certificate.pem").map {
                .certificate($0)
            },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: serverHome + "/key.pem", format: .pem)))
        serverTLS.minimumTLSVersion = .tlsv13
        var clientTLS = TLSConfiguration.makeClientConfiguration()
        clientTLS.minimumTLSVersion = .tlsv13
        // Who the other end is makes no difference to a stream's speed.
        clientTLS.certificateVerification = .none
        let serverContext = try NIOSSLContext(configuration: serverTLS)
        let clientContext = try NIOSSLContext(configuration: clientTLS)

        let share = sizeBytes / connectionCount
        let arrived = (0..<connectionCount).map { _ in clients.next().makePromise(of: Void.self) }
        let accepted = Accepted(arrived)
        let listener = try ServerBootstrap(group: servers)
            .childChannelOption(.writeBufferWaterMark, value: waterMark)
            .childChannelOption(.recvAllocator, value: receiveAllocator)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: serverContext))
                    switch direction {
                    case .toClient:
                        try channel.pipeline.syncOperations.addHandler(Sender(sizeBytes: share))
                    case .fromClient:
                        try channel.pipeline.syncOperations.addHandler(
                            Receiver(sizeBytes: share, arrived: accepted.next()))
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        guard let address = listener.localAddress else { preconditionFailure("a listener without an address") }
        let start = ContinuousClock.now
        for promise in arrived {
            _ = try ClientBootstrap(group: clients)
                .channelOption(.writeBufferWaterMark, value: waterMark)
                .channelOption(.recvAllocator, value: receiveAllocator)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: clientContext, serverHostname: nil))
                        switch direction {
                        case .toClient:
                            try channel.pipeline.syncOperations.addHandler(
                                Receiver(sizeBytes: share, arrived: promise))
                        case .fromClient:
                            try channel.pipeline.syncOperations.addHandler(Sender(sizeBytes: share))
                        }
                    }
                }
                .connect(to: address).wait()
        }
        for promise in arrived { try promise.futureResult.wait() }
        let seconds = (ContinuousClock.now - start).inSeconds
        try listener.close().wait()
        return Double(share * connectionCount) / seconds
    }

    /// Sends so many bytes, as fast as they are taken, once TLS is up.
    private final class Sender: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private var left: Int
        private let chunk = ByteBuffer(repeating: 0x5a, count: StreamLimit.chunkSizeBytes)

        init(sizeBytes: Int) { left = sizeBytes }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .handshakeCompleted? = event as? TLSUserEvent { send(context) }
            context.fireUserInboundEventTriggered(event)
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) { send(context) }

        private func send(_ context: ChannelHandlerContext) {
            while left > 0, context.channel.isWritable {
                var chunk = chunk
                let part = chunk.readSlice(length: min(left, chunk.readableBytes)) ?? chunk
                left -= part.readableBytes
                context.writeAndFlush(wrapOutboundOut(part), promise: nil)
            }
        }
    }

    /// Counts what comes.
    private final class Receiver: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private var left: Int
        private let arrived: EventLoopPromise<Void>

        init(sizeBytes: Int, arrived: EventLoopPromise<Void>) {
            left = sizeBytes
            self.arrived = arrived
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            left -= unwrapInboundIn(data).readableBytes
            if left <= 0 { arrived.succeed() }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            arrived.fail(error)
            context.close(promise: nil)
        }
    }
}
