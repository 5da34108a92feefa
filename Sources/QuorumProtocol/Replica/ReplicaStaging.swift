// What a replica does with stripes that go ahead of their version (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint

extension Replica {
    func refusal(of stage: Stage, from principal: Principal) -> Refusal? {
        guard case .client(let client) = principal, stage.attempt.stager == client else {
            return .notEntitled(principal)
        }
        let limit = StagedLimits.namedStripesMax
        guard !parameters.mode.verifiesLater || stage.stripe < limit else {
            return .tooManyStripes(got: Int(stage.stripe) + 1, limit: limit)
        }
        guard let own = parameters.placement(of: stage.key).position(of: node) else {
            return .notEntitled(principal)
        }
        guard stage.position == own || isPlanted(.positionUnchecked) else {
            return .foreignPosition(stage.position, expected: own)
        }
        return nil
    }

    /// One fragment and one page at most, read without the object's turn: what is staged under a name is what a version
    /// holds, or nobody relies on it.
    mutating func fetch(_ fetch: Fetch, tag: RequestTag, from principal: Principal, into effects: inout [ReplicaEffect])
    {
        if let pin = fetch.pin, case .client = principal {
            pins.pin(
                pin, of: fetch.key, for: principal, nowMilliseconds: nowMilliseconds,
                forMilliseconds: parameters.limits.pinMilliseconds)
        }
        effects.append(.replyWithFetched(tag, fetch))
    }

    /// Stages the stripe, and all others that wait for the object's turn, in one change: each would wait for the disk
    /// otherwise.
    mutating func stage(
        _ first: [(tag: RequestTag, stage: Stage, fragment: VerifiedFragment)], _ transition: ObjectTransition,
        at place: OpenObjects.Place, into effects: inout [ReplicaEffect]
    ) {
        var transition = transition
        var waiting = first
        var tags: [RequestTag] = []
        while let (tag, stage, fragment) = waiting.popLast() {
            let refusal =
                discards.makesLate(stage)
                ? .uploadEnded : transition.stage(stage, fragment, accounts: accounts)
            if let refusal {
                effects.append(.reply(tag, .refused(refusal)))
            } else {
                tags.append(tag)
            }
            guard tags.count < Self.stagedPerChangeMax,
                let next = objects.at[place].changes.popFirst(if: \.isStage)
            else { break }
            if case .stage(let tag, let stage, let fragment) = next { waiting.append((tag, stage, fragment)) }
        }
        guard let change = transition.change else { return }
        store(change, leadingTo: transition.record, at: place, answer: .staged(tags), into: &effects)
    }

    /// So many stripes are stored by one change of an object.
    private static let stagedPerChangeMax = 16

    /// Has it found out whether what is staged is what the version's descriptor says, before it is stored and signed.
    mutating func inspect(
        _ staged: StagedContents, of timestamp: Timestamp, then change: ObjectChange, leadingTo record: ObjectRecord,
        at place: OpenObjects.Place, answer: InFlight.Answer, statements: [Statement],
        into effects: inout [ReplicaEffect]
    ) {
        lastTokenNumber &+= 1
        let token = WorkToken(number: lastTokenNumber, place: place)
        accounts.apply(change.charges)
        objects.at[place].begin(
            InFlight(
                token: token, record: record, charges: change.charges, answer: answer,
                inspected: InFlight.Inspected(change: change, statements: statements)))
        effects.append(.inspect(token, change.key, staged, of: .client(timestamp.writer)))
    }

    mutating func inspected(
        _ token: WorkToken, _ result: Result<Void, Refusal>, into effects: inout [ReplicaEffect]
    ) {
        let place = token.place
        guard objects.at.indices.contains(place), let inFlight = objects.at[place].takeInFlight(token),
            let inspected = inFlight.inspected
        else { preconditionFailure("something was inspected that nobody asked for") }
        switch result {
        case .success:
            objects.at[place].begin(
                InFlight(
                    token: token, record: inFlight.record, charges: inFlight.charges, answer: inFlight.answer))
            effects.append(.store(token, inspected.change, inspected.statements))
        case .failure(let refusal):
            accounts.takeBack(inFlight.charges)
            if let tag = inFlight.answer.tag { effects.append(.reply(tag, .refused(refusal))) }
            if case .repaired(let number) = inFlight.answer {
                let isUnreadable = refusal == .storageFailed
                effects.append(
                    .repairEnded(number: number, .failure(isUnreadable ? .storage(.failed) : .otherStripes)))
            }
            advance(place, into: &effects)
        }
    }
}

extension StagedContents {
    /// Whether what is staged at a server is what the version's descriptor says: the same cross-checksums under the
    /// same names, whoever staged them.
    ///
    /// - Returns: runs of stripes that are others, or cannot be shown; at most as many as are named at a time.
    package func inspect(
        _ key: ObjectKey, in store: some ReplicaStore, parameters: ClusterParameters
    ) -> StoredParts<[MissingStripes]> {
        var wrong: [MissingStripes] = []
        for (index, part) in parts.enumerated() {
            var first: UInt32 = 0
            while first < part.stripeCount {
                let (_, count) = part.page(of: first)
                let run = first..<(first + UInt32(count))
                switch store.page(of: part.attempt, run, key: key, parameters: parameters) {
                case .held(let bytes):
                    let isRight =
                        part.named.isEmpty
                        ? Digest256.sha256(bytes) == part.pages[Int(first / StripePage.stripesMax)]
                        : bytes == StripePage(first: first, stripes: Array(part.named)).bytes(parameters)
                    let isShaped =
                        (try? StripePage(decoding: bytes, first: first, parameters: parameters)).map(part.fits) ?? false
                    if !(isRight && isShaped), !isPlanted(.otherStripesCounted) {
                        wrong.append(MissingStripes(part: UInt16(index), stripes: run))
                    }
                case .absent, .lost:
                    if !isPlanted(.stripesUnlooked) {
                        wrong.append(MissingStripes(part: UInt16(index), stripes: run))
                    }
                case .unreadable: return .unreadable
                case .notInMemory: return .notInMemory
                }
                if wrong.count == StagedLimits.missingMax { return .held(wrong) }
                first = run.upperBound
            }
        }
        return .held(wrong)
    }
}

extension ReplicaStore {
    /// Which of these stripes' entries are lost.
    func lostEntries(of attempt: AttemptName, _ stripes: Range<UInt32>, key: ObjectKey) -> [LostParts] {
        stripes.filter { stripe in
            if case .lost = stagedEntry(of: attempt, stripe: stripe, key: key) { true } else { false }
        }.map { .stripe(attempt, $0) }
    }

    /// The canonical bytes of the page of an attempt's stripes; absent when any of them is.
    func page(
        of attempt: AttemptName, _ stripes: Range<UInt32>, key: ObjectKey, parameters: ClusterParameters
    ) -> StoredParts<[UInt8]> {
        var bytes = StripePage.header(first: stripes.lowerBound, count: stripes.count, parameters: parameters)
        for stripe in stripes {
            switch stagedEntry(of: attempt, stripe: stripe, key: key) {
            case .held(let entry): bytes += entry
            case .absent: return .absent
            case .lost: return .lost
            case .unreadable: return .unreadable
            case .notInMemory: return .notInMemory
            }
        }
        return .held(bytes)
    }
}
