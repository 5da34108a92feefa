// How a writer gets past servers that are full of versions which this client left behind (docs/protocol.md, When
// servers are full).
//
// A version that q servers show is committed at once, the highest of several: their statements are its certificate.
// When none is, and our own version has had one retransmission interval without getting f + 1 *stored* statements, a
// version that m servers show is finished (PendingCompletion). A liar can spoil that by silence, so each attempt has
// its time, then comes the next version; after each such pass an attempt has twice the time, so that a slow network is
// no liar.
//
// What fills a server may have been overtaken by what it has not seen committed: after each pass the writer reads the
// object, as in a doubt, which brings the highest version that anybody proves to a quorum (WriterDoubt.swift). Then
// come our own version's PREPAREs again.
//
// What is known of full servers lies with our own version and begins anew when another was committed for their sake.
//
// Bounds: a server's list is taken once an interval, replaces its former one and has at most K entries.

import ErasureCode
import Fingerprint

/// Which servers are full of versions that this client left behind, and what they show of these.
struct Fullness: Sendable {
    /// Servers that refused our own version because they are full, and have not signed it since.
    var servers: [Position] = []
    /// Servers that PREPARE brings an admission.
    var admitted: PositionSet = []
    var leftBehind = LeftBehindVersions()
}

/// What is known of versions that this client left behind.
struct LeftBehindVersions: Sendable {
    typealias Version = (descriptor: SealedDescriptor, statements: SignedStatements)

    /// With each server's verified *stored* statement.
    fileprivate(set) var versions: [Timestamp: Version] = [:]
    /// Which versions each server's list names.
    private var lists: [Position: [Timestamp]] = [:]
    /// Servers whose list was taken since the last retransmission.
    fileprivate var listed: Set<Position> = []
    /// Versions that were attempted in this pass.
    fileprivate var attempted: Set<Timestamp> = []
    /// How many retransmissions an attempt may take.
    fileprivate var patience = 1

    /// Puts a server's list in the place of its former one.
    fileprivate mutating func take(_ list: [PendingVersion], of server: Position) {
        for timestamp in lists[server] ?? [] {
            versions[timestamp]?.statements.remove(server)
        }
        lists[server] = list.map(\.timestamp)
        for version in list where versions[version.timestamp] == nil {
            versions[version.timestamp] = (version.descriptor, SignedStatements())
        }
        let named = Set(lists.values.joined())
        versions = versions.filter { named.contains($0.key) }
    }

    /// All versions may be attempted again, for twice the time.
    fileprivate mutating func beginPass() {
        attempted = []
        patience = min(patience * 2, 64)
    }

    /// Takes a verified statement of one of the versions.
    mutating func record(_ statement: VerifiedStatement, of server: Position) {
        guard lists[server]?.contains(statement.timestamp) == true else { return }
        versions[statement.timestamp]?.statements.add(statement.signed, of: server)
    }
}

// MARK: - What servers show

extension Writer {
    mutating func collect(_ versions: [PendingVersion], of server: Position, into effects: inout [Effect]) {
        guard own.fullness.leftBehind.listed.insert(server).inserted else { return }
        let list = versions.prefix(parameters.pendingVersionsMax).filter { version in
            version.timestamp.writer == writer && version.statement.node == placement.node(at: server)
                && version.statement.claim == .stored && version.descriptor.digest == version.timestamp.digest
                && version.descriptor.descriptor.key == key
        }
        if list.count < min(versions.count, parameters.pendingVersionsMax) {
            observations.misbehaviours[server] = .foreignParts
        }
        own.fullness.leftBehind.take(list, of: server)
        for version in list { effects.append(.verifyStatement(server, version.statement, version.timestamp)) }
    }

    /// Whether more servers are full, or refuse, than our version can do without.
    private var isStuck: Bool {
        admission.isEmpty && Set(own.fullness.servers).union(observations.refusals.keys).count > quorums.faults
    }

    /// Whether it has to be taken for stuck when an interval is over: who has not answered may be the faulty ones.
    private var isHeldUp: Bool { admission.isEmpty && !own.fullness.servers.isEmpty }

    /// Each recovery commits a higher version of those that were left behind, of which there are no more than these.
    private var mayRecover: Bool {
        recoveries < parameters.limits.pendingVersionsPerClientMax * quorums.serverCount
    }

    /// Whether the version is what this write left below a committed one when it began anew. To commit it would spend
    /// the stripes that the write still needs; servers that learn what is above it let it go.
    private func isOvertakenOwn(_ timestamp: Timestamp, _ left: LeftBehindVersions.Version) -> Bool {
        guard let ours = own.descriptor.descriptor.staged, let theirs = left.descriptor.descriptor.staged,
            timestamp.precedes(own.base.timestamp)
        else { return false }
        let attempts = Set(ours.parts.map(\.attempt))
        return theirs.parts.contains { attempts.contains($0.attempt) }
    }

