// What a reader finds out about soundness, in the modes that verify later (docs/protocol.md, Modes that verify later),
// and how a server's reading ends, which wants to know nothing else.

import Fingerprint

extension Reader {
    /// Whether nothing has to be found out about the version, all of which is there, any more; if something has, begins
    /// with it.
    mutating func isKnownSound(_ timestamp: Timestamp, into effects: inout [Effect]) -> Bool {
        guard verifiesLater, let place = candidates.place(of: timestamp),
            let descriptor = candidates.at[place].descriptor,
            descriptor.descriptor.hasStripes, !isPlanted(.readEncodingUnchecked)
        else { return true }
        let vouchers = isPlanted(.oneVoucherVerified) ? 1 : quorums.vouchers
        if parameters.mode == .lazy, tally.verifierCount(of: timestamp) >= vouchers { return true }
        let encoding = candidates.at[place].encoding
        switch encoding {
        case .sound: return true
        case .checking: return false
        case .unchecked: break
        }
        if let staged = descriptor.descriptor.staged {
            return beginCheck(of: staged, timestamp, place, into: &effects)
        } else if case .version(_, _, let stripes)? = gathered(timestamp) {
            candidates.at[place].encoding = .checking
            let gathered = zip(descriptor.descriptor.stripes, stripes).map {
                GatheredStripe(crossChecksum: $0, fragments: $1)
            }
            checkedBytes += gathered.reduce(0) { $0 + $1.crossChecksum.blockSizeBytes }
            effects.append(.checkEncoding(timestamp, gathered))
        }
        return false
    }

    /// Looks at a large version's stripes, and at no other version's any more. Whether all are known to be sound.
    private mutating func beginCheck(
        of staged: StagedContents, _ timestamp: Timestamp, _ place: ReadCandidates.Place, into effects: inout [Effect]
    ) -> Bool {
        for other in candidates.at.indices where candidates.at[other].stripes != nil {
            candidates.at[other].stripes = nil
            candidates.at[other].encoding = .unchecked
        }
        checkCount += 1
        candidates.at[place].encoding = .checking
        candidates.at[place].stripes = StripesCheck(
            staged, of: key, pin: isVerification ? nil : timestamp, preference: preference,
            number: firstCheck + checkCount, verdicts: stripeVerdicts, parameters: parameters)
        if checkStripes(of: timestamp, into: &effects, { $0.start(into: &$1) }) == true { return false }
        markSound(timestamp, place)
        return true
    }

    private mutating func markSound(_ timestamp: Timestamp, _ place: ReadCandidates.Place) {
        candidates.at[place].encoding = .sound
        candidates.at[place].stripes = nil
        if isVerification { verified = max(verified ?? timestamp, timestamp) }
    }

    /// What servers have handed out to prove that the version is poisonous, of which nothing was looked at.
    package func poisonStatements(on timestamp: Timestamp) -> [SignedStatement] {
        tally.poisonStatements(on: timestamp).map(\.statement)
    }

    /// Whether the version's descriptor, its fragments, or the stripe that is looked at are waited for.
    func isLackingParts(_ timestamp: Timestamp) -> Bool {
        guard isGathered(timestamp) else { return true }
        return candidates.place(of: timestamp).flatMap { candidates.at[$0].stripes?.isStarving } ?? false
    }

    /// Runs a step of what looks at large versions' stripes, and does what follows.
    mutating func checkStripes(
        into effects: inout [Effect], _ step: (inout StripesCheck, inout [StripesCheck.Effect]) -> Void
    ) {
        guard checkCount > 0 else { return }
        for timestamp in candidates.timestamps { checkStripes(of: timestamp, into: &effects, step) }
    }

    @discardableResult
    mutating func checkStripes<Result>(
        of timestamp: Timestamp, into effects: inout [Effect],
        _ step: (inout StripesCheck, inout [StripesCheck.Effect]) -> Result
    ) -> Result? {
        guard let place = candidates.place(of: timestamp), var check = candidates.at[place].stripes else { return nil }
        var asked: [StripesCheck.Effect] = []
        let result = step(&check, &asked)
        candidates.at[place].stripes = check
        for effect in asked {
            switch effect {
            case .send(let server, let request): effects.append(.send(server, request))
            case .verify(let server, let stripe, let crossChecksum, let bytes):
                effects.append(.verifyFragment(server, timestamp, stripe, crossChecksum, bytes))
            case .check(let stripe):
                checkedBytes += stripe.crossChecksum.blockSizeBytes
                effects.append(.checkEncoding(timestamp, [stripe]))
            case .startHedge:
                hedgesUnderWay += 1
                effects.append(.startHedge)
            case .lacks(let server):
                // It may have dropped the version for a higher one, or a proof, which its claim tells.
                ask(server, Read(key: key, version: timestamp, portion: .descriptor), into: &effects)
            }
        }
        return result
    }

