// The real store of one server of a world: the journal, its replay, its reclaiming and the index over it, on files and
// an index in memory that lose what was not synced (StorageSimulator). Changes and reads take the way that they take in
// a server (ProtocolStorage).
//
// What befalls it is drawn from a seed of its own: when in the middle of a batch a process ends, whether it was killed
// or power went, and what of the files and the index was on the disk by then.

import ErasureCode
import ObjectStorage
import ProtocolStorage
import QuorumProtocol
import StorageSimulator
import Synchronization

/// What the stores of a world's servers are like.
package struct PlannedStores: Sendable, Equatable {
    package let segmentSizeBytes: Int
    /// Parts up to this size lie in the index, too.
    package let inlinePartSizeBytesMax: Int
    package let reservedFreeBytes: Int
    package let flushIntervalBytes: Int
    package let reclaimFlushBytes: Int
}

/// A store that opens, works, and ends in the middle of something.
final class ServerStore {
    private static let directory = "/store"
    private static let reclaimRangesPerStep = 64

    private let node: NodeID
    private let parameters: ClusterParameters
    private let files: MemoryFiles
    private let indexes: MemoryIndexes
    private let options: StorageOptions
    private let losses = LossList()
    private var dice: Dice
    /// Nil while the server is down.
    private var opened: ProtocolStore?
    /// Whether it has stopped taking changes, until it is opened anew.
    private(set) var hasFailed = false
    /// Whether bytes were changed behind its back, so that it may refuse to open.
    private(set) var hasRotted = false

    /// Makes the store and opens it.
    init(_ plan: PlannedStores, node: NodeID, parameters: ClusterParameters, seed: UInt64) {
        var dice = Dice(seed: seed)
        self.node = node
        self.parameters = parameters
        files = MemoryFiles(dice: dice.fork())
        indexes = MemoryIndexes(files: files, dice: dice.fork())
        var options = StorageOptions()
        options.system = StorageSystem(files: files, indexes: indexes)
        options.segmentSizeBytes = plan.segmentSizeBytes
        options.inlinePartSizeBytesMax = plan.inlinePartSizeBytesMax
        options.reservedFreeBytes = plan.reservedFreeBytes
        options.flushIntervalBytes = plan.flushIntervalBytes
        options.reclaimFlushBytes = plan.reclaimFlushBytes
        options.indexWriteBufferBytes = 16 << 10
        self.options = options
        self.dice = dice
        do {
            try ObjectStore.create(directory: Self.directory, incarnation: 1, options: options)
            try open()
        } catch {
            preconditionFailure("nothing is wrong yet: \(error)")
        }
    }

    private func open() throws(StorageError) {
        let store = try ObjectStore(directory: Self.directory, options: options)
        hasFailed = false
        opened = ProtocolStore(store: store, node: node, parameters: parameters) { [losses] loss in
            losses.note("\(loss)")
            return true
        }
    }

    /// The first thing that it could not show, take or give back; nil while all went well.
    var complaint: String? { losses.first }

    // MARK: Writing

    /// Makes the changes durable as one batch and then gives space back; what became of each, nil for durable.
    func apply(_ changes: [ObjectChange]) -> [StoreFailure?] {
        guard let store = opened?.store else { preconditionFailure("a server that is down changes nothing") }
        let outcomes = store.apply(changes.map(StoreMutation.init)).map { outcome -> StoreFailure? in
            guard case .failure(let error) = outcome else { return nil }
            losses.note("\(error)")
            if case .failed = error { hasFailed = true }
            return StoreFailure(error)
        }
        reclaim(store)
        if dice.chance(10) { indexes.progress() }
        return outcomes
    }

    private func reclaim(_ store: ObjectStore) {
        guard !hasFailed else { return }
        do {
            var progress = try store.reclaimShare()
            while progress.hasMore { progress = try store.reclaim(limit: Self.reclaimRangesPerStep) }
        } catch {
            losses.note("\(error)")
        }
    }

    // MARK: Ending and starting