    /// Commits a version of ours that q servers hold already, when the servers' fullness leaves no other way.
    mutating func recover(into effects: inout [Effect]) {
        let complete = own.fullness.leftBehind.versions.filter {
            $0.value.statements.count >= quorums.quorum && !isOvertakenOwn($0.key, $0.value)
        }
        guard isStuck, mayRecover, let (timestamp, left) = complete.max(by: { $0.key < $1.key }) else { return }
        let chosen = Array(left.statements.inOrder.prefix(quorums.quorum))
        beginRecoveryCommit(placement.certificate(of: timestamp, chosen), left.descriptor, into: &effects)
    }

    private mutating func beginRecoveryCommit(
        _ certificate: Certificate, _ descriptor: SealedDescriptor, into effects: inout [Effect]
    ) {
        recoveries += 1
        hasDetoured = true
        beginCommit(certificate, of: descriptor, isRecovery: true, into: &effects)
    }
}

// MARK: - Finishing a version

extension Writer {
    /// Asks again whoever has not answered, and leaves a way that leads nowhere.
    mutating func remind(into effects: inout [Effect]) {
        preparation?.fullness.leftBehind.listed = []
        switch phase {
        case .prepare:
            if isHeldUp {
                takeNextWay(into: &effects)
                return
            }
            fill(into: &effects) { $0.retransmit(into: &$1) }
        case .complete(var completion):
            completion.reminders += 1
            phase = .complete(completion)
            if completion.reminders > own.fullness.leftBehind.patience {
                takeNextWay(into: &effects)
                return
            }
            fill(into: &effects) { $0.retransmit(into: &$1) }
        case .doubt:
            examine(.hedge, into: &effects)
            examine(.retransmit, into: &effects)
            return
        case .encode, .readTimestamp, .commit, .finished:
            break
        }
        resendToAll(into: &effects)
    }

    /// Begins to finish the version that most servers show, of several the highest, since it frees the most.
    private mutating func completeNext(into effects: inout [Effect]) -> Bool {
        let leftBehind = own.fullness.leftBehind
        let candidates = leftBehind.versions.filter {
            $0.value.statements.count >= quorums.dataFragmentCount && !leftBehind.attempted.contains($0.key)
                && !isOvertakenOwn($0.key, $0.value)
        }
        let best = candidates.max {
            ($0.value.statements.count, $0.key) < ($1.value.statements.count, $1.key)
        }
        guard mayRecover, let (timestamp, left) = best else {
            own.fullness.leftBehind.beginPass()
            return false
        }
        own.fullness.leftBehind.attempted.insert(timestamp)
        hasDetoured = true
        rounds += 1
        let completion = PendingCompletion(
            timestamp: timestamp, descriptor: left.descriptor, stored: left.statements, number: rounds,
            parameters: parameters, placement: placement)
        phase = .complete(completion)
        resendToAll(into: &effects)
        return true
    }

    /// Finishes the next version; after the last one, sees to it that the servers know what is committed.
    private mutating func takeNextWay(into effects: inout [Effect]) {
        // In the first pass not beyond the hedge time: mostly nothing is to be found, and a server may just have
        // crashed.
        let reminders = own.fullness.leftBehind.patience - 1
        if completeNext(into: &effects) { return }
        if isPlanted(.fullServersUntold) {
            resume(into: &effects)
        } else {
            beginDoubt(thoroughReminders: reminders, into: &effects)
        }
    }

    /// Goes on with our own version.
    mutating func resume(into effects: inout [Effect]) {
        guard memory != .doubtful else {
            beginDoubt(into: &effects)
            return
        }
        phase = .prepare
        resendToAll(into: &effects)
    }

    /// Stores what became of the completion and does what follows.
    private mutating func advance(_ completion: consuming PendingCompletion, into effects: inout [Effect]) {
        let standing = completion.standing()
        let (timestamp, descriptor) = (completion.timestamp, completion.descriptor)
        phase = .complete(completion)
        switch standing {
        case .waiting:
            break
        case .reencode(let stripes):
            effects.append(
                .reencode(
                    ReencodingJob(
                        timestamp: timestamp, stripe: nil, crossChecksums: descriptor.descriptor.stripes,
                        fragments: stripes, mode: parameters.mode)))
        case .certified(let certificate):
            beginRecoveryCommit(certificate, descriptor, into: &effects)
        case .hopeless:
            takeNextWay(into: &effects)
        }
    }

