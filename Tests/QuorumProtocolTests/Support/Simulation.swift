// A cluster and its clients in one thread: every message, every piece of work and every completion is an event, and a
// scheduler picks the next one, in order or by a seeded generator that also loses, duplicates and crashes.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// What a server under a liar's control answers; nil leaves the answer to the honest replica inside.
typealias Lie = (_ simulation: Simulation, _ session: Int, _ request: Request) -> [Reply]?
/// How a liar rewrites what the honest replica inside would have said.
typealias Rewrite = (_ simulation: Simulation, _ session: Int, _ reply: Reply) -> [Reply]

final class Simulation {
    enum Event {
        case request(Position, session: Int, Request)
        case reply(session: Int, Position, Reply)
        case work(Position, life: Int, ReplicaEffect)
        case completion(Position, life: Int, ReplicaInput)
        case writer(session: Int, Writer.Input)
        case reader(session: Int, Reader.Input)
    }

    let group: TestGroup
    let hosts: [ReplicaHost]
    var generator: SplitMix64
    /// Whether events come in a random order; otherwise in the order in which they were made.
    let isShuffled: Bool
    var lossPercent = 0
    var duplicationPercent = 0
    /// Servers whose messages wait longer than others'.
    var slowServers: Set<Position> = []
    var lies: [Position: Lie] = [:]
    var rewrites: [Position: Rewrite] = [:]
    /// Messages for which this is true are lost.
    var loses: (Event) -> Bool = { _ in false }
    /// Events for which this is true wait until `release`.
    var holds: (Event) -> Bool = { _ in false }
    /// Servers for which this is true verify when their replica asks for it.
    var verifies: (Position) -> Bool = { _ in true }
    let transcript: Transcript?
    private(set) var sessions: [Session] = []
    private(set) var steps = 0
    private(set) var nowMilliseconds: UInt64 = 1_000_000
    private var events: [Event] = []
    private var heldEvents: [Event] = []
    private var lives: [Int]
    private(set) var isDown: [Bool]
    private var requestCount: UInt64 = 0

    /// In order without a seed, shuffled with one.
    init(_ group: TestGroup, seed: UInt64? = nil, transcript: Transcript? = nil) {
        self.group = group
        self.transcript = transcript
        hosts = group.servers.map { ReplicaHost(group, $0) }
        generator = SplitMix64(seed: seed ?? 0)
        isShuffled = seed != nil
        lives = hosts.map { _ in 0 }
        isDown = hosts.map { _ in false }
        if let transcript {
            for host in hosts {
                host.onChange = { before, change in
                    let text = TranscriptNames.text(change, before: before).joined(separator: "; ")
                    if !text.isEmpty { transcript.server(host.server, text) }
                }
            }
        }
        tick()
    }

    func host(_ server: Position) -> ReplicaHost { hosts[server.offset] }

    // MARK: Operations

    func startWrite(
        _ key: ObjectKey, _ bytes: [UInt8]?, by client: ClientID, etag: String = "",
        remembered: VerifiedCertificate? = nil, spares: [Position] = [], distrusted: [Position] = []
    ) -> Int {
        let writer = Writer(
            parameters: group.parameters, key: key, writer: client, content: .deletion(modifiedMilliseconds: 0),
            remembered: remembered, spares: spares, distrusted: distrusted)
        let (descriptor, fragments) =
            bytes.map { group.value(key, $0, etag: etag) } ?? group.tombstone(key, at: UInt64(sessions.count))
        let session = addSession(client, key, .writer(writer), bytes)
        let timestampDigest = descriptor.digest.description.prefix(4)
        transcript?.client(
            name(session),
            bytes == nil
                ? "deletes (·\(timestampDigest))"
                : "writes \(TranscriptNames.quoted(bytes)) (·\(timestampDigest))")
        sessions[session].encoded = .encoded(descriptor, fragments: fragments)
        begin(session)
        return session
    }

    /// A writing of garbage under right hashes, by the steps of an honest one.
    func startPoisonedWrite(_ key: ObjectKey, _ text: String, garbageAt victim: Position, by client: ClientID) -> Int {
        let version = group.poisonedVersion(key, text, garbageAt: victim, counter: 1, writer: client)
        let writer = Writer(
            parameters: group.parameters, key: key, writer: client, content: .deletion(modifiedMilliseconds: 0))
        let session = addSession(client, key, .writer(writer), Array(text.utf8))
        sessions[session].isPoisonous = true
        sessions[session].encoded = .encoded(version.descriptor, fragments: version.fragments)
        begin(session)
        return session
    }

