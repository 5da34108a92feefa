// What a server should hold and does not (docs/protocol.md, Repair). That it wants something of an object follows from
// the object's record, so that the table of wants is right whatever crashed in between.

/// What a change does to the object's row in the table of wants.
package enum WantChange: Equatable, Sendable {
    case keep
    /// Since this time, in milliseconds of the server's clock.
    case begin(milliseconds: UInt64)
    case end
}

extension ObjectRecord {
    /// The version of which the server wants what it lacks: the highest that is committed here and known to be sound, or
    /// else one above it of which something was held, or is needed by others, and is lost, or one that is committed and is
    /// to be verified first.
    ///
    /// - Parameter skipped: versions whose fragments are of no interest just now.
    package func wanted(
        _ key: ObjectKey, node: NodeID, _ parameters: ClusterParameters, skipping skipped: Set<Timestamp> = []
    ) -> Timestamp? {
        if isWhole { return nil }
        if let committed, !skipped.contains(committed.timestamp), lacks(committed, key, node: node, parameters) {
            return committed.timestamp
        }
        if let lost = held.first(where: { isWantedBack($0) && !skipped.contains($0.timestamp) }) {
            return lost.timestamp
        }
        return unverified.first { lacks($0, key, node: node, parameters) }?.timestamp
    }

    /// Whether there is nothing to look at: what every change of every object asks.
    private var isWhole: Bool {
        guard contents.unverified.isEmpty else { return false }
        let committed = contents.claim.verified
        var isThere = committed == nil
        for place in contents.held.indices {
            if contents.held[place].fragments != .held { return false }
            if !isThere, contents.held[place].timestamp == committed { isThere = true }
        }
        return isThere
    }

    /// Whether the server wants what it lacks of this version.
    func wants(_ timestamp: Timestamp, _ key: ObjectKey, node: NodeID, _ parameters: ClusterParameters) -> Bool {
        if let committed, committed.timestamp == timestamp { return lacks(committed, key, node: node, parameters) }
        return version(timestamp).map(isWantedBack) ?? false
    }

    /// Whether what is lost of a version may include its descriptor. Nothing of it is looked for: each time would count
    /// as another loss.
    func mayLackDescriptor(_ version: HeldVersion) -> Bool {
        version.fragments == .lost && !version.isStaged && isPending(version.timestamp)
    }

    /// Whether it is above the sound version, and its fragments are lost: a certificate may rest on them, or is to.
    private func isWantedBack(_ version: HeldVersion) -> Bool {
        version.fragments == .lost && (isPending(version.timestamp) || isUnverified(version.timestamp))
            && !isPlanted(.lossForgotten)
    }

    private func lacks(
        _ committed: CommittedVersion, _ key: ObjectKey, node: NodeID, _ parameters: ClusterParameters
    ) -> Bool {
        guard let version = version(committed.timestamp) else { return true }
        switch version.fragments {
        case .held: return false
        case .void: return isPlanted(.voidWanted)
        case .lost: return !isPlanted(.lossForgotten)
        case .absent:
            // Partial writes leave the last positions out. Whoever has said that it holds a fragment is counted on.
            guard version.delivery == .leavingSpares, !parameters.limits.fillsSpares,
                let position = parameters.placement(of: key).position(of: node),
                parameters.quorums.spares.contains(position)
            else { return true }
            return committed.certificate.statements.contains { $0.node == node && $0.claim == .stored }
        }
    }

    func wantChange(
        becoming next: ObjectRecord, _ key: ObjectKey, node: NodeID, _ parameters: ClusterParameters,
        nowMilliseconds: UInt64
    ) -> WantChange {
        let (before, after) = (wanted(key, node: node, parameters), next.wanted(key, node: node, parameters))
        guard let after else { return before == nil ? .keep : .end }
        return after == before ? .keep : .begin(milliseconds: nowMilliseconds)
    }

    /// Whether the large version has its place among what is staged, all of it or in part.
    func isAdopted(_ timestamp: Timestamp) -> Bool {
        staged.contains { attempt in attempt.holders.contains { $0.timestamp == timestamp } }
    }

    /// The stripes of a large version that has its place which are to be brought here, in order, at most so many.
    package func lostStripes(of contents: StagedContents, limit: Int) -> [StripeToFetch] {
        var lost: [StripeToFetch] = []
        for part in contents.parts {
            guard let attempt = attempt(part.attempt) else { continue }
            for run in attempt.lost.ranges {
                for stripe in run where stripe < part.stripeCount {
                    guard lost.count < limit else { return lost }
                    lost.append(StripeToFetch(part: part, stripe: stripe))
                }
            }
        }
        return lost
    }
}
