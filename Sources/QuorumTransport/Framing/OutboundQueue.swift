// Frames on their way to one socket: filled from any thread, emptied on the event loop, bounded in bytes.
//
// Bounds. `queuedBytes` counts every frame from `send` until the socket has taken its last byte, so the limit covers
// what waits here, what TLS has encrypted and what the channel buffers. Frames leave this queue in batches, the next
// one only while the channel is writable: what is encrypted ahead of the socket stays near one batch, and a peer that
// stops reading leaves the rest here, unencrypted and uncopied. On a server the same bytes are held in the connection's
// account (MemoryBudget), so that all queues are bounded together.
//
// Wake-ups. A send schedules a drain on the loop unless one is scheduled already, so the sends of one thread before the
// loop gets to run share one wake-up and one flush. While the handler delivers a read burst, it announces the drain at
// the burst's end, and replies sent meanwhile schedule nothing.
//
// Records. TLS seals each write into a record of its own. Headers, heads and small bodies are therefore gathered into
// one buffer; only a piece of `separatePieceSizeBytes` or more is written by itself.

import NIOCore
import Synchronization

/// The outbound half of one established connection.
final class OutboundQueue: Sendable {
    /// Sent up the channel's pipeline when the queue has fallen to half its high-water mark after `askForDrainEvent`.
    struct Drained: Sendable {}

    private struct State {
        var frames = CircularBuffer<OutboundFrame>()
        var queuedBytes = 0
        var isOpen = true
        var isDrainScheduled = false
        var isDraining = false
        var wantsDrainEvent = false
        var closesWhenEmpty = false
        var progress = ProgressClock()
    }

    /// Bytes handed to TLS between two looks at the channel's writability.
    private static let batchSizeBytes = 256 * 1024
    private static let separatePieceSizeBytes = 8 * 1024

    private let channel: any Channel
    private let limits: ConnectionLimits
    private let statistics: TransportStatistics
    private let account: MemoryAccount?
    private let state = Mutex(State())

    /// - Parameter account: what the queued bytes are held in; nil when nobody else's bytes have to fit beside them.
    init(
        channel: any Channel, limits: ConnectionLimits, statistics: TransportStatistics, account: MemoryAccount? = nil
    ) {
        self.channel = channel
        self.limits = limits
        self.statistics = statistics
        self.account = account
    }

    /// Bytes of all frames that the socket has not taken yet, headers included.
    var queuedBytes: Int { state.withLock { $0.queuedBytes } }

    /// Queues a frame; from any thread.
    func send(_ frame: OutboundFrame) -> SendOutcome {
        let sizeBytes = frame.sizeBytes
        guard sizeBytes > 0, sizeBytes <= limits.maximumFrameSizeBytes else {
            return .invalidSize(sizeBytes: sizeBytes, limitBytes: limits.maximumFrameSizeBytes)
        }
        let framedBytes = FrameFormat.headerSizeBytes + sizeBytes
        let (outcome, schedules) = state.withLock { state -> (SendOutcome, Bool) in
            guard state.isOpen else { return (.notConnected, false) }
            guard state.queuedBytes + framedBytes <= limits.maximumOutboundBytes else {
                return (.queueFull(queuedBytes: state.queuedBytes, limitBytes: limits.maximumOutboundBytes), false)
            }
            guard account?.reserveAnswer(framedBytes) ?? true else {
                return (.memoryShort(sizeBytes: sizeBytes), false)
            }
            if state.queuedBytes == 0 { state.progress.restart() }
            state.frames.append(frame)
            state.queuedBytes += framedBytes
            defer { state.isDrainScheduled = true }
            return (.queued, !state.isDrainScheduled)
        }
        switch outcome {
        case .queueFull, .memoryShort: statistics.count { $0.outboundOverflows += 1 }
        case .queued, .notConnected, .invalidSize: break
        }
        if schedules {
            channel.eventLoop.execute { self.drain() }
        }
        return outcome
    }

    /// The handler promises to call `drain` soon; sends until then need not schedule it. On the event loop.
    func announceDrain() {
        state.withLock { $0.isDrainScheduled = true }
    }

