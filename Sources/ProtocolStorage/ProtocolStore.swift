// The protocol's view of the store: records, versions and fragments instead of opaque bytes.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumProtocol

/// What the store should be able to show and cannot.
package enum StoreLoss: Sendable {
    /// The record of an object, or what the index says of it, is damaged.
    case record(ObjectKey, any Error)
    /// A part of a version is damaged or gone.
    case part(ObjectKey, Timestamp, any Error)
    case descriptor(ObjectKey, Timestamp, any Error)
    /// A stripe that is staged, or its entry.
    case stripe(ObjectKey, AttemptName, UInt32, any Error)
    /// The descriptor is whole and another version's.
    case foreignDescriptor(ObjectKey, Timestamp)
    /// Something cannot be read at the moment.
    case unreadable(ObjectKey, any Error)
    /// Which objects are due, or are without a commit.
    case listing(any Error)
    /// What was found by reading everything.
    case found(String)
}

extension StoreLoss: CustomStringConvertible {
    package var description: String {
        switch self {
        case .record(let key, let error): "the record of \(key) is lost: \(error)"
        case .part(let key, let timestamp, let error): "a part of \(key) at \(timestamp) is lost: \(error)"
        case .stripe(let key, let attempt, let stripe, let error):
            "stripe \(stripe) of \(attempt) of \(key) is lost: \(error)"
        case .descriptor(let key, let timestamp, let error):
            "the descriptor of \(key) at \(timestamp) is unreadable: \(error)"
        case .foreignDescriptor(let key, let timestamp): "the descriptor of \(key) at \(timestamp) is another one's"
        case .unreadable(let key, let error): "\(key) cannot be read just now: \(error)"
        case .listing(let error): "objects cannot be listed: \(error)"
        case .found(let what): what
        }
    }
}

/// An object in the list of its slot.
package struct ListedVersion: Hashable, Sendable {
    package let key: ObjectKey
    /// Its highest committed version, known to be sound or not; nil when none is.
    package let committed: Timestamp?
}

