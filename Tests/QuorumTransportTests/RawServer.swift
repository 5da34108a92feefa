// A listening side that answers a connection's first bytes with whatever a test wants.

import NIOCore
import NIOPosix
import NIOSSL
import QuorumTransport
import Synchronization
import Testing

final class RawServer: Sendable {
    private let channel: any Channel

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let answer: @Sendable (any Channel, ByteBuffer) -> Void
        init(_ answer: @escaping @Sendable (any Channel, ByteBuffer) -> Void) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            answer(context.channel, unwrapInboundIn(data))
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private init(channel: any Channel) { self.channel = channel }

    /// Listens on a free port, with TLS under `identity` or plain; `answer` sees each chunk that arrives.
    static func start(
        identity: TestIdentity?, answer: @escaping @Sendable (any Channel, ByteBuffer) -> Void
    ) async throws -> RawServer {
        let tls = try identity.map { identity in
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: [
                    .certificate(
                        try NIOSSLCertificate(bytes: Array(identity.generated.certificatePEM.utf8), format: .pem))
                ],
                privateKey: .privateKey(
                    try NIOSSLPrivateKey(bytes: Array(identity.generated.privateKeyPEM.utf8), format: .pem)))
            configuration.certificateVerification = .none
            return try NIOSSLContext(configuration: configuration)
        }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    try channel.pipeline.syncOperations.addHandler(Handler(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return RawServer(channel: channel)
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var peer: String { "server 2 at 127.0.0.1:\(port)" }
    func close() { channel.close(promise: nil) }

    /// What a connection of `fixture`'s client reports first.
    func firstError(
        _ fixture: Fixture, adjust: (inout PeerConnectionConfiguration) -> Void = { _ in }
    ) async throws -> TransportError {
        let record = ConnectionRecord()
        var configuration = PeerConnectionConfiguration(
            serverNumber: 2, host: "127.0.0.1", port: port, expectedPin: fixture.server.pin, scope: Fixture.scope,
            limits: Fixture.limits)
        adjust(&configuration)
        let connection = try PeerConnection(
            configuration, identity: fixture.client.identity, eventLoop: Fixture.group.next(), logger: Fixture.logger
        ) { record.take($0) }
        connection.start()
        defer { connection.close() }
        try await eventually("the connection reports an error") { record.withRecord { !$0.errors.isEmpty } }
        return try #require(record.withRecord { $0.errors.first })
    }
}
