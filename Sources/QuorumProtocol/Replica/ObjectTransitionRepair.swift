// The rules by which a server loses what it holds and gets it back (docs/protocol.md, Loss, Repair).
//
// What is brought back is looked at again when the object's turn comes: it is stored if it is still wanted, and then it
// is what the version's own PREPARE would have brought.

import Fingerprint

/// What a server has found for a version that wants something here.
package struct RepairedParts: Sendable {
    package enum Parts: Sendable {
        /// The descriptor of a version of which nothing was here.
        case descriptor(SealedDescriptor)
        /// The server's fragment of a value of one stripe.
        case fragments(SealedDescriptor, [VerifiedFragment])
        /// There is no good fragment for the server's position.
        case void(SealedDescriptor)
        /// All stripes of a large version are staged here; whether they are its own has yet to be looked at.
        case staged(SealedDescriptor)
        /// A large version takes its place among what is staged, to be filled.
        case adoption(SealedDescriptor)
        /// A stripe of such a version.
        case stripe(AttemptName, UInt32, CrossChecksum, VerifiedFragment)
        /// What the server has of this stripe is good.
        case goodStripe(AttemptName, UInt32)
        /// There is no good fragment of one of its stripes for the server's position.
        case voidStripes
    }

    package let timestamp: Timestamp
    package let parts: Parts

    package init(_ parts: Parts, of timestamp: Timestamp) {
        self.timestamp = timestamp
        self.parts = parts
    }
}

/// Why something that was found was not stored.
package enum RepairRefusal: Error, Equatable, Sendable {
    /// Another version is wanted by now, or none, or not this of it.
    case notWanted
    /// Another version holds what the version names, another client has staged some of it, or the record has no room.
    case noPlace
    /// What is staged is not what the version names.
    case otherStripes
    case storage(StoreFailure)
}

extension ObjectTransition {
    /// What is lost is held no more: nobody is told otherwise, and who brings it again is welcome. Without its
    /// descriptor a version is of no use, but one that is pending may have to be brought back.
    mutating func lose(_ lost: [LostParts]) {
        for parts in lost {
            switch parts {
            case .descriptor(let timestamp):
                guard let place = record.held.firstIndex(where: { $0.timestamp == timestamp }) else { continue }
                let version = record.held[place]
                if record.isPending(timestamp), version.hasStripes, !version.isStaged {
                    record.held[place].fragments = .lost
                } else {
                    drop([timestamp])
                }
            case .fragments(let timestamp):
                guard let place = record.held.firstIndex(where: { $0.timestamp == timestamp }),
                    record.held[place].hasStripes, !record.held[place].isStaged, record.held[place].fragments == .held
                else { continue }
                record.held[place].fragments = .lost
            case .stripe(let attempt, let stripe):
                lose(stripe, of: attempt)
            }
        }
    }

    private mutating func lose(_ stripe: UInt32, of name: AttemptName) {
        guard var attempt = record.attempt(name), attempt.good.contains(stripe) else { return }
        guard stripe < attempt.heldCount else {
            unstage(StripeRanges(stripe..<(stripe + 1)), of: attempt)
            return
        }
        attempt.lost.insert(stripe..<(stripe + 1))
        record.setLost(attempt)
        judgeHolders(of: attempt)
    }

    /// Stripes that no version holds are here no more, as if they had never been staged.
    mutating func unstage(_ stripes: StripeRanges, of attempt: StagedAttempt) {
        var rest = attempt
        rest.stripes = attempt.stripes.subtracting(stripes).first(StagedLimits.rangesMax)
        rest.lost = attempt.lost.subtracting(stripes)
        let left = rest.chunks
        let dropped = attempt.chunks.joined().filter { chunk in !left.contains { $0.contains(chunk) } }
        if !dropped.isEmpty {
            stagedDrops.append(StagedDrop(attempt: attempt.name, chunks: dropped.map { $0..<($0 + 1) }))
        }
        if rest.stripes.ranges.isEmpty {
            record.staged.removeAll { $0.name == attempt.name }
        } else {
            record.set(rest)
        }
    }

