// Known histories, and random ones against the definition.

import HistoryChecker
import Testing

/// One operation, written short.
private func did(
    _ function: HistoryEvent.Function, _ value: String?, _ from: Int64, _ to: Int64?, _ process: String = "p"
) -> HistoryOperation {
    HistoryOperation(
        process: process, function: function, key: "k", value: value, invokedNanoseconds: from,
        outcome: to.map { .ok(atNanoseconds: $0) } ?? .unknown)
}

struct KnownHistory: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let operations: [HistoryOperation]
    let isLinearizable: Bool

    static let all: [KnownHistory] = [
        good("nothing at all", []),
        good("not found before any write", [did(.read, nil, 0, 1)]),
        good("a value after its write", [did(.write, "a", 0, 1), did(.read, "a", 2, 3)]),
        bad("not found after a write", [did(.write, "a", 0, 1), did(.read, nil, 2, 3)]),
        good("not found while a write goes on", [did(.write, "a", 0, 5), did(.read, nil, 2, 3)]),
        good("operations that touch overlap", [did(.write, "a", 0, 2), did(.read, nil, 2, 3)]),
        bad("an old value", [did(.write, "a", 0, 1), did(.write, "b", 2, 3), did(.read, "a", 4, 5)]),
        bad("a value before it is written", [did(.read, "a", 0, 1), did(.write, "a", 2, 3)]),
        good(
            "either of two concurrent writes", [did(.write, "a", 0, 5), did(.write, "b", 0, 5), did(.read, "a", 6, 7)]),
        bad(
            "new, then old",
            [
                did(.write, "a", 0, 1), did(.write, "b", 2, 9), did(.read, "b", 3, 4), did(.read, "a", 5, 6),
            ]),
        bad(
            "two readers that disagree on two writes",
            [
                did(.write, "a", 0, 9), did(.write, "b", 0, 9), did(.read, "a", 10, 11), did(.read, "b", 12, 13),
                did(.read, "a", 14, 15),
            ]),
        good("a lost write that was never seen", [did(.write, "a", 0, nil), did(.read, nil, 2, 3)]),
        good(
            "a lost write that is seen late",
            [did(.write, "a", 0, nil), did(.write, "b", 1, 2), did(.read, "b", 3, 4), did(.read, "a", 5, 6)]),
        bad(
            "a lost write that is seen, gone, and seen again",
            [
                did(.write, "a", 0, nil), did(.write, "b", 1, 2), did(.read, "a", 3, 4), did(.read, "b", 5, 6),
                did(.read, "a", 7, 8),
            ]),
        bad("a lost write before it began", [did(.read, "a", 0, 1), did(.write, "a", 2, nil)]),
        good(
            "a deletion",
            [did(.write, "a", 0, 1), did(.delete, nil, 2, 3), did(.read, nil, 4, 5), did(.write, "b", 6, 7)]),
        bad(
            "a resurrection",
            [did(.write, "a", 0, 1), did(.delete, nil, 2, 3), did(.read, nil, 4, 5), did(.read, "a", 6, 7)]),
        bad(
            "not found between two reads of what nobody deleted",
            [did(.write, "a", 0, 1), did(.read, "a", 2, 3), did(.read, nil, 4, 5), did(.read, "a", 6, 7)]),
        good(
            "one value written twice, with another between",
            [
                did(.write, "a", 0, 1), did(.write, "b", 2, 3), did(.write, "a", 4, 5), did(.read, "a", 6, 7),
            ]),
        bad(
            "one value written twice, and the other after both",
            [
                did(.write, "a", 0, 1), did(.write, "b", 2, 3), did(.write, "a", 4, 5), did(.read, "b", 6, 7),
            ]),
        good(
            "lost deletions, of which only one takes effect",
            [
                did(.delete, nil, 0, nil), did(.delete, nil, 0, nil), did(.write, "a", 1, 2), did(.read, "a", 3, 4),
                did(.read, nil, 5, 6),
            ]),
        bad(
            "one lost deletion that takes effect twice",
            [
                did(.delete, nil, 0, nil), did(.write, "a", 1, 2), did(.read, nil, 3, 4), did(.write, "b", 5, 6),
                did(.read, nil, 7, 8),
            ]),
        // A forward zone around a backward one.
        bad(
            "a write within the time in which another value was read",
            [did(.write, "a", 0, 1), did(.write, "b", 3, 4), did(.read, "a", 6, 7)]),
    ]

    private static func good(_ name: String, _ operations: [HistoryOperation]) -> KnownHistory {
        KnownHistory(testDescription: name, operations: operations, isLinearizable: true)
    }

    private static func bad(_ name: String, _ operations: [HistoryOperation]) -> KnownHistory {
        KnownHistory(testDescription: name, operations: operations, isLinearizable: false)
    }
}

