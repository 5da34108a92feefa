// The server's side of the protocol, without I/O (docs/protocol.md, Write, Read, Retention, Verification modes).
//
// A request passes three gates: cheap checks that need nothing, proof (`.verify`: fragments and signatures), and its
// object. An object takes one change at a time: the transition is computed from the durable record, stored, and only
// when it is durable does the record become the new one and do the replies that rest on it go out. Meanwhile further
// changes of the object wait and reads are answered from the durable record, so nothing that a crash could take back is
// ever told to anyone.
//
// Invariants: a reply that promises durability is an effect only after `.stored`; a refusal changes no state; the
// record of an open object is exactly what the store holds; an object is open only while something waits or is in flight for its
// object.

import DequeModule
import Fingerprint

/// The state machine of one server for the objects of one group.
package struct Replica: Sendable {
    package let parameters: ClusterParameters
    package let node: NodeID
    /// The group whose objects this is the replica of; the node has one for each group that it is in.
    package let group: Group
    package let incarnation: Incarnation

    private var objects = OpenObjects()
    private var verifying = VerifyingRequests()
    private var lastTokenNumber: UInt32 = 0
    private var nowMilliseconds: UInt64 = 0

    package init(parameters: ClusterParameters, group: Group, node: NodeID, incarnation: Incarnation) {
        precondition(group.contains(node))
        self.parameters = parameters
        self.group = group
        self.node = node
        self.incarnation = incarnation
    }

    /// Takes one input and appends what is to be done.
    package mutating func handle(_ input: consuming ReplicaInput, into effects: inout [ReplicaEffect]) {
        switch consume input {
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
            effects.append(.findDue(beforeMilliseconds: nowMilliseconds))
        case .due(let keys):
            for key in keys { enqueue(.due, key: key, into: &effects) }
        case .found(let key, let findings):
            enqueue(.found(findings), key: key, into: &effects)
        }
    }
}

// MARK: - First gate: cheap checks

extension Replica {
    private mutating func receive(
        _ request: Request, tag: RequestTag, from principal: Principal, into effects: inout [ReplicaEffect]
    ) {
        if let refusal = foreignness(of: request.key) {
            effects.append(.reply(tag, .refused(refusal)))
            return
        }
        switch request {
        case .readTimestamp(let key):
            answer(WaitingRead(tag: tag, question: .claim), of: key, into: &effects)
        case .read(let read):
            answer(WaitingRead(tag: tag, question: .read(read)), of: read.key, into: &effects)
        case .certificate(let key, let timestamp):
            answer(WaitingRead(tag: tag, question: .certificate(timestamp)), of: key, into: &effects)
        case .prepare(let prepare):
            if let refusal = refusal(of: prepare, from: principal) {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                verify(.prepare(prepare), tag: tag, into: &effects)
            }
        case .commit(let commit):
            verify(.commit(commit), tag: tag, into: &effects)
        case .describe(let describe):
            if let refusal = refusal(of: describe) {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                enqueue(.describe(tag, describe), key: describe.key, into: &effects)
            }
        }
    }

    /// Whether the object is another group's. Groups may have q nodes in common, or more: a node that is in both must not
    /// let either speak for the other's objects.
    private func foreignness(of key: ObjectKey) -> Refusal? {
        let owner = parameters.configuration.group(of: key.slot)
        guard owner.id != group.id, !isPlanted(.foreignGroupServed) else { return nil }
        return .foreignGroup(group.id, expected: owner.id)
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
        guard let own = parameters.placement(of: prepare.key).position(of: node) else {
            return .notEntitled(principal)
        }
        guard prepare.position == own || isPlanted(.positionUnchecked) else {
            return .foreignPosition(prepare.position, expected: own)
        }
        let stripes = prepare.descriptor.descriptor.stripes.count
        guard stripes <= 1 else { return .tooManyStripes(got: stripes, limit: 1) }
        guard prepare.fragments.count == stripes else {
            return .wrongFragmentCount(got: prepare.fragments.count, expected: stripes)
        }
        return nil
    }

    private func refusal(of describe: Describe) -> Refusal? {
        guard describe.timestamp.digest == describe.descriptor.digest || isPlanted(.descriptionUnchecked) else {
            return .digestMismatch
        }
        guard describe.descriptor.descriptor.key == describe.key else { return .foreignDescriptor }
        return nil
    }
}

