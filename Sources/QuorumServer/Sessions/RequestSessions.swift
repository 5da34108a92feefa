// Between connections and the replica: frames become requests of authenticated senders, replies find their way back.

import Logging
import NIOCore
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// Takes the endpoint's frames to the replica and the replica's replies to the right session.
final class RequestSessions: ServerEndpointDelegate {
    /// What a connection carries. One-way messages have one of their own, since nothing slows their sender down but
    /// that it is not read.
    private enum Traffic {
        case requests
        case oneWay

        init(number: UInt64) { self = number == 0 ? .oneWay : .requests }
    }

    /// Who is at the other end of a session.
    private struct Peer {
        let id: UInt64
        let principal: Principal
        /// Decided by the first message.
        var traffic: Traffic?

        /// Whether a message with this number may come from this peer here: one-way messages come from nodes only.
        func mayCarry(_ number: UInt64) -> Bool {
            if number == 0, case .client = principal { return false }
            return traffic == nil || traffic == Traffic(number: number)
        }
    }

    /// A well-formed message.
    private enum Content {
        case request(Request, Route)
        /// Of a type that this release does not know.
        case unknown(type: UInt8)

        static func decode(
            _ frame: ByteBuffer, parameters: ClusterParameters
        ) throws(WireError) -> (number: UInt64, content: Content) {
            do throws(WireError) {
                let (number, route, request) = try Request.decode(frame, parameters: parameters)
                return (number, .request(request, route))
            } catch .unsupported(let type, let number) {
                return (number, .unknown(type: type))
            }
        }
    }

    private struct OpenRequest {
        let session: Session
        /// The number under which the client knows its request.
        let number: UInt64
        let frameSizeBytes: Int
        /// What it is timed as; nil when it is of no known type.
        let timed: TimedRequest?
        let arrived: NIODeadline
    }

    private struct State {
        var peers: [ObjectIdentifier: Peer] = [:]
        var nextSession: UInt64 = 1
        /// Requests are numbered here, since a client may use a number twice.
        var nextRequest: UInt64 = 1
        var open: [RequestTag: OpenRequest] = [:]
    }

    private let parameters: ClusterParameters
    private let lists: ListService
    private let status: StatusService
    private let statistics: ServerStatistics
    private let latencies: RequestLatencies
    private let logger: Logger
    private let interposer: (any ServerInterposer)?
    private let state = Mutex(State())
    private let host = Mutex<ReplicaHost?>(nil)

    init(
        parameters: ClusterParameters, lists: ListService, status: StatusService, statistics: ServerStatistics,
        latencies: RequestLatencies, logger: Logger,
        interposer: (any ServerInterposer)? = nil
    ) {
        self.parameters = parameters
        self.lists = lists
        self.status = status
        self.statistics = statistics
        self.latencies = latencies
        self.logger = logger
        self.interposer = interposer
    }

    /// Names the replica that requests go to; before that none is accepted.
    func attach(_ replicaHost: ReplicaHost) {
        host.withLock { $0 = replicaHost }
    }

    /// Lets go of the replica: it holds on to this object, for its replies, and neither would be freed.
    func detach() {
        host.withLock { $0 = nil }
    }

    func sessionOpened(_ session: Session) {
        guard let principal = Principal(session.identity) else {
            logger.error("\(session.peer) has a malformed identity in the configuration")
            session.close()
            return
        }
        state.withLock { state in
            state.peers[ObjectIdentifier(session)] = Peer(id: state.nextSession, principal: principal)
            state.nextSession += 1
        }
        logger.debug("\(session.peer) connected")
    }