@Suite("The checker's verdict")
struct VerdictTests {
    @Test("on a known history is the known one", arguments: KnownHistory.all)
    func known(history: KnownHistory) {
        let verdict = HistoryChecker().check(history.operations)
        #expect(verdict.isLinearizable == history.isLinearizable, "\(verdict.violations)")
        #expect(BruteForce.isLinearizable(history.operations) == history.isLinearizable)
        // Deletions send the same question through the search instead of the zones, and change nothing.
        let aside = [did(.delete, nil, -9, -8), did(.delete, nil, -7, -6)]
        let again = HistoryChecker().check(aside + history.operations)
        #expect(again.isLinearizable == history.isLinearizable, "\(again.violations)")
    }

    @Test("on histories of a real register is that nothing is wrong", arguments: 0..<120 as Range<UInt64>)
    func realRegister(seed: UInt64) {
        for (keys, processes, values) in [(1, 4, nil), (3, 8, nil), (1, 5, 3), (1, 12, nil)] as [(Int, Int, Int?)] {
            var shape = HistoryShape()
            shape.operationCount = 150
            shape.keyCount = keys
            shape.processCount = processes
            shape.valueCount = values
            let verdict = HistoryChecker().check(historyOfRealRegister(shape, seed: seed))
            #expect(verdict.isLinearizable, "seed \(seed), \(processes) processes: \(verdict.violations)")
        }
    }

    @Test("on small arbitrary histories is that of trying every order", arguments: 0..<20 as Range<UInt64>)
    func definition(batch: UInt64) {
        var counts = (good: 0, bad: 0)
        for seed in (batch * 400)..<(batch * 400 + 400) {
            var generator = SplitMix64(seed: seed)
            let operations = arbitraryHistory(
                operationCount: 2 + generator.below(6), valueCount: 1 + generator.below(4),
                timeMax: 6 + generator.below(30),
                seed: seed)
            let expected = BruteForce.isLinearizable(operations)
            let verdict = HistoryChecker().check(operations)
            #expect(verdict.isLinearizable == expected, "seed \(seed): \(operations) \(verdict.violations)")
            if expected { counts.good += 1 } else { counts.bad += 1 }
            // What is given as the reason is itself contradictory, and no operation of it could be spared.
            for case .contradiction(_, let core) in verdict.violations {
                #expect(!BruteForce.isLinearizable(core), "seed \(seed): \(core)")
                #expect(core.allSatisfy(operations.contains), "seed \(seed)")
            }
        }
        #expect(counts.good > 20 && counts.bad > 20)
    }

    @Test(
        "on a real register's history with one read changed is that of trying every order",
        arguments: 0..<10 as Range<UInt64>)
    func corrupted(batch: UInt64) {
        var badCount = 0
        for seed in (batch * 100)..<(batch * 100 + 100) {
            var shape = HistoryShape()
            shape.operationCount = 8
            shape.processCount = 3
            shape.deletePercent = 30
            shape.valueCount = seed % 2 == 0 ? nil : 2
            var operations = historyOfRealRegister(shape, seed: seed)
            var generator = SplitMix64(seed: seed)
            let reads = operations.indices.filter { operations[$0].function == .read }
            let writes = operations.filter { $0.function != .read }
            guard let victim = reads.randomElement(using: &generator),
                let other = writes.randomElement(using: &generator)
            else { continue }
            let read = operations[victim]
            operations[victim] = HistoryOperation(
                process: read.process, function: .read, key: read.key, value: other.value,
                invokedNanoseconds: read.invokedNanoseconds, outcome: read.outcome)
            let expected = BruteForce.isLinearizable(operations)
            #expect(HistoryChecker().check(operations).isLinearizable == expected, "seed \(seed): \(operations)")
            if !expected { badCount += 1 }
        }
        #expect(badCount > 5)
    }