    /// The process ends, be it killed or without power.
    ///
    /// - Parameters:
    ///   - changes: of the batch under way.
    ///   - hasBegun: whether anything of the batch may have reached the disk.
    ///   - isSudden: whether power went.
    func crash(_ changes: [ObjectChange], hasBegun: Bool, isSudden: Bool) {
        if let store = opened?.store {
            // What goes wrong now is what was asked for.
            let before = losses.first
            if hasBegun, dice.chance(changes.isEmpty ? 20 : 70) { files.losePower(in: 1 + dice.below(8)) }
            if hasBegun { if changes.isEmpty { reclaim(store) } else { _ = apply(changes) } }
            losses.first = before
            store.abandon()
            opened = nil
        }
        if !isSudden, dice.chance(50) { files.kill() } else { files.crash() }
        indexes.crash()
    }

    /// Opens the store, and again when power goes meanwhile.
    ///
    /// - Returns: why it does not open.
    func start() -> StorageError? {
        guard opened == nil else { return nil }
        var attempt = 1
        while true {
            if attempt <= 3, dice.chance(15) { files.losePower(in: 1 + dice.below(12)) }
            defer { files.losePower(in: nil) }
            do throws(StorageError) {
                try open()
                return nil
            } catch {
                guard files.isOff else { return error }
                files.crash()
                indexes.crash()
                attempt += 1
            }
        }
    }

    // MARK: What befalls the disk

    func suffer(_ trouble: VirtualDisk.Trouble) {
        var troubles = MemoryFiles.Troubles()
        var failedReads = 0
        files.setCapacity(.max)
        indexes.setFull(false)
        switch trouble {
        case .none: break
        case .full:
            files.setCapacity(files.occupiedBytes + dice.pick([0, 16 << 10, 64 << 10]))
            indexes.setFull(dice.chance(50))
        case .failing(let percent):
            troubles.failedWrites = (percent + 3) / 4
            troubles.failedSyncs = percent
            failedReads = percent / 20
        }
        files.setTroubles(troubles)
        indexes.setFailedReads(failedReads)
    }

    /// A row of the index cannot be read any more, or a bit of the journal turns; what, for the transcript.
    func rot() -> String? {
        if dice.chance(30) {
            let prefix: [UInt8] = dice.chance(50) ? Array("o".utf8) : []
            if let row = indexes.damage(Self.directory + "/index", rowsStartingWith: prefix) {
                hasRotted = true
                return "the index's row of \(row.count) bytes that begins with '\(String(UnicodeScalar(row[0])))'"
            }
        }
        guard let batches = try? JournalWalk(store: Self.directory, files: files).batches(), !batches.isEmpty else {
            return nil
        }
        hasRotted = true
        let batch = dice.pick(batches)
        let range = dice.chance(30) || batch.payload.isEmpty ? batch.facts : batch.payload
        let offset = Int(range.lowerBound) + dice.below(range.count)
        let bit = UInt8(1) << UInt8(dice.below(8))
        files.damage(batch.path) { $0[offset] ^= bit }
        return "byte \(offset) of \(batch.path), in batch \(batch.sequence)"
    }

    // MARK: Reading

    func record(_ key: ObjectKey) -> StoredParts<ObjectRecord> { opened?.record(of: key) ?? .unreadable }

    func descriptor(_ key: ObjectKey, _ timestamp: Timestamp) -> StoredParts<SealedDescriptor> {
        opened?.descriptor(of: timestamp, key: key) ?? .unreadable
    }

    func fragments(_ key: ObjectKey, _ timestamp: Timestamp, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        opened?.fragments(of: timestamp, key: key, stripeCount: stripeCount) ?? .unreadable
    }

    func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> {
        opened?.stagedEntry(of: attempt, stripe: stripe, key: key) ?? .unreadable
    }