// MARK: - Second gate: proof

extension Replica {
    private mutating func verify(
        _ job: VerificationJob, tag: RequestTag, into effects: inout [ReplicaEffect]
    ) {
        lastTokenNumber &+= 1
        effects.append(.verify(verifying.add(job, tag: tag, number: lastTokenNumber), job))
    }

    private mutating func verified(
        _ token: WorkToken, _ result: Result<VerificationEvidence, Refusal>, into effects: inout [ReplicaEffect]
    ) {
        guard let waiting = verifying.take(token) else {
            preconditionFailure("a verification was completed that nobody asked for")
        }
        let tag = waiting.tag
        let evidence: VerificationEvidence
        switch result {
        case .failure(let refusal):
            effects.append(.reply(tag, .refused(refusal)))
            return
        case .success(let proven):
            evidence = proven
        }
        switch waiting.job {
        case .prepare(let prepare):
            enqueue(.prepare(tag, prepare, evidence), key: prepare.key, into: &effects)
        case .commit(let commit):
            guard let certificate = evidence.certificate else {
                preconditionFailure("a COMMIT was verified without its certificate")
            }
            enqueue(.commit(tag, certificate), key: commit.key, into: &effects)
        }
    }
}

// MARK: - Third gate: the object

extension Replica {
    private mutating func answer(
        _ waiting: WaitingRead, of key: ObjectKey, into effects: inout [ReplicaEffect]
    ) {
        let open = objects.place(of: key)
        if let place = open {
            let undurable = isPlanted(.readBeforeDurable) ? objects.at[place].inFlight?.record : nil
            if let record = undurable ?? objects.at[place].record {
                answer(waiting, of: key, from: record, into: &effects)
                return
            }
        }
        guard let place = admit(key, at: open, tag: waiting.tag, into: &effects) else { return }
        objects.at[place].reads.append(waiting)
    }

    private mutating func enqueue(_ change: WaitingChange, key: ObjectKey, into effects: inout [ReplicaEffect]) {
        guard let place = admit(key, at: objects.place(of: key), tag: change.tag, into: &effects) else { return }
        objects.at[place].changes.append(change)
        advance(place, into: &effects)
    }

    /// Makes sure that the object, whose place is given if it is open, has one with room for one more to wait,
    /// loading its record if need be; nil when there is no room.
    private mutating func admit(
        _ key: ObjectKey, at open: OpenObjects.Place?, tag: RequestTag?, into effects: inout [ReplicaEffect]
    ) -> OpenObjects.Place? {
        guard let place = open else {
            effects.append(.load(key))
            return objects.open(key)
        }
        // What the server asked for itself is never turned away: it may be what makes room for others.
        guard let tag, objects.at[place].waitingCount >= parameters.limits.requestsPerObjectMax else { return place }
        effects.append(.reply(tag, .refused(.busy)))
        return nil
    }

    private mutating func loaded(
        _ key: ObjectKey, _ result: Result<ObjectRecord?, StoreFailure>, into effects: inout [ReplicaEffect]
    ) {
        guard let place = objects.place(of: key) else {
            preconditionFailure("a record was loaded that nobody asked for")
        }
        switch result {
        case .failure(let failure):
            let refusal = Self.refusal(for: failure)
            while let read = objects.at[place].reads.popFirst() { effects.append(.reply(read.tag, .refused(refusal))) }
            while let change = objects.at[place].changes.popFirst() {
                if let tag = change.tag { effects.append(.reply(tag, .refused(refusal))) }
            }
            objects.close(place)
        case .success(let loaded):
            let record = loaded ?? ObjectRecord()
            objects.at[place].record = record
            while let read = objects.at[place].reads.popFirst() {
                answer(read, of: key, from: record, into: &effects)
            }
            advance(place, into: &effects)
        }
    }

    private func answer(
        _ waiting: WaitingRead, of key: ObjectKey, from record: ObjectRecord, into effects: inout [ReplicaEffect]
    ) {
        let claim = record.claim
        switch waiting.question {
        case .claim:
            effects.append(.reply(waiting.tag, .timestamp(claim)))
        case .certificate(let timestamp):
            effects.append(.reply(waiting.tag, .certificate(claim, record.certificate(of: timestamp))))
        case .read(let read):
            guard read.portion > .timestamp, let timestamp = read.version ?? claim.timestamp,
                record.version(timestamp) != nil
            else {
                effects.append(.reply(waiting.tag, .version(claim, nil)))
                return
            }
            effects.append(.replyWithVersion(waiting.tag, claim, key, timestamp, read.portion))
        }
    }

