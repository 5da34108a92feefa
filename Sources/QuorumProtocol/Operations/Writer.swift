// The writer's side of the protocol, without I/O (docs/protocol.md, Write).
//
// Phases: READ-TIMESTAMP finds the highest valid counter; PREPARE has every server store its fragments and sign; q
// verified statements are the certificate that COMMIT carries; q answers complete the write. A tombstone is written the
// same way. A writer that remembers the certificate of an earlier version begins with PREPARE; a server that names a
// higher committed version than its own puts that in doubt (WriterDoubt.swift).
//
// A writer with spares sends PREPARE to the other servers only, which suffices in the common case and leaves the
// version at as many servers as certify it (WriterPrepare.swift).
//
// Side paths, each taken at most once per server and phase:
// - a server that has not seen the version below asks for its justification, and PREPARE goes to it again with one;
// - a server full of this client's uncommitted versions gets f + 1 *stored* statements for this one, and admits it;
// - when that is not enough, a version that this client left behind is finished first, which frees the others
//   (WriterRecovery.swift).
//
// What belongs to a phase lies in the phase. Our own version (WriterPrepare.swift) lies beside it: from its first
// PREPARE on it is there through every phase, until READ-TIMESTAMP begins anew.
//
// Invariants: once the first COMMIT has left, the timestamp never changes; a statement counts only after it was
// verified for exactly this version; a reply of an earlier phase is ignored.

import ErasureCode
import Fingerprint

