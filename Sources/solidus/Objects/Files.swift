// The local files of put and get: read with a bound, written all or not at all.

import CommandArguments
import CommandOutcome
import DurableFiles
import ErasureCode
import Foundation
import Glibc
import QuorumTransport

extension FileArgument {
    /// Standard input or output.
    var isStandard: Bool { bytes == [UInt8(ascii: "-")] }
}

/// The value of a put.
enum InputFile {
    /// The first `sizeBytesMax` bytes of a file, or of standard input.
    static func read(_ file: FileArgument, sizeBytesMax: Int) throws(Failure) -> SharedBytes {
        if file.isStandard { return try read(STDIN_FILENO, "standard input", sizeBytesMax) }
        let name = file.readable.printable
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
        defer { close(descriptor) }
        return try read(descriptor, name, sizeBytesMax)
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
    /// Writes the bytes beside the file and renames; a pipe or device, which cannot be renamed onto, is written to.
    static func write(_ value: SharedBytes, to file: FileArgument) throws(Failure) {
        if file.isStandard { return try writeToStandardOutput(value) }
        let name = file.readable.printable
        var status = stat()
        let exists = stat(file.path, &status) == 0
        guard exists, status.st_mode & S_IFMT != S_IFREG else {
            try replace(file, exists ? status.st_mode & 0o777 : nil, with: value, name)
            return
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw Failure(.inputOutput, "\(name): \(systemText(EISDIR))")
        }
        let descriptor = open(file.path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(name): \(systemText(errno))") }
        defer { close(descriptor) }
        try check(value.withUnsafeBytes { writeAll(descriptor, $0) }, name)
    }

    static func writeToStandardOutput(_ value: SharedBytes) throws(Failure) {
        try check(value.withUnsafeBytes { writeAll(STDOUT_FILENO, $0) }, "standard output")
    }

    /// - Parameter mode: the permission bits of the file that is replaced; nil when there is none.
    private static func replace(
        _ file: FileArgument, _ mode: mode_t?, with value: SharedBytes, _ name: String
    ) throws(Failure) {
        // What a symbolic link points to is replaced, not the link.
        let target = mode == nil ? file.path : resolved(file.path)
        let slash = target.lastIndex(of: CChar(UInt8(ascii: "/"))).map { $0 + 1 } ?? 0
        let temporary = target[..<slash] + Array(".solidus-\(UUID().uuidString).partial".utf8CString)
        do throws(FileError) {
            try value.withUnsafeBytes { bytes throws(FileError) in
                try DurableFile.replace(target, by: Array(temporary), bytes, mode: mode)
            }
        } catch {
            try check(error.code, name)
        }
    }

    private static func resolved(_ path: [CChar]) -> [CChar] {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return Array(UnsafeBufferPointer(start: resolved, count: strlen(resolved) + 1))
    }

    private static func check(_ failed: Int32?, _ name: String) throws(Failure) {
        if let failed { throw Failure(.inputOutput, "\(name): \(systemText(failed))") }
    }
}
