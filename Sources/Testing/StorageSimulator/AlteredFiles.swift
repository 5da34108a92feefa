// The operating system's files with single answers altered, for tests on a real disk.

import ErasureCode
import ObjectStorage

package struct AlteredFiles: StorageFiles {
    private let base = PosixFiles()
    private let free: (@Sendable (String) -> UInt64?)?
    private let alteration: AlteredFile.Alteration

    /// - Parameters:
    ///   - freeBytes: in place of what the file system says.
    ///   - syncFailure: asked, with the file's path, in place of each sync of data that a writer makes; nil lets it
    ///     happen.
    ///   - read: called, with the file's path, before each read of the disk; nothing is known to be in memory then.
    package init(
        freeBytes: (@Sendable (String) -> UInt64?)? = nil, syncFailure: (@Sendable (String) -> StorageError?)? = nil,
        read: (@Sendable (String) -> Void)? = nil
    ) {
        free = freeBytes
        alteration = AlteredFile.Alteration(syncFailure: syncFailure, read: read)
    }

    package func makeDirectory(_ path: String) throws(StorageError) { try base.makeDirectory(path) }
    package func names(in directory: String) throws(StorageError) -> [String] { try base.names(in: directory) }
    package func synchronizeDirectory(_ path: String) throws(StorageError) { try base.synchronizeDirectory(path) }
    package func rename(_ path: String, to name: String) throws(StorageError) { try base.rename(path, to: name) }
    package func remove(_ path: String) throws(StorageError) { try base.remove(path) }

    package func create(_ path: String) throws(StorageError) -> any StorageFile {
        AlteredFile(base: try base.create(path), alteration)
    }

    package func open(_ path: String, forWriting: Bool) throws(StorageError) -> (any StorageFile)? {
        guard let file = try base.open(path, forWriting: forWriting) else { return nil }
        return AlteredFile(base: file, alteration)
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
    struct Alteration: Sendable {
        let syncFailure: (@Sendable (String) -> StorageError?)?
        let read: (@Sendable (String) -> Void)?
    }

    private let base: any StorageFile
    private let alteration: Alteration

    init(base: any StorageFile, _ alteration: Alteration) {
        self.base = base
        self.alteration = alteration
    }

    var path: String { base.path }
    func sizeBytes() throws(StorageError) -> UInt64 { try base.sizeBytes() }
    func readFromMemory(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        if alteration.read != nil { throw .notInMemory }
        return try base.readFromMemory(into: target, at: offset)
    }

    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        alteration.read?(path)
        return try base.read(into: target, at: offset)
    }

    func write(_ pieces: [SharedBytes], at offset: UInt64) throws(StorageError) {
        try base.write(pieces, at: offset)
    }
    func allocate(_ size: UInt64) throws(StorageError) { try base.allocate(size) }
    func synchronize() throws(StorageError) { try base.synchronize() }
    func synchronizeData() throws(StorageError) {
        if let error = alteration.syncFailure?(path) { throw error }
        try base.synchronizeData()
    }
    func dropCache() { base.dropCache() }
    func truncate(toBytes size: UInt64) throws(StorageError) { try base.truncate(toBytes: size) }
    func punchHole(at offset: UInt64, count: UInt64) throws(StorageError) {
        try base.punchHole(at: offset, count: count)
    }
}
