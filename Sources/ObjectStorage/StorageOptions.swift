// What a store can be told: sizes, limits, and what it stands on.

/// Sizes and limits of a store. None of them is part of the format: a store may be reopened with others.
package struct StorageOptions: Sendable {
    /// Size of a segment file; a larger batch gets a larger segment.
    package var segmentSizeBytes = 64 << 20
    /// Parts up to this size are kept in the index too, so that reading one is a single lookup.
    package var inlinePartSizeBytesMax = 1024
    /// Free space that puts leave on the file system, so that the index can still be written.
    /// What frees space (commits, drops, deletions) may use half of it, compaction a quarter.
    package var reservedFreeBytes = 512 << 20
    /// The index is flushed once this much journal was written since the last flush; bounds the replay.
    package var flushIntervalBytes = 256 << 20
    /// Dropped bytes that wait for an index flush before `reclaim` asks for one.
    package var reclaimFlushBytes = 32 << 20
    /// Living parts are moved out of mostly dead segments once that gives back so much; a sixteenth of it where the
    /// disk is nearly full.
    package var compactionWasteBytesMin = 32 << 20
    /// All that is true is said again in the journal once the facts in it take so much, and twice what saying it takes.
    package var restatingIntervalBytes = 64 << 20
    /// Block cache of the index.
    package var indexCacheBytes = 64 << 20
    /// Write buffer of the index.
    package var indexWriteBufferBytes = 16 << 20
    /// Room on the disk that the index keeps for itself, so that it can be written when nothing else is left.
    package var indexSetAsideBytes = 32 << 20
    /// Segment files kept open for reading.
    package var openSegmentsMax = 256
    /// Limits of one mutation and of one batch.
    package var recordSizeBytesMax = 1 << 20
    package var partSizeBytesMax = 64 << 20
    package var mutationItemsMax = 65_536
    package var batchSizeBytesMax = 1 << 30
    /// What the store stands on.
    package var system = StorageSystem()

    package init() {}

    /// Those of segments of another size: what may be wasted, and what is done from time to time, goes with it.
    package init(segmentSizeBytes: Int) {
        let usual = self.segmentSizeBytes
        func scaled(_ bytes: Int) -> Int { max(1, Int(Double(bytes) / Double(usual) * Double(segmentSizeBytes))) }
        self.segmentSizeBytes = segmentSizeBytes
        flushIntervalBytes = scaled(flushIntervalBytes)
        reclaimFlushBytes = scaled(reclaimFlushBytes)
        compactionWasteBytesMin = scaled(compactionWasteBytesMin)
        restatingIntervalBytes = scaled(restatingIntervalBytes)
    }
}

/// What a store stands on: files and an index. Tests and the simulator have others than production.
package struct StorageSystem: Sendable {
    package var files: any StorageFiles
    package var indexes: any StorageIndexes

    package init(files: any StorageFiles = PosixFiles(), indexes: any StorageIndexes = LibraryIndexes()) {
        self.files = files
        self.indexes = indexes
    }
}

/// Bounds that the format itself imposes.
enum FormatLimit {
    static let keySizeBytesMax = 2048
    static let versionSizeBytesMax = 128
    static let headSizeBytesMax = 4096
    static let summarySizeBytesMax = 256
    /// Of everything on the disk that is not the index's own.
    static let version: UInt32 = 3
    static let pageSizeBytes: UInt64 = 4096
}
