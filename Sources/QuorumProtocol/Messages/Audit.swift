// AUDIT and what answers it (docs/protocol.md, Audit): fingerprints of a server's fragments at a point that the auditor
// draws when it asks. Nobody can have prepared them, and they are a few bytes however large the fragments are.

import Fingerprint

/// A stripe's place among all that a group has: by slots, keys, and stripes of a version.
package struct AuditPlace: Hashable, Comparable, Sendable {
    package let slot: Slot
    /// nil: before the slot's first object.
    package let key: ObjectKey?
    package let stripe: UInt64

    package init(_ key: ObjectKey, stripe: UInt64 = 0) {
        slot = key.slot
        self.key = key
        self.stripe = stripe
    }

    /// Before a slot's first object.
    package init(_ slot: Slot) {
        self.slot = slot
        key = nil
        stripe = 0
    }

    /// Behind this stripe of its version.
    package var successor: AuditPlace { key.map { AuditPlace($0, stripe: stripe + 1) } ?? self }

    package static func < (left: AuditPlace, right: AuditPlace) -> Bool {
        if left.slot != right.slot { return left.slot < right.slot }
        guard left.key != right.key else { return left.stripe < right.stripe }
        guard let leftKey = left.key else { return true }
        return right.key.map { leftKey < $0 } ?? false
    }
}

/// "What are the fingerprints at this point of your fragments of the versions that are committed?"
package struct AuditQuery: Equatable, Sendable {
    /// Stripes in one answer.
    package static let stripesMax = 1000
    package static let pointSizeBytes = Fingerprint.sizeBytes

    package let group: GroupID
    /// Stripes from here on.
    package let from: AuditPlace
    /// And before this; nil: up to the last one.
    package let before: AuditPlace?
    /// Only of this bucket; nil: of all.
    package let bucket: String?
    /// The point, as `FingerprintPoint` takes it.
    package let point: [UInt8]
    /// Whether versions are to be named, or only numbered.
    package let wantsNames: Bool

    package init(
        group: GroupID, from: AuditPlace, before: AuditPlace? = nil, bucket: String? = nil, point: [UInt8],
        wantsNames: Bool
    ) {
        precondition(point.count == Self.pointSizeBytes)
        self.group = group
        self.from = from
        self.before = before
        self.bucket = bucket
        self.point = point
        self.wantsNames = wantsNames
    }

    package func contains(_ place: AuditPlace) -> Bool { place >= from && before.map { place < $0 } ?? true }
}

/// A version in an answer.
package enum AuditedName: Hashable, Sendable {
    case named(ObjectKey, Timestamp)
    /// By a number that whoever knows its name finds out: `AuditedName.number`.
    case numbered(UInt64)

    /// The number of a version in answers at this point. Nobody knows it before the point is drawn, so that nobody makes
    /// versions with the same one.
    package static func number(of key: ObjectKey, _ timestamp: Timestamp, at point: [UInt8]) -> UInt64 {
        var encoder = CanonicalEncoder(reservingBytes: 256)
        encoder.append(tag: "solidus.audited.1")
        encoder.append(raw: point)
        encoder.append(counted: key.bytes)
        encoder.append(timestamp)
        let digest = Digest256.sha256(encoder.bytes)
        return digest.withUnsafeBytes { $0.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
    }
}

/// What a server has of one stripe.
package enum AuditedFragment: Hashable, Sendable {
    case held(Fingerprint)
    /// Lost, or it never came.
    case missing
    /// There is no good one for this server's position.
    case void
    /// It cannot be read just now.
    case unreadable
}

/// Consecutive stripes of one version.
package struct AuditedStripes: Equatable, Sendable {
    package let name: AuditedName
    package let first: UInt64
    package let fragments: [AuditedFragment]
    /// Whether the writer may have left f servers without fragments (docs/protocol.md, Partial writes).
    package let leavesSpares: Bool

    package init(_ name: AuditedName, first: UInt64, fragments: [AuditedFragment], leavesSpares: Bool = false) {
        precondition(!fragments.isEmpty)
        self.name = name
        self.first = first
        self.fragments = fragments
        self.leavesSpares = leavesSpares
    }

    package var stripes: Range<UInt64> { first..<first + UInt64(fragments.count) }

    func fragment(of stripe: UInt64) -> AuditedFragment? {
        stripes.contains(stripe) ? fragments[Int(stripe - first)] : nil
    }
}

/// What a server answers.
package struct AuditAnswer: Equatable, Sendable {
    /// Each version once, in the order of their keys.
    package let versions: [AuditedStripes]
    /// Where the next answer begins; nil: this one goes to the end of what was asked for.
    package let next: AuditPlace?

    package init(versions: [AuditedStripes], next: AuditPlace?) {
        self.versions = versions
        self.next = next
    }

    /// Whether it can be the answer to a question.
    func answers(_ query: AuditQuery) -> Bool {
        if let next, next <= query.from || !query.contains(next) { return false }
        var last: ObjectKey?
        var numbers: Set<UInt64> = []
        for version in versions {
            switch version.name {
            case .named(let key, _):
                guard query.wantsNames, last.map({ $0.slot < key.slot || $0.slot == key.slot && $0 < key }) ?? true,
                    query.contains(AuditPlace(key, stripe: version.first))
                else { return false }
                last = key
            case .numbered(let number):
                guard !query.wantsNames, numbers.insert(number).inserted else { return false }
            }
        }
        return true
    }
}

/// "Look whether you still have your fragment of this stripe": to a server that did not show it, or a wrong one.
package struct AuditDoubt: Hashable, Sendable {
    package enum Stripe: Hashable, Sendable {
        /// Of a version, counted through its parts.
        case ofVersion(Timestamp, UInt64)
        /// As it is staged.
        case staged(AttemptName, UInt32)
    }

    package let key: ObjectKey
    package let stripe: Stripe

    package init(key: ObjectKey, _ stripe: Stripe) {
        self.key = key
        self.stripe = stripe
    }
}
