// The vocabulary of the store: opaque versions, their parts, and atomic changes of one object.

import ErasureCode

/// The identity of one version of an object: opaque bytes, ordered lexicographically; 1 to 128 of them.
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
    case fragment(StripeIndex)
}

/// One part to store.
package struct PartPut: Sendable {
    package var version: StoredVersion
    package var part: VersionPart
    package var bytes: SharedBytes

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

/// An atomic, durable change of one object. Drops take effect before puts.
package struct ObjectMutation: Sendable {
    /// 1 to 2048 bytes.
    package var key: [UInt8]
    /// The object's record: small and opaque.
    package var record: FieldChange<[UInt8]>
    /// Parts to store; one that is there already is replaced.
    package var puts: [PartPut]
    /// Versions of which every part is given back.
    package var drops: [StoredVersion]
    /// When the object next needs attention, in milliseconds since the epoch.
    package var expiry: FieldChange<UInt64>

    package init(
        key: [UInt8], record: FieldChange<[UInt8]> = .keep, puts: [PartPut] = [], drops: [StoredVersion] = [],
        expiry: FieldChange<UInt64> = .keep
    ) {
        self.key = key
        self.record = record
        self.puts = puts
        self.drops = drops
        self.expiry = expiry
    }
}

extension ObjectMutation {
    /// Why the mutation can never be stored, or nil.
    func refusal(_ options: StorageOptions) -> StorageError? {
        func check(_ field: String, _ value: Int, _ limit: Int) -> StorageError? {
            value > limit ? .overLimit(field: field, value: value, limit: limit) : nil
        }
        func check(_ version: StoredVersion) -> StorageError? {
            if version.bytes.isEmpty { return .overLimit(field: "version size", value: 0, limit: 0) }
            return check("version size", version.bytes.count, FormatLimit.versionSizeBytesMax)
        }
        if key.isEmpty { return .overLimit(field: "key size", value: 0, limit: 0) }
        if let error = check("key size", key.count, FormatLimit.keySizeBytesMax) { return error }
        if case .set(let bytes) = record,
            let error = check("record size", bytes.count, options.recordSizeBytesMax)
        {
            return error
        }
        if let error = check("put count", puts.count, options.mutationItemsMax) { return error }
        if let error = check("drop count", drops.count, options.mutationItemsMax) { return error }
        for put in puts {
            if let error = check(put.version) { return error }
            if let error = check("part size", put.bytes.count, options.partSizeBytesMax) { return error }
        }
        for version in drops {
            if let error = check(version) { return error }
        }
        return nil
    }
}
