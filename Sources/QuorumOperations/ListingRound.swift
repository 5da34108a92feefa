// One LIST to several servers at once (docs/protocol.md, Listing): the shell around a ListingCollector, with its
// timers.

import NIOCore
import QuorumProtocol
import Synchronization

/// Asks each server the same, and tells what they answer: once when every group has answers enough, and, if more is
/// waited for then, again in the end.
package final class ListingRound: ListingReceiver {
    private struct State {
        var collector: ListingCollector
        var requests: [UInt64] = []
        var timers: [Scheduled<Void>] = []
        var isOver = false
    }

    private let query: ListingQuery
    private let context: OperationContext
    private let hedge: HedgeTime
    private let report: @Sendable (ListingOutcome, _ isFinal: Bool) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - nodes: who is asked.
    ///   - hedge: how long the slower servers are given, if somebody waits for them.
    ///   - report: may be called from any thread; not again after it was told what is final, or after `leave`.
    package init(
        _ query: ListingQuery, nodes: [NodeID], hedge: HedgeTime, context: OperationContext,
        report: @escaping @Sendable (ListingOutcome, _ isFinal: Bool) -> Void
    ) {
        self.query = query
        self.hedge = hedge
        self.context = context
        self.report = report
        state = Mutex(State(collector: ListingCollector(query, nodes: nodes, context.parameters)))
    }

    package func begin() {
        context.connections.register(self)
        // Ended meanwhile, it was taken off the list before it was put there.
        if state.withLock({ $0.isOver }) { context.connections.unregister(self, requests: []) }
        for node in silent { ask(node) }
        keep(context.eventLoop.scheduleTask(deadline: context.deadline) { self.finish() })
        scheduleRetransmission()
    }

    /// Gives the servers that have not answered the hedge time.
    package func waitForMore() { keep(context.eventLoop.scheduleTask(in: hedge.current) { self.finish() }) }

    /// Ends it without a word.
    package func leave() { _ = end() }

    /// Ends it with what there is.
    package func finish() {
        if let outcome = end() { report(outcome, true) }
    }

    private func scheduleRetransmission() {
        let time = TimeAmount.milliseconds(Int64(context.patience.retransmitMilliseconds))
        keep(
            context.eventLoop.scheduleTask(in: time) {
                for node in self.silent { self.ask(node) }
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

    private var silent: [NodeID] { state.withLock { $0.isOver ? [] : $0.collector.silent } }

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
        note { $0.take(answer, from: server) }
    }

    package func receive(_ reply: Reply, from server: NodeID) {
        guard case .refused(let refusal) = reply else { return }
        note { $0.take(refusal, from: server) }
    }

    package func connected(to server: NodeID) {
        if silent.contains(server) { ask(server) }
    }

    package func abandon() { finish() }

    private func note(_ take: (inout ListingCollector) -> ListingCollector.Step) {
        let (step, outcome) = state.withLock { state in
            (state.isOver ? .wait : take(&state.collector), state.collector.outcome)
        }
        switch step {
        case .wait: break
        case .enough: report(outcome, false)
        case .complete: finish()
        }
    }

    /// What there is, if it had not ended before.
    private func end() -> ListingOutcome? {
        let (outcome, timers, requests) = state.withLock { state in
            defer {
                state.isOver = true
                state.timers = []
                state.requests = []
            }
            return (state.isOver ? nil : state.collector.outcome, state.timers, state.requests)
        }
        for timer in timers { timer.cancel() }
        context.connections.unregister(self, requests: requests)
        return outcome
    }
}
