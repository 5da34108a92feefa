// Closing a socket without a word. TLS says goodbye first and waits for the other side's, for a second if it has to; a
// stranger who loses his place must not keep the socket for that long.

import NIOCore

/// Asks a channel, as an outbound event, to close its socket at once.
struct AbruptClose: Sendable {
    /// Has a server's channel closed; from any thread.
    static func close(_ channel: any Channel) {
        channel.triggerUserOutboundEvent(AbruptClose(), promise: nil)
    }
}

/// The handler next to the socket that does so.
final class AbruptCloser: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        if event is AbruptClose {
            context.close(promise: promise)
        } else {
            context.triggerUserOutboundEvent(event, promise: promise)
        }
    }
}
