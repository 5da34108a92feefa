// The bytes in which a store keeps a server's record of an object: one encoding for each record, and nothing else is one.

import Fingerprint

extension ObjectRecord {
    private static let heldCountMax = 1 << 16

    /// The canonical bytes in which the store keeps the record.
    package var bytes: [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 1024)
        encoder.append(tag: "solidus.object.9")
        encoder.append(UInt8(committed == nil ? 0 : 1))
        committed?.encode(into: &encoder)
        encoder.append(UInt32(unverified.count))
        for version in unverified { version.encode(into: &encoder) }
        encoder.append(UInt32(poisonous.count))
        for version in poisonous { version.encode(into: &encoder) }
        encoder.append(UInt8(contents.condemned == nil ? 0 : 1))
        contents.condemned?.encode(into: &encoder)
        encoder.append(UInt8(verificationDueMilliseconds == nil ? 0 : 1))
        encoder.append(verificationDueMilliseconds ?? 0)
        encoder.append(UInt32(held.count))
        for version in held {
            encoder.append(version.timestamp)
            encoder.append(version.fragments.rawValue)
            encoder.append(version.delivery.rawValue)
            encoder.append(UInt8(version.head == nil ? 0 : 1))
            version.head?.encode(into: &encoder)
            encoder.append(version.sizeBytes)
            encoder.append(UInt8(version.supersededMilliseconds == nil ? 0 : 1))
            encoder.append(version.supersededMilliseconds ?? 0)
            encoder.append(UInt8(version.wasCommitted ? 1 : 0))
        }
        encodeStaged(into: &encoder)
        return encoder.bytes
    }

    /// - Throws: when the store's bytes are no record; the disk may have changed them.
    package init(decoding bytes: [UInt8]) throws(MalformedEncoding) {
        contents = Contents()
        var decoder = CanonicalDecoder(bytes)
        try decoder.expect(tag: "solidus.object.9", "record format")
        let committed = try decoder.flag("committed") ? try CommittedVersion(from: &decoder) : nil
        let unverified = try decoder.committedVersions(above: committed?.timestamp, countMax: Self.heldCountMax)
        let poisonous = try decoder.poisonousVersions(above: committed?.timestamp, countMax: Self.heldCountMax)
        if try decoder.flag("condemned") {
            let condemned = try CommittedVersion(from: &decoder)
            guard poisonous.contains(where: { $0.timestamp == condemned.timestamp }) else {
                throw .notCanonical(field: "condemned version")
            }
            contents.condemned = condemned
        }
        set(committed, unverified: unverified, poisonous: poisonous)
        let isDue = try decoder.flag("verification due")
        let due: UInt64 = try decoder.integer("verification due at")
        guard isDue || due == 0 else { throw .notCanonical(field: "verification due at") }
        verificationDueMilliseconds = isDue ? due : nil
        let heldCount = try decoder.count("held versions", as: UInt32.self, limit: Self.heldCountMax)
        for _ in 0..<heldCount {
            let timestamp = try decoder.timestamp("held version")
            if let last = held.last, last.timestamp >= timestamp { throw .notCanonical(field: "held versions' order") }
            let state: UInt8 = try decoder.integer("fragments")
            let deliveryValue: UInt8 = try decoder.integer("delivery")
            guard let fragments = HeldFragments(rawValue: state),
                let delivery = FragmentDelivery(rawValue: deliveryValue), delivery != .none || fragments == .held
            else { throw .notCanonical(field: "fragments") }
            let head = try decoder.flag("head") ? try ListedHead(from: &decoder) : nil
            let sizeBytes: UInt64 = try decoder.integer("size")
            let isSuperseded = try decoder.flag("superseded")
            let milliseconds: UInt64 = try decoder.integer("superseded at")
            guard isSuperseded || milliseconds == 0 else { throw .notCanonical(field: "superseded at") }
            let wasCommitted = try decoder.flag("was committed")
            guard isSuperseded || !wasCommitted else { throw .notCanonical(field: "was committed") }
            held.append(
                HeldVersion(
                    timestamp: timestamp, fragments: fragments, delivery: delivery, head: head,
                    sizeBytes: sizeBytes, supersededMilliseconds: isSuperseded ? milliseconds : nil,
                    wasCommitted: wasCommitted))
        }
        try decodeStaged(from: &decoder, countMax: Self.heldCountMax)
        try decoder.finish()
    }
}

extension PoisonousVersion {
    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(timestamp)
        encoder.append(UInt8(statements.count))
        for statement in statements { statement.encode(into: &encoder) }
    }

    fileprivate init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        let timestamp = try decoder.timestamp("poisonous version")
        let statements = try decoder.statements()
        self.init(timestamp: timestamp, statements: statements)
    }
}

extension CanonicalDecoder {
    /// Ascending versions above the given one, with their certificates.
    fileprivate mutating func committedVersions(
        above lowest: Timestamp?, countMax: Int
    ) throws(MalformedEncoding) -> [CommittedVersion] {
        let count = try count("unverified versions", as: UInt32.self, limit: countMax)
        var versions: [CommittedVersion] = []
        for _ in 0..<count {
            let version = try CommittedVersion(from: &self)
            guard (versions.last?.timestamp ?? lowest).precedes(version.timestamp) else {
                throw .notCanonical(field: "unverified versions' order")
            }
            versions.append(version)
        }
        return versions
    }

    /// Ascending poisonous versions above the given one.
    package mutating func poisonousVersions(
        above lowest: Timestamp?, countMax: Int
    ) throws(MalformedEncoding) -> [PoisonousVersion] {
        let count = try count("poisonous versions", as: UInt32.self, limit: countMax)
        var versions: [PoisonousVersion] = []
        for _ in 0..<count {
            let version = try PoisonousVersion(from: &self)
            guard (versions.last?.timestamp ?? lowest).precedes(version.timestamp) else {
                throw .notCanonical(field: "poisonous versions' order")
            }
            versions.append(version)
        }
        return versions
    }
}
