// A peer that says whatever a test wants, with or without TLS.

import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import QuorumTransport
import Synchronization
import Testing

final class RawPeer: Sendable {
    struct Record {
        var received: [UInt8] = []
        var isReady = false
        var isClosed = false
    }

    let channel: any Channel
    private let record: RecordBox

    final class RecordBox: Sendable {
        let value = Mutex(Record())
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let record: RecordBox
        init(_ record: RecordBox) { self.record = record }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Array(buffer: unwrapInboundIn(data))
            record.value.withLock { $0.received.append(contentsOf: bytes) }
        }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case TLSUserEvent.handshakeCompleted = event { record.value.withLock { $0.isReady = true } }
        }
        func channelInactive(context: ChannelHandlerContext) { record.value.withLock { $0.isClosed = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    /// Connects to a local port, from another of this machine's own addresses if one is given; with TLS under
    /// `identity`, plain without one. TLS may be spoken without showing the certificate or in an older version.
    static func connect(
        port: Int, from source: String? = nil, identity: TestIdentity?, showsCertificate: Bool = true,
        maximumVersion: TLSVersion = .tlsv13
    ) async throws -> RawPeer {
        let record = RecordBox()
        let tls = try identity.map { identity in
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates([])
            configuration.maximumTLSVersion = maximumVersion
            guard showsCertificate else { return try NIOSSLContext(configuration: configuration) }
            configuration.certificateChain = [
                .certificate(try NIOSSLCertificate(bytes: Array(identity.generated.certificatePEM.utf8), format: .pem))
            ]
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(bytes: Array(identity.generated.privateKeyPEM.utf8), format: .pem))
            return try NIOSSLContext(configuration: configuration)
        }
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        if let source { bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: source, port: 0)) }
        let channel =
            try await bootstrap
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            try NIOSSLClientHandler(context: tls, serverHostname: nil) { _, promise in
                                promise.succeed(.certificateVerified)
                            })
                    }
                    try channel.pipeline.syncOperations.addHandler(Handler(record))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawPeer(channel: channel, record: record)
    }

    /// Connects with TLS and says a good HELLO; returns when the server's HELLO is there.
    static func greeted(port: Int, identity: TestIdentity) async throws -> RawPeer {
        let peer = try await connect(port: port, identity: identity)
        peer.send(framed(Greeting.hello(version: Greeting.currentVersion, Fixture.scope).encoded()))
        try await eventually("the server answers the HELLO") { peer.received.count >= 35 }
        return peer
    }

    private init(channel: any Channel, record: RecordBox) {
        self.channel = channel
        self.record = record
    }

    var received: [UInt8] { record.value.withLock { $0.received } }
    var isReady: Bool { record.value.withLock { $0.isReady } }
    var isClosed: Bool { record.value.withLock { $0.isClosed } }

    /// The first frame received, read as a greeting.
    var greeting: Greeting? {
        var decoder = FrameDecoder(limitBytes: FrameFormat.helloLimitBytes)
        var chunk = ByteBuffer(bytes: received)
        guard let frame = try? decoder.next(from: &chunk) else { return nil }
        return Greeting(decoding: frame)
    }

    func send(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }
    func send(_ bytes: [UInt8]) { send(ByteBuffer(bytes: bytes)) }
    func close() { channel.close(promise: nil) }
}

/// A payload with its header.
func framed(_ payload: ByteBuffer) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.writeInteger(UInt32(payload.readableBytes), endianness: .little)
    buffer.writeImmutableBuffer(payload)
    return buffer
}
