// RocksDB behind a few typed calls: the index over the journal, written without a log of its own.
//
// Without that log a crash takes the database back to its last flush. A flush keeps a prefix of the write batches in
// their order, never a piece of one, so the journal position stored in each batch says exactly where replay begins.

import CRocksDB
import Glibc

/// An open index database.
///
/// Unchecked: RocksDB's handles may be used by any number of threads; what must not overlap with other calls is
/// `close`, and its caller sees to that.
final class IndexDatabase: @unchecked Sendable {
    let path: String
    private let database: OpaquePointer
    private let writeOptions: OpaquePointer
    private let readOptions: OpaquePointer
    private let flushedReadOptions: OpaquePointer

    /// Opens the database at `path`; with `creating`, makes a new one.
    init(path: String, creating: Bool, options: StorageOptions) throws(StorageError) {
        self.path = path
        let base = rocksdb_options_create()!
        defer { rocksdb_options_destroy(base) }
        rocksdb_options_set_create_if_missing(base, creating ? 1 : 0)
        rocksdb_options_set_error_if_exists(base, creating ? 1 : 0)
        rocksdb_options_set_paranoid_checks(base, 1)
        rocksdb_options_set_write_buffer_size(base, options.indexWriteBufferBytes)
        rocksdb_options_set_max_write_buffer_number(base, 4)
        rocksdb_options_set_max_background_jobs(base, 2)
        rocksdb_options_set_max_open_files(base, 256)
        // Keys and records are mostly hashes and signatures, which do not compress.
        rocksdb_options_set_compression(base, Int32(rocksdb_no_compression))
        rocksdb_options_set_stats_dump_period_sec(base, 0)
        rocksdb_options_set_stats_persist_period_sec(base, 0)
        rocksdb_options_set_keep_log_file_num(base, 2)
        rocksdb_options_set_info_log_level(base, 2)

        let table = rocksdb_block_based_options_create()!
        defer { rocksdb_block_based_options_destroy(table) }
        // The table options own the filter policy; the cache is counted, and this reference is given up.
        rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10))
        let cache = rocksdb_cache_create_lru(options.indexCacheBytes)!
        defer { rocksdb_cache_destroy(cache) }
        rocksdb_block_based_options_set_block_cache(table, cache)
        rocksdb_options_set_block_based_table_factory(base, table)

        let complete = rocksdb_options_create()!
        defer { rocksdb_options_destroy(complete) }
        // Only the string form reaches this option: closing without a flush must leave what a crash would leave.
        try Self.call(path) { rocksdb_get_options_from_string(base, "avoid_flush_during_shutdown=true", complete, $0) }
        database = try Self.call(path) { rocksdb_open(complete, path, $0) }!

        writeOptions = rocksdb_writeoptions_create()!
        rocksdb_writeoptions_disable_WAL(writeOptions, 1)
        readOptions = rocksdb_readoptions_create()!
        flushedReadOptions = rocksdb_readoptions_create()!
        // Tier 2 is kPersistedTier: reads skip what only memory holds.
        rocksdb_readoptions_set_read_tier(flushedReadOptions, 2)
    }

    /// Closes without flushing. No other call may be running or follow.
    func close() {
        rocksdb_cancel_all_background_work(database, 1)
        rocksdb_close(database)
        rocksdb_writeoptions_destroy(writeOptions)
        rocksdb_readoptions_destroy(readOptions)
        rocksdb_readoptions_destroy(flushedReadOptions)
    }

    /// Runs a C call that reports failure through an allocated message.
    private static func call<R>(
        _ path: String, _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) throws(StorageError) -> R {
        var message: UnsafeMutablePointer<CChar>?
        let result = body(&message)
        if let message {
            defer { rocksdb_free(message) }
            throw .index(path: path, reason: String(cString: message))
        }
        return result
    }

    /// Calls `body` with the value of `key`, or returns nil when there is none.
    /// With `onlyFlushed`, sees only what a crash would keep.
    func withValue<R>(
        of key: [UInt8], onlyFlushed: Bool = false, _ body: (UnsafeRawBufferPointer) -> R
    ) throws(StorageError) -> R? {
        let slice = try Self.call(path) { message in
            key.withUnsafeChars {
                rocksdb_get_pinned(database, onlyFlushed ? flushedReadOptions : readOptions, $0, $1, message)
            }
        }
        guard let slice else { return nil }
        defer { rocksdb_pinnableslice_destroy(slice) }
        var count = 0
        let start = rocksdb_pinnableslice_value(slice, &count)
        return body(UnsafeRawBufferPointer(start: start, count: count))
    }

    func write(_ batch: IndexWriteBatch) throws(StorageError) {
        try Self.call(path) { rocksdb_write(database, writeOptions, batch.handle, $0) }
    }

    /// Writes what only memory holds to disk; without `waiting`, only sees to it that this begins.
    func flush(waiting: Bool) throws(StorageError) {
        let options = rocksdb_flushoptions_create()!
        defer { rocksdb_flushoptions_destroy(options) }
        rocksdb_flushoptions_set_wait(options, waiting ? 1 : 0)
        try Self.call(path) { rocksdb_flush(database, options, $0) }
    }

    /// An iterator over what the index holds now.
    func iterator() -> IndexIterator {
        IndexIterator(handle: rocksdb_create_iterator(database, readOptions)!, path: path)
    }
}

