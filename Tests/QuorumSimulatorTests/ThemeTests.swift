// Worlds with a theme: what has to come together comes together, and the protocol stands it.

import QuorumFaults
import QuorumProtocol
import QuorumSimulator
import Testing

@Suite("A theme")
struct ThemeTests {
    @Test("is drawn for some seeds, as parts that can be left out")
    func drawn() throws {
        let plans = try (1...100 as ClosedRange<UInt64>).map { try plan($0, faults: ["all"]) }
        let failing = try #require(plans.first { !$0.powerFailures.isEmpty })
        let echoing = try #require(plans.first { $0.network.echoPermille > 0 && $0.wipes.isEmpty })
        #expect(plans.contains { $0.powerFailures.isEmpty && $0.network.echoPermille == 0 })
        #expect(failing.parts.contains(.powerFailure(0)) && echoing.parts.contains(.echoes))
        #expect(failing.summary.contains { $0.hasPrefix("power-failure:0 ") })
        #expect(echoing.operations.contains { $0.crash?.moment == .beforeCommit })
        #expect(failing.without(Set(failing.parts)).powerFailures.isEmpty)
        #expect(echoing.without([.echoes]).network.echoPermille == 0)
        for part in [PlanPart.powerFailure(3), .echoes, .wipe(2)] {
            #expect(try PlanPart.parse(part.description) == [part])
        }
    }

    @Test("of lost memories wipes servers that may fail, which are well again, and keeps the promises")
    func wipes() throws {
        var told: [String: Int] = [:]
        for seed in 1...150 as ClosedRange<UInt64> {
            let plan = try plan(seed, faults: ["all"], f: nil)
            guard !plan.wipes.isEmpty else { continue }
            #expect(plan.parts.contains(.wipe(0)) && plan.without([.wipe(0)]).wipes[0] == nil)
            let report = World(plan, isTranscribed: true).run()
            if let violation = report.violation { Issue.record("seed \(seed): \(violation)") }
            for event in ["loses everything", "is well again", " restates ", "has a new certificate"] {
                told[event, default: 0] += report.transcript.count { $0.contains(event) }
            }
        }
        #expect(told.count == 4 && told.values.allSatisfy { $0 > 10 }, "\(told)")
        // No server lies there, so all of them are.
        #expect(told["is well again"]! * 10 >= told["loses everything"]! * 8, "\(told)")
    }

    @Test("that is not selected leaves a world without faults", arguments: [VerificationMode.fingerprint, .lazy])
    func cleared(mode: VerificationMode) throws {
        for seed in 1...200 as ClosedRange<UInt64> {
            let plan = try plan(seed, mode: mode)
            #expect(
                plan.parts.allSatisfy { part in
                    switch part {
                    case .operation, .pauses, .deferredWork, .stores: true
                    default: false
                    }
                }, "seed \(seed)")
        }
    }

    @Test("keeps the protocol's promises", arguments: [true, false])
    func promises(isEchoing: Bool) throws {
        var runCount = 0
        for seed in 1...400 as ClosedRange<UInt64> {
            let plan = try plan(seed, faults: ["all"], f: nil)
            guard isEchoing ? plan.network.echoPermille > 0 : !plan.powerFailures.isEmpty else { continue }
            runCount += 1
            let report = World(plan).run()
            if let violation = report.violation { Issue.record("seed \(seed): \(violation)") }
        }
        #expect(runCount > 10)
    }

    @Test(
        "of poison brings a poisonous writer and liars that withhold or power failures, and keeps the promises",
        arguments: [VerificationMode.lazy, .readTime])
    func poison(mode: VerificationMode) throws {
        var (withheldCount, struckCount) = (0, 0)
        for seed in 1...150 as ClosedRange<UInt64> {
            let plan = try plan(seed, faults: ["all"], f: nil, mode: mode)
            guard plan.byzantineClients[0] == .poisonedCrossChecksums else { continue }
            let isWithheld =
                plan.badServers.count == plan.faultCount
                && plan.badServers.values.allSatisfy { $0.kind == .byzantine(.withheldFragments) }
            let isStruck = plan.badServers.isEmpty && !plan.powerFailures.isEmpty
            guard isWithheld || isStruck else { continue }
            if isWithheld { withheldCount += 1 } else { struckCount += 1 }
            let report = World(plan).run()
            if let violation = report.violation { Issue.record("seed \(seed): \(violation)") }
        }
        #expect(withheldCount > 2 && struckCount > 2)
    }

    @Test("lets power fail the moment the chosen read is over, of the chosen servers and of busy clients")
    func powerFailure() throws {
        var struckCount = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            var plan = try plan(seed)
            plan.powerFailures[0] = PlannedPowerFailure(
                afterReadCount: 2, servers: 0b0101, includesClients: true, downMicroseconds: 1_000)
            let report = World(plan, isTranscribed: true).run()
            #expect(report.violation == nil, "seed \(seed)")
            guard let failure = report.transcript.firstIndex(where: { $0.hasSuffix("power fails") }) else { continue }
            struckCount += 1
            let before = report.transcript[..<failure]
            #expect(before.count { $0.contains("ends operation") && $0.contains(": read(") } == 2, "seed \(seed)")
            let crashed = report.transcript[failure...].dropFirst().prefix(2)
            #expect(crashed.allSatisfy { $0.hasSuffix("server 0 crashes") || $0.hasSuffix("server 2 crashes") })
        }
        #expect(struckCount > 10)
    }

    @Test("has a client crash with its certificate in hand and no COMMIT sent")
    func beforeCommit() throws {
        for seed in 1...10 as ClosedRange<UInt64> {
            var plan = try plan(seed)
            let write = try #require(
                plan.operations.first { operation in
                    if case .write = operation.kind { true } else { false }
                })
            plan.operations = [write]
            plan.operations[0].crash = PlannedOperation.Crash(.beforeCommit, awayMicroseconds: 1_000)
            plan.endsWithWrites = true
            let report = World(plan, isTranscribed: true).run()
            #expect(report.violation == nil && report.crashedCount == 1, "seed \(seed)")
            let working = report.transcript.prefix { !$0.contains("each object is written once more") }
            #expect(working.count < report.transcript.count, "seed \(seed)")
            #expect(working.contains { $0.contains("PREPARE") }, "seed \(seed)")
            #expect(!working.contains { $0.contains("COMMIT ") }, "seed \(seed)")
        }
    }

    @Test("of echoes brings messages again, and changes no outcome")
    func echoes() throws {
        for seed in 1...10 as ClosedRange<UInt64> {
            var plan = try plan(seed)
            let plain = World(plan).run()
            plan.network.echoPermille = 1000
            plan.network.echoMaxMicroseconds = 100_000
            let report = World(plan).run()
            #expect(report.violation == nil && report.failedCount == 0, "seed \(seed)")
            #expect(report.eventCount > plain.eventCount, "seed \(seed)")
        }
    }
}
