// Linearizability of any register's history, by search: Wing & Gong (*Testing and verifying concurrent objects*, 1993)
// with Lowe's list of entries and memo (*Testing for linearizability*, 2017).
//
// The list holds the invocations and returns of all operations that are not in the order yet; the operations before its
// first return may come next. A step puts one into the order and takes its entries out of the list; a dead end puts
// them back. A configuration (the value, and which operations are in the order) that failed once is never entered
// again: it is remembered by 128 bits, drawn for each operation and combined by exclusive or.
//
// A register allows five economies, none of which loses an order that exists:
// - a read of the present value comes at once: it changes nothing;
// - the present value is not overwritten while reads of it are to come and no write that could bring it back is;
// - of several writes of one value that may come next it is the one that returns first: in an order in which another
//   comes first, the two can change places;
// - a write with unknown outcome comes only while reads of its value are to come;
// - a write whose value nobody reads any more (a *dead* one) comes right before another write, as early as it may: no
//   read can tell. So only writes with readers are ever chosen between, and "only the dead ones" beside them.

/// The search for an order that explains one register's history.
struct LinearizationSearch {
    enum Verdict { case linearizable, notLinearizable, undecided }

    private struct Entry {
        let operation: Int
        let isReturn: Bool
        var previous: Int
        var next: Int
    }

    private struct Configuration: Hashable {
        var high: UInt64
        var low: UInt64
    }

    /// A choice between writes, and how far it has come.
    private struct Choice {
        let candidates: [Int?]
        var next = 0
        /// How much of `order` there was before.
        let orderCount: Int
        let value: Int
    }

    private let operations: [RegisterHistory.Operation]
    private var entries: [Entry] = []
    private var callEntry: [Int]
    private var returnEntry: [Int]
    private let marks: [Configuration]
    private var unreadCounts: [Int]
    private var unwrittenCounts: [Int]
    private var order: [Int] = []
    private var configuration = Configuration(high: 0, low: 0)
    private var value = 0
    private var failed: Set<Configuration> = []
    private var stepsLeft: Int