/// One write of one object.
package struct Writer: Sendable {
    /// Indirect where a case is far larger than the others, which pass through many hands.
    package enum Input: Sendable {
        case start
        /// Answers `.encode`: for each server its fragments, one a stripe (a tombstone has none).
        case encoded(SealedDescriptor, fragments: [[SharedBytes]])
        case reply(Position, Reply)
        indirect case certificateVerified(Position, Certificate, Result<VerifiedCertificate, CertificateError>)
        indirect case statementVerified(
            Position, SignedStatement, Timestamp, Result<VerifiedStatement, CertificateError>)
        indirect case fragmentVerified(
            Position, Timestamp, StripeIndex, Result<VerifiedFragment, FragmentVerificationError>)
        /// Answers `.checkEncoding`.
        indirect case encodingChecked(Timestamp, stripe: UInt64, isSound: Bool)
        /// For each server its fragments of a version that was left behind, or of one of its stripes.
        indirect case reencoded(ReencodingJob, fragments: [[SharedBytes]])
        /// The channel to the server is there again: what it may have missed is sent again.
        case connected(Position)
        /// The server has lost its memory: what it has said before counts no more.
        case renewed(Position)
        /// The servers that are not spares have had their time.
        case hedge
        case retransmit
        case deadline
    }

    /// Indirect as an input is.
    package enum Effect: Sendable {
        case send(Position, Request)
        /// Encode what is to be written, beside whatever was sent before.
        indirect case encode(EncodingJob)
        indirect case verifyCertificate(Position, Certificate)
        indirect case verifyStatement(Position, SignedStatement, Timestamp)
        /// Verify bytes that the server sent as its fragment of the stripe.
        indirect case verifyFragment(Position, Timestamp, StripeIndex, CrossChecksum, SharedBytes)
        /// Make every server's fragments from m good ones of each stripe.
        indirect case reencode(ReencodingJob)
        /// Find out whether these stripes of the version are sound.
        indirect case checkEncoding(Timestamp, [GatheredStripe])
        /// From now on the servers that are no spares have their time.
        case startHedge
        indirect case finish(Result<WriteOutcome, OperationFailure>)
    }

    enum Phase: Sendable {
        /// Waiting for the value to be encoded; what it goes above, with its certificate, is remembered.
        case encode(above: Timestamp)
        case readTimestamp
        case prepare
        /// Finishing a version that an earlier run of this client left behind; our own waits.
        case complete(PendingCompletion)
        /// Finding out whether a version above our own was committed before; our own waits.
        indirect case doubt(Reader)
        case commit(CommitPhase)
        case finished
    }

    /// What is to be written, on its way to what PREPARE carries; READ-TIMESTAMP goes on meanwhile.
    enum Content: Sendable {
        case given(WriteContent)
        case encoding
        case encoded(SealedDescriptor, fragments: [[SharedBytes]])
    }

    let parameters: ClusterParameters
    let key: ObjectKey
    package let placement: Placement
    let writer: ClientID
    var phase = Phase.readTimestamp
    private(set) var content: Content
    /// Our own version (`own`): none before its PREPARE, nor once the write begins anew.
    var preparation: OwnVersion?
    var tally: ClaimTally
    var observations: ServerObservations
    var rounds = 0
    /// Servers that are not sent PREPARE unless one of the others keeps us waiting.
    var spares: [Position]
    /// Those of the others that had not answered PREPARE when their time was over, and still have not.
    var overdue: [Position] = []
    /// How many versions beside our own were committed.
    var recoveries = 0
    /// Whether a version beside our own was ever read, prepared or committed: answers to that may come late.
    var hasDetoured = false
    /// What became of the remembered certificate that the write began with.
    var memory = Memory.none
    /// Servers that could not prove what they claimed in earlier operations; what they name now puts nothing in doubt.
    let distrusted: PositionSet
    /// The version that put our own in doubt, and who named it, which may prove it after the doubt is over.
    var alleged: (server: Position, timestamp: Timestamp)?

    /// - Parameters:
    ///   - content: what is to be written.
    ///   - remembered: the certificate of a version of the object, which saves reading the timestamp as long as nobody
    ///     else has written since.
    ///   - spares: at most f positions whose servers get no fragments of their own as long as the others take theirs; a
    ///     large value has none.
    ///   - distrusted: servers that were seen to claim what they could not prove (`Misbehaviour.unprovenClaim`); more
    ///     than f of them are none.
    package init(
        parameters: ClusterParameters, key: ObjectKey, writer: ClientID, content: WriteContent,
        remembered: VerifiedCertificate? = nil, spares: [Position] = [], distrusted: [Position] = []
    ) {
        precondition(remembered == nil || remembered?.key == key)
        precondition(spares.count <= parameters.quorums.faults && spares.allSatisfy(parameters.quorums.contains))
        self.parameters = parameters
        self.key = key
        let placement = parameters.placement(of: key)
        self.placement = placement
        observations = ServerObservations(placement)
        self.writer = writer
        self.content = .given(content)
        // A server that is not sent PREPARE holds no stripe: with f others that know of a higher version and f that lie,
        // too few would be left to read one below it.
        if case .staged = content { self.spares = [] } else { self.spares = spares }
        self.distrusted = distrusted.count > parameters.quorums.faults ? [] : PositionSet(distrusted)
        tally = ClaimTally(quorums: parameters.quorums)
        guard let remembered else { return }
        tally.prove(remembered)
        phase = .encode(above: remembered.timestamp)
        memory = .trusted
    }

    var quorums: QuorumConfiguration { parameters.quorums }

    /// Our own version; there is one in PREPARE and in every phase that comes after it.
    var own: OwnVersion {
        _read {
            guard preparation != nil else { preconditionFailure("our own version is asked for before its PREPARE") }
            yield preparation!
        }
        _modify {
            guard preparation != nil else { preconditionFailure("our own version is changed before its PREPARE") }
            yield &preparation!
        }
    }

    /// Takes one input and appends what is to be done; nothing comes after `.finish`.
    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if case .finished = phase { return }
        switch consume input {
        case .start:
            if case .readTimestamp = phase { beginReadTimestamp(into: &effects) }
            guard case .given(let given) = content else { preconditionFailure("a writer starts once") }
            content = .encoding
            let job = EncodingJob(
                key: key, content: given, parameters: parameters, leavesSpares: !spares.isEmpty)
            effects.append(.encode(job))
        case .encoded(let descriptor, let fragments):
            guard case .encoding = content, fragments.count == quorums.serverCount else {
                preconditionFailure("an encoding is for all servers, and comes once")
            }
            content = .encoded(descriptor, fragments: fragments)
            if case .encode(let remembered) = phase {
                beginPrepare(above: remembered, into: &effects)
            } else {
                advanceReadTimestamp(into: &effects)
            }
        case .reply(let server, let reply):
            guard quorums.contains(server) else { return }
            receive(reply, from: server, into: &effects)
        case .certificateVerified(let server, let certificate, let result):
            if case .doubt = phase {
                examine(.certificateVerified(server, certificate, result), into: &effects)
            } else {
                certificateVerified(certificate, of: server, result, into: &effects)
            }
        case .statementVerified(let server, let signed, let timestamp, let result):
            if signed.claim == .poisonous {
                examine(.statementVerified(server, signed, timestamp, result), into: &effects)
            } else {
                statementVerified(server, signed, timestamp, result, into: &effects)
            }
        case .fragmentVerified(let server, let timestamp, let stripe, let result):
            if case .doubt = phase {
                examine(.fragmentVerified(server, timestamp, stripe, result), into: &effects)
            } else {
                fragmentVerified(server, timestamp, stripe, result, into: &effects)
            }
        case .encodingChecked(let timestamp, let stripe, let isSound):
            examine(.encodingChecked(timestamp, stripe: stripe, isSound: isSound), into: &effects)
        case .reencoded(let job, let fragments):
            reencoded(job, fragments, into: &effects)
        case .connected(let server):
            tally.forgetAsked(of: server)
            resend(to: server, into: &effects)
            fill(into: &effects) { $0.connected(server, into: &$1) }
            askProofs(into: &effects)
        case .renewed(let server):
            forget(server, into: &effects)
        case .hedge:
            hedge(into: &effects)
        case .retransmit:
            remind(into: &effects)
            drawInSpares(into: &effects)
        case .deadline:
            finish(.failure(unavailable()), into: &effects)
        }
    }

    private mutating func receive(_ reply: Reply, from server: Position, into effects: inout [Effect]) {
        if case .prepared = reply { overdue.removeAll { $0 == server } }
        if case .doubt = phase {
            examine(reply, of: server, into: &effects)
            return
        }
        switch reply {
        case .timestamp(let claim):
            guard case .readTimestamp = phase else { return }
            observations.withdrawRefusal(of: server)
            tally.record(claim, of: server)
            advanceReadTimestamp(into: &effects)
        case .prepared(let signed, let committed):
            prepared(signed, beside: committed, by: server, into: &effects)
        case .committed(let timestamp, let needsDescriptor):
            acknowledged(timestamp, needsDescriptor: needsDescriptor, by: server, into: &effects)
        case .certificate(let claim, let certificate):
            switch tally.record(claim, showing: certificate, of: server) {
            case .verify(let certificate): effects.append(.verifyCertificate(server, certificate))
            case .exposed: observations.misbehaviours[server] = .unprovenClaim
            case .nothing: break
            }
            askProofs(into: &effects)
        case .staged, .fetched:
            takeStaging(reply, of: server, into: &effects)
        case .discarded, .held:
            observations.misbehaviours[server] = .unexpectedReply
        case .refused(let refusal):
            refused(refusal, by: server, into: &effects)
        case .version(let claim, let parts):
            compare(claim, of: server)
            // It may call poisonous what our versions rest on.
            if case .complete = phase, parameters.mode.verifiesLater { tally.record(claim, of: server) }
            take(parts, of: server, into: &effects)
        }
    }

    private mutating func refused(_ refusal: Refusal, by server: Position, into effects: inout [Effect]) {
        switch phase {
        case .prepare:
            refusedPrepare(refusal, by: server, into: &effects)
        case .complete:
            refusedCompletion(refusal, by: server, into: &effects)
        case .commit(let commit) where commit.acknowledged.contains(server):
            // What it refuses is the descriptor, which nobody waits for.
            return
        case .encode, .readTimestamp, .doubt, .commit, .finished:
            guard !refusal.answersPreparationOnly else { return }
            observations.refusals[server] = refusal
            giveUpIfHopeless(into: &effects)
        }
    }

    /// What the server has said it said in a life that is over.
    private mutating func forget(_ server: Position, into effects: inout [Effect]) {
        if isPlanted(.earlierAnswersCounted) { return }
        preparation?.statements.remove(server)
        if case .doubt = phase {
            examine(.renewed(server), into: &effects)
            return
        }
        tally.forget(server)
        if case .commit(var commit) = phase {
            commit.acknowledged.remove(server)
            phase = .commit(commit)
        }
        resend(to: server, into: &effects)
        askProofs(into: &effects)
    }

    /// Begins a phase with a round of messages to all; what servers refused before says nothing of it.
    mutating func beginRound(_ phase: Phase) {
        self.phase = phase
        rounds += 1
        observations.refusals = [:]
    }

    mutating func finish(_ result: Result<WriteOutcome, OperationFailure>, into effects: inout [Effect]) {
        phase = .finished
        effects.append(.finish(result))
    }
}

