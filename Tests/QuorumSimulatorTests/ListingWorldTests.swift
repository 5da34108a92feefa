// Worlds in which clients list: nothing is wrong with them, and what is wrong is seen.

import QuorumFaults
import QuorumProtocol
import QuorumSimulator
import Testing

@Suite("A world with listings")
struct ListingWorldTests {
    /// The first plans of this kind that list.
    private static func plans(
        _ count: Int, faults: [String], mode: VerificationMode = .fingerprint, several: Bool? = nil
    ) throws -> [WorldPlan] {
        var plans: [WorldPlan] = []
        var seed: UInt64 = 1
        while plans.count < count {
            let drawn = try plan(seed, faults: faults, f: nil, mode: mode, several: several)
            let lists = drawn.operations.contains { if case .list = $0.kind { true } else { false } }
            if drawn.hasListings, lists { plans.append(drawn) }
            seed += 1
        }
        return plans
    }

    @Test("keeps its promises among liars", arguments: [VerificationMode.fingerprint, .lazy, .none])
    func promises(mode: VerificationMode) throws {
        var liesCount = 0
        for plan in try Self.plans(25, faults: ["all"], mode: mode) {
            let report = World(plan).run()
            #expect(report.violation == nil, "seed \(plan.seed): \(String(describing: report.violation))")
            liesCount += plan.listingLies.count
        }
        #expect(liesCount > 0 || mode == .none)
    }

    @Test("shows everything when nothing goes wrong, page by page")
    func shows() throws {
        for plan in try Self.plans(6, faults: ["none"]) {
            let report = World(plan, isTranscribed: true).run()
            #expect(report.violation == nil && report.failedCount == 0)
            #expect(report.transcript.contains { $0.contains("LIST '") })
            #expect(report.transcript.contains { $0.contains("ends operation") && $0.contains("listed") })
        }
    }

    @Test("says in its plan how servers lie, and loses the lie with the server")
    func plans() throws {
        let plan = try #require(try Self.plans(60, faults: ["servers"]).first { !$0.listingLies.isEmpty })
        let (number, lie) = try #require(plan.listingLies.first)
        #expect(plan.summary.contains { $0.hasPrefix("bad-server:\(number) ") && $0.contains(lie.rawValue) })
        #expect(plan.without([.badServer(number)]).listingLies[number] == nil)
    }
}
