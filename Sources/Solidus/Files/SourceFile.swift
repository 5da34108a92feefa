// A file whose bytes become an object.

import Crypto
import DurableFiles
import ErasureCode
import Glibc
import NIOPosix
import Synchronization

/// An open file: its bytes in pieces, read on threads that may wait for a disk, and the SHA-256 of what was read. For one
/// reading.
final class SourceFile: AsyncSequence, Sendable {
    typealias Element = SharedBytes

    /// The stripe of values whose length is known, so that no piece is copied.
    private static let pieceSizeBytes = 1 << 20

    let facts: FileFacts
    private let path: String
    private let descriptor: Int32
    private let state = Mutex((hash: SHA256(), readBytes: UInt64(0)))

    private init(path: String, descriptor: Int32, facts: FileFacts) {
        self.path = path
        self.descriptor = descriptor
        self.facts = facts
    }

    deinit { close(descriptor) }

    /// - Throws: `ObjectFileError`, and `CancellationError`.
    static func open(_ path: String) async throws -> SourceFile {
        try await NIOThreadPool.singleton.runIfActive {
            // A pipe must not make this wait for who writes into it.
            let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            guard descriptor >= 0 else { throw ObjectFileError.system(path: path, code: errno) }
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                close(descriptor)
                throw ObjectFileError.notAFile(path: path)
            }
            return SourceFile(path: path, descriptor: descriptor, facts: FileFacts(status))
        }
    }

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let file: SourceFile

        mutating func next() async throws -> SharedBytes? {
            let file = file
            let piece = try await NIOThreadPool.singleton.runIfActive { try file.read() }
            return piece.count > 0 ? piece : nil
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(file: self) }

    private func read() throws(ObjectFileError) -> SharedBytes {
        let left = facts.sizeBytes - Swift.min(facts.sizeBytes, state.withLock { $0.readBytes })
        var count = 0
        // One byte more, to notice what was added.
        let capacity = Int(Swift.min(UInt64(Self.pieceSizeBytes), Swift.max(left, 1)))
        let bytes = try SharedBytes(count: capacity) { target throws(ObjectFileError) in
            while count < target.count {
                let got = Glibc.read(descriptor, target.baseAddress! + count, target.count - count)
                if got < 0 && errno == EINTR { continue }
                guard got >= 0 else { throw .system(path: path, code: errno) }
                if got == 0 { break }
                count += got
            }
        }
        let piece = bytes[0..<count]
        state.withLock { state in
            piece.withUnsafeBytes { state.hash.update(bufferPointer: $0) }
            state.readBytes += UInt64(count)
        }
        return piece
    }

    /// The SHA-256 of what was read, in hexadecimal digits.
    var digest: String {
        state.withLock { $0.hash }.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Refuses a file that is another one, or was written, since it was opened.
    func checkUnchanged() async throws {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            var open = stat()
            var named = stat()
            guard fstat(descriptor, &open) == 0, FileFacts(open) == facts, stat(path, &named) == 0,
                FileFacts(named) == facts, state.withLock({ $0.readBytes }) == facts.sizeBytes
            else { throw ObjectFileError.changed(path: path) }
        }
    }
}
