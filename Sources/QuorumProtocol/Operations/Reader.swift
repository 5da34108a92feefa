// The reader's side of the protocol, without I/O (docs/protocol.md, Read).
//
// READ goes to all: m preferred servers send their fragment, the others only what they have committed. The version T to
// return is the highest valid one once q replies count (ClaimTally.swift). Its fragments are good when the version's
// own cross-checksum verifies them, whoever sent them. If q servers name T as committed, that is the answer, after one
// round. Otherwise T is written back: its certificate is fetched and sent as COMMIT to those who do not name it, until
// q have it, so that no later read can return an older one.
//
// A server may be a liar, slow, behind (it does not hold T), ahead (it has dropped T because a higher version was
// committed: its claim then takes the reader there) or have lost its fragment. So as soon as one of those asked for a
// fragment has answered without a good one, and at the latest when the hedge timer fires, every other server is asked.
//
// In the modes that verify later T may be poisonous. Unless f + 1 servers vouch for it (lazy), what its fragments
// decode to is encoded anew and compared with all hashes; those of a large version are fetched for it
// (StripesCheck.swift). A version that fails, or that f + 1 servers have signed to be poisonous, is passed over, and T is
// the next one below: servers keep and report every version above the highest sound one.
//
// Invariants: nothing is returned whose descriptor's digest is not in a valid timestamp, nor, where PREPARE does not
// ensure it, anything that is not known to be one block's encoding; T falls only to pass over a poisonous version.

import ErasureCode
import Fingerprint

