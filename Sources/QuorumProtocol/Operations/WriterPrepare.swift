// The writer's PREPARE: the value to every server, or to all but the spares, and statements back (docs/protocol.md,
// Write 2).
//
// What spares save is a fragment's way to f servers, their work and their disks. Nothing is lost by it that the
// protocol promises: a certificate never says more than that q servers have stored the version, and m correct ones
// among these are what a version needs. The spares are drawn in, under the same timestamp, as soon as one of the others
// refuses or lies, and at the latest when the hedge timer fires.

import ErasureCode

extension Writer {
    mutating func beginPrepare(above highest: Timestamp?, into effects: inout [Effect]) {
        guard let encoded else { preconditionFailure("a PREPARE before the value is encoded") }
        base = highest
        let (counter, overflow) = highest.counter.addingReportingOverflow(1)
        guard !overflow else {
            finish(.failure(.timestampExhausted), into: &effects)
            return
        }
        let timestamp = Timestamp(counter: counter, writer: writer, digest: encoded.descriptor.digest)
        phase = .prepare(timestamp)
        rounds += 1
        observations.refusals = [:]
        for server in quorums.positions where !spares.contains(server) {
            sendPrepare(timestamp, to: server, into: &effects)
        }
        effects.append(.startHedge)
    }

    /// From now on the write goes to all servers: one of the others refuses, lies or keeps us waiting.
    mutating func drawInSpares(into effects: inout [Effect]) {
        if isPlanted(.sparesNeverDrawnIn) { return }
        let drawn = spares
        spares = []
        guard case .prepare(let timestamp) = phase else { return }
        for server in drawn { sendPrepare(timestamp, to: server, into: &effects) }
    }

    mutating func hedge(into effects: inout [Effect]) {
        if case .prepare = phase, !spares.isEmpty {
            overdue = quorums.positions.filter { !statements.contains($0) && !spares.contains($0) }
        }
        drawInSpares(into: &effects)
        examine(.hedge, into: &effects)
    }

    func sendPrepare(_ timestamp: Timestamp, to server: Position, into effects: inout [Effect]) {
        guard let descriptor = encoded?.descriptor, let fragments = encoded?.fragments[server.offset] else {
            preconditionFailure("a PREPARE before the value is encoded")
        }
        let prepare = Prepare(
            key: key, timestamp: timestamp, position: server, descriptor: descriptor, fragments: fragments,
            justification: justification(for: server),
            admission: admitted.contains(server) ? admission : [])
        effects.append(.send(server, .prepare(prepare)))
    }

    /// Proof of the version below, for a server that asked for it.
    func justification(for server: Position) -> Certificate? {
        justified.contains(server) ? base.flatMap { tally.certificate(atOrAbove: $0)?.certificate } : nil
    }

    /// f + 1 *stored* statements for our version, or none while there are fewer.
    var admission: [SignedStatement] {
        guard statements.count >= quorums.vouchers else { return [] }
        let stored = statements.inOrder.filter { $0.claim == .stored }
        return stored.count >= quorums.vouchers ? Array(stored.prefix(quorums.vouchers)) : []
    }

    mutating func verify(
        _ signed: SignedStatement, of server: Position, for timestamps: [Timestamp], into effects: inout [Effect]
    ) {
        if case .prepare = phase, statements.contains(server) { return }
        guard signed.node == placement.node(at: server), signed.claim.accepts else {
            observations.misbehaviours[server] = .invalidStatement(
                signed.claim.accepts ? .unknownServer(signed.node) : .wrongClaim(signed.node))
            drawInSpares(into: &effects)
            return
        }
        for timestamp in timestamps { effects.append(.verifyStatement(server, signed, timestamp)) }
    }

    mutating func statementVerified(
        _ server: Position, _ signed: SignedStatement, _ timestamp: Timestamp,
        _ result: Result<VerifiedStatement, CertificateError>, into effects: inout [Effect]
    ) {
        let own: Timestamp
        var completing: Timestamp?
        switch phase {
        case .prepare(let timestamp): own = timestamp
        case .complete(let completion, let timestamp): (own, completing) = (timestamp, completion.timestamp)
        case .encode, .readTimestamp, .doubt, .commit, .finished: return
        }
        switch result {
        case .failure where isPlanted(.statementsUnverified) && timestamp == own:
            signedOwn(VerifiedStatement(key: key, timestamp: own, signed: signed), by: server, into: &effects)
        case .failure(let error):
            // After a detour the statement may be a good one on another timestamp, which a reply does not name.
            if hasDetoured { return }
            if !error.isIgnorance { observations.misbehaviours[server] = .invalidStatement(error) }
            drawInSpares(into: &effects)
        case .success(let verified) where timestamp == own:
            signedOwn(verified, by: server, into: &effects)
        case .success(let verified) where timestamp == completing:
            completionSigned(verified, by: server, into: &effects)
        case .success(let verified):
            leftBehind.record(verified, of: server)
            recover(into: &effects)
        }
    }

