// The protocol's view of the store: records, versions and fragments instead of opaque bytes.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumProtocol

/// What the store should be able to show and cannot.
package enum StoreLoss: Sendable {
    case record(ObjectKey, any Error)
    /// A part of a version.
    case part(ObjectKey, Timestamp, any Error)
    case descriptor(ObjectKey, Timestamp, any Error)
    /// The descriptor is whole and another version's.
    case foreignDescriptor(ObjectKey, Timestamp)
    /// Which objects are due.
    case due(any Error)
}

extension StoreLoss: CustomStringConvertible {
    package var description: String {
        switch self {
        case .record(let key, let error): "the record of \(key) cannot be read: \(error)"
        case .part(let key, let timestamp, let error): "a part of \(key) at \(timestamp) is lost: \(error)"
        case .descriptor(let key, let timestamp, let error):
            "the descriptor of \(key) at \(timestamp) is unreadable: \(error)"
        case .foreignDescriptor(let key, let timestamp): "the descriptor of \(key) at \(timestamp) is another one's"
        case .due(let error): "due objects cannot be listed: \(error)"
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
    private let node: NodeID
    private let parameters: ClusterParameters
    private let lost: @Sendable (StoreLoss) -> Void

    /// - Parameters:
    ///   - node: whose store it is.
    ///   - lost: told of whatever cannot be read; the replica is only told that it is not there.
    package init(
        store: ObjectStore, node: NodeID, parameters: ClusterParameters, lost: @escaping @Sendable (StoreLoss) -> Void
    ) {
        self.store = store
        self.node = node
        self.parameters = parameters
        self.lost = lost
    }

    /// The durable record of an object; nil when there is none.
    package func record(of key: ObjectKey) -> Result<ObjectRecord?, StoreFailure> {
        do {
            guard let bytes = try store.record(of: key.bytes) else { return .success(nil) }
            return .success(try ObjectRecord(decoding: bytes))
        } catch {
            lost(.record(key, error))
            return .failure(.failed)
        }
    }

    /// The descriptor of a version; nil when it is not held or cannot be read any more.
    package func descriptor(of timestamp: Timestamp, key: ObjectKey) -> SealedDescriptor? {
        guard let bytes = part(.descriptor, of: timestamp, key: key) else { return nil }
        do {
            let descriptor = try SealedDescriptor(decoding: bytes.array, parameters: parameters)
            guard descriptor.digest == timestamp.digest else {
                lost(.foreignDescriptor(key, timestamp))
                return nil
            }
            return descriptor
        } catch {
            lost(.descriptor(key, timestamp, error))
            return nil
        }
    }

    /// The server's fragments of a version, one for each stripe; nil when one is not held or cannot be read any more.
    package func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> [SharedBytes]? {
        guard let position = parameters.placement(of: key).position(of: node)?.fragmentIndex else { return nil }
        var fragments: [SharedBytes] = []
        for stripe in 0..<stripeCount {
            guard let bytes = part(.fragment(position, StripeIndex(UInt32(stripe))), of: timestamp, key: key)
            else { return nil }
            fragments.append(bytes)
        }
        return fragments
    }

    private func part(_ part: VersionPart, of timestamp: Timestamp, key: ObjectKey) -> SharedBytes? {
        do {
            return try store.part(of: key.bytes, version: timestamp.storedVersion, part: part)
        } catch {
            lost(.part(key, timestamp, error))
            return nil
        }
    }

    /// The versions of which anything is stored, in ascending order, whatever the record says.
    ///
    /// - Throws: `StorageError` when the index cannot be read, `MalformedEncoding` when a version's name is no
    ///   timestamp.
    package func timestamps(of key: ObjectKey) throws -> [Timestamp] {
        try store.versions(of: key.bytes).map { try Timestamp($0) }
    }

    /// The objects of a slot that have a record, each with its highest committed version, in the order of their keys.
    /// Reads no record.
    ///
    /// - Parameters:
    ///   - after: where to go on; nil for the beginning.
    ///   - limit: how many at most.
    /// - Throws: `StorageError` when the index cannot be read, `ObjectKeyError` or `MalformedEncoding` when it holds what was
    ///   never stored.
    package func listing(of slot: Slot, after: ObjectKey?, limit: Int) throws -> [ListedVersion] {
        try store.objects(inSlot: slot.rawValue, after: after?.bytes, limit: limit).map { object in
            ListedVersion(
                key: try ObjectKey(bytes: object.key),
                committed: object.summary.isEmpty ? nil : try Timestamp(StoredVersion(object.summary)))
        }
    }

    /// Objects that have something to drop or to verify before the given time.
    package func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] {
        do {
            return try store.expired(before: time, limit: limit).compactMap { try? ObjectKey(bytes: $0.key) }
        } catch {
            lost(.due(error))
            return []
        }
    }
}
