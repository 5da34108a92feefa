// Counts the bytes of bodies that go over a connection. On the connection's event loop.

import NIOCore
import NIOHTTP1

final class TrafficMeter: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let throughput: Throughput

    init(_ throughput: Throughput) { self.throughput = throughput }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .body(let buffer) = Self.unwrapInboundIn(data) {
            throughput.add { $0.receivedBytes += UInt64(buffer.readableBytes) }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .body(let data) = Self.unwrapOutboundIn(data) {
            throughput.add { $0.sentBytes += UInt64(data.readableBytes) }
        }
        context.write(data, promise: promise)
    }
}
