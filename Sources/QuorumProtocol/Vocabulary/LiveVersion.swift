// What a server tells of an object when it lists a bucket (docs/protocol.md, Listing).

/// What a listing tells of a value beside its timestamp; all of it stands in the value's descriptor.
public struct ListedHead: Hashable, Sendable {
    public let lengthBytes: UInt64
    /// The writer's own tag; empty if there is none.
    public let etag: String
    /// The writer's clock, in milliseconds since 1970.
    public let modifiedMilliseconds: UInt64

    package init(lengthBytes: UInt64, etag: String, modifiedMilliseconds: UInt64) {
        self.lengthBytes = lengthBytes
        self.etag = etag
        self.modifiedMilliseconds = modifiedMilliseconds
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(lengthBytes)
        encoder.append(counted: Array(etag.utf8))
        encoder.append(modifiedMilliseconds)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        lengthBytes = try decoder.integer("length")
        etag = try decoder.text("etag", limit: ObjectMetadata.etagSizeBytesMax)
        modifiedMilliseconds = try decoder.integer("modification time")
    }
}

extension Descriptor {
    /// Nil for a tombstone, which is not listed.
    package var listedHead: ListedHead? {
        guard kind == .value else { return nil }
        return ListedHead(
            lengthBytes: lengthBytes, etag: metadata.etag, modifiedMilliseconds: metadata.modifiedMilliseconds)
    }
}

/// An object's highest committed version at one server, which is no tombstone as far as the server knows.
package struct LiveVersion: Hashable, Sendable {
    package let timestamp: Timestamp
    /// Whether the server knows the version to be sound: always, but in the modes that verify later.
    package let isSound: Bool
    /// Nil when the version was committed here without its descriptor. It may be a tombstone.
    package let head: ListedHead?

    package init(timestamp: Timestamp, isSound: Bool, head: ListedHead?) {
        self.timestamp = timestamp
        self.isSound = isSound
        self.head = head
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(timestamp)
        encoder.append(UInt8(isSound ? 1 : 0))
        encoder.append(UInt8(head == nil ? 0 : 1))
        head?.encode(into: &encoder)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        timestamp = try decoder.timestamp("live version")
        isSound = try decoder.flag("sound")
        head = try decoder.flag("head") ? try ListedHead(from: &decoder) : nil
    }

    /// The bytes in which the store's list of live objects has it.
    package var bytes: [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 128)
        encode(into: &encoder)
        return encoder.bytes
    }

    /// - Throws: when the bytes are no such row; the disk may have changed them.
    package init(decoding bytes: [UInt8]) throws(MalformedEncoding) {
        var decoder = CanonicalDecoder(bytes)
        try self.init(from: &decoder)
        try decoder.finish()
    }
}

/// How a change of an object's record changes what listings tell of it.
package enum LiveChange: Equatable, Sendable {
    case keep
    case set(LiveVersion)
    case clear
}