/// One read of one object.
package struct Reader: Sendable {
    /// Indirect where a case is far larger than the others, which pass through many hands.
    package enum Input: Sendable {
        case start
        case reply(Position, Reply)
        indirect case certificateVerified(Position, Certificate, Result<VerifiedCertificate, CertificateError>)
        indirect case fragmentVerified(
            Position, Timestamp, StripeIndex, Result<VerifiedFragment, FragmentVerificationError>)
        /// Answers `.checkEncoding`.
        indirect case encodingChecked(Timestamp, stripe: UInt64, isSound: Bool)
        indirect case statementVerified(
            Position, SignedStatement, Timestamp, Result<VerifiedStatement, CertificateError>)
        /// The channel to the server is there again: what it may have missed is sent again.
        case connected(Position)
        /// The server has lost its memory: what it has said before counts no more.
        case renewed(Position)
        /// The preferred servers have had their time.
        case hedge
        case retransmit
        case deadline
    }

    /// Indirect as an input is.
    package enum Effect: Sendable {
        case send(Position, Request)
        indirect case verifyCertificate(Position, Certificate)
        /// Of a version that the server which reads has committed itself: it stays so when the certificate counts no more.
        indirect case verifyCommitted(Position, Certificate)
        /// Verify bytes that the server sent as its fragment of the stripe.
        indirect case verifyFragment(Position, Timestamp, StripeIndex, CrossChecksum, SharedBytes)
        /// Find out whether these stripes of the version are sound: all it has, or of a large one the next.
        indirect case checkEncoding(Timestamp, [GatheredStripe])
        /// Verify a statement that a version is poisonous, which this server handed out.
        indirect case verifyStatement(Position, SignedStatement, Timestamp)
        /// From now on the preferred servers have their time.
        case startHedge
        indirect case finish(Result<ReadOutcome, OperationFailure>)
    }

    enum Phase: Sendable {
        case read
        case writeBack(Commit)
        case finished
    }

    let parameters: ClusterParameters
    let key: ObjectKey
    package let placement: Placement
    private let wantsValue: Bool
    let isVerification: Bool
    let preferred: [Position]
    let preference: [Position]
    var phase = Phase.read
    var tally: ClaimTally
    var candidates: ReadCandidates
    var isHedging = false
    var isRetransmitting = false
    private(set) var acknowledged: PositionSet = []
    var observations: ServerObservations
    private var isWritingBack = false
    private var hasWaitedForProofs = false
    /// For how many more retransmissions the reader waits for what q servers' answers would make up for, beyond the
    /// hedge time; nil: it does not.
    var thoroughReminders: Int?
    /// Until it knows of something above this.
    private let thoroughUpTo: Timestamp?
    private let alwaysWritesBack: Bool
    var poisonous: [Timestamp] = []
    var poisonProofs: [Timestamp: [VerifiedStatement]] = [:]
    /// The version that a verifying server has found to be sound; one is enough for it, whatever comes after.
    var verified: Timestamp?
    /// Statements on poisonous versions that are being checked.
    var statementsUnderWay = 0
    /// READs that a server has not answered, by server (ReaderLoss.swift).
    var readsUnderWay: [Int]
    /// The version that no more is to be had of since the last retransmission, and the one before it.
    var missing: Timestamp?
    var missingBefore: Timestamp?
    /// How many large versions' stripes were begun to be looked at.
    var checkCount = 0
    let firstCheck: Int
    /// Hedge times that are not over: only the last one is that of the stripe which is fetched.
    var hedgesUnderWay = 1
    /// How many bytes of versions were encoded anew, those that were passed over included.
    package internal(set) var checkedBytes = 0
    /// What was found of large versions' stripes, which others may name, too.
    var stripeVerdicts: [CrossChecksum: Bool] = [:]

    /// - Parameters:
    ///   - wantsValue: whether the fragments are wanted, or only the descriptor.
    ///   - preference: all servers, those first that are to send their parts in the common case.
    ///   - forVerification: the first of these is a server that reads in order to record what is committed and sound.
    ///     It needs the version's certificate, even if f + 1 servers name it, and writes nothing back: whoever reads
    ///     what it records will.
    ///   - thoroughReminders: when not nil, it waits for all servers' claims and the certificates of all higher ones,
    ///     although q answers would suffice, for the hedge time and then so many retransmissions: what few servers know
    ///     may be what is sought.
    ///   - thoroughUpTo: what is known already; with anything above it the reader is content.
    ///   - firstCheck: tells what is fetched for it from what another reader of the same operation fetched.
    ///   - alwaysWritesBack: whether even a version that q servers name is written back to all, as in protocols without
    ///     one-round reads: to measure what these are worth.
    package init(
        parameters: ClusterParameters, key: ObjectKey, wantsValue: Bool, preference: [Position],
        forVerification: Bool = false, thoroughReminders: Int? = nil, thoroughUpTo: Timestamp? = nil,
        alwaysWritesBack: Bool = false, firstCheck: Int = 0
    ) {
        precondition(preference.sorted() == parameters.quorums.positions)
        self.parameters = parameters
        self.key = key
        let placement = parameters.placement(of: key)
        self.placement = placement
        observations = ServerObservations(placement)
        self.wantsValue = wantsValue
        isVerification = forVerification
        self.thoroughReminders = thoroughReminders
        self.thoroughUpTo = thoroughUpTo
        self.alwaysWritesBack = alwaysWritesBack
        self.preference = preference
        self.firstCheck = firstCheck
        preferred = Array(preference.prefix(parameters.quorums.dataFragmentCount))
        tally = ClaimTally(quorums: parameters.quorums)
        readsUnderWay = parameters.quorums.positions.map { _ in 0 }
        candidates = ReadCandidates(positions: parameters.quorums.positions)
    }

    var quorums: QuorumConfiguration { parameters.quorums }
    var verifiesLater: Bool { parameters.mode.verifiesLater }
    /// Where PREPARE does not ensure that a version is sound, not even its descriptor is worth anything before that is
    /// known, and it takes the fragments to know it.
    var needsFragments: Bool { wantsValue || verifiesLater }
    var portion: Read.Portion { needsFragments ? .fragments : .descriptor }

    /// Takes one input and appends what is to be done; nothing comes after `.finish`.
    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if case .finished = phase { return }
        switch consume input {
        case .start:
            for server in quorums.positions { sendFirst(to: server, into: &effects) }
            effects.append(.startHedge)
        case .reply(let server, let reply):
            guard quorums.contains(server) else { return }
            receive(reply, from: server, into: &effects)
        case .certificateVerified(let server, let certificate, let result):
            if case .failure(let error) = result, !error.isIgnorance {
                observations.misbehaviours[server] = .invalidCertificate(error)
            }
            if let next = tally.verified(certificate, of: server, result) {
                effects.append(verification(of: next.certificate, shownBy: next.server))
            }
            advance(into: &effects)
        case .fragmentVerified(let server, let timestamp, let stripe, let result):
            fragmentVerified(server, timestamp, stripe, result, into: &effects)
            advance(into: &effects)
        case .encodingChecked(let timestamp, let stripe, let isSound):
            encodingChecked(timestamp, stripe: stripe, isSound: isSound, into: &effects)
        case .statementVerified(let server, _, let timestamp, let result):
            statementsUnderWay -= 1
            statementVerified(server, timestamp, result)
            advance(into: &effects)
        case .connected(let server):
            tally.forgetAsked(of: server)
            // What was under way on the old channel is lost, and so is its answer.
            readsUnderWay[server.offset] = 0
            resend(to: server, into: &effects)
            checkStripes(into: &effects) { $0.handle(.connected(server), into: &$1) }
            advance(into: &effects)
        case .renewed(let server):
            if isPlanted(.earlierAnswersCounted) { return }
            tally.forget(server)
            acknowledged.remove(server)
            readsUnderWay[server.offset] = 0
            resend(to: server, into: &effects)
            checkStripes(into: &effects) { $0.handle(.connected(server), into: &$1) }
            advance(into: &effects)
        case .hedge:
            isHedging = true
            hedgesUnderWay -= 1
            if hedgesUnderWay <= 0 { checkStripes(into: &effects) { $0.handle(.hedge, into: &$1) } }
            advance(into: &effects)
        case .retransmit:
            retransmit(into: &effects)
            checkStripes(into: &effects) { $0.handle(.retransmit, into: &$1) }
        case .deadline:
            if isVerification, verified != nil || !poisonous.isEmpty || !poisonProofs.isEmpty {
                finish(.nothing(nil), verified, into: &effects)
            } else {
                finish(.failure(shortfall()), into: &effects)
            }
        }
    }

    private func verification(of certificate: Certificate, shownBy server: Position) -> Effect {
        isVerification && server == preferred[0] && !isPlanted(.ownCertificateMustCount)
            ? .verifyCommitted(server, certificate) : .verifyCertificate(server, certificate)
    }

    mutating func sendFirst(to server: Position, into effects: inout [Effect]) {
        ask(server, Read(key: key, portion: preferred.contains(server) ? portion : .timestamp), into: &effects)
    }

    mutating func ask(_ server: Position, _ read: Read, into effects: inout [Effect]) {
        readsUnderWay[server.offset] += 1
        effects.append(.send(server, .read(read)))
    }

    mutating func finish(_ result: Result<ReadOutcome, OperationFailure>, into effects: inout [Effect]) {
        phase = .finished
        effects.append(.finish(result))
    }
}

