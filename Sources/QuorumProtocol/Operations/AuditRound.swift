// What the answers of a group's servers to one AUDIT say together, without I/O (docs/protocol.md, Audit).
//
// The fingerprints of a stripe's n fragments at one point are a codeword. One that n - f answers belong to is the only
// one, and the fragments of the correct servers among them are the value's: whoever contradicts it has a wrong fragment,
// or lies. Without such a codeword nobody is blamed, since two liars beside two slow servers could make it look as if
// another one were wrong.

import ErasureCode
import Fingerprint

/// How a server stands to one stripe.
package enum AuditStanding: UInt8, CaseIterable, Comparable, Sendable {
    /// Its fragment contradicts the others': it lies, or in the modes that do not verify at PREPARE, the writer did.
    case wrong
    /// It has not the fragment, or not the version.
    case missing
    /// It tells of a higher version instead.
    case ahead
    /// There is no good fragment for it: the writer lied.
    case void
    /// It cannot read it just now.
    case unreadable
    /// It did not answer for this stripe.
    case silent
    /// It tells of none and need not have one: the writer may have left it out.
    case spare

    /// Whether something is amiss with its fragment, as far as it can be told.
    package var isTrouble: Bool { self != .silent && self != .spare }

    package static func < (left: AuditStanding, right: AuditStanding) -> Bool { left.rawValue < right.rawValue }
}

/// A stripe that is not whole everywhere.
package struct AuditTrouble: Hashable, Sendable {
    package let key: ObjectKey
    package let timestamp: Timestamp
    package let stripe: UInt64
    /// Those whose fragments are not good, or not known to be.
    package var servers: [NodeID: AuditStanding]
    /// Whether the other fragments are known to be right.
    package var isConclusive: Bool

    package var place: AuditPlace { AuditPlace(key, stripe: stripe) }

    /// Whether more is amiss than that somebody did not answer.
    var isOne: Bool { !isConclusive || servers.values.contains(where: \.isTrouble) }
}

/// What one round of questions has shown.
package struct AuditFindings: Sendable {
    /// Stripes that more than f servers tell of.
    package var stripeCount: UInt64 = 0
    /// Stripes of which somebody's fragment is not good, in order; not those of which nothing is amiss but that some
    /// did not answer.
    package var troubles: [AuditTrouble] = []
    /// For how many of the stripes a server did not answer, and how many it need not have.
    package var untroubled: [NodeID: [AuditStanding: UInt64]] = [:]

    package init() {}

    /// Adds what the next round has shown.
    package mutating func add(_ next: AuditFindings) {
        stripeCount += next.stripeCount
        troubles += next.troubles
        untroubled.merge(next.untroubled) { $0.merging($1) { $0 + $1 } }
    }

    /// Keeps of the troubles what a second look at all of them has found as well. What is settled meanwhile, or of a
    /// version that another one has replaced, was none.
    package mutating func confirm(_ again: AuditFindings) {
        let found = Dictionary(
            again.troubles.map { (VersionStripe($0), $0) }, uniquingKeysWith: { first, _ in first })
        troubles = troubles.compactMap { first in
            guard let second = found[VersionStripe(first)] else { return nil }
            var both = first
            both.isConclusive = first.isConclusive || second.isConclusive
            both.servers = [:]
            for node in Set(first.servers.keys).union(second.servers.keys) {
                guard let standing = Self.standing(of: node, first, second) else { continue }
                both.servers[node] = standing
                if !standing.isTrouble, first.servers[node]?.isTrouble ?? true {
                    untroubled[node, default: [:]][standing, default: 0] += 1
                }
            }
            return both.isOne ? both : nil
        }
    }

    /// How a server stands by two looks at a stripe; nil: well.
    private static func standing(of node: NodeID, _ first: AuditTrouble, _ second: AuditTrouble) -> AuditStanding? {
        switch (first.servers[node], second.servers[node]) {
        case (.wrong, nil): second.isConclusive ? nil : .wrong
        case (nil, .wrong): first.isConclusive ? nil : .wrong
        // Who was wrong cannot get out of it by saying no more.
        case (.wrong, .silent), (.silent, .wrong): .wrong
        // The one that says less.
        case (let one?, let other?): max(one, other)
        case (nil, _), (_, nil): nil
        }
    }

    private struct VersionStripe: Hashable {
        let key: ObjectKey
        let timestamp: Timestamp
        let stripe: UInt64

        init(_ trouble: AuditTrouble) {
            key = trouble.key
            timestamp = trouble.timestamp
            stripe = trouble.stripe
        }
    }
}

