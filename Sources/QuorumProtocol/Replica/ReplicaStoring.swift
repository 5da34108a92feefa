// How a replica has a change of an object stored, and what it answers once that is durable, or has failed.

extension Replica {
    /// Answers COMMIT or DESCRIPTOR, once what it changes is durable.
    mutating func acknowledge(
        _ timestamp: Timestamp, _ transition: ObjectTransition, _ refusal: Refusal?, at place: OpenObjects.Place,
        tag: RequestTag, into effects: inout [ReplicaEffect]
    ) {
        if let refusal {
            effects.append(.reply(tag, .refused(refusal)))
            return
        }
        let reply = Reply.committed(timestamp, needsDescriptor: transition.record.lacksDescriptor(of: timestamp))
        guard let change = transition.change else {
            effects.append(.reply(tag, reply))
            return
        }
        if isPlanted(.replyBeforeDurable) { effects.append(.reply(tag, reply)) }
        store(change, leadingTo: transition.record, at: place, answer: .reply(tag, reply), into: &effects)
    }

    mutating func store(
        _ change: ObjectChange?, leadingTo record: ObjectRecord, at place: OpenObjects.Place, answer: InFlight.Answer,
        statements: [Statement] = [], into effects: inout [ReplicaEffect]
    ) {
        lastTokenNumber &+= 1
        let token = WorkToken(number: lastTokenNumber, place: place)
        accounts.apply(change?.charges ?? [])
        objects.at[place].begin(InFlight(token: token, record: record, charges: change?.charges ?? [], answer: answer))
        effects.append(.store(token, change, statements))
    }

    mutating func stored(
        _ token: WorkToken, _ result: Result<[SignedStatement], StoreFailure>, into effects: inout [ReplicaEffect]
    ) {
        let place = token.place
        guard objects.at.indices.contains(place), let inFlight = objects.at[place].takeInFlight(token)
        else { preconditionFailure("a change was stored that nobody asked for") }
        switch result {
        case .success(let statements):
            objects.at[place].record = inFlight.record
            switch inFlight.answer {
            case .prepared(let tag, let timestamp, let claim):
                catchUp(with: timestamp.writer, into: &effects)
                if claim == .stored {
                    remembered.add(statements[0], on: timestamp, of: objects.at[place].key)
                }
                effects.append(.reply(tag, .prepared(statements[0], committed: inFlight.record.highestCommitted)))
            case .reply(let tag, let reply):
                effects.append(.reply(tag, reply))
            case .staged(let tags):
                for tag in tags { effects.append(.reply(tag, .staged)) }
            case .tooManyPending(let tag, let timestamps):
                let pending = zip(timestamps, statements).map { (timestamp: $0, statement: $1) }
                for (timestamp, statement) in pending {
                    remembered.add(statement, on: timestamp, of: objects.at[place].key)
                }
                effects.append(.replyTooManyPending(tag, objects.at[place].key, pending))
                // What is committed above them frees them once it is known to be sound.
                verifyAtOnce(objects.at[place].key, inFlight.record, into: &effects)
            case .poisonous(let timestamps):
                let signed = zip(timestamps, statements).map { (timestamp: $0, statement: $1) }
                if !signed.isEmpty { objects.at[place].changes.prependOwn(.signed(signed)) }
            case .repaired(let number):
                effects.append(.repairEnded(number: number, .success(())))
            case .nothing:
                break
            }
            if inFlight.record.isCrowded(parameters) {
                verifyAtOnce(objects.at[place].key, inFlight.record, into: &effects)
            }
        case .failure(let failure):
            // Nothing of it was written. After another failure it may be durable, and is charged.
            if failure == .full { accounts.takeBack(inFlight.charges) }
            if let tag = inFlight.answer.tag { effects.append(.reply(tag, .refused(Self.refusal(for: failure)))) }
            if case .staged(let tags) = inFlight.answer {
                for tag in tags { effects.append(.reply(tag, .refused(Self.refusal(for: failure)))) }
            }
            if case .repaired(let number) = inFlight.answer {
                effects.append(.repairEnded(number: number, .failure(.storage(failure))))
            }
            // What the store holds now is not known here: the change may be durable and only its signing have failed.
            objects.at[place].record = nil
            if objects.at[place].isIdle {
                objects.close(place)
            } else {
                effects.append(.load(objects.at[place].key, of: nil))
            }
        }
        advance(place, into: &effects)
    }

    static func refusal(for failure: StoreFailure) -> Refusal {
        switch failure {
        case .full: .storageFull
        case .failed: .storageFailed
        case .recordLost: .recordLost
        }
    }
}