/// What a read found.
package struct ReadOutcome: Sendable {
    package enum Found: Sendable {
        /// No version, or a tombstone.
        case nothing(Timestamp?)
        /// A version; for each stripe m good fragments when the value was wanted.
        case version(Timestamp, SealedDescriptor, stripes: [[VerifiedFragment]])

        /// The version found, which may be a tombstone; nil when there never was one.
        package var timestamp: Timestamp? {
            switch self {
            case .nothing(let timestamp): timestamp
            case .version(let timestamp, _, _): timestamp
            }
        }

        var isNothing: Bool {
            if case .nothing = self { true } else { false }
        }
    }

    package let found: Found
    /// What was found as a descriptor, a tombstone's too; nil when there never was a version.
    package let descriptor: SealedDescriptor?
    /// The version's certificate, if it was checked.
    package let certificate: VerifiedCertificate?
    /// Higher versions that were passed over: the reader has seen that m of their matching fragments are no block's
    /// encoding.
    package let poisonous: [Timestamp]
    /// Higher versions that were passed over on f + 1 servers' statements.
    package let proofs: [Timestamp: [VerifiedStatement]]
    /// 1 in the common case; one more each when certificates had to be waited for, and when the version was written
    /// back.
    package let rounds: Int
    package let observations: ServerObservations
}

// MARK: - Replies