    func startRead(
        _ key: ObjectKey, by client: ClientID = .bob, wantsValue: Bool = true, preference: [Position]? = nil
    ) -> Int {
        let reader = Reader(
            parameters: group.parameters, key: key, wantsValue: wantsValue,
            preference: preference ?? (isShuffled ? group.servers.shuffled(using: &generator) : group.servers))
        let session = addSession(client, key, .reader(reader), nil)
        transcript?.client(name(session), "reads")
        begin(session)
        return session
    }

    /// The server reads the object to verify its versions, and tells its replica what it found.
    @discardableResult
    func startVerification(_ key: ObjectKey, by server: Position) -> Int {
        let others = group.servers.filter { $0 != server }
        let reader = Reader(
            parameters: group.parameters, key: key, wantsValue: true, preference: [server] + others,
            forVerification: true)
        let session = addSession(.bob, key, .reader(reader), nil)
        sessions[session].server = server
        transcript?.client(name(session), "verifies")
        begin(session)
        return session
    }

    /// Who works on an operation, as transcripts name it.
    func name(_ session: Int) -> String {
        if let server = sessions[session].server { return "\(TranscriptNames.name(server))#\(session + 1)" }
        return "\(TranscriptNames.name(sessions[session].client))#\(session + 1)"
    }

    private func addSession(
        _ client: ClientID, _ key: ObjectKey, _ machine: Session.Machine, _ bytes: [UInt8]?
    ) -> Int {
        steps += 1
        sessions.append(Session(client: client, key: key, machine: machine, bytes: bytes, startedAt: steps))
        return sessions.count - 1
    }

    /// Runs the operation to its end, with retransmissions, and with its deadline when those do not help.
    @discardableResult
    func finish(_ session: Int, retransmissions: Int = 12) -> Session.Outcome? {
        for _ in 0..<retransmissions where sessions[session].isRunning {
            settle()
            remind(session)
        }
        settle()
        if sessions[session].isRunning { expire(session) }
        return sessions[session].outcome
    }

    func write(_ text: String?, _ key: ObjectKey = .photo, by client: ClientID = .alice) -> Session.Outcome? {
        finish(startWrite(key, text.map { Array($0.utf8) }, by: client))
    }

    func read(
        _ key: ObjectKey = .photo, by client: ClientID = .bob, preference: [Position]? = nil
    ) -> Session.Outcome? {
        finish(startRead(key, by: client, preference: preference))
    }

    /// The hedge timer, then the retransmission timer of an operation fires.
    func remind(_ session: Int) {
        if sessions[session].isRunning { transcript?.client(name(session), "waits no longer and asks again") }
        switch sessions[session].machine {
        case .writer: feed(session, Writer.Input.retransmit)
        case .reader:
            feed(session, Reader.Input.hedge)
            feed(session, Reader.Input.retransmit)
        }
    }

    func expire(_ session: Int) {
        if sessions[session].isRunning { transcript?.client(name(session), "is at its deadline") }
        switch sessions[session].machine {
        case .writer: feed(session, Writer.Input.deadline)
        case .reader: feed(session, Reader.Input.deadline)
        }
    }

    /// The client goes away in the middle; nobody will know what became of its operation.
    func crashClient(_ session: Int) {
        guard sessions[session].isRunning else { return }
        sessions[session].isCrashed = true
        transcript?.client(name(session), "crashes")
    }

    // MARK: Servers

    func crash(_ server: Position) {
        isDown[server.offset] = true
        lives[server.offset] += 1
        host(server).crash()
        transcript?.server(server, "crashes")
    }

    func restart(_ server: Position) {
        guard isDown[server.offset] else { return }
        isDown[server.offset] = false
        transcript?.server(server, "is up again, with what its disk holds")
        apply(.tick(milliseconds: nowMilliseconds), to: server)
    }

    func restartAll() {
        for server in group.servers {
            crash(server)
            restart(server)
        }
    }

    func tick(advancingBy milliseconds: UInt64 = 1) {
        nowMilliseconds += milliseconds
        if milliseconds > 1 { transcript?.note("\(milliseconds) ms pass") }
        for server in group.servers where !isDown[server.offset] {
            apply(.tick(milliseconds: nowMilliseconds), to: server)
        }
    }

    // MARK: Events

    var isSettled: Bool { events.isEmpty }

    /// Runs until nothing is left to do.
    func settle() {
        while step() {}
    }