    /// What was found for a version that wants it. Returns why it is not taken; then the transition must be thrown
    /// away.
    mutating func repair(_ repaired: RepairedParts) -> RepairRefusal? {
        let timestamp = repaired.timestamp
        guard record.wants(timestamp, key, node: node, parameters) || isPlanted(.unwantedRepaired) else {
            return .notWanted
        }
        switch repaired.parts {
        case .descriptor(let descriptor):
            guard record.version(timestamp) == nil else { return .notWanted }
            holdDescriptor(descriptor, of: timestamp)
        case .fragments(let descriptor, let fragments):
            hold(timestamp, descriptor, .held, fragments)
        case .void(let descriptor):
            if record.isPending(timestamp) { drop([timestamp]) } else { hold(timestamp, descriptor, .void, []) }
        case .staged(let descriptor):
            return takeStaged(timestamp, descriptor)
        case .adoption(let descriptor):
            return adopt(timestamp, descriptor)
        case .stripe(let name, let stripe, let crossChecksum, let fragment):
            guard takeBack(stripe, of: name, for: timestamp) else { return .notWanted }
            stagedPuts.append(
                StagedStripe(
                    attempt: name, stripe: stripe, entry: StripeEntry.bytes(crossChecksum), fragment: fragment))
        case .goodStripe(let name, let stripe):
            guard takeBack(stripe, of: name, for: timestamp) else { return .notWanted }
        case .voidStripes:
            guard record.isAdopted(timestamp),
                let place = record.held.firstIndex(where: { $0.timestamp == timestamp })
            else { return .notWanted }
            if record.isPending(timestamp) { drop([timestamp]) } else { record.held[place].fragments = .void }
        }
        return nil
    }

    private mutating func hold(
        _ timestamp: Timestamp, _ descriptor: SealedDescriptor, _ state: HeldFragments, _ fragments: [VerifiedFragment]
    ) {
        let sizeBytes = fragments.reduce(UInt64(descriptor.bytes.count)) { $0 + UInt64($1.bytes.count) }
        let isDescribed = record.version(timestamp) != nil
        record.hold(HeldVersion(timestamp, descriptor, state, sizeBytes: sizeBytes))
        guard !isDescribed || !fragments.isEmpty else { return }
        puts.append(ObjectChange.VersionParts(timestamp: timestamp, descriptor: descriptor, fragments: fragments))
    }

    /// All that the version names is staged here: it holds that as if PREPARE had come. What is staged has yet to be
    /// inspected.
    private mutating func takeStaged(_ timestamp: Timestamp, _ descriptor: SealedDescriptor) -> RepairRefusal? {
        guard let contents = descriptor.descriptor.staged, !record.isAdopted(timestamp) else { return .notWanted }
        guard record.missingStripes(of: contents).isEmpty else { return .otherStripes }
        hold(timestamp, descriptor, contents, .held)
        return hasRoom(forHolding: 0, of: timestamp.writer) ? nil : .noPlace
    }

    private mutating func hold(
        _ timestamp: Timestamp, _ descriptor: SealedDescriptor, _ contents: StagedContents, _ state: HeldFragments
    ) {
        if record.version(timestamp) == nil {
            puts.append(ObjectChange.VersionParts(timestamp: timestamp, descriptor: descriptor, fragments: []))
        }
        record.hold(
            HeldVersion(
                timestamp, descriptor, state,
                sizeBytes: UInt64(descriptor.bytes.count) &+ contents.chargeBytes(parameters.quorums)))
        holdStripes(of: timestamp, contents)
        spendStripes(of: timestamp)
    }

    /// A version that is not here, and is to be: it is held, and all of it counts as lost.
    mutating func takeUp(_ timestamp: Timestamp, _ descriptor: SealedDescriptor) -> RepairRefusal? {
        if descriptor.descriptor.staged != nil { return adopt(timestamp, descriptor) }
        hold(timestamp, descriptor, descriptor.descriptor.hasStripes ? .lost : .held, [])
        return nil
    }

