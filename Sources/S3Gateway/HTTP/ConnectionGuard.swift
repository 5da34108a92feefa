// How long a connection may do nothing, and what is answered to what is no HTTP. On the connection's event loop.

import NIOCore
import NIOHTTP1

/// How patient the gateway is with its clients.
struct ConnectionPatience: Sendable {
    /// Until a request's head is there, from the connection's or the last answer's end on.
    var idle = TimeAmount.seconds(75)
    /// Of a body `progressBytes` have to come in this time at least while the gateway waits for it.
    var body = TimeAmount.seconds(30)
    var progressBytes = 16 << 10
    /// How long a client may take nothing of an answer.
    var answer = TimeAmount.seconds(60)
    /// How often it is looked.
    var interval = TimeAmount.seconds(5)
}

final class ConnectionGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase {
        /// For a head.
        case idle
        /// For a body, when the gateway asks for more of it.
        case body
        /// For the gateway.
        case work
    }

    private let patience: ConnectionPatience
    private let refuse: @Sendable (S3Error) -> Response
    private var phase = Phase.idle
    private var since = NIODeadline.now()
    private var bodyBytes = 0
    private var isReading = false
    private var unwritableSince: NIODeadline?
    /// Requests that are not answered to the end.
    private var openRequests = 0
    private var look: RepeatedTask?

    init(_ patience: ConnectionPatience, refuse: @escaping @Sendable (S3Error) -> Response) {
        self.patience = patience
        self.refuse = refuse
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        look = context.eventLoop.scheduleRepeatedTask(initialDelay: patience.interval, delay: patience.interval) { _ in
            let (connection, context) = loopBound.value
            connection.check(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { look?.cancel() }

    private func check(_ context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        if let unwritableSince, now - unwritableSince > patience.answer { return context.close(promise: nil) }
        switch phase {
        case .work: break
        case .idle:
            if now - since > patience.idle { context.close(promise: nil) }
        case .body:
            // Who is not asked for more cannot be slow.
            guard isReading else { return begin(.body) }
            guard now - since > patience.body else { return }
            if bodyBytes >= patience.progressBytes { return begin(.body) }
            phase = .work
            context.fireErrorCaught(
                S3Error(
                    .requestTimeout,
                    "Your socket connection to the server was not read from or written to within the timeout period."))
        }
    }

    private func begin(_ phase: Phase) {
        self.phase = phase
        since = .now()
        bodyBytes = 0
    }

    func read(context: ChannelHandlerContext) {
        isReading = true
        context.read()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        context.fireChannelReadComplete()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            openRequests += 1
            // Who waits to be told to go on has nothing to send yet.
            begin(head.expectsContinue ? .work : .body)
        case .body(let buffer):
            if phase == .work { begin(.body) }
            bodyBytes += buffer.readableBytes
        case .end: begin(.work)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(let head):
            if head.status == .continue { begin(.body) }
        case .body: break
        case .end:
            openRequests -= 1
            if openRequests == 0 { begin(phase == .body ? .body : .idle) }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        unwritableSince = context.channel.isWritable ? nil : .now()
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The decoder closes the connection when this returns.
        if let error = error as? HTTPParserError, openRequests == 0 {
            openRequests += 1
            let isTooMuch = error == .headerOverflow
            let response = refuse(
                isTooMuch
                    ? S3Error(
                        .requestHeaderSectionTooLarge,
                        "Your request header section exceeds the maximum allowed size.")
                    : S3Error(.invalidRequest, "The request is not well-formed HTTP/1.1."))
            guard case .bytes(let bytes) = response.body else { return }
            var head = HTTPResponseHead(version: .http1_1, status: response.status)
            head.headers.add(name: "Connection", value: "close")
            for (name, value) in response.headers { head.headers.add(name: name, value: value) }
            head.headers.add(name: "Content-Length", value: "\(bytes.count)")
            context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.fireErrorCaught(error)
    }
}
