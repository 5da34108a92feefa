// The writer's side of the protocol, without I/O (docs/protocol.md, Write).
//
// Phases: READ-TIMESTAMP finds the highest valid counter; PREPARE has every server store its fragments and sign; q
// verified statements are the certificate that COMMIT carries; q answers complete the write. A tombstone is written the
// same way.
//
// Side paths, each taken at most once per server and phase:
// - a server that has not seen the version below asks for its justification, and PREPARE goes to it again with one;
// - a server full of this client's uncommitted versions gets f + 1 *stored* statements for this one, and admits it;
// - when that is not enough, a version that q servers already hold for us is committed first, which frees the others.
//
// Invariants: once the first COMMIT has left, the timestamp never changes; a statement counts only after it was verified
// for exactly this version; a reply of an earlier phase is ignored.

import ErasureCode
import Fingerprint

/// One write of one object.
package struct Writer: Sendable {
    package enum Input: Sendable {
        case start
        /// The value is encoded: for each server its fragments, one a stripe (a tombstone has none).
        case encoded(SealedDescriptor, fragments: [[SharedBytes]])
        case reply(ServerIndex, Reply)
        case certificateVerified(ServerIndex, Certificate, Result<VerifiedCertificate, CertificateError>)
        case statementVerified(ServerIndex, SignedStatement, Timestamp, Result<VerifiedStatement, CertificateError>)
        /// The channel to the server is there again: what it may have missed is sent again.
        case connected(ServerIndex)
        case retransmit
        case deadline
    }

    package enum Effect: Sendable {
        case send(ServerIndex, Request)
        case verifyCertificate(ServerIndex, Certificate)
        case verifyStatement(ServerIndex, SignedStatement, Timestamp)
        case finish(Result<WriteOutcome, OperationFailure>)
    }

    private enum Phase: Sendable {
        case readTimestamp
        case prepare(Timestamp)
        /// Committing our own version, or (`recovering`) one that an earlier run of this client left behind.
        case commit(Commit, recovering: Bool)
        case finished
    }

    private let parameters: ClusterParameters
    private let key: ObjectKey
    private let writer: ClientID
    private var phase = Phase.readTimestamp
    private var encoded: (descriptor: SealedDescriptor, fragments: [[SharedBytes]])?
    private var tally: ClaimTally
    private var observations = ServerObservations()
    private var rounds = 0
    // PREPARE
    private var statements: [ServerIndex: SignedStatement] = [:]
    private var base: Timestamp?
    private var wantJustification: [ServerIndex] = []
    private var justified: [ServerIndex] = []
    private var full: [ServerIndex] = []
    private var admitted: [ServerIndex] = []
    private var pending: [Timestamp: (descriptor: SealedDescriptor, statements: [ServerIndex: SignedStatement])] = [:]
    private var recoveries = 0
    // COMMIT
    private var acknowledged: [ServerIndex] = []

    package init(parameters: ClusterParameters, key: ObjectKey, writer: ClientID) {
        self.parameters = parameters
        self.key = key
        self.writer = writer
        tally = ClaimTally(quorums: parameters.quorums)
    }

    private var quorums: QuorumConfiguration { parameters.quorums }

    /// Takes one input and appends what is to be done; nothing comes after `.finish`.
    package mutating func handle(_ input: Input, into effects: inout [Effect]) {
        if case .finished = phase { return }
        switch input {
        case .start:
            beginReadTimestamp(into: &effects)
        case .encoded(let descriptor, let fragments):
            precondition(encoded == nil && fragments.count == quorums.serverCount)
            encoded = (descriptor, fragments)
            advanceReadTimestamp(into: &effects)
        case .reply(let server, let reply):
            guard quorums.contains(server) else { return }
            receive(reply, from: server, into: &effects)
        case .certificateVerified(let server, _, let result):
            certificateVerified(server, result, into: &effects)
        case .statementVerified(let server, let signed, let timestamp, let result):
            statementVerified(server, signed, timestamp, result, into: &effects)
        case .connected(let server):
            resend(to: server, into: &effects)
        case .retransmit:
            for server in quorums.servers { resend(to: server, into: &effects) }
        case .deadline:
            finish(.failure(unavailable()), into: &effects)
        }
    }

    private mutating func receive(_ reply: Reply, from server: ServerIndex, into effects: inout [Effect]) {
        switch (phase, reply) {
        case (.readTimestamp, .timestamp(let claim)):
            observations.refusals[server] = nil
            tally.record(claim, of: server)
            advanceReadTimestamp(into: &effects)
        case (.prepare(let timestamp), .prepared(let signed, _)):
            guard statements[server] == nil else { return }
            guard signed.server == server else {
                observations.misbehaviours[server] = .invalidStatement(.unknownServer(signed.server))
                return
            }
            effects.append(.verifyStatement(server, signed, timestamp))
        case (.prepare, .refused(let refusal)):
            refusedPrepare(refusal, by: server, into: &effects)
        case (.commit(let commit, _), .committed(let timestamp)):
            guard timestamp == commit.certificate.timestamp else { return }
            if !acknowledged.contains(server) { acknowledged.append(server) }
            observations.refusals[server] = nil
            advanceCommit(into: &effects)
        case (_, .refused(let refusal)):
            guard !refusal.answersPrepareOnly else { return }
            observations.refusals[server] = refusal
            giveUpIfHopeless(into: &effects)
        case (_, .timestamp), (_, .prepared), (_, .committed):
            // An answer to a phase that is over.
            return
        case (_, .version):
            observations.misbehaviours[server] = .unexpectedReply
        }
    }

    private mutating func finish(_ result: Result<WriteOutcome, OperationFailure>, into effects: inout [Effect]) {
        phase = .finished
        effects.append(.finish(result))
    }
}

