// Writing small files such that what is there after a crash is either the old file or the new one, and the new one once
// the call has returned.

import Glibc

/// A system call on a file that failed.
package struct FileError: Error, Equatable, Sendable {
    /// The file's path as it was given; bytes that are no UTF-8 are replaced.
    package let path: String
    /// The errno.
    package let code: Int32

    package init(path: String, code: Int32) {
        self.path = path
        self.code = code
    }
}

/// What was just done to a file or a directory, by its path.
package enum FileStep: Equatable, Sendable {
    /// A file has its bytes, which are not durable yet.
    case wrote(String)
    case synchronized(String)
    case madeDirectory(String)
    case moved(String, to: String)
    /// Which names are in the directory is durable.
    case synchronizedDirectory(String)
}

/// Files that are there in full and durably, or not at all. Paths are zero-terminated bytes, since that is what they
/// are; the overloads with text are for those of our own making.
package enum DurableFile {
    /// Told of each step that was done, by those who want to know what a crash after it leaves, and whether all became
    /// durable that should.
    @TaskLocal package static var observer: (@Sendable (FileStep) -> Void)?

    /// Writes a file that must not exist yet, with exactly these permission bits. Its name is durable only once its
    /// directory is synced: for many files of a new directory that is done once, by `synchronizeTree`.
    package static func create(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(FileError) {
        let path = Array(path.utf8CString)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure(path) }
        try bytes.withUnsafeBytes { bytes in
            Result { () throws(FileError) in try fill(descriptor, path, bytes, mode: mode) }
        }.get()
    }

    /// Puts a file durably in the place of another one, or where there was none.
    package static func replace(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(FileError) {
        let path = Array(path.utf8CString)
        let temporary = path.dropLast() + Array(".new".utf8CString)
        try bytes.withUnsafeBytes { bytes in
            Result { () throws(FileError) in try replace(path, by: Array(temporary), bytes, mode: mode) }
        }.get()
    }

    /// The same by way of a temporary file of the caller's choice, in the same directory.
    ///
    /// - Parameter mode: the file's exact permission bits; nil for those that the process's mask leaves of 0666.
    package static func replace(
        _ path: [CChar], by temporary: [CChar], _ bytes: UnsafeRawBufferPointer, mode: mode_t?
    ) throws(FileError) {
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode ?? 0o666)
        guard descriptor >= 0 else { throw failure(temporary) }
        do throws(FileError) {
            try fill(descriptor, temporary, bytes, mode: mode)
            guard rename(temporary, path) == 0 else { throw failure(path) }
            observer?(.moved(text(temporary), to: text(path)))
        } catch {
            unlink(temporary)
            throw error
        }
        try synchronizeDirectory(parent(of: path))
    }

    /// Makes a directory that only its owner may enter, unless another mode is given.
    package static func makeDirectory(_ path: String, mode: mode_t = 0o700) throws(FileError) {
        guard mkdir(path, mode) == 0 else { throw failure(Array(path.utf8CString)) }
        observer?(.madeDirectory(path))
    }

    /// Gives what is at one path another name, durably, where nothing or an empty directory is.
    package static func move(_ path: String, to target: String) throws(FileError) {
        guard rename(path, target) == 0 else { throw failure(Array(target.utf8CString)) }
        observer?(.moved(path, to: target))
        try synchronizeDirectory(containing: target)
        try synchronizeDirectory(containing: path)
    }

    /// Makes durable which names are in the directory of `path`.
    package static func synchronizeDirectory(containing path: String) throws(FileError) {
        try synchronizeDirectory(parent(of: Array(path.utf8CString)))
    }

    /// Makes durable all that is in a directory, at any depth, and the directory itself. Symbolic links are not
    /// followed.
    package static func synchronizeTree(_ path: String) throws(FileError) {
        let zeroTerminated = Array(path.utf8CString)
        guard let entries = opendir(path) else { throw failure(zeroTerminated) }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let child = path + "/" + name
            var status = stat()
            guard lstat(child, &status) == 0 else { throw failure(Array(child.utf8CString)) }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try synchronizeTree(child)
            case S_IFREG: try synchronize(child)
            default: break
            }
        }
        try synchronizeDirectory(zeroTerminated)
    }

    /// Makes durable what is in a file.
    package static func synchronize(_ path: String) throws(FileError) {
        try synchronize(Array(path.utf8CString), O_RDONLY | O_CLOEXEC)
        observer?(.synchronized(path))
    }

    private static func synchronizeDirectory(_ path: [CChar]) throws(FileError) {
        try synchronize(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        observer?(.synchronizedDirectory(text(path)))
    }

    private static func synchronize(_ path: [CChar], _ flags: Int32) throws(FileError) {
        let descriptor = open(path, flags)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(path) }
    }

    /// The directory that a path's last name is in, as a path. A slash at the end names nothing.
    private static func parent(of path: [CChar]) -> [CChar] {
        let slash = CChar(UInt8(ascii: "/"))
        var bytes = path.dropLast()
        while bytes.count > 1, bytes.last == slash { bytes = bytes.dropLast() }
        guard let last = bytes.lastIndex(of: slash) else { return [CChar(UInt8(ascii: ".")), 0] }
        return (last == 0 ? [slash] : Array(bytes[..<last])) + [0]
    }

    /// Writes and syncs the open file, and closes it.
    private static func fill(
        _ descriptor: Int32, _ path: [CChar], _ bytes: UnsafeRawBufferPointer, mode: mode_t?
    ) throws(FileError) {
        var code: Int32 = 0
        if let mode, fchmod(descriptor, mode) != 0 { code = errno }
        if code == 0 { code = OpenFile.write(descriptor, bytes) ?? 0 }
        if code == 0 { observer?(.wrote(text(path))) }
        if code == 0, fsync(descriptor) != 0 { code = errno }
        if code == 0 { observer?(.synchronized(text(path))) }
        if close(descriptor) != 0, code == 0 { code = errno }
        guard code == 0 else { throw failure(path, code) }
    }

    private static func failure(_ path: [CChar], _ code: Int32 = errno) -> FileError {
        FileError(path: text(path), code: code)
    }

    private static func text(_ path: [CChar]) -> String {
        String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
