// How a server finds what it wants of an object, one step after the other (docs/protocol.md, Repair). Every step follows
// from the object's durable record, so that nothing is remembered between them: what a crash interrupts begins where the
// record says. The shell runs what a step asks for, brings what came of it to its replica, and asks for the next.

import ErasureCode
import Fingerprint

/// What a server does next for an object.
package enum RepairStep: Sendable {
    /// It wants nothing of it.
    case done
    /// Tell the replica what the store has lost.
    case lost(LostParts)
    /// Find out first whether what it wants is sound.
    case verify
    /// The store does not say just now.
    case unreadable
    /// Read the version from the others by its timestamp (`VersionFetcher`). One that is not to be had is skipped.
    case version(Timestamp)
    /// Bring this to the replica.
    case take(RepairedParts)
    /// Bring these stripes here, the lowest ones that are lost (`RepairedStripe`).
    case stripes(Timestamp, [StripeToFetch])
}

extension ObjectRecord {
    /// - Parameters:
    ///   - skipped: versions that could not be had just now.
    ///   - store: the server's, waiting for its disk.
    ///   - stripesMax: how many stripes are brought here at a time.
    package func repairStep(
        _ key: ObjectKey, node: NodeID, skipping skipped: Set<Timestamp> = [], in store: some ReplicaStore,
        stripesMax: Int, _ parameters: ClusterParameters
    ) -> RepairStep {
        guard let timestamp = wanted(key, node: node, parameters, skipping: skipped) else { return .done }
        // What is not known to be sound is fetched as PREPARE would bring it, and verified when that cannot be had.
        let isPending =
            isPending(timestamp)
            || isUnverified(timestamp) && version(timestamp)?.fragments == .lost && !skipped.contains(timestamp)
        guard timestamp == committedTimestamp || isPending else { return .verify }
        guard let version = version(timestamp), version.isStaged else {
            return .version(timestamp)
        }
        switch store.descriptor(of: timestamp, key: key) {
        case .held(let descriptor):
            guard let contents = descriptor.descriptor.staged else {
                return .version(timestamp)
            }
            guard isAdopted(timestamp) else {
                let isStaged = missingStripes(of: contents).isEmpty
                return .take(RepairedParts(isStaged ? .staged(descriptor) : .adoption(descriptor), of: timestamp))
            }
            return .stripes(timestamp, lostStripes(of: contents, limit: stripesMax))
        case .lost, .absent: return .lost(.descriptor(timestamp))
        case .unreadable, .notInMemory: return .unreadable
        }
    }
}

extension RepairedParts {
    /// What a version that others have shown is for the server at this position; nil when it cannot be had of these
    /// fragments.
    package init?(_ fetched: FetchedVersion, of timestamp: Timestamp, at position: Position) {
        let descriptor = fetched.sealed
        guard !descriptor.descriptor.stripes.isEmpty else {
            self.init(.descriptor(descriptor), of: timestamp)
            return
        }
        var own: [VerifiedFragment] = []
        for (crossChecksum, fragments) in zip(descriptor.descriptor.stripes, fetched.stripes) {
            switch OwnFragment(crossChecksum, of: fragments, at: position) {
            case .good(let fragment): own.append(fragment)
            case .void:
                self.init(.void(descriptor), of: timestamp)
                return
            case .unknown: return nil
            }
        }
        self.init(.fragments(descriptor, own), of: timestamp)
    }
}