    func session(_ session: Session, received frame: ByteBuffer) {
        let size = frame.readableBytes
        guard let host = host.withLock({ $0 }),
            let peer = state.withLock({ $0.peers[ObjectIdentifier(session)] })
        else {
            session.completed(frameSizeBytes: size)
            return
        }
        guard !ListMessage.isOne(frame) else { return received(listMessage: frame, from: session) }
        guard !StatusMessage.isOne(frame) else { return received(statusMessage: frame, from: session) }
        guard !PendingMessage.isOne(frame) else {
            return received(pendingMessage: frame, from: session, peer.principal, host)
        }
        guard !ListingMessage.isOne(frame) else {
            return received(listingMessage: frame, from: session, peer.principal, host)
        }
        guard !SlotMessage.isOne(frame) else {
            return received(slotMessage: frame, from: session, peer.principal, host)
        }
        guard !WantsMessage.isOne(frame) else {
            return received(wantsMessage: frame, from: session, peer.principal, host)
        }
        guard !AuditMessage.isOne(frame) else {
            return received(auditMessage: frame, from: session, peer.principal, host)
        }
        let message: (number: UInt64, content: Content)
        do {
            message = try Content.decode(frame, parameters: parameters)
        } catch {
            refuse(session, frameSizeBytes: size, "\(error)")
            return
        }
        guard peer.mayCarry(message.number) else {
            refuse(session, frameSizeBytes: size, "number \(message.number) has no place on this connection")
            return
        }
        if peer.traffic == nil {
            state.withLock { $0.peers[ObjectIdentifier(session)]?.traffic = Traffic(number: message.number) }
        }
        if message.number == 0 {
            // Nobody waits for an answer.
            statistics.count { $0.ignoredMessages += 1 }
            logger.debug("\(session.peer) sent a one-way message of a type that is not known here")
            session.completed(frameSizeBytes: size)
            return
        }
        statistics.count { counters in
            counters.requests += 1
            if case .server = peer.principal { counters.serverRequests += 1 }
        }
        var timed: TimedRequest?
        if case .request(let request, _) = message.content { timed = TimedRequest(request) }
        let opened = OpenRequest(
            session: session, number: message.number, frameSizeBytes: size, timed: timed, arrived: .now())
        let tag = state.withLock { state in
            let tag = RequestTag(session: peer.id, request: state.nextRequest)
            state.nextRequest += 1
            state.open[tag] = opened
            return tag
        }
        switch message.content {
        case .unknown(let type):
            reply(tag, .refused(.unsupported(type: type)))
        case .request(let request, let route):
            guard let interposer else {
                host.submit(request, along: route, from: peer.principal, tag: tag)
                return
            }
            if let passed = interposer.receive(request, from: peer.principal, tag: tag) {
                host.submit(passed, along: route, from: peer.principal, tag: tag)
            }
        }
    }

    /// Gives a newer list to who asks for it, and takes one from who brings it.
    private func received(listMessage frame: ByteBuffer, from session: Session) {
        let size = frame.readableBytes
        let answer: @Sendable (UInt64, [UInt8]) -> Void = { number, list in
            self.answer(session, ListMessage.list(list).encoded(request: number), frameSizeBytes: size)
        }
        do {
            switch try ListMessage.decode(frame) {
            case (let number, .fetch(let kind, let known)):
                answer(number, lists.list(kind, after: known))
            case (let number, .offer(let bytes)):
                lists.take(bytes: bytes, from: session.peer) { complaint in
                    if let complaint {
                        self.refuse(session, frameSizeBytes: size, complaint)
                    } else {
                        answer(number, [])
                    }
                }
            case (_, .list):
                throw WireError.misdirected(.list)
            }
        } catch {
            refuse(session, frameSizeBytes: size, "\(error)")
        }
    }

    /// Tells who asks how this server is.
    private func received(statusMessage frame: ByteBuffer, from session: Session) {
        let size = frame.readableBytes
        do {
            guard case (let number, .fetch) = try StatusMessage.decode(frame) else {
                throw WireError.misdirected(.status)
            }
            status.ask { answer in
                guard let answer else { return session.completed(frameSizeBytes: size) }
                self.answer(session, StatusMessage.status(answer).encoded(request: number), frameSizeBytes: size)
            }
        } catch {
            refuse(session, frameSizeBytes: size, "\(error)")
        }
    }

