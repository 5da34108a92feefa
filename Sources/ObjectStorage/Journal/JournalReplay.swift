// Finds the batches behind the index's position, tells a torn tail from rot, and leaves the journal ready to append.
//
// The argument. Only one batch is ever being written, and the next one is begun only after the one before was made
// durable. So a batch that does not verify was
//   - never acknowledged, if nothing valid with a higher sequence number follows anywhere: a torn tail, discarded;
//   - acknowledged, if something does: its facts are lost, and the store refuses to open.
// The last batch must verify including its parts. For any other one the parts' bytes are left to the reader's check:
// its metadata says truthfully what was acknowledged, and a lost part is then reported as lost.
//
// What is applied here must be durable before anybody hears of it, and a killed process may leave batches that only
// the page cache holds. So every segment is synced, and its cache emptied, before it is read.

import ErasureCode

/// Where appending goes on after a replay.
struct JournalTail {
    var segment: SegmentFile
    var offset: UInt64
    /// No batch may end beyond this offset.
    var capacityBytes: UInt64
}

/// A pass over the journal from a position of the index to its end.
struct JournalReplay {
    private let directory: String
    private let storeID: StoreID
    private let files: any StorageFiles
    /// The segments from the position's on, in order.
    private let segments: [SegmentFile]

    /// Opens and settles the segments from `position` on.
    init(
        directory: String, storeID: StoreID, position: JournalPosition, numbers: [UInt64], files: any StorageFiles,
        gapsAllowed: Bool = false
    ) throws(StorageError) {
        self.directory = directory
        self.storeID = storeID
        self.files = files
        try files.synchronizeDirectory(directory)
        var segments: [SegmentFile] = []
        var expected = position.segment
        for number in numbers where number >= position.segment {
            guard number == expected || gapsAllowed && !segments.isEmpty else {
                throw .missingSegment(path: SegmentFile.path(in: directory, number: expected))
            }
            expected = number + 1
            let segment = try SegmentFile.open(in: directory, number: number, forWriting: true, files: files)
            if !isPlanted(.settleOmitted) { try segment.settle() }
            if let header = try segment.header() {
                guard header.storeID == storeID, header.number == number,
                    header.allocatedBytes > 2 * FormatLimit.pageSizeBytes
                else { throw .foreign(path: segment.path) }
            }
            segments.append(segment)
        }
        guard !segments.isEmpty else {
            throw .missingSegment(path: SegmentFile.path(in: directory, number: position.segment))
        }
        self.segments = segments
    }

    /// Calls `apply` with every batch from `position` on, in order, then cleans the tail and returns it.
    func run(
        from position: JournalPosition, apply: (PlannedBatch) throws(StorageError) -> Void
    ) throws(StorageError) -> JournalTail {
        var end = Place(index: 0, offset: position.offset)
        var current = try locate(at: end, sequence: position.sequence)
        while let found = current {
            let behind = Place(index: found.place.index, offset: found.plan.header.end)
            let next = try locate(at: behind, sequence: found.plan.header.sequence + 1)
            if next == nil, try !isAcceptedAsLast(found) {
                end = found.place
                break
            }
            try apply(try withInlineBytes(found))
            end = behind
            current = next
        }
        return try clean(from: end)
    }

    /// An offset in one of `segments`.
    private struct Place: Equatable {
        var index: Int
        var offset: UInt64
    }

    private struct FoundBatch {
        var place: Place
        var plan: PlannedBatch
    }

    private static let firstOffset = FormatLimit.pageSizeBytes

    /// The batch with number `sequence`, expected at `place` or at the start of a later segment; nil at the journal's
    /// end. Throws when a later batch proves that this one was acknowledged.
    private func locate(at place: Place, sequence: UInt64) throws(StorageError) -> FoundBatch? {
        var place = place
        while true {
            if let header = try header(at: place), header.sequence == sequence {
                if let plan = try plan(of: header, in: segments[place.index]) {
                    return FoundBatch(place: place, plan: plan)
                }
            }
            guard let later = try firstHeader(after: place, sequence: sequence) else { return nil }
            guard later.header.sequence == sequence, later.place.index > place.index,
                later.place.offset == Self.firstOffset
            else {
                if isPlanted(.rotTakenForTorn) { return nil }
                throw .damagedJournal(
                    path: segments[place.index].path, offset: place.offset,
                    reason: "batch \(sequence) is damaged or missing, batch \(later.header.sequence) follows")
            }
            place = later.place
        }
    }

    private func header(at place: Place) throws(StorageError) -> BatchHeader? {
        let segment = segments[place.index]
        let bytes = try segment.readBytes(count: BatchHeader.sizeBytes, at: place.offset)
        return bytes.withUnsafeBytes {
            BatchHeader($0, storeID: storeID, segment: segment.number, offset: place.offset)
        }
    }

