// A directory of evidence, as servers keep it in their homes and as people collect it: one file for each lie, of which
// none is written over another, and of which there are never more than may be.

import DurableFiles
import Foundation
import Glibc
import QuorumProtocol

/// What a directory has of evidence, and takes.
package struct EvidenceDirectory: Sendable {
    /// How many files a directory takes, and of how many bytes together. Older ones are never given up for newer ones:
    /// a liar could push out what convicts another one.
    package static let fileCountMax = 256
    package static let sizeBytesMax = 256 << 20
    /// The largest file that a server keeps.
    package static let fileSizeBytesMax = 32 << 20
    /// What files of evidence end with.
    package static let suffix = ".evidence"

    package enum Outcome: Equatable, Sendable {
        /// The file is there, durably.
        case kept(path: String)
        /// What proves the same is there already.
        case known
        /// There is no room for it.
        case full
    }

    /// A file that is there.
    package struct File: Sendable {
        package let path: String
        package let sizeBytes: Int
    }

    package let path: String

    package init(_ path: String) { self.path = path }

    /// The evidence in a server's home.
    package init(home: String) { self.init(HomeFiles(home).evidence) }

    /// The files by name; none where the directory is missing.
    ///
    /// - Throws: when the directory cannot be read.
    package func files() throws(FileError) -> [File] {
        guard let entries = opendir(path) else {
            if errno == ENOENT { return [] }
            throw FileError(path: path, code: errno)
        }
        defer { closedir(entries) }
        var files: [File] = []
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var status = stat()
            guard name.hasSuffix(Self.suffix), lstat("\(path)/\(name)", &status) == 0,
                status.st_mode & S_IFMT == S_IFREG
            else { continue }
            files.append(File(path: "\(path)/\(name)", sizeBytes: Int(status.st_size)))
        }
        return files.sorted { $0.path < $1.path }
    }

    /// Writes it down durably, unless what proves the same is there or there are as many as may be. One caller at a
    /// time.
    ///
    /// - Throws: when it cannot be written.
    package func add(_ evidence: Evidence) throws(FileError) -> Outcome {
        let target = "\(path)/\(evidence.name)\(Self.suffix)"
        let files = try files()
        guard !files.contains(where: { $0.path == target }) else { return .known }
        let bytes = evidence.bytes
        guard files.count < Self.fileCountMax, bytes.count <= Self.fileSizeBytesMax,
            files.reduce(bytes.count, { $0 + $1.sizeBytes }) <= Self.sizeBytesMax
        else { return .full }
        do throws(FileError) {
            try DurableFile.makeDirectory(path)
        } catch {
            guard error.code == EEXIST else { throw error }
        }
        try DurableFile.synchronizeDirectory(containing: path)
        try DurableFile.replace(target, bytes, mode: 0o600)
        return .kept(path: target)
    }

    /// A file's bytes, as many as evidence may have.
    ///
    /// - Throws: when it cannot be read, is no file, or is too large (`EFBIG`).
    package static func read(_ path: String) throws(FileError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileError(path: path, code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError(path: path, code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(path: path, code: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL)
        }
        guard status.st_size <= Evidence.sizeBytesMax else { throw FileError(path: path, code: EFBIG) }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var count = 0
        while count < bytes.count {
            let read = bytes.withUnsafeMutableBytes { bytes in
                Glibc.read(descriptor, bytes.baseAddress! + count, bytes.count - count)
            }
            if read < 0, errno == EINTR { continue }
            guard read >= 0 else { throw FileError(path: path, code: errno) }
            guard read > 0 else { break }
            count += read
        }
        return Array(bytes.prefix(count))
    }
}