extension Reader {
    private mutating func receive(_ reply: Reply, from server: Position, into effects: inout [Effect]) {
        switch reply {
        case .version(let claim, let parts):
            observations.withdrawRefusal(of: server)
            readsUnderWay[server.offset] = max(0, readsUnderWay[server.offset] - 1)
            tally.record(claim, of: server)
            take(parts, of: server, into: &effects)
            advance(into: &effects)
        case .certificate(let claim, let certificate):
            switch tally.record(claim, showing: certificate, of: server) {
            case .verify(let certificate): effects.append(verification(of: certificate, shownBy: server))
            case .exposed: observations.misbehaviours[server] = .unprovenClaim
            case .nothing: break
            }
            advance(into: &effects)
        case .committed(let timestamp, let needsDescriptor):
            if case .writeBack(let commit) = phase, commit.certificate.timestamp == timestamp,
                !acknowledged.contains(server)
            {
                acknowledged.insert(server)
                observations.withdrawRefusal(of: server)
                if needsDescriptor, let descriptor = candidates.descriptor(of: timestamp) {
                    let describe = Describe(key: key, timestamp: timestamp, descriptor: descriptor)
                    effects.append(.send(server, .describe(describe)))
                }
            }
            advance(into: &effects)
        case .refused(let refusal):
            // It has what was asked of it; what it refuses is the descriptor, which nobody waits for.
            if case .writeBack = phase, acknowledged.contains(server) { return }
            observations.refusals[server] = refusal
            markFailed(server)
            giveUpIfHopeless(into: &effects)
            if case .finished = phase { return }
            checkStripes(into: &effects) { $0.take(reply, of: server, into: &$1) }
            advance(into: &effects)
        // One that an earlier reading of the same operation asked for comes late, and is none of ours.
        case .fetched(let parts) where StripesCheck.hasAsked(for: parts):
            observations.withdrawRefusal(of: server)
            checkStripes(into: &effects) { $0.take(reply, of: server, into: &$1) }
            advance(into: &effects)
        case .timestamp, .prepared, .staged, .discarded, .fetched, .held:
            observations.misbehaviours[server] = .unexpectedReply
        }
    }

    private mutating func take(_ parts: HeldParts?, of server: Position, into effects: inout [Effect]) {
        guard let parts else {
            markFailed(server)
            return
        }
        let descriptor = parts.descriptor.descriptor
        guard parts.descriptor.digest == parts.timestamp.digest || isPlanted(.readDigestUnchecked),
            descriptor.key == key, parts.position == server,
            parts.fragments == nil || parts.fragments!.count == descriptor.stripes.count
        else {
            observations.misbehaviours[server] = .foreignParts
            markFailed(server)
            return
        }
        // Only versions that are, or may yet turn out to be, the answer are worth remembering.
        guard !tally.isExcluded(parts.timestamp) else { return }
        let known = candidates.place(of: parts.timestamp)
        guard known != nil || tally.names(parts.timestamp, by: server) else { return }
        let place = known ?? candidates.placeMade(for: parts.timestamp)
        if candidates.at[place].descriptor == nil { candidates.at[place].descriptor = parts.descriptor }
        candidates.at[place].asked.insert(server)
        guard needsFragments, !descriptor.stripes.isEmpty else { return }
        guard let fragments = parts.fragments else {
            candidates.at[place].failed.insert(server)
            return
        }
        guard !candidates.at[place].hasFragments(of: server), !candidates.at[place].verifying.contains(server) else {
            return
        }
        candidates.at[place].expectFragments(of: server, stripeCount: fragments.count)
        for (stripe, bytes) in fragments.enumerated() {
            #if PlantedFlaws
                if isPlanted(.readFragmentsUnverified) {
                    let believed = descriptor.stripes[stripe].believed(bytes, at: FragmentIndex(server.rawValue))
                    candidates.at[place].add(believed, of: stripe, from: server)
                    continue
                }
            #endif
            let index = StripeIndex(UInt32(stripe))
            effects.append(.verifyFragment(server, parts.timestamp, index, descriptor.stripes[stripe], bytes))
        }
    }

