// What several servers' answers to LIST say together (docs/protocol.md, Listing), without I/O.
//
// A write that was complete before the listing began is at q of its group's servers, and q + 2f + 1 = n + f + 1: of any
// 2f + 1 answers one comes from a correct server that has it, and would name it or something later. So what 2f + 1 name
// alike is the object, and what none of 2f + 1 names does not exist. Everything else is *open*, and has to be read.
//
// The answers are in order, so they are gone through side by side. What all who name a key say of it in the same bytes
// is taken apart once.

/// A listing's answers, judged as far as they go.
package struct ListingJudge: Sendable {
    /// What becomes of a key.
    package enum Verdict: Equatable, Sendable {
        case settled(LiveVersion)
        /// To be read; who has named it as what.
        case open([NodeID: Timestamp])
    }

    /// What becomes of everything that begins alike.
    package enum PrefixVerdict: Equatable, Sendable {
        case live
        /// It exists if one of these does; if none does, what is below it has to be listed. Who has named each as what.
        case open(witnesses: [ObjectKey: [NodeID: Timestamp]])
    }

    private typealias Vote = (node: NodeID, live: LiveVersion)

    /// In the order of keys.
    package private(set) var keys: [(key: ObjectKey, verdict: Verdict)] = []
    /// In order.
    package private(set) var prefixes: [(prefix: [UInt8], verdict: PrefixVerdict)] = []
    /// Everything below this is judged; nil when that is all there is.
    package private(set) var below: [UInt8]?
    /// Whether nothing is open.
    package private(set) var isSettled = true

    private let parameters: ClusterParameters
    /// How many have to name a version alike, and how many of them its head.
    private let votesNeeded: Int
    private let vouchers: Int

    /// - Parameters:
    ///   - answers: such as `ListingAnswer.answers(query)` says of.
    ///   - parameters: the cluster that is asked.
    /// - Throws: which groups have too few answers.
    package init(
        _ query: ListingQuery, _ answers: [NodeID: ListingAnswer], _ parameters: ClusterParameters
    ) throws(ListingShortage) {
        self.parameters = parameters
        votesNeeded = 2 * parameters.quorums.faults + (isPlanted(.settledByTooFew) ? 0 : 1)
        vouchers = isPlanted(.listedHeadUnvouched) ? 1 : parameters.quorums.vouchers
        let need = ListingJudge.answersNeeded(parameters)
        var short: [Group] = []
        for group in parameters.configuration.groups {
            // The furthest first; nil is the furthest of all.
            let ends = group.members.compactMap { answers[$0] }.map(\.below).sorted { Self.isBelow($1, $0) }
            guard ends.count >= need else {
                short.append(group)
                continue
            }
            let reached = ends[isPlanted(.furthestAnswerCovers) ? 0 : need - 1]
            if Self.isBelow(reached, below) { below = reached }
        }
        guard short.isEmpty else { throw ListingShortage(groups: short) }
        let ordered = answers.sorted { $0.key < $1.key }
        judgeKeys(ordered.map { Cursor(node: $0.key, listed: $0.value.listed) })
        judgePrefixes(ordered)
    }

    /// How many servers of a group have to tell of a key.
    package static func answersNeeded(_ parameters: ClusterParameters) -> Int {
        2 * parameters.quorums.faults + (isPlanted(.listedByTooFew) ? 0 : 1)
    }

    /// Whether the first end comes before the second; nil is behind all others.
    private static func isBelow(_ first: [UInt8]?, _ second: [UInt8]?) -> Bool {
        guard let first else { return false }
        return second.map { first.lexicographicallyPrecedes($0) } ?? true
    }

    private func covers(_ bytes: [UInt8]) -> Bool { below.map { bytes.lexicographicallyPrecedes($0) } ?? true }

    // MARK: Keys

    /// How far one answer has been gone through.
    private struct Cursor {
        let node: NodeID
        let listed: ListedKeys
        var place = 0

        var isAtEnd: Bool { place >= listed.count }
        var live: LiveVersion { listed[place].live }

        /// As `UnsafeRawBufferPointer.order` of the present keys.
        func order(_ other: Cursor) -> Int {
            listed.withBytes(at: place) { key, _ in
                other.listed.withBytes(at: other.place) { otherKey, _ in key.order(otherKey) }
            }
        }

        /// Whether both say the same of their present keys.
        func agrees(with other: Cursor) -> Bool {
            listed.withBytes(at: place) { _, live in
                other.listed.withBytes(at: other.place) { _, otherLive in live.isEqual(to: otherLive) }
            }
        }
    }

    private mutating func judgeKeys(_ all: [Cursor]) {
        var cursors = all
        keys.reserveCapacity(cursors.map(\.listed.count).max() ?? 0)
        // Those that stand at the lowest key.
        var naming: [Int] = []
        while true {
            naming.removeAll(keepingCapacity: true)
            for index in cursors.indices where !cursors[index].isAtEnd {
                let order = naming.first.map { cursors[index].order(cursors[$0]) } ?? 0
                if order < 0 { naming.removeAll(keepingCapacity: true) }
                if order <= 0 { naming.append(index) }
            }
            guard let first = naming.first else { return }
            let key = ObjectKey(valid: cursors[first].listed.keyBytes(at: cursors[first].place))
            guard covers(key.bytes) else { return }
            let group = parameters.configuration.group(of: key.slot)
            // A node has no business with the keys of groups that it is not in.
            let voting = naming.filter { group.contains(cursors[$0].node) }
            if let verdict = verdict(cursors, voting) {
                keys.append((key, verdict))
                if case .open = verdict { isSettled = false }
            }
            for index in naming { cursors[index].place += 1 }
        }
    }

    /// What becomes of a key at which these answers stand; nil when none of them counts.
    private func verdict(_ cursors: [Cursor], _ voting: [Int]) -> Verdict? {
        guard let first = voting.first else { return nil }
        if voting.count >= votesNeeded, voting.dropFirst().allSatisfy({ cursors[$0].agrees(with: cursors[first]) }) {
            let live = cursors[first].live
            if let head = live.head, !parameters.mode.verifiesLater || live.isSound {
                return .settled(LiveVersion(timestamp: live.timestamp, isSound: true, head: head))
            }
        }
        return verdict(voting.map { (cursors[$0].node, cursors[$0].live) })
    }

    private func verdict(_ votes: [Vote]) -> Verdict {
        for timestamp in Set(votes.map(\.live.timestamp)).sorted(by: >) {
            let equal = votes.filter { $0.live.timestamp == timestamp }
            guard equal.count >= votesNeeded else { continue }
            // One of f + 1 that say the same of it is correct, and has it from the descriptor.
            let heads = equal.compactMap(\.live.head)
            guard let head = heads.first(where: { head in equal.count { $0.live.head == head } >= vouchers }) else {
                continue
            }
            let soundCount = equal.count(where: \.live.isSound)
            if parameters.mode.verifiesLater, soundCount < vouchers, !isPlanted(.unsoundListed) { continue }
            return .settled(LiveVersion(timestamp: timestamp, isSound: true, head: head))
        }
        return .open(Self.namers(votes))
    }

    private static func namers(_ votes: [Vote]) -> [NodeID: Timestamp] {
        Dictionary(votes.map { ($0.node, $0.live.timestamp) }) { first, _ in first }
    }

    // MARK: Prefixes

    private mutating func judgePrefixes(_ answers: [(key: NodeID, value: ListingAnswer)]) {
        var named: [[UInt8]: [ObjectKey: [Vote]]] = [:]
        for (node, answer) in answers {
            for told in answer.prefixes where covers(told.prefix) {
                // The first of each group is its witness; a liar may name any number.
                var seen: Set<GroupID> = []
                for witness in told.witnesses {
                    let group = parameters.configuration.group(of: witness.key.slot)
                    guard group.contains(node), seen.insert(group.id).inserted else { continue }
                    named[told.prefix, default: [:]][witness.key, default: []].append((node, witness.live))
                }
            }
        }
        prefixes = named.map { prefix, witnesses in
            let isLive = witnesses.values.contains {
                if case .settled = verdict($0) { true } else { isPlanted(.witnessBelieved) }
            }
            return (prefix, isLive ? .live : .open(witnesses: witnesses.mapValues(Self.namers)))
        }.sorted { $0.prefix.lexicographicallyPrecedes($1.prefix) }
        if prefixes.contains(where: { if case .open = $0.verdict { true } else { false } }) { isSettled = false }
    }
}

/// Too few servers of these groups have answered to list anything.
package struct ListingShortage: Error {
    package let groups: [Group]
}
