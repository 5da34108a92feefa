// Asking every server of a cluster what none of them needs the others for.

import ClusterFiles
import Logging
import NIOCore
import NIOPosix
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// A question to every server of a cluster at once. Nothing of what they answer is signed: a lying server says what it
/// likes.
final class EveryServer<Answer: Sendable>: Sendable {
    /// What a frame that a server has sent leads to.
    enum Step: Sendable {
        case ask(EncodedMessage)
        case finish(Answer)
        /// It is no answer; why, for people.
        case giveUp(String)
    }

    private struct State {
        var connections: [NodeID: PeerConnection] = [:]
        var answers: [NodeID: ServerAnswer<Answer>] = [:]
        var continuation: CheckedContinuation<Void, Never>?
    }

    private let first: EncodedMessage
    private let take: @Sendable (NodeID, ByteBuffer) -> Step
    private let state = Mutex(State())

    private init(first: EncodedMessage, take: @escaping @Sendable (NodeID, ByteBuffer) -> Step) {
        self.first = first
        self.take = take
    }

    /// Asks all servers at once, as the client whose home this is.
    ///
    /// - Parameters:
    ///   - only: nobody else is asked; nil: all are.
    ///   - first: what each server is asked first.
    ///   - take: judges what a server has sent; called for one frame of a server after the other.
    /// - Returns: an answer for each server, when all are there or the time is over.
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    static func ask(
        _ home: ClientHome, only: Set<NodeID>? = nil, timeoutMilliseconds: Int, first: EncodedMessage,
        take: @escaping @Sendable (NodeID, ByteBuffer) -> Step
    ) async throws(TransportError) -> [NodeID: ServerAnswer<Answer>] {
        let asking = EveryServer(first: first, take: take)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            for server in home.cluster.servers where only?.contains(server.node) ?? true {
                try asking.prepare(server, home, group.next())
            }
        } catch {
            group.shutdownGracefully { _ in }
            throw error
        }
        let answers = await asking.run(group.next(), timeoutMilliseconds: timeoutMilliseconds)
        try? await group.shutdownGracefully()
        return answers
    }

    private func prepare(_ server: ServerEntry, _ home: ClientHome, _ loop: any EventLoop) throws(TransportError) {
        var configuration = PeerConnectionConfiguration(
            serverNumber: server.node.rawValue, host: server.host, port: server.port, expectedPin: server.pin,
            scope: home.cluster.scope, limits: ConnectionLimits(home.cluster.parameters))
        configuration.secondPin = server.secondPin
        let node = server.node
        let connection = try PeerConnection(
            configuration, identity: home.identity, eventLoop: loop,
            logger: Logger(label: "solidus.servers") { _ in SwiftLogNoOpLogHandler() }
        ) { [weak self] event in self?.handle(event, from: node) }
        state.withLock { $0.connections[node] = connection }
    }

    private func run(_ loop: any EventLoop, timeoutMilliseconds: Int) async -> [NodeID: ServerAnswer<Answer>] {
        let connections = state.withLock { $0.connections }
        await withCheckedContinuation { continuation in
            // Before anything that ends the waiting.
            state.withLock { $0.continuation = continuation }
            loop.scheduleTask(in: .milliseconds(Int64(timeoutMilliseconds))) { self.finish() }
            for connection in connections.values { connection.start() }
        }
        var answers = state.withLock { $0.answers }
        for (node, connection) in connections where answers[node] == nil {
            let isConnected = connection.state == .connected
            answers[node] = .silent(
                isConnected
                    ? "it is connected and does not answer" : "no connection came about in \(timeoutMilliseconds) ms")
        }
        for connection in connections.values { connection.close() }
        return answers
    }

    private func handle(_ event: PeerConnectionEvent, from node: NodeID) {
        switch event {
        case .connected:
            send(first, to: node)
        case .disconnected(let error):
            note(.unreachable(error), of: node)
        case .frame(let frame):
            // The first answer of a server counts.
            guard state.withLock({ $0.answers[node] == nil }) else { return }
            switch take(node, frame) {
            case .ask(let next): send(next, to: node)
            case .finish(let answer): note(.answer(answer), of: node)
            case .giveUp(let reason): note(.silent(reason), of: node)
            }
        }
    }

    private func send(_ message: EncodedMessage, to node: NodeID) {
        state.withLock { $0.connections[node] }?.send(OutboundFrame(message))
    }

    private func note(_ answer: ServerAnswer<Answer>, of node: NodeID) {
        let isComplete = state.withLock { state in
            if state.answers[node] == nil { state.answers[node] = answer }
            return state.answers.count == state.connections.count
        }
        if isComplete { finish() }
    }

    private func finish() {
        let continuation = state.withLock { state in
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume()
    }
}

/// What came of asking one server.
package enum ServerAnswer<Answer: Sendable>: Sendable {
    case answer(Answer)
    /// It is there, and there is no answer from it.
    case silent(String)
    /// It cannot be reached.
    case unreachable(TransportError)
}