    /// - Parameter stepsMax: how many operations may be put into the order, dead ends included, before giving up.
    init(_ history: RegisterHistory, stepsMax: Int) {
        operations = history.operations
        stepsLeft = stepsMax
        callEntry = Array(repeating: 0, count: operations.count)
        returnEntry = callEntry
        unreadCounts = Array(repeating: 0, count: history.valueCount)
        unwrittenCounts = unreadCounts
        var state: UInt64 = 0x5eed
        func draw() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }
        marks = (0..<(operations.count + history.valueCount)).map { _ in Configuration(high: draw(), low: draw()) }
        for operation in operations {
            if operation.isWrite { unwrittenCounts[operation.value] += 1 } else { unreadCounts[operation.value] += 1 }
        }
        link()
    }

    /// Entry 0 is the list's head; invocations come before returns of the same time, since those overlap.
    private mutating func link() {
        var events: [(time: Int64, isReturn: Bool, operation: Int)] = []
        for (position, operation) in operations.enumerated() {
            events.append((operation.invoked, false, position))
            if !operation.isOptional { events.append((operation.returned, true, position)) }
        }
        events.sort { ($0.time, $0.isReturn ? 1 : 0, $0.operation) < ($1.time, $1.isReturn ? 1 : 0, $1.operation) }
        entries = [Entry(operation: -1, isReturn: false, previous: 0, next: 0)]
        for event in events {
            let position = entries.count
            entries.append(
                Entry(operation: event.operation, isReturn: event.isReturn, previous: position - 1, next: 0))
            entries[position - 1].next = position
            if event.isReturn { returnEntry[event.operation] = position } else { callEntry[event.operation] = position }
        }
        entries[0].previous = entries.count - 1
    }

    mutating func run() -> Verdict {
        var choices: [Choice] = []
        func backtrack(_ search: inout LinearizationSearch) -> Bool {
            while var choice = choices.popLast() {
                search.undo(to: choice.orderCount, value: choice.value)
                guard choice.next < choice.candidates.count else { continue }
                let candidate = choice.candidates[choice.next]
                choice.next += 1
                choices.append(choice)
                search.overwrite(with: candidate)
                return true
            }
            return false
        }
        while true {
            guard stepsLeft > 0 else { return .undecided }
            takeReads()
            guard let blocking = firstReturn else { return .linearizable }
            let known = marks[operations.count + value]
            let here = Configuration(high: configuration.high ^ known.high, low: configuration.low ^ known.low)
            if failed.insert(here).inserted {
                let candidates = candidates(blocking: blocking)
                if !candidates.isEmpty {
                    choices.append(Choice(candidates: candidates, orderCount: order.count, value: value))
                }
            }
            guard backtrack(&self) else { return .notLinearizable }
        }
    }

    /// The operation whose return comes first of those that are not ordered; nil when no return is left.
    private var firstReturn: Int? {
        var position = entries[0].next
        while position != 0 {
            if entries[position].isReturn { return entries[position].operation }
            position = entries[position].next
        }
        return nil
    }

    private mutating func takeReads() {
        var position = entries[0].next
        while position != 0, !entries[position].isReturn {
            let operation = entries[position].operation
            let next = entries[position].next
            if !operations[operation].isWrite, operations[operation].value == value {
                put(operation)
                // The next entry may have been this read's own return.
                position = next != 0 && entries[next].operation == operation ? entries[next].next : next
            } else {
                position = next
            }
        }
    }

    /// The writes that may come next, the likeliest first; nil stands for the dead ones alone.
    private func candidates(blocking: Int) -> [Int?] {
        if unreadCounts[value] > 0, unwrittenCounts[value] == 0 { return [] }
        var chosen: [Int] = []
        var hasDead = false
        var position = entries[0].next
        while position != 0, !entries[position].isReturn {
            let index = entries[position].operation
            position = entries[position].next
            let operation = operations[index]
            guard operation.isWrite else { continue }
            guard unreadCounts[operation.value] > 0 else {
                if !operation.isOptional { hasDead = true }
                continue
            }
            if let rival = chosen.firstIndex(where: { operations[$0].value == operation.value }) {
                if operation.returned < operations[chosen[rival]].returned { chosen[rival] = index }
            } else {
                chosen.append(index)
            }
        }
        let wanted = operations[blocking].value
        let likely = chosen.filter { operations[$0].value == wanted }.map { $0 as Int? }
        let others = chosen.filter { operations[$0].value != wanted }.map { $0 as Int? }
        return likely + (hasDead ? [nil] : []) + others
    }

    /// Lets the dead writes come, and then the chosen one.
    private mutating func overwrite(with chosen: Int?) {
        var position = entries[0].next
        while position != 0, !entries[position].isReturn {
            let index = entries[position].operation
            var next = entries[position].next
            let operation = operations[index]
            if operation.isWrite, !operation.isOptional, unreadCounts[operation.value] == 0 {
                if next != 0, entries[next].operation == index { next = entries[next].next }
                put(index)
                value = operation.value
            }
            position = next
        }
        guard let chosen else { return }
        put(chosen)
        value = operations[chosen].value
    }

    private mutating func put(_ index: Int) {
        stepsLeft -= 1
        order.append(index)
        let operation = operations[index]
        if operation.isWrite { unwrittenCounts[operation.value] -= 1 } else { unreadCounts[operation.value] -= 1 }
        toggle(index)
        lift(callEntry[index])
        if !operation.isOptional { lift(returnEntry[index]) }
    }

    private mutating func undo(to count: Int, value: Int) {
        while order.count > count {
            let index = order.removeLast()
            let operation = operations[index]
            if operation.isWrite { unwrittenCounts[operation.value] += 1 } else { unreadCounts[operation.value] += 1 }
            toggle(index)
            if !operation.isOptional { unlift(returnEntry[index]) }
            unlift(callEntry[index])
        }
        self.value = value
    }

    private mutating func toggle(_ index: Int) {
        configuration.high ^= marks[index].high
        configuration.low ^= marks[index].low
    }

    private mutating func lift(_ entry: Int) {
        entries[entries[entry].previous].next = entries[entry].next
        entries[entries[entry].next].previous = entries[entry].previous
    }

    private mutating func unlift(_ entry: Int) {
        entries[entries[entry].previous].next = entry
        entries[entries[entry].next].previous = entry
    }
}
