// Gives journal space back: punches the pages of dead ranges and removes segments in which nothing lives.
//
// A range may be given back only when no replay can need it: when the index on disk already knows both what was put
// there and that it was dropped. Each range waits in the index under the number of the batch that dropped it, so
// comparing that number with the position on disk decides. Punching first and recording it afterwards makes a crash in
// between harmless: the range is punched again. Offsets in the journal are never reused, so that destroys nothing.
//
// Parts share pages. A page is given back once every byte of it is dead, which the table of dead ranges shows: it
// holds maximal runs, and the whole pages of each are punched already.

import ErasureCode
import Glibc

/// What one step of reclaiming did.
package struct ReclaimProgress: Equatable, Sendable {
    /// Dead ranges that were recorded as given back.
    package var rangeCount = 0
    /// Bytes given back to the file system by punching.
    package var punchedSizeBytes: UInt64 = 0
    /// Segments removed.
    package var removedSegmentCount = 0
    /// Whether another step would find more to do at once.
    package var hasMore = false

    package init() {}
}

/// How the journal's space is used.
package struct JournalUsage: Equatable, Sendable {
    package var segmentCount: Int
    /// Bytes of batches that were not given back yet: live parts and waiting garbage.
    package var unreclaimedSizeBytes: UInt64
    /// The number of the next batch.
    package var nextSequence: UInt64
}

extension ObjectStore {
    /// Gives back at most `limit` ranges. Meant for the writer's idle moments; bounded work, no sync.
    package func reclaim(limit: Int) throws(StorageError) -> ReclaimProgress {
        try gate.pass { () throws(StorageError) in
            try writer.withLock { (writer) throws(StorageError) in try reclaim(limit: limit, &writer) }
        }
    }

    package var usage: JournalUsage {
        writer.withLock { writer in
            JournalUsage(
                segmentCount: writer.unreclaimed.count,
                unreclaimedSizeBytes: writer.unreclaimed.values.reduce(0, +), nextSequence: writer.nextSequence)
        }
    }

    private func reclaim(limit: Int, _ writer: inout JournalWriter) throws(StorageError) -> ReclaimProgress {
        if let failure = writer.failure { throw failure }
        var progress = ReclaimProgress()
        let flushed = try index.position(onlyFlushed: true)
        let waiting = try waitingRanges(from: writer.reclaimCursor, before: flushed.sequence, limit: limit)
        for run in Self.coalesce(waiting) {
            progress.punchedSizeBytes += try giveBack(run, &writer)
        }
        progress.rangeCount = waiting.count
        if let last = waiting.last { writer.reclaimCursor = last.key }
        progress.hasMore = waiting.count == limit && limit > 0

        var needsFlush = writer.flushWaits
        for number in writer.unreclaimed.filter({ $0.value == 0 && $0.key < flushed.segment }).keys.sorted() {
            // On disk the index must know too that nothing lives there, or an opening would miss the segment.
            guard try index.number(of: IndexKey.segment(number), onlyFlushed: true) == 0 else {
                needsFlush = true
                continue
            }
            segments.forget(number)
            let path = SegmentFile.path(in: journalDirectory, number: number)
            guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove", path) }
            try writeOrFail(try Self.removalOfSegment(number, index: index), &writer)
            writer.unreclaimed[number] = nil
            progress.removedSegmentCount += 1
        }
        if needsFlush { try writer.requestFlush() }
        return progress
    }

    /// A dead range with the key under which it waits.
    private struct WaitingRange {
        var key: [UInt8]
        var range: JournalRange
    }

    /// Ranges whose dropping batch has a number below `sequence`, oldest first.
    private func waitingRanges(
        from cursor: [UInt8], before sequence: UInt64, limit: Int
    ) throws(StorageError) -> [WaitingRange] {
        var found: [WaitingRange] = []
        let walk = index.iterator()
        walk.seek(cursor)
        while found.count < limit, let key = try walk.key(startingWith: IndexKey.waitingGarbage) {
            let size = walk.withValue { bytes -> UInt64? in
                var cursor = ByteCursor(bytes)
                return bytes.count == 8 ? cursor.little(UInt64.self) : nil
            }
            guard let numbers = IndexKey.numbers(in: key, count: 3), let size, size > 0, size < 1 << 48,
                numbers[2] < 1 << 48
            else { throw index.malformed(key) }
            guard numbers[0] < sequence else { break }
            found.append(
                WaitingRange(
                    key: key, range: JournalRange(segment: numbers[1], offset: numbers[2], sizeBytes: size)))
            walk.next()
        }
        return found
    }

