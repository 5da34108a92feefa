// Asking every server of a cluster how it is.

import ClusterFiles
import Logging
import NIOCore
import NIOPosix
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// What the servers of a cluster say of themselves. Nothing of it is signed: a lying server says what it likes.
package final class ClusterHealth: Sendable {
    /// What came of asking one server.
    package enum Answer: Sendable {
        case status(ServerStatus)
        /// It is there, and there is no status from it.
        case silent(String)
        /// It cannot be reached.
        case unreachable(TransportError)
    }

    private struct State {
        var connections: [NodeID: PeerConnection] = [:]
        var answers: [NodeID: Answer] = [:]
        var continuation: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    private init() {}

    /// Asks all servers at once, as the client whose home this is.
    ///
    /// - Returns: an answer for each server, when all are there or the time is over.
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    package static func ask(
        _ home: ClientHome, timeoutMilliseconds: Int
    ) async throws(TransportError) -> [NodeID: Answer] {
        let health = ClusterHealth()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            for server in home.cluster.servers { try health.prepare(server, home, group.next()) }
        } catch {
            group.shutdownGracefully { _ in }
            throw error
        }
        let answers = await health.run(group.next(), timeoutMilliseconds: timeoutMilliseconds)
        try? await group.shutdownGracefully()
        return answers
    }

    private func prepare(_ server: ServerEntry, _ home: ClientHome, _ loop: any EventLoop) throws(TransportError) {
        let configuration = PeerConnectionConfiguration(
            serverNumber: server.node.rawValue, host: server.host, port: server.port, expectedPin: server.pin,
            scope: home.cluster.scope, limits: ConnectionLimits(home.cluster.parameters))
        let node = server.node
        let connection = try PeerConnection(
            configuration, identity: home.identity, eventLoop: loop,
            logger: Logger(label: "solidus.health") { _ in SwiftLogNoOpLogHandler() }
        ) { [weak self] event in self?.handle(event, from: node) }
        state.withLock { $0.connections[node] = connection }
    }

    private func run(_ loop: any EventLoop, timeoutMilliseconds: Int) async -> [NodeID: Answer] {
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
            let connection = state.withLock { $0.connections[node] }
            connection?.send(OutboundFrame(StatusMessage.fetch.encoded(request: 1)))
        case .disconnected(let error):
            note(.unreachable(error), of: node)
        case .frame(let frame):
            if let (number, message) = try? StatusMessage.decode(frame), number == 1, case .status(let status) = message
            {
                note(.status(status), of: node)
            } else {
                note(.silent("it does not know what is asked; it may be of another release"), of: node)
            }
        }
    }

    /// The first answer of a server counts.
    private func note(_ answer: Answer, of node: NodeID) {
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