/// The answers to one AUDIT of a group.
package struct AuditRound: Sendable {
    private let query: AuditQuery
    private let group: Group
    private let parameters: ClusterParameters
    private var answers: [NodeID: AuditAnswer] = [:]

    /// - Parameter query: what all are asked, whether with names or without.
    package init(_ query: AuditQuery, group: Group, parameters: ClusterParameters) {
        precondition(query.group == group.id)
        self.query = query
        self.group = group
        self.parameters = parameters
    }

    /// Takes the answer of a member to this or a narrower question. Whether it can be one.
    package mutating func take(_ answer: AuditAnswer, to asked: AuditQuery, from node: NodeID) -> Bool {
        guard group.contains(node), answer.answers(asked), asked.from == query.from else { return false }
        // Who was not asked about all of it goes on where the question ended.
        answers[node] = AuditAnswer(versions: answer.versions, next: answer.next ?? asked.before)
        return true
    }

    package var answerCount: Int { answers.count }
    package var silent: Set<NodeID> { Set(group.members).subtracting(answers.keys) }

    /// Whether enough servers have answered for fragments to be found right.
    package var isEnough: Bool { answers.count >= parameters.quorums.quorum }

    /// Where what is judged ends, and the next round begins; nil: all that was asked for is judged. Of those f + 1 that
    /// came least far one is correct, and has gone as far as it could: the others could stop at every stripe.
    ///
    /// Not beyond a stripe either of which more than f servers may have to tell, those counted that ended before it: where
    /// writers leave servers out, these may be what it lacks.
    package var end: AuditPlace? {
        let inOrder = ends.sorted()
        if isPlanted(.auditEndsFurthest) { return inOrder.count < answers.count ? nil : inOrder.last }
        let faults = parameters.quorums.faults
        let end = inOrder.count > faults ? inOrder[faults] : nil
        let untold = tellerCounts.filter { place, count in
            let ended = inOrder.count { $0 <= place }
            return count <= faults && count + ended > faults && query.contains(place) && end.map { place < $0 } ?? true
        }
        return untold.keys.min() ?? end
    }

    /// Where answers ended early.
    private var ends: [AuditPlace] {
        answers.values.compactMap { $0.next == query.before ? nil : $0.next }
    }

    /// How many servers tell of each stripe, of whatever version of which a name is known.
    private var tellerCounts: [AuditPlace: Int] {
        let named = named
        let numbered = named.flatMap { key, versions in versions.map { ($0.number, key) } }
        let keys = Dictionary(numbered, uniquingKeysWith: { first, _ in first })
        var counts: [AuditPlace: Int] = [:]
        for version in answers.values.flatMap(\.versions) {
            let key: ObjectKey? =
                switch version.name {
                case .named(let key, _): named[key] == nil ? nil : key
                case .numbered(let number): keys[number]
                }
            guard let key else { continue }
            for stripe in version.stripes { counts[AuditPlace(key, stripe: stripe), default: 0] += 1 }
        }
        return counts
    }

    /// Whether a version is only numbered that a correct server has: more than f servers tell of it, or may do so, and
    /// those that name what they have left it out, or have it not. Then others have to name what they have.
    package var lacksNames: Bool {
        let known = Set(named.flatMap(\.value).map(\.number))
        var counts: [UInt64: Int] = [:]
        for answer in answers.values {
            for case .numbered(let number) in answer.versions.map(\.name) where !known.contains(number) {
                counts[number, default: 0] += 1
            }
        }
        // Whoever ended before others may have it as well.
        let furthest = ends.count < answers.count ? nil : ends.max()
        let ended = ends.count { end in furthest.map { end < $0 } ?? true }
        return counts.values.contains { $0 + ended > parameters.quorums.faults }
    }

    /// - Parameter trusted: the members, those first that were right most often.
    package func findings(trusting trusted: [NodeID]) -> AuditFindings {
        var trusted = trusted
        var findings = AuditFindings()
        let told = answers.mapValues { answer in
            Dictionary(answer.versions.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        }
        let end = end
        for (key, versions) in named {
            let told = versions.map { version in
                ToldVersion(
                    key: key, timestamp: version.timestamp,
                    stripes: told.compactMapValues {
                        $0[.named(key, version.timestamp)] ?? $0[.numbered(version.number)]
                    })
            }.sorted { $0.timestamp < $1.timestamp }
            // What is complete is at q servers. What f servers tell of may be their invention; what more tell of is
            // committed, and what is below it counts no more.
            guard let place = told.lastIndex(where: { $0.stripes.count > tellersIgnored }) else { continue }
            let ahead = Set(told[(place + 1)...].flatMap(\.stripes.keys))
            look(at: told[place], until: end, ahead, &trusted, &findings)
        }
        findings.troubles.sort { $0.place < $1.place }
        return findings
    }

    /// So many may have made it up.
    private var tellersIgnored: Int { isPlanted(.auditedOnOneWord) ? 0 : parameters.quorums.faults }

    /// A version of which somebody has told the name.
    private struct ToldVersion {
        let key: ObjectKey
        let timestamp: Timestamp
        /// What is told of it.
        let stripes: [NodeID: AuditedStripes]
    }

    /// What a server tells of a stripe.
    private struct ToldFragment {
        let fragment: AuditedFragment
        let leavesSpares: Bool
    }

    /// - Parameter ahead: who tells of a higher version.
    private func look(
        at version: ToldVersion, until end: AuditPlace?, _ ahead: Set<NodeID>, _ trusted: inout [NodeID],
        _ findings: inout AuditFindings
    ) {
        for stripe in Set(version.stripes.values.flatMap(\.stripes)) {
            let place = AuditPlace(version.key, stripe: stripe)
            let isJudged = query.contains(place) && end.map { place < $0 } ?? true
            let telling = version.stripes.compactMapValues { told in
                told.fragment(of: stripe).map { ToldFragment(fragment: $0, leavesSpares: told.leavesSpares) }
            }
            guard isJudged, telling.count > tellersIgnored else { continue }
            findings.stripeCount += 1
            let (servers, isConclusive) = judge(place, telling, ahead, trusted)
            for (node, standing) in servers where !standing.isTrouble {
                findings.untroubled[node, default: [:]][standing, default: 0] += 1
            }
            // Who is wrong once is so again as a rule.
            let wrong = trusted.filter { servers[$0] == .wrong }
            if !wrong.isEmpty { trusted = trusted.filter { !wrong.contains($0) } + wrong }
            let trouble = AuditTrouble(
                key: version.key, timestamp: version.timestamp, stripe: stripe, servers: servers,
                isConclusive: isConclusive)
            if trouble.isOne { findings.troubles.append(trouble) }
        }
    }

    /// The versions that somebody names, of objects of the group, with the numbers that stand for them.
    private var named: [ObjectKey: [(timestamp: Timestamp, number: UInt64)]] {
        var seen: Set<AuditedName> = []
        var named: [ObjectKey: [(timestamp: Timestamp, number: UInt64)]] = [:]
        for answer in answers.values {
            for case .named(let key, let timestamp) in answer.versions.map(\.name)
            where seen.insert(.named(key, timestamp)).inserted
                && parameters.configuration.group(of: key.slot).id == group.id
            {
                named[key, default: []].append((timestamp, AuditedName.number(of: key, timestamp, at: query.point)))
            }
        }
        return named
    }

    private func judge(
        _ place: AuditPlace, _ telling: [NodeID: ToldFragment], _ ahead: Set<NodeID>, _ trusted: [NodeID]
    ) -> (servers: [NodeID: AuditStanding], isConclusive: Bool) {
        guard let key = place.key else { preconditionFailure("a stripe of no object") }
        let placement = parameters.placement(of: key)
        // That there are spares is one of those things that f servers may make up.
        let leavesSpares = telling.values.count(where: \.leavesSpares) > parameters.quorums.faults
        var servers: [NodeID: AuditStanding] = [:]
        var untold: [NodeID] = []
        var held: [(index: FragmentIndex, fingerprint: Fingerprint)] = []
        for node in trusted {
            guard let position = placement.position(of: node) else { continue }
            let isSpare = leavesSpares && parameters.quorums.spares.contains(position)
            switch telling[node]?.fragment {
            case .held(let fingerprint): held.append((position.fragmentIndex, fingerprint))
            case .missing: servers[node] = .missing
            case .void: servers[node] = .void
            case .unreadable: servers[node] = .unreadable
            case nil where ahead.contains(node): servers[node] = .ahead
            case nil:
                // Who has told of what lies behind has not the version.
                let hasPassed = answers[node].map { answer in answer.next.map { place < $0 } ?? true } ?? false
                servers[node] = hasPassed && isSpare ? .spare : .silent
                if hasPassed, !isSpare { untold.append(node) }
            }
        }
        let code = parameters.quorums.code
        let correctCount = parameters.quorums.serverCount - parameters.quorums.faults
        guard let contradicting = code.contradictions(among: held, agreeing: correctCount) else {
            if isPlanted(.auditBlamesUnproven) {
                for (index, _) in held { servers[placement.nodes[index.offset]] = .wrong }
            }
            return (servers, false)
        }
        // That the others should have it is known only now: it may be what liars say of one that is behind.
        for node in untold { servers[node] = .missing }
        for index in contradicting { servers[placement.nodes[index.offset]] = .wrong }
        return (servers, true)
    }
}
