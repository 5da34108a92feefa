// The batches of a journal as they lie on the disk, for whoever looks at a store from outside: checks, damage in tests.

import ErasureCode

/// Where one batch lies.
package struct JournalBatch: Sendable, Equatable {
    /// The segment file.
    package let path: String
    package let segment: UInt64
    package let sequence: UInt64
    /// The bytes of its header and its list of changes.
    package let facts: Range<UInt64>
    /// The bytes of its parts.
    package let payload: Range<UInt64>
    /// Where the next batch begins, if one follows in this segment.
    package let end: UInt64
}

/// A look at a store's journal. It may be open and changing meanwhile: what is seen was there at some time.
package struct JournalWalk {
    private let directory: String
    private let storeID: StoreID
    private let files: any StorageFiles

    /// - Parameter directory: the store's.
    package init(store directory: String, files: any StorageFiles = PosixFiles()) throws(StorageError) {
        storeID = try StoreIdentity.read(from: directory + "/store", files: files).storeID
        self.directory = directory + "/journal"
        self.files = files
    }

    /// The numbers of the segments, in order.
    package func segments() throws(StorageError) -> [UInt64] {
        try files.names(in: directory).compactMap { SegmentFile.number(ofName: $0) }.sorted()
    }

    /// All batches whose header is undamaged, in the order of their places.
    package func batches() throws(StorageError) -> [JournalBatch] {
        var found: [JournalBatch] = []
        for number in try segments() { found += try batches(inSegment: number) }
        return found
    }

    /// The batches in a segment that begin at or behind an offset and whose header is undamaged; none when the segment
    /// is gone.
    ///
    /// - Parameter emptyPagesMax: so many pages without a batch are taken for the end.
    package func batches(
        inSegment number: UInt64, from start: UInt64 = 0, emptyPagesMax: Int = .max
    ) throws(StorageError) -> [JournalBatch] {
        let page = FormatLimit.pageSizeBytes
        let path = SegmentFile.path(in: directory, number: number)
        guard let file = try files.open(path, forWriting: false) else { return [] }
        let size = try file.sizeBytes()
        var batches: [JournalBatch] = []
        var offset = max(pageAlignedUp(start), page)
        var emptyPageCount = 0
        while offset < size, emptyPageCount < emptyPagesMax {
            let bytes = try file.readBytes(count: BatchHeader.sizeBytes, at: offset)
            let header = bytes.withUnsafeBytes {
                BatchHeader($0, storeID: storeID, segment: number, offset: offset)
            }
            guard let header else {
                offset += page
                emptyPageCount += 1
                continue
            }
            batches.append(
                JournalBatch(
                    path: path, segment: number, sequence: header.sequence, facts: offset..<header.payloadOffset,
                    payload: header.payloadOffset..<header.payloadOffset + UInt64(header.payloadSizeBytes),
                    end: header.end))
            offset = header.end
            emptyPageCount = 0
        }
        return batches
    }
}