    /// The version holds all its stripes here from now on, and all of them count as lost. So none of them can be staged
    /// as something else any more, and all go with the version.
    private mutating func adopt(_ timestamp: Timestamp, _ descriptor: SealedDescriptor) -> RepairRefusal? {
        guard let contents = descriptor.descriptor.staged, !record.isAdopted(timestamp) else { return .notWanted }
        for part in contents.parts {
            let known = record.attempt(part.attempt)
            if let known, !known.holders.isEmpty || isOthers(known, than: timestamp.writer) { return .noPlace }
            if let known, known.stripeSizeBytes != part.stripeSizeBytes {
                giveBack(known)
                guard record.attempt(part.attempt) == nil else { return .noPlace }
            }
            var attempt = record.attempt(part.attempt) ?? newAttempt(for: part)
            attempt.stripes.insert(0..<part.stripeCount)
            if !isPlanted(.adoptedUnlooked) { attempt.lost.insert(0..<part.stripeCount) }
            record.set(attempt)
        }
        hold(timestamp, descriptor, contents, isPlanted(.adoptedUnlooked) ? .held : .lost)
        let fits = record.staged.count <= parameters.limits.attemptsMax
        return fits && hasRoom(forHolding: 0, of: timestamp.writer) ? nil : .noPlace
    }

    /// Whether another client has staged some of the attempt here: that is not to be touched.
    private func isOthers(_ attempt: StagedAttempt, than writer: ClientID) -> Bool {
        attempt.name.stager != writer && !attempt.isOver
    }

    /// An attempt whose stager has staged nothing of it here: its stripes go with the version. He may stage it all the
    /// same, for a version of his own.
    private func newAttempt(for part: StagedPart) -> StagedAttempt {
        var attempt = StagedAttempt(
            part.attempt, stripeSizeBytes: part.stripeSizeBytes,
            stripeChargeBytes: StagedLimits.chargeBytes(ofStripe: part.stripeSizeBytes, parameters.quorums),
            milliseconds: nowMilliseconds)
        attempt.isRepairs = true
        return attempt
    }

    /// Whether the stripe was lost, and is taken for there from now on.
    private mutating func takeBack(_ stripe: UInt32, of name: AttemptName, for timestamp: Timestamp) -> Bool {
        guard var attempt = record.attempt(name), attempt.lost.contains(stripe),
            attempt.holders.contains(where: { $0.timestamp == timestamp && stripe < $0.stripeCount })
        else { return false }
        attempt.lost.remove(stripe)
        record.setLost(attempt)
        judgeHolders(of: attempt)
        return true
    }

    /// Looks anew whether versions that hold stripes of the attempt have all of theirs.
    private mutating func judgeHolders(of attempt: StagedAttempt) {
        for holder in attempt.holders {
            guard let place = record.held.firstIndex(where: { $0.timestamp == holder.timestamp }),
                record.held[place].fragments != .void
            else { continue }
            record.held[place].fragments = record.heldStripes(of: holder.timestamp)
        }
    }
}

extension ObjectRecord {
    /// What the server has of the stripes that a version holds.
    fileprivate func heldStripes(of timestamp: Timestamp) -> HeldFragments {
        for attempt in staged {
            for holder in attempt.holders where holder.timestamp == timestamp {
                if attempt.lost.hasAny(below: holder.stripeCount), !isPlanted(.firstStripeRepaired) { return .lost }
            }
        }
        return .held
    }

    /// Sets an attempt of which other stripes are lost than were. What it says of them stays small, since the record
    /// has to: more of them count as lost then. Repair looks at these and begins with the lowest, which never counts as
    /// lost again by this.
    fileprivate mutating func setLost(_ attempt: StagedAttempt) {
        var attempt = attempt
        attempt.lost.merge(to: StagedLimits.lostRangesMax)
        let others = staged.reduce(0) { $1.name == attempt.name ? $0 : $0 + $1.lost.ranges.count }
        if others + attempt.lost.ranges.count > StagedLimits.lostRangesOfAllMax { attempt.lost.merge(to: 1) }
        set(attempt)
    }
}
