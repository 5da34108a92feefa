// Is a history of one register linearizable? After Wing & Gong (1993), with the memo of Lowe (2017): a search for an
// order of the operations that respects real time and in which every read returns the write before it.

struct RegisterOperation {
    enum Kind: Equatable {
        /// nil is a delete.
        case write([UInt8]?)
        case read([UInt8]?)
    }

    let kind: Kind
    let startedAt: Int
    /// nil: it never returned, so it may have taken effect at any time since, or never.
    let finishedAt: Int?
}

struct RegisterHistory {
    private let operations: [RegisterOperation]

    /// At most 64 operations; reads that never returned must be left out.
    init(_ operations: [RegisterOperation]) {
        precondition(operations.count <= 64)
        self.operations = operations
    }

    private struct State: Hashable {
        var done: UInt64
        var value: [UInt8]?
    }

    var isLinearizable: Bool {
        var visited: Set<State> = []
        var stack = [State(done: 0, value: nil)]
        while let state = stack.popLast() {
            guard visited.insert(state).inserted else { continue }
            let open = operations.indices.filter { state.done >> UInt64($0) & 1 == 0 }
            if open.allSatisfy({ operations[$0].finishedAt == nil }) { return true }
            // Nothing may come before an operation that had returned when it began.
            let firstReturn = open.compactMap { operations[$0].finishedAt }.min() ?? .max
            for position in open where operations[position].startedAt < firstReturn {
                var next = state
                next.done |= 1 << UInt64(position)
                switch operations[position].kind {
                case .write(let value): next.value = value
                case .read(let value): guard value == state.value else { continue }
                }
                stack.append(next)
            }
        }
        return false
    }
}
