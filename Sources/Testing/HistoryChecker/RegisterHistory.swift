// One key's operations in the form that the checkers work on: numbers in place of values, and nothing that cannot
// matter.
//
// An operation precedes another when it returned strictly before the other was invoked: at equal times they overlap.
// What is left out cannot change the verdict: failed operations, reads without an answer, and writes with an unknown
// outcome whose value nobody read (such a write may as well never have happened).

/// A register's history; value 0 is "nothing there", which is also how it begins.
struct RegisterHistory {
    struct Operation {
        let isWrite: Bool
        let value: Int
        let invoked: Int64
        /// `.max` when it may take effect at any time later, or never.
        let returned: Int64
        /// Its position among the operations that the history was made from.
        let source: Int

        var isOptional: Bool { returned == .max }
    }

    /// In the order of invocation.
    private(set) var operations: [Operation]
    let valueCount: Int

    /// A history of the operations, all of one key, and the reads that name values nobody wrote, which are left out.
    static func make(_ sources: [HistoryOperation]) -> (history: RegisterHistory, unwritten: [HistoryOperation]) {
        var numbers: [String: Int] = [:]
        for source in sources where source.function == .write {
            guard let value = source.value, numbers[value] == nil else { continue }
            if case .failed = source.outcome { continue }
            numbers[value] = numbers.count + 1
        }
        var operations: [Operation] = []
        var unwritten: [HistoryOperation] = []
        for (position, source) in sources.enumerated() {
            let returned: Int64
            switch source.outcome {
            case .ok(let time): returned = time
            case .failed: continue
            case .unknown:
                if source.function == .read { continue }
                returned = .max
            }
            guard let number = source.value.map({ numbers[$0] ?? -1 }) ?? 0 as Int?, number >= 0 else {
                unwritten.append(source)
                continue
            }
            operations.append(
                Operation(
                    isWrite: source.function != .read, value: number, invoked: source.invokedNanoseconds,
                    returned: returned, source: position))
        }
        return (RegisterHistory(operations, valueCount: numbers.count + 1), unwritten)
    }

    init(_ operations: [Operation], valueCount: Int) {
        self.valueCount = valueCount
        var readCounts = Array(repeating: 0, count: valueCount)
        for operation in operations where !operation.isWrite { readCounts[operation.value] += 1 }
        self.operations =
            operations
            .filter { !$0.isWrite || !$0.isOptional || readCounts[$0.value] > 0 }
            .sorted { ($0.invoked, $0.returned, $0.source) < ($1.invoked, $1.returned, $1.source) }
    }

    /// What was known at `time`: operations that had not returned then are open.
    func prefix(until time: Int64) -> RegisterHistory {
        let known = operations.compactMap { operation -> Operation? in
            guard operation.invoked <= time else { return nil }
            if operation.returned <= time { return operation }
            guard operation.isWrite else { return nil }
            return Operation(
                isWrite: true, value: operation.value, invoked: operation.invoked, returned: .max,
                source: operation.source)
        }
        return RegisterHistory(known, valueCount: valueCount)
    }
}