    /// Lets what was held happen after all, after everything that waits; in the order of `rank`, then of its coming.
    func release(inOrderOf rank: (Event) -> Int = { _ in 0 }) {
        holds = { _ in false }
        events += heldEvents.enumerated().sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }
            .map(\.element)
        heldEvents = []
    }

    /// Lets one event happen; false when there is none.
    @discardableResult
    func step() -> Bool {
        guard !events.isEmpty else { return false }
        steps += 1
        var position = isShuffled ? Int.random(in: events.indices, using: &generator) : 0
        for _ in 0..<4 where !slowServers.isEmpty && isSlow(events[position]) {
            position = Int.random(in: events.indices, using: &generator)
        }
        if case .work(let server, _, .store) = events[position] {
            // The store works off its changes in order.
            position =
                events.firstIndex { event in
                    if case .work(server, _, .store) = event { true } else { false }
                } ?? position
        }
        let event = events.remove(at: position)
        if holds(event) {
            heldEvents.append(event)
            return true
        }
        switch event {
        case .request, .reply:
            if loses(event) || generator.chance(percent: lossPercent) {
                recordLoss(of: event)
                return true
            }
            if generator.chance(percent: duplicationPercent) { events.append(event) }
        default: break
        }
        happen(event)
        return true
    }

    private func isSlow(_ event: Event) -> Bool {
        switch event {
        case .request(let server, _, _), .reply(_, let server, _): slowServers.contains(server)
        case .work, .completion, .writer, .reader: false
        }
    }

    private func happen(_ event: Event) {
        switch event {
        case .request(let server, let session, let request):
            receive(request, session: session, at: server)
        case .reply(let session, let server, let reply):
            guard sessions[session].isRunning else { return }
            transcript?.reply(of: server, to: name(session), TranscriptNames.text(reply))
            switch sessions[session].machine {
            case .writer: feed(session, Writer.Input.reply(server, reply))
            case .reader: feed(session, Reader.Input.reply(server, reply))
            }
        case .work(let server, let life, let effect):
            guard lives[server.offset] == life else { return }
            switch host(server).run(effect) {
            case .reply(let tag, let reply): send(reply, of: server, tag: tag)
            case .input(let input): events.append(.completion(server, life: life, input))
            case .verify(let key, _): if verifies(server) { startVerification(key, by: server) }
            case .repairEnded, .restate: preconditionFailure("nobody repairs here")
            case .forgotten: break
            }
        case .completion(let server, let life, let input):
            guard lives[server.offset] == life else { return }
            apply(input, to: server)
        case .writer(let session, let input): feed(session, input)
        case .reader(let session, let input): feed(session, input)
        }
    }

    private func receive(_ request: Request, session: Int, at server: Position) {
        guard !isDown[server.offset] else {
            transcript?.request(of: name(session), to: server, TranscriptNames.text(request), arrow: "↛")
            return
        }
        transcript?.request(of: name(session), to: server, TranscriptNames.text(request))
        if let replies = lies[server]?(self, session, request) {
            transcript?.server(server, replies.isEmpty ? "lies: says nothing" : "lies")
            for reply in replies { events.append(.reply(session: session, server, reply)) }
            return
        }
        requestCount += 1
        let tag = RequestTag(session: UInt64(session), request: requestCount)
        let principal =
            sessions[session].server.map { .server(group.node($0)) } ?? Principal.client(sessions[session].client)
        apply(.request(tag, from: principal, request), to: server)
    }

    private func apply(_ input: ReplicaInput, to server: Position) {
        let life = lives[server.offset]
        events += host(server).handle(input).map { .work(server, life: life, $0) }
    }

    private func send(_ reply: Reply, of server: Position, tag: RequestTag) {
        let session = Int(tag.session)
        let replies = rewrites[server].map { $0(self, session, reply) } ?? [reply]
        if replies != [reply] { transcript?.server(server, replies.isEmpty ? "lies: says nothing" : "lies") }
        for reply in replies { events.append(.reply(session: session, server, reply)) }
    }

    /// A message that nobody asked for.
    func inject(_ reply: Reply, of server: Position, to session: Int) {
        events.append(.reply(session: session, server, reply))
    }

    // MARK: Clients' machines

    func feed(_ session: Int, _ input: Writer.Input) {
        guard sessions[session].isRunning, case .writer(var machine) = sessions[session].machine else { return }
        var effects: [Writer.Effect] = []
        machine.handle(input, into: &effects)
        sessions[session].machine = .writer(machine)
        let key = sessions[session].key
        for effect in effects {
            switch effect {
            case .send(let server, let request):
                events.append(.request(server, session: session, request))
            case .encode:
                guard let encoded = sessions[session].encoded else { preconditionFailure("a write of nothing") }
                events.append(.writer(session: session, encoded))
            case .verifyCertificate(let server, let certificate):
                let input = Writer.Input.certificateVerified(
                    server, certificate, check(certificate, key, from: server, session))
                events.append(.writer(session: session, input))
            case .verifyStatement(let server, let signed, let timestamp):
                let result = Result { () throws(CertificateError) in
                    try group.verifier.verify(signed, key: key, timestamp: timestamp)
                }
                events.append(.writer(session: session, .statementVerified(server, signed, timestamp, result)))
            case .verifyFragment(let server, let timestamp, let stripe, let crossChecksum, let bytes):
                let result = check(bytes, of: crossChecksum, from: server, timestamp, session)
                events.append(.writer(session: session, .fragmentVerified(server, timestamp, stripe, result)))
            case .checkEncoding(let timestamp, let stripes):
                let isSound = stripes.allSatisfy(\.isSound)
                events.append(
                    .writer(
                        session: session,
                        .encodingChecked(timestamp, stripe: stripes.first?.number ?? 0, isSound: isSound)))
            case .reencode(let job):
                events.append(.writer(session: session, .reencoded(job, fragments: job.run())))
            case .startHedge: break
            case .finish(.success(let outcome)): end(session, .wrote(outcome))
            case .finish(.failure(let failure)): end(session, .failed(failure))
            }
        }
    }

    func feed(_ session: Int, _ input: Reader.Input) {
        guard sessions[session].isRunning, case .reader(var machine) = sessions[session].machine else { return }
        var effects: [Reader.Effect] = []
        machine.handle(input, into: &effects)
        sessions[session].machine = .reader(machine)
        let key = sessions[session].key
        for effect in effects {
            switch effect {
            case .send(let server, let request):
                events.append(.request(server, session: session, request))
            case .verifyCertificate(let server, let certificate), .verifyCommitted(let server, let certificate):
                let input = Reader.Input.certificateVerified(
                    server, certificate, check(certificate, key, from: server, session))
                events.append(.reader(session: session, input))
            case .verifyFragment(let server, let timestamp, let stripe, let crossChecksum, let bytes):
                let result = check(bytes, of: crossChecksum, from: server, timestamp, session)
                events.append(.reader(session: session, .fragmentVerified(server, timestamp, stripe, result)))
            case .checkEncoding(let timestamp, let stripes):
                let isSound = stripes.allSatisfy(\.isSound)
                if !isSound {
                    transcript?.client(name(session), "finds \(TranscriptNames.name(timestamp)) to be poisonous")
                }
                events.append(
                    .reader(
                        session: session,
                        .encodingChecked(timestamp, stripe: stripes.first?.number ?? 0, isSound: isSound)))
            case .verifyStatement(let server, let signed, let timestamp):
                let result = Result { () throws(CertificateError) in
                    try group.verifier.verify(signed, key: key, timestamp: timestamp)
                }
                events.append(.reader(session: session, .statementVerified(server, signed, timestamp, result)))
            case .startHedge: break
            case .finish(.success(let outcome)):
                if let server = sessions[session].server {
                    events.append(
                        .completion(
                            server, life: lives[server.offset],
                            .found(key, VersionFindings(outcome, by: group.node(server)))))
                }
                end(session, .read(Self.value(of: outcome), outcome))
            case .finish(.failure(let failure)): end(session, .failed(failure))
            }
        }
    }

    private func begin(_ session: Int) {
        switch sessions[session].machine {
        case .writer: feed(session, Writer.Input.start)
        case .reader: feed(session, Reader.Input.start)
        }
    }

    private func end(_ session: Int, _ outcome: Session.Outcome) {
        steps += 1
        sessions[session].finishedAt = steps
        sessions[session].outcome = outcome
        transcript?.client(name(session), TranscriptNames.text(outcome))
    }

    /// The bytes of what was found; nil for nothing.
    private static func value(of outcome: ReadOutcome) -> [UInt8]? {
        guard case .version(_, let descriptor, let stripes) = outcome.found else { return nil }
        var bytes: [UInt8] = []
        for (stripe, fragments) in stripes.enumerated() {
            guard let block = try? descriptor.descriptor.stripes[stripe].decode(fragments) else {
                preconditionFailure("verified fragments do not decode")
            }
            bytes += block.array
        }
        return bytes
    }
}
