// A file, or a pipe, whose bytes become an object, and what shows whether it stayed the same meanwhile.

import CommandOutcome
import DurableFiles
import ErasureCode
import Glibc
import QuorumProtocol
import QuorumTransport

/// An open file for reading. It is closed with its last reference.
package final class SourceFile: @unchecked Sendable {
    // Nothing changes after it was made.
    private let descriptor: Int32
    private let isOwned: Bool
    /// In which a file was found by its last name, to see whether another one has it now; -1 for a pipe.
    private let directory: Int32
    private let lastName: [UInt8]
    /// For people.
    package let name: String
    /// Nil for a pipe or a device, which has no size and no time.
    package let facts: FileFacts?

    /// A file or pipe that people name by its path; a folder is refused.
    package init(path: [UInt8]) throws(Failure) {
        name = path.readablePath.printable
        directory = AT_FDCWD
        lastName = path
        isOwned = true
        // Who writes into a pipe is waited for when it is read, and only as long as that is wanted.
        descriptor = open(path.zeroTerminated, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw Failure(.inputOutput, "\(name) is a folder; --recursive takes what is in it")
        }
        facts = status.st_mode & S_IFMT == S_IFREG ? FileFacts(status) : nil
    }

    /// Standard input.
    package init(standardInput: Void) {
        name = "standard input"
        directory = -1
        lastName = []
        isOwned = false
        descriptor = STDIN_FILENO
        var status = stat()
        facts = fstat(STDIN_FILENO, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? FileFacts(status) : nil
    }

    /// A file that was found in a folder. What is no file any more is not opened; no link is followed.
    ///
    /// - Parameter directory: a descriptor that becomes this file's to close.
    init(in directory: Int32, _ lastName: [UInt8], name: String) throws(Failure) {
        self.directory = directory
        self.lastName = lastName
        self.name = name
        isOwned = true
        // A pipe that has taken the file's place must not make this wait for who writes into it.
        descriptor = openat(directory, lastName.zeroTerminated, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.sourceChanged, "\(name) was a file a moment ago, and is none now")
        }
        facts = FileFacts(status)
    }

    /// Where it lies, whatever the working directory will be.
    package var absolutePath: String {
        guard let resolved = realpath(lastName.zeroTerminated, nil) else { return name }
        defer { free(resolved) }
        return String(decoding: UnsafeRawBufferPointer(start: resolved, count: strlen(resolved)), as: UTF8.self)
    }

    deinit {
        if isOwned, descriptor >= 0 { close(descriptor) }
        if directory >= 0 { close(directory) }
    }

    /// The first `sizeBytesMax` bytes. A pipe is waited for as long as `isCancelled` says that it is wanted.
    package func read(sizeBytesMax: Int, isCancelled: () -> Bool = { false }) throws(Failure) -> SharedBytes {
        var sizeBytes = 0
        let capacity = facts.map { Int(min(UInt64(sizeBytesMax), $0.sizeBytes + 1)) } ?? sizeBytesMax
        let bytes = try SharedBytes(count: capacity) { target throws(Failure) in
            while sizeBytes < target.count {
                if facts == nil { try waitForBytes(isCancelled) }
                let count = Glibc.read(descriptor, target.baseAddress! + sizeBytes, target.count - sizeBytes)
                if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
                guard count >= 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
                if count == 0 { break }
                sizeBytes += count
            }
        }
        return bytes[0..<sizeBytes]
    }

    private func waitForBytes(_ isCancelled: () -> Bool) throws(Failure) {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&wanted, 1, 100) == 0 {
            if isCancelled() { throw Failure(.unexpected, "\(name): reading was given up") }
        }
    }

    /// Refuses a file that is another one, or was written, since it was opened.
    ///
    /// - Parameter readBytes: how many of its bytes were read.
    /// - Throws: `.sourceChanged`.
    package func checkUnchanged(readBytes: Int) throws(Failure) {
        guard let facts else { return }
        var status = stat()
        guard fstat(descriptor, &status) == 0, FileFacts(status) == facts, facts.sizeBytes == UInt64(readBytes),
            isStillThere(facts)
        else {
            throw Failure(
                .sourceChanged,
                "\(name) was changed while it was read; nothing was stored. Try again, or with --allow-changing, which "
                    + "stores what was read")
        }
    }

    private func isStillThere(_ facts: FileFacts) -> Bool {
        guard !lastName.isEmpty else { return true }
        var status = stat()
        return fstatat(directory, lastName.zeroTerminated, &status, 0) == 0 && FileFacts(status) == facts
    }
}
