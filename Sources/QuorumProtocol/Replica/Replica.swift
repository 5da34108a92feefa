// The server's side of the protocol, without I/O (docs/protocol.md, Write, Read, Retention).
//
// A request passes three gates: cheap checks that need nothing, proof (`.verify`: fragments and signatures), and its
// object. An object takes one change at a time: the transition is computed from the durable record, stored, and only
// when it is durable does the record become the new one and do the replies that rest on it go out. Meanwhile further
// changes of the object wait and reads are answered from the durable record, so nothing that a crash could take back is
// ever told to anyone.
//
// Invariants: a reply that promises durability is an effect only after `.stored`; a refusal changes no state; the record
// in a slot is exactly what the store holds; a slot exists only while something waits or is in flight for its object.

import DequeModule
import Fingerprint

/// The state machine of one server.
package struct Replica: Sendable {
    package let parameters: ClusterParameters
    package let server: ServerIndex
    package let incarnation: Incarnation

    private var slots: [ObjectKey: Slot] = [:]
    private var verifying: [WorkToken: (tag: RequestTag, request: Request)] = [:]
    private var storing: [WorkToken: ObjectKey] = [:]
    private var nextToken: UInt64 = 1
    private var nowMilliseconds: UInt64 = 0

    package init(parameters: ClusterParameters, server: ServerIndex, incarnation: Incarnation) {
        precondition(parameters.quorums.contains(server))
        self.parameters = parameters
        self.server = server
        self.incarnation = incarnation
    }

    /// Takes one input and appends what is to be done.
    package mutating func handle(_ input: ReplicaInput, into effects: inout [ReplicaEffect]) {
        switch input {
        case .request(let tag, let principal, let request):
            receive(request, tag: tag, from: principal, into: &effects)
        case .loaded(let key, let result):
            loaded(key, result, into: &effects)
        case .verified(let token, let result):
            verified(token, result, into: &effects)
        case .stored(let token, let result):
            stored(token, result, into: &effects)
        case .tick(let milliseconds):
            nowMilliseconds = max(nowMilliseconds, milliseconds)
            effects.append(.findExpired(beforeMilliseconds: nowMilliseconds))
        case .expired(let keys):
            for key in keys { enqueue(.expire, key: key, into: &effects) }
        }
    }
}

// MARK: - First gate: cheap checks

extension Replica {
    private mutating func receive(
        _ request: Request, tag: RequestTag, from principal: Principal, into effects: inout [ReplicaEffect]
    ) {
        switch request {
        case .readTimestamp(let key):
            read(Read(key: key, portion: .timestamp), tag: tag, answersTimestamp: true, into: &effects)
        case .read(let request):
            read(request, tag: tag, answersTimestamp: false, into: &effects)
        case .prepare(let prepare):
            if let refusal = refusal(of: prepare, from: principal) {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                let job = VerificationJob(
                    key: prepare.key, timestamp: prepare.timestamp, certificate: prepare.justification,
                    admission: prepare.admission, fragments: (prepare.descriptor, prepare.fragments))
                verify(job, for: request, tag: tag, into: &effects)
            }
        case .commit(let commit):
            if let refusal = refusal(of: commit) {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                let job = VerificationJob(
                    key: commit.key, timestamp: commit.certificate.timestamp, certificate: commit.certificate,
                    admission: [], fragments: nil)
                verify(job, for: request, tag: tag, into: &effects)
            }
        }
    }

    private func refusal(of prepare: Prepare, from principal: Principal) -> Refusal? {
        guard case .client(let client) = principal else { return .notEntitled(principal) }
        guard prepare.timestamp.writer == client || isPlanted(.foreignTimestampAccepted) else {
            return .foreignTimestamp(writer: prepare.timestamp.writer, sender: client)
        }
        guard prepare.timestamp.digest == prepare.descriptor.digest || isPlanted(.digestUnchecked) else {
            return .digestMismatch
        }
        guard prepare.descriptor.descriptor.key == prepare.key else { return .foreignDescriptor }
        let stripes = prepare.descriptor.descriptor.stripes.count
        guard stripes <= 1 else { return .tooManyStripes(got: stripes, limit: 1) }
        guard prepare.fragments.count == stripes else {
            return .wrongFragmentCount(got: prepare.fragments.count, expected: stripes)
        }
        return nil
    }