    @Test("names reads of what nobody wrote, and of what failed to be written")
    func unwritten() {
        let ghost = did(.read, "ghost", 4, 5)
        let undead = did(.read, "undone", 6, 7)
        let operations = [
            did(.write, "a", 0, 1),
            HistoryOperation(
                process: "q", function: .write, key: "k", value: "undone", invokedNanoseconds: 2,
                outcome: .failed(atNanoseconds: 3)),
            ghost, undead, did(.read, "a", 8, 9),
        ]
        let verdict = HistoryChecker().check(operations)
        #expect(verdict.violations == [.unwritten(ghost), .unwritten(undead)])
    }

    @Test("gives the shortest reason there is for a resurrection hidden in a long history")
    func explanation() {
        for deletesElsewhere in [false, true] {
            var operations: [HistoryOperation] = []
            for number in 0..<200 {
                let from = Int64(10 * number)
                operations.append(
                    number % 2 == 0
                        ? did(.write, "v\(number)", from, from + 5) : did(.read, "v\(number - 1)", from, from + 5))
            }
            if deletesElsewhere {
                operations += [did(.delete, nil, -9, -8), did(.delete, nil, -7, -6), did(.read, nil, -5, -4)]
            }
            let stale = did(.read, "v40", 1003, 1004, "reader")
            operations.append(stale)
            let violations = HistoryChecker().check(operations).violations
            guard case .contradiction("k", let core)? = violations.first, violations.count == 1 else {
                Issue.record("\(violations)")
                return
            }
            #expect(core.count <= 4 && core.contains(stale), "\(core)")
            #expect(!BruteForce.isLinearizable(core))
            #expect(violations[0].description.contains("process reader read v40 from 1003"))
        }
    }

    @Test("judges each key by itself")
    func locality() {
        func operation(_ key: String, _ function: HistoryEvent.Function, _ value: String?, _ from: Int64)
            -> HistoryOperation
        {
            HistoryOperation(
                process: "p", function: function, key: key, value: value, invokedNanoseconds: from,
                outcome: .ok(atNanoseconds: from + 1))
        }
        let operations = [
            operation("b", .write, "x", 0), operation("a", .write, "x", 10), operation("b", .read, "x", 20),
            operation("a", .read, nil, 30), operation("c", .read, nil, 40),
        ]
        #expect(HistoryChecker().check(operations).violations.map(\.key) == ["a"])
    }

    @Test("comes for a hundred thousand operations on sixteen keys, with and without one stale read among them")
    func large() {
        var shape = HistoryShape()
        shape.operationCount = 100_000
        shape.processCount = 16
        shape.keyCount = 16
        shape.deletePercent = 5
        shape.infoPercent = 1
        var operations = historyOfRealRegister(shape, seed: 7)
        let verdict = HistoryChecker().check(operations)
        #expect(verdict.isLinearizable)
        #expect(verdict.statistics.operations == 100_000 && verdict.statistics.keys == 16)
        let written = operations.first { $0.key == "k3" && $0.function == .write && $0.outcome != .unknown }
        let last = operations.map(\.invokedNanoseconds).max() ?? 0
        operations.append(
            HistoryOperation(
                process: "late", function: .read, key: "k3", value: written?.value,
                invokedNanoseconds: last + 1_000_000,
                outcome: .ok(atNanoseconds: last + 1_000_001)))
        let violations = HistoryChecker().check(operations).violations
        guard case .contradiction("k3", let core)? = violations.first, violations.count == 1 else {
            Issue.record("\(violations)")
            return
        }
        #expect(core.count <= 6 && core.contains { $0.process == "late" }, "\(core)")
    }

    @Test("is that there is none when the search would take too long")
    func undecided() {
        var checker = HistoryChecker()
        checker.stepsMax = 10
        var shape = HistoryShape()
        shape.deletePercent = 60
        let operations = historyOfRealRegister(shape, seed: 1)
        #expect(checker.check(operations).violations.map(\.key) == ["k0"])
        #expect(HistoryChecker().check(operations).isLinearizable)
    }
}
