// Listens, and runs a task for each connection.

import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// What a server listens to, and what it allows a connection.
struct ServerLimits: Sendable {
    var patience = ConnectionPatience()
    var connectionCountMax = 16_384
    var headerFieldSizeBytesMax = 16 << 10
    var headersSizeBytesMax = 32 << 10
    var headerCountMax = 128
}

final class GatewayServer: Sendable {
    private typealias Child = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

    /// Of what a client sent before anybody asked for it, parts that are kept at most.
    private static let waitingParts = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark(
        lowWatermark: 1, highWatermark: 3)
    private static let graceSeconds = 10

    let port: Int
    private let listener: NIOAsyncChannel<Child, Never>
    private let handler: any RequestHandler
    private let limits: ServerLimits
    private let logger: Logger
    private let stopping = Atomic(false)
    private let connections = Mutex<[ObjectIdentifier: any Channel]>([:])

    /// - Parameter meter: counts what goes over the connections; nil: nobody does.
    /// - Throws: `GatewayError.cannotListen`.
    static func bind(
        host: String, port: Int, tls: NIOSSLContext?, group: any EventLoopGroup, handler: any RequestHandler,
        limits: ServerLimits, meter: Throughput? = nil, logger: Logger
    ) async throws -> GatewayServer {
        var decoding = NIOHTTPDecoderLimitConfiguration()
        decoding.maxHeaderFieldSize = limits.headerFieldSizeBytesMax
        decoding.maxHeaderListSize = limits.headersSizeBytesMax
        decoding.maxHeaderFieldCount = limits.headerCountMax
        let decoderLimits = decoding
        let listener: NIOAsyncChannel<Child, Never>
        do {
            listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.allowRemoteHalfClosure, value: false)
                .childChannelOption(
                    .recvAllocator,
                    value: AdaptiveRecvByteBufferAllocator(minimum: 1 << 10, initial: 4 << 10, maximum: 64 << 10)
                )
                .childChannelOption(
                    .writeBufferWaterMark,
                    value: ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 256 << 10)
                )
                .bind(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                        try pipeline.addHandler(HTTPResponseEncoder())
                        try pipeline.addHandler(
                            ByteToMessageHandler(
                                HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: decoderLimits)
                            ))
                        if let meter { try pipeline.addHandler(TrafficMeter(meter)) }
                        // What is kept with objects others may have written.
                        try pipeline.addHandler(NIOHTTPResponseHeadersValidator())
                        try pipeline.addHandler(
                            ConnectionGuard(limits.patience) { error in
                                Gateway.response(error, resource: "", requestID: RequestIDs.next())
                            })
                        return try Child(
                            wrappingChannelSynchronously: channel,
                            configuration: .init(backPressureStrategy: waitingParts))
                    }
                }
        } catch {
            throw GatewayError.cannotListen(address: "\(host):\(port)", reason: "\(error)")
        }
        return GatewayServer(listener, handler, limits, logger)
    }

    private init(
        _ listener: NIOAsyncChannel<Child, Never>, _ handler: any RequestHandler, _ limits: ServerLimits,
        _ logger: Logger
    ) {
        self.listener = listener
        self.handler = handler
        self.limits = limits
        self.logger = logger
        port = listener.channel.localAddress?.port ?? 0
    }

    var connectionCount: Int { connections.withLock { $0.count } }

    /// Serves until `stop` is called, and the requests that are under way then have some time to end.
    func run() async throws {
        try await listener.executeThenClose { inbound in
            try await withThrowingDiscardingTaskGroup { group in
                do {
                    for try await child in inbound {
                        let isFull = connections.withLock { connections in
                            guard connections.count < limits.connectionCountMax else { return true }
                            connections[ObjectIdentifier(child.channel)] = child.channel
                            return false
                        }
                        guard !isFull else {
                            group.addTask { try? await child.executeThenClose { _, _ in } }
                            continue
                        }
                        group.addTask { [self] in
                            let connection = Connection(
                                handler: handler, peer: child.channel.remoteAddress?.ipAddress ?? "unknown",
                                isStopping: { self.stopping.load(ordering: .relaxed) })
                            await connection.run(child)
                            connections.withLock { $0[ObjectIdentifier(child.channel)] = nil }
                        }
                    }
                } catch {
                    guard stopping.load(ordering: .relaxed) else { throw error }
                }
                for _ in 0..<(Self.graceSeconds * 20) where connectionCount > 0 {
                    try? await Task.sleep(for: .milliseconds(50))
                }
                for channel in connections.withLock({ Array($0.values) }) { channel.close(promise: nil) }
                group.cancelAll()
            }
        }
    }

    /// Takes no more connections. Those on which nothing is under way end at their next request.
    func stop() {
        stopping.store(true, ordering: .relaxed)
        listener.channel.close(promise: nil)
    }
}
