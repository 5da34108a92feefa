// What a reader finds out about soundness, in the modes that verify later (docs/protocol.md, Modes that verify later),
// and how a server's reading ends, which wants to know nothing else.

import Fingerprint

extension Reader {
    /// Whether what m good fragments of each stripe decode to encodes to all the version's hashes: pure work for the
    /// shell. If one choice of m fragments does, every other does too (docs/protocol.md, Verification modes).
    package static func isSound(_ stripes: [[VerifiedFragment]], of descriptor: SealedDescriptor) -> Bool {
        zip(descriptor.descriptor.stripes, stripes).allSatisfy { crossChecksum, fragments in
            guard let block = try? crossChecksum.decode(fragments) else { return false }
            return crossChecksum.matchesEncoding(of: block)
        }
    }

    /// Whether nothing has to be found out about the version, all of which is there, any more; if something has, begins
    /// with it.
    mutating func isKnownSound(_ timestamp: Timestamp, into effects: inout [Effect]) -> Bool {
        guard verifiesLater, let place = candidates.place(of: timestamp),
            let descriptor = candidates.at[place].descriptor,
            !descriptor.descriptor.stripes.isEmpty, !isPlanted(.readEncodingUnchecked)
        else { return true }
        let vouchers = isPlanted(.oneVoucherVerified) ? 1 : quorums.vouchers
        if parameters.mode == .lazy, tally.verifierCount(of: timestamp) >= vouchers { return true }
        let encoding = candidates.at[place].encoding
        if case .unchecked = encoding, case .version(_, _, let stripes)? = gathered(timestamp) {
            candidates.at[place].encoding = .checking
            effects.append(.checkEncoding(timestamp, descriptor, stripes: stripes))
        }
        if case .sound = encoding { return true }
        return false
    }

    mutating func encodingChecked(_ timestamp: Timestamp, isSound: Bool, into effects: inout [Effect]) {
        if isSound {
            if let place = candidates.place(of: timestamp) { candidates.at[place].encoding = .sound }
            if isVerification { verified = max(verified ?? timestamp, timestamp) }
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
