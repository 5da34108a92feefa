// Turns the plan of one batch into one atomic write of the index. Appending and replay share it, so replay makes
// exactly what appending would have made.

import ErasureCode

/// What of the journal a batch turned into garbage.
struct NewGarbage {
    var rangeCount = 0
    var sizeBytes: UInt64 = 0
}

/// What one batch changes in the index.
struct BatchChanges {
    var changes: IndexChanges
    var garbage: NewGarbage
    /// Rows of sums as they are afterwards; nil for one that is none any more.
    var sums: [HashedBytes: [Int64]?]
    /// Whether other rows of sums may be gone, too.
    var deletesRanges: Bool
}

/// The index changes of one batch under construction.
///
/// Later mutations of a batch see the earlier ones, so what this batch already did to a version is remembered here:
/// the database shows it only after the whole batch was written.
struct IndexUpdate {
    private let index: any StorageIndex
    private let sequence: UInt64
    private let isRebuilding: Bool
    private var changes = IndexChanges()
    private var versions: [HashedBytes: VersionState] = [:]
    private var expiries: [HashedBytes: UInt64?] = [:]
    private let known: KnownSums
    /// Rows that this batch has put, or deleted (nil); rows that it has added to; ranges of rows that it has deleted.
    private var rows: [HashedBytes: [UInt8]?] = [:]
    private var sums: [HashedBytes: [Int64]?] = [:]
    private var deletedRanges: [(first: [UInt8], end: [UInt8])] = []
    private var walk: (any IndexWalk)?
    private var garbage = NewGarbage()

    /// What the batch did to one version so far.
    private struct VersionState {
        /// Whether the entries that the database holds for it are gone.
        var isDropped = false
        /// The parts put by this batch and not dropped since; nil for an inline part.
        var parts: [VersionPart: JournalRange?] = [:]
    }

    /// The write that applies `plan` and moves the position behind it. `unreclaimed` is the segment's entry in the
    /// segment table after the batch.
    ///
    /// - Parameters:
    ///   - known: rows of sums as `index` has them.
    ///   - isRebuilding: whether the index is being made from nothing. What is restated is new to it then, and what is
    ///     garbage shows in the end; any other index has all that is restated as it is.
    static func make(
        _ plan: PlannedBatch, unreclaimed: UInt64, index: any StorageIndex, known: KnownSums, isRebuilding: Bool
    ) throws(StorageError) -> BatchChanges {
        var update = IndexUpdate(
            index: index, known: known, sequence: plan.header.sequence, isRebuilding: isRebuilding)
        let facts = plan.facts
        if isPlanted(.factsForgotten) {
            update.discard(facts)
        } else {
            update.changes.put(
                IndexKey.facts(sequence: plan.header.sequence, facts), facts.sizeBytes.encodedLittle)
        }
        if let padding = plan.padding { update.discard(padding) }
        for object in plan.objects where isRebuilding || !object.mutation.isRestatement { try update.apply(object) }
        for row in plan.rows { try update.apply(row) }
        for case (let key, let sum?) in update.sums { update.changes.put(key.bytes, CounterRow.bytes(sum)) }
        update.changes.put(IndexKey.position, JournalPosition(behind: plan).encoded)
        update.changes.put(IndexKey.horizon, plan.header.horizon.encoded)
        update.changes.put(IndexKey.segment(plan.header.segment), unreclaimed.encodedLittle)
        return BatchChanges(
            changes: update.changes, garbage: update.garbage, sums: update.sums,
            deletesRanges: !update.deletedRanges.isEmpty)
    }

    /// Nothing but the position behind a batch.
    static func position(behind plan: PlannedBatch) -> IndexChanges {
        var changes = IndexChanges()
        changes.put(IndexKey.position, JournalPosition(behind: plan).encoded)
        return changes
    }

    private init(index: any StorageIndex, known: KnownSums, sequence: UInt64, isRebuilding: Bool) {
        self.index = index
        self.known = known
        self.isRebuilding = isRebuilding
        self.sequence = sequence
    }

    private mutating func apply(_ object: PlannedObject) throws(StorageError) {
        let mutation = object.mutation
        switch mutation.record {
        case .keep: break
        case .set(let bytes):
            changes.put(IndexKey.record(mutation.key), bytes)
            changes.put(IndexKey.slot(mutation.slot) + mutation.key, mutation.summary)
        case .clear:
            changes.delete(IndexKey.record(mutation.key))
            changes.delete(IndexKey.slot(mutation.slot) + mutation.key)
        }
        switch mutation.head {
        case .keep: break
        case .set(let bytes): changes.put(IndexKey.head(mutation.key), bytes)
        case .clear: changes.delete(IndexKey.head(mutation.key))
        }
        switch mutation.expiry {
        case .keep: break
        case .set(let time): try setExpiry(time, of: mutation.key)
        case .clear: try setExpiry(nil, of: mutation.key)
        }
        for version in mutation.drops { try drop(IndexKey.version(version, of: mutation.key)) }
        for put in object.puts { try store(put, IndexKey.version(put.version, of: mutation.key)) }
    }