    private mutating func fragmentVerified(
        _ server: Position, _ timestamp: Timestamp, _ stripe: StripeIndex,
        _ result: Result<VerifiedFragment, FragmentVerificationError>, into effects: inout [Effect]
    ) {
        guard let place = candidates.place(of: timestamp) else { return }
        if candidates.at[place].stripes != nil {
            if case .failure(let error) = result { observations.misbehaviours[server] = .invalidFragment(error) }
            checkStripes(of: timestamp, into: &effects) { $0.verified(result, of: server, stripe, into: &$1) }
            return
        }
        guard candidates.at[place].verifying.contains(server) else { return }
        switch result {
        case .success(let fragment):
            candidates.at[place].add(fragment, of: stripe.offset, from: server)
        case .failure(let error):
            observations.misbehaviours[server] = .invalidFragment(error)
            candidates.at[place].reject(server)
        }
    }

    /// The server answered without anything usable, for whatever version it was asked for.
    private mutating func markFailed(_ server: Position) {
        for place in candidates.at.indices
        where candidates.at[place].asked.contains(server) && !candidates.at[place].hasFragments(of: server) {
            candidates.at[place].failed.insert(server)
        }
    }
}

// MARK: - Decision

extension Reader {
    mutating func advance(into effects: inout [Effect]) {
        // What a server wants to find out about is what it was told itself is committed; others may know nothing of it.
        // But some servers cannot reach themselves at the address that others know.
        if isVerification, !isRetransmitting, !tally.hasClaim(of: preferred[0]) { return }
        if let verified {
            finishVerification(verified, into: &effects)
            return
        }
        let standing = tally.standing()
        guard !isDoubting(standing, into: &effects) else { return }
        if let timestamp = standing.highest {
            advance(to: timestamp, standing, into: &effects)
            return
        }
        guard standing.countedReplies >= quorums.quorum else { return }
        if isVerification {
            finishVerification(nil, into: &effects)
        } else {
            finish(.nothing(nil), nil, into: &effects)
        }
    }

    /// Whether claims, or the certificates of those above the highest valid version, have to be waited for. Asks for
    /// these then, and also when that version's parts are not to be had: who names something higher may have dropped
    /// it, or never stored it.
    private mutating func isDoubting(_ standing: ClaimTally.Standing, into effects: inout [Effect]) -> Bool {
        let isPatient = thoroughReminders.map { $0 > 0 || !isHedging } ?? false
        let isThorough = isPatient && !thoroughUpTo.precedes(standing.highest)
        guard !standing.doubted.isEmpty else { return isThorough && !tally.isComplete }
        // What a server that verifies names itself is what it wants to find out about. It has heard from itself, so it
        // will hear the rest.
        let namesHigherItself = isVerification && standing.doubted.contains(preferred[0])
        let isNeeded = standing.countedReplies < quorums.quorum || isThorough
        let lacksParts =
            isHedging && !isPlanted(.higherClaimsIgnored) && standing.highest.map(isLackingParts) ?? false
        if standing.answerCount >= quorums.quorum {
            let asked = isNeeded || lacksParts ? standing.doubted : namesHigherItself ? [preferred[0]] : []
            for (server, timestamp) in tally.askProofs(of: asked) {
                if isNeeded { hasWaitedForProofs = true }
                effects.append(.send(server, .certificate(key, timestamp)))
            }
        }
        return isNeeded || namesHigherItself
    }

    private mutating func advance(
        to timestamp: Timestamp, _ standing: ClaimTally.Standing, into effects: inout [Effect]
    ) {
        if case .writeBack(let commit) = phase, commit.certificate.timestamp < timestamp {
            phase = .read
            acknowledged = []
        }
        guard !isShownPoisonous(timestamp, into: &effects) else {
            advance(into: &effects)
            return
        }
        guard isGathered(timestamp) else {
            askForParts(of: timestamp, into: &effects)
            giveUpIfLost(timestamp, standing, into: &effects)
            return
        }
        guard isKnownSound(timestamp, into: &effects) else {
            giveUpIfLost(timestamp, standing, into: &effects)
            return
        }
        let enough = isPlanted(.readWithoutQuorum) ? quorums.vouchers : quorums.quorum
        guard standing.countedReplies >= enough, let found = gathered(timestamp) else { return }
        if isVerification {
            verified = timestamp
            finishVerification(timestamp, into: &effects)
            return
        }
        let holders = holders(of: timestamp)
        if holders.count >= quorums.quorum || isPlanted(.writeBackOmitted)
            || isPlanted(.tombstoneNotWrittenBack) && found.isNothing
        {
            finish(found, timestamp, into: &effects)
            return
        }
        guard case .read = phase else { return }
        guard let certificate = tally.certificate(of: timestamp) else {
            askProof(of: timestamp, into: &effects)
            return
        }
        let commit = Commit(key: key, certificate: certificate.certificate)
        phase = .writeBack(commit)
        isWritingBack = true
        for server in quorums.positions where !holders.contains(server) {
            effects.append(.send(server, .commit(commit)))
        }
    }

