// The definition itself, by trying every order: for histories of a handful of operations.

import HistoryChecker

enum BruteForce {
    /// Whether some order of the operations, in which those with an unknown outcome may be missing, respects real time
    /// and has every read return the last write before it. All operations are of one key.
    static func isLinearizable(_ operations: [HistoryOperation]) -> Bool {
        let relevant = operations.filter { operation in
            switch operation.outcome {
            case .ok: true
            case .failed: false
            case .unknown: operation.function != .read
            }
        }
        precondition(relevant.count <= 10)
        return extend(relevant, Array(repeating: false, count: relevant.count), nil)
    }

    private static func returned(_ operation: HistoryOperation) -> Int64? {
        if case .ok(let time) = operation.outcome { time } else { nil }
    }

    private static func extend(_ operations: [HistoryOperation], _ done: [Bool], _ value: String?) -> Bool {
        let open = operations.indices.filter { !done[$0] }
        if open.allSatisfy({ returned(operations[$0]) == nil }) { return true }
        for next in open {
            let isTooEarly = open.contains { other in
                returned(operations[other]).map { $0 < operations[next].invokedNanoseconds } ?? false
            }
            if isTooEarly { continue }
            if operations[next].function == .read, operations[next].value != value { continue }
            var done = done
            done[next] = true
            let written = operations[next].function == .read ? value : operations[next].value
            if extend(operations, done, written) { return true }
        }
        return false
    }
}
