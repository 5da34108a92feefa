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
    let breaker = LossBreaker()

    /// The durable record of an object; nil when there is none.
    func record(of key: ObjectKey) -> Result<ObjectRecord?, StoreFailure> {
        do {
            guard let bytes = try store.record(of: key.bytes) else { return .success(nil) }
            return .success(try ObjectRecord(decoding: bytes))
        } catch {
            logger.error("the record of \(key) cannot be read: \(error)")
            return .failure(.failed)
        }
    }

    /// The descriptor of a version.
    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor> {
        let bytes: SharedBytes
        switch part(.descriptor, of: timestamp, key: key) {
        case .held(let held): bytes = held
        case .absent: return .absent
        case .lost: return .lost
        case .unreadable: return .unreadable
        }
        do {
            let descriptor = try SealedDescriptor(decoding: bytes.array, parameters: parameters)
            guard descriptor.digest == timestamp.digest else {
                return lost("the descriptor of \(key) at \(timestamp) is another one's")
            }
            return .held(descriptor)
        } catch {
            return lost("the descriptor of \(key) at \(timestamp) is none: \(error)")
        }
    }

    /// The server's fragments of a version, one for each stripe.
    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        guard let position = parameters.placement(of: key).position(of: node)?.fragmentIndex else { return .absent }
        var fragments: [SharedBytes] = []
        for stripe in 0..<stripeCount {
            switch part(.fragment(position, StripeIndex(UInt32(stripe))), of: timestamp, key: key) {
            case .held(let bytes): fragments.append(bytes)
            case .absent: return .absent
            case .lost: return .lost
            case .unreadable: return .unreadable
            }
        }
        return .held(fragments)
    }

    private func part(_ part: VersionPart, of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SharedBytes> {
        func read() throws(StorageError) -> SharedBytes? {
            try store.part(of: key.bytes, version: timestamp.storedVersion, part: part)
        }
        do throws(StorageError) {
            return try read().map(StoredParts.held) ?? .absent
        } catch {
            guard error.isLoss else { return unreadable("a part of \(key) at \(timestamp) cannot be read: \(error)") }
        }
        // What is lost is lost for good: seen twice.
        do throws(StorageError) {
            return try read().map(StoredParts.held) ?? .absent
        } catch {
            let what = "a part of \(key) at \(timestamp) is lost: \(error)"
            return error.isLoss ? lost(what) : unreadable(what)
        }
    }

    private func lost<Value>(_ what: String) -> StoredParts<Value> {
        statistics.count { $0.lostParts += 1 }
        guard breaker.admits() else {
            if breaker.isNews {
                logger.critical(
                    """
                    more parts are lost than disks lose: the disk, its cabling or the memory is suspect. Nothing more is \
                    marked as lost for now, and what can be read is served. Check the machine; the last one: \(what)
                    """)
            }
            return .unreadable
        }
        logger.warning("\(what)")
        return .lost
    }

    private func unreadable<Value>(_ what: String) -> StoredParts<Value> {
        statistics.count { $0.unreadableParts += 1 }
        if breaker.mayComplain() { logger.warning("\(what)") }
        return .unreadable
    }

    /// Objects that have something to drop or to verify before the given time.
    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] {
        due(beforeMilliseconds: time, after: nil, limit: limit).keys
    }

    /// Objects that have something to drop or to verify before the given time and come after `last`, and where to go on
    /// from; that is nil when there are no more.
    func due(
        beforeMilliseconds time: UInt64, after last: ExpiredObject?, limit: Int
    ) -> (keys: [ObjectKey], last: ExpiredObject?) {
        do {
            let found = try store.expired(before: time, after: last, limit: limit)
            return (found.compactMap { try? ObjectKey(bytes: $0.key) }, found.count < limit ? nil : found.last)
        } catch {
            logger.error("due objects cannot be listed: \(error)")
            return ([], nil)
        }
    }

    /// At most `limit` objects above `after` at which the client has versions and none is committed, in order.
    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        let prefix = StoreMutation.bareRow(of: client, [])
        let first = after.map { StoreMutation.bareRow(of: client, $0.bytes) + [0] } ?? prefix
        // Names have sixteen bytes, so that 0xff behind one is above all keys that begin with it.
        let end = prefix + [0xff]
        do {
            return try store.rows(.bare, from: first, below: end, limit: limit).compactMap {
                try? ObjectKey(bytes: Array($0.key.dropFirst(prefix.count)))
            }
        } catch {
            logger.error("objects without a commit cannot be listed: \(error)")
            return []
        }
    }

    /// What each client was charged when the store was last changed.
    func charges() throws(StorageError) -> [ClientCharge] {
        try store.rows(.accounts, from: nil, below: nil, limit: .max).compactMap { row in
            guard let client = ClientID(bytes: row.key), let numbers = CounterRow.numbers(row.value) else { return nil }
            return ClientCharge(client: client, charge: Charge(numbers: numbers))
        }
    }

    /// Why the store did not take a change, as the protocol says it.
    func failure(for error: StorageError) -> StoreFailure {
        if case .noSpace = error { return .full }
        return .failed
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

extension StoreMutation {
    /// The store's form of a change of the protocol's: of its object, of what clients are charged for it, and of the list
    /// of objects without a commit.
    init(_ change: ObjectChange) {
        self.init(objects: [ObjectMutation(change)])
        for charge in change.charges {
            rows.append(.add(.accounts, key: charge.client.bytes, charge.charge.numbers))
        }
        for writer in change.bareWriters {
            let key = Self.bareRow(of: writer.client, change.key.bytes)
            rows.append(writer.isBare ? .put(.bare, key: key, value: [1]) : .delete(.bare, key: key))
        }
    }

    fileprivate static func bareRow(of client: ClientID, _ key: [UInt8]) -> [UInt8] { client.bytes + key }
}

extension ObjectMutation {
    /// The store's form of a change of the protocol's.
    init(_ change: ObjectChange) {
        self.init(key: change.key.bytes, slot: change.key.slot.rawValue, record: .set(change.record.bytes))
        expiry = change.nextDueMilliseconds.map { .set($0) } ?? .clear
        drops = change.drops.map(\.storedVersion)
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
