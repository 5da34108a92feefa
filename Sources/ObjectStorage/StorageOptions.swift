// What a store can be told: sizes, limits, and the two system services that tests replace.

import Glibc

/// Sizes and limits of a store. None of them is part of the format: a store may be reopened with others.
package struct StorageOptions: Sendable {
    /// Size of a segment file; a larger batch gets a larger segment.
    package var segmentSizeBytes = 64 << 20
    /// Parts up to this size are kept in the index too, so that reading one is a single lookup.
    package var inlinePartSizeBytesMax = 1024
    /// Free space that puts leave on the file system, so that the index can still be written.
    /// Mutations without puts (commits, drops) may use up half of it.
    package var reservedFreeBytes = 512 << 20
    /// The index is flushed once this much journal was written since the last flush; bounds the replay.
    package var flushIntervalBytes = 256 << 20
    /// Dropped bytes that wait for an index flush before `reclaim` asks for one.
    package var reclaimFlushBytes = 32 << 20
    /// Block cache of the index.
    package var indexCacheBytes = 64 << 20
    /// Write buffer of the index.
    package var indexWriteBufferBytes = 16 << 20
    /// Segment files kept open for reading.
    package var openSegmentsMax = 256
    /// Limits of one mutation and of one batch.
    package var recordSizeBytesMax = 1 << 20
    package var partSizeBytesMax = 64 << 20
    package var mutationItemsMax = 65_536
    package var batchSizeBytesMax = 1 << 30
    /// The services of the operating system that tests replace.
    package var system = StorageSystem()

    package init() {}
}

/// The services of the operating system whose failures must be testable.
package struct StorageSystem: Sendable {
    /// Bytes that an unprivileged process may still allocate beside the file at `path`; nil when unknown.
    package var freeBytes: @Sendable (_ path: String) -> UInt64? = { path in
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return nil }
        return UInt64(information.f_bavail) &* UInt64(information.f_frsize)
    }
    /// Makes the data of an open file durable; 0, or the errno of the failure.
    package var synchronizeData: @Sendable (_ descriptor: Int32) -> Int32 = { descriptor in
        while fdatasync(descriptor) != 0 {
            if errno != EINTR { return errno }
        }
        return 0
    }

    package init() {}
}

/// Bounds that the format itself imposes.
enum FormatLimit {
    static let keySizeBytesMax = 2048
    static let versionSizeBytesMax = 128
    static let version: UInt32 = 1
    static let pageSizeBytes: UInt64 = 4096
}
