// Reading and writing whole small text files, with bounds and typed errors.

import Glibc
import QuorumTransport

/// A configuration file's text, read with a bound and never from anything but a regular file.
enum TextFile {
    /// Configurations are a few kilobytes; the limit keeps a wrong path from filling memory.
    static let sizeBytesMax = 1 << 20
    /// Lists have an entry for each client, or for each life of a server.
    static let listSizeBytesMax = 4 << 20

    /// The file's bytes. - Throws: `fileMissing` (with `advice`), `fileUnreadable` or `fileTooLarge`.
    static func read(
        _ path: String, advice: String, sizeBytesMax: Int = Self.sizeBytesMax
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
        try write(text, to: descriptor, path: path, mode: mode)
    }

    /// Puts a file durably in the place of another one, or where there was none: after a crash there is either.
    ///
    /// One that says the same is only made durable: that takes no room, so it works on a full disk, too.
    static func replace(_ path: String, _ text: String, mode: mode_t) throws(ConfigurationError) {
        if try synchronize(path, ifItSays: text) { return try synchronizeParent(of: path) }
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw .cannotWrite(path: temporary, reason: systemText(errno)) }
        do throws(ConfigurationError) {
            defer { close(descriptor) }
            try write(text, to: descriptor, path: temporary, mode: mode)
            guard fsync(descriptor) == 0 else { throw .cannotWrite(path: temporary, reason: systemText(errno)) }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else { throw .cannotWrite(path: path, reason: systemText(errno)) }
        try synchronizeParent(of: path)
    }

    /// Whether the file has exactly this text; if so, it is durable now.
    private static func synchronize(_ path: String, ifItSays text: String) throws(ConfigurationError) -> Bool {
        guard let bytes = try? read(path, advice: "", sizeBytesMax: text.utf8.count), bytes.elementsEqual(text.utf8)
        else { return false }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .cannotWrite(path: path, reason: systemText(errno)) }
        return true
    }

    private static func synchronizeParent(of path: String) throws(ConfigurationError) {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let directory = open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw .cannotWrite(path: parent, reason: systemText(errno)) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw .cannotWrite(path: parent, reason: systemText(errno)) }
    }

    private static func write(
        _ text: String, to descriptor: Int32, path: String, mode: mode_t
    ) throws(ConfigurationError) {
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
