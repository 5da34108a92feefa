// The reading side of the store.

import ErasureCode

/// An object whose expiry has come.
package struct ExpiredObject: Hashable, Sendable {
    package let key: [UInt8]
    /// Milliseconds since the epoch.
    package let expiry: UInt64

    package init(key: [UInt8], expiry: UInt64) {
        self.key = key
        self.expiry = expiry
    }
}

/// An object in a listing.
package struct ListedObject: Hashable, Sendable {
    package let key: [UInt8]
    package let record: [UInt8]

    package init(key: [UInt8], record: [UInt8]) {
        self.key = key
        self.record = record
    }
}

/// A live object in a listing.
package struct LiveObject: Hashable, Sendable {
    package let key: [UInt8]
    /// What the mutation that made it live said of it.
    package let head: [UInt8]

    package init(key: [UInt8], head: [UInt8]) {
        self.key = key
        self.head = head
    }
}

/// An object in the list of its slot.
package struct SlotObject: Hashable, Sendable {
    package let key: [UInt8]
    /// What came with the object's record.
    package let summary: [UInt8]

    package init(key: [UInt8], summary: [UInt8]) {
        self.key = key
        self.summary = summary
    }
}

/// A row of a table.
package struct StoreRow: Hashable, Sendable {
    package let key: [UInt8]
    package let value: [UInt8]

    package init(key: [UInt8], value: [UInt8]) {
        self.key = key
        self.value = value
    }
}

extension ObjectStore {
    /// A look into the store; damage to the index that it meets is remembered.
    private func read<R>(_ body: () throws(StorageError) -> R) throws(StorageError) -> R {
        do throws(StorageError) {
            return try gate.pass(body)
        } catch {
            suspect(error)
            throw error
        }
    }

    private func value(of indexKey: [UInt8], inMemory: Bool = false) throws(StorageError) -> [UInt8]? {
        try read { () throws(StorageError) in
            try index.withValue(of: indexKey, from: inMemory ? .inMemory : .anywhere) { Array($0) }
        }
    }

    /// The record of an object, or nil when it has none.
    ///
    /// - Parameter inMemory: whether to throw `.notInMemory` rather than wait for the disk.
    package func record(of key: [UInt8], inMemory: Bool = false) throws(StorageError) -> [UInt8]? {
        try value(of: IndexKey.record(key), inMemory: inMemory)
    }

    /// The next expiry of an object in milliseconds since the epoch, or nil when it has none.
    package func expiry(of key: [UInt8]) throws(StorageError) -> UInt64? {
        try read { () throws(StorageError) in try index.number(of: IndexKey.expiry(key)) }
    }

    /// The bytes of a part, or nil when there is none. Throws `.corruptPart`, `.missingSegment` or `.io` when the
    /// store should have them and has lost them.
    ///
    /// - Parameter inMemory: whether to throw `.notInMemory` rather than wait for the disk.
    package func part(
        of key: [UInt8], version: StoredVersion, part: VersionPart, inMemory: Bool = false
    ) throws(StorageError) -> SharedBytes? {
        guard key.count <= FormatLimit.keySizeBytesMax, version.bytes.count <= FormatLimit.versionSizeBytesMax else {
            return nil
        }
        let indexKey = IndexKey.part(part, versionPrefix: IndexKey.version(version, of: key))
        return try read { () throws(StorageError) in
            var tried: PartPlacement?
            var failure: StorageError?
            // The part may be dropped or replaced, and its old place given back, between the look into the index and
            // the read. Only a place that the index still names afterwards has been lost.
            while true {
                guard let entry = try partEntry(indexKey, inMemory: inMemory) else { return nil }
                if let failure, tried == entry.placement { throw failure }
                tried = entry.placement
                do throws(StorageError) {
                    return try bytes(of: entry, inMemory: inMemory)
                } catch {
                    if error == .notInMemory { throw error }
                    failure = error
                }
            }
        }
    }

