// Gives back the pages that a few living bytes keep: moves living parts out of segments that are mostly dead.
//
// A part is moved by putting it again, in a batch like any other, while the writer is held: so it is there as before
// until the batch is durable, its new place counts from then on, and its old one waits to be given back like that of
// any part that was replaced. Nothing of this needs a rule of its own for a crash.
//
// Which segments to empty, a survey finds, a few of them in a step; a round then walks over all parts once and moves
// those that lie there. So no part has to say where it belongs, and putting costs nothing more.

import ErasureCode

/// What one step of compaction did.
package struct CompactionProgress: Equatable, Sendable {
    /// Parts moved, and their bytes.
    package var movedCount = 0
    package var movedSizeBytes: UInt64 = 0
    /// Whether another step would find more to do at once.
    package var hasMore = false

    package init() {}
}

/// How far compaction has come.
struct CompactionState {
    /// A segment's pages that are not wholly dead, and what of them lives or waits to be given back.
    struct Use {
        var occupiedSizeBytes: UInt64
        var livingSizeBytes: UInt64

        var wasteSizeBytes: UInt64 { occupiedSizeBytes > livingSizeBytes ? occupiedSizeBytes - livingSizeBytes : 0 }
    }

    enum Phase {
        /// Nothing to do before more has died.
        case resting
        /// Looking at the segments from a number on.
        case surveying(next: UInt64, found: [UInt64: Use])
        /// Moving what lies in `victims`; the walk over the parts goes on at a key.
        case moving(victims: Set<UInt64>, cursor: [UInt8])
    }

    var phase = Phase.surveying(next: 0, found: [:])
    /// Bytes given back since the last survey began.
    var diedSizeBytes: UInt64 = 0
    /// Segments with parts that cannot be moved, because they cannot be read any more.
    var unmovable: Set<UInt64> = []
    #if PlantedFlaws
        /// What the step before found, where moves are made late.
        var late: [StoreMutation] = []
    #endif
}

extension ObjectStore {
    /// So many segments are looked at in one step, and so many entries of the index.
    private static let segmentsPerStep = 16
    private static let entriesPerStep = 4096

    /// Makes one step of compaction: moves about `sizeBytesMax` bytes (one part at least), or looks for what to move.
    ///
    /// - Throws: what keeps it from going on. It is tried again by the next step.
    package func compact(sizeBytesMax: Int) throws(StorageError) -> CompactionProgress {
        try gate.pass { () throws(StorageError) in
            try writer.withLock { (writer) throws(StorageError) in
                if let failure = writer.failure { throw failure }
                switch writer.compaction.phase {
                case .resting:
                    guard writer.isSurveyWorthwhile else { return CompactionProgress() }
                    writer.compaction.diedSizeBytes = 0
                    writer.compaction.phase = .surveying(next: 0, found: [:])
                    return try survey(from: 0, found: [:], &writer)
                case .surveying(let next, let found):
                    return try survey(from: next, found: found, &writer)
                case .moving(let victims, let cursor):
                    return try move(victims, from: cursor, sizeBytesMax: sizeBytesMax, &writer)
                }
            }
        }
    }

    // MARK: Which segments

    private func survey(
        from first: UInt64, found: [UInt64: CompactionState.Use], _ writer: inout JournalWriter
    ) throws(StorageError) -> CompactionProgress {
        var found = found
        var progress = CompactionProgress()
        progress.hasMore = true
        let numbers = writer.unreclaimed.keys.filter { $0 >= first && $0 < writer.tailNumber }.sorted()
        let walk = index.walk()
        for number in numbers.prefix(Self.segmentsPerStep) {
            guard let living = writer.unreclaimed[number], living > 0, !writer.compaction.unmovable.contains(number)
            else { continue }
            do throws(StorageError) {
                found[number] = CompactionState.Use(
                    occupiedSizeBytes: try occupiedSizeBytes(of: number, walk), livingSizeBytes: living)
            } catch {
                // A segment that is missing keeps no other one from being emptied.
                guard case .missingSegment = error else { throw error }
                writer.compaction.unmovable.insert(number)
            }
        }
        if numbers.count > Self.segmentsPerStep {
            writer.compaction.phase = .surveying(next: numbers[Self.segmentsPerStep], found: found)
            return progress
        }
        let victims = writer.victims(of: found)
        progress.hasMore = !victims.isEmpty
        writer.compaction.phase =
            victims.isEmpty ? .resting : .moving(victims: victims, cursor: IndexKey.parts)
        return progress
    }

