// What an attack sent, and what came back.

import Synchronization

/// Counts since the attack began, its preparation among them.
package struct AttackCounters: Equatable, Sendable, Codable {
    /// Times that a connection was tried.
    package var connections: UInt64 = 0
    /// Connections that became sessions: TLS and HELLO were done.
    package var sessions: UInt64 = 0
    /// Connections that the other side ended, before or after they became sessions.
    package var endedByServer: UInt64 = 0
    /// Requests sent in full.
    package var requests: UInt64 = 0
    /// Bytes of frames sent, those of open ones among them; TLS not included.
    package var sentBytes: UInt64 = 0
    /// Bytes of answers received, TLS not included.
    package var receivedBytes: UInt64 = 0
    /// Answers by their names, refusals by their reasons.
    package var answers: [String: UInt64] = [:]
    /// Times that stored files were dropped from the memory of the machine.
    package var droppedFiles: UInt64 = 0

    package init() {}

    /// What was done and what came of it, for people.
    package var summary: String {
        let named = answers.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        return "\(connections) connections tried, \(sessions) sessions, \(endedByServer) ended by servers, "
            + "\(requests) requests; answers: \(named.isEmpty ? "none" : named)"
    }

    /// All answers.
    package var answerCount: UInt64 { answers.values.reduce(0, +) }
}

/// The counts themselves; safe to use from any thread.
package final class AttackTally: Sendable {
    private let counters = Mutex(AttackCounters())

    package init() {}

    package var snapshot: AttackCounters { counters.withLock { $0 } }

    package func count(_ change: (inout AttackCounters) -> Void) {
        counters.withLock { change(&$0) }
    }
}