    /// Starts the next change of the object when none is in flight; forgets the object when nothing is left to do.
    private mutating func advance(_ place: OpenObjects.Place, into effects: inout [ReplicaEffect]) {
        while !objects.at[place].isStoring, let record = objects.at[place].record {
            guard let change = objects.at[place].changes.popFirst() else {
                if objects.at[place].isIdle { objects.close(place) }
                return
            }
            start(change, at: place, record: record, into: &effects)
        }
    }

    private mutating func start(
        _ change: WaitingChange, at place: OpenObjects.Place, record: ObjectRecord, into effects: inout [ReplicaEffect]
    ) {
        let key = objects.at[place].key
        var transition = ObjectTransition(
            key: key, record: record, parameters: parameters, nowMilliseconds: nowMilliseconds)
        switch change {
        case .prepare(let tag, let prepare, let evidence):
            switch transition.prepare(prepare, evidence: evidence) {
            case .sign(let claim):
                let statement = statement(key: key, timestamp: prepare.timestamp, claim: claim)
                store(
                    transition.change, leadingTo: transition.record, at: place, answer: .prepared(tag),
                    statements: [statement], into: &effects)
            case .tooManyPending(let timestamps):
                // A pending version whose fragments are not held cannot be: pending means stored by a PREPARE.
                let statements = timestamps.map { statement(key: key, timestamp: $0, claim: .stored) }
                // The justification is a COMMIT of its own.
                store(
                    transition.change, leadingTo: transition.record, at: place,
                    answer: .tooManyPending(tag, timestamps), statements: statements, into: &effects)
            case .refuse(let refusal):
                effects.append(.reply(tag, .refused(refusal)))
                if case .tooManyUnverified = refusal { verifyAtOnce(key, record, into: &effects) }
            }
        case .commit(let tag, let certificate):
            let refusal = transition.commit(certificate)
            if case .tooManyUnverified? = refusal { verifyAtOnce(key, record, into: &effects) }
            acknowledge(certificate.timestamp, transition, refusal, at: place, tag: tag, into: &effects)
        case .describe(let tag, let describe):
            let refusal = transition.describe(describe)
            acknowledge(describe.timestamp, transition, refusal, at: place, tag: tag, into: &effects)
        case .due:
            transition.expire()
            if transition.takeDueVerification() { effects.append(.verifyVersions(key, isUrgent: false)) }
            if let change = transition.change {
                store(change, leadingTo: transition.record, at: place, answer: .nothing, into: &effects)
            }
        case .found(let findings):
            let poisonous = transition.take(findings)
            let statements = poisonous.map { statement(key: key, timestamp: $0, claim: .poisonous) }
            let change = transition.change
            if change != nil || !statements.isEmpty {
                store(
                    change, leadingTo: transition.record, at: place, answer: .poisonous(poisonous),
                    statements: statements, into: &effects)
            }
        case .signed(let statements):
            for (timestamp, statement) in statements { transition.add([statement], on: timestamp) }
            if let change = transition.change {
                store(change, leadingTo: transition.record, at: place, answer: .nothing, into: &effects)
            }
        }
    }

    /// Answers COMMIT or DESCRIPTOR, once what it changes is durable.
    private mutating func acknowledge(
        _ timestamp: Timestamp, _ transition: ObjectTransition, _ refusal: Refusal?, at place: OpenObjects.Place,
        tag: RequestTag, into effects: inout [ReplicaEffect]
    ) {
        if let refusal {
            effects.append(.reply(tag, .refused(refusal)))
            return
        }
        let reply = Reply.committed(timestamp, needsDescriptor: transition.record.lacksDescriptor(of: timestamp))
        guard let change = transition.change else {
            effects.append(.reply(tag, reply))
            return
        }
        if isPlanted(.replyBeforeDurable) { effects.append(.reply(tag, reply)) }
        store(change, leadingTo: transition.record, at: place, answer: .reply(tag, reply), into: &effects)
    }

