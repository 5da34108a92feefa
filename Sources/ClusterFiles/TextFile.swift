// Reading and writing whole small text files, with bounds and typed errors.

import DurableFiles
import Glibc
import QuorumTransport

/// A configuration file's text, read with a bound and never from anything but a regular file.
enum TextFile {
    /// Configurations are a few kilobytes; the limit keeps a wrong path from filling memory.
    static let sizeBytesMax = 1 << 20
    /// Lists have an entry for each client, or for each life of a server.
    static let listSizeBytesMax = 4 << 20

    /// The file's bytes. - Throws: `fileMissing` (with `advice`), `fileUnreadable` or `fileTooLarge`.
    ///
    /// - Parameter isPrivate: whether it is a private key, which nobody but its owner may read or change.
    static func read(
        _ path: String, advice: String, sizeBytesMax: Int = Self.sizeBytesMax, isPrivate: Bool = false
    ) throws(ConfigurationError) -> [UInt8] {
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
        guard !isPrivate || status.st_mode & 0o077 == 0 else {
            throw ConfigurationError(.keyOpenToOthers(path: path, mode: status.st_mode & 0o777))
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
        try writing { () throws(FileError) in try DurableFile.create(path, Array(text.utf8), mode: mode) }
    }

    /// Puts a file durably in the place of another one, or where there was none: after a crash there is either.
    ///
    /// One that says the same is only made durable: that takes no room, so it works on a full disk, too.
    static func replace(_ path: String, _ text: String, mode: mode_t) throws(ConfigurationError) {
        if try synchronize(path, ifItSays: text) { return }
        try writing { () throws(FileError) in try DurableFile.replace(path, Array(text.utf8), mode: mode) }
    }

    /// Whether the file has exactly this text; if so, it is durable now.
    private static func synchronize(_ path: String, ifItSays text: String) throws(ConfigurationError) -> Bool {
        guard let bytes = try? read(path, advice: "", sizeBytesMax: text.utf8.count), bytes.elementsEqual(text.utf8)
        else { return false }
        try writing { () throws(FileError) in
            try DurableFile.synchronize(path)
            try DurableFile.synchronizeDirectory(containing: path)
        }
        return true
    }

    /// Runs what writes, naming errors as this room does.
    static func writing(_ body: () throws(FileError) -> Void) throws(ConfigurationError) {
        do throws(FileError) {
            try body()
        } catch {
            throw .cannotWrite(path: error.path, reason: systemText(error.code))
        }
    }
}
