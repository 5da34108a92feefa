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
    /// The fewest ranges that a writer at work gives back after a batch, if so many wait.
    private static let rangesPerBatchMin = 16

    /// Gives back at most `limit` ranges. Bounded work, no sync.
    ///
    /// - Throws: what went wrong first. All else was done that could be; what could not is tried again after the index
    ///   was flushed the next time.
    package func reclaim(limit: Int) throws(StorageError) -> ReclaimProgress {
        try gate.pass { () throws(StorageError) in
            try writer.withLock { (writer) throws(StorageError) in try reclaim(limit: limit, &writer) }
        }
    }

    /// Gives back twice as many ranges as were dropped since the last step: a writer that does this after every batch
    /// keeps up with what it drops, however long it is never idle, and never lets a batch wait for much.
    package func reclaimShare() throws(StorageError) -> ReclaimProgress {
        try gate.pass { () throws(StorageError) in
            try writer.withLock { (writer) throws(StorageError) in
                try reclaim(limit: max(2 * writer.droppedRangeCount, Self.rangesPerBatchMin), &writer)
            }
        }
    }

    /// What is to be done now and then, about once a second: gives back at most `limit` ranges, on a disk that is
    /// nearly full also those few for which it would not be worth flushing the index otherwise.
    package func maintain(limit: Int) throws(StorageError) -> ReclaimProgress {
        try gate.pass { () throws(StorageError) in
            try writer.withLock { (writer) throws(StorageError) in
                if writer.flushWaitsForRoom { try writer.requestFlush() }
                return try reclaim(limit: limit, &writer)
            }
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
        writer.droppedRangeCount = 0
        var progress = ReclaimProgress()
        var failure: StorageError?
        let flushed = try index.position(onDisk: !isPlanted(.reclaimBeforeIndexed))
        let walk = index.walk()
        let last = try lastBatch(walk, sequence: writer.nextSequence - 1)
        let garbage = try waitingRanges(
            IndexKey.waitingGarbage, walk, from: writer.reclaimCursor, before: flushed.sequence, limit: limit,
            sparing: last)
        let horizon = try index.horizon(onDisk: !isPlanted(.reclaimBeforeIndexed))
        let facts = try waitingRanges(
            IndexKey.facts, walk, from: writer.factsCursor, before: horizon.sequence, limit: limit - garbage.count,
            sparing: last)
        progress.punchedSizeBytes = try giveBack(Self.coalesce(garbage + facts), walk, &writer, &failure)
        progress.rangeCount = garbage.count + facts.count
        if let last = garbage.last { writer.reclaimCursor = last.key }
        if let last = facts.last { writer.factsCursor = last.key }
        progress.hasMore = progress.rangeCount == limit && limit > 0

        var needsFlush = writer.flushWaits
        for number in writer.emptySegments where number < flushed.segment {
            // On disk the index must know too that nothing lives there, or an opening would miss the segment.
            guard try index.number(of: IndexKey.segment(number), onDisk: !isPlanted(.removalBeforeIndexed)) == 0 else {
                if writer.beginsToAwaitFlush(number) { needsFlush = true }
                continue
            }
            segments.forget(number)
            do throws(StorageError) {
                try options.system.files.remove(SegmentFile.path(in: journalDirectory, number: number))
            } catch {
                failure = failure ?? error
                continue
            }
            try writeOrFail(try Self.removalOfSegment(number, index: index), &writer)
            writer.forgetSegment(number)
            progress.removedSegmentCount += 1
        }
        if needsFlush { try writer.requestFlush() }
        index.replenishSetAside()
        if let failure { throw failure }
        return progress
    }

    /// A dead range with the key under which it waits.
    private struct WaitingRange {
        var key: [UInt8]
        var range: JournalRange
    }

    /// Waiting ranges that adjoin, with the keys under which they wait.
    private struct DeadRun {
        var range: JournalRange
        var keys: [[UInt8]]
    }

    /// Where the journal's last batch begins. Whoever makes the index anew tells by its parts that it is not torn, so
    /// even those that it replaced itself stay until another one follows.
    private func lastBatch(_ walk: any IndexWalk, sequence: UInt64) throws(StorageError) -> JournalRange? {
        walk.seek(IndexKey.facts + sequence.encodedBig)
        guard !isPlanted(.lastBatchGivenBack),
            let key = try walk.key(startingWith: IndexKey.facts + sequence.encodedBig)
        else { return nil }
        guard let numbers = IndexKey.numbers(in: key, count: 3), let size = walk.number else {
            throw index.malformed(key)
        }
        return JournalRange(segment: numbers[1], offset: numbers[2], sizeBytes: size)
    }

    /// Ranges of a table whose batch has a number below `sequence`, oldest first.
    private func waitingRanges(
        _ table: [UInt8], _ walk: any IndexWalk, from cursor: [UInt8], before sequence: UInt64, limit: Int,
        sparing last: JournalRange?
    ) throws(StorageError) -> [WaitingRange] {
        var found: [WaitingRange] = []
        walk.seek(cursor)
        while found.count < limit, let key = try walk.key(startingWith: table) {
            guard let numbers = IndexKey.numbers(in: key, count: 3), let size = walk.number, size > 0,
                size < 1 << 48, numbers[2] < 1 << 48
            else { throw index.malformed(key) }
            guard numbers[0] < sequence else { break }
            if let last, numbers[1] == last.segment, numbers[2] >= last.offset { break }
            found.append(
                WaitingRange(
                    key: key, range: JournalRange(segment: numbers[1], offset: numbers[2], sizeBytes: size)))
            walk.next()
        }
        return found
    }

    /// Adjoining ranges joined, in the order of their places.
    private static func coalesce(_ waiting: [WaitingRange]) -> [DeadRun] {
        let ordered = waiting.sorted {
            ($0.range.segment, $0.range.offset) < ($1.range.segment, $1.range.offset)
        }
        var runs: [DeadRun] = []
        for item in ordered {
            if let last = runs.last, last.range.segment == item.range.segment, last.range.end == item.range.offset {
                runs[runs.count - 1].range.sizeBytes += item.range.sizeBytes
                runs[runs.count - 1].keys.append(item.key)
            } else {
                runs.append(DeadRun(range: item.range, keys: [item.key]))
            }
        }
        return runs
    }

    /// Punches what became whole dead pages with these runs, and records all that in one write; returns the bytes
    /// punched. A run that fails keeps no other one from it: it is passed over, and `failure` becomes the first such
    /// error. `walk` shows the index as it is now.
    private func giveBack(
        _ runs: [DeadRun], _ walk: any IndexWalk, _ writer: inout JournalWriter, _ failure: inout StorageError?
    ) throws(StorageError) -> UInt64 {
        guard !runs.isEmpty else { return 0 }
        var step = ReclaimStep(
            index: index, walk: walk, journalDirectory: journalDirectory, files: options.system.files)
        for run in runs {
            do throws(StorageError) {
                try step.giveBack(run.range, unreclaimed: writer.unreclaimed[run.range.segment])
            } catch {
                failure = failure ?? error
                writer.hasPassedOver = true
                continue
            }
            step.forget(run.keys)
        }
        step.finish()
        try writeOrFail(step.changes, &writer)
        for (number, left) in step.left { writer.setUnreclaimed(left, ofSegment: number) }
        return step.punchedSizeBytes
    }

    /// The index changes that forget a segment.
    static func removalOfSegment(_ number: UInt64, index: any StorageIndex) throws(StorageError) -> IndexChanges {
        var changes = IndexChanges()
        changes.delete(IndexKey.segment(number))
        var prefix = IndexKey.deadRanges
        prefix.appendBig(number)
        let walk = index.walk()
        walk.seek(prefix)
        while let key = try walk.key(startingWith: prefix) {
            changes.delete(key)
            walk.next()
        }
        return changes
    }

    /// Writes to the index; when that fails, what memory says of the space is no longer true, so nothing goes on.
    private func writeOrFail(_ changes: IndexChanges, _ writer: inout JournalWriter) throws(StorageError) {
        do throws(StorageError) {
            try index.write(changes)
        } catch {
            writer.fail(.failed(reason: error.description))
            throw error
        }
    }
}
