// Metrics over HTTP, for a monitoring system on the same machine or network. Whoever can reach the address may read
// them: they tell of loads and troubles, of no object, and change nothing. How the store is, is asked of it at most once
// a second, on a worker, and not waited for when its disk hangs. A connection carries one request and has ten seconds
// for it; there are few at a time, of which the oldest makes room for a new one.

import NIOCore
import NIOHTTP1
import NIOPosix
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// What is there to tell.
struct MetricsSource: Sendable {
    private static let patience = TimeAmount.seconds(2)

    let status: StatusService
    /// The metrics' text; without a status when the store does not say how it is.
    let text: @Sendable (ServerStatus?) -> String

    /// Has the text told, once, on any thread.
    func tell(on loop: any EventLoop, _ answer: @escaping @Sendable (String) -> Void) {
        let isTold = ToldOnce()
        let tell: @Sendable (ServerStatus?) -> Void = { status in
            if isTold.isFirst { answer(text(status)) }
        }
        let asked = status.ask(tell)
        let status = status
        loop.scheduleTask(in: Self.patience) {
            status.forget(asked)
            tell(nil)
        }
    }

    private final class ToldOnce: Sendable {
        private let isTold = Mutex(false)

        /// Whether nobody has asked before.
        var isFirst: Bool {
            isTold.withLock { isTold in
                defer { isTold = true }
                return !isTold
            }
        }
    }
}

/// Listens for GET /metrics.
final class MetricsEndpoint: Sendable {
    private static let connectionCountMax = 32
    private static let timeLimit = TimeAmount.seconds(10)

    private let channel: any Channel

    /// The port listened on; nil after it was closed.
    var port: Int? { channel.localAddress?.port }

    /// - Throws: when the address cannot be listened on.
    static func start(
        _ address: NetworkAddress, group: any EventLoopGroup, _ source: MetricsSource
    ) async throws(TransportError) -> MetricsEndpoint {
        let connections = FewConnections(countMax: connectionCountMax)
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 16)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    connections.add(channel)
                    let limit = channel.eventLoop.scheduleTask(in: timeLimit) { channel.close(promise: nil) }
                    channel.closeFuture.whenComplete { _ in
                        limit.cancel()
                        connections.remove(channel)
                    }
                    return channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                            withPipeliningAssistance: false, withErrorHandling: true)
                        try channel.pipeline.syncOperations.addHandler(MetricsHandler(source))
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

/// The connections that there are, the oldest first.
private final class FewConnections: Sendable {
    private let countMax: Int
    private let channels = Mutex<[any Channel]>([])

    init(countMax: Int) { self.countMax = countMax }

    func add(_ channel: any Channel) {
        let oldest = channels.withLock { channels -> (any Channel)? in
            channels.append(channel)
            return channels.count > countMax ? channels.removeFirst() : nil
        }
        oldest?.close(promise: nil)
    }

    func remove(_ channel: any Channel) { channels.withLock { $0.removeAll { $0 === channel } } }
}

/// Answers one request.
private final class MetricsHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    private let source: MetricsSource
    private var isAnswered = false

    init(_ source: MetricsSource) { self.source = source }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        let path = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        let (channel, isHead) = (context.channel, head.method == .HEAD)
        switch (head.method, path) {
        case (.GET, "/metrics"), (.HEAD, "/metrics"):
            source.tell(on: context.eventLoop) { text in Self.answer(.ok, text, isHead: isHead, channel) }
        case (.GET, "/"), (.HEAD, "/"):
            Self.answer(.ok, "Solidus: metrics are at /metrics\n", isHead: isHead, channel)
        case (.GET, _), (.HEAD, _):
            Self.answer(.notFound, "not found; metrics are at /metrics\n", isHead: isHead, channel)
        default:
            Self.answer(.methodNotAllowed, "only GET and HEAD\n", isHead: false, channel)
        }
    }

    private static func answer(_ status: HTTPResponseStatus, _ text: String, isHead: Bool, _ channel: any Channel) {
        var headers = HTTPHeaders()
        headers.add(name: "content-type", value: "text/plain; version=0.0.4; charset=utf-8")
        headers.add(name: "content-length", value: "\(text.utf8.count)")
        headers.add(name: "connection", value: "close")
        if status == .methodNotAllowed { headers.add(name: "allow", value: "GET, HEAD") }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        if !isHead { channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: text))), promise: nil) }
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in channel.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
