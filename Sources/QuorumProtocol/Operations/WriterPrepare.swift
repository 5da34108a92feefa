// The writer's PREPARE: the value to every server, or to all but the spares, and statements back (docs/protocol.md,
// Write 2).
//
// What spares save is a fragment's way to f servers, their work and their disks. Nothing is lost by it that the
// protocol promises: a certificate never says more than that q servers have stored the version, and m correct ones
// among these are what a version needs. The spares are drawn in, under the same timestamp, as soon as one of the others
// refuses or lies, and at the latest when the hedge timer fires.

import ErasureCode

/// Our own version on its way to a certificate.
struct OwnVersion: Sendable {
    /// The committed version that ours goes above, nil if there is none, and who has to be shown proof of it.
    struct Base: Sendable {
        let timestamp: Timestamp?
        /// Servers that asked for its certificate, which is not there yet.
        var wanting: [Position] = []
        /// Servers that PREPARE brings its certificate.
        var justified: PositionSet = []
        /// Servers that refuse every PREPARE of ours without one.
        var refusing: PositionSet = []
    }

    let timestamp: Timestamp
    let descriptor: SealedDescriptor
    /// For each server what PREPARE carries.
    let fragments: [[SharedBytes]]
    var base: Base
    var statements = SignedStatements()
    var fullness = Fullness()
    /// What servers lack of a large value; nil for another.
    var filling: StripeFilling?
    /// Servers that cannot be brought what they lack.
    var unfillable: PositionSet = []

    /// - Parameter number: another one for each version that the operation prepares.
    init(
        _ timestamp: Timestamp, _ descriptor: SealedDescriptor, fragments: [[SharedBytes]], above base: Timestamp?,
        number: Int, parameters: ClusterParameters
    ) {
        self.timestamp = timestamp
        self.descriptor = descriptor
        self.fragments = fragments
        self.base = Base(timestamp: base)
        filling = descriptor.descriptor.staged.map {
            StripeFilling(
                $0, of: descriptor.descriptor.key, by: timestamp.writer, number: number, parameters: parameters)
        }
    }

    mutating func record(_ statement: VerifiedStatement, of server: Position) {
        statements.add(statement.signed, of: server)
        fullness.servers.removeAll { $0 == server }
    }

    /// A version between the base and our own is committed: servers that are full of what is below it get its proof.
    mutating func raiseBase(to committed: Timestamp) {
        if base.timestamp.precedes(committed) { base = Base(timestamp: committed) }
    }
}

extension Writer {
    mutating func beginPrepare(above highest: Timestamp?, into effects: inout [Effect]) {
        guard case .encoded(let descriptor, let fragments) = content else {
            preconditionFailure("a PREPARE before the value is encoded")
        }
        let (counter, overflow) = highest.counter.addingReportingOverflow(1)
        guard !overflow else {
            finish(.failure(.timestampExhausted), into: &effects)
            return
        }
        let timestamp = Timestamp(counter: counter, writer: writer, digest: descriptor.digest)
        beginRound(.prepare)
        preparation = OwnVersion(
            timestamp, descriptor, fragments: fragments, above: highest, number: rounds,
            parameters: parameters)
        for server in quorums.positions where !spares.contains(server) { sendPrepare(to: server, into: &effects) }
        effects.append(.startHedge)
    }

    /// From now on the write goes to all servers: one of the others refuses, lies or keeps us waiting.
    mutating func drawInSpares(into effects: inout [Effect]) {
        if isPlanted(.sparesNeverDrawnIn) { return }
        let drawn = spares
        spares = []
        guard case .prepare = phase else { return }
        for server in drawn { sendPrepare(to: server, into: &effects) }
    }

    mutating func hedge(into effects: inout [Effect]) {
        if case .prepare = phase, !spares.isEmpty {
            overdue = quorums.positions.filter { !own.statements.contains($0) && !spares.contains($0) }
        }
        drawInSpares(into: &effects)
        examine(.hedge, into: &effects)
    }

