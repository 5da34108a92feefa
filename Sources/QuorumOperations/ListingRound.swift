// One LIST to every server of a cluster at once (docs/protocol.md, Listing): the answers of those who answer in time.

import NIOCore
import QuorumProtocol
import Synchronization

/// Asks each server the same, and waits until every group has answers enough, and a little longer for the others: what
/// all of them name alike need not be read.
package final class ListingRound: ListingReceiver {
    /// What came of it.
    package struct Outcome: Sendable {
        package var answers: [NodeID: ListingAnswer] = [:]
        package var refusals: [NodeID: Refusal] = [:]
        /// Servers whose answer is none to what was asked.
        package var liars: Set<NodeID> = []

        /// Whether nothing more is expected of the server.
        fileprivate func hasHeard(of node: NodeID) -> Bool {
            answers[node] != nil || refusals[node] != nil || liars.contains(node)
        }
    }

    private struct State {
        var outcome = Outcome()
        var requests: [UInt64] = []
        var timers: [Scheduled<Void>] = []
        var isHedging = false
        var isOver = false
        var continuation: CheckedContinuation<Outcome, Never>?
    }

    private let query: ListingQuery
    private let nodes: [NodeID]
    private let context: OperationContext
    private let deadline: NIODeadline
    private let hedge: HedgeTime
    private let state = Mutex(State())

    /// - Parameters:
    ///   - nodes: who is asked.
    ///   - hedge: how long the slower servers are given, once there are answers enough.
    package init(
        _ query: ListingQuery, nodes: [NodeID], deadline: NIODeadline, hedge: HedgeTime, context: OperationContext
    ) {
        self.query = query
        self.nodes = nodes
        self.deadline = deadline
        self.hedge = hedge
        self.context = context
    }

    /// Returns when all have answered, or enough and the others have had their time, or the deadline has passed.
    package func run() async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early = state.withLock { state -> Outcome? in
                    if state.isOver { return state.outcome }
                    state.continuation = continuation
                    return nil
                }
                if let early { return continuation.resume(returning: early) }
                begin()
            }
        } onCancel: {
            finish()
        }
    }

    private func begin() {
        context.connections.register(self)
        // Cancelled meanwhile, it was taken off the list before it was put there.
        if state.withLock({ $0.isOver }) { context.connections.unregister(self, requests: []) }
        for node in nodes { ask(node) }
        let loop = context.eventLoop
        let end = loop.scheduleTask(deadline: deadline) { self.finish() }
        keep(end)
        scheduleRetransmission()
    }

    private func scheduleRetransmission() {
        let time = TimeAmount.milliseconds(Int64(context.patience.retransmitMilliseconds))
        keep(
            context.eventLoop.scheduleTask(in: time) {
                for node in self.nodes where self.lacks(node) { self.ask(node) }
                self.scheduleRetransmission()
            })
    }

    private func keep(_ timer: Scheduled<Void>) {
        let isOver = state.withLock { state in
            if !state.isOver { state.timers.append(timer) }
            return state.isOver
        }
        if isOver { timer.cancel() }
    }

    private func lacks(_ node: NodeID) -> Bool {
        state.withLock { !$0.outcome.hasHeard(of: node) }
    }

    private func ask(_ node: NodeID) {
        guard !state.withLock({ $0.isOver }) else { return }
        let number = context.connections.send(query, to: node, for: self)
        let isOver = state.withLock { state in
            state.requests.append(number)
            return state.isOver
        }
        // It ended meanwhile, and has forgotten its other requests.
        if isOver { context.connections.unregister(self, requests: [number]) }
    }

    package func receive(_ answer: ListingAnswer, from server: NodeID) {
        note { outcome in
            guard outcome.answers[server] == nil, !outcome.liars.contains(server) else { return }
            if answer.answers(self.query) {
                outcome.answers[server] = answer
                outcome.refusals[server] = nil
            } else {
                outcome.liars.insert(server)
            }
        }
    }

    package func receive(_ reply: Reply, from server: NodeID) {
        guard case .refused(let refusal) = reply else { return }
        note { outcome in
            if !outcome.hasHeard(of: server) { outcome.refusals[server] = refusal }
        }
    }

    package func connected(to server: NodeID) {
        if nodes.contains(server), lacks(server) { ask(server) }
    }

    package func abandon() { finish() }

    private func note(_ change: (inout Outcome) -> Void) {
        enum Next { case wait, hedge, finish }
        let next = state.withLock { state -> Next in
            change(&state.outcome)
            let outcome = state.outcome
            if nodes.allSatisfy(outcome.hasHeard) { return .finish }
            guard !state.isHedging, hasEnough(outcome) else { return .wait }
            state.isHedging = true
            return .hedge
        }
        switch next {
        case .wait: break
        case .hedge: keep(context.eventLoop.scheduleTask(in: hedge.current) { self.finish() })
        case .finish: finish()
        }
    }

    private func hasEnough(_ outcome: Outcome) -> Bool {
        let need = ListingJudge.answersNeeded(context.parameters)
        return context.parameters.configuration.groups.allSatisfy { group in
            group.members.count { outcome.answers[$0] != nil } >= need
        }
    }

    private func finish() {
        let (continuation, outcome, timers, requests) = state.withLock { state in
            defer {
                state.isOver = true
                state.continuation = nil
                state.timers = []
            }
            return (state.continuation, state.outcome, state.timers, state.requests)
        }
        for timer in timers { timer.cancel() }
        context.connections.unregister(self, requests: requests)
        continuation?.resume(returning: outcome)
    }
}
