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
    /// The server has lost its memory: what it has said before counts no more.
    func renewed(_ server: NodeID)
    /// The connections are being closed: end now.
    func abandon()
}

extension ReplyReceiver {
    package func renewed(_ server: NodeID) {}
}

/// A listing as the connections see it. What it is told as a reply is a refusal.
package protocol ListingReceiver: ReplyReceiver {
    func receive(_ answer: ListingAnswer, from server: NodeID)
}

/// Who waits for what a server has committed. What it is told as a reply is a refusal.
package protocol SlotReceiver: ReplyReceiver {
    func receive(_ answer: SlotAnswer, from server: NodeID)
}

/// Who waits for an answer to an audit's message. What it is told as a reply is a refusal.
package protocol AuditReceiver: ReplyReceiver {
    func receive(_ message: AuditMessage, from server: NodeID)
}

/// One connection to each server that was ever needed.
package final class ServerConnections: Sendable {
    private struct OpenRequest {
        let receiver: any ReplyReceiver
        let server: NodeID
        /// Whether it brings fragments that take a slow line a while.
        let isLarge: Bool
    }

    private struct Peer {
        var connection: PeerConnection
        /// The versions of its lists; nil without a connection.
        var listVersions: ListVersions?
        /// Whether anything is asked of it, and taken from it; false without a connection.
        var isUsable = false
        /// What its HELLO says.
        var scope: ClusterScope?
        var demotedUntil = NIODeadline.distantPast
        /// What ended the last connection, or kept it from being made, until there is one again.
        var lastError: TransportError?
        /// Bytes of requests that had been sent before.
        var repeatedBytes: UInt64 = 0
    }

    private struct State {
        var nextNumber: UInt64 = 1
        var open: [UInt64: OpenRequest] = [:]
        var receivers: [ObjectIdentifier: any ReplyReceiver] = [:]
        var cluster: ClusterDescription
        /// FETCH-LISTs that are not answered yet, by number.
        var fetches: [UInt64: NodeID] = [:]
        /// Of every server of the cluster; idle until it is first needed.
        var peers: [NodeID: Peer] = [:]
        /// Bytes that crossed sockets of connections that others have taken the place of.
        var retiredBytes: (sent: UInt64, received: UInt64) = (0, 0)
        var isClosed = false
        /// The lives of servers that count.
        var fences: Fences
        /// The list of keys that all operations know of.
        var keysVersion: UInt64

        init(cluster: ClusterDescription) {
            self.cluster = cluster
            fences = cluster.statementKeys.fences
            keysVersion = cluster.lists.keys.version
        }

        /// Whether a server with this HELLO is to be listened to. One that goes by a newer list of keys may count no more
        /// what others have said, and what it says must not be put beside that before that list is known here as well.
        /// And one in an earlier life than the list names has been replaced.
        func isUsable(_ server: NodeID, _ scope: ClusterScope) -> Bool {
            let isKnown = scope.listVersions.keys <= keysVersion
            let isPresent = scope.incarnation.map { Incarnation($0) >= fences.incarnation(of: server) } ?? true
            return isKnown && isPresent
        }

        /// Listens to those that are to be listened to by now. Returns them.
        mutating func use() -> [NodeID] {
            var used: [NodeID] = []
            for (server, peer) in peers {
                guard let scope = peer.scope else { continue }
                let isUsable = isUsable(server, scope)
                if isUsable, !peer.isUsable { used.append(server) }
                peers[server]?.isUsable = isUsable
            }
            return used
        }
    }

    /// Room for the requests of many small operations at a time.
    private static let outboundBytesMin = 64 << 20

    private static let largeFragmentsSizeBytes = 16 << 10

    package let parameters: ClusterParameters
    private let incarnation: Incarnation?
    private let identity: Mutex<TransportIdentity>
    private let offered: (@Sendable (AnySignedList, _ sender: String) -> Void)?
    private let learned: @Sendable (ClusterDescription) -> Void
    private let group: any EventLoopGroup
    private let logger: Logger
    private let state: Mutex<State>

    /// Connects to nobody yet.
    ///
    /// - Parameters:
    ///   - incarnation: of a server that connects to others; nil of a client.
    ///   - identity: the key and certificate of whoever connects.
    ///   - offered: given newer lists that servers have; whoever goes by one says so by `follow`. Nil: they are gone by
    ///     at once.
    ///   - learned: told of lists that are gone by at once.
    /// - Throws: `.identity` when TLS refuses the key or certificate.
    package init(
        cluster: ClusterDescription, incarnation: Incarnation? = nil, identity: TransportIdentity,
        group: any EventLoopGroup, logger: Logger,
        offered: (@Sendable (AnySignedList, _ sender: String) -> Void)? = nil,
        learned: @escaping @Sendable (ClusterDescription) -> Void = { _ in }
    ) throws(TransportError) {
        parameters = cluster.parameters
        self.incarnation = incarnation
        self.identity = Mutex(identity)
        self.offered = offered
        self.learned = learned
        self.group = group
        self.logger = logger
        state = Mutex(State(cluster: cluster))
        var peers: [NodeID: Peer] = [:]
        for entry in cluster.servers {
            peers[entry.node] = Peer(
                connection: try connection(to: entry, scope: cluster.scope(incarnation: incarnation)))
        }
        state.withLock { $0.peers = peers }
    }

    private func connection(to entry: ServerEntry, scope: ClusterScope) throws(TransportError) -> PeerConnection {
        var limits = ConnectionLimits(parameters)
        limits.maximumOutboundBytes = max(limits.maximumOutboundBytes, Self.outboundBytesMin)
        var configuration = PeerConnectionConfiguration(
            serverNumber: entry.node.rawValue, host: entry.host, port: entry.port, expectedPin: entry.pin, scope: scope,
            limits: limits)
        configuration.secondPin = entry.secondPin
        return try PeerConnection(
            configuration, identity: identity.withLock { $0 }, eventLoop: group.next(), logger: logger
        ) { [weak self] event in self?.handle(event, from: entry.node) }
    }

    /// Goes by newer lists: connects to servers where and as what the list of addresses has them, and hands the lists
    /// to those that are behind. What is under way at a server that has moved is sent again.
    package func follow(_ cluster: ClusterDescription) {
        let scope = cluster.scope(incarnation: incarnation)
        let renewed = state.withLock { state in
            state.cluster = cluster
            let fences = cluster.statementKeys.fences
            let renewed = cluster.servers.map(\.node).filter {
                fences.outliving(state.fences.incarnation(of: $0), of: $0) != nil
            }
            state.fences = fences
            _ = state.use()
            return renewed
        }
        for connection in connections { connection.announce(scope) }
        renew(renewed[...], keysVersion: cluster.lists.keys.version)
        connectAnew(cluster) { known, entry in
            known.host != entry.host || known.port != entry.port || known.expectedPin != entry.pin
                || known.secondPin != entry.secondPin
        }
        let connected = state.withLock { $0.peers.compactMapValues(\.listVersions) }
        for (server, versions) in connected { exchangeLists(with: server, versions) }
    }

    /// Connects with this key and certificate from now on, and anew to whoever it is connected to.
    package func show(_ identity: TransportIdentity) {
        self.identity.withLock { $0 = identity }
        connectAnew(state.withLock { $0.cluster }) { _, _ in true }
    }

    /// Has other connections take the place of those that are not as they should be.
    private func connectAnew(
        _ cluster: ClusterDescription, where isOther: (PeerConnectionConfiguration, ServerEntry) -> Bool
    ) {
        let scope = cluster.scope(incarnation: incarnation)
        for entry in cluster.servers {
            guard let old = state.withLock({ $0.peers[entry.node]?.connection }),
                isOther(old.configuration, entry)
            else { continue }
            guard let new = try? connection(to: entry, scope: scope) else {
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

    /// Has operations forget what these servers have said in earlier lives, and only then listens to servers that go by
    /// the list which says so. Each on the loop on which its server's answers are delivered: none is on its way then.
    private func renew(_ servers: ArraySlice<NodeID>, keysVersion: UInt64) {
        if let server = servers.first, let loop = state.withLock({ $0.peers[server]?.connection.eventLoop }) {
            loop.execute {
                for receiver in self.state.withLock({ Array($0.receivers.values) }) { receiver.renewed(server) }
                self.renew(servers.dropFirst(), keysVersion: keysVersion)
            }
            return
        }
        let (used, receivers) = state.withLock { state in
            state.keysVersion = max(state.keysVersion, keysVersion)
            return (state.use(), Array(state.receivers.values))
        }
        for receiver in receivers {
            for server in used { receiver.connected(to: server) }
        }
    }

    /// Whether the server can be asked, and is listened to.
    package func isUsable(_ server: NodeID) -> Bool {
        state.withLock { state in
            guard let peer = state.peers[server] else { return false }
            return peer.isUsable && peer.connection.state == .connected
        }
    }

    // MARK: Lists

    /// Asks again for lists of keys that are newer at servers which are not listened to before they are known here.
    package func fetchKeysAgain() {
        let messages = state.withLock { state -> [(PeerConnection, EncodedMessage)] in
            let ours = state.cluster.lists.version(of: .keys)
            var messages: [(PeerConnection, EncodedMessage)] = []
            for (server, peer) in state.peers where (peer.scope?.listVersions.keys ?? 0) > ours {
                messages.append(
                    (peer.connection, ListMessage.fetch(.keys, known: ours).encoded(request: state.nextNumber)))
                state.fetches[state.nextNumber] = server
                state.nextNumber += 1
            }
            return messages
        }
        for (connection, message) in messages { connection.send(OutboundFrame(message)) }
    }

    /// Asks a server for lists that are newer there, and sends it those that are older there. Whoever connects does
    /// both, so the other side need not.
    private func exchangeLists(with server: NodeID, _ theirs: ListVersions) {
        var messages: [EncodedMessage] = []
        let connection = state.withLock { state -> PeerConnection? in
            let lists = state.cluster.lists
            for (kind, theirs) in [
                (ListKind.addresses, theirs.addresses), (.keys, theirs.keys), (.access, theirs.access),
            ] {
                let ours = lists.version(of: kind)
                if theirs > ours {
                    messages.append(ListMessage.fetch(kind, known: ours).encoded(request: state.nextNumber))
                    state.fetches[state.nextNumber] = server
                    state.nextNumber += 1
                } else if theirs < ours, let list = lists.list(kind) {
                    messages.append(ListMessage.offer(list.bytes).encoded(request: state.nextNumber))
                    state.nextNumber += 1
                }
            }
            // What is sent is known there from now on; what is fetched, and found to be nothing, is not asked for
            // again.
            let ours = ListVersions(
                addresses: max(theirs.addresses, lists.addresses.version), keys: max(theirs.keys, lists.keys.version),
                access: max(theirs.access, lists.access.version))
            state.peers[server]?.listVersions = ours
            return state.peers[server]?.connection
        }
        for message in messages { connection?.send(OutboundFrame(message)) }
    }

    private func received(listMessage frame: ByteBuffer, from server: NodeID) {
        let list: AnySignedList
        do {
            guard case (let number, .list(let bytes)) = try ListMessage.decode(frame),
                state.withLock({ $0.fetches.removeValue(forKey: number) }) == server
            else { return }
            // Somebody else may have taken it back meanwhile, as a liar would.
            if bytes.isEmpty { return }
            let configuration = state.withLock { $0.cluster.configuration }
            list = try AnySignedList(
                decoding: bytes, cluster: configuration.parameters.configuration.cluster,
                checkedBy: configuration.operatorKey)
        } catch {
            logger.debug("\(server) sent a list that is none: \(error)")
            demote(server, for: .seconds(10))
            return
        }
        if let offered {
            offered(list, "\(server)")
            return
        }
        let newer = state.withLock { state -> ClusterDescription? in
            guard let isNewer = try? state.cluster.take(list), isNewer else { return nil }
            return state.cluster
        }
        guard let newer else { return }
        logger.info("took over the \(list.kind), version \(list.version), from \(server)")
        learned(newer)
        follow(newer)
    }

    /// Begins to connect to these servers, unless that was done before.
    package func start(_ servers: some Sequence<NodeID>) {
        for connection in state.withLock({ state in servers.compactMap { state.peers[$0]?.connection } }) {
            connection.start()
        }
    }

    /// The cluster with the newest lists that servers have told of.
    package var cluster: ClusterDescription { state.withLock { $0.cluster } }

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
    package func register(_ receiver: any ReplyReceiver) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.receivers[ObjectIdentifier(receiver)] = receiver }
            return state.isClosed
        }
        if isClosed { receiver.abandon() }
    }

    /// Forgets the operation and its requests; replies to them are ignored.
    package func unregister(_ receiver: any ReplyReceiver, requests: [UInt64]) {
        state.withLock { state in
            state.receivers[ObjectIdentifier(receiver)] = nil
            for number in requests { state.open[number] = nil }
        }
    }

    /// Sends a request for an operation; without a connection, which it has made, it is lost, and `connected(to:)` tells
    /// when it can be sent again.
    ///
    /// - Parameter earlier: when the machine is reminded: the operation's requests so far. If one of them that takes a
    ///   slow line a while has not been answered, and the connection has not even taken all that it was given, another
    ///   such one is not sent: it would be more of the same behind that, and on a slow line most of all that is sent.
    /// - Returns: nil when it was not sent for that reason.
    package func send(
        _ request: Request, along route: Route, to server: NodeID, for receiver: any ReplyReceiver,
        after earlier: [UInt64]
    ) -> UInt64? {
        let isLarge = request.fragmentSizeBytes > Self.largeFragmentsSizeBytes
        let isRepeating = isLarge && hasLarge(among: earlier, to: server)
        if isRepeating, let connection = state.withLock({ $0.peers[server]?.connection }),
            connection.state == .connected, connection.queuedBytes > 0
        {
            return nil
        }
        let number = send(to: server, for: receiver, isLarge: isLarge) { request.encoded(request: $0, to: route) }
        if isRepeating { state.withLock { $0.peers[server]?.repeatedBytes += UInt64(request.fragmentSizeBytes) } }
        return number
    }

    private func hasLarge(among requests: [UInt64], to server: NodeID) -> Bool {
        state.withLock { state in
            requests.contains { number in
                state.open[number].map { $0.isLarge && $0.server == server } ?? false
            }
        }
    }

    /// The same for a listing.
    func send(_ query: ListingQuery, to server: NodeID, for receiver: any ListingReceiver) -> UInt64 {
        send(to: server, for: receiver) { ListingMessage.list(query).encoded(request: $0) }
    }

    /// The same for what a server has committed.
    package func send(_ query: SlotQuery, to server: NodeID, for receiver: any SlotReceiver) -> UInt64 {
        let epoch = parameters.configuration.epoch
        return send(to: server, for: receiver) { SlotMessage.list(query, epoch: epoch).encoded(request: $0) }
    }

    /// The same for an audit's messages.
    package func send(_ message: AuditMessage, to server: NodeID, for receiver: any AuditReceiver) -> UInt64 {
        send(to: server, for: receiver) { message.encoded(request: $0) }
    }

    private func send(
        to server: NodeID, for receiver: any ReplyReceiver, isLarge: Bool = false,
        _ message: (_ number: UInt64) -> EncodedMessage
    ) -> UInt64 {
        let (number, connection, isUsable) = state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            state.open[number] = OpenRequest(receiver: receiver, server: server, isLarge: isLarge)
            return (number, state.peers[server]?.connection, state.peers[server]?.isUsable ?? false)
        }
        guard let connection, case .connected = connection.state, isUsable else {
            connection?.start()
            return number
        }
        connection.send(OutboundFrame(message(number)))
        return number
    }

    /// Tells, of each server that has not answered these requests, how many bytes have crossed its connection: those of
    /// requests that were sent again left out.
    func withMovedBytes(
        waitingFor requests: [UInt64], _ body: @escaping @Sendable (_ server: NodeID, _ bytes: UInt64) -> Void
    ) {
        let waiting = state.withLock { state in
            var waiting: [NodeID: Peer] = [:]
            for number in requests {
                guard let server = state.open[number]?.server else { continue }
                waiting[server] = state.peers[server]
            }
            return waiting
        }
        for (server, peer) in waiting {
            peer.connection.withMovedBytes { all in body(server, all - min(all, peer.repeatedBytes)) }
        }
    }

    /// The servers that operations under way have asked and not heard of.
    package var waitedFor: Set<NodeID> { state.withLock { Set($0.open.values.map(\.server)) } }

    // MARK: Events

    private func handle(_ event: PeerConnectionEvent, from server: NodeID) {
        switch event {
        case .connected(let scope):
            let receivers = state.withLock { state in
                let isUsable = state.isUsable(server, scope)
                state.peers[server]?.listVersions = scope.listVersions
                state.peers[server]?.scope = scope
                state.peers[server]?.isUsable = isUsable
                state.peers[server]?.lastError = nil
                return isUsable ? Array(state.receivers.values) : []
            }
            exchangeLists(with: server, scope.listVersions)
            for receiver in receivers { receiver.connected(to: server) }
        case .disconnected(let error):
            state.withLock { state in
                state.peers[server]?.listVersions = nil
                state.peers[server]?.scope = nil
                state.peers[server]?.isUsable = false
                state.peers[server]?.lastError = error
                state.fetches = state.fetches.filter { $0.value != server }
            }
            logger.debug("\(error)")
        case .frame(let frame):
            guard !ListMessage.isOne(frame) else { return received(listMessage: frame, from: server) }
            guard !ListingMessage.isOne(frame) else { return received(listing: frame, from: server) }
            guard !SlotMessage.isOne(frame) else { return received(slots: frame, from: server) }
            guard !AuditMessage.isOne(frame) else { return received(audited: frame, from: server) }
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
            receiver(of: number, from: server)?.receive(reply, from: server)
        }
    }

    /// Who waits for what the server has answered; once.
    private func receiver(of number: UInt64, from server: NodeID) -> (any ReplyReceiver)? {
        state.withLock { state in
            guard let open = state.open[number], open.server == server, state.peers[server]?.isUsable ?? false
            else { return nil }
            state.open[number] = nil
            return open.receiver
        }
    }

    private func received(listing frame: ByteBuffer, from server: NodeID) {
        // Most of what nobody waits for any more came too late, and is not worth taking apart.
        let request = frame.getInteger(at: frame.readerIndex + 1, as: UInt64.self)
        guard request.map({ number in state.withLock { $0.open[number]?.server == server } }) ?? true else { return }
        guard case (let number, .listing(let answer))? = try? ListingMessage.decode(frame) else {
            logger.debug("\(server) sent a listing that is none")
            demote(server, for: .seconds(10))
            return
        }
        (receiver(of: number, from: server) as? any ListingReceiver)?.receive(answer, from: server)
    }

    private func received(slots frame: ByteBuffer, from server: NodeID) {
        guard case (let number, .answer(let answer))? = try? SlotMessage.decode(frame) else {
            logger.debug("\(server) sent what it has committed in no form")
            demote(server, for: .seconds(10))
            return
        }
        (receiver(of: number, from: server) as? any SlotReceiver)?.receive(answer, from: server)
    }

    private func received(audited frame: ByteBuffer, from server: NodeID) {
        guard let (number, message) = try? AuditMessage.decode(frame) else {
            logger.debug("\(server) sent fingerprints in no form")
            demote(server, for: .seconds(10))
            return
        }
        (receiver(of: number, from: server) as? any AuditReceiver)?.receive(message, from: server)
    }

    // MARK: Preference

    /// An object's positions in the order in which reads should ask their servers: those connected and in good standing
    /// first, in order, since the first m hold the data fragments, which need no decoding.
    package func preference(_ placement: Placement) -> [Position] {
        let now = NIODeadline.now()
        let peers = state.withLock { state in placement.nodes.map { state.peers[$0] } }
        func rank(_ position: Position) -> Int {
            guard let peer = peers[position.offset] else { return 3 }
            return (peer.demotedUntil > now ? 2 : 0) + (peer.connection.state == .connected && peer.isUsable ? 0 : 1)
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

    /// Where the channel to a server stands, and what it is called: "server 2 at 10.0.0.3:7002". One that is tried again
    /// stands where it stood before: that tells more than that it is being tried.
    package func channel(to server: NodeID) -> (state: PeerConnectionState, peer: String) {
        guard let peer = state.withLock({ $0.peers[server] }) else { return (.idle, "\(server)") }
        let state = peer.connection.state
        if state == .connecting, let error = peer.lastError {
            return (.disconnected(error), peer.connection.configuration.peer)
        }
        return (state, peer.connection.configuration.peer)
    }
}