    /// Where in the journal's files a part lies that has a place of its own there; nil for one that is kept in the index,
    /// and where there is none.
    package func place(
        of key: [UInt8], version: StoredVersion, part: VersionPart
    ) throws(StorageError) -> (path: String, bytes: Range<UInt64>)? {
        let indexKey = IndexKey.part(part, versionPrefix: IndexKey.version(version, of: key))
        return try read { () throws(StorageError) in
            guard let range = try partEntry(indexKey, inMemory: false)?.journalRange else { return nil }
            return (try segments.file(range.segment).path, range.offset..<range.offset + range.sizeBytes)
        }
    }

    /// The versions of an object of which there is any part, in ascending order.
    package func versions(of key: [UInt8]) throws(StorageError) -> [StoredVersion] {
        guard key.count <= FormatLimit.keySizeBytesMax else { return [] }
        let prefix = IndexKey.versions(of: key)
        return try read { () throws(StorageError) in
            var found: [StoredVersion] = []
            let walk = index.walk()
            walk.seek(prefix)
            while let indexKey = try walk.key(startingWith: prefix) {
                guard let size = indexKey.dropFirst(prefix.count).first.map(Int.init),
                    indexKey.count >= prefix.count + 1 + size
                else { throw index.malformed(indexKey) }
                let version = StoredVersion(Array(indexKey[(prefix.count + 1)...].prefix(size)))
                found.append(version)
                // Behind all of its parts.
                walk.seek(IndexKey.version(version, of: key) + [.max])
            }
            return found.sorted()
        }
    }

    private func partEntry(_ key: [UInt8], inMemory: Bool) throws(StorageError) -> PartEntry? {
        let found = try index.withValue(of: key, from: inMemory ? .inMemory : .anywhere) {
            PartEntry($0, withBytes: true)
        }
        guard let found else { return nil }
        guard let entry = found else { throw index.malformed(key) }
        return entry
    }

    /// The bytes that an entry names; `.corruptPart` when they are others.
    ///
    /// - Parameter inMemory: whether to throw `.notInMemory` rather than wait for the disk.
    func bytes(
        of entry: PartEntry, isChecked: Bool = true, inMemory: Bool = false
    ) throws(StorageError) -> SharedBytes {
        let placement = entry.placement
        let path: String
        let bytes: SharedBytes
        if let inline = entry.inlineBytes {
            path = index.path
            bytes = inline
        } else {
            let segment = try segments.file(placement.segment, inMemory: inMemory)
            path = segment.path
            bytes = try segment.readBytes(
                count: Int(placement.sizeBytes), at: placement.offset, inMemory: inMemory)
        }
        if isPlanted(.partUnchecked) || !isChecked { return bytes }
        let checksum = Checksum.crc32c(bytes)
        guard bytes.count == Int(placement.sizeBytes), checksum == placement.checksum else {
            throw .corruptPart(
                path: path, offset: placement.offset, expected: placement.checksum, found: checksum)
        }
        return bytes
    }

    /// Objects whose expiry is below `time` (milliseconds since the epoch), the earliest first, those that come after
    /// `last` (all when nil), at most `limit`.
    package func expired(
        before time: UInt64, after last: ExpiredObject? = nil, limit: Int
    ) throws(StorageError) -> [ExpiredObject] {
        // A key of that very time has an object behind it, so it comes after the time alone.
        let first = last.map { Self.successor($0.expiry.encodedBig + $0.key) }
        return try scan(IndexKey.expiriesByTime, from: first, below: time.encodedBig, limit: limit) {
            (key, _) throws(StorageError) in
            guard let expiry = IndexKey.expiry(inByTime: key) else {
                throw index.malformed(IndexKey.expiriesByTime + key)
            }
            return ExpiredObject(key: expiry.key, expiry: expiry.time)
        }
    }

    /// Objects that have a record, in the order of their keys, those above `after` (all when nil), at most `limit`.
    package func objects(after: [UInt8]?, limit: Int) throws(StorageError) -> [ListedObject] {
        try scan(IndexKey.records, from: after.map(Self.successor), below: nil, limit: limit) {
            ListedObject(key: $0, record: $1)
        }
    }