    /// Tells a client what it has left unfinished.
    private func received(
        pendingMessage frame: ByteBuffer, from session: Session, _ principal: Principal, _ host: ReplicaHost
    ) {
        let size = frame.readableBytes
        let number: UInt64
        let message: PendingMessage
        do {
            (number, message) = try PendingMessage.decode(frame)
            guard case .list = message else { throw WireError.misdirected(.pending) }
        } catch {
            return refuse(session, frameSizeBytes: size, "\(error)")
        }
        guard case .list(let kind, let client, let last) = message else { return }
        let limit = PendingMessage.objectCountMax
        host.pendingObjects(kind, of: client, after: last, limit: limit, for: principal) { found in
            self.answer(session, number, found, frameSizeBytes: size) { keys in
                PendingMessage.objects(keys, hasMore: keys.count == limit).encoded(request: number)
            }
        }
    }

    /// Tells a client what is in a bucket.
    private func received(
        listingMessage frame: ByteBuffer, from session: Session, _ principal: Principal, _ host: ReplicaHost
    ) {
        let size = frame.readableBytes
        let number: UInt64
        let message: ListingMessage
        do {
            (number, message) = try ListingMessage.decode(frame)
            guard case .list = message else { throw WireError.misdirected(.listing) }
        } catch {
            return refuse(session, frameSizeBytes: size, "\(error)")
        }
        guard case .list(let query) = message else { return }
        statistics.count { $0.requests += 1 }
        host.list(query, for: principal) { found in
            self.answer(session, number, found, frameSizeBytes: size) { listing in
                let told = self.interposer.map { $0.list(query, listing) } ?? listing
                return told.map { ListingMessage.listing($0).encoded(request: number) }
            }
        }
    }

    /// Tells another server what is committed here.
    private func received(
        slotMessage frame: ByteBuffer, from session: Session, _ principal: Principal, _ host: ReplicaHost
    ) {
        let size = frame.readableBytes
        let number: UInt64
        let message: SlotMessage
        do {
            (number, message) = try SlotMessage.decode(frame)
            guard case .list = message else { throw WireError.misdirected(.slots) }
        } catch {
            return refuse(session, frameSizeBytes: size, "\(error)")
        }
        guard case .list(let query, let epoch) = message else { return }
        host.slots(query, epoch: epoch, for: principal) { found in
            self.answer(session, number, found, frameSizeBytes: size) {
                SlotMessage.answer($0).encoded(request: number)
            }
        }
    }

    /// Tells an administrator what the server lacks.
    private func received(
        wantsMessage frame: ByteBuffer, from session: Session, _ principal: Principal, _ host: ReplicaHost
    ) {
        let size = frame.readableBytes
        do {
            guard case (let number, .list(let last)) = try WantsMessage.decode(frame) else {
                throw WireError.misdirected(.wants)
            }
            let limit = WantsMessage.objectCountMax
            host.wants(after: last, limit: limit, for: principal) { found in
                self.answer(session, number, found, frameSizeBytes: size) { wants in
                    WantsMessage.wants(wants, hasMore: wants.count == limit).encoded(request: number)
                }
            }
        } catch {
            refuse(session, frameSizeBytes: size, "\(error)")
        }
    }

    /// Tells an auditor what the server has, and has it look at what somebody doubts.
    private func received(
        auditMessage frame: ByteBuffer, from session: Session, _ principal: Principal, _ host: ReplicaHost
    ) {
        let size = frame.readableBytes
        do {
            switch try AuditMessage.decode(frame) {
            case (let number, .ask(let query, let epoch)):
                host.audit(query, epoch: epoch, for: principal) { found in
                    self.answer(session, number, found, frameSizeBytes: size) { answer in
                        let stripes = answer.versions.reduce(0) { $0 + $1.fragments.count }
                        self.statistics.count { $0.auditedStripes += UInt64(stripes) }
                        let told = self.interposer.map { $0.audit(query, answer) } ?? answer
                        return told.map { AuditMessage.answer($0).encoded(request: number) }
                    }
                }
            case (let number, .doubt(let doubt, let epoch)):
                host.doubt(doubt, epoch: epoch, for: principal) { found in
                    self.answer(session, number, found, frameSizeBytes: size) {
                        AuditMessage.noted.encoded(request: number)
                    }
                }
            case (_, .answer): throw WireError.misdirected(.audited)
            case (_, .noted): throw WireError.misdirected(.noted)
            }
        } catch {
            refuse(session, frameSizeBytes: size, "\(error)")
        }
    }