    /// The verdict on a whole version (0), or on one stripe of a large one. Of a stripe that is not looked at any more it
    /// says nothing: its version was passed over meanwhile, or another reading asked.
    mutating func encodingChecked(
        _ timestamp: Timestamp, stripe: UInt64, isSound: Bool, into effects: inout [Effect]
    ) {
        if stripe != 0 {
            guard let judged = checkStripes(of: timestamp, into: &effects, { check, _ in check.judged(stripe) }) ?? nil
            else { return }
            stripeVerdicts[judged] = isSound
        }
        if isSound {
            guard let place = candidates.place(of: timestamp) else {
                advance(into: &effects)
                return
            }
            let isLast = checkStripes(of: timestamp, into: &effects) { $0.goOn(into: &$1) }
            guard isLast ?? true else { return }
            markSound(timestamp, place)
        } else {
            poisonous.append(timestamp)
            passOver(timestamp)
            if isPlanted(.poisonReadAsNothing) {
                finish(.nothing(nil), nil, into: &effects)
                return
            }
        }
        advance(into: &effects)
    }

    /// A server is done when it has the sound version's certificate, and has looked at what others have signed on
    /// versions above it. As long as too few have, those who have not answered yet have their time: who has signed may
    /// always be the slowest. They have more of it where the server has come to the same verdict and needs the proof.
    mutating func finishVerification(_ timestamp: Timestamp?, into effects: inout [Effect]) {
        var (isShownByTooFew, isUnproven) = (false, false)
        for above in tally.poisonousVersions(above: timestamp) where poisonProofs[above] == nil {
            let isOwnVerdict = tally.callsPoisonous(above, by: preferred[0]) && !isPlanted(.proofFromManyOnly)
            let shown = tally.poisonStatements(on: above)
            // Of so many servers that show statements one is correct: liars alone cannot have signatures checked, but
            // on what this server has found itself, of which there is not much. Then one that shows all will do.
            let isWorthChecking =
                Set(shown.map(\.source)).count >= quorums.vouchers
                || isOwnVerdict && Set(shown.map(\.statement.node)).count >= quorums.vouchers
            if isWorthChecking, isShownPoisonous(above, into: &effects) { continue }
            if isOwnVerdict {
                isUnproven = true
            } else if !isWorthChecking {
                isShownByTooFew = true
            }
        }
        if isShownByTooFew && !isHedging || isUnproven && !isRetransmitting,
            !quorums.positions.allSatisfy(tally.hasClaim)
        {
            return
        }
        if let timestamp, tally.certificate(of: timestamp) == nil {
            askProof(of: timestamp, into: &effects)
            return
        }
        guard statementsUnderWay == 0 else { return }
        finish(timestamp.flatMap { gathered($0) } ?? .nothing(nil), timestamp, into: &effects)
    }

    private mutating func passOver(_ timestamp: Timestamp) {
        tally.exclude(timestamp)
        candidates.remove(timestamp)
    }

    /// Whether f + 1 servers have signed that the version is poisonous; it is passed over then. Has statements that
    /// were not looked at yet verified.
    mutating func isShownPoisonous(_ timestamp: Timestamp, into effects: inout [Effect]) -> Bool {
        guard verifiesLater else { return false }
        let place = candidates.placeMade(for: timestamp)
        let enough = isPlanted(.onePoisonStatement) ? 1 : quorums.vouchers
        if candidates.at[place].poisonStatements.count >= enough {
            poisonProofs[timestamp] = quorums.positions.compactMap { candidates.at[place].poisonStatements[$0] }
            passOver(timestamp)
            return true
        }
        for (source, signed) in tally.poisonStatements(on: timestamp) where signed.claim == .poisonous {
            guard let signer = placement.position(of: signed.node),
                candidates.at[place].poisonStatements[signer] == nil,
                !candidates.at[place].examined[source, default: []].contains(signer)
            else { continue }
            candidates.at[place].examined[source, default: []].insert(signer)
            statementsUnderWay += 1
            effects.append(.verifyStatement(source, signed, timestamp))
        }
        return false
    }

    mutating func statementVerified(
        _ server: Position, _ timestamp: Timestamp, _ result: Result<VerifiedStatement, CertificateError>
    ) {
        switch result {
        case .success(let verified):
            guard let place = candidates.place(of: timestamp), let signer = placement.position(of: verified.signed.node)
            else { return }
            candidates.at[place].poisonStatements[signer] = verified
        case .failure(let error):
            if !error.isIgnorance { observations.misbehaviours[server] = .invalidStatement(error) }
        }
    }
}