/// A completed write.
public struct WriteOutcome: Equatable, Sendable {
    public let timestamp: Timestamp
    /// The proof that a quorum holds the version.
    public let certificate: Certificate
    /// How many rounds of messages it took, in the common case 3.
    public let rounds: Int
    public let observations: ServerObservations
}

// MARK: - READ-TIMESTAMP

extension Writer {
    private mutating func beginReadTimestamp(into effects: inout [Effect]) {
        phase = .readTimestamp
        rounds += 1
        tally = ClaimTally(quorums: quorums)
        statements = [:]
        wantJustification = []
        justified = []
        full = []
        admitted = []
        pending = [:]
        acknowledged = []
        observations.refusals = [:]
        for server in quorums.servers { effects.append(.send(server, .readTimestamp(key))) }
    }

    private mutating func advanceReadTimestamp(into effects: inout [Effect]) {
        guard case .readTimestamp = phase else { return }
        switch tally.standing() {
        case .verify(let server, let certificate):
            effects.append(.verifyCertificate(server, certificate))
        case .verifying:
            return
        case .valid(let highest, let countedReplies):
            guard countedReplies >= quorums.quorum, let encoded else { return }
            base = highest
            let (counter, overflow) = highest.counter.addingReportingOverflow(1)
            guard !overflow else {
                finish(.failure(.timestampExhausted), into: &effects)
                return
            }
            beginPrepare(
                Timestamp(counter: counter, writer: writer, digest: encoded.descriptor.digest), into: &effects)
        }
    }

    private mutating func certificateVerified(
        _ server: ServerIndex, _ result: Result<VerifiedCertificate, CertificateError>, into effects: inout [Effect]
    ) {
        tally.verified(of: server, result)
        if case .failure(let error) = result { observations.misbehaviours[server] = .invalidCertificate(error) }
        switch phase {
        case .readTimestamp: advanceReadTimestamp(into: &effects)
        case .prepare: justify(into: &effects)
        case .commit, .finished: break
        }
    }
}

// MARK: - PREPARE

extension Writer {
    private mutating func beginPrepare(_ timestamp: Timestamp, into effects: inout [Effect]) {
        phase = .prepare(timestamp)
        rounds += 1
        observations.refusals = [:]
        for server in quorums.servers { sendPrepare(timestamp, to: server, into: &effects) }
    }

