// The file that makes a directory a store: who it is, in which format. It is written last, so that a store without
// it was never finished. Beside it lies the lock that keeps a second process out.

import ErasureCode
import Glibc

/// The random name of a store: what another store wrote is never taken for its own.
struct StoreID: Equatable, Sendable {
    static let sizeBytes = 16
    let bytes: [UInt8]

    init(bytes: [UInt8]) {
        precondition(bytes.count == Self.sizeBytes)
        self.bytes = bytes
    }

    static func random() -> StoreID {
        var generator = SystemRandomNumberGenerator()
        return StoreID(bytes: (0..<sizeBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}

/// The contents of the identity file.
struct StoreIdentity: Equatable, Sendable {
    private static let magic: UInt64 = 0x4552_4F54_534C_4F53  // "SOLSTORE"
    private static let sizeBytes = 40

    var storeID: StoreID
    var incarnation: UInt64

    /// Writes the file at `path` durably, under its final name only once its contents are.
    func write(to path: String) throws(StorageError) {
        var bytes: [UInt8] = []
        bytes.appendLittle(Self.magic)
        bytes.appendLittle(FormatLimit.version)
        bytes.appendLittle(UInt32(0))
        bytes.append(contentsOf: storeID.bytes)
        bytes.appendLittle(incarnation)
        bytes.replaceLittle(Checksum.crc32c(bytes[16...]), at: 12)

        let temporary = path + ".new"
        let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system("create", temporary) }
        defer { _ = Glibc.close(descriptor) }
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress!, $0.count) }
        guard written == bytes.count else { throw .system("write", temporary, written < 0 ? errno : ENOSPC) }
        guard fsync(descriptor) == 0 else { throw .system("fsync", temporary) }
        guard rename(temporary, path) == 0 else { throw .system("rename", temporary) }
    }

    static func read(from path: String) throws(StorageError) -> StoreIdentity {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? .notAStore(path: path, reason: "the file is missing; the store was never created or never finished")
                : .system("open", path)
        }
        defer { _ = Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: sizeBytes + 1)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress!, $0.count) }
        guard count >= 0 else { throw .system("read", path) }
        let identity = bytes.withUnsafeBytes { all -> Result<StoreIdentity, StorageError> in
            guard count >= 16 else { return .failure(.damagedIdentity(path: path)) }
            var cursor = ByteCursor(UnsafeRawBufferPointer(rebasing: all[..<count]))
            guard cursor.little(UInt64.self) == magic, let format = cursor.little(UInt32.self),
                let checksum = cursor.little(UInt32.self)
            else { return .failure(.damagedIdentity(path: path)) }
            // Another format may have another shape, so its number is judged before its checksum.
            guard format == FormatLimit.version else {
                return .failure(.unsupportedFormat(path: path, version: format))
            }
            guard count == sizeBytes,
                checksum == Checksum.crc32c(UnsafeRawBufferPointer(rebasing: all[16..<sizeBytes])),
                let id = cursor.take(StoreID.sizeBytes), let incarnation = cursor.little(UInt64.self)
            else { return .failure(.damagedIdentity(path: path)) }
            return .success(StoreIdentity(storeID: StoreID(bytes: Array(id)), incarnation: incarnation))
        }
        return try identity.get()
    }
}

/// An exclusive lock on a store's directory, held until the last reference goes.
final class StoreLock: Sendable {
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