/// A completed write.
public struct WriteOutcome: Equatable, Sendable {
    public let timestamp: Timestamp
    /// The proof that a quorum holds the version: each of its statements was verified.
    public let proof: VerifiedCertificate
    /// How many rounds of messages it took, in the common case 3, or 2 with a remembered certificate.
    public let rounds: Int
    public let observations: ServerObservations

    package var certificate: Certificate { proof.certificate }
}

// MARK: - READ-TIMESTAMP

extension Writer {
    mutating func beginReadTimestamp(into effects: inout [Effect]) {
        beginRound(.readTimestamp)
        preparation = nil
        tally = ClaimTally(quorums: quorums)
        for server in quorums.positions { effects.append(.send(server, .readTimestamp(key))) }
    }

    /// A quorum has a version above our own timestamp, which therefore can never surface any more.
    mutating func beginAnew(into effects: inout [Effect]) {
        memory = .overtaken
        beginReadTimestamp(into: &effects)
    }

    private mutating func advanceReadTimestamp(into effects: inout [Effect]) {
        guard case .readTimestamp = phase else { return }
        let standing = tally.standing()
        let enough = isPlanted(.timestampFromTooFew) ? quorums.vouchers : quorums.quorum
        if standing.countedReplies >= enough {
            if case .encoded = content { beginPrepare(above: standing.highest, into: &effects) }
        } else if standing.answerCount >= quorums.quorum {
            for (server, timestamp) in tally.askProofs(of: standing.doubted) {
                effects.append(.send(server, .certificate(key, timestamp)))
            }
        }
    }

