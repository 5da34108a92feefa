// Worlds: good ones pass, ones with an error planted are found out, faults end.

import QuorumFaults
import QuorumProtocol
import QuorumSimulator
import Testing

@Suite("A simulated world")
struct WorldTests {
    struct Smoke: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let seeds: Range<UInt64>
        let faults: [String]
        var f: Int?
        var m: Int?
        var several = false
    }

    static let smokes = [
        Smoke(testDescription: "all faults, f = 1", seeds: 0..<100, faults: ["all"], f: 1),
        Smoke(testDescription: "all faults, f = 2", seeds: 1000..<1025, faults: ["all"], f: 2),
        Smoke(testDescription: "all faults, m = 4, n = 6", seeds: 2000..<2025, faults: ["all"], f: 1, m: 4),
        Smoke(testDescription: "the environment only", seeds: 3000..<3060, faults: ["environment"], f: 1),
        Smoke(testDescription: "liars only", seeds: 4000..<4060, faults: ["servers", "clients"], f: 1),
        Smoke(testDescription: "no fault at all", seeds: 5000..<5030, faults: ["none"]),
        Smoke(testDescription: "several groups", seeds: 6000..<6060, faults: ["all"], several: true),
    ]

    @Test("keeps the protocol's promises", arguments: smokes)
    func smoke(_ smoke: Smoke) throws {
        for seed in smoke.seeds {
            let plan = try plan(
                seed, faults: smoke.faults, f: smoke.f, m: smoke.m, several: smoke.several)
            let report = World(plan).run()
            if let violation = report.violation { Issue.record("seed \(seed): \(violation)") }
            #expect(report.succeededCount > 0, "seed \(seed)")
        }
    }

    @Test("without faults has every operation succeed")
    func quiet() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let plan = try plan(seed)
            let report = World(plan).run()
            #expect(report.violation == nil, "seed \(seed)")
            // In the end each object is written once more, or not, and read back; in some worlds all is listed twice.
            let lastCount = (plan.endsWithWrites ? 2 : 1) * plan.objectCount + (plan.hasListings ? 2 : 0)
            #expect(report.succeededCount == plan.operations.count + lastCount, "seed \(seed)")
        }
    }

    @Test("draws one group or several, which overlap or do not, with at most f faulty servers in each")
    func groups() throws {
        var shapes: Set<String> = []
        var hasMoreThanF = false
        for seed in 1...300 as ClosedRange<UInt64> {
            let plan = try plan(seed, faults: ["all"], f: nil, several: nil)
            let bad = Set(plan.badServers.values.map { Int($0.server.rawValue) })
            for members in plan.groups.members {
                #expect(members.count == plan.groupSize && Set(members).count == members.count)
                #expect(members.count(where: bad.contains) <= plan.faultCount, "seed \(seed)")
            }
            #expect(Set(plan.groups.members.joined()) == Set(0..<plan.serverCount))
            if let before = plan.earlierEpoch {
                #expect(before.members.count(where: bad.contains) <= plan.faultCount, "seed \(seed)")
                shapes.insert("before")
            }
            hasMoreThanF = hasMoreThanF || bad.count > plan.faultCount
            guard plan.groups.members.count > 1 else {
                shapes.insert("one")
                continue
            }
            let (first, second) = (Set(plan.groups.members[0]), Set(plan.groups.members[1]))
            let commonCount = first.intersection(second).count
            let quorum = plan.groupSize - plan.faultCount
            shapes.insert(commonCount == 0 ? "disjoint" : commonCount >= quorum ? "a quorum in common" : "overlapping")
        }
        #expect(shapes == ["one", "disjoint", "a quorum in common", "overlapping", "before"])
        #expect(hasMoreThanF)
    }

    @Test("of several groups has objects in more than one, and every operation succeed without faults")
    func severalGroups() throws {
        var groupCounts: Set<Int> = []
        for seed in 1...20 as ClosedRange<UInt64> {
            let plan = try plan(seed, several: true)
            let report = World(plan, isTranscribed: true).run()
            #expect(report.violation == nil && report.failedCount == 0, "seed \(seed)")
            let groups = Set(
                report.transcript.compactMap { line in
                    line.firstRange(of: ", group ").map { line[$0.upperBound...].prefix { $0.isNumber } }
                })
            groupCounts.insert(groups.count)
        }
        #expect(groupCounts.contains { $0 > 1 })
    }

    @Test("is found guilty of an error planted in it", arguments: PlantedError.allCases)
    func planted(_ error: PlantedError) throws {
        // What nobody has committed is judged only if its certificate went by among liars, and seldom outlives the last
        // writes.
        let takesLiars = error == .lostPending
        let faults = takesLiars ? ["leaked-certificates", "hidden-certificates", "partial-commit"] : ["environment"]
        var found = 0
        for seed in 1...(takesLiars ? 200 : 10) as ClosedRange<UInt64> {
            let report = World(try plan(seed, faults: faults, planted: error)).run()
            guard let violation = report.violation else { continue }
            #expect(violation.kind == error.expected, "seed \(seed): \(violation)")
            found += 1
        }
        // What is read at the end may be a deletion, which has no bytes to alter and no fragments to lose.
        #expect(found >= (takesLiars ? 2 : 5))
    }

    @Test("cut in two does nothing until the partition ends, and then everything")
    func partition() throws {
        for seed in 1...10 as ClosedRange<UInt64> {
            var plan = try plan(seed)
            plan.healMicroseconds = 10_000_000
            plan.patience.deadlineMicroseconds = 20_000_000
            // What is staged is to outlive the partition.
            plan.limits.stagedMilliseconds = 7 * 86_400_000
            // Servers 0 and 1 on one side; 2 and 3 with all clients on the other, one short of a quorum of three.
            plan.partitions[0] = PlannedPartition(
                startMicroseconds: 0, durationMicroseconds: 5_000_000, side: 0b0011)
            let report = World(plan).run()
            #expect(report.violation == nil, "seed \(seed)")
            #expect(report.failedCount == 0, "seed \(seed)")
            #expect(report.virtualMicroseconds > 5_000_000, "seed \(seed)")

            plan.patience.deadlineMicroseconds = 100_000
            let hasty = World(plan).run()
            #expect(hasty.violation == nil, "seed \(seed)")
            #expect(hasty.failedCount > 0, "seed \(seed): somebody's patience must have ended")
        }
    }
}
