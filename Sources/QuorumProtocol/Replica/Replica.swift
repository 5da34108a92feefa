// The server's side of the protocol, without I/O (docs/protocol.md, Write, Read, Retention, Verification modes).
//
// A request passes three gates: cheap checks that need nothing, proof (`.verify`: fragments and signatures), and its
// object. An object takes one change at a time: the transition is computed from the durable record, stored, and only
// when it is durable does the record become the new one and do the replies that rest on it go out. Meanwhile further
// changes of the object wait and reads are answered from the durable record, so nothing that a crash could take back is
// ever told to anyone.
//
// Invariants: a reply that promises durability is an effect only after `.stored`; a refusal changes no state; the
// record of an open object is exactly what the store holds; an object is open only while something waits or is in
// flight for its object.

import DequeModule
import Fingerprint

/// The state machine of one server for the objects of one group.
package struct Replica: Sendable {
    package let parameters: ClusterParameters
    package let node: NodeID
    /// The group whose objects this is the replica of; the node has one for each group that it is in.
    package let group: Group
    package let incarnation: Incarnation

    var objects = OpenObjects()
    private var verifying = VerifyingRequests()
    var remembered = RememberedStatements()
    var lists = ListShares()
    var pins = VersionPins()
    var discards = RecentDiscards()
    /// How far the server has caught up with clients that near their limit of versions at objects without a commit.
    var catchUps: [ClientID: CatchUp] = [:]
    /// The node's, while an input is handled.
    var accounts = Accounts()
    var lastTokenNumber: UInt32 = 0
    private(set) var nowMilliseconds: UInt64 = 0
    /// Whose statements count.
    private var fences: Fences

    package init(
        parameters: ClusterParameters, group: Group, node: NodeID, incarnation: Incarnation, fences: Fences = Fences()
    ) {
        precondition(group.contains(node))
        self.fences = fences
        self.parameters = parameters
        self.group = group
        self.node = node
        self.incarnation = incarnation
    }

    /// Takes one input and appends what is to be done.
    ///
    /// - Parameter accounts: of the node, whose replicas share them.
    package mutating func handle(
        _ input: consuming ReplicaInput, accounts: inout Accounts, into effects: inout [ReplicaEffect]
    ) {
        // Taken over, so that nothing is copied when they change.
        swap(&self.accounts, &accounts)
        defer { swap(&self.accounts, &accounts) }
        switch consume input {
        case .request(let tag, let principal, let request):
            receive(request, tag: tag, from: principal, into: &effects)
        case .loaded(let key, let result):
            loaded(key, result, into: &effects)
        case .verified(let token, let result):
            verified(token, result, into: &effects)
        case .stored(let token, let result):
            stored(token, result, into: &effects)
        case .inspected(let token, let result):
            inspected(token, result, into: &effects)
        case .tick(let milliseconds):
            nowMilliseconds = max(nowMilliseconds, milliseconds)
            pins.expire(nowMilliseconds: nowMilliseconds)
            effects.append(.findDue(beforeMilliseconds: nowMilliseconds))
        case .due(let keys):
            for key in keys { enqueueDue(key, into: &effects) }
        case .bare(let client, let keys):
            // Beyond these may be more; after the last ones it begins with the first again.
            catchUps[client]?.last = keys.count < ReplicaWork.bareObjectsMax ? nil : keys.last
            for key in keys { effects.append(.verifyVersions(key, isUrgent: true)) }
        case .lost(let key, let lost, let answer):
            if let answer { effects.append(.reply(answer.tag, answer.reply)) }
            enqueue(.lost(lost), of: nil, key: key, into: &effects)
        case .found(let key, let findings):
            enqueue(.found(findings), of: nil, key: key, into: &effects)
        case .repaired(let key, let parts, let number):
            enqueue(.repaired(parts, number: number), of: nil, key: key, into: &effects)
        case .learned(let key, let certificate, let number):
            enqueue(.learned(certificate, number: number), of: nil, key: key, into: &effects)
        case .fenced(let fences):
            self.fences = fences
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
            answer(WaitingRead(tag: tag, principal: principal, question: .claim), of: key, into: &effects)
        case .read(let read):
            answer(WaitingRead(tag: tag, principal: principal, question: .read(read)), of: read.key, into: &effects)
        case .certificate(let key, let timestamp):
            answer(
                WaitingRead(tag: tag, principal: principal, question: .certificate(timestamp)), of: key, into: &effects)
        case .prepare(let prepare):
            if let refusal = refusal(of: prepare, from: principal) {
                effects.append(.reply(tag, .refused(refusal)))
            } else if let statement = remembered(prepare) {
                let question = WaitingRead.Question.again(prepare, statement)
                answer(
                    WaitingRead(tag: tag, principal: principal, question: question), of: prepare.key, into: &effects)
            } else {
                verify(.prepare(prepare), tag: tag, from: principal, into: &effects)
            }
        case .commit(let commit):
            verify(.commit(commit), tag: tag, from: principal, into: &effects)
        case .describe(let describe):
            if let refusal = refusal(of: describe) {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                enqueue(.describe(tag, describe), of: principal, key: describe.key, into: &effects)
            }
        case .stage(let stage):
            if let refusal = refusal(of: stage, from: principal) {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                verify(.stage(stage), tag: tag, from: principal, into: &effects)
            }
        case .discard(let discard):
            enqueue(.discard(tag, discard), of: principal, key: discard.key, into: &effects)
        case .listHeld(let list):
            answer(
                WaitingRead(tag: tag, principal: principal, question: .held(list.kind)), of: list.key, into: &effects)
        case .fetch(let request):
            fetch(request, tag: tag, from: principal, into: &effects)
        case .restate(let restate):
            if let refusal = refusal(of: restate) {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                verify(.restate(restate), tag: tag, from: principal, into: &effects)
            }
        }
    }

    /// Whether the object is another group's. Groups may have q nodes in common, or more: a node that is in both must
    /// not let either speak for the other's objects.
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
        let staged = prepare.descriptor.descriptor.staged?.stripeCount ?? 0
        guard staged == 0 || prepare.fragments.isEmpty else {
            return .wrongFragmentCount(got: prepare.fragments.count, expected: 0)
        }
        guard prepare.fragments.count == stripes else {
            return .wrongFragmentCount(got: prepare.fragments.count, expected: stripes)
        }
        return nil
    }

    private func refusal(of restate: Restate) -> Refusal? {
        guard let descriptor = restate.descriptor else { return nil }
        guard restate.certificate.timestamp.digest == descriptor.digest else { return .digestMismatch }
        guard descriptor.descriptor.key == restate.key else { return .foreignDescriptor }
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
        _ job: VerificationJob, tag: RequestTag, from principal: Principal, into effects: inout [ReplicaEffect]
    ) {
        lastTokenNumber &+= 1
        let token = verifying.add(job, tag: tag, from: principal, number: lastTokenNumber)
        effects.append(.verify(token, job, of: principal))
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
            enqueue(.prepare(tag, prepare, evidence), of: waiting.principal, key: prepare.key, into: &effects)
        case .commit(let commit):
            guard let certificate = evidence.certificate else {
                preconditionFailure("a COMMIT was verified without its certificate")
            }
            enqueue(.commit(tag, certificate), of: waiting.principal, key: commit.key, into: &effects)
        case .stage(let stage):
            enqueue(
                .stage(tag, stage, evidence.fragments[0]), of: waiting.principal, key: stage.key, into: &effects)
        case .restate(let restate):
            enqueue(.restate(tag, restate, evidence), of: waiting.principal, key: restate.key, into: &effects)
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
        guard let place = admit(key, at: open, tag: waiting.tag, of: waiting.principal, into: &effects) else { return }
        objects.at[place].reads.append(waiting, of: waiting.principal)
    }

    private mutating func enqueue(
        _ change: WaitingChange, of owner: Principal?, key: ObjectKey, into effects: inout [ReplicaEffect]
    ) {
        guard let place = admit(key, at: objects.place(of: key), tag: change.tag, of: owner, into: &effects)
        else { return }
        if case .due = change { objects.at[place].isDueWaiting = true }
        objects.at[place].changes.append(change, of: owner)
        advance(place, into: &effects)
    }

    private mutating func enqueueDue(_ key: ObjectKey, into effects: inout [ReplicaEffect]) {
        if let place = objects.place(of: key), objects.at[place].isDueWaiting { return }
        enqueue(.due, of: nil, key: key, into: &effects)
    }

    /// Makes sure that the object, whose place is given if it is open, has one with room for one more to wait,
    /// loading its record if need be; nil when there is no room.
    private mutating func admit(
        _ key: ObjectKey, at open: OpenObjects.Place?, tag: RequestTag?, of owner: Principal?,
        into effects: inout [ReplicaEffect]
    ) -> OpenObjects.Place? {
        guard let place = open else {
            effects.append(.load(key, of: owner))
            return objects.open(key)
        }
        // What the server asked for itself is never turned away: it may be what makes room for others.
        guard let tag, let owner else { return place }
        guard makeRoom(at: place, for: owner, into: &effects) else {
            effects.append(.reply(tag, .refused(.busy)))
            return nil
        }
        return place
    }

    /// The statement that answers a PREPARE which brings nothing new.
    private func remembered(_ prepare: Prepare) -> SignedStatement? {
        guard prepare.justification == nil, prepare.admission.isEmpty else { return nil }
        return remembered.statement(on: prepare.timestamp, of: prepare.key)
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
                if let number = change.number {
                    effects.append(.repairEnded(number: number, .failure(.storage(failure))))
                }
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

    private mutating func answer(
        _ waiting: WaitingRead, of key: ObjectKey, from record: ObjectRecord, into effects: inout [ReplicaEffect]
    ) {
        let claim = record.claim
        switch waiting.question {
        case .claim:
            effects.append(.reply(waiting.tag, .timestamp(claim)))
        case .certificate(let timestamp):
            let certificate = record.certificate(of: timestamp)
            effects.append(.reply(waiting.tag, .certificate(claim, certificate)))
            // Who asks is not satisfied with what this server says, and will not be with this. A server whose own earlier
            // life is in it has it restated itself.
            if let certificate, fences.fencedServer(in: certificate) != nil,
                !fences.isFenced(waiting.principal, in: certificate)
            {
                effects.append(.restate(key, certificate))
            }
        case .held(let kind):
            effects.append(.reply(waiting.tag, .held(HeldList(kind, of: record))))
        case .read(let read):
            guard read.portion > .timestamp, let timestamp = read.version ?? claim.timestamp,
                let version = record.version(timestamp), !record.mayLackDescriptor(version)
            else {
                effects.append(.reply(waiting.tag, .version(claim, nil)))
                return
            }
            // What was lost once is not looked for again, whatever the disk would give back this time.
            let portion = version.holdsFragments ? read.portion : min(read.portion, .descriptor)
            effects.append(.replyWithVersion(waiting.tag, claim, key, timestamp, portion))
        case .again(let prepare, let statement):
            // What is held no more, or was found to be poisonous since, is not vouched for again.
            guard record.version(prepare.timestamp)?.holdsFragments == true, !record.isPoisonous(prepare.timestamp)
            else {
                verify(.prepare(prepare), tag: waiting.tag, from: waiting.principal, into: &effects)
                return
            }
            effects.append(.reply(waiting.tag, .prepared(statement, committed: record.highestCommitted)))
        }
    }

    /// Starts the next change of the object when none is in flight; forgets the object when nothing is left to do.
    mutating func advance(_ place: OpenObjects.Place, into effects: inout [ReplicaEffect]) {
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
            key: key, record: record, parameters: parameters, nowMilliseconds: nowMilliseconds,
            node: node, pinned: pins.pinned(key, nowMilliseconds: nowMilliseconds), fences: fences)
        switch change {
        case .prepare(let tag, let prepare, let evidence):
            switch transition.prepare(prepare, evidence: evidence, accounts: accounts) {
            case .sign(let claim):
                let change = transition.change
                if claim == .stored, change == nil,
                    let known = remembered.statement(on: prepare.timestamp, of: key)
                {
                    // It waited behind one like it.
                    effects.append(.reply(tag, .prepared(known, committed: record.highestCommitted)))
                    return
                }
                let statement = statement(key: key, timestamp: prepare.timestamp, claim: claim)
                if claim == .stored, let change, let staged = prepare.descriptor.descriptor.staged,
                    change.puts.contains(where: { $0.timestamp == prepare.timestamp })
                {
                    inspect(
                        staged, of: prepare.timestamp, then: change, leadingTo: transition.record, at: place,
                        answer: .prepared(tag, prepare.timestamp, .stored), statements: [statement], into: &effects)
                    return
                }
                store(
                    change, leadingTo: transition.record, at: place,
                    answer: .prepared(tag, prepare.timestamp, claim), statements: [statement], into: &effects)
            case .tooManyPending(let timestamps):
                list(timestamps, transition, at: place, for: prepare.timestamp.writer, tag: tag, into: &effects)
            case .refuse(let refusal):
                effects.append(.reply(tag, .refused(refusal)))
                if case .tooManyUnverified = refusal { verifyAtOnce(key, record, into: &effects) }
                if let justification = prepare.justification {
                    restateIfFenced(justification, refusal, key, into: &effects)
                }
                catchUp(with: prepare.timestamp.writer, into: &effects)
            }
        case .commit(let tag, let certificate):
            if transition.hasForgotten(certificate, own: incarnation) {
                effects.append(.forgotten(key, certificate.timestamp))
            }
            let refusal = transition.commit(certificate)
            for upload in transition.spentUploads {
                discards.add(upload, of: certificate.timestamp.writer, at: key, isCommitted: true)
            }
            if case .tooManyUnverified? = refusal { verifyAtOnce(key, record, into: &effects) }
            restateIfFenced(certificate.certificate, refusal, key, into: &effects)
            acknowledge(certificate.timestamp, transition, refusal, at: place, tag: tag, into: &effects)
        case .describe(let tag, let describe):
            let refusal = transition.describe(describe)
            acknowledge(describe.timestamp, transition, refusal, at: place, tag: tag, into: &effects)
        case .stage(let tag, let stage, let fragment):
            self.stage([(tag, stage, fragment)], transition, at: place, into: &effects)
        case .discard(let tag, let discard):
            if discard.attempt == nil {
                discards.add(discard.upload, of: discard.stager, at: key, isCommitted: false)
            }
            transition.discard(discard)
            guard let change = transition.change else {
                effects.append(.reply(tag, .discarded))
                return
            }
            store(change, leadingTo: transition.record, at: place, answer: .reply(tag, .discarded), into: &effects)
        case .due:
            objects.at[place].isDueWaiting = false
            transition.expire()
            if transition.takeDueVerification() { effects.append(.verifyVersions(key, isUrgent: false)) }
            if let change = transition.change {
                store(change, leadingTo: transition.record, at: place, answer: .nothing, into: &effects)
            }
        case .lost(let lost):
            transition.lose(lost)
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
        case .repaired(let parts, let number):
            repair(parts, number: number, transition, at: place, into: &effects)
        case .learned(let certificate, let number):
            learn(certificate, number: number, transition, at: place, into: &effects)
        case .restate(let tag, let restate, let evidence):
            self.restate(restate, evidence, tag: tag, transition, at: place, into: &effects)
        case .signed(let statements):
            for (timestamp, statement) in statements { transition.add([statement], on: timestamp) }
            if let change = transition.change {
                store(change, leadingTo: transition.record, at: place, answer: .nothing, into: &effects)
            }
        }
    }

    /// A certificate was refused only since one of its servers has lost its memory: those who have not can have it count.
    func restateIfFenced(
        _ certificate: Certificate, _ refusal: Refusal?, _ key: ObjectKey, into effects: inout [ReplicaEffect]
    ) {
        guard case .invalidCertificate(.fenced)? = refusal else { return }
        effects.append(.restate(key, certificate))
    }

    func verifyAtOnce(_ key: ObjectKey, _ record: ObjectRecord, into effects: inout [ReplicaEffect]) {
        if !record.unverified.isEmpty { effects.append(.verifyVersions(key, isUrgent: true)) }
    }

    func statement(key: ObjectKey, timestamp: Timestamp, claim: Claim) -> Statement {
        Statement(
            scope: StatementScope(
                cluster: parameters.configuration.cluster, epoch: parameters.configuration.epoch, group: group.id,
                mode: parameters.mode),
            node: node, incarnation: incarnation, key: key, timestamp: timestamp, claim: claim)
    }
}

extension Replica {
    /// Changes that were decided and are not known to be durable.
    package var changesUnderWay: Set<WorkToken> {
        Set(objects.at.indices.lazy.filter { objects.at[$0].isOpen }.compactMap { objects.at[$0].inFlight?.token })
    }
}
