// The vocabulary of the store: objects with their versions and parts, rows of further tables, and atomic changes of
// them.

import ErasureCode

/// The identity of one version of an object, or of anything else whose parts come and go together: opaque bytes,
/// ordered lexicographically; 1 to 128 of them.
package struct StoredVersion: Hashable, Comparable, Sendable {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    package static func < (left: StoredVersion, right: StoredVersion) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

/// What a part of a version is.
package enum VersionPart: Hashable, Sendable {
    case descriptor
    /// The fragment at a position of a stripe. A store may hold those of several positions.
    case fragment(FragmentIndex, StripeIndex)
    /// A run of what the descriptor names only by digest.
    case page(UInt32)
}

/// One part to store.
package struct PartPut: Sendable {
    package var version: StoredVersion
    package var part: VersionPart
    package var bytes: SharedBytes
    /// Where the bytes lie already; then there are none here. Only the store itself restates parts so.
    var reference: PartPlacement?

    package init(version: StoredVersion, part: VersionPart, bytes: SharedBytes) {
        self.version = version
        self.part = part
        self.bytes = bytes
    }
}

/// What becomes of a value.
package enum FieldChange<Value: Sendable>: Sendable {
    case keep
    case set(Value)
    case clear
}

extension FieldChange: Equatable where Value: Equatable {}

/// What a change does for the room on the disk, which decides how much of the reserve it may use.
package enum MutationPurpose: Sendable, Equatable {
    /// Stores something: leaves the whole reserve alone.
    case stores
    /// Leads to space being given back: may use half of the reserve. So does every change without puts.
    case frees
    /// Moves what lives out of segments that are mostly dead: may use a quarter of the reserve. The store's own.
    case moves
}

/// A change of one object. Drops take effect before puts.
package struct ObjectMutation: Sendable {
    /// 1 to 2048 bytes.
    package var key: [UInt8]
    /// The slot that the key belongs to: always the same for one key. The store does not compute it.
    package var slot: UInt16
    /// The object's record: small and opaque. Setting it enters the key into its slot's list, clearing it takes it out.
    package var record: FieldChange<[UInt8]>
    /// What the slot's list says of the object when `record` is set: at most 256 opaque bytes.
    package var summary: [UInt8]
    /// What a listing says of the object: at most 4096 opaque bytes (kind, length, ETag, time). The object is live, and
    /// listed, while it has one.
    package var head: FieldChange<[UInt8]>
    /// Parts to store; one that is there already is replaced.
    package var puts: [PartPut]
    /// Versions of which every part is given back.
    package var drops: [StoredVersion]
    /// When the object next needs attention, in milliseconds since the epoch.
    package var expiry: FieldChange<UInt64>
    /// What the puts are for. The caller bounds how many changes free space by putting something.
    package var purpose: MutationPurpose
    /// Whether it only says again what is true, for whoever makes an index from the journal. The store's own.
    var isRestatement = false

    package init(
        key: [UInt8], slot: UInt16 = 0, record: FieldChange<[UInt8]> = .keep, summary: [UInt8] = [],
        head: FieldChange<[UInt8]> = .keep, puts: [PartPut] = [], drops: [StoredVersion] = [],
        expiry: FieldChange<UInt64> = .keep, purpose: MutationPurpose = .stores
    ) {
        self.key = key
        self.slot = slot
        self.record = record
        self.summary = summary
        self.head = head
        self.puts = puts
        self.drops = drops
        self.expiry = expiry
        self.purpose = purpose
    }
}

/// A table of rows beside the objects. The numbers are part of the format; 0 stands for the objects.
package enum StoreTable: UInt8, CaseIterable, Sendable {
    /// What this server should hold and does not.
    case wants = 1
    /// What clients have been charged.
    case accounts = 2
    /// Promises about other servers' earlier lives.
    case fences = 3
    /// Signed lists of the configuration.
    case lists = 4
    /// What was sent ahead of the version that will name it.
    case staged = 5
    /// Objects at which a client has versions and none is committed.
    case bare = 6
    /// Objects at which a client has staged what no version holds.
    case uploads = 7
}

/// A change of a table. Keys are 1 to 2048 opaque bytes, values opaque and as large as records at most.
package enum RowChange: Sendable, Equatable {
    case put(StoreTable, key: [UInt8], value: [UInt8])
    case delete(StoreTable, key: [UInt8])
    /// Every row from the first key on and below the second.
    case deleteRange(StoreTable, from: [UInt8], to: [UInt8])
    /// Adds to the numbers of a row (`CounterRow`), 1 to 16 of them; a row that is not there has none.
    case add(StoreTable, key: [UInt8], [Int64])
}

/// A change of any number of objects and rows that happens as a whole or not at all.
package struct StoreMutation: Sendable {
    package var objects: [ObjectMutation]
    package var rows: [RowChange]
    /// Whether it is the store's own.
    var isOwn = false

    package init(objects: [ObjectMutation] = [], rows: [RowChange] = []) {
        self.objects = objects
        self.rows = rows
    }
}

// MARK: - Limits

extension StoreMutation {
    /// Why the mutation can never be stored, or nil.
    func refusal(_ options: StorageOptions) -> StorageError? {
        if objects.isEmpty, rows.isEmpty { return .overLimit(field: "changes", value: 0, limit: 0) }
        for object in objects {
            if let refusal = object.refusal(options) { return refusal }
        }
        for row in rows {
            if let refusal = row.refusal(options) { return refusal }
        }
        return nil
    }

    /// What all of it is for.
    var purpose: MutationPurpose {
        if isOwn { return .moves }
        if objects.allSatisfy({ $0.puts.isEmpty || $0.purpose == .frees && !isPlanted(.freeingLikeStoring) }) {
            return .frees
        }
        return objects.allSatisfy { $0.purpose == .moves } ? .moves : .stores
    }
}

private func check(_ field: String, _ value: Int, _ limit: Int) -> StorageError? {
    value > limit ? .overLimit(field: field, value: value, limit: limit) : nil
}

private func checkKey(_ key: [UInt8]) -> StorageError? {
    if key.isEmpty { return .overLimit(field: "key size", value: 0, limit: 0) }
    return check("key size", key.count, FormatLimit.keySizeBytesMax)
}

extension ObjectMutation {
    fileprivate func refusal(_ options: StorageOptions) -> StorageError? {
        func check(_ version: StoredVersion) -> StorageError? {
            if version.bytes.isEmpty { return .overLimit(field: "version size", value: 0, limit: 0) }
            return ObjectStorage.check("version size", version.bytes.count, FormatLimit.versionSizeBytesMax)
        }
        if let error = checkKey(key) { return error }
        if case .set(let bytes) = record,
            let error = ObjectStorage.check("record size", bytes.count, options.recordSizeBytesMax)
        {
            return error
        }
        if let error = ObjectStorage.check("summary size", summary.count, FormatLimit.summarySizeBytesMax) {
            return error
        }
        if case .set(let bytes) = head,
            let error = ObjectStorage.check("head size", bytes.count, FormatLimit.headSizeBytesMax)
        {
            return error
        }
        if let error = ObjectStorage.check("put count", puts.count, options.mutationItemsMax) { return error }
        if let error = ObjectStorage.check("drop count", drops.count, options.mutationItemsMax) { return error }
        for put in puts {
            if let error = check(put.version) { return error }
            if let error = ObjectStorage.check("part size", put.bytes.count, options.partSizeBytesMax) { return error }
        }
        for version in drops {
            if let error = check(version) { return error }
        }
        return nil
    }
}

extension RowChange {
    fileprivate func refusal(_ options: StorageOptions) -> StorageError? {
        switch self {
        case .put(_, let key, let value): checkKey(key) ?? check("value size", value.count, options.recordSizeBytesMax)
        case .delete(_, let key): checkKey(key)
        case .deleteRange(_, let first, let end): checkKey(first) ?? checkKey(end)
        case .add(_, let key, let amounts):
            checkKey(key)
                ?? (amounts.isEmpty
                    ? .overLimit(field: "counter count", value: 0, limit: 0)
                    : check("counter count", amounts.count, CounterRow.countMax))
        }
    }
}
