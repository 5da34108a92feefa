// Errors that are put into a run on purpose, to see that the judge finds them.

/// What is made wrong at the end of an otherwise good run.
package enum PlantedError: String, CaseIterable, Sendable {
    /// The reads at the end are recorded as having found nothing.
    case staleRead = "stale-read"
    /// The reads at the end are recorded with a bit changed.
    case alteredValue = "altered-value"
    /// The reads at the end are recorded with a version that nobody wrote.
    case unwrittenVersion = "unwritten-version"
    /// The correct servers lose their fragments before the last look at their disks.
    case lostFragments = "lost-fragments"
    /// The correct servers lose what nobody has committed before the last look at their disks.
    case lostPending = "lost-pending"
    /// From the end of the faults on no message arrives any more.
    case silence

    /// What the judge has to call it.
    package var expected: Violation.Kind {
        switch self {
        case .staleRead: .linearizability
        case .alteredValue: .integrity
        case .unwrittenVersion: .forgery
        case .lostFragments, .lostPending: .durability
        case .silence: .liveness
        }
    }
}