    /// The plan in the metadata behind a header, or nil when the metadata is damaged.
    private func plan(of header: BatchHeader, in segment: SegmentFile) throws(StorageError) -> PlannedBatch? {
        guard try header.payloadOffset <= segment.sizeBytes() else { return nil }
        let metadata = try segment.readBytes(
            count: header.metadataSizeBytes, at: header.offset + UInt64(BatchHeader.sizeBytes))
        guard metadata.count == header.metadataSizeBytes, Checksum.crc32c(metadata) == header.metadataChecksum else {
            return nil
        }
        guard let plan = metadata.withUnsafeBytes({ PlannedBatch(header: header, metadata: $0) }) else {
            throw .damagedJournal(
                path: segment.path, offset: header.offset, reason: "metadata with a good checksum contradicts itself")
        }
        return plan
    }

    /// The first undamaged header behind `place` on any page of any later segment, with at least number `sequence`.
    private func firstHeader(
        after place: Place, sequence: UInt64
    ) throws(StorageError) -> (place: Place, header: BatchHeader)? {
        let stepBytes = 256 * Int(FormatLimit.pageSizeBytes)
        for index in place.index..<segments.count {
            let segment = segments[index]
            var offset = index == place.index ? place.offset + FormatLimit.pageSizeBytes : Self.firstOffset
            let size = try segment.sizeBytes()
            while offset < size {
                let bytes = try segment.readBytes(count: stepBytes, at: offset)
                guard bytes.count > 0 else { break }
                let found = bytes.withUnsafeBytes { bytes -> (Place, BatchHeader)? in
                    for start in stride(from: 0, to: bytes.count, by: Int(FormatLimit.pageSizeBytes)) {
                        let page = UnsafeRawBufferPointer(rebasing: bytes[start...])
                        let pageOffset = offset + UInt64(start)
                        if let header = BatchHeader(
                            page, storeID: storeID, segment: segment.number, offset: pageOffset),
                            header.sequence >= sequence
                        {
                            return (Place(index: index, offset: pageOffset), header)
                        }
                    }
                    return nil
                }
                if let found { return found }
                offset += UInt64(stepBytes)
            }
        }
        return nil
    }

    private func isAcceptedAsLast(_ batch: FoundBatch) throws(StorageError) -> Bool {
        if isPlanted(.replayEndsEarly) { return false }
        return try partsVerify(batch)
    }

    private func partsVerify(_ batch: FoundBatch) throws(StorageError) -> Bool {
        if isPlanted(.tornTailAccepted) { return true }
        for object in batch.plan.objects {
            for put in object.puts where !put.isReference {
                let count = Int(put.placement.sizeBytes)
                let bytes = try segments[batch.place.index].readBytes(count: count, at: put.placement.offset)
                guard bytes.count == count, Checksum.crc32c(bytes) == put.placement.checksum else { return false }
            }
        }
        return true
    }

    /// The plan with the bytes that the index is to keep, whatever they are: reading checks them.
    private func withInlineBytes(_ batch: FoundBatch) throws(StorageError) -> PlannedBatch {
        var plan = batch.plan
        for object in plan.objects.indices {
            for put in plan.objects[object].puts.indices where plan.objects[object].puts[put].isInline {
                let placement = plan.objects[object].puts[put].placement
                plan.objects[object].puts[put].inlineBytes = try segments[batch.place.index].readBytes(
                    count: Int(placement.sizeBytes), at: placement.offset)
            }
        }
        return plan
    }

    /// Makes sure that nothing behind `end` is ever taken for a batch, and finds where the next one goes.
    private func clean(from end: Place) throws(StorageError) -> JournalTail {
        try erasePage(in: segments[end.index], at: end.offset)
        guard let last = try segments[end.index].header() else {
            throw .damagedJournal(path: segments[end.index].path, offset: 0, reason: "the segment's header is damaged")
        }
        var tail = JournalTail(
            segment: segments[end.index], offset: end.offset,
            capacityBytes: last.allocatedBytes - FormatLimit.pageSizeBytes)
        for segment in segments[(end.index + 1)...] {
            guard let header = try segment.header() else {
                // A segment is cut short only after its successor was made, so behind a short one this is rot.
                guard try tail.segment.sizeBytes() > tail.capacityBytes else {
                    throw .damagedJournal(path: segment.path, offset: 0, reason: "the segment's header is damaged")
                }
                // Its creation never finished, so nothing was ever acknowledged in it.
                try files.remove(segment.path)
                try files.synchronizeDirectory(directory)
                continue
            }
            try erasePage(in: segment, at: Self.firstOffset)
            tail = JournalTail(
                segment: segment, offset: Self.firstOffset,
                capacityBytes: header.allocatedBytes - FormatLimit.pageSizeBytes)
        }
        // For the same reason a short segment at the end has lost its successor.
        guard try tail.segment.sizeBytes() > tail.capacityBytes else {
            throw .missingSegment(path: SegmentFile.path(in: directory, number: tail.segment.number + 1))
        }
        return tail
    }

    private func erasePage(in segment: SegmentFile, at offset: UInt64) throws(StorageError) {
        if isPlanted(.tornTailLeft) { return }
        let page = try segment.readBytes(count: Int(FormatLimit.pageSizeBytes), at: offset)
        let isErased = page.withUnsafeBytes { bytes in bytes.allSatisfy { $0 == 0 } }
        guard !isErased else { return }
        try segment.write([SharedBytes(count: page.count) { _ in }], at: offset)
        try segment.synchronizeData()
    }
}
