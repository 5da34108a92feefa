// One seed, one story.

import QuorumSimulator
import Testing

@Suite("A seed")
struct DeterminismTests {
    @Test("gives the identical transcript every time", arguments: [1, 2, 3, 5, 8, 13, 21, 34] as [UInt64])
    func transcript(seed: UInt64) throws {
        let plan = try plan(seed, faults: ["all"], f: nil)
        let first = World(plan, isTranscribed: true).run()
        let second = World(plan, isTranscribed: true).run()
        #expect(first.transcript.count > 100)
        #expect(first.transcript == second.transcript)
        #expect(first.traceHash == second.traceHash)
    }

    @Test("happens the same whether it is transcribed or not")
    func silence() throws {
        let plan = try plan(77, faults: ["all"], f: nil)
        let told = World(plan, isTranscribed: true).run()
        let untold = World(plan).run()
        #expect(told.traceHash == untold.traceHash)
        #expect(told.eventCount == untold.eventCount)
        #expect(untold.transcript.isEmpty)
    }

    @Test("is another world than the next one")
    func seedsDiffer() throws {
        let hashes = try (1...50).map { World(try plan(UInt64($0))).run().traceHash }
        #expect(Set(hashes).count == hashes.count)
    }

    @Test("draws the same plan from the same options, and says what it is")
    func plans() throws {
        let drawn = try plan(5, faults: ["all"], f: nil)
        #expect(try plan(5, faults: ["all"], f: nil) == drawn)
        #expect(drawn.summary.count >= 4 + drawn.operations.count)
        #expect(try plan(6, faults: ["all"], f: nil) != drawn)
    }
}
