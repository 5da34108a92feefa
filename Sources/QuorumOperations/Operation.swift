// The shell around one operation: the one funnel of event → machine → effects → I/O, with its timers.

import NIOCore
import NIOPosix
import QuorumProtocol
import Synchronization

/// Drives one machine to its end. Events may come on any thread.
package final class Operation<Machine: OperationMachine>: ReplyReceiver {
    /// Fragments up to this size are verified on the thread that brings them: waking another costs more.
    private static var inlineWorkSizeBytesMax: Int { 64 << 10 }

    private struct State {
        var machine: Machine
        var requests: [UInt64] = []
        var timers: [Scheduled<Void>] = []
        var hedgedAt: NIODeadline?
        /// Whether the hedge time is over at this moment.
        var endsHedge = false
        var retransmission: Scheduled<Void>?
        var continuation: CheckedContinuation<Result<Machine.Outcome, OperationFailure>, Never>?
        var result: Result<Machine.Outcome, OperationFailure>?
        var seen = SeenReplies()
        /// What had crossed the connections of the servers that were waited for when that was last looked at, and when
        /// last enough more had.
        var moved: [NodeID: UInt64] = [:]
        var movedAt: [NodeID: NIODeadline] = [:]

        /// When last bytes of more than f servers had moved: so many that one of them is correct. Otherwise a liar could
        /// have an operation go on for as long as he likes.
        func progressedAt(faults: Int) -> NIODeadline {
            movedAt.count > faults ? movedAt.values.sorted(by: >)[faults] : .distantPast
        }
    }

    private let key: ObjectKey
    private let placement: Placement
    private let deadline: NIODeadline
    private let progress: ProgressPatience?
    private let hedge: HedgeTime
    private let context: OperationContext
    private let state: Mutex<State>

    /// - Parameters:
    ///   - deadline: when it must be over.
    ///   - progress: goes on after its deadline as long as bytes of more than f servers move. Nil: it does not.
    ///   - hedge: that of all operations of this kind.
    package init(
        _ machine: Machine, key: ObjectKey, deadline: NIODeadline, progress: ProgressPatience? = nil,
        hedge: HedgeTime, context: OperationContext
    ) {
        self.key = key
        placement = machine.placement
        self.hedge = hedge
        self.deadline = deadline
        self.progress = progress
        self.context = context
        state = Mutex(State(machine: machine))
    }

    /// The machine as it is now: what it can tell beside its outcome.
    package var machine: Machine { state.withLock { $0.machine } }

    /// Runs the machine to its outcome. A cancelled task ends it as its deadline would.
    package func run() async -> Result<Machine.Outcome, OperationFailure> {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // A task that was cancelled before it came here has its result already.
                let early = state.withLock { state in
                    if state.result == nil { state.continuation = continuation }
                    return state.result
                }
                if let early {
                    continuation.resume(returning: early)
                    return
                }
                startTimers()
                context.connections.register(self)
                // Cancelled meanwhile, it was taken off the list before it was put there.
                if state.withLock({ $0.result != nil }) { context.connections.unregister(self, requests: []) }
                submit(Machine.start)
            }
        } onCancel: {
            submit(Machine.deadline)
        }
    }

    /// Who has answered so far.
    package var seenReplies: SeenReplies { state.withLock { $0.seen } }

    package func receive(_ reply: Reply, from server: NodeID) {
        state.withLock { $0.seen.note(reply, from: server) }
        if let position = placement.position(of: server) { submit(Machine.reply(reply, from: position)) }
    }

    package func connected(to server: NodeID) {
        if let position = placement.position(of: server) { submit(Machine.connected(position)) }
    }

    package func renewed(_ server: NodeID) {
        if let position = placement.position(of: server) { submit(Machine.renewed(position)) }
    }

    package func abandon() { submit(Machine.deadline) }

    /// Runs an input through the machine and does what follows from it.
    package func submit(_ input: Machine.Input) { submit(input, isRepeating: false) }

    /// - Parameter isRepeating: what is sent may have been sent before.
    private func submit(_ input: Machine.Input, isRepeating: Bool) {
        var effects: [Machine.Effect] = []
        state.withLock { state in
            if state.result == nil { state.machine.handle(input, into: &effects) }
        }
        for effect in effects {
            perform(Machine.step(effect, key: key, verifier: context.verifier), isRepeating: isRepeating)
        }
    }

    private func perform(_ step: OperationStep<Machine>, isRepeating: Bool) {
        switch step {
        case .send(let position, let request):
            let server = placement.node(at: position)
            let earlier = isRepeating ? state.withLock { $0.requests } : []
            let number = context.connections.send(
                request, along: placement.route, to: server, for: self, after: earlier)
            guard let number else { return }
            let isOver = state.withLock { state in
                state.requests.append(number)
                return state.result != nil
            }
            if isOver { context.connections.unregister(self, requests: [number]) }
        case .work(let costBytes, let work):
            guard costBytes > Self.inlineWorkSizeBytesMax else {
                submit(work())
                return
            }
            context.workers.submit { _ in self.submit(work()) }
        case .encode(let work):
            context.workers.submit { _ in self.submit(work()) }
        case .startHedge:
            state.withLock { $0.hedgedAt = .now() }
            keep(context.eventLoop.scheduleTask(in: hedge.current) { self.endHedge() })
        case .finish(let result):
            finish(result)
        }
    }

    private func endHedge() {
        state.withLock { $0.endsHedge = true }
        submit(Machine.hedge)
        state.withLock { $0.endsHedge = false }
    }

    private func startTimers() {
        let loop = context.eventLoop
        let patience = context.patience
        keep(loop.scheduleTask(deadline: deadline) { self.isDue() })
        if let progress { keep(loop.scheduleTask(in: progress.interval) { self.lookForProgress() }) }
        retransmit(afterMilliseconds: Int64(patience.retransmitMilliseconds))
    }

    /// Has a timer end with the operation.
    private func keep(_ timer: Scheduled<Void>) {
        let isOver = state.withLock { state in
            state.timers.append(timer)
            return state.result != nil
        }
        if isOver { timer.cancel() }
    }

    /// The deadline is there, put off by the time in which bytes have moved.
    private func isDue() {
        guard let progress else { return submit(Machine.deadline) }
        let faults = context.parameters.quorums.faults
        let end = state.withLock { max(deadline, $0.progressedAt(faults: faults) + progress.time) }
        guard end > .now() else { return submit(Machine.deadline) }
        keep(context.eventLoop.scheduleTask(deadline: end) { self.isDue() })
    }

    /// Looks whether bytes have moved to or from the servers that are waited for. Those of others say nothing.
    private func lookForProgress() {
        guard let progress else { return }
        let (requests, isOver) = state.withLock { ($0.requests, $0.result != nil) }
        guard !isOver else { return }
        context.connections.withMovedBytes(waitingFor: requests) { server, bytes in
            self.state.withLock { state in
                // At first there is nothing to compare with. A connection that others have taken the place of counts
                // from zero.
                let before = min(bytes, state.moved[server] ?? bytes)
                state.moved[server] = bytes
                if bytes - before >= progress.leastBytes { state.movedAt[server] = .now() }
            }
        }
        keep(context.eventLoop.scheduleTask(in: progress.interval) { self.lookForProgress() })
    }

    /// Asks again after a time, then after twice that, and so on: over a channel that stands, the first copy is still
    /// under way, and a slow server is not helped by further ones.
    private func retransmit(afterMilliseconds delay: Int64) {
        let timer = context.eventLoop.scheduleTask(in: .milliseconds(delay)) {
            self.submit(Machine.retransmit, isRepeating: true)
            self.retransmit(afterMilliseconds: 2 * delay)
        }
        let isOver = state.withLock { state in
            state.retransmission = timer
            return state.result != nil
        }
        if isOver { timer.cancel() }
    }

    private func finish(_ result: Result<Machine.Outcome, OperationFailure>) {
        let (requests, timers, retransmission, continuation, hedgedAt) = state.withLock { state in
            state.result = result
            defer { state.continuation = nil }
            // What ends because the hedge time is over says how long that is, and not how long operations take.
            let hedgedAt = state.endsHedge ? nil : state.hedgedAt
            return (state.requests, state.timers, state.retransmission, state.continuation, hedgedAt)
        }
        if case .success = result, let hedgedAt { hedge.record(.now() - hedgedAt) }
        for timer in timers { timer.cancel() }
        retransmission?.cancel()
        context.connections.unregister(self, requests: requests)
        continuation?.resume(returning: result)
    }
}