    /// Answers with what was found, or why it may not be told. With nil it is not answered.
    private func answer<Found>(
        _ session: Session, _ number: UInt64, _ found: Result<Found, Refusal>, frameSizeBytes: Int,
        _ encoded: (Found) -> EncodedMessage?
    ) {
        switch found {
        case .success(let found):
            guard let message = encoded(found) else { return session.completed(frameSizeBytes: frameSizeBytes) }
            answer(session, message, frameSizeBytes: frameSizeBytes)
        case .failure(let refusal):
            statistics.countRefusal(refusal)
            answer(session, Reply.refused(refusal).encoded(request: number), frameSizeBytes: frameSizeBytes)
        }
    }

    /// Ends a session that sent what no correct peer sends.
    private func refuse(_ session: Session, frameSizeBytes: Int, _ reason: String) {
        statistics.count { $0.malformedFrames += 1 }
        logger.warning("\(session.peer) sent a frame that is no request, and is disconnected: \(reason)")
        // Frames that came in together with this one are still handed up; nobody listens to them any more.
        state.withLock { $0.peers[ObjectIdentifier(session)] = nil }
        session.completed(frameSizeBytes: frameSizeBytes)
        session.close()
    }

    func sessionClosed(_ session: Session, error: TransportError?) {
        state.withLock { $0.peers[ObjectIdentifier(session)] = nil }
        if let error {
            logger.debug("\(session.peer) is gone: \(error)")
        } else {
            logger.debug("\(session.peer) is gone")
        }
    }

    /// Returns when every request that has come in until now is answered, or its sender is gone and nothing more comes
    /// of it here.
    func answered() async {
        let next = state.withLock { $0.nextRequest }
        while state.withLock({ $0.open.keys.contains { $0.request < next } }) {
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Whose request this is; nil when it has been answered.
    func sender(of tag: RequestTag) -> Principal? {
        state.withLock { $0.open[tag]?.session }.flatMap { Principal($0.identity) }
    }

    /// Number of requests that are not answered.
    var openCount: Int { state.withLock { $0.open.count } }

    /// Lets go of a request that nobody is going to answer.
    func drop(_ tag: RequestTag) {
        guard let open = state.withLock({ $0.open.removeValue(forKey: tag) }) else {
            preconditionFailure("a request was let go of that was not open")
        }
        open.session.completed(frameSizeBytes: open.frameSizeBytes)
    }

    /// Answers a request, once.
    func reply(_ tag: RequestTag, _ reply: Reply) {
        guard let open = state.withLock({ $0.open.removeValue(forKey: tag) }) else {
            preconditionFailure("a request was answered twice")
        }
        if case .refused(let refusal) = reply {
            statistics.countRefusal(refusal)
            logger.debug("refused a request of \(open.session.peer): \(refusal)")
        } else if let timed = open.timed {
            latencies.add(timed, .now() - open.arrived)
        }
        answer(open.session, reply.encoded(request: open.number), frameSizeBytes: open.frameSizeBytes)
    }

    /// Sends the answer to a frame, which is done with then. Whoever does not take answers is disconnected.
    private func answer(_ session: Session, _ message: EncodedMessage, frameSizeBytes: Int) {
        let outcome = session.send(OutboundFrame(message))
        session.completed(frameSizeBytes: frameSizeBytes)
        switch outcome {
        case .queued, .notConnected:
            break
        case .queueFull, .memoryShort:
            logger.warning("\(session.peer) does not take its answers, and is disconnected")
            session.close()
        case .invalidSize(let sizeBytes, let limitBytes):
            logger.warning(
                """
                an answer to \(session.peer) has \(sizeBytes) bytes, not 1 to the \(limitBytes) that a frame may \
                have; the peer is disconnected
                """)
            session.close()
        }
    }
}

extension Principal {
    /// The principal of a pinned certificate; nil when the configuration names it wrongly.
    init?(_ identity: PeerIdentity) {
        switch identity {
        case .server(let number):
            self = .server(NodeID(number))
        case .client(let name):
            guard let id = ClientID(hexadecimal: name) else { return nil }
            self = .client(id)
        }
    }
}
