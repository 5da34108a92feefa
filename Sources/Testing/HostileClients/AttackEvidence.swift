// How to tell an attack that was made from one that came to nothing.

import QuorumProtocol

extension AttackKind {
    /// Whether the servers have had to do with the attack, as far as its counters show.
    package func isFelt(_ counters: AttackCounters) -> Bool {
        func answered(_ names: String...) -> Bool { names.contains { counters.answers[$0, default: 0] > 0 } }
        return switch self {
        case .endlessKeys: answered("prepared", Quota.bareVersions.name)
        case .fullQueue: answered("prepared", "busy")
        case .lists: answered("tooManyPending")
        case .forged: answered("invalidFragment", "invalidCertificate")
        case .poison: answered("committed", "invalidFragment")
        // More than it takes to store what is asked for.
        case .sessions: counters.requests > 64
        case .connections: counters.sessions > 0
        case .handshakes: counters.endedByServer > 0
        case .coldReads: answered("version")
        }
    }
}

extension AttackCounters {
    /// Answers that grant or tell something, whatever their reason to be asked for.
    private static let granting: Set = ["timestamp", "prepared", "committed", "version", "certificate"]

    /// Refusals by their reasons.
    package var refusals: [String: UInt64] { answers.filter { !Self.granting.contains($0.key) } }
}
