// What a replica does with what its server has found: for versions that want it, and of versions that it had missed
// (docs/protocol.md, Repair, Anti-entropy).

extension Replica {
    /// - Parameter found: stripes of one version, of which it is enough that one is taken, or one thing else.
    mutating func repair(
        _ found: [RepairedParts], number: UInt64, _ transition: ObjectTransition, at place: OpenObjects.Place,
        into effects: inout [ReplicaEffect]
    ) {
        var transition = transition
        guard !found.isEmpty else {
            endWant(number: number, transition, at: place, into: &effects)
            return
        }
        var (isTaken, refusal) = (false, RepairRefusal.notWanted)
        for parts in found {
            if let refused = transition.repair(parts) { refusal = refused } else { isTaken = true }
        }
        guard isTaken, let first = found.first else {
            effects.append(.repairEnded(number: number, .failure(refusal)))
            return
        }
        for upload in transition.spentUploads {
            discards.add(upload, of: first.timestamp.writer, at: transition.key, isCommitted: true)
        }
        guard let change = transition.change else {
            effects.append(.repairEnded(number: number, .success(())))
            return
        }
        if case .staged(let descriptor) = first.parts, let staged = descriptor.descriptor.staged {
            inspect(
                staged, of: first.timestamp, then: change, leadingTo: transition.record, at: place,
                answer: .repaired(number: number), statements: [], into: &effects)
        } else {
            store(
                change, leadingTo: transition.record, at: place, answer: .repaired(number: number), into: &effects)
        }
    }

    /// What another server has committed is committed here, as by COMMIT.
    mutating func learn(
        _ certificate: VerifiedCertificate, number: UInt64, _ transition: ObjectTransition,
        at place: OpenObjects.Place, into effects: inout [ReplicaEffect]
    ) {
        var transition = transition
        if transition.hasForgotten(certificate, own: incarnation) {
            effects.append(.forgotten(transition.key, certificate.timestamp))
        }
        if let refusal = transition.commit(certificate) {
            if case .tooManyUnverified = refusal { verifyAtOnce(transition.key, transition.record, into: &effects) }
            restateIfFenced(certificate.certificate, refusal, transition.key, into: &effects)
            effects.append(.repairEnded(number: number, .failure(.notWanted)))
            return
        }
        for upload in transition.spentUploads {
            discards.add(upload, of: certificate.timestamp.writer, at: transition.key, isCommitted: true)
        }
        guard let change = transition.change else {
            effects.append(.repairEnded(number: number, .success(())))
            return
        }
        store(change, leadingTo: transition.record, at: place, answer: .repaired(number: number), into: &effects)
    }

    /// Nothing is wanted, and the table says otherwise: what is wanted is judged by other settings than it was.
    private mutating func endWant(
        number: UInt64, _ transition: ObjectTransition, at place: OpenObjects.Place, into effects: inout [ReplicaEffect]
    ) {
        guard transition.record.wanted(transition.key, node: node, parameters) == nil else {
            effects.append(.repairEnded(number: number, .failure(.notWanted)))
            return
        }
        store(
            transition.changeEndingWant, leadingTo: transition.record, at: place, answer: .repaired(number: number),
            into: &effects)
    }
}
