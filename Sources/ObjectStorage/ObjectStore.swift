// The durable store of one server: a journal that holds every fact, and an index over it.
//
// One thread at a time changes it (a mutex sees to that); any number read beside it. `apply` returns when its batch is
// durable and visible to readers. docs/storage.md has the formats and the argument for what survives a crash.

import ErasureCode
import Synchronization

/// Atomic, durable changes of objects, and the reads of a server. Keys, versions and records are opaque here.
package final class ObjectStore: Sendable {
    /// The directory the store lies in.
    package let directory: String
    /// The number given to `create`.
    package let incarnation: UInt64

    let journalDirectory: String
    let options: StorageOptions
    let index: any StorageIndex
    let segments: SegmentCache
    let gate = ClosingGate()
    let writer: Mutex<JournalWriter>
    /// What the opening made of the index.
    package let indexCondition: IndexCondition
    private let lock: Mutex<(any Sendable & AnyObject)?>
    private let isSuspect = Mutex(false)

    private struct Paths {
        let directory: String
        var identity: String { directory + "/store" }
        var lock: String { directory + "/lock" }
        var journal: String { directory + "/journal" }
        var index: String { directory + "/index" }
        var suspicion: String { directory + "/index-damaged" }
    }

    /// Which life of its server the store in a directory is of; nil where there is none.
    ///
    /// - Throws: when there is one that cannot be read.
    package static func incarnation(
        inDirectory directory: String, options: StorageOptions = StorageOptions()
    ) throws(StorageError) -> UInt64? {
        let paths = Paths(directory: directory)
        do throws(StorageError) {
            return try StoreIdentity.read(from: paths.identity, files: options.system.files).incarnation
        } catch .notAStore {
            return nil
        }
    }

    /// Makes an empty store in `directory`, which must be empty or absent, and leaves it closed.
    /// After an error the directory holds no store.
    ///
    /// - Parameter owner: the server whose store it is for good; nil for a store that no server opens.
    package static func create(
        directory: String, owner: StoreOwner? = nil, incarnation: UInt64, options: StorageOptions = StorageOptions()
    ) throws(StorageError) {
        let paths = Paths(directory: directory)
        let files = options.system.files
        try files.makeDirectory(directory)
        guard try files.names(in: directory).isEmpty else { throw .alreadyExists(path: directory) }
        let lock = try files.lock(paths.lock, creating: true)
        defer { withExtendedLifetime(lock) {} }

        let identity = StoreIdentity(storeID: .random(), incarnation: incarnation, owner: owner)
        try files.makeDirectory(paths.journal)
        let size = max(pageAlignedUp(UInt64(max(options.segmentSizeBytes, 0))), 4 * FormatLimit.pageSizeBytes)
        _ = try SegmentFile.create(
            in: paths.journal, number: 1, storeID: identity.storeID, allocatedBytes: size, files: files)

        let index = try options.system.indexes.create(paths.index, options: options)
        defer { index.close() }
        var changes = IndexChanges()
        changes.put(IndexKey.identity, identity.storeID.bytes)
        let position = JournalPosition(segment: 1, offset: FormatLimit.pageSizeBytes, sequence: 1)
        changes.put(IndexKey.position, position.encoded)
        changes.put(IndexKey.horizon, position.encoded)
        try index.write(changes)
        try index.flush(waiting: true)

        // The identity comes last: with it, everything before it is durable.
        try files.synchronizeDirectory(directory)
        try identity.write(to: paths.identity, files: files)
        try files.synchronizeDirectory(directory)
        try files.synchronizeDirectory(directory + "/..")
    }

    /// Gives up the store in `directory`, which nobody may have opened: from then on there is none. What it held is left
    /// lying.
    package static func discard(directory: String, options: StorageOptions = StorageOptions()) throws(StorageError) {
        let paths = Paths(directory: directory)
        let files = options.system.files
        let lock = try files.lock(paths.lock, creating: false)
        defer { withExtendedLifetime(lock) {} }
        try files.remove(paths.identity)
        try files.synchronizeDirectory(directory)
    }

    /// Opens the store in `directory`, alone, and applies what the journal holds beyond the index.
    /// Refuses when anything acknowledged is known to be lost.
    ///
    /// - Parameter owner: who opens it, and must be the one that it was created for; nil for whoever does not serve it.
    package init(
        directory: String, owner: StoreOwner? = nil, options: StorageOptions = StorageOptions()
    ) throws(StorageError) {
        let paths = Paths(directory: directory)
        // The identity is read first, so that a directory that is no store is called that, not locked.
        let files = options.system.files
        let identity = try StoreIdentity.read(from: paths.identity, files: files)
        if let owner, identity.owner != owner {
            throw .otherOwner(path: directory, owner: identity.owner, opener: owner)
        }
        let lock = try files.lock(paths.lock, creating: false)
        let opening = try Self.open(paths, identity, options)
        let index = opening.index
        writer = Mutex(opening.writer)
        indexCondition = opening.condition
        self.directory = directory
        self.incarnation = identity.incarnation
        self.journalDirectory = paths.journal
        self.options = options
        self.index = index
        self.segments = SegmentCache(
            directory: paths.journal, files: files, countMax: options.openSegmentsMax)
        self.lock = Mutex(lock)
    }

    deinit { abandon() }

    /// Opens the index and recovers. An index that is missing or damaged, now or when it was last used, is made anew
    /// from the journal; if that fails and it can be opened, the store goes on with what there is.
    private static func open(
        _ paths: Paths, _ identity: StoreIdentity, _ options: StorageOptions
    ) throws(StorageError) -> (index: any StorageIndex, writer: JournalWriter, condition: IndexCondition) {
        var condition = IndexCondition.good
        let files = options.system.files
        func rebuild() throws(StorageError) {
            try IndexRebuild.run(
                index: paths.index, journalDirectory: paths.journal, identity: identity, options: options)
            try files.synchronizeDirectory(paths.directory)
            try files.remove(paths.suspicion)
            condition = .madeAnew
        }
        // What a crash left of making one.
        try? options.system.indexes.remove(IndexRebuild.unfinished(paths.index))
        if try files.open(paths.suspicion, forWriting: false) != nil {
            do throws(StorageError) {
                try rebuild()
            } catch {
                condition = .damaged(reason: error.description)
            }
        }
        do throws(StorageError) {
            let opened = try open(index: paths.index, journal: paths.journal, identity, options)
            return (opened.index, opened.writer, condition)
        } catch {
            guard case .recordLost = error, condition == .good else { throw error }
            try rebuild()
            let opened = try open(index: paths.index, journal: paths.journal, identity, options)
            return (opened.index, opened.writer, condition)
        }
    }

    private static func open(
        index path: String, journal: String, _ identity: StoreIdentity, _ options: StorageOptions
    ) throws(StorageError) -> (index: any StorageIndex, writer: JournalWriter) {
        let index = try options.system.indexes.open(path, options: options)
        do throws(StorageError) {
            return (
                index,
                try recover(identity: identity, journalDirectory: journal, index: index, options: options)
            )
        } catch {
            index.close()
            throw error
        }
    }

    private static func recover(
        identity: StoreIdentity, journalDirectory: String, index: any StorageIndex, options: StorageOptions
    ) throws(StorageError) -> JournalWriter {
        let files = options.system.files
        let isOwn = try index.withValue(of: IndexKey.identity) { $0.elementsEqual(identity.storeID.bytes) }
        guard isOwn == true else { throw .foreign(path: index.path) }
        let position = try index.position(onDisk: false)
        let horizon = try index.horizon(onDisk: false)
        var unreclaimed = try readSegmentTable(index)
        let numbers = try files.names(in: journalDirectory).compactMap { SegmentFile.number(ofName: $0) }.sorted()
        try settleOldSegments(
            numbers, before: position.segment, unreclaimed: &unreclaimed, storeID: identity.storeID,
            journalDirectory: journalDirectory, index: index, files: files)

        let replay = try JournalReplay(
            directory: journalDirectory, storeID: identity.storeID, position: position, numbers: numbers, files: files)
        // The tail is known only after the replay, which needs the writer: it begins with the first segment as tail.
        let start = try SegmentFile.open(in: journalDirectory, number: position.segment, forWriting: true, files: files)
        var writer = JournalWriter(
            directory: journalDirectory, storeID: identity.storeID, options: options, index: index,
            tail: JournalTail(segment: start, offset: position.offset, capacityBytes: 0),
            nextSequence: position.sequence, unreclaimed: unreclaimed, horizon: horizon,
            restating: try RestatingState(
                factsSizeBytes: try factsSizeBytes(index, from: horizon.sequence), resuming: index))
        let tail = try replay.run(from: position) { plan throws(StorageError) in try writer.replay(plan) }
        writer.moveTail(to: tail)
        return writer
    }

    /// What the facts of batches from one on take in the journal.
    private static func factsSizeBytes(
        _ index: any StorageIndex, from sequence: UInt64
    ) throws(StorageError) -> UInt64 {
        var size: UInt64 = 0
        let walk = index.walk()
        walk.seek(IndexKey.facts + sequence.encodedBig)
        while let key = try walk.key(startingWith: IndexKey.facts) {
            guard let number = walk.number else { throw index.malformed(key) }
            size += number
            walk.next()
        }
        return size
    }

    private static func readSegmentTable(_ index: any StorageIndex) throws(StorageError) -> [UInt64: UInt64] {
        var table: [UInt64: UInt64] = [:]
        let walk = index.walk()
        walk.seek(IndexKey.segments)
        while let key = try walk.key(startingWith: IndexKey.segments) {
            guard let numbers = IndexKey.numbers(in: key, count: 1), let value = try index.number(of: key) else {
                throw index.malformed(key)
            }
            table[numbers[0]] = value
            walk.next()
        }
        return table
    }

    /// Checks that every segment before `position` that holds something is there, and finishes interrupted removals.
    private static func settleOldSegments(
        _ numbers: [UInt64], before position: UInt64, unreclaimed: inout [UInt64: UInt64], storeID: StoreID,
        journalDirectory: String, index: any StorageIndex, files: any StorageFiles
    ) throws(StorageError) {
        let present = Set(numbers)
        for (number, bytes) in unreclaimed.sorted(by: { $0.key < $1.key }) where number < position {
            if present.contains(number) { continue }
            guard bytes == 0 else {
                throw .missingSegment(path: SegmentFile.path(in: journalDirectory, number: number))
            }
            try index.write(try removalOfSegment(number, index: index))
            unreclaimed[number] = nil
        }
        for number in numbers where number < position {
            guard unreclaimed[number] != nil else {
                try files.remove(SegmentFile.path(in: journalDirectory, number: number))
                continue
            }
            // A damaged header is no loss here: every part proves itself. A good one must be this store's.
            let segment = try SegmentFile.open(in: journalDirectory, number: number, forWriting: false, files: files)
            if let header = try segment.header(), header.storeID != storeID || header.number != number {
                throw .foreign(path: segment.path)
            }
        }
    }

    /// Remembers, durably if that can be done, that the index is damaged: the next opening makes it anew.
    func suspect(_ error: StorageError) {
        guard case .recordLost = error else { return }
        isSuspect.withLock { isSuspect in
            guard !isSuspect else { return }
            isSuspect = true
            guard (try? options.system.files.create(directory + "/index-damaged")) != nil else { return }
            try? options.system.files.synchronizeDirectory(directory)
        }
    }

    // MARK: Changing

    /// Makes the mutations durable in one append and one sync and then visible, and returns an outcome for each.
    ///
    /// A mutation that is over a limit or does not fit on the disk is refused alone, before anything of it is written;
    /// the others go on. After a failed write all are refused with `.failed`, now and later: which of them are durable
    /// is known only when the store is opened anew.
    package func apply(_ batch: [StoreMutation]) -> [Result<Void, StorageError>] {
        do throws(StorageError) {
            let results = try gate.pass { () throws(StorageError) in writer.withLock { $0.apply(batch) } }
            for case .failure(let error) in results { suspect(error) }
            return results
        } catch {
            return batch.map { _ in .failure(error) }
        }
    }

    /// The same for changes of single objects.
    package func apply(_ batch: [ObjectMutation]) -> [Result<Void, StorageError>] {
        apply(batch.map { StoreMutation(objects: [$0]) })
    }

    /// Writes to disk what only the index's memory holds, so that an opening now would replay nothing.
    package func flushIndex() throws(StorageError) {
        try gate.pass { () throws(StorageError) in
            try writer.withLock { (writer) throws(StorageError) in try writer.flush() }
        }
    }

    // MARK: Closing

    /// Flushes the index and closes; waits for calls in progress. The store is closed even when the flush fails.
    package func close() throws(StorageError) {
        do throws(StorageError) {
            try flushIndex()
        } catch .closed {
            return
        } catch {
            abandon()
            throw error
        }
        abandon()
    }

    /// Closes without flushing, as a crash would leave it; waits for calls in progress.
    package func abandon() {
        gate.shut {
            segments.forgetAll()
            index.close()
            lock.withLock { $0 = nil }
        }
    }
}
