// Socket settings common to both sides.

import Glibc
import NIOCore

enum SocketTuning {
    /// Reads large enough that a large frame takes few of them.
    static let receiveAllocator = AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16384, maximum: 262_144)
    /// Encrypted bytes in the channel above which no further batch is encrypted, and below which the next one is.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 128 * 1024, high: 512 * 1024)

    /// A machine that vanished without a word is noticed by the kernel: an idle connection is probed after this many
    /// seconds, and sent bytes may stay unacknowledged, or the peer's window shut, for the time below. Without it,
    /// retransmission backs off to minutes, and a healed network would find both sides still waiting.
    static let keepAliveIdle = NIOBSDSocket.Option(rawValue: TCP_KEEPIDLE)
    static let keepAliveIdleSeconds: ChannelOptions.Types.SocketOption.Value = 15
    /// Of what is sent no more than this waits in the kernel for the line, so that it can be told whether a slow one
    /// takes anything, and what is given up need not be sent.
    static let unsentLowWater = NIOBSDSocket.Option(rawValue: TCP_NOTSENT_LOWAT)
    static let unsentLowWaterBytes: ChannelOptions.Types.SocketOption.Value = 128 * 1024
    static let userTimeout = NIOBSDSocket.Option(rawValue: TCP_USER_TIMEOUT)
    static let userTimeoutMilliseconds: ChannelOptions.Types.SocketOption.Value = 30_000
}
