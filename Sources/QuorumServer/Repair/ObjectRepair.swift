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
    /// Why the first version that could not be had was not, and whether of all those all others were there and had too
    /// little.
    var reason = ""
    var isShortage = false
    var cause = RepairFailure.Cause.own
    /// Whether there is no good fragment of some of it for this server.
    var isVoid = false
    /// The page of the stripes that are brought here, and whose part's it is.
    var page: (attempt: AttemptName, page: StripePage)?

    /// Versions that could not be had.
    var skipped: Set<Timestamp> = []

    /// Goes on without this version: another one of the object may be had.
    mutating func skip(
        _ timestamp: Timestamp, _ reason: String, isShortage: Bool = false, cause: RepairFailure.Cause = .own
    ) {
        if skipped.isEmpty { (self.reason, self.cause) = (reason, cause) }
        self.isShortage = isShortage && (skipped.isEmpty || self.isShortage)
        skipped.insert(timestamp)
    }

    /// The same where it was others who did not have it, or did not say.
    mutating func skip(_ timestamp: Timestamp, _ failure: OperationFailure, _ parameters: ClusterParameters) {
        let quorums = parameters.quorums
        let isShortage = failure.observations.lackingCount > quorums.serverCount - quorums.dataFragmentCount
        skip(timestamp, failure.repairText, isShortage: isShortage, cause: failure.repairCause)
    }

    mutating func fail(_ reason: String) -> RepairEnd {
        self.reason = reason
        isShortage = false
        cause = .own
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
    fileprivate var repairCause: RepairFailure.Cause {
        switch self {
        case .unavailable, .refused: .unreachable
        case .timestampExhausted: .own
        case .tooFewFragments: .lacking
        }
    }

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