    private mutating func certificateVerified(
        _ certificate: Certificate, of server: Position, _ result: Result<VerifiedCertificate, CertificateError>,
        into effects: inout [Effect]
    ) {
        if case .failure(let error) = result, !error.isIgnorance {
            observations.misbehaviours[server] = .invalidCertificate(error)
        }
        if let next = tally.verified(certificate, of: server, result) {
            effects.append(.verifyCertificate(next.server, next.certificate))
        }
        askProofs(into: &effects)
    }

    /// Goes on with what is known of claims and certificates by now, and asks for those that are missing.
    mutating func askProofs(into effects: inout [Effect]) {
        switch phase {
        case .readTimestamp: advanceReadTimestamp(into: &effects)
        case .prepare: justify(into: &effects)
        case .complete:
            justify(into: &effects)
            convince(into: &effects)
        case .encode, .doubt, .commit, .finished: break
        }
    }
}

// MARK: - Loss and failure

extension Writer {
    mutating func resendToAll(into effects: inout [Effect]) {
        tally.forgetAsked()
        for server in quorums.positions { resend(to: server, into: &effects) }
        askProofs(into: &effects)
    }

    mutating func resend(to server: Position, into effects: inout [Effect]) {
        switch phase {
        case .encode:
            break
        case .readTimestamp:
            if !tally.hasClaim(of: server), !(isPlanted(.beginsAnewUnreminded) && memory == .overtaken) {
                effects.append(.send(server, .readTimestamp(key)))
            }
        case .prepare:
            if !own.statements.contains(server), !spares.contains(server) { sendPrepare(to: server, into: &effects) }
        case .complete(let completion):
            let proof =
                completion.unconvinced.contains(server)
                ? tally.certificate(justifying: completion.timestamp)?.certificate : justification(for: server)
            if let request = completion.request(to: server, justification: proof) {
                effects.append(.send(server, request))
            }
        case .doubt:
            examine(.connected(server), into: &effects)
        case .commit(let commit):
            if !commit.acknowledged.contains(server) { effects.append(.send(server, .commit(commit.message))) }
        case .finished:
            break
        }
    }

    /// Fails at once when more than f servers refused for good: waiting cannot bring a quorum any more.
    mutating func giveUpIfHopeless(into effects: inout [Effect]) {
        let full = preparation?.fullness.servers ?? []
        let final = observations.refusals.filter { server, refusal in
            let isFinal = !refusal.isTransient || preparation?.unfillable.contains(server) ?? false
            return isFinal && !full.contains(server)
        }
        guard final.count > quorums.faults else { return }
        finish(.failure(.refused(operationPhase, observations: observations)), into: &effects)
    }

    private var operationPhase: OperationPhase {
        switch phase {
        // When it begins anew PREPAREs of ours have left.
        case .readTimestamp: memory == .overtaken ? .prepare : .readTimestamp
        case .encode, .prepare, .complete, .doubt: .prepare
        case .commit(let commit): commit.isRecovery ? .prepare : .commit
        case .finished: .commit
        }
    }

    func unavailable() -> OperationFailure {
        let answered: [Position]
        switch phase {
        case .readTimestamp: answered = quorums.positions.filter { tally.hasClaim(of: $0) }
        case .prepare, .complete, .doubt: answered = own.statements.positions
        case .commit(let commit): answered = Array(commit.acknowledged)
        case .encode, .finished: answered = []
        }
        return .unavailable(
            operationPhase, answered: answered.map(placement.node(at:)), need: quorums.quorum,
            observations: observations)
    }
}
