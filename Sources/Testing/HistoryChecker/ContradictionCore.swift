// From a history that no order explains to the few operations of it that none explains.
//
// What is left out of a history keeps the contradiction honest: without some of its reads, and without writes whose
// value no remaining read names, a linearizable history stays linearizable; so when what is left is not, the whole is
// not. First the history is cut off behind the earliest return that makes it contradictory, then whatever can go goes,
// in pieces that shrink (after Zeller & Hildebrandt, *Simplifying and isolating failure-inducing input*, 2002).

/// Reduces a history that is known not to be linearizable.
struct ContradictionCore {
    private static let attemptsMax = 4000

    private let history: RegisterHistory
    private let stepsMax: Int

    init(_ history: RegisterHistory, stepsMax: Int) {
        self.history = history
        self.stepsMax = stepsMax
    }

    private func isContradictory(_ history: RegisterHistory) -> Bool {
        if let zones = ValueZones(history) { return zones.contradiction != nil }
        var search = LinearizationSearch(history, stepsMax: stepsMax)
        return search.run() == .notLinearizable
    }

    /// A small part of the history that is not linearizable either.
    func reduced() -> RegisterHistory {
        thinned(shortestPrefix())
    }

    private func shortestPrefix() -> RegisterHistory {
        // When the whole is too hard for what a check may cost, so are its long prefixes.
        guard isContradictory(history) else { return history }
        let returns = Array(Set(history.operations.filter { !$0.isOptional }.map(\.returned))).sorted()
        var low = 0
        var high = returns.count - 1
        while low < high {
            let middle = (low + high) / 2
            if isContradictory(history.prefix(until: returns[middle])) { high = middle } else { low = middle + 1 }
        }
        guard low < returns.count else { return history }
        let prefix = history.prefix(until: returns[low])
        return isContradictory(prefix) ? prefix : history
    }

    private func thinned(_ whole: RegisterHistory) -> RegisterHistory {
        var history = whole
        var pieceCount = max(1, history.operations.count / 2)
        var attempts = 0
        while true {
            var start = 0
            var hasShrunk = false
            while start < history.operations.count, attempts < Self.attemptsMax {
                attempts += 1
                let less = without(start..<min(start + pieceCount, history.operations.count), history)
                if less.operations.count < history.operations.count, isContradictory(less) {
                    history = less
                    hasShrunk = true
                } else {
                    start += pieceCount
                }
            }
            if attempts >= Self.attemptsMax || (pieceCount == 1 && !hasShrunk) { return history }
            if !hasShrunk { pieceCount = max(1, pieceCount / 2) }
            pieceCount = min(pieceCount, max(1, history.operations.count / 2))
        }
    }

    /// The history without the reads of a range, and without its writes that no remaining read names.
    private func without(_ range: Range<Int>, _ history: RegisterHistory) -> RegisterHistory {
        var readCounts = Array(repeating: 0, count: history.valueCount)
        for (position, operation) in history.operations.enumerated()
        where !operation.isWrite && !range.contains(position) {
            readCounts[operation.value] += 1
        }
        let left = history.operations.enumerated().filter { position, operation in
            !range.contains(position) || (operation.isWrite && readCounts[operation.value] > 0)
        }
        return RegisterHistory(left.map(\.element), valueCount: history.valueCount)
    }
}
