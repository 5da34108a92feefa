// The local files of put and get: read with a bound, written all or not at all.

import CommandOutcome
import ErasureCode
import Foundation
import Glibc
import QuorumTransport

/// The value of a put.
enum InputFile {
    /// The first `sizeBytesMax` bytes of the file at `path`, or of standard input for "-".
    static func read(_ path: String, sizeBytesMax: Int) throws(Failure) -> SharedBytes {
        if path == "-" { return try read(STDIN_FILENO, "standard input", sizeBytesMax) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(path): \(systemText(errno))") }
        defer { close(descriptor) }
        return try read(descriptor, path, sizeBytesMax)
    }

    private static func read(_ descriptor: Int32, _ name: String, _ sizeBytesMax: Int) throws(Failure) -> SharedBytes {
        var sizeBytes = 0
        let bytes = try SharedBytes(count: sizeBytesMax) { target throws(Failure) in
            while sizeBytes < target.count {
                let count = Glibc.read(descriptor, target.baseAddress! + sizeBytes, target.count - sizeBytes)
                if count < 0 && errno == EINTR { continue }
                guard count >= 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
                if count == 0 { break }
                sizeBytes += count
            }
        }
        return bytes[0..<sizeBytes]
    }
}

/// The destination of a get.
enum OutputFile {
    static let standardOutput = "-"

    /// Writes the bytes beside the file and renames; a pipe or device, which cannot be renamed onto, is written to.
    static func write(_ value: SharedBytes, to path: String) throws(Failure) {
        if path == standardOutput {
            try check(value.withUnsafeBytes { writeAll(STDOUT_FILENO, $0) }, "standard output")
            return
        }
        var status = stat()
        let exists = stat(path, &status) == 0
        guard exists, status.st_mode & S_IFMT != S_IFREG else {
            try replace(path, exists ? status.st_mode & 0o777 : nil, with: value)
            return
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw Failure(.inputOutput, "\(path): \(systemText(EISDIR))")
        }
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(path): \(systemText(errno))") }
        defer { close(descriptor) }
        try check(value.withUnsafeBytes { writeAll(descriptor, $0) }, path)
    }

    /// - Parameter mode: the permission bits of the file that is replaced; nil when there is none.
    private static func replace(_ path: String, _ mode: mode_t?, with value: SharedBytes) throws(Failure) {
        // What a symbolic link points to is replaced, not the link.
        let target = mode == nil ? path : URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let slash = target.lastIndex(of: "/").map { target.index(after: $0) } ?? target.startIndex
        let temporary = "\(target[..<slash]).solidus-\(UUID().uuidString).partial"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode ?? 0o666)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(path): \(systemText(errno))") }
        var failed = value.withUnsafeBytes { writeAll(descriptor, $0) }
        if failed == nil, let mode, fchmod(descriptor, mode) != 0 { failed = errno }
        if close(descriptor) != 0, failed == nil { failed = errno }
        if failed == nil, rename(temporary, target) != 0 { failed = errno }
        if failed != nil { unlink(temporary) }
        try check(failed, path)
    }

    private static func check(_ failed: Int32?, _ name: String) throws(Failure) {
        if let failed { throw Failure(.inputOutput, "\(name): \(systemText(failed))") }
    }
}
