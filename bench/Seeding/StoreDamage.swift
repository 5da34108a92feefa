// Harm to the store of a server that does not run, for whoever finds out whether it is noticed.

import ClusterFiles
import ErasureCode
import Glibc
import ObjectStorage
import ProtocolStorage
import QuorumProtocol

/// A byte of a journal that is not what it was.
package struct TurnedByte: Sendable {
    private let path: String
    private let offset: UInt64

    /// Turns all bits of the byte.
    fileprivate init(path: String, offset: UInt64) throws(DamageError) {
        self.path = path
        self.offset = offset
        try turn()
    }

    /// Makes it what it was.
    package func turnBack() throws(DamageError) { try turn() }

    private func turn() throws(DamageError) {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unwritable(path: path, code: errno) }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        guard pread(descriptor, &byte, 1, off_t(offset)) == 1 else { throw .unwritable(path: path, code: errno) }
        byte ^= .max
        guard pwrite(descriptor, &byte, 1, off_t(offset)) == 1 else { throw .unwritable(path: path, code: errno) }
    }
}

/// Why a store was not harmed as it was to be.
package enum DamageError: Error, CustomStringConvertible {
    case notHeld(ObjectKey)
    /// A byte of it in the journal would be missed by nobody.
    case inIndex(ObjectKey)
    case unwritable(path: String, code: Int32)

    package var description: String {
        switch self {
        case .notHeld(let key): "the server does not hold \(key)"
        case .inIndex(let key): "the fragments of \(key) are so small that the index has them"
        case .unwritable(let path, let code): "\(path) cannot be changed: \(String(cString: strerror(code)))"
        }
    }
}

/// The store of one server, open to be harmed.
package final class StoreDamage {
    private static let objectsPerBatch = 500

    private let store: ObjectStore
    private let reader: ProtocolStore
    private let parameters: ClusterParameters
    private let node: NodeID

    /// - Throws: `StorageError` when the store cannot be opened, also because the server runs.
    package init(home: ServerHome) throws {
        parameters = home.cluster.parameters
        node = home.node
        store = try ObjectStore(
            directory: home.storeDirectory, owner: StoreOwner(home.node, of: parameters.configuration.cluster),
            options: StorageOptions(segmentSizeBytes: home.segmentSizeBytes))
        reader = ProtocolStore(store: store, node: home.node, parameters: parameters) { _ in false }
    }

    /// Closes the store so that the next start replays nothing. Parts in a journal's last batch are read by the next
    /// start all the same, and one that is damaged would take that batch with it: one without parts comes behind it.
    package func close() throws {
        for result in store.apply([StoreMutation(rows: [.delete(.wants, key: [0])])]) { try result.get() }
        try store.close()
    }

    /// How many stripes the object has.
    package func stripeCount(of key: ObjectKey) throws -> Int { try fragments(of: key).count }

    /// Turns a byte in the middle of the server's fragment of a stripe.
    package func turnByte(of key: ObjectKey, stripe: Int) throws -> TurnedByte {
        let (version, part) = try fragments(of: key)[stripe]
        guard let place = try store.place(of: key.bytes, version: version, part: part) else {
            throw DamageError.inIndex(key)
        }
        return try TurnedByte(path: place.path, offset: (place.bytes.lowerBound + place.bytes.upperBound) / 2)
    }

    /// Removes the server's fragments of these objects, and leaves the records that say that it has them.
    ///
    /// - Returns: of how many stripes.
    package func discardFragments(of keys: [ObjectKey]) throws -> Int {
        var count = 0
        for start in stride(from: 0, to: keys.count, by: Self.objectsPerBatch) {
            var changes: [ObjectMutation] = []
            for key in keys[start..<min(start + Self.objectsPerBatch, keys.count)] {
                let fragments = try fragments(of: key)
                count += fragments.count
                var change = ObjectMutation(key: key.bytes, slot: key.slot.rawValue)
                change.drops = Set(fragments.map(\.version)).sorted()
                // What goes with a small object's fragments and is none.
                for version in change.drops {
                    if let bytes = try store.part(of: key.bytes, version: version, part: .descriptor) {
                        change.puts.append(PartPut(version: version, part: .descriptor, bytes: bytes))
                    }
                }
                changes.append(change)
            }
            for result in store.apply(changes) { try result.get() }
        }
        return count
    }

    /// Where the store has the fragment of each stripe of the object's version.
    private func fragments(of key: ObjectKey) throws -> [(version: StoredVersion, part: VersionPart)] {
        guard let position = parameters.placement(of: key).position(of: node)?.fragmentIndex,
            case .held(let record) = reader.record(of: key), let timestamp = record.committedTimestamp,
            case .held(let sealed) = reader.descriptor(of: timestamp, key: key)
        else { throw DamageError.notHeld(key) }
        guard let staged = sealed.descriptor.staged else {
            return sealed.descriptor.stripes.indices.map {
                (timestamp.storedVersion, .fragment(position, StripeIndex(UInt32($0))))
            }
        }
        return staged.parts.flatMap { part in
            (0..<part.stripeCount).map { stripe in
                let (version, number) = part.attempt.storedPlace(of: stripe)
                return (version, .fragment(position, StripeIndex(number)))
            }
        }
    }
}