    private func refusal(of commit: Commit) -> Refusal? {
        guard commit.certificate.timestamp.digest == commit.descriptor.digest else { return .digestMismatch }
        guard commit.descriptor.descriptor.key == commit.key else { return .foreignDescriptor }
        return nil
    }
}

// MARK: - Second gate: proof

extension Replica {
    private mutating func makeToken() -> WorkToken {
        defer { nextToken += 1 }
        return WorkToken(rawValue: nextToken)
    }

    private mutating func verify(
        _ job: VerificationJob, for request: Request, tag: RequestTag, into effects: inout [ReplicaEffect]
    ) {
        let token = makeToken()
        verifying[token] = (tag, request)
        effects.append(.verify(token, job))
    }

    private mutating func verified(
        _ token: WorkToken, _ result: Result<VerificationEvidence, Refusal>, into effects: inout [ReplicaEffect]
    ) {
        guard let (tag, request) = verifying.removeValue(forKey: token) else {
            preconditionFailure("a verification was completed that nobody asked for")
        }
        switch (result, request) {
        case (.failure(let refusal), _):
            effects.append(.reply(tag, .refused(refusal)))
        case (.success(let evidence), .prepare(let prepare)):
            enqueue(.prepare(tag, prepare, evidence), key: prepare.key, into: &effects)
        case (.success(let evidence), .commit(let commit)):
            guard let certificate = evidence.certificate else {
                preconditionFailure("a COMMIT was verified without its certificate")
            }
            enqueue(.commit(tag, commit, certificate), key: commit.key, into: &effects)
        case (.success, _):
            preconditionFailure("only PREPARE and COMMIT are verified")
        }
    }
}

// MARK: - Third gate: the object

/// A change that waits for its turn at an object.
private enum Change: Sendable {
    case prepare(RequestTag, Prepare, VerificationEvidence)
    case commit(RequestTag, Commit, VerifiedCertificate)
    case expire

    var tag: RequestTag? {
        switch self {
        case .prepare(let tag, _, _), .commit(let tag, _, _): tag
        case .expire: nil
        }
    }
}

/// A read that waits for the object's record to be loaded.
private struct WaitingRead: Sendable {
    let tag: RequestTag
    let read: Read
    let answersTimestamp: Bool
}

/// The change in flight, and what is to be said when it is durable.
private struct InFlight: Sendable {
    enum Answer: Sendable {
        case prepared(RequestTag)
        case committed(RequestTag, Timestamp)
        case tooManyPending(RequestTag, [Timestamp])
        case nothing
    }

    let record: ObjectRecord
    let answer: Answer
}

/// An object with something going on.
private struct Slot: Sendable {
    /// The durable record; nil until it is loaded.
    var record: ObjectRecord?
    var reads: [WaitingRead] = []
    var changes: Deque<Change> = []
    var inFlight: InFlight?

    var isIdle: Bool { reads.isEmpty && changes.isEmpty && inFlight == nil }
    var waitingCount: Int { reads.count + changes.count }
}

extension Replica {
    private mutating func read(
        _ read: Read, tag: RequestTag, answersTimestamp: Bool, into effects: inout [ReplicaEffect]
    ) {
        let waiting = WaitingRead(tag: tag, read: read, answersTimestamp: answersTimestamp)
        let undurable = isPlanted(.readBeforeDurable) ? slots[read.key]?.inFlight?.record : nil
        if let record = undurable ?? slots[read.key]?.record {
            answer(waiting, from: record, into: &effects)
            return
        }
        guard admit(read.key, tag: tag, into: &effects) else { return }
        slots[read.key]!.reads.append(waiting)
    }

