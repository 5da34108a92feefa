// Counts what crosses a socket. It stands below TLS, where the bytes are those on the wire.

import NIOCore

/// The handler next to the socket.
final class SocketMeter: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let statistics: TransportStatistics

    init(statistics: TransportStatistics) {
        self.statistics = statistics
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let count = unwrapInboundIn(data).readableBytes
        statistics.count { $0.receivedBytes += UInt64(count) }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let count = unwrapOutboundIn(data).readableBytes
        statistics.count { $0.sentBytes += UInt64(count) }
        context.write(data, promise: promise)
    }
}
