// The judge: are the registers that a history speaks of linearizable, each by itself? (Linearizability is local:
// Herlihy & Wing, *Linearizability*, 1990.) Listings are judged by themselves, by less.

/// What is wrong with one key's history.
package enum HistoryViolation: Hashable, Sendable {
    /// A read returned what nobody wrote, or only a write that failed.
    case unwritten(HistoryOperation)
    /// No order explains these operations. They are few: leaving out any more would hide the contradiction.
    case contradiction(key: String, operations: [HistoryOperation])
    /// The search was given up.
    case undecided(key: String, operationCount: Int)

    package var key: String {
        switch self {
        case .unwritten(let operation): operation.key
        case .contradiction(let key, _), .undecided(let key, _): key
        }
    }
}

extension HistoryViolation: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unwritten(let operation):
            return "\(operation.key): a value that nobody wrote: \(operation)"
        case .contradiction(let key, let operations):
            let lines = operations.map { "\n    \($0)" }.joined()
            return "\(key): no order of these operations, each between its two times, explains what was read:\(lines)"
        case .undecided(let key, let operationCount):
            return "\(key): the search through \(operationCount) operations was given up"
        }
    }
}

/// What a history consists of.
package struct HistoryStatistics: Hashable, Sendable {
    package var operations = 0
    package var reads = 0
    package var writes = 0
    package var deletions = 0
    /// What listings showed, for each key by itself.
    package var listings = 0
    /// Operations that took effect, that failed, and of which nobody knows.
    package var oks = 0
    package var fails = 0
    package var infos = 0
    package var keys = 0
    package var processes = 0
    /// From the first invocation to the last event.
    package var durationNanoseconds: Int64 = 0
}

/// What the checker found.
package struct HistoryVerdict: Hashable, Sendable {
    package let statistics: HistoryStatistics
    /// In the order of keys; none when the history is linearizable.
    package let violations: [HistoryViolation]

    package var isLinearizable: Bool { violations.isEmpty }
}

/// Checks histories of registers that begin with nothing there.
package struct HistoryChecker: Sendable {
    /// How many steps the search for one key may take before it is given up.
    package var stepsMax = 20_000_000

    package init() {}

    /// - Throws: why the events are no history, or `.noOperations` when there is nothing to judge.
    package func check(events: [HistoryEvent]) throws(HistoryError) -> HistoryVerdict {
        let operations = try HistoryOperation.pair(events)
        guard !operations.isEmpty else { throw .noOperations }
        return check(operations)
    }

    /// Checks operations, in any order.
    package func check(_ operations: [HistoryOperation]) -> HistoryVerdict {
        var positionOfKey: [String: Int] = [:]
        var byKey: [(key: String, operations: [HistoryOperation])] = []
        for operation in operations {
            if let position = positionOfKey[operation.key] {
                byKey[position].operations.append(operation)
            } else {
                positionOfKey[operation.key] = byKey.count
                byKey.append((operation.key, [operation]))
            }
        }
        byKey.sort { $0.key < $1.key }
        return HistoryVerdict(
            statistics: HistoryStatistics(operations, keyCount: byKey.count),
            violations: byKey.flatMap { violations($0.key, $0.operations) })
    }

    private func violations(_ key: String, _ all: [HistoryOperation]) -> [HistoryViolation] {
        let operations = all.filter { $0.function != .list }
        let (history, unwritten) = RegisterHistory.make(operations)
        let found = unwritten.map { HistoryViolation.unwritten($0) } + RegularListings.violations(key, all)
        func contradiction(_ positions: [Int], of history: RegisterHistory) -> HistoryViolation {
            .contradiction(
                key: key, operations: positions.map { operations[history.operations[$0].source] })
        }
        if let zones = ValueZones(history) {
            switch zones.contradiction {
            case nil: return found
            case .prematureRead(let read, let write)?: return found + [contradiction([read, write], of: history)]
            case .mutual(let positions)?: return found + [contradiction(positions, of: history)]
            }
        }
        var search = LinearizationSearch(history, stepsMax: stepsMax)
        switch search.run() {
        case .linearizable:
            return found
        case .undecided:
            return found + [.undecided(key: key, operationCount: history.operations.count)]
        case .notLinearizable:
            let core = ContradictionCore(history, stepsMax: min(stepsMax, 1_000_000)).reduced()
            return found + [contradiction(Array(core.operations.indices), of: core)]
        }
    }
}

extension HistoryStatistics {
    init(_ operations: [HistoryOperation], keyCount: Int) {
        var processes: Set<String> = []
        var first = Int64.max
        var last = Int64.min
        keys = keyCount
        for operation in operations {
            self.operations += 1
            processes.insert(operation.process)
            first = min(first, operation.invokedNanoseconds)
            last = max(last, operation.invokedNanoseconds)
            switch operation.function {
            case .read: reads += 1
            case .write: writes += 1
            case .delete: deletions += 1
            case .list: listings += 1
            }
            switch operation.outcome {
            case .ok(let time):
                oks += 1
                last = max(last, time)
            case .failed(let time):
                fails += 1
                last = max(last, time)
            case .unknown:
                infos += 1
            }
        }
        self.processes = processes.count
        durationNanoseconds = operations.isEmpty ? 0 : last.subtractingReportingOverflow(first).partialValue
    }
}
