// What a replica does about those for whom it has no room: who waits goes, who cannot write is told what is in the way,
// and a client whose versions fill the server is caught up with (docs/protocol.md, When servers are full).

extension Replica {
    /// Whether the principal may have one more wait at the object; others' that are over their share go.
    mutating func makeRoom(
        at place: OpenObjects.Place, for principal: Principal, into effects: inout [ReplicaEffect]
    ) -> Bool {
        let limits = parameters.limits
        let own = objects.at[place].waitingCount(of: principal)
        // The others that wait are served in turns with this one, but the memory is shared.
        if objects.at[place].waitingCount > own {
            guard own < limits.requestsPerPrincipalMax else { return false }
            while let (longest, count) = objects.at[place].longest, longest != principal,
                count > limits.requestsPerPrincipalMax, let tag = objects.at[place].popNewest(of: longest)
            {
                effects.append(.reply(tag, .refused(.busy)))
            }
        }
        guard objects.at[place].waitingCount >= limits.requestsPerObjectMax else { return true }
        guard let (longest, count) = objects.at[place].longest, longest != principal, count > own + 1,
            let tag = objects.at[place].popNewest(of: longest)
        else { return false }
        effects.append(.reply(tag, .refused(.busy)))
        return true
    }

    /// Answers a PREPARE for which there is no room, once what its justification changes is durable: with a list of the
    /// versions that are in its way, if its writer has not had that lately.
    mutating func list(
        _ timestamps: [Timestamp], _ transition: ObjectTransition, at place: OpenObjects.Place, for client: ClientID,
        tag: RequestTag, into effects: inout [ReplicaEffect]
    ) {
        let key = transition.key
        // The justification is a COMMIT of its own.
        let change = transition.change
        guard lists.grant(key, to: client, nowMilliseconds: nowMilliseconds, parameters.limits) else {
            let reply = Reply.refused(.tooManyPending([]))
            guard change != nil else {
                effects.append(.reply(tag, reply))
                return
            }
            store(change, leadingTo: transition.record, at: place, answer: .reply(tag, reply), into: &effects)
            return
        }
        let known = timestamps.compactMap { timestamp in
            remembered.statement(on: timestamp, of: key).map { (timestamp: timestamp, statement: $0) }
        }
        if change == nil, known.count == timestamps.count {
            effects.append(.replyTooManyPending(tag, key, known))
            verifyAtOnce(key, transition.record, into: &effects)
            return
        }
        // A pending version whose fragments are not held cannot be: pending means stored by a PREPARE.
        let statements = timestamps.map { statement(key: key, timestamp: $0, claim: .stored) }
        store(
            change, leadingTo: transition.record, at: place, answer: .tooManyPending(tag, timestamps),
            statements: statements, into: &effects)
    }

    /// A client that nears its limit of versions at objects without a commit may be a correct one, whose commits did
    /// not come here: the server finds out before it refuses.
    mutating func catchUp(with client: ClientID, into effects: inout [ReplicaEffect]) {
        guard accounts.isNearBareLimit(client, parameters.limits) else { return }
        var catchUp = catchUps[client] ?? CatchUp()
        guard nowMilliseconds >= catchUp.nextMilliseconds else { return }
        catchUp.nextMilliseconds = nowMilliseconds &+ Self.catchUpIntervalMilliseconds
        catchUps[client] = catchUp
        effects.append(.findBare(client, after: catchUp.last))
    }

    private static let catchUpIntervalMilliseconds: UInt64 = 1000

    struct CatchUp {
        var nextMilliseconds: UInt64 = 0
        /// The last object that was caught up with; nil to begin with the first.
        var last: ObjectKey?
    }
}