    /// Moves frames to the channel while it is writable. On the event loop.
    func drain() {
        let begins = state.withLock { state -> Bool in
            state.isDrainScheduled = false
            guard !state.isDraining else { return false }
            state.isDraining = true
            return true
        }
        guard begins else { return }
        while true {
            guard channel.isWritable, let batch = takeBatch() else { break }
            write(batch)
        }
        let closes = state.withLock { state -> Bool in
            state.isDraining = false
            return state.closesWhenEmpty && state.queuedBytes == 0
        }
        if closes { channel.close(promise: nil) }
    }

    /// True when more waits than the high-water mark; then `Drained` will follow once. On the event loop.
    func askForDrainEvent() -> Bool {
        state.withLock { state in
            state.wantsDrainEvent = state.queuedBytes > limits.outboundHighWaterBytes
            return state.wantsDrainEvent
        }
    }

    /// Takes no more frames and closes the channel when the last one has left; from any thread.
    func closeWhenEmpty() {
        state.withLock { state in
            state.isOpen = false
            state.closesWhenEmpty = true
        }
        channel.eventLoop.execute { self.drain() }
    }

    /// Drops everything: the channel is gone or about to go; from any thread.
    func abandon() {
        let droppedBytes = state.withLock { state -> Int in
            defer {
                state.isOpen = false
                state.queuedBytes = 0
                state.frames = CircularBuffer()
            }
            return state.queuedBytes
        }
        account?.release(droppedBytes)
    }

    /// Whether the peer has taken too little of what waits for it. Looked at again and again while memory is short.
    func isStalled(now: NIODeadline) -> Bool {
        state.withLock { state in
            state.queuedBytes > 0 && state.progress.isTooSlow(now: now, demand: limits.progress)
        }
    }

    private struct Batch {
        var frames: [OutboundFrame] = []
        var framedBytes = 0
    }

    private func takeBatch() -> Batch? {
        state.withLock { state in
            guard !state.frames.isEmpty else { return nil }
            var batch = Batch()
            while batch.framedBytes < Self.batchSizeBytes, let frame = state.frames.popFirst() {
                batch.frames.append(frame)
                batch.framedBytes += FrameFormat.headerSizeBytes + frame.sizeBytes
            }
            return batch
        }
    }

    private func write(_ batch: Batch) {
        var pieces: [ByteBuffer] = []
        var gathered = ByteBuffer()
        for frame in batch.frames {
            gathered.writeInteger(UInt32(frame.sizeBytes), endianness: .little)
            Self.append(frame.head, to: &gathered, orTo: &pieces)
            if let body = frame.body { Self.append(body, to: &gathered, orTo: &pieces) }
        }
        if gathered.readableBytes > 0 { pieces.append(gathered) }

        let framedBytes = batch.framedBytes
        let promise = channel.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { _ in self.socketTook(framedBytes) }
        for piece in pieces.dropLast() { channel.write(piece, promise: nil) }
        // Writes finish in order, so the last one's promise speaks for the batch; a batch always has bytes.
        channel.write(pieces[pieces.count - 1], promise: promise)
        channel.flush()
    }

    private static func append(_ piece: ByteBuffer, to gathered: inout ByteBuffer, orTo pieces: inout [ByteBuffer]) {
        if piece.readableBytes < separatePieceSizeBytes {
            gathered.writeImmutableBuffer(piece)
        } else {
            if gathered.readableBytes > 0 { pieces.append(gathered) }
            pieces.append(piece)
            gathered = ByteBuffer()
        }
    }

    private func socketTook(_ framedBytes: Int) {
        let (takenBytes, drained, continues) = state.withLock { state -> (Int, Bool, Bool) in
            // Nothing is left to count of what was abandoned.
            let takenBytes = min(state.queuedBytes, framedBytes)
            state.queuedBytes -= takenBytes
            state.progress.moved(takenBytes)
            let drained = state.wantsDrainEvent && state.queuedBytes <= limits.outboundHighWaterBytes / 2
            if drained { state.wantsDrainEvent = false }
            return (takenBytes, drained, state.closesWhenEmpty && state.queuedBytes == 0)
        }
        account?.release(takenBytes)
        if drained { channel.pipeline.fireUserInboundEventTriggered(Drained()) }
        if continues { drain() }
    }
}
