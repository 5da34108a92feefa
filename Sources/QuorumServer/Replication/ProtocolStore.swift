// The protocol's view of the store: records, versions and fragments instead of opaque bytes.

import ErasureCode
import Fingerprint
import Logging
import ObjectStorage
import QuorumProtocol

/// Reads and translates between what the replica speaks of and what the store keeps.
struct ProtocolStore: ReplicaStore, Sendable {
    let store: ObjectStore
    let node: NodeID
    let parameters: ClusterParameters
    let statistics: ServerStatistics
    let logger: Logger

    /// The durable record of an object; nil when there is none.
    func record(of key: ObjectKey) -> Result<ObjectRecord?, StoreFailure> {
        do {
            guard let bytes = try store.record(of: key.bytes) else { return .success(nil) }
            return .success(try ObjectRecord(decoding: bytes))
        } catch {
            logger.error("the record of \(key) cannot be read: \(error)")
            return .failure((error as? StorageError).map { failure(for: $0) } ?? .failed)
        }
    }

    /// The descriptor of a version; nil when it is not held or cannot be read any more.
    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> SealedDescriptor? {
        guard let bytes = part(.descriptor, of: timestamp, key: key) else { return nil }
        do {
            let descriptor = try SealedDescriptor(decoding: bytes.array, parameters: parameters)
            guard descriptor.digest == timestamp.digest else {
                lost("the descriptor of \(key) at \(timestamp) is another one's")
                return nil
            }
            return descriptor
        } catch {
            lost("the descriptor of \(key) at \(timestamp) is unreadable: \(error)")
            return nil
        }
    }

    /// The server's fragments of a version, one for each stripe; nil when one is not held or cannot be read any more.
    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> [SharedBytes]? {
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
            lost("a part of \(key) at \(timestamp) is lost: \(error)")
            return nil
        }
    }

    private func lost(_ what: String) {
        statistics.count { $0.lostParts += 1 }
        logger.warning("\(what)")
    }

    /// Objects that have something to drop or to verify before the given time.
    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] {
        do {
            return try store.expired(before: time, limit: limit).compactMap { try? ObjectKey(bytes: $0.key) }
        } catch {
            logger.error("due objects cannot be listed: \(error)")
            return []
        }
    }

    /// Why the store did not take a change, as the protocol says it.
    func failure(for error: StorageError) -> StoreFailure {
        switch error {
        case .noSpace: .full
        case .recordLost: .recordLost
        default: .failed
        }
    }
}

extension Timestamp {
    /// The version's name in the store: the timestamp's canonical bytes, so that both are ordered alike.
    var storedVersion: StoredVersion {
        var encoder = CanonicalEncoder(reservingBytes: Timestamp.sizeBytes)
        encoder.append(self)
        return StoredVersion(encoder.bytes)
    }
}

extension ObjectMutation {
    /// The store's form of a change of the protocol's.
    init(_ change: ObjectChange) {
        self.init(key: change.key.bytes, slot: change.key.slot.rawValue, record: .set(change.record.bytes))
        expiry = change.nextDueMilliseconds.map { .set($0) } ?? .clear
        drops = change.drops.map(\.storedVersion)
        purpose = change.freesSpace ? .frees : .stores
        for parts in change.puts {
            let version = parts.timestamp.storedVersion
            puts.append(PartPut(version: version, part: .descriptor, bytes: SharedBytes(parts.descriptor.bytes)))
            for (stripe, fragment) in parts.fragments.enumerated() {
                puts.append(
                    PartPut(
                        version: version, part: .fragment(fragment.index, StripeIndex(UInt32(stripe))),
                        bytes: fragment.bytes))
            }
        }
    }
}
