// The operating system's files with single answers altered, for tests on a real disk.

import ErasureCode
import ObjectStorage

package struct AlteredFiles: StorageFiles {
    private let base = PosixFiles()
    private let free: (@Sendable (String) -> UInt64?)?
    private let failure: (@Sendable (String) -> StorageError?)?

    /// - Parameters:
    ///   - freeBytes: in place of what the file system says.
    ///   - syncFailure: asked, with the file's path, in place of each sync of data that a writer makes; nil lets it
    ///     happen.
    package init(
        freeBytes: (@Sendable (String) -> UInt64?)? = nil, syncFailure: (@Sendable (String) -> StorageError?)? = nil
    ) {
        free = freeBytes
        failure = syncFailure
    }

    package func makeDirectory(_ path: String) throws(StorageError) { try base.makeDirectory(path) }
    package func names(in directory: String) throws(StorageError) -> [String] { try base.names(in: directory) }
    package func synchronizeDirectory(_ path: String) throws(StorageError) { try base.synchronizeDirectory(path) }
    package func rename(_ path: String, to name: String) throws(StorageError) { try base.rename(path, to: name) }
    package func remove(_ path: String) throws(StorageError) { try base.remove(path) }

    package func create(_ path: String) throws(StorageError) -> any StorageFile {
        AlteredFile(base: try base.create(path), failure: failure)
    }

    package func open(_ path: String, forWriting: Bool) throws(StorageError) -> (any StorageFile)? {
        guard let file = try base.open(path, forWriting: forWriting) else { return nil }
        return AlteredFile(base: file, failure: failure)
    }

    package func lock(_ path: String, creating: Bool) throws(StorageError) -> any Sendable & AnyObject {
        try base.lock(path, creating: creating)
    }

    package func capacityBytes(at path: String) -> UInt64? { base.capacityBytes(at: path) }

    package func freeBytes(at path: String) -> UInt64? {
        if let free { return free(path) }
        return base.freeBytes(at: path)
    }
}

private final class AlteredFile: StorageFile {
    private let base: any StorageFile
    private let failure: (@Sendable (String) -> StorageError?)?

    init(base: any StorageFile, failure: (@Sendable (String) -> StorageError?)?) {
        self.base = base
        self.failure = failure
    }

    var path: String { base.path }
    func sizeBytes() throws(StorageError) -> UInt64 { try base.sizeBytes() }
    func readFromMemory(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        try base.readFromMemory(into: target, at: offset)
    }

    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        try base.read(into: target, at: offset)
    }
    func write(_ pieces: [SharedBytes], at offset: UInt64) throws(StorageError) {
        try base.write(pieces, at: offset)
    }
    func allocate(_ size: UInt64) throws(StorageError) { try base.allocate(size) }
    func synchronize() throws(StorageError) { try base.synchronize() }
    func synchronizeData() throws(StorageError) {
        if let error = failure?(path) { throw error }
        try base.synchronizeData()
    }
    func dropCache() { base.dropCache() }
    func truncate(toBytes size: UInt64) throws(StorageError) { try base.truncate(toBytes: size) }
    func punchHole(at offset: UInt64, count: UInt64) throws(StorageError) {
        try base.punchHole(at: offset, count: count)
    }
}
