// What a replica does with RESTATE (docs/protocol.md, Rebuilding).

extension Replica {
    mutating func restate(
        _ restate: Restate, _ evidence: VerificationEvidence, tag: RequestTag, _ transition: ObjectTransition,
        at place: OpenObjects.Place, into effects: inout [ReplicaEffect]
    ) {
        var transition = transition
        let (key, timestamp) = (restate.key, restate.certificate.timestamp)
        switch transition.restate(restate, evidence: evidence) {
        case .refuse(let refusal):
            effects.append(.reply(tag, .refused(refusal)))
        case .wait:
            let reply = Reply.refused(.notHeld)
            guard let change = transition.change else {
                effects.append(.reply(tag, reply))
                return
            }
            store(change, leadingTo: transition.record, at: place, answer: .reply(tag, reply), into: &effects)
        case .sign(let claim):
            if claim == .stored, let known = remembered.statement(on: timestamp, of: key) {
                effects.append(.reply(tag, .prepared(known, committed: transition.record.highestCommitted)))
                return
            }
            store(
                nil, leadingTo: transition.record, at: place, answer: .prepared(tag, timestamp, claim),
                statements: [statement(key: key, timestamp: timestamp, claim: claim)], into: &effects)
        }
    }
}