    mutating func take(_ parts: HeldParts?, of server: Position, into effects: inout [Effect]) {
        guard case .complete(var completion) = phase else {
            // Late, unless nothing was ever read.
            if !hasDetoured { observations.misbehaviours[server] = .unexpectedReply }
            return
        }
        if let parts, parts.timestamp != completion.timestamp,
            own.fullness.leftBehind.versions[parts.timestamp] != nil
        {
            // A late answer to an earlier attempt.
            return
        }
        var parts = parts
        if let foreign = parts,
            foreign.timestamp != completion.timestamp || foreign.descriptor.digest != completion.timestamp.digest
        {
            observations.misbehaviours[server] = .foreignParts
            parts = nil
        }
        let stripes = completion.descriptor.descriptor.stripes
        for (stripe, bytes) in completion.take(parts, of: server).enumerated() {
            let index = StripeIndex(UInt32(stripe))
            effects.append(.verifyFragment(server, completion.timestamp, index, stripes[stripe], bytes))
        }
        advance(completion, into: &effects)
    }

    mutating func fragmentVerified(
        _ server: Position, _ timestamp: Timestamp, _ stripe: StripeIndex,
        _ result: Result<VerifiedFragment, FragmentVerificationError>, into effects: inout [Effect]
    ) {
        if isFilling(timestamp) {
            fill(into: &effects) { $0.verified(result, of: server, stripe, into: &$1) }
            return
        }
        if case .failure(let error) = result { observations.misbehaviours[server] = .invalidFragment(error) }
        guard case .complete(var completion) = phase, completion.timestamp == timestamp else { return }
        completion.verified(result, of: server, stripe)
        advance(completion, into: &effects)
    }

    mutating func reencoded(_ job: ReencodingJob, _ fragments: [[SharedBytes]], into effects: inout [Effect]) {
        if let stripe = job.stripe {
            guard isFilling(job.timestamp) else { return }
            fill(into: &effects) { $0.encoded(stripe, fragments.flatMap { $0 }, into: &$1) }
            return
        }
        guard case .complete(var completion) = phase, completion.timestamp == job.timestamp, !completion.isPreparing
        else { return }
        rounds += 1
        completion.reencoded(fragments)
        phase = .complete(completion)
        resendToAll(into: &effects)
    }

    mutating func completionSigned(_ statement: VerifiedStatement, by server: Position, into effects: inout [Effect]) {
        guard case .complete(var completion) = phase else { return }
        completion.record(statement, of: server)
        advance(completion, into: &effects)
    }

    mutating func refusedCompletion(_ refusal: Refusal, by server: Position, into effects: inout [Effect]) {
        fill(into: &effects) { _ = $0.take(.refused(refusal), of: server, into: &$1) }
        guard case .complete(var completion) = phase, !refusal.isTransient || refusal.kind == .stripesMissing
        else { return }
        switch refusal {
        case .stripesMissing(let runs) where completion.filling != nil:
            fill(into: &effects) { $0.take(runs, of: server, into: &$1) }
        case .tooManyPending:
            // A late answer to our own PREPARE: this one carries an admission.
            return
        case .stripeHeld:
            // It answers a STAGE.
            return
        case .justificationRequired where own.base.timestamp.counter >= completion.timestamp.counter - 1:
            if completion.isPreparing { wantsJustification(server, into: &effects) }
        case .justificationRequired where tally.mayJustify(completion.timestamp),
            .counterSkipped where tally.mayJustify(completion.timestamp):
            // What the version rested on turned out to be poisonous: nobody names it as committed any more.
            // Once it was shown the proof, this is a late answer to the PREPARE without one, or a liar's.
            guard completion.isPreparing, !completion.shown.contains(server) else { return }
            completion.wantsProof(server)
            phase = .complete(completion)
            convince(into: &effects)
        default:
            guard completion.isPreparing || !refusal.answersPreparationOnly else { return }
            completion.refused(by: server)
            advance(completion, into: &effects)
        }
    }

    /// The server cannot be brought what it lacks.
    mutating func unfillable(_ server: Position, into effects: inout [Effect]) {
        switch phase {
        case .prepare:
            own.unfillable.insert(server)
            giveUpIfHopeless(into: &effects)
        case .complete(var completion):
            completion.refused(by: server)
            advance(completion, into: &effects)
        case .encode, .readTimestamp, .doubt, .commit, .finished: break
        }
    }

    /// Sends PREPARE again to servers that want to be shown that the counter below was reached, as soon as that can be
    /// done: by the certificate of a poisonous version, which those that had committed it keep.
    mutating func convince(into effects: inout [Effect]) {
        guard case .complete(var completion) = phase, !completion.unconvinced.isEmpty else { return }
        if tally.certificate(justifying: completion.timestamp) != nil {
            let waiting = quorums.positions.filter {
                completion.unconvinced.contains($0) && !completion.shown.contains($0)
            }
            for server in waiting { completion.showsProof(to: server) }
            phase = .complete(completion)
            for server in waiting { resend(to: server, into: &effects) }
            return
        }
        if isPlanted(.poisonUnasked) { return }
        for timestamp in tally.poisonousVersions(justifying: completion.timestamp) {
            for server in tally.askProof(of: timestamp) { effects.append(.send(server, .certificate(key, timestamp))) }
        }
    }
}
