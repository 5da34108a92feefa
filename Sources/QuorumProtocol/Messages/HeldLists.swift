// What a server has of an object beside what READ brings: versions that are still kept, and what is staged to an upload
// (docs/protocol.md, Versions and Going on with an upload). None of it is signed: a lying server says what it likes.

import Fingerprint

/// "What do you hold of this object?"
package final class ListHeld: Equatable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The versions that are committed or were.
        case versions
        /// What is staged to this upload, whoever staged it.
        case upload(UploadID)
        /// The uploads to which this client has staged what no version holds. The sender is that client, or
        /// administers the bucket.
        case uploads(of: ClientID)
    }

    package let key: ObjectKey
    package let kind: Kind

    package init(key: ObjectKey, kind: Kind) {
        self.key = key
        self.kind = kind
    }

    package static func == (left: ListHeld, right: ListHeld) -> Bool {
        left === right || left.key == right.key && left.kind == right.kind
    }
}

/// What a server holds.
package enum HeldList: Equatable, Sendable {
    /// In ascending order: versions that were the object's committed one here, the last of which may be it still.
    case versions([KeptVersion])
    /// In the order of their names.
    case staged([StagedStatus])
    /// In the order of their names.
    case uploads([UploadStatus])
}

/// An upload that is not over, as one server has it.
package struct UploadStatus: Hashable, Sendable {
    package let upload: UploadID
    /// Its parts, each attempt at one counted.
    package let attempts: UInt32
    /// What its client is charged for stripes of it that no version holds.
    package let chargedBytes: UInt64
    /// The server's clock when a stripe of it was last staged, in milliseconds since 1970.
    package let lastMilliseconds: UInt64

    package init(upload: UploadID, attempts: UInt32, chargedBytes: UInt64, lastMilliseconds: UInt64) {
        self.upload = upload
        self.attempts = attempts
        self.chargedBytes = chargedBytes
        self.lastMilliseconds = lastMilliseconds
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(upload)
        encoder.append(attempts)
        encoder.append(chargedBytes)
        encoder.append(lastMilliseconds)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        upload = try decoder.name("upload")
        attempts = try decoder.integer("attempts")
        chargedBytes = try decoder.integer("charged")
        lastMilliseconds = try decoder.integer("last staged")
    }
}

/// A version that a server had committed, knows to be sound, and still holds.
package struct KeptVersion: Hashable, Sendable {
    package let timestamp: Timestamp
    /// What its descriptor says; nil for a tombstone.
    package let head: ListedHead?

    package init(timestamp: Timestamp, head: ListedHead?) {
        self.timestamp = timestamp
        self.head = head
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(timestamp)
        encoder.append(UInt8(head == nil ? 0 : 1))
        head?.encode(into: &encoder)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        timestamp = try decoder.timestamp("kept version")
        head = try decoder.flag("head") ? try ListedHead(from: &decoder) : nil
    }
}

/// How far an attempt has come at one server.
package struct StagedStatus: Hashable, Sendable {
    package let attempt: AttemptName
    package let stripeSizeBytes: UInt32
    package let stripes: StripeRanges
    /// Whether its stager is done with it, by a commit or DISCARD.
    package let isSpent: Bool

    package init(attempt: AttemptName, stripeSizeBytes: UInt32, stripes: StripeRanges, isSpent: Bool) {
        self.attempt = attempt
        self.stripeSizeBytes = stripeSizeBytes
        self.stripes = stripes
        self.isSpent = isSpent
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        attempt.encode(into: &encoder)
        encoder.append(stripeSizeBytes)
        encoder.append(UInt8(isSpent ? 1 : 0))
        stripes.encode(into: &encoder)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        attempt = try AttemptName(from: &decoder)
        stripeSizeBytes = try decoder.integer("stripe size")
        isSpent = try decoder.flag("spent")
        stripes = try StripeRanges(from: &decoder)
    }
}

extension HeldList {
    /// Bounds what an answer tells, the newest ones: readers' pins may keep more.
    package static let versionsMax = 1 << 12

    /// What a record says.
    init(_ kind: ListHeld.Kind, of record: ObjectRecord) {
        switch kind {
        case .versions:
            self = .versions(
                record.held.filter { $0.wasCommitted || $0.timestamp == record.committedTimestamp }
                    .suffix(Self.versionsMax).map { KeptVersion(timestamp: $0.timestamp, head: $0.head) })
        case .upload(let upload):
            self = .staged(
                record.staged.filter { $0.name.upload == upload }.map {
                    StagedStatus(
                        attempt: $0.name, stripeSizeBytes: $0.stripeSizeBytes,
                        stripes: $0.good.first(StagedLimits.rangesMax),
                        isSpent: $0.isSpent)
                })
        case .uploads(let stager):
            self = .uploads(record.uploads(of: stager))
        }
    }
}
