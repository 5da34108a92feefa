// Joins dead ranges with their neighbours and punches the pages that became wholly dead.

/// What one step of reclaiming gives back, collected so that the index is written once.
///
/// Runs come in the order of their places. So of the index's dead runs the step may have changed only the one that it
/// joined last before the next run's neighbours are looked up, and the index as it was when the step began shows the
/// rest.
struct ReclaimStep {
    private let index: any StorageIndex
    private let walk: any IndexWalk
    private let journalDirectory: String
    private let files: any StorageFiles
    private(set) var changes = IndexChanges()
    /// Bytes not given back yet in the segments that the step touched.
    private(set) var left: [UInt64: UInt64] = [:]
    private(set) var punchedSizeBytes: UInt64 = 0
    private var joinedLast: JournalRange?
    private var segment: SegmentFile?

    /// `walk` goes over the index as it is now.
    init(index: any StorageIndex, walk: any IndexWalk, journalDirectory: String, files: any StorageFiles) {
        self.index = index
        self.walk = walk
        self.journalDirectory = journalDirectory
        self.files = files
    }

    /// Joins the range with its dead neighbours and punches the pages that became wholly dead. Changes nothing when it
    /// throws. `unreclaimed` is what its segment held before the step; nil when the segment was removed.
    mutating func giveBack(_ range: JournalRange, unreclaimed: UInt64?) throws(StorageError) {
        guard let unreclaimed = left[range.segment] ?? unreclaimed else { return }
        guard unreclaimed >= range.sizeBytes else { throw index.malformed(IndexKey.segment(range.segment)) }
        let (before, after) = try neighbours(of: range)
        let start = before.map { _ in pageAlignedDown(range.offset) } ?? pageAlignedUp(range.offset)
        let end = after.map { _ in pageAlignedUp(range.end) } ?? pageAlignedDown(range.end)
        let firstPage = max(start, pageAlignedUp(before?.offset ?? range.offset))
        let lastPage = min(end, pageAlignedDown(after?.end ?? range.end))
        if firstPage < lastPage {
            try openSegment(range.segment).punchHole(at: firstPage, count: lastPage - firstPage)
            punchedSizeBytes += lastPage - firstPage
        }
        let joinedOffset = before?.offset ?? range.offset
        let joined = JournalRange(
            segment: range.segment, offset: joinedOffset, sizeBytes: (after?.end ?? range.end) - joinedOffset)
        if let after { changes.delete(IndexKey.deadRange(segment: range.segment, offset: after.offset)) }
        changes.put(IndexKey.deadRange(segment: range.segment, offset: joinedOffset), joined.sizeBytes.encodedLittle)
        joinedLast = joined
        left[range.segment] = unreclaimed - range.sizeBytes
    }

    /// The dead runs that end where the range begins and begin where it ends.
    private func neighbours(
        of range: JournalRange
    ) throws(StorageError) -> (before: JournalRange?, after: JournalRange?) {
        var after: JournalRange?
        walk.seek(IndexKey.deadRange(segment: range.segment, offset: range.end), backward: true)
        var nearest = try deadRun(in: range.segment)
        if let found = nearest, found.offset == range.end {
            after = found
            walk.previous()
            nearest = try deadRun(in: range.segment)
        }
        if let last = joinedLast, last.segment == range.segment, last.end == range.offset { return (last, after) }
        guard let nearest, nearest.end == range.offset else { return (nil, after) }
        return (nearest, after)
    }

    /// The dead run at the walk's place; nil when there is none or it lies in another segment.
    private func deadRun(in segment: UInt64) throws(StorageError) -> JournalRange? {
        guard let key = try walk.key(startingWith: IndexKey.deadRanges) else { return nil }
        guard let numbers = IndexKey.numbers(in: key, count: 2), let size = walk.number, size < 1 << 48,
            numbers[1] < 1 << 48
        else { throw index.malformed(key) }
        guard numbers[0] == segment else { return nil }
        return JournalRange(segment: segment, offset: numbers[1], sizeBytes: size)
    }

    /// Takes the keys under which a range waited out of the index.
    mutating func forget(_ keys: [[UInt8]]) {
        for key in keys { changes.delete(key) }
    }

    /// Records what is left in the segments; to be called once, at the end.
    mutating func finish() {
        for (number, left) in left { changes.put(IndexKey.segment(number), left.encodedLittle) }
    }

    private mutating func openSegment(_ number: UInt64) throws(StorageError) -> SegmentFile {
        if let segment, segment.number == number { return segment }
        let opened = try SegmentFile.open(in: journalDirectory, number: number, forWriting: true, files: files)
        segment = opened
        return opened
    }
}
