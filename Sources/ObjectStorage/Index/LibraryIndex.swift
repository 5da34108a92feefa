// The index in production: RocksDB, written without a log of its own (Sources/CIndexDatabase).

import CIndexDatabase
import Glibc

package struct LibraryIndexes: StorageIndexes {
    package init() {}

    package func create(_ path: String, options: StorageOptions) throws(StorageError) -> any StorageIndex {
        try LibraryIndex(path: path, creating: true, options: options)
    }

    package func open(_ path: String, options: StorageOptions) throws(StorageError) -> any StorageIndex {
        try LibraryIndex(path: path, creating: false, options: options)
    }

    package func remove(_ path: String) throws(StorageError) {
        guard let stream = opendir(path) else {
            if errno == ENOENT { return }
            throw .system("list", path)
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            guard unlink(path + "/" + name) == 0 else { throw .system("remove", path + "/" + name) }
        }
        guard rmdir(path) == 0 else { throw .system("remove", path) }
    }

    package func replace(_ path: String, with other: String) throws(StorageError) {
        try remove(path)
        guard rename(other, path) == 0 else { throw .system("rename", other) }
    }
}

/// An open index database.
///
/// Unchecked: the library's handles may be used by any number of threads; what must not overlap with other calls is
/// `close`, and its caller sees to that.
final class LibraryIndex: StorageIndex, @unchecked Sendable {
    let path: String
    private let database: OpaquePointer

    init(path: String, creating: Bool, options: StorageOptions) throws(StorageError) {
        self.path = path
        var settings = index_settings(
            creating: creating ? 1 : 0, write_buffer_bytes: options.indexWriteBufferBytes,
            cache_bytes: options.indexCacheBytes, set_aside_bytes: UInt64(max(options.indexSetAsideBytes, 0)))
        var opened: OpaquePointer?
        try Self.call(path) { index_open(path, &settings, &opened, $0) }
        database = opened!
    }

    func close() {
        index_close(database)
    }

    /// Runs a call that may fail with a message; false when it found nothing.
    @discardableResult
    fileprivate static func call(
        _ path: String, _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> index_outcome
    ) throws(StorageError) -> Bool {
        var message: UnsafeMutablePointer<CChar>?
        let outcome = body(&message)
        if outcome == INDEX_OK { return true }
        if outcome == INDEX_NOT_FOUND { return false }
        if outcome == INDEX_NOT_IN_MEMORY { throw .notInMemory }
        defer { index_free(message) }
        let reason = message.map { String(cString: $0) } ?? "no reason given"
        if outcome == INDEX_NO_SPACE { throw .indexFull(path: path, reason: reason) }
        if outcome == INDEX_DAMAGED { throw .recordLost(path: path, reason: reason) }
        throw .index(path: path, reason: reason)
    }

    func read(
        _ key: [UInt8], from place: IndexPlace, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StorageError) -> Bool {
        let source =
            switch place {
            case .anywhere: INDEX_ANYWHERE
            case .onDisk: INDEX_ON_DISK
            case .inMemory: INDEX_IN_MEMORY
            }
        var value: OpaquePointer?
        let isThere = try Self.call(path) { message in
            key.withUnsafeBytes { index_get(database, $0.baseAddress, $0.count, source, &value, message) }
        }
        guard isThere, let value else { return false }
        defer { index_value_release(value) }
        var count = 0
        let start = index_value_bytes(value, &count)
        body(UnsafeRawBufferPointer(start: start, count: count))
        return true
    }

    func write(_ changes: IndexChanges) throws(StorageError) {
        try Self.call(path) { message in
            changes.bytes.withUnsafeBytes { index_write(database, $0.baseAddress, $0.count, message) }
        }
    }

    func flush(waiting: Bool) throws(StorageError) {
        try Self.call(path) { index_flush(database, waiting ? 1 : 0, $0) }
    }

    func walk() -> any IndexWalk {
        LibraryIndexWalk(handle: index_walk_create(database), path: path)
    }

    var isShortOfSpace: Bool { index_is_short_of_space(database) != 0 }

    var unflushedSizeBytes: UInt64 { index_unflushed_bytes(database) }

    func releaseSetAside(_ size: UInt64) -> UInt64 { index_release_set_aside(database, size) }

    func replenishSetAside() { index_replenish_set_aside(database) }
}

final class LibraryIndexWalk: IndexWalk {
    private let handle: OpaquePointer
    private let path: String

    fileprivate init(handle: OpaquePointer, path: String) {
        self.handle = handle
        self.path = path
    }

    deinit { index_walk_release(handle) }

    func seek(_ key: [UInt8], backward: Bool) {
        key.withUnsafeBytes { index_walk_seek(handle, $0.baseAddress, $0.count, backward ? 1 : 0) }
    }

    func next() { index_walk_next(handle) }

    func previous() { index_walk_previous(handle) }

    func withKey(
        startingWith prefix: [UInt8], _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StorageError) -> Bool {
        var start: UnsafeRawPointer?
        var count = 0
        guard try LibraryIndex.call(path, { index_walk_key(handle, &start, &count, $0) }), let start,
            count >= prefix.count,
            prefix.isEmpty || prefix.withUnsafeBytes({ memcmp(start, $0.baseAddress!, $0.count) == 0 })
        else { return false }
        body(UnsafeRawBufferPointer(start: start, count: count))
        return true
    }

    func read(_ body: (UnsafeRawBufferPointer) -> Void) {
        var count = 0
        let start = index_walk_value(handle, &count)
        body(UnsafeRawBufferPointer(start: start, count: count))
    }
}