    /// Adjoining ranges joined, in the order of their places.
    private static func coalesce(_ waiting: [WaitingRange]) -> [(range: JournalRange, keys: [[UInt8]])] {
        let ordered = waiting.sorted {
            ($0.range.segment, $0.range.offset) < ($1.range.segment, $1.range.offset)
        }
        var runs: [(range: JournalRange, keys: [[UInt8]])] = []
        for item in ordered {
            if let last = runs.last, last.range.segment == item.range.segment, last.range.end == item.range.offset {
                runs[runs.count - 1].range.sizeBytes += item.range.sizeBytes
                runs[runs.count - 1].keys.append(item.key)
            } else {
                runs.append((item.range, [item.key]))
            }
        }
        return runs
    }

    /// Punches what became whole dead pages with this run and records it; returns the bytes punched.
    private func giveBack(
        _ run: (range: JournalRange, keys: [[UInt8]]), _ writer: inout JournalWriter
    ) throws(StorageError) -> UInt64 {
        let range = run.range
        let changes = IndexWriteBatch()
        for key in run.keys { changes.delete(key) }
        var punched: UInt64 = 0
        if let unreclaimed = writer.unreclaimed[range.segment] {
            guard unreclaimed >= range.sizeBytes else { throw index.malformed(IndexKey.segment(range.segment)) }
            let before = try deadRange(endingAt: range.offset, in: range.segment)
            let after = try deadRange(startingAt: range.end, in: range.segment)
            let start = before.map { _ in pageAlignedDown(range.offset) } ?? pageAlignedUp(range.offset)
            let end = after.map { _ in pageAlignedUp(range.end) } ?? pageAlignedDown(range.end)
            let firstPage = max(start, pageAlignedUp(before?.offset ?? range.offset))
            let lastPage = min(end, pageAlignedDown(after?.end ?? range.end))
            if firstPage < lastPage {
                let segment = try SegmentFile.open(in: journalDirectory, number: range.segment, forWriting: true)
                try segment.punchHole(at: firstPage, count: lastPage - firstPage)
                punched = lastPage - firstPage
            }
            let joined = before?.offset ?? range.offset
            if let after { changes.delete(IndexKey.deadRange(segment: range.segment, offset: after.offset)) }
            changes.put(
                IndexKey.deadRange(segment: range.segment, offset: joined),
                ((after?.end ?? range.end) - joined).encodedLittle)
            changes.put(IndexKey.segment(range.segment), (unreclaimed - range.sizeBytes).encodedLittle)
            writer.unreclaimed[range.segment] = unreclaimed - range.sizeBytes
        }
        try writeOrFail(changes, &writer)
        return punched
    }

    private func deadRange(endingAt offset: UInt64, in segment: UInt64) throws(StorageError) -> JournalRange? {
        let walk = index.iterator()
        walk.seekBackward(IndexKey.deadRange(segment: segment, offset: offset))
        guard let key = try walk.key(startingWith: IndexKey.deadRanges) else { return nil }
        guard let numbers = IndexKey.numbers(in: key, count: 2), let size = try index.number(of: key) else {
            throw index.malformed(key)
        }
        guard numbers[0] == segment, numbers[1].addingReportingOverflow(size) == (offset, false) else { return nil }
        return JournalRange(segment: segment, offset: numbers[1], sizeBytes: size)
    }

    private func deadRange(startingAt offset: UInt64, in segment: UInt64) throws(StorageError) -> JournalRange? {
        let key = IndexKey.deadRange(segment: segment, offset: offset)
        guard let size = try index.number(of: key) else { return nil }
        guard size < 1 << 48 else { throw index.malformed(key) }
        return JournalRange(segment: segment, offset: offset, sizeBytes: size)
    }

    /// The index changes that forget a segment.
    static func removalOfSegment(_ number: UInt64, index: IndexDatabase) throws(StorageError) -> IndexWriteBatch {
        let changes = IndexWriteBatch()
        changes.delete(IndexKey.segment(number))
        var prefix = IndexKey.deadRanges
        prefix.appendBig(number)
        let walk = index.iterator()
        walk.seek(prefix)
        while let key = try walk.key(startingWith: prefix) {
            changes.delete(key)
            walk.next()
        }
        return changes
    }

    /// Writes to the index; when that fails, what memory says of the space is no longer true, so nothing goes on.
    private func writeOrFail(_ changes: IndexWriteBatch, _ writer: inout JournalWriter) throws(StorageError) {
        do throws(StorageError) {
            try index.write(changes)
        } catch {
            writer.fail(.failed(reason: error.description))
            throw error
        }
    }
}