/// Reads and translates between what the replica speaks of and what the store keeps.
package struct ProtocolStore: ReplicaStore, Sendable {
    package let store: ObjectStore
    package let node: NodeID
    package let parameters: ClusterParameters
    let lost: @Sendable (StoreLoss) -> Bool
    /// Whether to say `.notInMemory` rather than wait for the disk.
    private var waitsForNothing = false

    /// - Parameters:
    ///   - node: whose store it is.
    ///   - lost: told of whatever cannot be read; whether the replica may mark it as lost, if it is.
    package init(
        store: ObjectStore, node: NodeID, parameters: ClusterParameters,
        lost: @escaping @Sendable (StoreLoss) -> Bool
    ) {
        self.store = store
        self.node = node
        self.parameters = parameters
        self.lost = lost
    }

    /// The same store for threads that must not wait for a disk.
    package var inMemory: ProtocolStore {
        var copy = self
        copy.waitsForNothing = true
        return copy
    }

    /// The durable record of an object.
    package func record(of key: ObjectKey) -> StoredParts<ObjectRecord> {
        do {
            guard let bytes = try store.record(of: key.bytes, inMemory: waitsForNothing) else { return .absent }
            return .held(try ObjectRecord(decoding: bytes))
        } catch StorageError.notInMemory {
            return .notInMemory
        } catch let error as StorageError {
            if case .recordLost = error {
                _ = lost(.record(key, error))
                return .lost
            }
            _ = lost(.unreadable(key, error))
            return .unreadable
        } catch {
            _ = lost(.record(key, error))
            return .lost
        }
    }

    /// The descriptor of a version.
    package func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor> {
        let bytes: SharedBytes
        switch part(.descriptor, of: timestamp, key: key) {
        case .held(let held): bytes = held
        case .absent: return .absent
        case .lost: return .lost
        case .unreadable: return .unreadable
        case .notInMemory: return .notInMemory
        }
        do {
            let descriptor = try SealedDescriptor(decoding: bytes.array, parameters: parameters)
            if descriptor.digest == timestamp.digest { return .held(descriptor) }
            return lost(.foreignDescriptor(key, timestamp)) ? .lost : .unreadable
        } catch {
            return lost(.descriptor(key, timestamp, error)) ? .lost : .unreadable
        }
    }

    /// The server's fragments of a version, one for each stripe.
    package func fragments(
        of timestamp: Timestamp, key: ObjectKey, stripeCount: Int
    ) -> StoredParts<[SharedBytes]> {
        guard let position = parameters.placement(of: key).position(of: node)?.fragmentIndex else { return .absent }
        var fragments: [SharedBytes] = []
        for stripe in 0..<stripeCount {
            switch part(.fragment(position, StripeIndex(UInt32(stripe))), of: timestamp, key: key) {
            case .held(let bytes): fragments.append(bytes)
            case .absent: return .absent
            case .lost: return .lost
            case .unreadable: return .unreadable
            case .notInMemory: return .notInMemory
            }
        }
        return .held(fragments)
    }

    package func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> {
        let (version, number) = attempt.storedPlace(of: stripe)
        switch part(.page(number), of: version, key: key, lost: { .stripe(key, attempt, stripe, $0) }) {
        case .held(let bytes): return .held(bytes.array)
        case .absent: return .absent
        case .lost: return .lost
        case .unreadable: return .unreadable
        case .notInMemory: return .notInMemory
        }
    }

    package func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> {
        guard let position = parameters.placement(of: key).position(of: node)?.fragmentIndex else { return .absent }
        let (version, number) = attempt.storedPlace(of: stripe)
        return part(
            .fragment(position, StripeIndex(number)), of: version, key: key,
            lost: { .stripe(key, attempt, stripe, $0) })
    }

    private func part(_ part: VersionPart, of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SharedBytes> {
        self.part(part, of: timestamp.storedVersion, key: key, lost: { .part(key, timestamp, $0) })
    }

    private func part(
        _ part: VersionPart, of version: StoredVersion, key: ObjectKey, lost loss: (any Error) -> StoreLoss
    ) -> StoredParts<SharedBytes> {
        var hasFailed = false
        while true {
            do throws(StorageError) {
                let bytes = try store.part(
                    of: key.bytes, version: version, part: part, inMemory: waitsForNothing)
                return bytes.map(StoredParts.held) ?? .absent
            } catch {
                if error == .notInMemory { return .notInMemory }
                guard error.isLoss else {
                    _ = lost(.unreadable(key, error))
                    return .unreadable
                }
                // Lost is what is seen to be lost twice, the second time by whoever may wait for the disk.
                if waitsForNothing { return .notInMemory }
                if hasFailed { return lost(loss(error)) ? .lost : .unreadable }
                hasFailed = true
            }
        }
    }

    /// The versions of which anything is stored, in ascending order, whatever the record says.
    ///
    /// - Throws: `StorageError` when the index cannot be read, `MalformedEncoding` when a version's name is no
    ///   timestamp.
    package func timestamps(of key: ObjectKey) throws -> [Timestamp] {
        try store.versions(of: key.bytes).filter { $0.bytes.count == Timestamp.sizeBytes }.map { try Timestamp($0) }
    }

    /// The objects of a slot that have a record, each with its highest committed version, in the order of their keys.
    /// Reads no record.
    ///
    /// - Parameters:
    ///   - after: where to go on; nil for the beginning.
    ///   - limit: how many at most.
    /// - Throws: `StorageError` when the index cannot be read, `ObjectKeyError` or `MalformedEncoding` when it holds
    ///   what was never stored.
    package func listing(of slot: Slot, after: ObjectKey?, limit: Int) throws -> [ListedVersion] {
        try store.objects(inSlot: slot.rawValue, after: after?.bytes, limit: limit).map { object in
            ListedVersion(
                key: try ObjectKey(bytes: object.key),
                committed: object.summary.isEmpty ? nil : try Timestamp(StoredVersion(object.summary)))
        }
    }

    /// Objects that have something to drop or to verify before the given time.
    package func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] {
        due(beforeMilliseconds: time, after: nil, limit: limit).keys
    }

    /// Objects that have something to drop or to verify before the given time and come after `last`, and where to go on
    /// from; that is nil when there are no more.
    package func due(
        beforeMilliseconds time: UInt64, after last: ExpiredObject?, limit: Int
    ) -> (keys: [ObjectKey], last: ExpiredObject?) {
        do {
            let found = try store.expired(before: time, after: last, limit: limit)
            return (found.compactMap { try? ObjectKey(bytes: $0.key) }, found.count < limit ? nil : found.last)
        } catch {
            _ = lost(.listing(error))
            return ([], nil)
        }
    }

    /// At most `limit` objects above `after` at which the client has versions and none is committed, in order.
    package func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        unfinishedObjects(.versions, of: client, after: after, limit: limit)
    }

    /// At most `limit` objects above `after` at which the client has something unfinished, in order.
    package func unfinishedObjects(
        _ kind: UnfinishedKind, of client: ClientID, after: ObjectKey?, limit: Int
    ) -> [ObjectKey] {
        let prefix = StoreMutation.row(of: client, [])
        let first = after.map { StoreMutation.row(of: client, $0.bytes) + [0] } ?? prefix
        // Keys begin with a bucket's name, which has no such byte.
        let end = prefix + [0xff]
        do {
            return try store.rows(kind.table, from: first, below: end, limit: limit).compactMap {
                try? ObjectKey(bytes: Array($0.key.dropFirst(prefix.count)))
            }
        } catch {
            _ = lost(.listing(error))
            return []
        }
    }

    /// At most `limit` objects above `after` of which this server wants something, in order, each with the time since
    /// when it does, in milliseconds of its clock.
    ///
    /// - Throws: `StorageError` when the index cannot be read.
    package func wants(
        after: ObjectKey?, limit: Int
    ) throws(StorageError) -> [(key: ObjectKey, sinceMilliseconds: UInt64)] {
        try store.rows(.wants, from: after.map { $0.bytes + [0] }, below: nil, limit: limit).compactMap { row in
            guard let key = try? ObjectKey(bytes: row.key) else { return nil }
            return (key, WantRow.milliseconds(row.value) ?? 0)
        }
    }

    /// Whether the table says that this server wants something of the object.
    package func isWanted(_ key: ObjectKey) throws(StorageError) -> Bool { try store.row(.wants, key.bytes) != nil }

    /// What each client was charged when the store was last changed.
    package func charges() throws(StorageError) -> [ClientCharge] {
        try store.rows(.accounts, from: nil, below: nil, limit: .max).compactMap { row in
            guard let client = ClientID(bytes: row.key), let numbers = CounterRow.numbers(row.value) else { return nil }
            return ClientCharge(client: client, charge: Charge(numbers: numbers))
        }
    }
}
