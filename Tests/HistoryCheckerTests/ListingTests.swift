// What listings may show of a key, and what they may not.

import HistoryChecker
import Testing

@Suite("Listings in histories") struct ListingTests {
    private static func did(
        _ function: HistoryEvent.Function, _ value: String?, _ from: Int64, _ to: Int64?
    ) -> HistoryOperation {
        HistoryOperation(
            process: "p", function: function, key: "k", value: value, invokedNanoseconds: from,
            outcome: to.map { .ok(atNanoseconds: $0) } ?? .unknown)
    }

    private static func check(_ operations: [HistoryOperation]) -> [HistoryViolation] {
        HistoryChecker().check(operations).violations
    }

    @Test("a listing shows the last write before it, or any that is under way")
    func regular() {
        let write = Self.did(.write, "a", 0, 1)
        #expect(Self.check([Self.did(.list, nil, 0, 1)]).isEmpty)
        #expect(Self.check([write, Self.did(.list, "a", 2, 3)]).isEmpty)
        for shown in ["a", "b"] {
            #expect(Self.check([write, Self.did(.write, "b", 2, 9), Self.did(.list, shown, 3, 4)]).isEmpty)
            #expect(Self.check([write, Self.did(.write, "b", 2, nil), Self.did(.list, shown, 30, 40)]).isEmpty)
        }
        // Of two that were under way together either may have been the later one.
        let other = Self.did(.write, "b", 0, 2)
        #expect(Self.check([write, other, Self.did(.list, "a", 3, 4)]).isEmpty)
        #expect(Self.check([write, Self.did(.delete, nil, 2, 3), Self.did(.list, nil, 4, 5)]).isEmpty)
    }

    @Test("two listings may disagree on a write that is under way, two reads may not")
    func newThenOld() {
        let writes = [Self.did(.write, "a", 0, 1), Self.did(.write, "b", 2, 9)]
        #expect(Self.check(writes + [Self.did(.list, "b", 3, 4), Self.did(.list, "a", 5, 6)]).isEmpty)
        #expect(!Self.check(writes + [Self.did(.read, "b", 3, 4), Self.did(.read, "a", 5, 6)]).isEmpty)
    }

    @Test("what was overwritten or deleted before a listing began, or never written, is not shown")
    func stale() throws {
        let writes = [Self.did(.write, "a", 0, 1), Self.did(.write, "b", 2, 3)]
        for shown in ["a", nil] {
            let listing = Self.did(.list, shown, 4, 5)
            let found = Self.check(writes + [listing])
            guard case .contradiction(_, let operations)? = found.first, found.count == 1 else {
                Issue.record("\(found)")
                continue
            }
            #expect(operations.contains(listing) && operations.contains(writes[1]))
        }
        #expect(Self.check([writes[0], Self.did(.delete, nil, 2, 3), Self.did(.list, "a", 4, 5)]).count == 1)
        #expect(Self.check([Self.did(.list, "a", 0, 1), Self.did(.write, "a", 2, 3)]).count == 1)
        let foreign = Self.did(.list, "c", 4, 5)
        #expect(Self.check(writes + [foreign]) == [.unwritten(foreign)])
    }

    @Test("what listings show of a real register is right", arguments: UInt64(0)..<40)
    func realRegister(seed: UInt64) {
        let operations = historyOfRealRegister(HistoryShape(), seed: seed).map { operation in
            guard operation.function == .read else { return operation }
            return HistoryOperation(
                process: operation.process, function: .list, key: operation.key, value: operation.value,
                invokedNanoseconds: operation.invokedNanoseconds, outcome: operation.outcome)
        }
        let verdict = HistoryChecker().check(operations)
        #expect(verdict.statistics.listings > 0 && verdict.violations.isEmpty, "\(verdict.violations)")
    }

    @Test("listings are part of a history's file and are counted")
    func file() throws {
        let lines = [
            #"{"process":0,"type":"invoke","f":"write","key":"a/b","value":"one","time":1}"#,
            #"{"process":0,"type":"ok","f":"write","key":"a/b","value":"one","time":2}"#,
            #"{"process":-1,"type":"invoke","f":"list","key":"a/b","value":null,"time":3}"#,
            #"{"process":-1,"type":"ok","f":"list","key":"a/b","value":"one","time":4}"#,
        ]
        let events = try HistoryEvent.parse(lines.joined(separator: "\n").utf8)
        #expect(events.map(\.line) == lines)
        let verdict = try HistoryChecker().check(events: events)
        #expect(verdict.isLinearizable && verdict.statistics.listings == 1)
        let doctored = try HistoryEvent.parse(
            lines.joined(separator: "\n").replacing(#""value":"one","time":4"#, with: #""value":null,"time":4"#).utf8)
        #expect(!(try HistoryChecker().check(events: doctored)).isLinearizable)
    }
}
