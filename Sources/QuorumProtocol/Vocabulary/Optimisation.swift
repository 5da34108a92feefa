// What clients and servers do only to be faster, each thing by its name, so that a measurement can leave it out.

/// Something that makes operations cheaper and that nobody's safety rests on. Left out in one place, it changes nothing
/// in what others see but the time.
package enum Optimisation: String, CaseIterable, Sendable, Hashable, CustomStringConvertible {
    /// A server makes all changes that wait durable with one sync.
    case groupCommit = "group-commit"
    /// A server signs all statements of a batch with one signature.
    case batchedSignatures = "batched-signatures"
    /// A server or client checks a signature once.
    case rememberedChecks = "remembered-checks"
    /// A client begins its next write of an object with the certificate of its last.
    case cachedTimestamps = "cached-timestamps"
    /// A client asks the other servers too when a preferred one keeps a read waiting.
    case hedging = "hedging"
    /// A client returns what q servers name as committed without writing it back.
    case oneRoundReads = "one-round-reads"
    /// A client leaves f servers without fragments as long as the others take theirs.
    case partialWrites = "partial-writes"

    package var description: String { rawValue }

    /// Whether it is a server that does it; then the server's configuration can leave it out.
    package var isServers: Bool {
        switch self {
        case .groupCommit, .batchedSignatures, .rememberedChecks: true
        case .cachedTimestamps, .hedging, .oneRoundReads, .partialWrites: false
        }
    }
}

extension Set<Optimisation> {
    /// The names, in the order of the cases.
    package var names: [String] { Optimisation.allCases.filter(contains).map(\.rawValue) }
}
