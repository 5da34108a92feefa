// A file that appears, or takes another one's place, only once all of its bytes are written and synced.

import DurableFiles
import ErasureCode
import Glibc
import NIOPosix
import Synchronization

/// A file under another name beside its own until it is finished; one that is let go before leaves nothing.
final class TargetFile: Sendable {
    private let path: String
    /// What is there under the path once links are followed: the file that is replaced.
    private let target: String
    private let temporary: String
    private let descriptor: Int32
    private let isFinished = Mutex(false)

    private init(path: String, target: String, temporary: String, descriptor: Int32) {
        self.path = path
        self.target = target
        self.temporary = temporary
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
        if !isFinished.withLock({ $0 }) { unlink(temporary) }
    }

    /// - Throws: `ObjectFileError`, and `CancellationError`.
    static func make(_ path: String) async throws -> TargetFile {
        try await NIOThreadPool.singleton.runIfActive {
            var status = stat()
            let exists = stat(path, &status) == 0
            guard !exists || status.st_mode & S_IFMT == S_IFREG else { throw ObjectFileError.notAFile(path: path) }
            let target = exists ? String(decoding: OpenFile.resolved(Array(path.utf8)), as: UTF8.self) : path
            let directory = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
            let temporary = directory + TemporaryName.make()
            let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
            guard descriptor >= 0 else { throw ObjectFileError.system(path: path, code: errno) }
            let file = TargetFile(path: path, target: target, temporary: temporary, descriptor: descriptor)
            guard !exists || fchmod(descriptor, status.st_mode & 0o777) == 0 else { throw file.failure(errno) }
            return file
        }
    }

    func append(_ piece: SharedBytes) async throws {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            if let code = piece.withUnsafeBytes({ OpenFile.write(descriptor, $0) }) { throw failure(code) }
        }
    }

    /// All bytes are there: syncs them and gives the file its name.
    ///
    /// - Parameter modifiedMilliseconds: the time that the file is to have, since 1970.
    func finish(modifiedMilliseconds: UInt64) async throws {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            OpenFile.setModified(descriptor, milliseconds: modifiedMilliseconds)
            guard fsync(descriptor) == 0, rename(temporary, target) == 0 else { throw failure(errno) }
            isFinished.withLock { $0 = true }
            do throws(FileError) {
                try DurableFile.synchronizeDirectory(containing: target)
            } catch {
                throw failure(error.code)
            }
        }
    }

    private func failure(_ code: Int32) -> ObjectFileError { .system(path: path, code: code) }
}
