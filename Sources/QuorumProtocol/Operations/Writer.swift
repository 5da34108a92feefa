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
        indirect case encodingChecked(Timestamp, isSound: Bool)
        /// For each server its fragments of a version that was left behind.
        indirect case reencoded(Timestamp, fragments: [[SharedBytes]])
        /// The channel to the server is there again: what it may have missed is sent again.
        case connected(Position)
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
        /// Make every server's fragments (`Writer.reencode`) from m good ones of each stripe.
        indirect case reencode(Timestamp, SealedDescriptor, stripes: [[VerifiedFragment]])
        /// Find out whether the version is sound (`Reader.isSound`).
        indirect case checkEncoding(Timestamp, SealedDescriptor, stripes: [[VerifiedFragment]])
        /// From now on the servers that are no spares have their time.
        case startHedge
        indirect case finish(Result<WriteOutcome, OperationFailure>)
    }

    enum Phase: Sendable {
        /// Waiting for the value to be encoded; what it goes above, with its certificate, is remembered.
        case encode(above: Timestamp)
        case readTimestamp
        case prepare(Timestamp)
        /// Finishing a version that an earlier run of this client left behind; our own, named, waits.
        case complete(PendingCompletion, own: Timestamp)
        /// Finding out whether a version above our own was committed before; our own waits.
        indirect case doubt(Reader, own: Timestamp)
        /// Committing our own version, or one that an earlier run of this client left behind; then our own waits.
        case commit(Commit, of: SealedDescriptor, waiting: Timestamp?)
        case finished
    }

    let parameters: ClusterParameters
    let key: ObjectKey
    package let placement: Placement
    let writer: ClientID
    var phase = Phase.readTimestamp
    /// What is to be written, until it is given away to be encoded.
    private var content: WriteContent?
    var encoded: (descriptor: SealedDescriptor, fragments: [[SharedBytes]])?
    var tally: ClaimTally
    var observations: ServerObservations
    var rounds = 0
    // PREPARE
    var statements = SignedStatements()
    var base: Timestamp?
    var wantJustification: [Position] = []
    var justified: [Position] = []
    var full: [Position] = []
    var admitted: [Position] = []
    /// Servers that are not sent PREPARE unless one of the others keeps us waiting.
    var spares: [Position]
    /// Those of the others that had not answered PREPARE when their time was over, and still have not.
    var overdue: [Position] = []
    var leftBehind = LeftBehindVersions()
    var recoveries = 0
    /// Whether a version beside our own was ever read, prepared or committed: answers to that may come late.
    var hasDetoured = false
    /// What became of the remembered certificate that the write began with.
    var memory = Memory.none
    /// Servers that could not prove what they claimed in earlier operations; what they name now puts nothing in doubt.
    let distrusted: PositionSet
    /// The version that put our own in doubt, and who named it.
    var alleged: (server: Position, timestamp: Timestamp)?
    // COMMIT
    private(set) var acknowledged: PositionSet = []

    /// - Parameters:
    ///   - content: what is to be written.
    ///   - remembered: the certificate of a version of the object, which saves reading the timestamp as long as nobody
    ///     else has written since.
    ///   - spares: at most f positions whose servers get no fragments of their own as long as the others take theirs.
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
        self.content = content
        self.spares = spares
        self.distrusted = distrusted.count > parameters.quorums.faults ? [] : PositionSet(distrusted)
        tally = ClaimTally(quorums: parameters.quorums)
        guard let remembered else { return }
        tally.prove(remembered)
        phase = .encode(above: remembered.timestamp)
        memory = .trusted
    }

    var quorums: QuorumConfiguration { parameters.quorums }

    /// Takes one input and appends what is to be done; nothing comes after `.finish`.
    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if case .finished = phase { return }
        switch consume input {
        case .start:
            if case .readTimestamp = phase { beginReadTimestamp(into: &effects) }
            guard let content = content.take() else { preconditionFailure("a writer starts once") }
            effects.append(.encode(EncodingJob(key: key, content: content, parameters: parameters)))
        case .encoded(let descriptor, let fragments):
            precondition(encoded == nil && fragments.count == quorums.serverCount)
            encoded = (descriptor, fragments)
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
        case .encodingChecked(let timestamp, let isSound):
            examine(.encodingChecked(timestamp, isSound: isSound), into: &effects)
        case .reencoded(let timestamp, let fragments):
            reencoded(timestamp, fragments, into: &effects)
        case .connected(let server):
            tally.forgetAsked(of: server)
            resend(to: server, into: &effects)
            askProofs(into: &effects)
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
        switch (phase, reply) {
        case (.readTimestamp, .timestamp(let claim)):
            observations.withdrawRefusal(of: server)
            tally.record(claim, of: server)
            advanceReadTimestamp(into: &effects)
        case (.doubt, _):
            examine(reply, of: server, into: &effects)
        case (.prepare(let timestamp), .prepared(let signed, let committed)):
            if isDoubtful(timestamp, beside: committed, of: server) {
                // Once we have read, a late answer to an earlier question may follow, which says less and is no lie.
                alleged = hasDetoured ? nil : committed.map { (server, $0) }
                beginDoubt(timestamp, into: &effects)
                return
            }
            verify(signed, of: server, for: [timestamp], into: &effects)
        case (.complete(let completion, let own), .prepared(let signed, let committed)):
            if isDoubtful(own, beside: committed, of: server) { memory = .doubtful }
            // The reply does not name its version; it may be a late one on our own.
            verify(signed, of: server, for: [completion.timestamp, own], into: &effects)
        case (.prepare, .refused(let refusal)):
            refusedPrepare(refusal, by: server, into: &effects)
        case (.complete, .refused(let refusal)):
            refusedCompletion(refusal, by: server, into: &effects)
        case (.commit(let commit, let descriptor, _), .committed(let timestamp, let needsDescriptor)):
            guard timestamp == commit.certificate.timestamp || isPlanted(.anyAcknowledgementCounts) else { return }
            if needsDescriptor, !acknowledged.contains(server) {
                let describe = Describe(key: key, timestamp: commit.certificate.timestamp, descriptor: descriptor)
                effects.append(.send(server, .describe(describe)))
            }
            acknowledged.insert(server)
            observations.withdrawRefusal(of: server)
            advanceCommit(into: &effects)
        case (_, .certificate(let claim, let certificate)):
            switch tally.record(claim, showing: certificate, of: server) {
            case .verify(let certificate): effects.append(.verifyCertificate(server, certificate))
            case .exposed: observations.misbehaviours[server] = .unprovenClaim
            case .nothing: break
            }
            askProofs(into: &effects)
        case (_, .refused(let refusal)):
            // A server that has acknowledged COMMIT refuses the descriptor, which nobody waits for.
            guard !refusal.answersPrepareOnly, !acknowledged.contains(server) else { return }
            observations.refusals[server] = refusal
            giveUpIfHopeless(into: &effects)
        case (_, .timestamp), (_, .prepared), (_, .committed):
            // An answer to a phase that is over.
            return
        case (_, .version(let claim, let parts)):
            compare(claim, of: server)
            take(parts, of: server, into: &effects)
        }
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
        phase = .readTimestamp
        rounds += 1
        tally = ClaimTally(quorums: quorums)
        statements = SignedStatements()
        wantJustification = []
        justified = []
        full = []
        admitted = []
        leftBehind = LeftBehindVersions()
        acknowledged = []
        observations.refusals = [:]
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
            if encoded != nil { beginPrepare(above: standing.highest, into: &effects) }
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
        case .prepare, .complete: justify(into: &effects)
        case .encode, .doubt, .commit, .finished: break
        }
    }
}