    private mutating func apply(_ row: RowChange) throws(StorageError) {
        switch row {
        case .put(let table, let key, let value):
            set(IndexKey.table(table) + key, value)
        case .delete(let table, let key):
            set(IndexKey.table(table) + key, nil)
        case .deleteRange(let table, let first, let end):
            let prefix = IndexKey.table(table)
            guard first.lexicographicallyPrecedes(end) else { return }
            changes.deleteRange(from: prefix + first, to: prefix + end)
            deletedRanges.append((prefix + first, prefix + end))
            rows = rows.filter { !Self.range(prefix + first, prefix + end, contains: $0.key.bytes) }
            sums = sums.filter { !Self.range(prefix + first, prefix + end, contains: $0.key.bytes) }
        case .add(let table, let key, let amounts):
            // Also when all are 0: whoever makes an index anew must be told that, having missed what came before.
            let name = HashedBytes(IndexKey.table(table) + key)
            sums.updateValue(CounterRow.sum(try numbers(name), amounts), forKey: name)
        }
    }

    /// Puts a row, or deletes it when there is no value.
    private mutating func set(_ indexKey: [UInt8], _ value: [UInt8]?) {
        if let value { changes.put(indexKey, value) } else { changes.delete(indexKey) }
        let name = HashedBytes(indexKey)
        rows.updateValue(value, forKey: name)
        if sums[name] != nil || known[name] != nil { sums.updateValue(nil, forKey: name) }
    }

    /// The numbers of a row as it is after what this batch has done; none when there is no row.
    private func numbers(_ name: HashedBytes) throws(StorageError) -> [Int64] {
        if case .some(.some(let sum)) = sums[name] { return sum }
        let bytes: [UInt8]?
        if let row = rows[name] {
            bytes = row
        } else if deletedRanges.contains(where: { Self.range($0.first, $0.end, contains: name.bytes) }) {
            bytes = nil
        } else if let sum = known[name] {
            return sum
        } else {
            bytes = try index.withValue(of: name.bytes) { Array($0) }
        }
        guard let numbers = CounterRow.numbers(bytes ?? []) else { throw index.malformed(name.bytes) }
        return numbers
    }

    private static func range(_ first: [UInt8], _ end: [UInt8], contains key: [UInt8]) -> Bool {
        !key.lexicographicallyPrecedes(first) && key.lexicographicallyPrecedes(end)
    }

    private mutating func setExpiry(_ time: UInt64?, of key: [UInt8]) throws(StorageError) {
        let before: UInt64?
        if let pending = expiries[HashedBytes(key)] {
            before = pending
        } else {
            before = try index.number(of: IndexKey.expiry(key))
        }
        guard before != time else { return }
        if let before { changes.delete(IndexKey.expiryByTime(before, key)) }
        if let time {
            changes.put(IndexKey.expiryByTime(time, key), [])
            changes.put(IndexKey.expiry(key), time.encodedLittle)
        } else {
            changes.delete(IndexKey.expiry(key))
        }
        expiries.updateValue(time, forKey: HashedBytes(key))
    }

    private mutating func drop(_ prefix: [UInt8]) throws(StorageError) {
        var state = versions[HashedBytes(prefix)] ?? VersionState()
        for (part, range) in state.parts {
            if let range { discard(range) }
            changes.delete(IndexKey.part(part, versionPrefix: prefix))
        }
        if !state.isDropped {
            let walk = self.walk ?? index.walk()
            self.walk = walk
            walk.seek(prefix)
            while let key = try walk.key(startingWith: prefix) {
                defer { walk.next() }
                guard let part = IndexKey.part(in: key, versionPrefix: prefix) else { throw index.malformed(key) }
                // Its old bytes were discarded when this batch replaced it.
                if state.parts[part] != nil { continue }
                guard let entry = walk.withValue({ PartEntry($0, withBytes: false) }) else {
                    throw index.malformed(key)
                }
                if let range = entry.journalRange { discard(range) }
                changes.delete(key)
            }
        }
        state.isDropped = true
        state.parts = [:]
        versions[HashedBytes(prefix)] = state
    }

    private mutating func store(_ part: PlannedPart, _ prefix: [UInt8]) throws(StorageError) {
        let key = IndexKey.part(part.part, versionPrefix: prefix)
        let name = HashedBytes(prefix)
        var state = versions[name] ?? VersionState()
        if let pending = state.parts[part.part] {
            if let range = pending { discard(range) }
        } else if !state.isDropped {
            let found = try index.withValue(of: key) { PartEntry($0, withBytes: false) }
            if let found {
                guard let entry = found else { throw index.malformed(key) }
                if let range = entry.journalRange { discard(range) }
            }
        }
        changes.put(key, PartEntry.encode(part))
        let placement = part.placement
        let range: JournalRange? =
            part.isInline || placement.sizeBytes == 0
            ? nil
            : JournalRange(
                segment: placement.segment, offset: placement.offset, sizeBytes: UInt64(placement.sizeBytes))
        state.parts.updateValue(range, forKey: part.part)
        versions[name] = state
    }

    private mutating func discard(_ range: JournalRange) {
        guard !isRebuilding else { return }
        changes.put(IndexKey.waitingGarbage(sequence: sequence, range), range.sizeBytes.encodedLittle)
        garbage.rangeCount += 1
        garbage.sizeBytes += range.sizeBytes
    }
}