    private func sendPrepare(_ timestamp: Timestamp, to server: ServerIndex, into effects: inout [Effect]) {
        guard let encoded else { preconditionFailure("a PREPARE before the value is encoded") }
        let justification = justified.contains(server) ? base.flatMap { tally.certificate(of: $0) } : nil
        let prepare = Prepare(
            key: key, timestamp: timestamp, descriptor: encoded.descriptor,
            fragments: encoded.fragments[server.offset], justification: justification?.certificate,
            admission: admitted.contains(server) ? admission : [])
        effects.append(.send(server, .prepare(prepare)))
    }

    /// f + 1 *stored* statements for our version, or none while there are fewer.
    private var admission: [SignedStatement] {
        let stored = quorums.servers.compactMap { statements[$0] }.filter { $0.claim == .stored }
        return stored.count >= quorums.vouchers ? Array(stored.prefix(quorums.vouchers)) : []
    }

    private mutating func statementVerified(
        _ server: ServerIndex, _ signed: SignedStatement, _ timestamp: Timestamp,
        _ result: Result<VerifiedStatement, CertificateError>, into effects: inout [Effect]
    ) {
        guard case .prepare(let own) = phase else { return }
        switch result {
        case .failure(let error):
            // After a recovery the statement may be a good one on our former timestamp, which a reply does not name.
            if recoveries == 0 { observations.misbehaviours[server] = .invalidStatement(error) }
        case .success(let verified) where timestamp == own:
            statements[server] = verified.signed
            full.removeAll { $0 == server }
            observations.refusals[server] = nil
            if statements.count >= quorums.quorum {
                guard let encoded else { preconditionFailure("a statement before the value is encoded") }
                let chosen = quorums.servers.compactMap { statements[$0] }.prefix(quorums.quorum)
                let certificate = Certificate(timestamp: own, statements: Array(chosen))
                beginCommit(
                    Commit(key: key, certificate: certificate, descriptor: encoded.descriptor), recovering: false,
                    into: &effects)
                return
            }
            admit(own, into: &effects)
        case .success(let verified):
            pending[timestamp]?.statements[server] = verified.signed
            recover(into: &effects)
        }
    }

    private mutating func refusedPrepare(
        _ refusal: Refusal, by server: ServerIndex, into effects: inout [Effect]
    ) {
        guard case .prepare(let timestamp) = phase, statements[server] == nil else { return }
        switch refusal {
        case .justificationRequired where base != nil:
            // Once it has the justification, this is a late answer to the PREPARE without one.
            guard !justified.contains(server) else { return }
            if !wantJustification.contains(server) { wantJustification.append(server) }
            justify(into: &effects)
        case .tooManyPending(let versions) where !admitted.contains(server):
            if !full.contains(server) { full.append(server) }
            observations.refusals[server] = refusal
            collect(versions, of: server, into: &effects)
            admit(timestamp, into: &effects)
        default:
            observations.refusals[server] = refusal
            giveUpIfHopeless(into: &effects)
        }
    }

    /// Sends PREPARE again, with proof of the version below, to those who asked for it, as soon as there is proof.
    private mutating func justify(into effects: inout [Effect]) {
        guard case .prepare(let timestamp) = phase, let base, !wantJustification.isEmpty else { return }
        guard tally.certificate(of: base) != nil else {
            if case .verify(let server, let certificate)? = tally.askProof(of: base) {
                effects.append(.verifyCertificate(server, certificate))
            }
            return
        }
        let waiting = wantJustification
        wantJustification = []
        for server in waiting {
            justified.append(server)
            sendPrepare(timestamp, to: server, into: &effects)
        }
    }

    /// Sends PREPARE again, with f + 1 statements, to those who are full.
    private mutating func admit(_ timestamp: Timestamp, into effects: inout [Effect]) {
        guard !admission.isEmpty else { return }
        for server in full where !admitted.contains(server) {
            admitted.append(server)
            sendPrepare(timestamp, to: server, into: &effects)
        }
    }