    func sendPrepare(to server: Position, into effects: inout [Effect]) {
        let prepare = Prepare(
            key: key, timestamp: own.timestamp, position: server, descriptor: own.descriptor,
            fragments: own.fragments[server.offset],
            justification: justification(for: server) ?? fencedJustification(for: server),
            admission: own.fullness.admitted.contains(server) ? admission : [])
        effects.append(.send(server, .prepare(prepare)))
    }

    /// Proof of the version below, for a server that asked for it.
    func justification(for server: Position) -> Certificate? {
        guard own.base.justified.contains(server), let base = own.base.timestamp else { return nil }
        return tally.certificate(atOrAbove: base)?.certificate
    }

    /// The same, by a certificate that counts no more. If its version is poisonous, nobody can have it restated, and who
    /// knows that takes it as it is. Others refuse what comes with it, so it is for who refuses all else.
    private func fencedJustification(for server: Position) -> Certificate? {
        guard own.base.refusing.contains(server), let base = own.base.timestamp, !isPlanted(.fencedNotShown) else {
            return nil
        }
        return tally.fencedCertificate(atOrAbove: base)
    }

    /// f + 1 *stored* statements for our version, or none while there are fewer.
    var admission: [SignedStatement] {
        guard own.statements.count >= quorums.vouchers else { return [] }
        let stored = own.statements.inOrder.filter { $0.claim == .stored }
        return stored.count >= quorums.vouchers ? Array(stored.prefix(quorums.vouchers)) : []
    }

    /// Takes an answer to PREPARE, of our own version or of one that is being finished.
    mutating func prepared(
        _ signed: SignedStatement, beside committed: Timestamp?, by server: Position, into effects: inout [Effect]
    ) {
        switch phase {
        case .prepare:
            if isDoubtful(beside: committed, of: server) {
                // Once we have read, a late answer to an earlier question may follow, which says less and is no lie.
                alleged = hasDetoured ? nil : committed.map { (server, $0) }
                beginDoubt(into: &effects)
                return
            }
            verify(signed, of: server, for: [own.timestamp], into: &effects)
        case .complete(let completion):
            if isDoubtful(beside: committed, of: server) { memory = .doubtful }
            // The reply does not name its version; it may be a late one on our own.
            verify(signed, of: server, for: [completion.timestamp, own.timestamp], into: &effects)
        case .encode, .readTimestamp, .doubt, .commit, .finished:
            return
        }
    }

    private mutating func verify(
        _ signed: SignedStatement, of server: Position, for timestamps: [Timestamp], into effects: inout [Effect]
    ) {
        if case .prepare = phase, own.statements.contains(server) { return }
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
        let completing: Timestamp?
        switch phase {
        case .prepare: completing = nil
        case .complete(let completion): completing = completion.timestamp
        case .encode, .readTimestamp, .doubt, .commit, .finished: return
        }
        let isOwn = timestamp == own.timestamp
        switch result {
        case .failure where isPlanted(.statementsUnverified) && isOwn:
            signedOwn(VerifiedStatement(key: key, timestamp: timestamp, signed: signed), by: server, into: &effects)
        case .failure(let error):
            // After a detour the statement may be a good one on another timestamp, which a reply does not name.
            if hasDetoured { return }
            if !error.isIgnorance { observations.misbehaviours[server] = .invalidStatement(error) }
            drawInSpares(into: &effects)
        case .success(let verified) where isOwn:
            signedOwn(verified, by: server, into: &effects)
        case .success(let verified) where timestamp == completing:
            completionSigned(verified, by: server, into: &effects)
        case .success(let verified):
            own.fullness.leftBehind.record(verified, of: server)
            recover(into: &effects)
        }
    }

    private mutating func signedOwn(
        _ verified: VerifiedStatement, by server: Position, into effects: inout [Effect]
    ) {
        own.record(verified, of: server)
        observations.withdrawRefusal(of: server)
        if commitIfCertified(into: &effects) { return }
        if case .complete = phase, !admission.isEmpty { resume(into: &effects) }
        admit(into: &effects)
    }

