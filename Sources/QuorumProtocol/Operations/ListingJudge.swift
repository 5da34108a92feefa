// What several servers' answers to LIST say together (docs/protocol.md, Listing), without I/O.
//
// A write that was complete before the listing began is at q of its group's servers, and q + 2f + 1 = n + f + 1: of any
// 2f + 1 answers one comes from a correct server that has it, and would name it or something later. So what 2f + 1 name
// alike is the object, and what none of 2f + 1 names does not exist. Everything else is *open*, and has to be read.

/// A listing's answers, judged as far as they go.
package struct ListingJudge {
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

    /// In the order of keys.
    package private(set) var keys: [(key: ObjectKey, verdict: Verdict)] = []
    /// In order.
    package private(set) var prefixes: [(prefix: [UInt8], verdict: PrefixVerdict)] = []
    /// Everything below this is judged; nil when that is all there is.
    package private(set) var below: [UInt8]?

    /// - Parameters:
    ///   - answers: such as `ListingAnswer.answers(query)` says of.
    ///   - parameters: the cluster that is asked.
    /// - Throws: which groups have too few answers.
    package init(
        _ query: ListingQuery, _ answers: [NodeID: ListingAnswer], _ parameters: ClusterParameters
    ) throws(ListingShortage) {
        let need = ListingJudge.answersNeeded(parameters)
        var short: [Group] = []
        for group in parameters.configuration.groups {
            // The furthest first; nil is the furthest of all.
            let ends = group.members.compactMap { answers[$0] }.map(\.below).sorted { Self.isBelow($1, $0) }
            guard ends.count >= need else {
                short.append(group)
                continue
            }
            if Self.isBelow(ends[need - 1], below) { below = ends[need - 1] }
        }
        guard short.isEmpty else { throw ListingShortage(groups: short) }
        judgeKeys(answers, parameters)
        judgePrefixes(answers, parameters)
    }

    /// How many servers of a group have to tell of a key.
    package static func answersNeeded(_ parameters: ClusterParameters) -> Int { 2 * parameters.quorums.faults + 1 }

    /// Whether the first end comes before the second; nil is behind all others.
    private static func isBelow(_ first: [UInt8]?, _ second: [UInt8]?) -> Bool {
        guard let first else { return false }
        return second.map { first.lexicographicallyPrecedes($0) } ?? true
    }

    private func covers(_ bytes: [UInt8]) -> Bool { below.map { bytes.lexicographicallyPrecedes($0) } ?? true }

    private mutating func judgeKeys(_ answers: [NodeID: ListingAnswer], _ parameters: ClusterParameters) {
        var named: [ObjectKey: [(node: NodeID, live: LiveVersion)]] = [:]
        for (node, answer) in answers {
            for object in answer.objects where covers(object.key.bytes) {
                // A node has no business with the keys of groups that it is not in.
                guard parameters.configuration.group(of: object.key.slot).contains(node) else { continue }
                named[object.key, default: []].append((node, object.live))
            }
        }
        keys = named.map { ($0.key, Self.verdict($0.value, parameters)) }.sorted { $0.key < $1.key }
    }

    private static func verdict(
        _ votes: [(node: NodeID, live: LiveVersion)], _ parameters: ClusterParameters
    ) -> Verdict {
        let vouchers = parameters.quorums.vouchers
        for timestamp in Set(votes.map(\.live.timestamp)) {
            let equal = votes.filter { $0.live.timestamp == timestamp }
            guard equal.count >= answersNeeded(parameters) else { continue }
            // One of f + 1 that say the same of it is correct, and has it from the descriptor.
            let heads = Set(equal.compactMap(\.live.head))
            guard let head = heads.first(where: { head in equal.count { $0.live.head == head } >= vouchers }) else {
                continue
            }
            if parameters.mode.verifiesLater, equal.count(where: \.live.isSound) < vouchers { continue }
            return .settled(LiveVersion(timestamp: timestamp, isSound: true, head: head))
        }
        return .open(namers(votes))
    }

    private static func namers(_ votes: [(node: NodeID, live: LiveVersion)]) -> [NodeID: Timestamp] {
        Dictionary(votes.map { ($0.node, $0.live.timestamp) }) { first, _ in first }
    }

    private mutating func judgePrefixes(_ answers: [NodeID: ListingAnswer], _ parameters: ClusterParameters) {
        var named: [[UInt8]: [ObjectKey: [(node: NodeID, live: LiveVersion)]]] = [:]
        for (node, answer) in answers {
            for listed in answer.prefixes where covers(listed.prefix) {
                // The first of each group is its witness; a liar may name any number.
                var told: Set<GroupID> = []
                for witness in listed.witnesses {
                    let group = parameters.configuration.group(of: witness.key.slot)
                    guard group.contains(node), told.insert(group.id).inserted else { continue }
                    named[listed.prefix, default: [:]][witness.key, default: []].append((node, witness.live))
                }
            }
        }
        prefixes = named.map { prefix, witnesses in
            let isLive = witnesses.values.contains {
                if case .settled = Self.verdict($0, parameters) { true } else { false }
            }
            return (prefix, isLive ? .live : .open(witnesses: witnesses.mapValues(Self.namers)))
        }.sorted { $0.prefix.lexicographicallyPrecedes($1.prefix) }
    }
}

/// Too few servers of these groups have answered to list anything.
package struct ListingShortage: Error {
    package let groups: [Group]
}