    private mutating func collect(
        _ versions: [PendingVersion], of server: ServerIndex, into effects: inout [Effect]
    ) {
        for version in versions.prefix(parameters.limits.pendingVersionsPerClientMax) {
            guard version.timestamp.writer == writer, version.statement.server == server,
                version.statement.claim == .stored, version.descriptor.digest == version.timestamp.digest,
                version.descriptor.descriptor.key == key
            else {
                observations.misbehaviours[server] = .foreignParts
                continue
            }
            if pending[version.timestamp] == nil { pending[version.timestamp] = (version.descriptor, [:]) }
            effects.append(.verifyStatement(server, version.statement, version.timestamp))
        }
    }

    /// Commits a version of ours that q servers hold already, when the servers' fullness leaves no other way.
    private mutating func recover(into effects: inout [Effect]) {
        guard full.count + observations.refusals.keys.count(where: { !full.contains($0) }) > quorums.faults,
            admission.isEmpty, recoveries < parameters.limits.pendingVersionsPerClientMax,
            let timestamp = pending.keys.sorted().first(where: { pending[$0]!.statements.count >= quorums.quorum }),
            let left = pending[timestamp]
        else { return }
        recoveries += 1
        let chosen = quorums.servers.compactMap { left.statements[$0] }.prefix(quorums.quorum)
        let certificate = Certificate(timestamp: timestamp, statements: Array(chosen))
        beginCommit(
            Commit(key: key, certificate: certificate, descriptor: left.descriptor), recovering: true, into: &effects)
    }
}

// MARK: - COMMIT

extension Writer {
    private mutating func beginCommit(_ commit: Commit, recovering: Bool, into effects: inout [Effect]) {
        phase = .commit(commit, recovering: recovering)
        rounds += 1
        acknowledged = []
        observations.refusals = [:]
        for server in quorums.servers { effects.append(.send(server, .commit(commit))) }
    }

    private mutating func advanceCommit(into effects: inout [Effect]) {
        guard case .commit(let commit, let recovering) = phase, acknowledged.count >= quorums.quorum else { return }
        if recovering {
            beginReadTimestamp(into: &effects)
            return
        }
        finish(
            .success(
                WriteOutcome(
                    timestamp: commit.certificate.timestamp, certificate: commit.certificate, rounds: rounds,
                    observations: observations)),
            into: &effects)
    }
}

// MARK: - Loss and failure

extension Writer {
    private func resend(to server: ServerIndex, into effects: inout [Effect]) {
        switch phase {
        case .readTimestamp:
            if !tally.hasClaim(of: server) { effects.append(.send(server, .readTimestamp(key))) }
        case .prepare(let timestamp):
            if statements[server] == nil { sendPrepare(timestamp, to: server, into: &effects) }
        case .commit(let commit, _):
            if !acknowledged.contains(server) { effects.append(.send(server, .commit(commit))) }
        case .finished:
            break
        }
    }

    /// Fails at once when more than f servers refused for good: waiting cannot bring a quorum any more.
    private mutating func giveUpIfHopeless(into effects: inout [Effect]) {
        let final = observations.refusals.filter { !$0.value.isTransient && !full.contains($0.key) }
        guard final.count > quorums.faults else { return }
        finish(.failure(.refused(operationPhase, observations: observations)), into: &effects)
    }

    private var operationPhase: OperationPhase {
        switch phase {
        case .readTimestamp: .readTimestamp
        case .prepare: .prepare
        case .commit(_, let recovering): recovering ? .prepare : .commit
        case .finished: .commit
        }
    }

    private func unavailable() -> OperationFailure {
        let answered: [ServerIndex]
        switch phase {
        case .readTimestamp: answered = quorums.servers.filter { tally.hasClaim(of: $0) }
        case .prepare: answered = quorums.servers.filter { statements[$0] != nil }
        case .commit, .finished: answered = acknowledged.sorted()
        }
        return .unavailable(operationPhase, answered: answered, need: quorums.quorum, observations: observations)
    }
}
