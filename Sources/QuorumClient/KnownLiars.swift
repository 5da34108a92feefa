// Servers that claimed what they could not prove. Without a memory of them, one liar could cost each write a detour.

import QuorumProtocol
import Synchronization

/// Which servers were lately seen to lie about what is committed.
final class KnownLiars: Sendable {
    /// For so long a liar is known as one: it may be mended, or rebuilt.
    private static let memory = Duration.seconds(600)

    private let seen = Mutex<[NodeID: ContinuousClock.Instant]>([:])

    func add(_ servers: [NodeID]) {
        guard !servers.isEmpty else { return }
        seen.withLock { seen in
            for server in servers { seen[server] = .now }
        }
    }

    /// The positions of those among an object's servers.
    func positions(_ placement: Placement) -> [Position] {
        seen.withLock { seen in
            guard !seen.isEmpty else { return [] }
            let now = ContinuousClock.now
            seen = seen.filter { now - $0.value < Self.memory }
            return seen.keys.compactMap { placement.position(of: $0) }
        }
    }
}