/// Changes that enter the index together or not at all.
final class IndexWriteBatch {
    fileprivate let handle = rocksdb_writebatch_create()!

    deinit { rocksdb_writebatch_destroy(handle) }

    func put(_ key: [UInt8], _ value: [UInt8]) {
        key.withUnsafeChars { key, keyCount in
            value.withUnsafeChars { rocksdb_writebatch_put(handle, key, keyCount, $0, $1) }
        }
    }

    func delete(_ key: [UInt8]) {
        key.withUnsafeChars { rocksdb_writebatch_delete(handle, $0, $1) }
    }
}

/// A walk over the index in the order of its keys. Must not outlive the database.
final class IndexIterator {
    private let handle: OpaquePointer
    private let path: String

    fileprivate init(handle: OpaquePointer, path: String) {
        self.handle = handle
        self.path = path
    }

    deinit { rocksdb_iter_destroy(handle) }

    /// Goes to the first key at or above `key`.
    func seek(_ key: [UInt8]) {
        key.withUnsafeChars { rocksdb_iter_seek(handle, $0, $1) }
    }

    /// Goes to the last key at or below `key`.
    func seekBackward(_ key: [UInt8]) {
        key.withUnsafeChars { rocksdb_iter_seek_for_prev(handle, $0, $1) }
    }

    func next() {
        rocksdb_iter_next(handle)
    }

    /// Goes to the key before the present one; only while there is a present one.
    func previous() {
        rocksdb_iter_prev(handle)
    }

    /// The present key if there is one and it starts with `prefix`; throws when the walk failed.
    func key(startingWith prefix: [UInt8]) throws(StorageError) -> [UInt8]? {
        guard rocksdb_iter_valid(handle) != 0 else {
            var message: UnsafeMutablePointer<CChar>?
            rocksdb_iter_get_error(handle, &message)
            guard let message else { return nil }
            defer { rocksdb_free(message) }
            throw .index(path: path, reason: String(cString: message))
        }
        var count = 0
        guard let start = rocksdb_iter_key(handle, &count), count >= prefix.count,
            prefix.withUnsafeBytes({ memcmp(start, $0.baseAddress!, $0.count) == 0 })
        else { return nil }
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// The present value; only after `key` returned one.
    func withValue<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        var count = 0
        let start = rocksdb_iter_value(handle, &count)
        return body(UnsafeRawBufferPointer(start: start, count: count))
    }
}

extension [UInt8] {
    fileprivate func withUnsafeChars<R>(_ body: (UnsafePointer<CChar>?, Int) -> R) -> R {
        withUnsafeBytes { body($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count) }
    }
}
