// One question to one server, and its answer. Nothing is asked twice: what got no answer is asked again with the next
// exchange.

import NIOCore
import QuorumProtocol
import QuorumWire
import Synchronization

/// What a server has answered.
package enum PeerAnswer: Sendable {
    case slots(SlotAnswer)
    case audit(AuditMessage)
    case reply(Reply)
}

/// Waits for one answer, until its task is cancelled.
package final class PeerQuestion: SlotReceiver, AuditReceiver {
    private static let patience = TimeAmount.seconds(15)

    private struct State {
        var continuation: CheckedContinuation<PeerAnswer?, Never>?
        var timer: Scheduled<Void>?
        var number: UInt64?
        var isOver = false
    }

    private let server: NodeID
    private let context: OperationContext
    private let state = Mutex(State())

    private init(_ server: NodeID, _ context: OperationContext) {
        self.server = server
        self.context = context
    }

    /// What the server answers; nil when it does not in time.
    package static func ask(_ query: SlotQuery, of server: NodeID, _ context: OperationContext) async -> PeerAnswer? {
        let question = PeerQuestion(server, context)
        return await question.wait { context.connections.send(query, to: server, for: question) }
    }

    package static func ask(
        _ message: AuditMessage, of server: NodeID, _ context: OperationContext
    ) async -> PeerAnswer? {
        let question = PeerQuestion(server, context)
        return await question.wait { context.connections.send(message, to: server, for: question) }
    }

    package static func ask(_ request: Request, of server: NodeID, _ context: OperationContext) async -> PeerAnswer? {
        let question = PeerQuestion(server, context)
        let route = context.parameters.placement(of: request.key).route
        return await question.wait {
            context.connections.send(request, along: route, to: server, for: question, after: [])
        }
    }

    private func wait(_ send: () -> UInt64?) async -> PeerAnswer? {
        // It would be lost.
        guard context.connections.isUsable(server) else { return nil }
        return await withTaskCancellationHandler {
            await answer(send)
        } onCancel: {
            finish(nil)
        }
    }

    private func answer(_ send: () -> UInt64?) async -> PeerAnswer? {
        await withCheckedContinuation { continuation in
            let isCancelled = state.withLock { state in
                if !state.isOver { state.continuation = continuation }
                return state.isOver
            }
            guard !isCancelled else { return continuation.resume(returning: nil) }
            context.connections.register(self)
            let timer = context.eventLoop.scheduleTask(in: Self.patience) { self.finish(nil) }
            let number = send()
            let isOver = state.withLock { state in
                state.timer = timer
                state.number = number
                return state.isOver
            }
            // It ended meanwhile, and nobody was there to clear up behind it.
            if isOver { clear(timer, number) }
        }
    }

    private func finish(_ answer: PeerAnswer?) {
        let (continuation, timer, number) = state.withLock { state in
            state.isOver = true
            defer { state.continuation = nil }
            return (state.continuation, state.timer, state.number)
        }
        if let timer { clear(timer, number) }
        continuation?.resume(returning: answer)
    }

    private func clear(_ timer: Scheduled<Void>, _ number: UInt64?) {
        timer.cancel()
        context.connections.unregister(self, requests: number.map { [$0] } ?? [])
    }

    package func receive(_ answer: SlotAnswer, from server: NodeID) {
        if server == self.server { finish(.slots(answer)) }
    }

    package func receive(_ message: AuditMessage, from server: NodeID) {
        if server == self.server { finish(.audit(message)) }
    }

    package func receive(_ reply: Reply, from server: NodeID) {
        if server == self.server { finish(.reply(reply)) }
    }

    package func connected(to server: NodeID) {
        // What was asked over the old connection is lost.
        if server == self.server { finish(nil) }
    }

    package func abandon() { finish(nil) }
}
