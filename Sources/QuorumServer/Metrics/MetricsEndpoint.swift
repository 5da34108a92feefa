// Metrics over HTTP, for a monitoring system on the same machine or network. Whoever can reach the address may read
// them: they tell of loads and troubles, of no object, and change nothing. A request costs one snapshot; a connection
// carries one request, has ten seconds for it, and there are few at a time.

import NIOCore
import NIOHTTP1
import NIOPosix
import QuorumProtocol
import QuorumTransport
import Synchronization

/// Listens for GET /metrics.
final class MetricsEndpoint: Sendable {
    private static let connectionCountMax = 32
    private static let timeLimit = TimeAmount.seconds(10)

    private let channel: any Channel

    /// The port listened on; nil after it was closed.
    var port: Int? { channel.localAddress?.port }

    /// - Parameter text: what is there to tell; called on a thread of the group.
    /// - Throws: when the address cannot be listened on.
    static func start(
        _ address: NetworkAddress, group: any EventLoopGroup, text: @escaping @Sendable () -> String
    ) async throws(TransportError) -> MetricsEndpoint {
        let counter = ConnectionCount(limit: connectionCountMax)
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 16)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    guard counter.take() else { return channel.close() }
                    channel.closeFuture.whenComplete { _ in counter.give() }
                    let limit = channel.eventLoop.scheduleTask(in: timeLimit) { channel.close(promise: nil) }
                    channel.closeFuture.whenComplete { _ in limit.cancel() }
                    return channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                            withPipeliningAssistance: false, withErrorHandling: true)
                        try channel.pipeline.syncOperations.addHandler(MetricsHandler(text: text))
                    }
                }
                .bind(host: address.host, port: address.port).get()
            return MetricsEndpoint(channel)
        } catch {
            throw .cannotListen(address: "\(address) (metrics)", reason: "\(error)")
        }
    }

    private init(_ channel: any Channel) { self.channel = channel }

    func close() async { try? await channel.close() }
}

/// How many connections there are.
private final class ConnectionCount: Sendable {
    private let limit: Int
    private let count = Mutex(0)

    init(limit: Int) { self.limit = limit }

    func take() -> Bool {
        count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    func give() { count.withLock { $0 -= 1 } }
}

/// Answers one request.
private final class MetricsHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let text: @Sendable () -> String
    private var isAnswered = false

    init(text: @escaping @Sendable () -> String) { self.text = text }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        let path = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
        switch (head.method, path) {
        case (.GET, "/metrics"), (.HEAD, "/metrics"):
            answer(.ok, text(), isHead: head.method == .HEAD, context)
        case (.GET, "/"), (.HEAD, "/"):
            answer(.ok, "Solidus: metrics are at /metrics\n", isHead: head.method == .HEAD, context)
        case (.GET, _), (.HEAD, _):
            answer(.notFound, "not found; metrics are at /metrics\n", isHead: head.method == .HEAD, context)
        default:
            answer(.methodNotAllowed, "only GET and HEAD\n", isHead: false, context)
        }
    }

    private func answer(
        _ status: HTTPResponseStatus, _ text: String, isHead: Bool, _ context: ChannelHandlerContext
    ) {
        var headers = HTTPHeaders()
        headers.add(name: "content-type", value: "text/plain; version=0.0.4; charset=utf-8")
        headers.add(name: "content-length", value: "\(text.utf8.count)")
        headers.add(name: "connection", value: "close")
        if status == .methodNotAllowed { headers.add(name: "allow", value: "GET, HEAD") }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