/// Which servers have answered an operation, for saying afterwards what each has to do with its failure.
package struct SeenReplies: Sendable {
    /// With anything at all.
    package private(set) var answered: Set<NodeID> = []
    /// With a fragment, good or not.
    package private(set) var withFragments: Set<NodeID> = []

    package init() {}

    mutating func note(_ reply: Reply, from server: NodeID) {
        answered.insert(server)
        if case .version(_, let parts?) = reply, parts.fragments?.isEmpty == false { withFragments.insert(server) }
    }
}

/// How long an operation may go on without progress.
package struct ProgressPatience: Sendable {
    /// Fewer bytes than these in the whole time are no progress: a server that drips is no better than a silent one.
    private static let floorBytes: UInt64 = 64 << 10
    /// So many times in that time it is looked at.
    private static let lookCount: Int64 = 8

    package let time: TimeAmount

    package init(time: TimeAmount) { self.time = time }

    var interval: TimeAmount { .nanoseconds(max(1_000_000, time.nanoseconds / Self.lookCount)) }
    var leastBytes: UInt64 { Self.floorBytes / UInt64(Self.lookCount) }
}

/// How patient operations are.
package struct OperationPatience: Sendable {
    /// How long an operation may take, all its rounds together.
    package var timeoutMilliseconds: Int
    /// After what time that which was not answered is asked again; the time doubles with each turn.
    package var retransmitMilliseconds: Int

    package init(timeoutMilliseconds: Int, retransmitMilliseconds: Int) {
        self.timeoutMilliseconds = timeoutMilliseconds
        self.retransmitMilliseconds = retransmitMilliseconds
    }
}

/// What all operations of a party share.
package struct OperationContext: Sendable {
    package let parameters: ClusterParameters
    package let patience: OperationPatience
    package let connections: ServerConnections
    package let verifier: StatementVerifier
    package let eventLoop: any EventLoop
    package let workers: NIOThreadPool

    package init(
        parameters: ClusterParameters, patience: OperationPatience, connections: ServerConnections,
        verifier: StatementVerifier, eventLoop: any EventLoop, workers: NIOThreadPool
    ) {
        self.parameters = parameters
        self.patience = patience
        self.connections = connections
        self.verifier = verifier
        self.eventLoop = eventLoop
        self.workers = workers
    }

    /// When an operation that begins now must be over.
    package var deadline: NIODeadline { .now() + .milliseconds(Int64(patience.timeoutMilliseconds)) }
}
