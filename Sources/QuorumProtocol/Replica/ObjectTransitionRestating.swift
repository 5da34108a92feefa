// What a server signs, or gets, so that a version's certificate counts again (docs/protocol.md, Rebuilding).

extension ObjectTransition {
    /// What RESTATE leads to.
    enum RestateVerdict {
        /// Sign this claim.
        case sign(Claim)
        /// The version is on its way here, or is from now on.
        case wait
        case refuse(Refusal)
    }

    /// RESTATE, verified. On `.refuse` the transition must be thrown away: a refusal changes no state.
    ///
    /// A version that is not here is held as one that has lost its fragments, so that repair brings them. Without f + 1
    /// statements one server's word would have others hold, and look for, what nobody ever wrote.
    mutating func restate(_ restate: Restate, evidence: VerificationEvidence) -> RestateVerdict {
        let timestamp = restate.certificate.timestamp
        if record.isPoisonous(timestamp) { return .refuse(.poisonous) }
        if record.version(timestamp)?.holdsFragments == true { return .sign(.stored) }
        if timestamp.precedes(record.committedTimestamp) { return .sign(.superseded) }
        if isPlanted(.restatedUnheld) { return .sign(.stored) }
        // What is lost here is wanted already.
        let place = record.held.firstIndex { $0.timestamp == timestamp }
        if let place, record.held[place].fragments != .absent { return .wait }
        let statements = evidence.admission.filter { fences.counts($0.signed) }
        guard let descriptor = restate.descriptor,
            statements.count >= parameters.quorums.vouchers
        else { return .refuse(.invalidAdmission(have: statements.count, need: parameters.quorums.vouchers)) }
        if let place {
            // A partial write left it out here, and now it is needed.
            record.held[place].fragments = .lost
            return .wait
        }
        if verifiesLater, !record.isUnverified(timestamp), let limit = exceededUnverifiedLimit(timestamp) {
            return .refuse(.tooManyUnverified(limit: limit))
        }
        return takeUp(timestamp, descriptor) == nil ? .wait : .refuse(.busy)
    }
}
