// What a server durably knows of one object: which version is committed, with its certificate, and which it holds.

import Fingerprint

/// A version whose descriptor (and, as `holdsFragments` says, whose fragments) are in the store.
package struct HeldVersion: Hashable, Sendable {
    package let timestamp: Timestamp
    /// Whether this server's fragments were stored with it; a version without stripes counts as held.
    package var holdsFragments: Bool
    /// When a higher version was committed, in milliseconds of the server's clock; nil while none is.
    package var supersededMilliseconds: UInt64?

    package init(timestamp: Timestamp, holdsFragments: Bool, supersededMilliseconds: UInt64? = nil) {
        self.timestamp = timestamp
        self.holdsFragments = holdsFragments
        self.supersededMilliseconds = supersededMilliseconds
    }
}

/// The durable state of one object at one server.
///
/// A held version is *pending* when its timestamp is above the committed one, *current* when equal, *retained* when
/// below: its role follows from the order, so that no flag can contradict it.
package struct ObjectRecord: Hashable, Sendable {
    /// The highest version known to be committed, as its certificate proves.
    package var committed: Certificate?
    /// In ascending order of timestamps.
    package var held: [HeldVersion]

    package init() {
        committed = nil
        held = []
    }

    package func version(_ timestamp: Timestamp) -> HeldVersion? {
        held.first { $0.timestamp == timestamp }
    }

    package func pending(of client: ClientID) -> [HeldVersion] {
        held.filter { $0.timestamp.writer == client && committed?.timestamp.precedes($0.timestamp) ?? true }
    }

    package var retained: [HeldVersion] {
        guard let committed else { return [] }
        return held.filter { $0.timestamp < committed.timestamp }
    }

    mutating func hold(_ version: HeldVersion) {
        held.removeAll { $0.timestamp == version.timestamp }
        let position = held.firstIndex { $0.timestamp > version.timestamp } ?? held.endIndex
        held.insert(version, at: position)
    }

    /// When the first retained version is due to be dropped.
    package func nextExpiryMilliseconds(retention: UInt64) -> UInt64? {
        held.compactMap { $0.supersededMilliseconds }.min().map { $0 &+ retention }
    }
}

extension ObjectRecord {
    private static let heldCountMax = 1 << 16

    /// The canonical bytes in which the store keeps the record.
    package var bytes: [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 1024)
        encoder.append(tag: "solidus.object.1")
        encoder.append(UInt8(committed == nil ? 0 : 1))
        committed?.encode(into: &encoder)
        encoder.append(UInt32(held.count))
        for version in held {
            encoder.append(version.timestamp)
            encoder.append(UInt8(version.holdsFragments ? 1 : 0))
            encoder.append(UInt8(version.supersededMilliseconds == nil ? 0 : 1))
            encoder.append(version.supersededMilliseconds ?? 0)
        }
        return encoder.bytes
    }

    /// - Throws: when the store's bytes are no record; the disk may have changed them.
    package init(decoding bytes: [UInt8]) throws(MalformedEncoding) {
        var decoder = CanonicalDecoder(bytes)
        try decoder.expect(tag: "solidus.object.1", "record format")
        committed = try decoder.flag("committed") ? try Certificate(from: &decoder) : nil
        let heldCount = try decoder.count("held versions", as: UInt32.self, limit: Self.heldCountMax)
        held = []
        for _ in 0..<heldCount {
            let timestamp = try decoder.timestamp("held version")
            if let last = held.last, last.timestamp >= timestamp { throw .notCanonical(field: "held versions' order") }
            let holdsFragments = try decoder.flag("holds fragments")
            let isSuperseded = try decoder.flag("superseded")
            let milliseconds: UInt64 = try decoder.integer("superseded at")
            guard isSuperseded || milliseconds == 0 else { throw .notCanonical(field: "superseded at") }
            held.append(
                HeldVersion(
                    timestamp: timestamp, holdsFragments: holdsFragments,
                    supersededMilliseconds: isSuperseded ? milliseconds : nil))
        }
        try decoder.finish()
    }

    /// Which of the record's invariants is broken, or nil.
    package var brokenInvariant: String? {
        let committed = committed?.timestamp
        for position in held.indices {
            let timestamp = held[position].timestamp
            if position > 0, held[position - 1].timestamp >= timestamp {
                return "held versions are not in ascending order"
            }
            if timestamp.precedes(committed) != (held[position].supersededMilliseconds != nil) {
                return "version \(timestamp) is marked superseded exactly when it is not"
            }
        }
        return nil
    }
}
