// What a listening socket does when the system has no descriptor left for another connection.

import Glibc
import Logging
import NIOCore

/// Stops accepting for a while when a connection cannot be accepted: it stays in the queue, so the socket would call
/// again at once, and the event loop would do nothing else. The library's own handler for that has no effect on sockets
/// that read by themselves.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    /// How long nothing is accepted.
    static let pause = TimeAmount.milliseconds(500)
    /// How often at most that is logged.
    private static let logInterval = TimeAmount.seconds(60)

    private let statistics: TransportStatistics
    private let logger: Logger
    private var resumption: Scheduled<Void>?
    private var loggedAt: NIODeadline?
    private var unlogged = 0

    init(statistics: TransportStatistics, logger: Logger) {
        self.statistics = statistics
        self.logger = logger
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) else {
            return context.fireErrorCaught(error)
        }
        statistics.count { $0.failedAccepts += 1 }
        log(error)
        guard resumption == nil else { return }
        let channel = context.channel
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        resumption = context.eventLoop.scheduleTask(in: Self.pause) {
            bound.value.resumption = nil
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        resumption?.cancel()
        context.fireChannelInactive()
    }

    private func log(_ error: IOError) {
        if let loggedAt, .now() - loggedAt < Self.logInterval {
            unlogged += 1
            return
        }
        logger.error(
            "no connection can be accepted: \(systemText(error.errnoCode)); accepting pauses, and is tried again",
            metadata: unlogged > 0 ? ["unlogged": "\(unlogged)"] : [:])
        loggedAt = .now()
        unlogged = 0
    }
}
