// The operating system's files.

import CPosixStorage
import ErasureCode
import Glibc

package struct PosixFiles: StorageFiles {
    package init() {}

    package func makeDirectory(_ path: String) throws(StorageError) {
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else { throw .system("create", path) }
    }

    package func names(in directory: String) throws(StorageError) -> [String] {
        guard let stream = opendir(directory) else { throw .system("list", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .system("list", directory) }
        return names.sorted()
    }

    package func synchronizeDirectory(_ path: String) throws(StorageError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", path) }
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
    }

    package func create(_ path: String) throws(StorageError) -> any StorageFile {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system("create", path) }
        return PosixFile(path: path, descriptor: descriptor)
    }

    package func open(_ path: String, forWriting: Bool) throws(StorageError) -> (any StorageFile)? {
        let descriptor = Glibc.open(path, (forWriting ? O_RDWR : O_RDONLY) | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw .system("open", path)
        }
        return PosixFile(path: path, descriptor: descriptor)
    }

    package func rename(_ path: String, to name: String) throws(StorageError) {
        guard Glibc.rename(path, name) == 0 else { throw .system("rename", path) }
    }

    package func remove(_ path: String) throws(StorageError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove", path) }
    }

    package func lock(_ path: String, creating: Bool) throws(StorageError) -> any Sendable & AnyObject {
        try FileLock(path: path, creating: creating)
    }

    package func freeBytes(at path: String) -> UInt64? {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return nil }
        return UInt64(information.f_bavail) &* UInt64(information.f_frsize)
    }

    package func capacityBytes(at path: String) -> UInt64? {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return nil }
        return UInt64(information.f_blocks) &* UInt64(information.f_frsize)
    }
}

/// An open file of the operating system's.
final class PosixFile: StorageFile {
    let path: String
    private let descriptor: Int32

    init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { _ = Glibc.close(descriptor) }

    func sizeBytes() throws(StorageError) -> UInt64 {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw .system("stat", path) }
        return UInt64(information.st_size)
    }

    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        var done = 0
        while done < target.count {
            let count = pread(descriptor, target.baseAddress! + done, target.count - done, off_t(offset) + off_t(done))
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("read", path)
            }
            done += count
        }
        return done
    }

    func readFromMemory(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        var done = 0
        while done < target.count {
            let count = solidus_read_cached(
                descriptor, target.baseAddress! + done, UInt64(target.count - done), Int64(offset) + Int64(done))
            if count == 0 { break }
            guard count > 0 else { throw .notInMemory }
            done += Int(count)
        }
        return done
    }

    func write(_ pieces: [SharedBytes], at offset: UInt64) throws(StorageError) {
        var vectors: [iovec] = []
        vectors.reserveCapacity(pieces.count)
        for piece in pieces where piece.count > 0 {
            // The pieces are alive until this function returns, which is what lets their addresses leave the closure.
            piece.withUnsafeBytes {
                vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count))
            }
        }
        defer { withExtendedLifetime(pieces) {} }
        var position = off_t(offset)
        var first = 0
        while first < vectors.count {
            let count = min(vectors.count - first, 1024)
            var written = vectors.withUnsafeBufferPointer {
                pwritev(descriptor, $0.baseAddress! + first, Int32(count), position)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw .system("write", path)
            }
            if written == 0 { throw .system("write", path, EIO) }
            position += off_t(written)
            while written > 0 {
                let length = vectors[first].iov_len
                if written >= length {
                    written -= length
                    first += 1
                } else {
                    vectors[first].iov_base += written
                    vectors[first].iov_len -= written
                    written = 0
                }
            }
        }
    }

    func allocate(_ size: UInt64) throws(StorageError) {
        let code = posix_fallocate(descriptor, 0, off_t(size))
        guard code == 0 else { throw .system("allocate", path, code) }
    }

    func synchronize() throws(StorageError) {
        while fsync(descriptor) != 0 {
            if errno != EINTR { throw .system("fsync", path) }
        }
    }

    func synchronizeData() throws(StorageError) {
        while fdatasync(descriptor) != 0 {
            if errno != EINTR { throw .system("fdatasync", path) }
        }
    }

    func dropCache() {
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    func truncate(toBytes size: UInt64) throws(StorageError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw .system("truncate", path) }
    }

    func punchHole(at offset: UInt64, count: UInt64) throws(StorageError) {
        let code = solidus_punch_hole(descriptor, Int64(offset), Int64(count))
        guard code == 0 || code == EOPNOTSUPP else { throw .system("punch hole in", path, code) }
    }
}

/// An exclusive lock on a file, held until the last reference goes.
private final class FileLock: Sendable {
    /// A process that was killed takes a moment to end, which should not keep a store from opening.
    private static let attemptCountMax = 100
    private static let microsecondsBetweenAttempts: UInt32 = 10_000

    private let descriptor: Int32

    /// Throws `.locked` when somebody else holds it and goes on holding it for a second.
    init(path: String, creating: Bool) throws(StorageError) {
        let opened = Glibc.open(path, O_RDWR | O_CLOEXEC | (creating ? O_CREAT : 0), 0o640)
        guard opened >= 0 else {
            throw errno == ENOENT
                ? .notAStore(path: path, reason: "the lock file is missing") : .system("open", path)
        }
        var attemptCount = 1
        while flock(opened, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EWOULDBLOCK, attemptCount < Self.attemptCountMax {
                attemptCount += 1
                usleep(Self.microsecondsBetweenAttempts)
                continue
            }
            _ = Glibc.close(opened)
            throw code == EWOULDBLOCK ? .locked(path: path) : .system("lock", path, code)
        }
        descriptor = opened
    }

    deinit {
        // For a process that is being forked and has the descriptor, too.
        _ = flock(descriptor, LOCK_UN)
        _ = Glibc.close(descriptor)
    }
}
