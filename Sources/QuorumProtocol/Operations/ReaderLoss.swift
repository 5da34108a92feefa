// What a reader does when messages are lost or servers refuse: it asks again, and in the end says why it has failed.

extension Reader {
    mutating func resend(to server: Position, into effects: inout [Effect]) {
        if !tally.hasClaim(of: server) { sendFirst(to: server, into: &effects) }
        switch phase {
        case .read:
            for (place, timestamp) in candidates.timestamps.enumerated() where isWaiting(for: server, at: place) {
                ask(server, Read(key: key, version: timestamp, portion: portion), into: &effects)
            }
        case .writeBack(let commit):
            if !holders(of: commit.certificate.timestamp).contains(server) {
                effects.append(.send(server, .commit(commit)))
            }
        case .finished:
            break
        }
    }

    private func isWaiting(for server: Position, at place: ReadCandidates.Place) -> Bool {
        candidates.at[place].asked.contains(server) && !candidates.at[place].hasFragments(of: server)
            && !candidates.at[place].failed.contains(server)
    }

    /// What was answered badly is asked again too: a server may have been repaired, or a version been stored since.
    mutating func retransmit(into effects: inout [Effect]) {
        isHedging = true
        isRetransmitting = true
        thoroughReminders = thoroughReminders.map { max(0, $0 - 1) }
        tally.forgetAsked()
        (missingBefore, missing) = (missing, nil)
        for place in candidates.at.indices {
            candidates.at[place].asked = candidates.at[place].asked.subtracting(candidates.at[place].failed)
            candidates.at[place].failed = []
        }
        for server in quorums.positions { resend(to: server, into: &effects) }
        advance(into: &effects)
    }

    /// Ends the read when the version is not to be had: every server has answered all that it was asked, fewer than m
    /// have sent a good fragment, and that has been so before a retransmission and after it. The second time is for a
    /// fragment that was on its way to a server.
    ///
    /// Only answers count. A server that says nothing, or refuses, may have a fragment; and who names something higher
    /// may have dropped this version for it, so as long as that is not settled the read goes on. A committed version is
    /// stored by m correct servers, so otherwise these have lost what they had.
    mutating func giveUpIfLost(
        _ timestamp: Timestamp, _ standing: ClaimTally.Standing, into effects: inout [Effect]
    ) {
        guard needsFragments, !isVerification, standing.countedReplies >= quorums.quorum, standing.doubted.isEmpty,
            let place = candidates.place(of: timestamp)
        else { return }
        let candidate = candidates.at[place]
        if let check = candidate.stripes {
            // One that says it lacks the stripe is READ at once: so all that it knows to be higher is counted.
            guard check.isHopeless, readsUnderWay.allSatisfy({ $0 == 0 }) else { return }
            endIfStillMissing(timestamp, into: &effects)
            return
        }
        guard !isGathered(timestamp) else { return }
        let hasAll = quorums.positions.allSatisfy { server in
            let isAnswered = candidate.failed.contains(server) || candidate.hasFragments(of: server)
            return isAnswered && readsUnderWay[server.offset] == 0 && !candidate.verifying.contains(server)
                && observations.refusals[server] == nil
        }
        guard hasAll else { return }
        endIfStillMissing(timestamp, into: &effects)
    }

    private mutating func endIfStillMissing(_ timestamp: Timestamp, into effects: inout [Effect]) {
        missing = timestamp
        guard missingBefore == timestamp else { return }
        finish(.failure(shortfall()), into: &effects)
    }

    mutating func giveUpIfHopeless(into effects: inout [Effect]) {
        let final = observations.refusals.filter { !$0.value.isTransient }
        guard final.count > quorums.faults else { return }
        finish(.failure(.refused(operationPhase, observations: observations)), into: &effects)
    }

    private var operationPhase: OperationPhase {
        if case .writeBack = phase { .writeBack } else { .read }
    }

    mutating func shortfall() -> OperationFailure {
        let standing = tally.standing()
        let place = standing.highest.flatMap(candidates.place)
        let check = place.flatMap { candidates.at[$0].stripes }
        if let timestamp = standing.highest, standing.countedReplies >= quorums.quorum,
            check != nil || !isGathered(timestamp)
        {
            let have = check?.goodCount ?? place.map { candidates.at[$0].sourceCount } ?? 0
            return .tooFewFragments(
                timestamp, have: have, need: quorums.dataFragmentCount, observations: observations)
        }
        let answered: [Position]
        if case .writeBack(let commit) = phase {
            answered = holders(of: commit.certificate.timestamp)
        } else {
            answered = quorums.positions.filter { tally.hasClaim(of: $0) }
        }
        return .unavailable(
            operationPhase, answered: answered.map(placement.node(at:)), need: quorums.quorum,
            observations: observations)
    }
}
