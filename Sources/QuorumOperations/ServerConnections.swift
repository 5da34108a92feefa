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
    func receive(_ reply: Reply, from server: NodeID)
    /// The channel to the server is there again; what was under way on the old one is lost.
    func connected(to server: NodeID)
    /// The connections are being closed: end now.
    func abandon()
}

/// One connection to each server that was ever needed.
package final class ServerConnections: Sendable {
    private struct OpenRequest {
        let receiver: any ReplyReceiver
        let server: NodeID
    }

    private struct Peer {
        var connection: PeerConnection
        var demotedUntil = NIODeadline.distantPast
    }

    private struct State {
        var nextNumber: UInt64 = 1
        var open: [UInt64: OpenRequest] = [:]
        var receivers: [ObjectIdentifier: any ReplyReceiver] = [:]
        /// Of every server of the cluster; idle until it is first needed.
        var peers: [NodeID: Peer] = [:]
        /// Bytes that crossed sockets of connections that others have taken the place of.
        var retiredBytes: (sent: UInt64, received: UInt64) = (0, 0)
        var isClosed = false
    }

    /// Room for the requests of many small operations at a time.
    private static let outboundBytesMin = 64 << 20

    package let parameters: ClusterParameters
    private let identity: TransportIdentity
    private let group: any EventLoopGroup
    private let logger: Logger
    private let state: Mutex<State>

    /// Connects to nobody yet.
    ///
    /// - Parameter identity: the key and certificate of whoever connects.
    /// - Throws: `.identity` when TLS refuses the key or certificate.
    package init(
        cluster: ClusterDescription, identity: TransportIdentity, group: any EventLoopGroup, logger: Logger
    ) throws(TransportError) {
        parameters = cluster.parameters
        self.identity = identity
        self.group = group
        self.logger = logger
        state = Mutex(State())
        var peers: [NodeID: Peer] = [:]
        for entry in cluster.servers {
            peers[entry.node] = Peer(connection: try connection(to: entry, scope: cluster.scope))
        }
        state.withLock { $0.peers = peers }
    }

    private func connection(to entry: ServerEntry, scope: ClusterScope) throws(TransportError) -> PeerConnection {
        var limits = ConnectionLimits(parameters)
        limits.maximumOutboundBytes = max(limits.maximumOutboundBytes, Self.outboundBytesMin)
        let configuration = PeerConnectionConfiguration(
            serverNumber: entry.node.rawValue, host: entry.host, port: entry.port, expectedPin: entry.pin, scope: scope,
            limits: limits)
        return try PeerConnection(
            configuration, identity: identity, eventLoop: group.next(), logger: logger
        ) { [weak self] event in self?.handle(event, from: entry.node) }
    }

    /// Connects to servers where a newer list of addresses has them, and as what it knows them. What is under way at a
    /// server that has moved is sent again.
    package func follow(_ cluster: ClusterDescription) {
        for entry in cluster.servers {
            guard let old = state.withLock({ $0.peers[entry.node]?.connection }) else { continue }
            let known = old.configuration
            if known.host == entry.host, known.port == entry.port, known.expectedPin == entry.pin { continue }
            guard let new = try? connection(to: entry, scope: cluster.scope) else {
                // The identity was good when the first connection was made.
                logger.error("no connection to \(entry.node) can be made")
                continue
            }
            let isClosed = state.withLock { state in
                guard !state.isClosed else { return true }
                let counters = old.counters
                state.retiredBytes.sent += counters.sentBytes
                state.retiredBytes.received += counters.receivedBytes
                state.peers[entry.node] = Peer(connection: new)
                return false
            }
            guard !isClosed else { return }
            let wasUsed = old.state != .idle
            old.close()
            if wasUsed { new.start() }
        }
    }

    /// Begins to connect to these servers, unless that was done before.
    package func start(_ servers: some Sequence<NodeID>) {
        for connection in state.withLock({ state in servers.compactMap { state.peers[$0]?.connection } }) {
            connection.start()
        }
    }

    private var connections: [PeerConnection] { state.withLock { $0.peers.values.map(\.connection) } }

    /// Whether requests still wait for the socket of a server that can be reached.
    package var hasQueuedRequests: Bool {
        connections.contains { $0.state == .connected && $0.queuedBytes > 0 }
    }

    /// Bytes that crossed the sockets so far, TLS included.
    package var trafficBytes: (sent: UInt64, received: UInt64) {
        let retired = state.withLock { $0.retiredBytes }
        return connections.map(\.counters).reduce(retired) { total, counters in
            (total.sent + counters.sentBytes, total.received + counters.receivedBytes)
        }
    }

    /// Ends every operation and closes every connection.
    package func close() {
        let (receivers, connections) = state.withLock { state in
            state.isClosed = true
            return (Array(state.receivers.values), state.peers.values.map(\.connection))
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

    /// Sends a request for an operation and returns its number; without a connection, which it has made, it is lost, and
    /// `connected(to:)` tells when it can be sent again.
    func send(
        _ request: Request, along route: Route, to server: NodeID, for receiver: any ReplyReceiver
    ) -> UInt64 {
        let (number, connection) = state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            state.open[number] = OpenRequest(receiver: receiver, server: server)
            return (number, state.peers[server]?.connection)
        }
        guard let connection, case .connected = connection.state else {
            connection?.start()
            return number
        }
        connection.send(OutboundFrame(request.encoded(request: number, to: route)))
        return number
    }

    // MARK: Events

    private func handle(_ event: PeerConnectionEvent, from server: NodeID) {
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

    /// An object's positions in the order in which reads should ask their servers: those connected and in good standing
    /// first, in order, since the first m hold the data fragments, which need no decoding.
    package func preference(_ placement: Placement) -> [Position] {
        let now = NIODeadline.now()
        let peers = state.withLock { state in placement.nodes.map { state.peers[$0] } }
        func rank(_ position: Position) -> Int {
            guard let peer = peers[position.offset] else { return 3 }
            return (peer.demotedUntil > now ? 2 : 0) + (peer.connection.state == .connected ? 0 : 1)
        }
        return parameters.quorums.positions.map { (rank: rank($0), position: $0) }
            .sorted { ($0.rank, $0.position) < ($1.rank, $1.position) }
            .map(\.position)
    }

    /// Has the server asked last for some time.
    package func demote(_ server: NodeID, for time: TimeAmount) {
        state.withLock { $0.peers[server]?.demotedUntil = .now() + time }
    }

    package func isDemoted(_ server: NodeID) -> Bool {
        state.withLock { $0.peers[server]?.demotedUntil }.map { $0 > .now() } ?? false
    }

    /// Where the channel to a server stands, and what it is called: "server 2 at 10.0.0.3:7002".
    package func channel(to server: NodeID) -> (state: PeerConnectionState, peer: String) {
        guard let connection = state.withLock({ $0.peers[server]?.connection }) else { return (.idle, "\(server)") }
        return (connection.state, connection.configuration.peer)
    }
}
