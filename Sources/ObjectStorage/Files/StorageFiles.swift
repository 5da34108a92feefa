// The file system as the store needs it: what can be asked of it, and no more. Production has POSIX; tests and the
// simulator have files in memory that lose what was not synced, tear, rot and fill up.

import ErasureCode

/// A file system. Any number of threads may use it.
package protocol StorageFiles: Sendable {
    /// Makes a directory unless it is there. Its name is durable once the parent is synchronized.
    func makeDirectory(_ path: String) throws(StorageError)

    /// The names in a directory, sorted.
    func names(in directory: String) throws(StorageError) -> [String]

    /// Makes durable which names a directory has.
    func synchronizeDirectory(_ path: String) throws(StorageError)

    /// Makes an empty file; throws when there is something at `path`.
    func create(_ path: String) throws(StorageError) -> any StorageFile

    /// Opens a file; nil when there is none.
    func open(_ path: String, forWriting: Bool) throws(StorageError) -> (any StorageFile)?

    /// Gives a file another name, in place of whatever had it.
    func rename(_ path: String, to name: String) throws(StorageError)

    /// Removes a file's name; whoever has it open goes on reading. Nothing happens when there is none.
    func remove(_ path: String) throws(StorageError)

    /// Keeps everybody else from a lock on the same file until the lock is released with its last reference.
    /// Throws `.locked` when somebody has it.
    func lock(_ path: String, creating: Bool) throws(StorageError) -> any Sendable & AnyObject

    /// Bytes that may still be allocated beside the file at `path`; nil when unknown.
    func freeBytes(at path: String) -> UInt64?

    /// The size of the file system that `path` is on; nil when unknown.
    func capacityBytes(at path: String) -> UInt64?
}

/// An open file; closed with its last reference. Any number of threads may read it, one at a time may write.
package protocol StorageFile: AnyObject, Sendable {
    var path: String { get }

    func sizeBytes() throws(StorageError) -> UInt64

    /// Fills `target` from `offset` and returns how many bytes there were before the file's end.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int

    /// The same for what is in memory; throws `.notInMemory` when some of it is not, and whenever that is not known.
    func readFromMemory(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int

    /// Writes all of `pieces` one behind the other from `offset`.
    func write(_ pieces: [SharedBytes], at offset: UInt64) throws(StorageError)

    /// Makes the file `size` bytes of zeros, with room on the disk for every one of them.
    func allocate(_ size: UInt64) throws(StorageError)

    /// Makes the file's size and contents durable.
    func synchronize() throws(StorageError)

    /// Makes the file's contents durable, where its size did not change.
    func synchronizeData() throws(StorageError)

    /// Has the next reads see what the disk holds: after a failed sync, memory may keep pages that never reached it.
    func dropCache()

    func truncate(toBytes size: UInt64) throws(StorageError)

    /// Gives whole pages back; they read as zeros afterwards. A file system without holes keeps them.
    func punchHole(at offset: UInt64, count: UInt64) throws(StorageError)
}

extension StorageFile {
    /// Up to `count` bytes at `offset`, fewer at the file's end.
    ///
    /// - Parameter inMemory: whether to throw `.notInMemory` rather than wait for the disk.
    func readBytes(count: Int, at offset: UInt64, inMemory: Bool = false) throws(StorageError) -> SharedBytes {
        guard count > 0 else { return SharedBytes() }
        let buffer = ReadBuffer(count: count)
        let read =
            inMemory ? try readFromMemory(into: buffer.bytes, at: offset) : try read(into: buffer.bytes, at: offset)
        return SharedBytes(owner: buffer, bytes: UnsafeRawBufferPointer(rebasing: buffer.bytes[..<read]))
    }
}

/// Uninitialised memory for a read, freed with its last reference. Nobody writes to it once it was filled.
private final class ReadBuffer {
    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) {
        bytes = .allocate(byteCount: count, alignment: 64)
    }

    deinit { bytes.deallocate() }
}
