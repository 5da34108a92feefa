// What a reader does when messages are lost or servers refuse: it asks again, and in the end says why it has failed.

extension Reader {
    func resend(to server: Position, into effects: inout [Effect]) {
        if !tally.hasClaim(of: server) { sendFirst(to: server, into: &effects) }
        switch phase {
        case .read:
            for (place, timestamp) in candidates.timestamps.enumerated() where isWaiting(for: server, at: place) {
                effects.append(.send(server, .read(Read(key: key, version: timestamp, portion: portion))))
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
        for place in candidates.at.indices {
            candidates.at[place].asked = candidates.at[place].asked.subtracting(candidates.at[place].failed)
            candidates.at[place].failed = []
        }
        for server in quorums.positions { resend(to: server, into: &effects) }
        advance(into: &effects)
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
        if let timestamp = standing.highest, standing.countedReplies >= quorums.quorum, !isGathered(timestamp) {
            let have = candidates.place(of: timestamp).map { candidates.at[$0].sourceCount } ?? 0
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