    private mutating func signedOwn(
        _ verified: VerifiedStatement, by server: Position, into effects: inout [Effect]
    ) {
        statements.add(verified.signed, of: server)
        full.removeAll { $0 == server }
        observations.withdrawRefusal(of: server)
        if commitIfCertified(verified.timestamp, into: &effects) { return }
        if case .complete = phase, !admission.isEmpty { resume(verified.timestamp, into: &effects) }
        admit(verified.timestamp, into: &effects)
    }

    /// Commits our own version once q servers have signed for it, unless there is doubt whether its place in the order
    /// is still free.
    mutating func commitIfCertified(_ timestamp: Timestamp, into effects: inout [Effect]) -> Bool {
        guard statements.count >= quorums.quorum else { return false }
        guard memory != .doubtful else {
            beginDoubt(timestamp, into: &effects)
            return true
        }
        guard let encoded else { preconditionFailure("a statement before the value is encoded") }
        let certificate = placement.certificate(
            of: timestamp, Array(statements.inOrder.prefix(quorums.quorum)))
        beginCommit(certificate, of: encoded.descriptor, waiting: nil, into: &effects)
        return true
    }

    mutating func refusedPrepare(
        _ refusal: Refusal, by server: Position, into effects: inout [Effect]
    ) {
        guard case .prepare(let timestamp) = phase, !statements.contains(server) else { return }
        switch refusal {
        case .notCommitted:
            // A late answer to a DESCRIPTOR.
            return
        case .justificationRequired where base != nil:
            wantsJustification(server, into: &effects)
        case .tooManyPending(let versions):
            // Once it has an admission, this is a late answer to the PREPARE without one.
            guard !admitted.contains(server) else { return }
            if !full.contains(server) { full.append(server) }
            observations.refusals[server] = refusal
            drawInSpares(into: &effects)
            if let base, versions.contains(where: { $0.timestamp <= base }) {
                // It has not seen our base committed, which frees it of these.
                wantsJustification(server, into: &effects)
            }
            // Without a list when it gave one lately, which still stands.
            if !versions.isEmpty { collect(versions, of: server, into: &effects) }
            admit(timestamp, into: &effects)
        default:
            if !refusal.isTransient { full.removeAll { $0 == server } }
            observations.refusals[server] = refusal
            drawInSpares(into: &effects)
            giveUpIfHopeless(into: &effects)
        }
    }

    /// A version between the base and our own is committed: servers that are full of what is below it get its proof.
    mutating func raiseBase(to committed: Timestamp) {
        guard base.precedes(committed) else { return }
        base = committed
        wantJustification = []
        justified = []
    }

    /// The server must see proof of the version below before it takes one of this counter.
    mutating func wantsJustification(_ server: Position, into effects: inout [Effect]) {
        // Once it has the justification, this is a late answer to the PREPARE without one.
        guard !justified.contains(server) else { return }
        if !wantJustification.contains(server) { wantJustification.append(server) }
        justify(into: &effects)
    }

    /// Sends PREPARE again, with proof of the version below, to those who asked for it, as soon as there is proof.
    mutating func justify(into effects: inout [Effect]) {
        guard let base, !wantJustification.isEmpty else { return }
        guard tally.certificate(atOrAbove: base) != nil else {
            for server in tally.askProof(of: base) { effects.append(.send(server, .certificate(key, base))) }
            return
        }
        let waiting = wantJustification
        wantJustification = []
        for server in waiting {
            justified.append(server)
            resend(to: server, into: &effects)
        }
    }

    /// Sends PREPARE again, with f + 1 statements, to those who are full.
    private mutating func admit(_ timestamp: Timestamp, into effects: inout [Effect]) {
        guard !full.isEmpty, !admission.isEmpty else { return }
        for server in full where !admitted.contains(server) {
            admitted.append(server)
            sendPrepare(timestamp, to: server, into: &effects)
        }
    }
}
