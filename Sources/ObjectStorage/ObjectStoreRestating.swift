// Says again in the journal all that is true, so that what was said before may be forgotten and the index can still be
// made from what is left.
//
// A round walks over the index and puts what it finds into batches of its own, a piece at a time, while the writer is
// held. Every batch is applied in its order, so what changes meanwhile is said after it or before it, as it was. Once
// the round is over, all that is true was said in or after the batch before which it began: that is the new horizon.
// Every batch tells the newest one, and facts before the one that the index on the disk knows are given back.
//
// What a round would say is known from the last one, until much was deleted since. So the index is walked over now and
// then without saying anything, to see how much it is by now.

import ErasureCode

/// What one step of restating did.
package struct RestatingProgress: Equatable, Sendable {
    /// Entries said again.
    package var entryCount = 0
    /// Whether another step would find more to do at once.
    package var hasMore = false
    /// How many times as much as begins a round the facts take by now: who is that far behind makes so many steps in
    /// the time of one.
    package var pressure = 0

    package init() {}
}

/// How far a round of restating has come.
struct RestatingState {
    enum Phase {
        case resting
        /// Looking how much is true; the walk goes on at `cursor`.
        case measuring(sizeBytes: UInt64, cursor: [UInt8])
        /// `start` is where the round began, `facts` what the facts took then; the walk goes on at `cursor`.
        case walking(start: JournalPosition, factsBefore: UInt64, cursor: [UInt8])
    }

    var phase = Phase.resting
    /// What the facts from the horizon on take in the journal.
    var factsSizeBytes: UInt64
    /// What saying everything takes, as the last round or measurement has it; nil while there was none.
    var lastSizeBytes: UInt64?
    /// What the facts took then.
    var measuredFactsSizeBytes: UInt64 = 0
    /// Whether no batch has told the newest horizon yet.
    var isUntold = false

    init(factsSizeBytes: UInt64) {
        self.factsSizeBytes = factsSizeBytes
    }

    /// The round that the index knows of goes on: it is written there behind each of its batches, so it says no more
    /// than the journal does.
    init(factsSizeBytes: UInt64, resuming index: any StorageIndex) throws(StorageError) {
        self.init(factsSizeBytes: factsSizeBytes)
        let found = try index.withValue(of: IndexKey.round) { bytes -> Phase? in
            var reader = ByteCursor(bytes)
            guard let place = reader.take(JournalPosition.sizeBytes), let start = JournalPosition(place),
                let before = reader.little(UInt64.self), let cursor = reader.take(reader.remainingCount),
                !cursor.isEmpty
            else { return nil }
            return .walking(start: start, factsBefore: before, cursor: Array(cursor))
        }
        if let phase = found ?? nil { self.phase = phase }
    }

    /// How far the round is; at its end there is none.
    fileprivate static func changes(start: JournalPosition, factsBefore: UInt64, cursor: [UInt8]) -> IndexChanges {
        var changes = IndexChanges()
        if cursor.isEmpty {
            changes.delete(IndexKey.round)
        } else {
            changes.put(IndexKey.round, start.encoded + factsBefore.encodedLittle + cursor)
        }
        return changes
    }
}

extension ObjectStore {
    private static let entriesPerStep = 1024
    /// The tables of the index that say what is true, in the order of a round.
    private static let restatedTables = [
        IndexKey.expiries, IndexKey.slots, IndexKey.heads, IndexKey.parts, IndexKey.rows,
    ]

    /// Makes one step of a round: says about `sizeBytesMax` bytes again, one entry at least. Begins a round when enough
    /// was said since the last one.
    ///
    /// - Throws: what keeps it from going on. The round begins anew then; for want of room it only waits.
    package func restate(sizeBytesMax: Int) throws(StorageError) -> RestatingProgress {
        do throws(StorageError) {
            return try gate.pass { () throws(StorageError) in
                try writer.withLock { (writer) throws(StorageError) in
                    try restate(sizeBytesMax: sizeBytesMax, &writer)
                }
            }
        } catch {
            suspect(error)
            throw error
        }
    }

