// Files that grow as journals do: preallocated, page by page, each append synced; one for each server, all at once.

import Dispatch
import Glibc
import NIOPosix

/// One file for each server of a group.
final class SyncedFiles {
    private let files: [SyncedFile]
    private let threads: NIOThreadPool
    private let isDone = DispatchSemaphore(value: 0)

    init(count: Int, directory: String) throws {
        files = try (0..<count).map { try SyncedFile(path: "\(directory)/appends-\($0)") }
        threads = NIOThreadPool(numberOfThreads: count)
        threads.start()
    }

    /// Appends so many pages to every file and syncs them, each on a thread of its own; returns when all are durable.
    func append(pageCount: Int) {
        let isDone = isDone
        for file in files {
            threads.submit { _ in
                file.append(pageCount: pageCount)
                isDone.signal()
            }
        }
        for _ in files { isDone.wait() }
    }

    func remove() {
        try? threads.syncShutdownGracefully()
        for file in files { file.remove() }
    }
}

/// One file. Its owner lets one thread at a time append.
private final class SyncedFile: @unchecked Sendable {
    private static let sizeBytes = 64 << 20
    private static let pageSizeBytes = 4096

    private let path: String
    private let descriptor: Int32
    private let bytes = [UInt8](repeating: 0x5a, count: 1 << 20)
    private var offset = 0

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0, posix_fallocate(descriptor, 0, Self.sizeBytes) == 0, fsync(descriptor) == 0 else {
            throw BenchmarkError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
    }

    func append(pageCount: Int) {
        let count = min(pageCount * Self.pageSizeBytes, bytes.count)
        if offset + count > Self.sizeBytes { offset = 0 }
        guard pwrite(descriptor, bytes, count, offset) == count, fdatasync(descriptor) == 0 else {
            preconditionFailure("\(path): \(String(cString: strerror(errno)))")
        }
        offset += count
    }

    func remove() {
        close(descriptor)
        unlink(path)
    }
}
