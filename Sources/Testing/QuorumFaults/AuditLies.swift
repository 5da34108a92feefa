// Lies to auditors, against Audit: that a server has what it has not, has not what it has, and whatever keeps an audit
// from coming to an end. They go beside whatever else a server lies about.

import Fingerprint
import QuorumProtocol

/// Every way in which a server can lie to an auditor.
package enum AuditLie: String, CaseIterable, Sendable {
    /// Tells random fingerprints of all that it has.
    case randomFingerprints = "random-fingerprints"
    /// Has discarded a tenth of its fragments of large values, and tells random fingerprints of these.
    case discardedFragments = "discarded-fragments"
    /// Tells of nothing, as if it had nothing.
    case omission
    /// Tells of versions that nobody wrote.
    case invention
    /// Tells of one stripe at a time.
    case earlyEnd = "early-end"
    /// Answers what was not asked.
    case otherPlaces = "other-places"
    case silence
    /// Any of these, answer by answer, and the truth.
    case mixture
}

/// A server's way of lying to auditors, around honest answers. It draws from a generator of its own.
package struct AuditLiar {
    private let lie: AuditLie
    private var generator: SeededGenerator

    package init(_ lie: AuditLie, seed: UInt64) {
        self.lie = lie
        generator = SeededGenerator(seed: seed &* 0x9fb2_1c65_1e98_df25 &+ 13)
    }

    /// What it answers instead; nil for nothing. What it makes up may be no answer at all.
    package mutating func answer(_ query: AuditQuery, _ honest: AuditAnswer) -> AuditAnswer? {
        guard lie == .mixture else { return answer(query, honest, lie) }
        let drawn = AuditLie.allCases[generator.below(AuditLie.allCases.count)]
        return drawn == .mixture ? honest : answer(query, honest, drawn)
    }

    private mutating func answer(_ query: AuditQuery, _ honest: AuditAnswer, _ lie: AuditLie) -> AuditAnswer? {
        switch lie {
        case .randomFingerprints: altered(honest) { _ in true }
        case .discardedFragments: altered(honest) { $0 % 10 == 3 }
        case .omission: AuditAnswer(versions: [], next: honest.next)
        case .invention:
            AuditAnswer(versions: invented(query) ?? honest.versions, next: honest.next)
        case .earlyEnd: early(query, honest)
        case .otherPlaces: AuditAnswer(versions: honest.versions, next: query.from)
        case .silence: nil
        case .mixture: honest
        }
    }

    private mutating func altered(
        _ honest: AuditAnswer, where isAltered: (_ stripe: UInt64) -> Bool
    ) -> AuditAnswer {
        let versions = honest.versions.map { version in
            let fragments = zip(version.stripes, version.fragments).map { stripe, fragment in
                let random = Fingerprint(bytes: (0..<16).map { _ in UInt8(generator.below(256)) })
                guard let random, isAltered(stripe) else { return fragment }
                return AuditedFragment.held(random)
            }
            return AuditedStripes(
                version.name, first: version.first, fragments: fragments, leavesSpares: version.leavesSpares)
        }
        return AuditAnswer(versions: versions, next: honest.next)
    }

    private func early(_ query: AuditQuery, _ honest: AuditAnswer) -> AuditAnswer {
        let nextSlot = Int(query.from.slot.rawValue) + 1
        var next = nextSlot < Slot.count ? AuditPlace(Slot(UInt16(nextSlot))) : nil
        let first = honest.versions.first.map {
            AuditedStripes($0.name, first: $0.first, fragments: Array($0.fragments.prefix(1)))
        }
        if let first, case .named(let key, _) = first.name { next = AuditPlace(key, stripe: first.first + 1) }
        guard let next, query.contains(next) else { return honest }
        return AuditAnswer(versions: first.map { [$0] } ?? [], next: next)
    }

    /// One that it would have if somebody had written it; nil where names are not told.
    private mutating func invented(_ query: AuditQuery) -> [AuditedStripes]? {
        guard query.wantsNames else { return nil }
        let key = (0..<1000).lazy.compactMap { try? ObjectKey("invented/\($0)") }.first {
            query.contains(AuditPlace($0))
        }
        guard let key else { return nil }
        let timestamp = Timestamp(counter: 1 << 40, writer: ClientID(high: 1, low: 1), digest: .sha256(key.bytes))
        return [AuditedStripes(.named(key, timestamp), first: 0, fragments: [.missing])]
    }
}