    private mutating func enqueue(_ change: Change, key: ObjectKey, into effects: inout [ReplicaEffect]) {
        guard admit(key, tag: change.tag, into: &effects) else { return }
        slots[key]!.changes.append(change)
        advance(key, into: &effects)
    }

    /// Makes sure that the object has a slot with room for one more to wait, loading its record if need be.
    private mutating func admit(_ key: ObjectKey, tag: RequestTag?, into effects: inout [ReplicaEffect]) -> Bool {
        guard let slot = slots[key] else {
            slots[key] = Slot()
            effects.append(.load(key))
            return true
        }
        guard slot.waitingCount < parameters.limits.requestsPerObjectMax else {
            if let tag { effects.append(.reply(tag, .refused(.busy))) }
            return false
        }
        return true
    }

    private mutating func loaded(
        _ key: ObjectKey, _ result: Result<ObjectRecord?, StoreFailure>, into effects: inout [ReplicaEffect]
    ) {
        guard let slot = slots[key] else { preconditionFailure("a record was loaded that nobody asked for") }
        switch result {
        case .failure(let failure):
            slots[key] = nil
            for tag in slot.reads.map(\.tag) + slot.changes.compactMap(\.tag) {
                effects.append(.reply(tag, .refused(Self.refusal(for: failure))))
            }
        case .success(let record):
            slots[key]!.record = record ?? ObjectRecord()
            slots[key]!.reads = []
            for read in slot.reads { answer(read, from: record ?? ObjectRecord(), into: &effects) }
            advance(key, into: &effects)
        }
    }

    private func answer(_ waiting: WaitingRead, from record: ObjectRecord, into effects: inout [ReplicaEffect]) {
        let claim = CommittedClaim(certificate: record.committed)
        if waiting.answersTimestamp {
            effects.append(.reply(waiting.tag, .timestamp(claim)))
            return
        }
        let read = waiting.read
        guard read.portion > .timestamp, let timestamp = read.version ?? claim.timestamp,
            record.version(timestamp) != nil
        else {
            effects.append(.reply(waiting.tag, .version(claim, nil)))
            return
        }
        effects.append(.replyWithVersion(waiting.tag, claim, read.key, timestamp, read.portion))
    }

    /// Starts the next change of the object when none is in flight; forgets the object when nothing is left to do.
    private mutating func advance(_ key: ObjectKey, into effects: inout [ReplicaEffect]) {
        while var slot = slots[key] {
            guard let record = slot.record, slot.inFlight == nil else { return }
            guard let change = slot.changes.popFirst() else {
                if slot.isIdle { slots[key] = nil }
                return
            }
            slots[key] = slot
            start(change, key: key, record: record, into: &effects)
        }
    }

    private mutating func start(
        _ change: Change, key: ObjectKey, record: ObjectRecord, into effects: inout [ReplicaEffect]
    ) {
        var transition = ObjectTransition(
            key: key, record: record, parameters: parameters, nowMilliseconds: nowMilliseconds)
        switch change {
        case .prepare(let tag, let prepare, let evidence):
            switch transition.prepare(prepare, evidence: evidence) {
            case .sign(let claim):
                let statement = statement(key: key, timestamp: prepare.timestamp, claim: claim)
                store(transition, answer: .prepared(tag), statements: [statement], into: &effects)
            case .tooManyPending(let timestamps):
                let unchanged = ObjectTransition(
                    key: key, record: record, parameters: parameters, nowMilliseconds: nowMilliseconds)
                // A pending version whose fragments are not held cannot be: pending means stored by a PREPARE.
                let statements = timestamps.map { statement(key: key, timestamp: $0, claim: .stored) }
                store(unchanged, answer: .tooManyPending(tag, timestamps), statements: statements, into: &effects)
            case .refuse(let refusal):
                effects.append(.reply(tag, .refused(refusal)))
            }
        case .commit(let tag, let commit, let certificate):
            transition.commit(certificate, descriptor: commit.descriptor)
            if transition.change == nil {
                effects.append(.reply(tag, .committed(certificate.timestamp)))
            } else {
                if isPlanted(.replyBeforeDurable) {
                    effects.append(.reply(tag, .committed(certificate.timestamp)))
                }
                store(
                    transition, answer: .committed(tag, certificate.timestamp), statements: [], into: &effects)
            }
        case .expire:
            transition.expire()
            if transition.change != nil {
                store(transition, answer: .nothing, statements: [], into: &effects)
            }
        }
    }