    /// The servers that are known to have the version committed.
    func holders(of timestamp: Timestamp) -> [Position] {
        let namers = alwaysWritesBack ? [] : tally.namers(of: timestamp)
        return quorums.positions.filter { namers.contains($0) || acknowledged.contains($0) }
    }

    /// Asks for a certificate of what is valid by f + 1 servers' word.
    mutating func askProof(of timestamp: Timestamp, into effects: inout [Effect]) {
        for server in tally.askProof(of: timestamp) {
            hasWaitedForProofs = true
            effects.append(.send(server, .certificate(key, timestamp)))
        }
    }

    /// Whether nothing is missing of the version.
    func isGathered(_ timestamp: Timestamp) -> Bool {
        guard let place = candidates.place(of: timestamp),
            let descriptor = candidates.at[place].descriptor?.descriptor
        else { return false }
        guard descriptor.kind == .value, needsFragments else { return true }
        return descriptor.stripes.indices.allSatisfy {
            candidates.at[place].goodCount(of: $0) >= quorums.dataFragmentCount
        }
    }

    /// The complete version, or nil while parts of it are missing.
    func gathered(_ timestamp: Timestamp) -> ReadOutcome.Found? {
        guard let place = candidates.place(of: timestamp), let descriptor = candidates.at[place].descriptor else {
            return nil
        }
        if descriptor.descriptor.kind == .tombstone { return .nothing(timestamp) }
        guard needsFragments else { return .version(timestamp, descriptor, stripes: []) }
        var stripes: [[VerifiedFragment]] = []
        for stripe in descriptor.descriptor.stripes.indices {
            let good = quorums.positions.lazy.compactMap { candidates.at[place].fragment(of: stripe, from: $0) }
            let chosen = Array(good.prefix(quorums.dataFragmentCount))
            guard chosen.count == quorums.dataFragmentCount else { return nil }
            stripes.append(chosen)
        }
        return .version(timestamp, descriptor, stripes: stripes)
    }

    /// Asks for the version's parts: the preferred servers first, every other one once that does not suffice.
    private mutating func askForParts(of timestamp: Timestamp, into effects: inout [Effect]) {
        let place = candidates.placeMade(for: timestamp)
        let (asked, failed) = (candidates.at[place].asked, candidates.at[place].failed)
        // The preferred servers' first answer already carries what they have of the version they name.
        let expected = asked.subtracting(failed).count
        let isUnderWay = preferred.contains { server in
            !tally.hasClaim(of: server) && observations.refusals[server] == nil
                && observations.misbehaviours[server] == nil
        }
        let needed = needsFragments ? quorums.dataFragmentCount : 1
        guard isHedging || !failed.isEmpty || (expected < needed && !isUnderWay) else { return }
        for server in quorums.positions where !asked.contains(server) {
            candidates.at[place].asked.insert(server)
            ask(server, Read(key: key, version: timestamp, portion: portion), into: &effects)
        }
    }

    mutating func finish(
        _ found: ReadOutcome.Found, _ timestamp: Timestamp?, into effects: inout [Effect]
    ) {
        if isHedging { observations.slow = preferred.filter { !tally.hasClaim(of: $0) }.map(placement.node(at:)) }
        let outcome = ReadOutcome(
            found: found, descriptor: timestamp.flatMap { candidates.descriptor(of: $0) },
            certificate: timestamp.flatMap { tally.certificate(of: $0) }, poisonous: poisonous, proofs: poisonProofs,
            rounds: 1 + (hasWaitedForProofs ? 1 : 0) + (isWritingBack ? 1 : 0), observations: observations)
        finish(.success(outcome), into: &effects)
    }
}
