// One party's channels to all servers of the cluster, shared by its operations: requests go out under numbers, and each
// reply finds the operation and the server that its number stands for.

import ClusterFiles
import ErasureCode
import Logging
import NIOCore
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// An operation as the connections see it.
package protocol ReplyReceiver: AnyObject, Sendable {
    func receive(_ reply: Reply, from server: ServerIndex)
    /// The channel to the server is there again; what was under way on the old one is lost.
    func connected(to server: ServerIndex)
    /// The connections are being closed: end now.
    func abandon()
}

/// One connection to each server.
package final class ServerConnections: Sendable {
    private struct OpenRequest {
        let receiver: any ReplyReceiver
        let server: ServerIndex
    }

    private struct State {
        var nextNumber: UInt64 = 1
        var open: [UInt64: OpenRequest] = [:]
        var receivers: [ObjectIdentifier: any ReplyReceiver] = [:]
        var connections: [PeerConnection] = []
        var demotedUntil: [NIODeadline]
        var isClosed = false
    }

    /// Room for the requests of many small operations at a time.
    private static let outboundBytesMin = 64 << 20

    package let parameters: ClusterParameters
    private let logger: Logger
    private let state: Mutex<State>

    /// Starts connecting to every server.
    ///
    /// - Parameter identity: the key and certificate of whoever connects.
    /// - Throws: `.identity` when TLS refuses the key or certificate.
    package init(
        cluster: ClusterConfiguration, identity: TransportIdentity, group: any EventLoopGroup, logger: Logger
    ) throws(TransportError) {
        parameters = cluster.parameters
        self.logger = logger
        let servers = cluster.servers
        state = Mutex(State(demotedUntil: Array(repeating: .distantPast, count: servers.count)))
        var limits = ConnectionLimits(parameters)
        limits.maximumOutboundBytes = max(limits.maximumOutboundBytes, Self.outboundBytesMin)
        var connections: [PeerConnection] = []
        for entry in servers {
            let configuration = PeerConnectionConfiguration(
                serverIndex: entry.index.rawValue, host: entry.host, port: entry.port, expectedPin: entry.pin,
                scope: cluster.scope, limits: limits)
            connections.append(
                try PeerConnection(
                    configuration, identity: identity, eventLoop: group.next(), logger: logger
                ) { [weak self] event in self?.handle(event, from: entry.index) })
        }
        state.withLock { $0.connections = connections }
        for connection in connections { connection.start() }
    }

    /// Whether requests still wait for the socket of a server that can be reached.
    package var hasQueuedRequests: Bool {
        state.withLock { $0.connections }.contains { $0.state == .connected && $0.queuedBytes > 0 }
    }

    /// Bytes that crossed the sockets so far, TLS included.
    package var trafficBytes: (sent: UInt64, received: UInt64) {
        state.withLock { $0.connections }.map(\.counters).reduce((sent: 0, received: 0)) { total, counters in
            (total.sent + counters.sentBytes, total.received + counters.receivedBytes)
        }
    }

    /// Ends every operation and closes every connection.
    package func close() {
        let (receivers, connections) = state.withLock { state in
            state.isClosed = true
            return (Array(state.receivers.values), state.connections)
        }
        for receiver in receivers { receiver.abandon() }
        for connection in connections { connection.close() }
    }

    // MARK: Operations

    /// From now on the operation is told of connections that come back, and of the end.
    func register(_ receiver: any ReplyReceiver) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.receivers[ObjectIdentifier(receiver)] = receiver }
            return state.isClosed
        }
        if isClosed { receiver.abandon() }
    }

    /// Forgets the operation and its requests; replies to them are ignored.
    func unregister(_ receiver: any ReplyReceiver, requests: [UInt64]) {
        state.withLock { state in
            state.receivers[ObjectIdentifier(receiver)] = nil
            for number in requests { state.open[number] = nil }
        }
    }

    /// Sends a request for an operation and returns its number; without a connection it is lost, and `connected(to:)`
    /// tells when it can be sent again.
    func send(_ request: Request, to server: ServerIndex, for receiver: any ReplyReceiver) -> UInt64 {
        let (number, connection) = state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            state.open[number] = OpenRequest(receiver: receiver, server: server)
            return (number, state.connections[server.offset])
        }
        guard case .connected = connection.state else { return number }
        connection.send(OutboundFrame(request.encoded(request: number)))
        return number
    }

    // MARK: Events

    private func handle(_ event: PeerConnectionEvent, from server: ServerIndex) {
        switch event {
        case .connected:
            for receiver in state.withLock({ Array($0.receivers.values) }) { receiver.connected(to: server) }
        case .disconnected(let error):
            logger.debug("\(error)")
        case .frame(let frame):
            let number: UInt64
            let reply: Reply
            do {
                (number, reply) = try Reply.decode(frame, parameters: parameters)
            } catch {
                // At a level that nobody has switched on: a liar could fill the log.
                logger.debug("\(server) sent a frame that is no reply: \(error)")
                demote(server, for: .seconds(10))
                return
            }
            let receiver = state.withLock { state -> (any ReplyReceiver)? in
                guard let open = state.open[number], open.server == server else { return nil }
                state.open[number] = nil
                return open.receiver
            }
            receiver?.receive(reply, from: server)
        }
    }

    // MARK: Preference

    /// All servers in the order in which reads should ask them: those connected and in good standing first, by
    /// position, since the first m hold the data fragments, which need no decoding.
    package func preference() -> [ServerIndex] {
        let now = NIODeadline.now()
        let (connections, demotedUntil) = state.withLock { ($0.connections, $0.demotedUntil) }
        func rank(_ server: ServerIndex) -> Int {
            let isConnected = connections[server.offset].state == .connected
            return (demotedUntil[server.offset] > now ? 2 : 0) + (isConnected ? 0 : 1)
        }
        return parameters.quorums.servers.map { (rank: rank($0), server: $0) }
            .sorted { ($0.rank, $0.server) < ($1.rank, $1.server) }
            .map(\.server)
    }

    /// Has the server asked last for some time.
    package func demote(_ server: ServerIndex, for time: TimeAmount) {
        state.withLock { $0.demotedUntil[server.offset] = .now() + time }
    }

    package func isDemoted(_ server: ServerIndex) -> Bool {
        state.withLock { $0.demotedUntil[server.offset] } > .now()
    }

    /// Where the channel to a server stands, and what it is called: "server 2 at 10.0.0.3:7002".
    package func channel(to server: ServerIndex) -> (state: PeerConnectionState, peer: String) {
        let connection = state.withLock { $0.connections[server.offset] }
        return (connection.state, connection.configuration.peer)
    }
}