    private func restate(
        sizeBytesMax: Int, _ writer: inout JournalWriter
    ) throws(StorageError) -> RestatingProgress {
        if let failure = writer.failure { throw failure }
        if writer.restating.isUntold {
            if try writer.appendMark() {
                writer.restating.isUntold = false
                try writer.requestFlush()
            }
            return RestatingProgress()
        }
        guard case .walking(let start, let factsBefore, var cursor) = writer.restating.phase else {
            guard writer.isRestatingWorthwhile else { return try measure(sizeBytesMax: sizeBytesMax, &writer) }
            writer.restating.phase = .walking(
                start: writer.end, factsBefore: writer.restating.factsSizeBytes, cursor: Self.restatedTables[0])
            return try restate(sizeBytesMax: sizeBytesMax, &writer)
        }
        var progress = RestatingProgress()
        progress.hasMore = true
        progress.pressure = Int(clamping: writer.restating.factsSizeBytes / writer.restatingThresholdBytes)
        // Until all is well; then the round goes on.
        writer.restating.phase = .resting
        let before = cursor
        let mutations = try nextEntries(&cursor, sizeBytesMax: sizeBytesMax)
        for result in writer.apply(mutations) {
            do throws(StorageError) {
                try result.get()
            } catch {
                guard case .noSpace = error else { throw error }
                // What was said already took room that only the round's end gives back.
                writer.restating.phase = .walking(start: start, factsBefore: factsBefore, cursor: before)
                return RestatingProgress()
            }
        }
        progress.entryCount = mutations.count
        try index.write(RestatingState.changes(start: start, factsBefore: factsBefore, cursor: cursor))
        guard cursor.isEmpty else {
            writer.restating.phase = .walking(start: start, factsBefore: factsBefore, cursor: cursor)
            return progress
        }
        writer.horizon = isPlanted(.horizonTooLate) ? writer.end : start
        writer.restating.factsSizeBytes -= min(factsBefore, writer.restating.factsSizeBytes)
        writer.restating.lastSizeBytes = writer.restating.factsSizeBytes
        writer.restating.measuredFactsSizeBytes = writer.restating.factsSizeBytes
        writer.restating.isUntold = true
        return progress
    }

    /// Makes one step of looking how much is true, if that may be less by now than the last round said.
    private func measure(sizeBytesMax: Int, _ writer: inout JournalWriter) throws(StorageError) -> RestatingProgress {
        var size: UInt64 = 0
        var cursor = Self.restatedTables[0]
        if case .measuring(let before, let next) = writer.restating.phase {
            (size, cursor) = (before, next)
        } else {
            guard writer.isMeasuringWorthwhile else { return RestatingProgress() }
            writer.restating.measuredFactsSizeBytes = writer.restating.factsSizeBytes
        }
        // Until all is well; where it is not, more has to be said before it is tried again.
        writer.restating.phase = .resting
        for mutation in try nextEntries(&cursor, sizeBytesMax: sizeBytesMax) {
            size += UInt64(mutation.metadataSizeBytes + mutation.payloadSizeBytes)
        }
        var progress = RestatingProgress()
        if cursor.isEmpty {
            writer.restating.lastSizeBytes = size
            progress.hasMore = writer.isRestatingWorthwhile
        } else {
            writer.restating.phase = .measuring(sizeBytes: size, cursor: cursor)
            progress.hasMore = true
        }
        return progress
    }

    /// What is to be said next, from `cursor` on, which goes behind it; empty at the end of all tables.
    private func nextEntries(
        _ cursor: inout [UInt8], sizeBytesMax: Int
    ) throws(StorageError) -> [StoreMutation] {
        guard let table = Self.restatedTables.firstIndex(where: { cursor.starts(with: $0) }) else { return [] }
        let prefix = Self.restatedTables[table]
        var mutations: [StoreMutation] = []
        var size = 0
        let walk = index.walk()
        walk.seek(cursor)
        while let key = try walk.key(startingWith: prefix) {
            guard mutations.count < Self.entriesPerStep, size < sizeBytesMax || mutations.isEmpty else {
                return mutations
            }
            if let mutation = try restatement(of: key, walk) {
                size += mutation.metadataSizeBytes + mutation.payloadSizeBytes
                mutations.append(mutation)
            }
            cursor = key + [0]
            walk.next()
        }
        cursor = table + 1 < Self.restatedTables.count ? Self.restatedTables[table + 1] : []
        return mutations
    }

