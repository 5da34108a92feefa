// LIST and what answers it (docs/protocol.md, Listing). Both speak of bytes of keys, in their order.

/// A question for the live objects whose keys begin with a prefix.
package struct ListingQuery: Equatable, Sendable {
    package static let itemCountMax = 1000
    package static let delimiterSizeBytesMax = 64

    /// The bucket, a slash, and any bytes that a name may begin with.
    package let prefix: [UInt8]
    /// Keys that go on with the same bytes up to this, behind the prefix, are told of together; empty for none.
    package let delimiter: [UInt8]
    /// No key below this is wanted.
    package let start: [UInt8]
    /// Objects and prefixes in one answer at most.
    package let limit: Int

    /// Nil when a part is too long, the prefix names no bucket, or the limit is not 1 to `itemCountMax`.
    package init?(prefix: [UInt8], delimiter: [UInt8] = [], start: [UInt8]? = nil, limit: Int = itemCountMax) {
        let start = start ?? prefix
        // A bound may be a key with one more byte.
        guard prefix.count <= ObjectKey.sizeBytesMax, delimiter.count <= Self.delimiterSizeBytesMax,
            start.count <= ObjectKey.sizeBytesMax + 1, (1...Self.itemCountMax).contains(limit),
            ObjectKey.bucket(ofPrefix: prefix) != nil
        else { return nil }
        self.prefix = prefix
        self.delimiter = delimiter
        self.start = start
        self.limit = limit
    }

    /// The bucket that is asked about.
    package var bucket: String {
        guard let bucket = ObjectKey.bucket(ofPrefix: prefix) else { preconditionFailure("a query without a bucket") }
        return bucket
    }

    /// The bucket to which all uploads go that are asked about; nil for everything else, also for those of all buckets.
    package var bucketOfUploads: ArraySlice<UInt8>? {
        let name = prefix.dropFirst(ObjectKey.bucketOfUploads.utf8.count + 1)
        guard bucket == ObjectKey.bucketOfUploads, let slash = name.firstIndex(of: UInt8(ascii: "/")) else {
            return nil
        }
        return name[..<slash]
    }

    /// The first key that may be told of.
    package var lowest: [UInt8] { prefix.lexicographicallyPrecedes(start) ? start : prefix }

    /// The first bytes above every key with the prefix.
    package var end: [UInt8] { ListingQuery.successor(ofPrefix: prefix) }

    /// The same question about what is not below `start`.
    package func from(_ start: [UInt8]) -> ListingQuery {
        guard let query = ListingQuery(prefix: prefix, delimiter: delimiter, start: start, limit: limit) else {
            preconditionFailure("a bound longer than any key")
        }
        return query
    }

    /// What the key is told of as: its bytes up to the first delimiter behind the prefix; nil for itself.
    package func commonPrefix(of key: ObjectKey) -> [UInt8]? {
        key.bytes.withUnsafeBytes { bytes in commonPrefixSize(of: bytes).map { Array(bytes[..<$0]) } }
    }

    /// The same of a key's bytes: how many of them it is.
    func commonPrefixSize(of key: UnsafeRawBufferPointer) -> Int? {
        guard let first = delimiter.first, key.count >= prefix.count + delimiter.count else { return nil }
        for offset in prefix.count...(key.count - delimiter.count)
        where key[offset] == first && key[offset..<(offset + delimiter.count)].elementsEqual(delimiter) {
            return offset + delimiter.count
        }
        return nil
    }

    /// The first bytes above everything that begins with these, which are not all 255: a bucket's name is ASCII.
    package static func successor(ofPrefix prefix: [UInt8]) -> [UInt8] {
        var bytes = prefix
        while let last = bytes.popLast() {
            if last < .max { return bytes + [last + 1] }
        }
        preconditionFailure("nothing is above this prefix")
    }
}

extension ObjectKey {
    /// The bucket of all keys that begin with these bytes, be it that of the records; nil when they are not a bucket and
    /// a slash at least.
    package static func bucket(ofPrefix prefix: [UInt8]) -> String? {
        guard let slash = prefix.firstIndex(of: UInt8(ascii: "/")),
            let bucket = String(validating: prefix[..<slash], as: UTF8.self),
            isBucket(bucket) || bucket == bucketOfRecords || bucket == bucketOfUploads || bucket == bucketOfGateways
        else { return nil }
        return bucket
    }
}

/// What a server tells of one key.
package struct ListedKey: Equatable, Sendable {
    package let key: ObjectKey
    package let live: LiveVersion

    package init(_ key: ObjectKey, _ live: LiveVersion) {
        self.key = key
        self.live = live
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(counted: key.bytes)
        live.encode(into: &encoder)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        key = try decoder.objectKey("listed object")
        live = try LiveVersion(from: &decoder)
    }
}

/// What a server tells of the keys that begin alike up to a delimiter.
package struct ListedPrefix: Equatable, Sendable {
    package let prefix: [UInt8]
    /// The first live key of each of the server's groups that has one here, in the order of keys; at least one.
    package var witnesses: [ListedKey]

    package init(_ prefix: [UInt8], witnesses: [ListedKey]) {
        self.prefix = prefix
        self.witnesses = witnesses
    }
}

