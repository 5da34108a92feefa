// What is remembered of the repair of one object while it goes on, and of stripes that were looked for.

import QuorumOperations
import QuorumProtocol

/// One object's repair, as far as it has come.
struct ObjectRepair {
    let key: ObjectKey
    var readBytes = 0
    /// How often in a row what was found was not taken.
    var lateCount = 0
    var hasTaken = false
    /// Why it fails, and whether that is since all others were there and had too little.
    var reason = ""
    var isShortage = false
    /// The page of the stripes that are brought here, and whose part's it is.
    var page: (attempt: AttemptName, page: StripePage)?

    /// Versions that are pending and could not be had.
    var skipped: Set<Timestamp> = []

    /// - Parameter timestamp: a version that is pending, behind which others may be had.
    /// - Returns: nil when there is more to try.
    mutating func fail(_ reason: String, skipping timestamp: Timestamp?, isShortage: Bool = false) -> RepairEnd? {
        self.reason = reason
        self.isShortage = isShortage
        guard let timestamp else { return .failed }
        skipped.insert(timestamp)
        return nil
    }

    /// The same where it was others who did not have it, or did not say.
    mutating func fail(
        _ failure: OperationFailure, skipping timestamp: Timestamp?, _ parameters: ClusterParameters
    ) -> RepairEnd? {
        let quorums = parameters.quorums
        let isShortage = failure.observations.lackingCount > quorums.serverCount - quorums.dataFragmentCount
        return fail(failure.repairText, skipping: timestamp, isShortage: isShortage)
    }

    mutating func fail(_ reason: String) -> RepairEnd {
        self.reason = reason
        isShortage = false
        return .failed
    }
}

/// What came of looking for one stripe.
struct FetchedStripe: Sendable {
    enum Failure: Sendable {
        case notFetched(OperationFailure)
        /// Others' fragments are not those of a block.
        case noBlock
    }

    var parts: RepairedParts?
    /// The page that names it, if that was fetched.
    var page: StripePage?
    var readBytes = 0
    var failure: Failure?
}

/// What came of looking for some stripes of one page.
struct FetchedStripes: Sendable {
    var found: [RepairedParts] = []
    var page: StripePage?
    var readBytes = 0
    /// Why the lowest one that the server did not have could not be had.
    var failure: FetchedStripe.Failure?

    mutating func take(_ stripe: FetchedStripe) {
        if let parts = stripe.parts { found.append(parts) }
        page = stripe.page ?? page
        readBytes += stripe.readBytes
        failure = stripe.failure
    }
}

extension OperationFailure {
    /// For people, in a line.
    var repairText: String {
        switch self {
        case .unavailable(_, let answered, let need, _):
            return "\(answered.count) servers answered, \(need) are needed"
        case .refused: return "others refuse to show it"
        case .timestampExhausted: return "its counter is at its end"
        case .tooFewFragments(_, let have, let need, let observations):
            let bad = observations.misbehaving.map { "\($0.server) \($0.what)" }
            let refusals = observations.refusing.map { "\($0.server) refused: \($0.why)" }
            return (["\(have) good fragments were found, \(need) are needed"] + bad + refusals).joined(separator: "; ")
        }
    }
}