/// What a server's fragment is by m others.
package enum OwnFragment: Sendable {
    case good(VerifiedFragment)
    /// No good one exists: what the others decode to is the only block whose fragments have the fingerprints, and its
    /// fragment for this position is not what the hash says.
    case void
    /// The block cannot be made of these, or hashes alone do not tell whether it is the only one.
    case unknown

    package init(_ crossChecksum: CrossChecksum, of fragments: [VerifiedFragment], at position: Position) {
        let index = FragmentIndex(position.rawValue)
        guard let block = try? crossChecksum.decode(fragments) else {
            self = .unknown
            return
        }
        let encoded = crossChecksum.code.encode(block: block)[index.offset]
        #if PlantedFlaws
            if isPlanted(.repairUnverified) {
                self = .good(crossChecksum.believed(encoded, at: index))
                return
            }
        #endif
        // Hashes alone bind no block: fragments of several may match them.
        if crossChecksum.coverage == .hashes, !crossChecksum.matchesEncoding(of: block) {
            self = .unknown
        } else if let own = try? crossChecksum.verify(encoded, at: index) {
            self = .good(own)
        } else {
            self = .void
        }
    }
}

/// A stripe that is brought to a server which has adopted its version.
package struct RepairedStripe: Sendable {
    package let wanted: StripeToFetch
    package let timestamp: Timestamp
    let position: Position

    package init(_ wanted: StripeToFetch, of timestamp: Timestamp, at position: Position) {
        self.wanted = wanted
        self.timestamp = timestamp
        self.position = position
    }

    /// What the server itself has of it, if that is good; nil when it has to come from others.
    ///
    /// - Parameter page: the page that names it, if it is known (`ownPage`).
    package func ownParts(
        of key: ObjectKey, in store: some ReplicaStore, page: StripePage?, _ parameters: ClusterParameters
    ) -> RepairedParts? {
        let attempt = wanted.part.attempt
        guard case .held(let bytes) = store.stagedFragment(of: attempt, stripe: wanted.stripe, key: key),
            let crossChecksum = crossChecksum(page),
            let fragment = try? crossChecksum.verify(bytes, at: FragmentIndex(position.rawValue))
        else { return nil }
        if case .held(let entry) = store.stagedEntry(of: attempt, stripe: wanted.stripe, key: key),
            entry == StripeEntry.bytes(crossChecksum)
        {
            return RepairedParts(.goodStripe(attempt, wanted.stripe), of: timestamp)
        }
        return RepairedParts(.stripe(attempt, wanted.stripe, crossChecksum, fragment), of: timestamp)
    }

    /// What others' fragments make of it; nil when it cannot be had of these.
    package func parts(_ outcome: FetchOutcome) -> RepairedParts? {
        switch OwnFragment(outcome.crossChecksum, of: outcome.fragments, at: position) {
        case .good(let fragment):
            RepairedParts(
                .stripe(wanted.part.attempt, wanted.stripe, outcome.crossChecksum, fragment), of: timestamp)
        case .void: RepairedParts(.voidStripes, of: timestamp)
        case .unknown: nil
        }
    }

    /// The stripe by what is known of it; a page that has another one says nothing.
    package func toFetch(_ page: StripePage?) -> StripeToFetch {
        crossChecksum(page).map { StripeToFetch(part: wanted.part, stripe: wanted.stripe, name: .known($0)) } ?? wanted
    }

    private func crossChecksum(_ page: StripePage?) -> CrossChecksum? {
        if case .known(let known) = wanted.name { return known }
        guard let page, case .page(let range, _) = wanted.name, page.first == range.first else { return nil }
        return page.stripes[Int(wanted.stripe - page.first)]
    }

    /// The page that names it as the server's own entries make it, if it is the one that the descriptor names.
    package func ownPage(
        of key: ObjectKey, in store: some ReplicaStore, _ parameters: ClusterParameters
    ) -> StripePage? {
        guard case .page(let range, let digest) = wanted.name else { return nil }
        let stripes = range.first..<(range.first + UInt32(range.count))
        guard case .held(let bytes) = store.page(of: wanted.part.attempt, stripes, key: key, parameters: parameters),
            Digest256.sha256(bytes) == digest,
            let page = try? StripePage(decoding: bytes, first: range.first, parameters: parameters),
            wanted.part.fits(page)
        else { return nil }
        return page
    }
}