    /// Live objects in the order of their keys, from `first` on and below `end` (open when nil), at most `limit`.
    package func liveObjects(from first: [UInt8]?, below end: [UInt8]?, limit: Int) throws(StorageError) -> [LiveObject]
    {
        try scan(IndexKey.heads, from: first, below: end, limit: limit) { LiveObject(key: $0, head: $1) }
    }

    /// Where a walk over live objects goes from one of them.
    package enum LiveWalkStep {
        case next
        case skip(to: [UInt8])
        case end
    }

    /// Shows live objects in the order of their keys, from `first` on and below `end`: key and head where they lie,
    /// valid only during the call. Whatever is changed meanwhile is not seen.
    package func walkLiveObjects(
        from first: [UInt8], below end: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ head: UnsafeRawBufferPointer) -> LiveWalkStep
    ) throws(StorageError) {
        try read { () throws(StorageError) in
            let prefix = IndexKey.heads
            let bound = prefix + end
            let walk = index.walk()
            walk.seek(prefix + first)
            var step = LiveWalkStep.next
            while true {
                let isThere = try walk.withKey(startingWith: prefix) { indexKey in
                    guard indexKey.lexicographicallyPrecedes(bound) else {
                        step = .end
                        return
                    }
                    walk.read { step = body(UnsafeRawBufferPointer(rebasing: indexKey[prefix.count...]), $0) }
                }
                guard isThere else { return }
                switch step {
                case .next: walk.next()
                case .skip(let start): walk.seek(prefix + start)
                case .end: return
                }
            }
        }
    }

    /// Objects of a slot that have a record, in the order of their keys, those above `after` (all when nil), at most
    /// `limit`.
    package func objects(inSlot slot: UInt16, after: [UInt8]?, limit: Int) throws(StorageError) -> [SlotObject] {
        try scan(IndexKey.slot(slot), from: after.map(Self.successor), below: nil, limit: limit) {
            SlotObject(key: $0, summary: $1)
        }
    }

    /// The size of the file system that the store is on, and what of it is free, in bytes; nil when unknown.
    package var space: (capacityBytes: UInt64, freeBytes: UInt64)? {
        let files = options.system.files
        guard let capacity = files.capacityBytes(at: journalDirectory), let free = files.freeBytes(at: journalDirectory)
        else { return nil }
        return (capacity, free)
    }

    /// The value of a row; nil when there is none.
    package func row(_ table: StoreTable, _ key: [UInt8]) throws(StorageError) -> [UInt8]? {
        try value(of: IndexKey.table(table) + key)
    }

    /// Rows of a table in the order of their keys, from `first` on and below `end` (open when nil), at most `limit`.
    package func rows(
        _ table: StoreTable, from first: [UInt8]?, below end: [UInt8]?, limit: Int
    ) throws(StorageError) -> [StoreRow] {
        try scan(IndexKey.table(table), from: first, below: end, limit: limit) { StoreRow(key: $0, value: $1) }
    }

    /// The least key above another is that key with a zero byte behind it.
    private static func successor(_ key: [UInt8]) -> [UInt8] { key + [0] }

    /// What `item` makes of entries of a table, each told by what of its key follows the prefix, and its value.
    private func scan<Item>(
        _ prefix: [UInt8], from first: [UInt8]?, below end: [UInt8]?, limit: Int,
        _ item: ([UInt8], [UInt8]) throws(StorageError) -> Item
    ) throws(StorageError) -> [Item] {
        try read { () throws(StorageError) in
            var found: [Item] = []
            let walk = index.walk()
            walk.seek(prefix + (first ?? []))
            while found.count < limit, let indexKey = try walk.key(startingWith: prefix) {
                let key = Array(indexKey[prefix.count...])
                if let end, !key.lexicographicallyPrecedes(end) { break }
                found.append(try item(key, walk.withValue { Array($0) }))
                walk.next()
            }
            return found
        }
    }
}