    private func restatement(of key: [UInt8], _ walk: any IndexWalk) throws(StorageError) -> StoreMutation? {
        let prefix = [key[0]]
        let name = Array(key[1...])
        var mutation: ObjectMutation
        switch prefix {
        case IndexKey.expiries:
            guard let time = walk.number else { throw index.malformed(key) }
            mutation = ObjectMutation(key: name, expiry: .set(time))
        case IndexKey.slots:
            guard name.count > 2 else { throw index.malformed(key) }
            let slot = UInt16(name[0]) << 8 | UInt16(name[1])
            let object = Array(name[2...])
            guard let record = try index.withValue(of: IndexKey.record(object), { Array($0) }) else {
                throw index.malformed(IndexKey.record(object))
            }
            mutation = ObjectMutation(
                key: object, slot: slot, record: .set(record), summary: walk.withValue { Array($0) })
        case IndexKey.heads:
            mutation = ObjectMutation(key: name, head: .set(walk.withValue { Array($0) }))
        case IndexKey.parts:
            if isPlanted(.partsNotRestated) { return nil }
            guard let part = IndexKey.partName(in: key), let entry = walk.withValue({ PartEntry($0, withBytes: true) })
            else { throw index.malformed(key) }
            mutation = ObjectMutation(key: part.key)
            var put = PartPut(version: part.version, part: part.part, bytes: SharedBytes())
            if let bytes = entry.inlineBytes {
                // Said again, other bytes would have a checksum that fits them.
                guard Checksum.crc32c(bytes) == entry.placement.checksum else {
                    throw .recordLost(path: index.path, reason: "a part does not match its checksum")
                }
                put.bytes = bytes
            } else {
                put.reference = entry.placement
            }
            mutation.puts = [put]
        default:
            guard name.count > 1, let table = StoreTable(rawValue: name[0]) else { throw index.malformed(key) }
            var row = StoreMutation(rows: [.put(table, key: Array(name[1...]), value: walk.withValue { Array($0) })])
            row.isOwn = true
            return row
        }
        mutation.isRestatement = true
        var own = StoreMutation(objects: [mutation])
        own.isOwn = true
        return own
    }
}

extension JournalWriter {
    /// Whether the facts take so much more than saying all that is true would that it is to be said again. A store that
    /// was just opened does not know yet, and looks before it says anything: else each start would write all of it.
    fileprivate var isRestatingWorthwhile: Bool {
        restating.factsSizeBytes >= restatingThresholdBytes && (restating.lastSizeBytes != nil || isShortOfRoom)
    }

    /// Whether so much was said since all that is true was last measured that it may be far less by now.
    fileprivate var isMeasuringWorthwhile: Bool {
        let interval = UInt64(max(options.restatingIntervalBytes, 1))
        let (facts, measured) = (restating.factsSizeBytes, restating.measuredFactsSizeBytes)
        let isUnknown = restating.lastSizeBytes == nil
        return facts >= interval && (isUnknown || facts >= measured + max(measured, interval) / 8)
    }

    fileprivate var restatingThresholdBytes: UInt64 {
        let interval = UInt64(max(options.restatingIntervalBytes, 1))
        let last = restating.lastSizeBytes ?? 0
        guard isShortOfRoom else { return max(interval, 2 * last) }
        // What deletions say must not use up the room that a round takes before it begins, nor keep it from what
        // stores.
        let reserve = UInt64(max(options.reservedFreeBytes, 0))
        let most = reserve > 0 ? reserve / 8 : interval / 16
        return last + max(min(max(interval / 16, last), most), 1)
    }
}