    private func verifyAtOnce(_ key: ObjectKey, _ record: ObjectRecord, into effects: inout [ReplicaEffect]) {
        if !record.unverified.isEmpty { effects.append(.verifyVersions(key, isUrgent: true)) }
    }

    private func statement(key: ObjectKey, timestamp: Timestamp, claim: Claim) -> Statement {
        Statement(
            scope: StatementScope(
                cluster: parameters.configuration.cluster, epoch: parameters.configuration.epoch, group: group.id,
                mode: parameters.mode),
            node: node, incarnation: incarnation, key: key, timestamp: timestamp, claim: claim)
    }

    private mutating func store(
        _ change: ObjectChange?, leadingTo record: ObjectRecord, at place: OpenObjects.Place, answer: InFlight.Answer,
        statements: [Statement] = [], into effects: inout [ReplicaEffect]
    ) {
        lastTokenNumber &+= 1
        let token = WorkToken(number: lastTokenNumber, place: place)
        objects.at[place].begin(InFlight(token: token, record: record, answer: answer))
        effects.append(.store(token, change, statements))
    }

    private mutating func stored(
        _ token: WorkToken, _ result: Result<[SignedStatement], StoreFailure>, into effects: inout [ReplicaEffect]
    ) {
        let place = token.place
        guard objects.at.indices.contains(place), let inFlight = objects.at[place].takeInFlight(token)
        else { preconditionFailure("a change was stored that nobody asked for") }
        switch result {
        case .success(let statements):
            objects.at[place].record = inFlight.record
            switch inFlight.answer {
            case .prepared(let tag):
                effects.append(.reply(tag, .prepared(statements[0], committed: inFlight.record.highestCommitted)))
            case .reply(let tag, let reply):
                effects.append(.reply(tag, reply))
            case .tooManyPending(let tag, let timestamps):
                let pending = zip(timestamps, statements).map { (timestamp: $0, statement: $1) }
                effects.append(.replyTooManyPending(tag, objects.at[place].key, pending))
                // What is committed above them frees them once it is known to be sound.
                verifyAtOnce(objects.at[place].key, inFlight.record, into: &effects)
            case .poisonous(let timestamps):
                let signed = zip(timestamps, statements).map { (timestamp: $0, statement: $1) }
                if !signed.isEmpty { objects.at[place].changes.prepend(.signed(signed)) }
            case .nothing:
                break
            }
            if inFlight.record.isCrowded(parameters) {
                verifyAtOnce(objects.at[place].key, inFlight.record, into: &effects)
            }
        case .failure(let failure):
            if let tag = inFlight.answer.tag { effects.append(.reply(tag, .refused(Self.refusal(for: failure)))) }
            // What the store holds now is not known here: the change may be durable and only its signing have failed.
            objects.at[place].record = nil
            if objects.at[place].isIdle { objects.close(place) } else { effects.append(.load(objects.at[place].key)) }
        }
        advance(place, into: &effects)
    }

    private static func refusal(for failure: StoreFailure) -> Refusal {
        switch failure {
        case .full: .storageFull
        case .failed: .storageFailed
        case .recordLost: .recordLost
        }
    }
}

// MARK: - Invariants

extension Replica {
    /// Which of the invariants that hold between any two inputs is broken, or nil: a bug of our own, whatever peers
    /// send. For the simulator and tests.
    package var brokenInvariant: String? {
        for place in objects.at.indices where objects.at[place].isOpen {
            // Field by field: an object is too large to be copied after each input of a million runs.
            let isLoaded = objects.at[place].record != nil
            let hasReads = !objects.at[place].reads.isEmpty
            let hasChanges = !objects.at[place].changes.isEmpty
            let isStoring = objects.at[place].isStoring
            if !hasReads, !hasChanges, !isStoring { return "an idle object was not forgotten" }
            if isLoaded, hasReads { return "a read waits although the record is there" }
            if isLoaded, hasChanges, !isStoring { return "a change waits for nothing" }
            if let broken = objects.at[place].record?.brokenInvariant { return broken }
            if let broken = objects.at[place].inFlight?.record.brokenInvariant { return broken }
            if isStoring, objects.at[place].inFlight?.token.place != place {
                return "a change under way is another object's"
            }
        }
        return nil
    }

    /// Traps when an invariant is broken.
    package func checkInvariants() {
        if let brokenInvariant { preconditionFailure(brokenInvariant) }
    }
}
