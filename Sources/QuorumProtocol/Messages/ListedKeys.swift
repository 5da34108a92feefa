// Listed objects as the bytes that servers send and stores hold. Many servers say the same of the same keys: what is
// equal byte for byte is compared, passed on and settled without being taken apart.

/// What a server tells of some keys, in their order: the canonical encodings one after another, each known to be one.
package struct ListedKeys: Sendable {
    /// The encodings of all.
    package private(set) var bytes: [UInt8] = []
    /// Where each begins.
    private var starts: [Int32] = []

    package init() {}

    package init(_ keys: some Sequence<ListedKey>) {
        var encoder = CanonicalEncoder()
        for listed in keys {
            starts.append(Int32(encoder.bytes.count))
            listed.encode(into: &encoder)
        }
        bytes = encoder.bytes
    }

    package var count: Int { starts.count }
    package var isEmpty: Bool { starts.isEmpty }

    /// All of them, taken apart.
    package var decoded: [ListedKey] { (0..<count).map { self[$0] } }

    package subscript(place: Int) -> ListedKey {
        var decoder = CanonicalDecoder(Array(bytes[Int(starts[place])..<end(of: place)]))
        guard let listed = try? ListedKey(from: &decoder) else { preconditionFailure("what was checked is malformed") }
        return listed
    }

    private func end(of place: Int) -> Int { place + 1 < starts.count ? Int(starts[place + 1]) : bytes.count }

    /// Calls `body` with the bytes of a key, and with those of what is told of it, valid only during the call.
    package func withBytes<R>(
        at place: Int, _ body: (_ key: UnsafeRawBufferPointer, _ live: UnsafeRawBufferPointer) -> R
    ) -> R {
        bytes.withUnsafeBytes { all in
            let start = Int(starts[place])
            let keyEnd = start + 4 + Int(UInt32(bigEndian: all.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
            return body(all.part(start + 4..<keyEnd), all.part(keyEnd..<end(of: place)))
        }
    }

    /// The bytes of a key.
    package func keyBytes(at place: Int) -> [UInt8] { withBytes(at: place) { key, _ in Array(key) } }

    /// Adds a row of the store's list of live objects, which must have passed `ListedKeyCheck`.
    mutating func append(key: UnsafeRawBufferPointer, live: UnsafeRawBufferPointer) {
        starts.append(Int32(bytes.count))
        withUnsafeBytes(of: UInt32(key.count).bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: key)
        bytes.append(contentsOf: live)
    }

    /// Takes so many from a message.
    ///
    /// - Throws: when one is malformed or does not come after the one before.
    init(_ count: Int, from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        var starts: [Int32] = []
        starts.reserveCapacity(count)
        let taken = try decoder.skim { (rest) throws(MalformedEncoding) in
            var check = ListedKeyCheck()
            var offset = 0
            for _ in 0..<count {
                starts.append(Int32(offset))
                offset += try check.size(ofFirst: rest.part(offset..<rest.count))
            }
            return offset
        }
        self.starts = starts
        bytes = Array(taken)
    }
}

extension ListedKeys: Equatable {
    /// The bytes say where each begins.
    package static func == (left: ListedKeys, right: ListedKeys) -> Bool { left.bytes == right.bytes }
}

/// Checks listed objects, one after the other, as decoding them would, and makes nothing of them.
struct ListedKeyCheck {
    /// Timestamp, and two flags.
    private static let fixedSizeBytes = 8 + 16 + 32 + 2
    /// Length and modification time.
    private static let headSizeBytes = 8 + 8

    /// The key before.
    private var last = UnsafeRawBufferPointer(start: nil, count: 0)
    /// A bucket and its slash with which a key began; empty when keys there have to be looked at more closely.
    private var bucket: [UInt8] = []

    /// How many bytes the encoding takes with which these begin. They must stay where they are until the next call.
    mutating func size(ofFirst bytes: UnsafeRawBufferPointer) throws(MalformedEncoding) -> Int {
        guard bytes.count >= 4 else { throw .truncated(field: "listed object") }
        let keySize = UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
        guard keySize <= ObjectKey.sizeBytesMax else {
            throw .overLimit(
                field: "listed object", value: UInt64(keySize), limit: UInt64(ObjectKey.sizeBytesMax))
        }
        let liveStart = 4 + Int(keySize)
        guard bytes.count >= liveStart else { throw .truncated(field: "listed object") }
        let key = bytes.part(4..<liveStart)
        try check(key: key)
        guard last.isEmpty || last.order(key) < 0 else { throw .notCanonical(field: "listed objects' order") }
        last = key
        return liveStart + (try Self.size(ofLive: bytes.part(liveStart..<bytes.count)))
    }

    /// Checks a row of the store's list of live objects.
    mutating func check(key: UnsafeRawBufferPointer, live: UnsafeRawBufferPointer) throws(MalformedEncoding) {
        try check(key: key)
        let size = try Self.size(ofLive: live)
        guard size == live.count else { throw .trailingBytes(count: live.count - size) }
    }

    /// Most keys begin with the bucket of the one before, and are ASCII: nothing else is to be looked at then.
    private mutating func check(key: UnsafeRawBufferPointer) throws(MalformedEncoding) {
        let name = key.count - bucket.count
        if !bucket.isEmpty, 1...ObjectKey.nameSizeBytesMax ~= name, key.begins(with: bucket), key.isASCII { return }
        do {
            _ = try ObjectKey(bytes: Array(key))
        } catch {
            throw .notCanonical(field: "listed object")
        }
        // A bucket's record has a name that is a bucket's, which is more than ASCII.
        let isRecord = key[0] == UInt8(ascii: "_")
        bucket = isRecord ? [] : key.prefix { $0 != UInt8(ascii: "/") } + [UInt8(ascii: "/")]
    }

    private static func size(ofLive bytes: UnsafeRawBufferPointer) throws(MalformedEncoding) -> Int {
        guard bytes.count >= fixedSizeBytes else { throw .truncated(field: "live version") }
        guard bytes.loadUnaligned(as: UInt64.self) != 0 else { throw .notCanonical(field: "live version") }
        let (sound, head) = (bytes[fixedSizeBytes - 2], bytes[fixedSizeBytes - 1])
        guard sound <= 1 else { throw .unknownValue(field: "sound", value: UInt64(sound)) }
        guard head <= 1 else { throw .unknownValue(field: "head", value: UInt64(head)) }
        if head == 0 { return fixedSizeBytes }
        let etagStart = fixedSizeBytes + 8 + 4
        guard bytes.count >= etagStart else { throw .truncated(field: "etag") }
        let etagSize = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: etagStart - 4, as: UInt32.self))
        guard etagSize <= ObjectMetadata.etagSizeBytesMax else {
            throw .overLimit(
                field: "etag", value: UInt64(etagSize), limit: UInt64(ObjectMetadata.etagSizeBytesMax))
        }
        let etagEnd = etagStart + Int(etagSize)
        guard bytes.count >= etagEnd + 8 else { throw .truncated(field: "modification time") }
        let etag = bytes.part(etagStart..<etagEnd)
        guard etag.isASCII || String(validating: etag, as: UTF8.self) != nil else {
            throw .notCanonical(field: "etag")
        }
        return etagEnd + 8
    }

    /// How many bytes of its encoding are no ETag, of what is told of a key with a head.
    static let liveSizeBytesWithoutEtag = fixedSizeBytes + headSizeBytes + 4
}
