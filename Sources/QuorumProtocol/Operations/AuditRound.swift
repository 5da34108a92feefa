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
    /// Its fragment contradicts the others'.
    case wrong
    /// It has not the fragment, or not the version.
    case missing
    /// There is no good fragment for it: the writer lied.
    case void
    /// It cannot read it just now.
    case unreadable
    /// It did not answer for this stripe.
    case silent

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
}

/// What one round of questions has shown.
package struct AuditFindings: Sendable {
    /// Stripes that more than f servers tell of.
    package var stripeCount: UInt64 = 0
    /// Stripes of which somebody's fragment is not good, in order; not those of which only the silent servers' are not
    /// known.
    package var troubles: [AuditTrouble] = []
    /// Servers that answered nothing.
    package var silent: Set<NodeID> = []

    package init() {}

    /// Keeps of the troubles what a second look has found as well. What is settled meanwhile, or of a version that
    /// another one has replaced, was none.
    ///
    /// - Parameter end: how far the second look went; nil: as far as was asked.
    package mutating func confirm(_ again: AuditFindings, upTo end: AuditPlace?) {
        let found = Dictionary(
            again.troubles.map { (VersionStripe($0), $0) }, uniquingKeysWith: { first, _ in first })
        troubles = troubles.compactMap { trouble in
            if let end, trouble.place >= end { return trouble }
            guard let second = found[VersionStripe(trouble)] else { return nil }
            var confirmed = trouble
            confirmed.isConclusive = second.isConclusive
            // Of two standings the one that says less.
            confirmed.servers = trouble.servers.reduce(into: [:]) { servers, first in
                servers[first.key] = second.servers[first.key].map { max($0, first.value) }
            }
            let isTrouble = !confirmed.isConclusive || confirmed.servers.keys.contains { !silent.contains($0) }
            return isTrouble ? confirmed : nil
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

    /// Whether enough servers have answered for fragments to be found right.
    package var isEnough: Bool { answers.count >= parameters.quorums.quorum }

    /// Where what is judged ends, and the next round begins; nil: all that was asked for is judged. Of those f + 1 that
    /// came least far one is correct, and has gone as far as it could: the others could stop at every stripe.
    package var end: AuditPlace? {
        let ends = answers.values.map { $0.next == query.before ? nil : $0.next }
        let inOrder = ends.sorted { left, right in left.map { left in right.map { left < $0 } ?? true } ?? false }
        return inOrder.dropFirst(parameters.quorums.faults).first.flatMap { $0 }
    }

    /// - Parameter trusted: the members, those first that were right most often.
    package func findings(trusting trusted: [NodeID]) -> AuditFindings {
        var findings = AuditFindings()
        findings.silent = Set(group.members).subtracting(answers.keys)
        let told = answers.mapValues { answer in
            Dictionary(answer.versions.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        }
        let end = end
        for (key, timestamp) in named {
            let name = AuditedName.named(key, timestamp)
            let number = AuditedName.numbered(AuditedName.number(of: key, timestamp, at: query.point))
            let versions = told.compactMapValues { $0[name] ?? $0[number] }
            for stripe in Set(versions.values.flatMap(\.stripes)) {
                let place = AuditPlace(key, stripe: stripe)
                let isJudged = query.contains(place) && end.map { place < $0 } ?? true
                let telling = versions.compactMapValues { $0.fragment(of: stripe) }
                // What is complete is at q servers. What f servers tell of may be their invention.
                guard isJudged, telling.count > parameters.quorums.faults else { continue }
                findings.stripeCount += 1
                let (servers, isConclusive) = judge(place, telling, trusted)
                let isTrouble = !isConclusive || servers.keys.contains { answers[$0] != nil }
                guard isTrouble else { continue }
                findings.troubles.append(
                    AuditTrouble(
                        key: key, timestamp: timestamp, stripe: stripe, servers: servers, isConclusive: isConclusive))
            }
        }
        findings.troubles.sort { $0.place < $1.place }
        return findings
    }

    /// The versions that somebody names, of objects of the group.
    private var named: [(key: ObjectKey, timestamp: Timestamp)] {
        var seen: Set<AuditedName> = []
        var named: [(key: ObjectKey, timestamp: Timestamp)] = []
        for answer in answers.values {
            for case .named(let key, let timestamp) in answer.versions.map(\.name)
            where seen.insert(.named(key, timestamp)).inserted
                && parameters.configuration.group(of: key.slot).id == group.id
            {
                named.append((key, timestamp))
            }
        }
        return named
    }

    private func judge(
        _ place: AuditPlace, _ telling: [NodeID: AuditedFragment], _ trusted: [NodeID]
    ) -> (servers: [NodeID: AuditStanding], isConclusive: Bool) {
        guard let key = place.key else { preconditionFailure("a stripe of no object") }
        let placement = parameters.placement(of: key)
        var servers: [NodeID: AuditStanding] = [:]
        var held: [(index: FragmentIndex, fingerprint: Fingerprint)] = []
        for node in trusted {
            guard let position = placement.position(of: node) else { continue }
            switch telling[node] {
            case .held(let fingerprint): held.append((position.fragmentIndex, fingerprint))
            case .missing: servers[node] = .missing
            case .void: servers[node] = .void
            case .unreadable: servers[node] = .unreadable
            case nil:
                // Who has told of what lies behind has not the version.
                let hasPassed = answers[node].map { answer in answer.next.map { place < $0 } ?? true } ?? false
                servers[node] = hasPassed ? .missing : .silent
            }
        }
        let code = parameters.quorums.code
        guard let contradicting = code.contradictions(among: held, agreeing: parameters.quorums.quorum) else {
            return (servers, false)
        }
        for index in contradicting { servers[placement.nodes[index.offset]] = .wrong }
        return (servers, true)
    }
}