/// The answer to LIST: all that the server has between the query's start and an end.
package struct ListingAnswer: Equatable, Sendable {
    /// What an answer may take, in bytes of its encoding.
    package static let sizeBytesMax = 512 << 10

    /// The listed objects, in the order of keys.
    package var listed = ListedKeys()
    /// In order.
    package var prefixes: [ListedPrefix] = []
    /// The answer tells of everything below this; nil when that is all there is.
    package var below: [UInt8]?

    package init() {}

    /// The same taken apart, and put together.
    package var objects: [ListedKey] {
        get { listed.decoded }
        set { listed = ListedKeys(newValue) }
    }

    /// How many entries it has.
    package var itemCount: Int { listed.count + prefixes.count }

    /// What one more key may take of an answer: at least what its encoding does, as a prefix's witness, too.
    package static func sizeBytes(of listed: ListedKey) -> Int {
        sizeBytes(ofKey: listed.key.bytes.count, etag: listed.live.head?.etag.utf8.count ?? 0)
    }

    /// The same by the sizes of key and ETag.
    static func sizeBytes(ofKey keySize: Int, etag etagSize: Int) -> Int { 2 * keySize + etagSize + 128 }

    /// Fewer items than a correct server tells of before it has looked at too many keys.
    private static let fewItems = 100

    /// Whether it tells of little and there would have been room for more. A correct server ends so only when it had to
    /// look at very many keys below a prefix.
    package func endsEarly(_ query: ListingQuery) -> Bool {
        guard below != nil, itemCount < min(query.limit, Self.fewItems) else { return false }
        let sizeBytes = (objects + prefixes.flatMap(\.witnesses)).reduce(0) { $0 + Self.sizeBytes(of: $1) }
        let largest = 2 * (ObjectKey.sizeBytesMax + ObjectMetadata.etagSizeBytesMax)
        return sizeBytes + largest <= Self.sizeBytesMax
    }

    /// Whether a correct server may have answered this query so.
    package func answers(_ query: ListingQuery) -> Bool {
        guard itemCount <= query.limit else { return false }
        if let below {
            guard query.lowest.lexicographicallyPrecedes(below), !query.end.lexicographicallyPrecedes(below),
                below.count <= ObjectKey.sizeBytesMax + 1
            else { return false }
        }
        let lowest = query.lowest
        func isWithin(_ key: UnsafeRawBufferPointer) -> Bool {
            key.begins(with: query.prefix) && !key.precedes(lowest) && below.map(key.precedes) ?? true
        }
        // They ascend, so all are within if the first and the last are.
        for place in Set([0, listed.count - 1]) where listed.count > 0 {
            guard listed.withBytes(at: place, { key, _ in isWithin(key) }) else { return false }
        }
        if !query.delimiter.isEmpty {
            for place in 0..<listed.count {
                let isPrefixed = listed.withBytes(at: place) { key, _ in query.commonPrefixSize(of: key) != nil }
                if isPrefixed { return false }
            }
        }
        return prefixes.allSatisfy { told in
            told.witnesses.allSatisfy { witness in
                witness.key.bytes.withUnsafeBytes(isWithin) && query.commonPrefix(of: witness.key) == told.prefix
            }
        }
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(UInt16(listed.count))
        encoder.append(raw: listed.bytes)
        encoder.append(UInt16(prefixes.count))
        for listed in prefixes {
            encoder.append(counted: listed.prefix)
            encoder.append(UInt16(listed.witnesses.count))
            for witness in listed.witnesses { witness.encode(into: &encoder) }
        }
        encoder.append(UInt8(below == nil ? 0 : 1))
        if let below { encoder.append(counted: below) }
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        let objectCount = try decoder.count("listed objects", as: UInt16.self, limit: ListingQuery.itemCountMax)
        listed = try ListedKeys(objectCount, from: &decoder)
        let prefixCount = try decoder.count("listed prefixes", as: UInt16.self, limit: ListingQuery.itemCountMax)
        for _ in 0..<prefixCount { prefixes.append(try Self.prefix(&decoder, after: prefixes.last)) }
        if try decoder.flag("end") {
            below = Array(try decoder.counted("end", limit: ObjectKey.sizeBytesMax + 1))
        }
    }

    private static func prefix(
        _ decoder: inout CanonicalDecoder, after last: ListedPrefix?
    ) throws(MalformedEncoding) -> ListedPrefix {
        let prefix = Array(try decoder.counted("listed prefix", limit: ObjectKey.sizeBytesMax))
        guard last.map({ $0.prefix.lexicographicallyPrecedes(prefix) }) ?? true else {
            throw .notCanonical(field: "listed prefixes' order")
        }
        let count: UInt16 = try decoder.integer("witnesses")
        guard count > 0 else { throw .notCanonical(field: "witnesses") }
        var witnesses: [ListedKey] = []
        for _ in 0..<count {
            let witness = try ListedKey(from: &decoder)
            guard witnesses.last.map({ $0.key < witness.key }) ?? true else {
                throw .notCanonical(field: "witnesses' order")
            }
            witnesses.append(witness)
        }
        return ListedPrefix(prefix, witnesses: witnesses)
    }
}
