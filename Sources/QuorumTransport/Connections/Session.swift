// One authenticated connection as the server's upper layer sees it.

import NIOCore
import Synchronization

/// What a server endpoint tells the layer above. Every call is made on the session's event loop and must not block.
package protocol ServerEndpointDelegate: AnyObject, Sendable {
    /// A peer passed TLS and HELLO.
    func sessionOpened(_ session: Session)
    /// A frame came in. It counts against the session's budget until `session.completed(frameSizeBytes:)` is called
    /// with its size (`frame.readableBytes`); the buffer owns exactly its own bytes.
    func session(_ session: Session, received frame: ByteBuffer)
    /// The session is over, `error` saying why unless this side closed it; no call follows for it.
    func sessionClosed(_ session: Session, error: TransportError?)
}

/// A peer's connection to this server, from a good HELLO until it closes. All methods may be called from any thread.
package final class Session: Sendable {
    /// Asks the handler to look again at what it held back.
    struct Resumed: Sendable {}
    /// Tells the handler that this side closes.
    struct Closing: Sendable {}
    /// Asks the handler whether the peer goes on with what it holds memory for.
    struct ProgressLook: Sendable {}

    private struct Unanswered {
        var bytes = 0
        var frames = 0
        var isPaused = false
    }

    /// Who the peer is, by its certificate.
    package let identity: PeerIdentity
    /// The pin of the peer's certificate.
    package let pin: CertificatePin
    /// Peer and address for people: "client alice at 10.0.0.7:51234".
    package let peer: String
    let channel: any Channel
    let outbound: OutboundQueue
    /// What the connection holds: frames from their header until they are completed, and what waits for the socket.
    let account: MemoryAccount
    private let limits: ConnectionLimits
    private let unanswered = Mutex(Unanswered())

    init(
        identity: PeerIdentity, pin: CertificatePin, peer: String, channel: any Channel, limits: ConnectionLimits,
        memory: MemoryBudget, statistics: TransportStatistics
    ) {
        self.identity = identity
        self.pin = pin
        self.peer = peer
        self.channel = channel
        self.limits = limits
        account = memory.account(of: identity) {
            channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(Resumed()) }
        }
        outbound = OutboundQueue(channel: channel, limits: limits, statistics: statistics, account: account)
    }

    /// The event loop on which this session's events are delivered.
    package var eventLoop: any EventLoop { channel.eventLoop }

    /// Bytes that wait for the peer's socket.
    package var queuedBytes: Int { outbound.queuedBytes }

    /// Bytes and number of the frames handed up and not completed yet.
    package var unansweredFrames: (bytes: Int, count: Int) {
        unanswered.withLock { ($0.bytes, $0.frames) }
    }

    /// Queues a frame for the peer, in order; sends from one thread between two runs of the loop share one flush.
    @discardableResult
    package func send(_ frame: OutboundFrame) -> SendOutcome {
        outbound.send(frame)
    }

    /// Returns the budget of one frame of `frameSizeBytes` that was handed up: it is answered or dropped.
    package func completed(frameSizeBytes: Int) {
        let resumes = unanswered.withLock { state -> Bool in
            precondition(state.frames > 0 && state.bytes >= frameSizeBytes, "a frame was completed twice")
            state.bytes -= frameSizeBytes
            state.frames -= 1
            guard state.isPaused, state.bytes <= limits.maximumUnansweredBytes / 2,
                state.frames <= limits.maximumUnansweredFrames / 2
            else { return false }
            state.isPaused = false
            return true
        }
        account.release(frameSizeBytes + limits.frameOverheadBytes)
        guard resumes else { return }
        let channel = channel
        channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(Resumed()) }
    }

    /// Sends what is queued, then closes; no further frame is handed up.
    ///
    /// - Parameter grace: how long the peer may take to receive what is queued before it is cut off.
    package func close(grace: TimeAmount = .seconds(10)) {
        announceClosing()
        outbound.closeWhenEmpty()
        let channel = channel
        let cutOff = channel.eventLoop.scheduleTask(in: grace) { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { _ in cutOff.cancel() }
    }

    /// Closes without sending what is queued.
    func cutOff() {
        announceClosing()
        outbound.abandon()
        channel.close(promise: nil)
    }

    /// Has the handler look whether the peer goes on.
    func lookForProgress() {
        let channel = channel
        channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(ProgressLook()) }
    }

    private func announceClosing() {
        let channel = channel
        channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(Closing()) }
    }

    /// Whether the budget has room for another frame; when not, `Resumed` follows as soon as half of it is free.
    func admitsFrame() -> Bool {
        unanswered.withLock { state in
            if state.bytes < limits.maximumUnansweredBytes && state.frames < limits.maximumUnansweredFrames {
                return true
            }
            state.isPaused = true
            return false
        }
    }

    /// Takes memory for a frame of which only the header is there; when not, `Resumed` follows.
    func reserves(frameSizeBytes: Int) -> Bool {
        account.reserve(frameSizeBytes + limits.frameOverheadBytes)
    }

    /// Gives back the memory of a frame that was never handed up.
    func gaveUp(frameSizeBytes: Int) {
        account.release(frameSizeBytes + limits.frameOverheadBytes)
    }

    func admitted(frameSizeBytes: Int) {
        unanswered.withLock { state in
            state.bytes += frameSizeBytes
            state.frames += 1
        }
    }
}
