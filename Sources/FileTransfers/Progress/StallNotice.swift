// Whether anything moves: a command that waits says for whom, before it gives up.

import QuorumClient
import QuorumProtocol

/// Tells when nothing has moved for a while, now and then how long by now, and when something moves again.
package struct StallNotice: Sendable {
    package enum Event: Equatable, Sendable {
        case silent(seconds: Int)
        case moves
    }

    /// After which time it is told first.
    package static let firstSeconds = 10.0
    /// And how often then.
    package static let againSeconds = 60.0

    private var last = ProgressCounts()
    private var lastAt: Double?
    private var dueAt = 0.0
    private var wasTold = false

    package init() {}

    /// - Parameter seconds: since any moment that stays the same.
    package mutating func look(_ counts: ProgressCounts, at seconds: Double) -> Event? {
        guard let lastAt, counts == last else {
            defer { wasTold = false }
            last = counts
            lastAt = seconds
            dueAt = seconds + Self.firstSeconds
            return wasTold ? .moves : nil
        }
        guard seconds >= dueAt else { return nil }
        dueAt = seconds + Self.againSeconds
        wasTold = true
        return .silent(seconds: Int(seconds - lastAt))
    }

    /// What people are told.
    ///
    /// - Parameters:
    ///   - servers: those that are waited for.
    ///   - other: who is waited for when it is no server.
    package static func text(_ event: Event, servers: [ServerTrouble], other: String) -> String {
        switch event {
        case .moves: return "it goes on"
        case .silent(let seconds):
            let head = "no progress for \(seconds) s, waiting for "
            if servers.isEmpty { return head + other }
            return head + servers.map { "\($0.server) (\($0.what))" }.joined(separator: ", ")
        }
    }
}
