// Makes an index anew from the journal alone.
//
// The newest header tells the horizon: the batch from which on the journal says all that is true. What was said before
// was said again since, or changed, or is true no more. So a replay from there, onto nothing, ends with what the lost
// index held. Which space is in use follows from that: what neither a living part takes nor a fact from the horizon on
// is dead.

import ErasureCode

/// What an opening made of the index.
package enum IndexCondition: Sendable, Equatable {
    case good
    /// It was missing or damaged, and was made from the journal; nothing is lost.
    case madeAnew
    /// It is damaged and could not be made anew: what is in the damaged blocks cannot be read or written.
    case damaged(reason: String)
}

struct IndexRebuild {
    private let directory: String
    private let storeID: StoreID
    private let options: StorageOptions
    private var files: any StorageFiles { options.system.files }

    /// Where the index is made that is to take the place of one.
    static func unfinished(_ path: String) -> String { path + ".new" }

    /// Puts an index made from the journal in the place of the one at `index`, which nobody has open. When it throws,
    /// that one is as it was.
    static func run(
        index path: String, journalDirectory: String, identity: StoreIdentity, options: StorageOptions
    ) throws(StorageError) {
        var options = options
        let indexes = options.system.indexes
        // What the index sets aside is taken from the one that it replaces.
        options.indexSetAsideBytes = 0
        let new = unfinished(path)
        try indexes.remove(new)
        let index = try indexes.create(new, options: options)
        do throws(StorageError) {
            defer { index.close() }
            let rebuild = IndexRebuild(
                directory: journalDirectory, storeID: identity.storeID, options: options)
            try rebuild.fill(index)
            try index.flush(waiting: true)
        } catch {
            try? indexes.remove(new)
            throw error
        }
        try indexes.replace(path, with: new)
    }

    private func fill(_ index: any StorageIndex) throws(StorageError) {
        let numbers = try files.names(in: directory).compactMap { SegmentFile.number(ofName: $0) }.sorted()
        var horizon = try newestHorizon(numbers)
        if !numbers.contains(horizon.segment), let next = numbers.first(where: { $0 > horizon.segment }) {
            // The batch there did not fit, began the next segment instead, and its own segment was given back.
            horizon.segment = next
            horizon.offset = FormatLimit.pageSizeBytes
        }
        var start = IndexChanges()
        start.put(IndexKey.identity, storeID.bytes)
        start.put(IndexKey.position, horizon.encoded)
        start.put(IndexKey.horizon, horizon.encoded)
        try index.write(start)
        let replay = try JournalReplay(
            directory: directory, storeID: storeID, position: horizon, numbers: numbers, files: files, gapsAllowed: true
        )
        let first = try SegmentFile.open(in: directory, number: horizon.segment, forWriting: true, files: files)
        var writer = JournalWriter(
            directory: directory, storeID: storeID, options: options, index: index,
            tail: JournalTail(segment: first, offset: horizon.offset, capacityBytes: 0),
            nextSequence: horizon.sequence, unreclaimed: [:], horizon: horizon,
            restating: RestatingState(factsSizeBytes: 0), isRebuilding: true)
        let tail = try replay.run(from: horizon) { plan throws(StorageError) in try writer.replay(plan) }
        writer.moveTail(to: tail)
        try accountForSpace(numbers, tail: tail, index)
    }

    /// The horizon that the journal's last header tells; the beginning of a journal that never had any.
    private func newestHorizon(_ numbers: [UInt64]) throws(StorageError) -> JournalPosition {
        for number in numbers.reversed() {
            let segment = try SegmentFile.open(in: directory, number: number, forWriting: false, files: files)
            if let header = try lastHeader(of: segment) { return header.horizon }
        }
        let beginning = JournalPosition(segment: 1, offset: FormatLimit.pageSizeBytes, sequence: 1)
        guard numbers.first == beginning.segment else {
            throw .damagedJournal(path: directory, offset: 0, reason: "no segment holds an undamaged batch")
        }
        return beginning
    }

    private func lastHeader(of segment: SegmentFile) throws(StorageError) -> BatchHeader? {
        let page = Int(FormatLimit.pageSizeBytes)
        let stepBytes = 256 * page
        var last: BatchHeader?
        var offset = FormatLimit.pageSizeBytes
        let size = try segment.sizeBytes()
        while offset < size {
            let bytes = try segment.readBytes(count: stepBytes, at: offset)
            guard bytes.count > 0 else { break }
            bytes.withUnsafeBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: page) {
                    let header = BatchHeader(
                        UnsafeRawBufferPointer(rebasing: bytes[start...]), storeID: storeID, segment: segment.number,
                        offset: offset + UInt64(start))
                    if let header, header.sequence >= last?.sequence ?? 0 { last = header }
                }
            }
            offset += UInt64(stepBytes)
        }
        return last
    }

    // MARK: Space

    /// Enters what of each segment is in use, and has all else wait to be given back. What was given back before is
    /// again.
    private func accountForSpace(
        _ numbers: [UInt64], tail: JournalTail, _ index: any StorageIndex
    ) throws(StorageError) {
        var used = try usedRanges(index)
        for number in numbers where number <= tail.segment.number {
            let start = FormatLimit.pageSizeBytes
            let end: UInt64
            if number == tail.segment.number {
                end = tail.offset
            } else {
                end = pageAlignedUp(
                    try SegmentFile.open(in: directory, number: number, forWriting: false, files: files).sizeBytes())
            }
            var changes = IndexChanges()
            var reached = start
            func discard(to next: UInt64) {
                guard reached < next else { return }
                let range = JournalRange(segment: number, offset: reached, sizeBytes: next - reached)
                changes.put(IndexKey.waitingGarbage(sequence: 0, range), range.sizeBytes.encodedLittle)
            }
            let ranges = (used.removeValue(forKey: number) ?? []).sorted { $0.offset < $1.offset }
            for range in ranges where range.end <= end {
                discard(to: range.offset)
                reached = max(reached, range.end)
            }
            discard(to: end)
            changes.put(IndexKey.segment(number), (end - min(start, end)).encodedLittle)
            try index.write(changes)
        }
    }

    private struct UsedRange {
        var offset: UInt64
        var end: UInt64
    }

    /// The ranges, by segment, that living parts take or facts that the index can be made from.
    private func usedRanges(_ index: any StorageIndex) throws(StorageError) -> [UInt64: [UsedRange]] {
        var used: [UInt64: [UsedRange]] = [:]
        let walk = index.walk()
        walk.seek(IndexKey.parts)
        while let key = try walk.key(startingWith: IndexKey.parts) {
            guard let entry = walk.withValue({ PartEntry($0, withBytes: false) }) else { throw index.malformed(key) }
            if let range = entry.journalRange {
                used[range.segment, default: []].append(UsedRange(offset: range.offset, end: range.end))
            }
            walk.next()
        }
        walk.seek(IndexKey.facts)
        while let key = try walk.key(startingWith: IndexKey.facts) {
            guard let numbers = IndexKey.numbers(in: key, count: 3), let size = walk.number else {
                throw index.malformed(key)
            }
            used[numbers[1], default: []].append(UsedRange(offset: numbers[2], end: numbers[2] + size))
            walk.next()
        }
        return used
    }
}