// MARK: - COMMIT

extension Writer {
    mutating func beginCommit(
        _ certificate: Certificate, of descriptor: SealedDescriptor, waiting own: Timestamp?,
        into effects: inout [Effect]
    ) {
        let commit = Commit(key: key, certificate: certificate)
        phase = .commit(commit, of: descriptor, waiting: own)
        rounds += 1
        acknowledged = []
        observations.refusals = [:]
        for server in quorums.positions { effects.append(.send(server, .commit(commit))) }
    }

    private mutating func advanceCommit(into effects: inout [Effect]) {
        let enough = isPlanted(.oneAcknowledgement) ? 1 : quorums.quorum
        guard case .commit(let commit, _, let own) = phase, acknowledged.count >= enough else { return }
        if let own {
            goOn(own, above: VerifiedCertificate(key: key, certificate: commit.certificate), into: &effects)
            return
        }
        observations.slow = overdue.map(placement.node(at:))
        finish(
            .success(
                WriteOutcome(
                    timestamp: commit.certificate.timestamp,
                    proof: VerifiedCertificate(key: key, certificate: commit.certificate), rounds: rounds,
                    observations: observations)),
            into: &effects)
    }

    /// Goes on with our own version after a recovery. Some servers may hold it already, and one write must not be able
    /// to take effect under two timestamps: it gets a new one only if the version that a quorum has just committed is
    /// higher, for then the old one can never surface again.
    private mutating func goOn(
        _ own: Timestamp, above recovered: VerifiedCertificate, into effects: inout [Effect]
    ) {
        guard recovered.timestamp < own else {
            beginAnew(into: &effects)
            return
        }
        tally.prove(recovered)
        raiseBase(to: recovered.timestamp)
        full = []
        admitted = []
        leftBehind = LeftBehindVersions()
        acknowledged = []
        observations.refusals = [:]
        resume(own, into: &effects)
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
        case .prepare(let timestamp):
            if !statements.contains(server), !spares.contains(server) {
                sendPrepare(timestamp, to: server, into: &effects)
            }
        case .complete(let completion, _):
            if let request = completion.request(to: server, justification: justification(for: server)) {
                effects.append(.send(server, request))
            }
        case .doubt:
            examine(.connected(server), into: &effects)
        case .commit(let commit, _, _):
            if !acknowledged.contains(server) { effects.append(.send(server, .commit(commit))) }
        case .finished:
            break
        }
    }

    /// Fails at once when more than f servers refused for good: waiting cannot bring a quorum any more.
    mutating func giveUpIfHopeless(into effects: inout [Effect]) {
        let final = observations.refusals.filter { !$0.value.isTransient && !full.contains($0.key) }
        guard final.count > quorums.faults else { return }
        finish(.failure(.refused(operationPhase, observations: observations)), into: &effects)
    }

    private var operationPhase: OperationPhase {
        switch phase {
        // When it begins anew PREPAREs of ours have left.
        case .readTimestamp: memory == .overtaken ? .prepare : .readTimestamp
        case .encode, .prepare, .complete, .doubt: .prepare
        case .commit(_, _, let own): own == nil ? .commit : .prepare
        case .finished: .commit
        }
    }

    func unavailable() -> OperationFailure {
        let answered: [Position]
        switch phase {
        case .readTimestamp: answered = quorums.positions.filter { tally.hasClaim(of: $0) }
        case .encode, .prepare, .complete, .doubt: answered = statements.positions
        case .commit, .finished: answered = Array(acknowledged)
        }
        return .unavailable(
            operationPhase, answered: answered.map(placement.node(at:)), need: quorums.quorum,
            observations: observations)
    }
}