    /// Commits our own version once q servers have signed for it, unless there is doubt whether its place in the order
    /// is still free.
    mutating func commitIfCertified(into effects: inout [Effect]) -> Bool {
        guard own.statements.count >= quorums.quorum else { return false }
        guard memory != .doubtful else {
            beginDoubt(into: &effects)
            return true
        }
        let certificate = placement.certificate(
            of: own.timestamp, Array(own.statements.inOrder.prefix(quorums.quorum)))
        beginCommit(certificate, of: own.descriptor, isRecovery: false, into: &effects)
        return true
    }

    mutating func refusedPrepare(
        _ refusal: Refusal, by server: Position, into effects: inout [Effect]
    ) {
        guard case .prepare = phase, !own.statements.contains(server) else { return }
        switch refusal {
        case .notCommitted:
            // A late answer to a DESCRIPTOR.
            return
        case .justificationRequired where own.base.timestamp != nil:
            own.base.refusing.insert(server)
            wantsJustification(server, into: &effects)
        case .tooManyPending(let versions):
            // Once it has an admission, this is a late answer to the PREPARE without one.
            guard !own.fullness.admitted.contains(server) else { return }
            if !own.fullness.servers.contains(server) { own.fullness.servers.append(server) }
            observations.refusals[server] = refusal
            drawInSpares(into: &effects)
            if let base = own.base.timestamp, versions.contains(where: { $0.timestamp <= base }) {
                // It has not seen our base committed, which frees it of these.
                wantsJustification(server, into: &effects)
            }
            // Without a list when it gave one lately, which still stands.
            if !versions.isEmpty { collect(versions, of: server, into: &effects) }
            admit(into: &effects)
        case .stripesMissing(let runs) where own.filling != nil:
            observations.refusals[server] = refusal
            drawInSpares(into: &effects)
            fill(into: &effects) { $0.take(runs, of: server, into: &$1) }
        case .stripeHeld:
            // It answers a STAGE.
            fill(into: &effects) { _ = $0.take(.refused(refusal), of: server, into: &$1) }
        default:
            fill(into: &effects) { _ = $0.take(.refused(refusal), of: server, into: &$1) }
            guard case .prepare = phase else { return }
            if !refusal.isTransient { own.fullness.servers.removeAll { $0 == server } }
            observations.refusals[server] = refusal
            drawInSpares(into: &effects)
            giveUpIfHopeless(into: &effects)
        }
    }

    /// The server must see proof of the version below before it takes one of this counter.
    mutating func wantsJustification(_ server: Position, into effects: inout [Effect]) {
        // Once it has the justification, this is a late answer to the PREPARE without one.
        guard !own.base.justified.contains(server) else { return }
        if !own.base.wanting.contains(server) { own.base.wanting.append(server) }
        justify(into: &effects)
    }

    /// Sends PREPARE again, with proof of the version below, to those who asked for it, as soon as there is proof.
    mutating func justify(into effects: inout [Effect]) {
        guard let base = own.base.timestamp, !own.base.wanting.isEmpty else { return }
        guard tally.certificate(atOrAbove: base) != nil else {
            for server in tally.askProof(of: base) { effects.append(.send(server, .certificate(key, base))) }
            return
        }
        let waiting = own.base.wanting
        own.base.wanting = []
        for server in waiting {
            own.base.justified.insert(server)
            resend(to: server, into: &effects)
        }
    }

    /// Sends PREPARE again, with f + 1 statements, to those who are full.
    private mutating func admit(into effects: inout [Effect]) {
        guard !own.fullness.servers.isEmpty, !admission.isEmpty else { return }
        for server in own.fullness.servers where !own.fullness.admitted.contains(server) {
            own.fullness.admitted.insert(server)
            sendPrepare(to: server, into: &effects)
        }
    }
}