    func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> {
        opened?.stagedFragment(of: attempt, stripe: stripe, key: key) ?? .unreadable
    }

    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        opened?.bareObjects(of: client, after: after, limit: limit) ?? []
    }

    func list(_ query: ListingQuery) -> Result<ListingAnswer, Refusal> {
        opened?.list(query) ?? .failure(.storageFailed)
    }

    /// What clients are charged by the store's own account, while it is open.
    var charges: [ClientCharge] {
        do {
            return try opened?.charges() ?? []
        } catch {
            losses.note("the accounts cannot be read: \(error)")
            return []
        }
    }

    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] {
        opened?.due(beforeMilliseconds: time, limit: limit) ?? []
    }

    /// Objects of which the server wants something by its table, in order, and since when.
    func wants() -> [(key: ObjectKey, sinceMilliseconds: UInt64)] {
        do {
            return try opened?.wants(after: nil, limit: .max) ?? []
        } catch {
            losses.note("the wants cannot be read: \(error)")
            return []
        }
    }

    /// What clients are charged by the records.
    var recordedCharges: [ClientCharge] { keys().flatMap { record($0).value?.charges ?? [] } }

    func timestamps(_ key: ObjectKey) -> [Timestamp] {
        do {
            return try opened?.timestamps(of: key) ?? []
        } catch {
            losses.note("the versions of \(key) cannot be listed: \(error)")
            return []
        }
    }

    /// Whether the list of the object's slot says of it what its record says.
    func isListed(_ key: ObjectKey, _ record: ObjectRecord) -> Bool {
        do {
            let listed = try opened?.listing(of: key.slot, after: nil, limit: .max) ?? []
            return listed.filter { $0.key == key }.map(\.committed) == [record.highestCommitted]
        } catch {
            losses.note("the slot of \(key) cannot be listed: \(error)")
            return false
        }
    }

    /// An object whose record is not read as what it was stored from.
    func misreadRecord() -> ObjectKey? {
        keys().first { key in
            guard let bytes = try? opened?.store.record(of: key.bytes) else { return false }
            return (try? ObjectRecord(decoding: bytes))?.bytes != bytes
        }
    }

    /// All objects that have a record.
    private func keys() -> [ObjectKey] {
        do {
            return try (opened?.store.objects(after: nil, limit: .max) ?? []).map { try ObjectKey(bytes: $0.key) }
        } catch {
            losses.note("the objects cannot be listed: \(error)")
            return []
        }
    }
}

// MARK: - Errors that are planted

extension ServerStore {
    func loseFragments() {
        change { key, _ in
            var mutation = ObjectMutation(key: key.bytes)
            for timestamp in timestamps(key) {
                guard let descriptor = descriptor(key, timestamp).value else { continue }
                mutation.drops.append(timestamp.storedVersion)
                mutation.puts.append(
                    PartPut(
                        version: timestamp.storedVersion, part: .descriptor, bytes: SharedBytes(descriptor.bytes)))
            }
            return mutation
        }
    }

    func losePending() {
        change { key, record in
            var kept = record
            kept.held.removeAll { record.highestCommitted.precedes($0.timestamp) }
            for attempt in kept.staged.indices {
                kept.staged[attempt].holders.removeAll { record.highestCommitted.precedes($0.timestamp) }
            }
            return ObjectMutation(
                key: key.bytes, slot: key.slot.rawValue, record: .set(kept.bytes),
                summary: kept.highestCommitted?.storedVersion.bytes ?? [],
                drops: timestamps(key).filter { record.highestCommitted.precedes($0) }.map(\.storedVersion))
        }
    }

    private func change(_ mutation: (ObjectKey, ObjectRecord) -> ObjectMutation) {
        for key in keys() {
            guard let record = record(key).value else { continue }
            _ = opened?.store.apply([mutation(key, record)])
        }
    }
}

/// What a store could not do, told by whoever noticed.
private final class LossList: Sendable {
    private let text = Mutex<String?>(nil)

    var first: String? {
        get { text.withLock { $0 } }
        set { text.withLock { $0 = newValue } }
    }

    func note(_ loss: String) { text.withLock { $0 = $0 ?? loss } }
}
