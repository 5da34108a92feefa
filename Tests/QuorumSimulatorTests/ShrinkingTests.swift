// Small plans and their names.

import QuorumFaults
import QuorumProtocol
import QuorumSimulator
import Testing

@Suite("A failing plan")
struct ShrinkingTests {
    /// Shrinks the plan, and draws it again without what was removed.
    private func shrunk(_ seed: UInt64, faults names: [String], planted: PlantedError) throws -> WorldPlan {
        let full = try plan(seed, faults: names, planted: planted)
        let violation = try #require(World(full).run().violation)
        let shrunk = shrink(full, violation: violation)
        #expect(shrunk.report.violation?.kind == planted.expected)
        #expect(shrunk.plan.parts.count < full.parts.count)

        var options = WorldOptions()
        options.faults = try FaultSelection(names: names)
        options.faultCount = 1
        options.planted = planted
        options.hasSeveralGroups = false
        for text in PlanPart.texts(of: shrunk.removed) { options.removed.formUnion(try PlanPart.parse(text)) }
        let drawn = try WorldPlan(seed: seed, options: options)
        #expect(drawn == shrunk.plan)
        #expect(World(drawn).run().traceHash == shrunk.report.traceHash)
        return shrunk.plan
    }

    @Test("shrinks to nothing if each world's last write is enough for its failure, and fails when it is drawn again")
    func shrinksToNothing() throws {
        let seed = try #require(
            try (1...20 as ClosedRange<UInt64>).first { try plan($0, faults: ["environment"]).endsWithWrites })
        #expect(try shrunk(seed, faults: ["environment"], planted: .staleRead).parts.isEmpty)
    }

    @Test("shrinks to what its failure needs, and fails the same way when it is drawn again")
    func shrinks() throws {
        let faults = ["leaked-certificates", "hidden-certificates", "partial-commit"]
        let seed = try #require(
            try (1...400 as ClosedRange<UInt64>).first {
                World(try plan($0, faults: faults, planted: .lostPending)).run().violation != nil
            })
        let small = try shrunk(seed, faults: faults, planted: .lostPending)
        #expect(!small.parts.isEmpty, "who hides what nobody has committed")
    }

    @Test("has parts whose names mean them")
    func names() throws {
        let parts = try plan(9, faults: ["all"], f: nil).parts + [.stores]
        #expect(Set(try parts.flatMap { try PlanPart.parse($0.description) }) == Set(parts))
        let texts = PlanPart.texts(of: Set(parts))
        #expect(Set(try texts.flatMap { try PlanPart.parse($0) }) == Set(parts))
        #expect(texts.count < parts.count)
        #expect(try PlanPart.parse("operation:3-5") == [.operation(3), .operation(4), .operation(5)])
    }

    @Test(
        "refuses names of parts that there are not",
        arguments: ["", "operation", "operation:", "operation:5-3", "operation:-1", "operation:1-2-3", "loss:1", "x:1"])
    func unknown(text: String) {
        #expect(throws: UnknownPart(text: text)) { try PlanPart.parse(text) }
    }
}

@Suite("A selection of faults")
struct FaultSelectionTests {
    @Test("takes every name that it lists, and only those")
    func names() throws {
        for name in FaultSelection.names { _ = try FaultSelection(names: [name]) }
        #expect(throws: UnknownFault(name: "sloth")) { try FaultSelection(names: ["loss", "sloth"]) }
        let mixture = try FaultSelection(names: ["server:mixture"])
        #expect(mixture.servers == [.mixture] && mixture.clients.isEmpty && mixture.environment.isEmpty)
    }

    @Test("fills worlds with the liars that were asked for, never more than f")
    func insistence() throws {
        for seed in 1...50 as ClosedRange<UInt64> {
            let plan = try plan(seed, faults: ["stale"], f: 2)
            #expect(plan.badServers.values.map(\.kind) == [.byzantine(.stale), .byzantine(.stale)])
            #expect(Set(plan.badServers.values.map(\.server)).count == 2)
            #expect(plan.byzantineClients.isEmpty && plan.serverCrashes.isEmpty && plan.network.lossPermille == 0)
        }
    }
}
