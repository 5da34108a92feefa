// Reading and writing whole small text files, with bounds and typed errors.

import Glibc
import QuorumTransport

/// A configuration file's text, read with a bound and never from anything but a regular file.
enum TextFile {
    /// Configurations are a few kilobytes; the limit keeps a wrong path from filling memory.
    static let sizeBytesMax = 1 << 20

    /// The file's bytes. - Throws: `fileMissing` (with `advice`), `fileUnreadable` or `fileTooLarge`.
    static func read(_ path: String, advice: String) throws(ConfigurationError) -> [UInt8] {
        // Without O_NONBLOCK a named pipe in the file's place would hang the program.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            throw code == ENOENT || code == ENOTDIR
                ? .fileMissing(path: path, advice: advice)
                : .fileUnreadable(path: path, reason: systemText(code))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .fileUnreadable(path: path, reason: systemText(errno))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .fileUnreadable(path: path, reason: "not a regular file")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .fileUnreadable(path: path, reason: systemText(errno)) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[0..<count])
            guard bytes.count <= sizeBytesMax else { throw .fileTooLarge(path: path, limitBytes: sizeBytesMax) }
        }
    }

    /// Writes a file that must not exist yet, with exactly these permission bits.
    static func create(_ path: String, _ text: String, mode: mode_t) throws(ConfigurationError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw .cannotWrite(path: path, reason: systemText(errno)) }
        defer { close(descriptor) }
        guard fchmod(descriptor, mode) == 0 else { throw .cannotWrite(path: path, reason: systemText(errno)) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw .cannotWrite(path: path, reason: systemText(count < 0 ? errno : ENOSPC)) }
            rest = rest.dropFirst(count)
        }
    }
}
