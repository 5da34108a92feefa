// All files below a folder, in the order that the keys of their objects have.

import CommandArguments
import CommandOutcome
import DurableFiles
import Glibc
import QuorumProtocol
import QuorumTransport

/// What is found in a folder.
package enum FolderEntry: Equatable, Sendable {
    case file(path: [UInt8], FileFacts)
    /// Its path ends with a slash. Comes before what is in it.
    case folder(path: [UInt8], isEmpty: Bool)
    /// Neither a file nor a folder: a symbolic link, a pipe, a socket, a device. None is opened or followed.
    case other(path: [UInt8], what: String)
    /// It could not be looked at, so neither is it known what is below it.
    case failed(path: [UInt8], code: Int32)
}

/// Walks through a folder and those in it. Names are paths below it, without a slash at their beginning; a folder sorts
/// as its name with a slash, so that paths come in the order of their bytes. Holds the names of the folders that it is
/// in.
package struct FolderWalk {
    private struct Child {
        /// With a slash if it is a folder.
        let name: [UInt8]
        let status: stat
    }
    private struct Level {
        let path: [UInt8]
        /// In reverse order.
        var children: [Child]
    }

    private let root: [UInt8]
    private let filter: PathFilter
    private var levels: [Level] = []
    private var waiting: [FolderEntry] = []

    /// - Parameters:
    ///   - root: the folder's path; a symbolic link to one will do.
    ///   - filter: what is not taken is not told of, and an excluded folder is not opened.
    package init(_ root: [UInt8], filter: PathFilter = PathFilter()) {
        self.root = root
        self.filter = filter
        enter([])
    }

    /// What comes next; nil at the end.
    package mutating func next() -> FolderEntry? {
        while true {
            if let entry = waiting.popLast() { return entry }
            guard let level = levels.indices.last else { return nil }
            guard let child = levels[level].children.popLast() else {
                levels.removeLast()
                continue
            }
            let path = levels[level].path + child.name
            if filter.excludes(path) { continue }
            switch child.status.st_mode & S_IFMT {
            case S_IFDIR: enter(path)
            case S_IFREG:
                if TemporaryName.isTemporary(child.name) {
                    waiting.append(.other(path: path, what: "an interrupted download has left it"))
                } else if filter.takes(path) {
                    waiting.append(.file(path: path, FileFacts(child.status)))
                }
            case let kind:
                if filter.takes(path) { waiting.append(.other(path: path, what: Self.name(of: kind))) }
            }
        }
    }

    private static func name(of kind: mode_t) -> String {
        switch kind {
        case S_IFLNK: "a symbolic link, which is not followed"
        case S_IFIFO: "a pipe"
        case S_IFSOCK: "a socket"
        case S_IFBLK, S_IFCHR: "a device"
        default: "neither a file nor a folder"
        }
    }

    /// - Parameter path: empty, or with a slash at its end.
    private mutating func enter(_ path: [UInt8]) {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (path.isEmpty ? 0 : O_NOFOLLOW)
        let descriptor = open((root + (path.isEmpty ? [] : [UInt8(ascii: "/")] + path)).zeroTerminated, flags)
        guard descriptor >= 0 else { return fail(path, errno) }
        guard let entries = fdopendir(descriptor) else {
            let code = errno
            close(descriptor)
            return fail(path, code)
        }
        defer { closedir(entries) }
        var children: [Child] = []
        while true {
            errno = 0
            guard let entry = readdir(entries) else {
                if errno != 0 { return fail(path, errno) }
                break
            }
            var name = Array(UnsafeRawBufferPointer(start: entry.nameStart, count: strlen(entry.nameStart)))
            if name == [UInt8(ascii: ".")] || name == Array("..".utf8) { continue }
            var status = stat()
            guard fstatat(descriptor, name.zeroTerminated, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                // It is gone since, and so not in the folder any more.
                if errno != ENOENT, !filter.excludes(path + name) {
                    waiting.append(.failed(path: path + name, code: errno))
                }
                continue
            }
            if status.st_mode & S_IFMT == S_IFDIR { name.append(UInt8(ascii: "/")) }
            children.append(Child(name: name, status: status))
        }
        if !path.isEmpty, filter.takes(path) {
            waiting.append(.folder(path: path, isEmpty: children.isEmpty))
        }
        children.sort { $1.name.lexicographicallyPrecedes($0.name) }
        levels.append(Level(path: path, children: children))
    }

    /// Why what is at a path below a folder could not be looked at.
    static func failure(_ folder: [UInt8], _ path: [UInt8], _ code: Int32) -> Failure {
        let shown = path.isEmpty ? folder : folder + [UInt8(ascii: "/")] + path
        return Failure(.inputOutput, "\(shown.readablePath.printable): \(systemText(code))")
    }

    private mutating func fail(_ path: [UInt8], _ code: Int32) { waiting.append(.failed(path: path, code: code)) }
}

extension UnsafeMutablePointer<dirent> {
    fileprivate var nameStart: UnsafePointer<CChar> {
        UnsafeRawPointer(self).advanced(by: MemoryLayout<dirent>.offset(of: \.d_name)!)
            .assumingMemoryBound(to: CChar.self)
    }
}

extension Array<UInt8> {
    /// What the system's calls take: the bytes and a zero.
    package var zeroTerminated: [CChar] { map { CChar(bitPattern: $0) } + [0] }

    /// For people and for JSON: bytes that are no UTF-8 as `\xE9`.
    package var readablePath: String {
        if let text = String(validating: self, as: UTF8.self) { return text }
        return ArgumentBytes.readable(ArgumentBytes.text(for: self))
    }
}
