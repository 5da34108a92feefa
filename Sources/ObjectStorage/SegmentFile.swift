// One append-only file of the journal: created preallocated and durable, written at its end, read anywhere.

import CPosixStorage
import ErasureCode
import Glibc

/// The first page of a segment file: whose it is, and how large it was made.
struct SegmentHeader: Equatable {
    static let magic: UInt64 = 0x544D_4745_534C_4F53  // "SOLSEGMT"
    static let sizeBytes = 64

    var storeID: StoreID
    var number: UInt64
    var allocatedBytes: UInt64

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittle(Self.magic)
        bytes.appendLittle(FormatLimit.version)
        bytes.appendLittle(UInt32(0))
        bytes.append(contentsOf: storeID.bytes)
        bytes.appendLittle(number)
        bytes.appendLittle(allocatedBytes)
        bytes.append(contentsOf: [UInt8](repeating: 0, count: Self.sizeBytes - bytes.count))
        bytes.replaceLittle(Checksum.crc32c(bytes[16...]), at: 12)
        return bytes
    }

    init(storeID: StoreID, number: UInt64, allocatedBytes: UInt64) {
        self.storeID = storeID
        self.number = number
        self.allocatedBytes = allocatedBytes
    }

    /// Nil when the bytes are no undamaged segment header of this format.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.sizeBytes else { return nil }
        var cursor = ByteCursor(UnsafeRawBufferPointer(rebasing: bytes[..<Self.sizeBytes]))
        guard cursor.little(UInt64.self) == Self.magic, cursor.little(UInt32.self) == FormatLimit.version,
            let checksum = cursor.little(UInt32.self),
            checksum == Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[16..<Self.sizeBytes])),
            let id = cursor.take(StoreID.sizeBytes), let number = cursor.little(UInt64.self),
            let allocated = cursor.little(UInt64.self)
        else { return nil }
        self.init(storeID: StoreID(bytes: Array(id)), number: number, allocatedBytes: allocated)
    }
}

/// An open segment file; closed with its last reference, so that a reader outlives the file's removal.
final class SegmentFile: Sendable {
    let number: UInt64
    let path: String
    private let descriptor: Int32

    private init(number: UInt64, path: String, descriptor: Int32) {
        self.number = number
        self.path = path
        self.descriptor = descriptor
    }

    deinit { _ = Glibc.close(descriptor) }

    static func path(in directory: String, number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return directory + "/" + String(repeating: "0", count: 16 - digits.count) + digits + ".segment"
    }

    /// The number in a segment file's name, or nil for any other name.
    static func number(ofName name: String) -> UInt64? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1] == "segment", parts[0].count == 16 else { return nil }
        return UInt64(parts[0], radix: 16)
    }

    /// Makes a segment of `allocatedBytes` zeros behind its header, durable together with its name.
    /// What was made of it is removed again when that fails.
    static func create(
        in directory: String, number: UInt64, storeID: StoreID, allocatedBytes: UInt64
    ) throws(StorageError) -> SegmentFile {
        let path = path(in: directory, number: number)
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system("create", path) }
        let file = SegmentFile(number: number, path: path, descriptor: descriptor)
        do throws(StorageError) {
            let code = posix_fallocate(descriptor, 0, off_t(allocatedBytes))
            guard code == 0 else { throw .system("allocate", path, code) }
            let header = SegmentHeader(storeID: storeID, number: number, allocatedBytes: allocatedBytes)
            try file.write([SharedBytes(header.encoded())], at: 0)
            guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
            try Directory.synchronize(directory)
            return file
        } catch {
            _ = unlink(path)
            throw error
        }
    }

    static func open(
        in directory: String, number: UInt64, forWriting: Bool
    ) throws(StorageError) -> SegmentFile {
        let path = path(in: directory, number: number)
        let descriptor = Glibc.open(path, (forWriting ? O_RDWR : O_RDONLY) | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT ? .missingSegment(path: path) : .system("open", path)
        }
        return SegmentFile(number: number, path: path, descriptor: descriptor)
    }

    func sizeBytes() throws(StorageError) -> UInt64 {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw .system("stat", path) }
        return UInt64(information.st_size)
    }

    /// Fills `target` from `offset` and returns how many bytes there were before the file's end.
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

    /// The header, or nil when it is damaged or was never written.
    func header() throws(StorageError) -> SegmentHeader? {
        let bytes = try readBytes(count: SegmentHeader.sizeBytes, at: 0)
        return bytes.withUnsafeBytes { SegmentHeader($0) }
    }

    /// Up to `count` bytes at `offset`, fewer at the file's end.
    func readBytes(count: Int, at offset: UInt64) throws(StorageError) -> SharedBytes {
        guard count > 0 else { return SharedBytes() }
        let buffer = ReadBuffer(count: count)
        let read = try read(into: buffer.bytes, at: offset)
        return SharedBytes(owner: buffer, bytes: UnsafeRawBufferPointer(rebasing: buffer.bytes[..<read]))
    }

    /// Writes all of `pieces` one behind the other from `offset`.
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

    func synchronizeData(_ system: StorageSystem) throws(StorageError) {
        let code = system.synchronizeData(descriptor)
        guard code == 0 else { throw .system("fdatasync", path, code) }
    }

    /// Writes what the page cache holds of the file, then empties the cache of it, so that what is read next is what
    /// the disk holds: after a failed sync the cache may keep pages, marked clean, that never reached the disk.
    func settle() throws(StorageError) {
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    func truncate(toBytes size: UInt64) throws(StorageError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw .system("truncate", path) }
    }

    /// Gives whole pages back; they read as zeros afterwards. A file system without holes keeps them.
    func punchHole(at offset: UInt64, count: UInt64) throws(StorageError) {
        let code = solidus_punch_hole(descriptor, Int64(offset), Int64(count))
        guard code == 0 || code == EOPNOTSUPP else { throw .system("punch hole in", path, code) }
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

/// Names in a directory, and their durability.
enum Directory {
    static func synchronize(_ path: String) throws(StorageError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", path) }
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
    }

    /// The names in the directory except "." and "..", sorted.
    static func names(_ path: String) throws(StorageError) -> [String] {
        guard let stream = opendir(path) else { throw .system("list", path) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .system("list", path) }
        return names.sorted()
    }

    static func make(_ path: String) throws(StorageError) {
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else { throw .system("create", path) }
    }
}
