// What an endpoint counts, and under which names it tells of it.

import Foundation
import Testing

@testable import QuorumTransport

@Suite("An endpoint's counters")
struct TransportCountersTests {
    /// Counted by the connecting side, and not told of.
    private static let untold: Set = ["sentBytes", "receivedBytes"]

    /// One of everything that is told of.
    private static func ones() throws -> TransportCounters {
        let zeros = try JSONEncoder().encode(TransportCounters())
        let names = try #require(try JSONSerialization.jsonObject(with: zeros) as? [String: Any]).keys
        let told = try JSONSerialization.data(withJSONObject: Dictionary(uniqueKeysWithValues: names.map { ($0, 1) }))
        return try JSONDecoder().decode(TransportCounters.self, from: told)
    }

    @Test("every reason has a name of its own, when everything was counted")
    func reasons() throws {
        let reasons = try Self.ones().refusalsByReason
        #expect(reasons.count == 12)
        #expect(reasons.values.allSatisfy { $0 == 1 })
        #expect(TransportCounters().refusalsByReason.isEmpty)
    }

    @Test("a server tells of every count but those of the connecting side")
    func told() throws {
        for child in Mirror(reflecting: try Self.ones()).children {
            let name = try #require(child.label)
            #expect(child.value as? UInt64 == (Self.untold.contains(name) ? 0 : 1), "\(name)")
        }
    }
}