    /// The bytes of a segment's pages that are not wholly dead.
    private func occupiedSizeBytes(of number: UInt64, _ walk: any IndexWalk) throws(StorageError) -> UInt64 {
        let file = try segments.file(number)
        var occupied = pageAlignedUp(try file.sizeBytes()) - FormatLimit.pageSizeBytes
        walk.seek(IndexKey.deadRange(segment: number, offset: 0))
        while let key = try walk.key(startingWith: IndexKey.deadRanges) {
            guard let numbers = IndexKey.numbers(in: key, count: 2), let size = walk.number, size < 1 << 48,
                numbers[1] < 1 << 48
            else { throw index.malformed(key) }
            guard numbers[0] == number else { break }
            let start = pageAlignedUp(numbers[1])
            let end = pageAlignedDown(numbers[1] + size)
            if start < end { occupied -= min(occupied, end - start) }
            walk.next()
        }
        return occupied
    }

    // MARK: Moving

    private func move(
        _ victims: Set<UInt64>, from start: [UInt8], sizeBytesMax: Int, _ writer: inout JournalWriter
    ) throws(StorageError) -> CompactionProgress {
        var progress = CompactionProgress()
        var mutations: [StoreMutation] = []
        var size = 0
        var entryCount = 0
        var cursor = start
        let walk = index.walk()
        walk.seek(cursor)
        var isOver = true
        while let key = try walk.key(startingWith: IndexKey.parts) {
            guard entryCount < Self.entriesPerStep, size < sizeBytesMax || mutations.isEmpty else {
                isOver = false
                break
            }
            guard let entry = walk.withValue({ PartEntry($0, withBytes: false) }) else { throw index.malformed(key) }
            if let range = entry.journalRange, victims.contains(range.segment) {
                guard let name = IndexKey.partName(in: key) else { throw index.malformed(key) }
                if let bytes = livingBytes(of: entry, &writer) {
                    mutations.append(
                        StoreMutation(objects: [
                            ObjectMutation(
                                key: name.key,
                                puts: [PartPut(version: name.version, part: name.part, bytes: bytes)],
                                purpose: .moves)
                        ]))
                    size += bytes.count
                }
            }
            entryCount += 1
            cursor = key + [0]
            walk.next()
        }
        #if PlantedFlaws
            if isPlanted(.movedLate) { swap(&mutations, &writer.compaction.late) }
        #endif
        if !mutations.isEmpty {
            for result in writer.apply(mutations) {
                do throws(StorageError) {
                    try result.get()
                } catch {
                    // Another round will be worthwhile once there is room.
                    writer.compaction.phase = .resting
                    if case .noSpace = error { return progress }
                    throw error
                }
            }
            progress.movedCount = mutations.count
            progress.movedSizeBytes = UInt64(size)
        }
        if isOver {
            writer.compaction.phase = .resting
            try writer.requestFlush()
        } else {
            writer.compaction.phase = .moving(victims: victims, cursor: cursor)
            progress.hasMore = true
        }
        return progress
    }

    /// A part's bytes if they are what was stored. What is not is left where it is: moved, it would be taken for good.
    private func livingBytes(of entry: PartEntry, _ writer: inout JournalWriter) -> SharedBytes? {
        do throws(StorageError) {
            return try bytes(of: entry, isChecked: !isPlanted(.movedUnchecked))
        } catch {
            writer.compaction.unmovable.insert(entry.placement.segment)
            return nil
        }
    }
}

extension JournalWriter {
    /// Whether so much has died since the last survey that another may find segments to empty.
    fileprivate var isSurveyWorthwhile: Bool {
        let least = UInt64(max(options.compactionWasteBytesMin, 1))
        return compaction.diedSizeBytes >= least || compaction.diedSizeBytes >= least / 16 && isShortOfRoom
    }

    /// The segments of which at least half is waste, the emptiest first, as many as there is room to move; none when
    /// that would not be worth it.
    fileprivate func victims(of found: [UInt64: CompactionState.Use]) -> Set<UInt64> {
        let wasteful = found.filter { 2 * $0.value.livingSizeBytes <= $0.value.occupiedSizeBytes }
        let waste = wasteful.values.reduce(0) { $0 + $1.wasteSizeBytes }
        let least = UInt64(max(options.compactionWasteBytesMin, 1))
        guard waste >= (isShortOfRoom ? least / 16 : least) else { return [] }
        var room = roomForMovesBytes
        var victims: Set<UInt64> = []
        let ordered = wasteful.sorted {
            ($0.value.livingSizeBytes, $0.key) < ($1.value.livingSizeBytes, $1.key)
        }
        for (number, use) in ordered {
            // Twice: for what goes with each part, and for what is moved together with others' pages.
            guard 2 * use.livingSizeBytes <= room else { break }
            room -= 2 * use.livingSizeBytes
            victims.insert(number)
        }
        return victims
    }
}
