// The folder that objects are read into, or files are taken from. Nothing outside of it is ever written or read: each
// name on the way down is opened by itself, and a symbolic link on the way is an error.

import CommandOutcome
import DurableFiles
import Foundation
import Glibc
import QuorumProtocol
import QuorumTransport

/// A folder on a local disk; files in it are named by the names on the way to them.
package struct LocalFolder: Sendable {
    private let root: [UInt8]
    /// Whether names that differ in case or composition only are the same file there.
    package let foldsNames: Bool

    /// Makes the folder, and those above it, if it is not there.
    package init(_ root: [UInt8]) throws(Failure) {
        var root = root[...]
        while root.count > 1, root.last == UInt8(ascii: "/") { root.removeLast() }
        self.root = Array(root)
        for end in root.indices.dropFirst() where root[end] == UInt8(ascii: "/") {
            _ = mkdir(Array(root[..<end]).zeroTerminated, 0o777)
        }
        if mkdir(self.root.zeroTerminated, 0o777) != 0, errno != EEXIST { throw Self.failure(self.root, errno) }
        let descriptor = Glibc.open(self.root.zeroTerminated, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure(self.root, errno) }
        defer { close(descriptor) }
        foldsNames = Self.foldsNames(descriptor)
    }

    /// The folder as it is, which need not be there.
    package init(existing root: [UInt8]) {
        self.root = root
        foldsNames = false
    }

    /// Makes a file and looks for it under a name that differs in case and composition.
    private static func foldsNames(_ directory: Int32) -> Bool {
        let stem = TemporaryName.prefix + UUID().uuidString
        let name = Array((stem + "a\u{E9}" + TemporaryName.suffix).utf8).zeroTerminated
        let descriptor = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        defer {
            close(descriptor)
            unlinkat(directory, name, 0)
        }
        return ["A\u{E9}", "ae\u{301}"].contains { letters in
            let other = Array((stem + letters + TemporaryName.suffix).utf8).zeroTerminated
            return faccessat(directory, other, F_OK, 0) == 0
        }
    }

    /// A new file, or one that takes another's place.
    ///
    /// - Parameter isSparse: leaves holes where there are blocks of zeros.
    /// - Throws: `.inputOutput`, also where a link, a folder or anything else that is no file has the name.
    package func sink(_ parts: [[UInt8]], isSparse: Bool = false) throws(Failure) -> any ByteSink {
        let name = name(parts)
        let directory = try open(parts.dropLast(), makes: true, name)
        var status = stat()
        var mode: mode_t?
        if fstatat(directory, parts.last!.zeroTerminated, &status, AT_SYMLINK_NOFOLLOW) == 0 {
            guard status.st_mode & S_IFMT == S_IFREG else {
                close(directory)
                throw Failure(.inputOutput, "\(name): something else than a file has this name, and is left as it is")
            }
            mode = status.st_mode & 0o777
        }
        return try NewFile(
            in: directory, path: path(parts.dropLast()), called: parts.last!, mode: mode, isSparse: isSparse, name: name
        )
    }

    /// Makes a folder, if it is not there.
    package func makeFolder(_ parts: [[UInt8]]) throws(Failure) {
        close(try open(parts[...], makes: true, name(parts)))
    }

    /// Deletes a file, durably.
    package func delete(_ parts: [[UInt8]]) throws(Failure) {
        let name = name(parts)
        let directory = try open(parts.dropLast(), makes: false, name)
        defer { close(directory) }
        guard unlinkat(directory, parts.last!.zeroTerminated, 0) == 0, fsync(directory) == 0 else {
            throw Failure(.inputOutput, "\(name): \(systemText(errno))")
        }
    }

    /// A file in it for reading.
    package func source(_ parts: [[UInt8]]) throws(Failure) -> SourceFile {
        let name = name(parts)
        let directory = try open(parts.dropLast(), makes: false, name)
        return try SourceFile(in: directory, parts.last!, name: name)
    }

    /// A file's path, for people.
    package func name(_ parts: [[UInt8]]) -> String { path(parts[...]).readablePath.printable }

    private func path(_ parts: ArraySlice<[UInt8]>) -> [UInt8] {
        parts.reduce(root) { $0 + ($0.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]) + $1 }
    }

    /// A descriptor of a folder below this one.
    private func open(_ parts: ArraySlice<[UInt8]>, makes: Bool, _ name: String) throws(Failure) -> Int32 {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        var directory = Glibc.open(root.zeroTerminated, flags)
        guard directory >= 0 else { throw Self.failure(root, errno) }
        for part in parts {
            let isMade = makes && mkdirat(directory, part.zeroTerminated, 0o777) == 0
            let next = openat(directory, part.zeroTerminated, flags | O_NOFOLLOW)
            let code = errno
            // Its name is to be as durable as the files in it.
            if isMade { fsync(directory) }
            close(directory)
            guard next >= 0 else {
                let reason =
                    code == ELOOP || code == ENOTDIR
                    ? "'\(part.readablePath.printable)' on the way there is a file or a symbolic link, and no folder"
                    : systemText(code)
                throw Failure(.inputOutput, "\(name): \(reason)")
            }
            directory = next
        }
        return directory
    }

    private static func failure(_ path: [UInt8], _ code: Int32) -> Failure {
        Failure(.inputOutput, "\(path.readablePath.printable): \(systemText(code))")
    }
}
