// Timestamps: the order of an object's versions, and the names of their values.

import Fingerprint

/// A version's name: (counter, writer, digest of its descriptor), ordered lexicographically. Since the digest is part
/// of it, one timestamp never names two values, whoever wrote it (docs/protocol.md, Timestamps).
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The encoded size in bytes.
    package static let sizeBytes = 8 + 16 + 32

    /// Counts an object's versions from 1.
    public let counter: UInt64
    public let writer: ClientID
    /// The SHA-256 of the version's descriptor.
    public let digest: Digest256

    package init(counter: UInt64, writer: ClientID, digest: Digest256) {
        self.counter = counter
        self.writer = writer
        self.digest = digest
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        if left.counter != right.counter { return left.counter < right.counter }
        if left.writer != right.writer { return left.writer < right.writer }
        return left.digest < right.digest
    }

    /// All of it: a server may claim any timestamps, also ones that agree in a part.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(counter)
        hasher.combine(writer.high)
        hasher.combine(writer.low)
        hasher.combine(digest)
    }

    public var description: String {
        "\(counter)@\(writer.description.prefix(8)):\(digest.description.prefix(8))"
    }
}

extension Timestamp {
    /// All of it as text, COUNTER@WRITER:DIGEST, for scripts and to be asked for by.
    public var fullName: String { "\(counter)@\(writer):\(digest)" }

    /// The timestamp of a full name; nil for any other text.
    public init?(fullName text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, let counter = UInt64(parts[0]), String(counter) == parts[0] else { return nil }
        let names = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        guard names.count == 2, let writer = ClientID(hexadecimal: String(names[0])),
            let digest = Digest256(hexadecimal: String(names[1]))
        else { return nil }
        self.init(counter: counter, writer: writer, digest: digest)
    }

    /// Whether `other` names a newer version; no version at all is the oldest.
    package func precedes(_ other: Timestamp?) -> Bool { other.map { self < $0 } ?? false }
}

extension Optional<Timestamp> {
    /// The highest counter so far, where no version at all counts as 0.
    package var counter: UInt64 { self?.counter ?? 0 }

    /// Whether this claim names an older version than `other`; no version at all is the oldest.
    package func precedes(_ other: Timestamp?) -> Bool {
        switch (self, other) {
        case (_, nil): false
        case (nil, _): true
        case (let mine?, let theirs?): mine < theirs
        }
    }
}