    private func statement(key: ObjectKey, timestamp: Timestamp, claim: Claim) -> Statement {
        Statement(
            identity: parameters.identity, server: server, incarnation: incarnation, key: key, timestamp: timestamp,
            claim: claim)
    }

    private mutating func store(
        _ transition: ObjectTransition, answer: InFlight.Answer, statements: [Statement],
        into effects: inout [ReplicaEffect]
    ) {
        let token = makeToken()
        storing[token] = transition.key
        slots[transition.key]!.inFlight = InFlight(record: transition.record, answer: answer)
        effects.append(.store(token, transition.change, statements))
    }

    private mutating func stored(
        _ token: WorkToken, _ result: Result<[SignedStatement], StoreFailure>, into effects: inout [ReplicaEffect]
    ) {
        guard let key = storing.removeValue(forKey: token), let inFlight = slots[key]?.inFlight else {
            preconditionFailure("a change was stored that nobody asked for")
        }
        slots[key]!.inFlight = nil
        switch result {
        case .success(let statements):
            slots[key]!.record = inFlight.record
            switch inFlight.answer {
            case .prepared(let tag):
                effects.append(.reply(tag, .prepared(statements[0], committed: inFlight.record.committed?.timestamp)))
            case .committed(let tag, let timestamp):
                effects.append(.reply(tag, .committed(timestamp)))
            case .tooManyPending(let tag, let timestamps):
                let pending = zip(timestamps, statements).map { (timestamp: $0, statement: $1) }
                effects.append(.replyTooManyPending(tag, key, pending))
            case .nothing:
                break
            }
        case .failure(let failure):
            switch inFlight.answer {
            case .prepared(let tag), .committed(let tag, _), .tooManyPending(let tag, _):
                effects.append(.reply(tag, .refused(Self.refusal(for: failure))))
            case .nothing:
                break
            }
            // What the store holds now is not known here: the change may be durable and only its signing have failed.
            slots[key]!.record = nil
            if slots[key]!.isIdle { slots[key] = nil } else { effects.append(.load(key)) }
        }
        advance(key, into: &effects)
    }

    private static func refusal(for failure: StoreFailure) -> Refusal {
        switch failure {
        case .full: .storageFull
        case .failed: .storageFailed
        }
    }
}

// MARK: - Invariants

extension Replica {
    /// Which of the invariants that hold between any two inputs is broken, or nil: a bug of our own, whatever peers
    /// send. For the simulator and tests.
    package var brokenInvariant: String? {
        for slot in slots.values {
            if slot.isIdle { return "an idle object was not forgotten" }
            if slot.record != nil, !slot.reads.isEmpty { return "a read waits although the record is there" }
            if slot.inFlight == nil, slot.record != nil, !slot.changes.isEmpty { return "a change waits for nothing" }
            if let broken = slot.record?.brokenInvariant ?? slot.inFlight?.record.brokenInvariant { return broken }
        }
        if storing.count != slots.values.count(where: { $0.inFlight != nil }) {
            return "changes under way are not those of the objects"
        }
        return nil
    }

    /// Traps when an invariant is broken.
    package func checkInvariants() {
        if let brokenInvariant { preconditionFailure(brokenInvariant) }
    }
}
