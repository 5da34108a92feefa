// The name of an object: a bucket and a name within it.

/// An object's key, `bucket/name`, compared byte by byte (never by Unicode equivalence: two spellings are two objects).
public struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The longest key in bytes: bucket, slash and name.
    public static let sizeBytesMax = bucketSizeBytesMax + 1 + nameSizeBytesMax
    /// The longest bucket in bytes.
    public static let bucketSizeBytesMax = 63
    /// The longest name within a bucket in bytes.
    public static let nameSizeBytesMax = 1024

    /// The key's bytes, UTF-8, `bucket/name`.
    public let bytes: [UInt8]
    private let placementHash: PlacementHash

    /// The slot that the key belongs to.
    public var slot: Slot { placementHash.slot }
    /// What the object's rotation is made from.
    var rotationSeed: UInt16 { placementHash.rotationSeed }

    /// The key written as `bucket/name`: the bucket is 1 to 63 of a–z, 0–9, `.` and `-`, beginning and ending with a
    /// letter or digit; the name is 1 to 1,024 bytes of UTF-8.
    public init(_ text: String) throws(ObjectKeyError) {
        try self.init(bytes: Array(text.utf8))
        guard reservation == nil else { throw .invalidBucket(String(decoding: bucketBytes, as: UTF8.self)) }
    }

    /// The key from its bytes, checked as above and for being UTF-8; also one that is reserved, such as that of a
    /// bucket's record, `_buckets/name`.
    public init(bytes: [UInt8]) throws(ObjectKeyError) {
        guard bytes.count <= Self.sizeBytesMax else { throw .tooLong(sizeBytes: bytes.count) }
        guard let slash = bytes.firstIndex(of: UInt8(ascii: "/")) else { throw .noBucket }
        let bucket = bytes[..<slash]
        let name = bytes[(slash + 1)...]
        guard Self.isBucket(bucket) || Self.isReserved(bucket: bucket, name: name) else {
            throw .invalidBucket(String(decoding: bucket, as: UTF8.self))
        }
        guard !name.isEmpty else { throw .emptyName }
        guard name.count <= Self.nameSizeBytesMax else { throw .tooLong(sizeBytes: bytes.count) }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw .notUTF8 }
        self.bytes = bytes
        placementHash = PlacementHash(keyBytes: bytes)
    }

    /// The key of bytes that are known to be one.
    init(valid bytes: [UInt8]) {
        self.bytes = bytes
        placementHash = PlacementHash(keyBytes: bytes)
    }

    /// Whether a bucket may be called this.
    package static func isBucket(_ name: String) -> Bool { isBucket(Array(name.utf8)[...]) }

    /// The key's bytes up to the slash.
    package var bucketBytes: ArraySlice<UInt8> { bytes.prefix { $0 != UInt8(ascii: "/") } }

    static func isBucket(_ bytes: ArraySlice<UInt8>) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = bytes.first, let last = bytes.last, bytes.count <= bucketSizeBytesMax else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    public static func == (left: ObjectKey, right: ObjectKey) -> Bool { left.bytes == right.bytes }

    /// All bytes at once: an array would feed them one by one.
    public func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    public static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    /// The key as text, as it is.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The key for people: control characters, which a key may have, are masked.
    public var description: String { text.printable }
}

/// Why a text is no object key.
public enum ObjectKeyError: Error, Equatable, Sendable, CustomStringConvertible {
    case noBucket
    case invalidBucket(String)
    case emptyName
    case tooLong(sizeBytes: Int)
    case notUTF8

    public var description: String {
        switch self {
        case .noBucket:
            "an object's key is written BUCKET/KEY; there is no slash in this one"
        case .invalidBucket(let bucket):
            "'\(bucket.printable)' is no bucket: 1 to 63 of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit"
        case .emptyName:
            "the key after the bucket is empty"
        case .tooLong(let sizeBytes):
            "the key has \(sizeBytes) bytes; the name may have \(ObjectKey.nameSizeBytesMax) after the bucket"
        case .notUTF8:
            "the key is not UTF-8"
        }
    }
}
