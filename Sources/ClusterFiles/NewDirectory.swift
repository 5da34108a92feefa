// A directory that is there in full or not at all, whatever interrupts its making.

import DurableFiles
import Foundation
import Glibc
import QuorumTransport

/// A directory that is being made under another name.
///
/// One that does not exist yet is made beside its place and gets its name when all of it is durable. One that exists
/// (and may be somebody's working directory, or a disk of its own) keeps its place: what is to be in it is made in a
/// directory within it, and moved up in the end. What an earlier attempt has left is cleared away by the next.
struct NewDirectory {
    private static let stagingName = ".solidus-init"

    /// Where the directory is going to be.
    let path: String
    /// Where its entries are made.
    let staging: String
    private let entries: [String]
    private let existed: Bool
    /// Holds the lock on `staging` that tells an attempt under way from an interrupted one.
    private let descriptor: Int32

    /// Claims the place.
    ///
    /// - Parameter entries: all that is to be in it, in the order in which it is to appear where the directory exists.
    /// - Throws: `directoryNotEmpty` when something is there, `cannotWrite`.
    init(_ path: String, entries: [String]) throws(ConfigurationError) {
        self.path = path
        self.entries = entries
        let bytes = Array(path.utf8)
        let slash = bytes.lastIndex(of: UInt8(ascii: "/"))
        let parent = slash.map { String(decoding: bytes[..<$0], as: UTF8.self) } ?? ""
        let name = String(decoding: bytes[(slash.map { $0 + 1 } ?? 0)...], as: UTF8.self)
        try Self.makeParents(parent)
        var status = stat()
        existed = stat(path, &status) == 0
        if existed {
            staging = "\(path)/\(Self.stagingName)"
        } else {
            guard errno == ENOENT else { throw .cannotWrite(path: path, reason: systemText(errno)) }
            staging = (slash == nil ? "" : parent + "/") + ".\(name)\(Self.stagingName)"
        }
        if existed { try Self.checkEmpty(path, butFor: entries) }
        descriptor = try Self.claim(staging, path)
        // What an interrupted attempt had moved up already.
        if existed { for entry in entries { try? FileManager.default.removeItem(atPath: "\(path)/\(entry)") } }
    }

    /// Makes all of it durable and gives it its name.
    func finish() throws(ConfigurationError) {
        try TextFile.writing { () throws(FileError) in
            try DurableFile.synchronizeTree(staging)
            if existed {
                for entry in entries { try DurableFile.move("\(staging)/\(entry)", to: "\(path)/\(entry)") }
                rmdir(staging)
                try DurableFile.synchronizeDirectory(containing: staging)
            } else {
                try DurableFile.move(staging, to: path)
            }
        }
        close(descriptor)
    }

    /// Removes what was made.
    func abandon() {
        if existed { for entry in entries { try? FileManager.default.removeItem(atPath: "\(path)/\(entry)") } }
        try? FileManager.default.removeItem(atPath: staging)
        close(descriptor)
    }

    /// Nothing may be in a directory that exists, but for what an interrupted attempt has left, which is known by its
    /// staging directory.
    private static func checkEmpty(_ path: String, butFor entries: [String]) throws(ConfigurationError) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw .cannotWrite(path: path, reason: error.localizedDescription)
        }
        guard !names.isEmpty else { return }
        guard names.contains(stagingName), !names.contains(ClusterConfiguration.fileName),
            names.allSatisfy({ $0 == stagingName || entries.contains($0) })
        else { throw .directoryNotEmpty(path: path) }
    }

    /// Makes the staging directory, alone among processes that try the same.
    private static func claim(_ staging: String, _ path: String) throws(ConfigurationError) -> Int32 {
        while true {
            if mkdir(staging, 0o700) != 0, errno != EEXIST {
                throw .cannotWrite(path: staging, reason: systemText(errno))
            }
            let descriptor = open(staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
            if descriptor < 0, errno == ENOENT { continue }
            guard descriptor >= 0 else { throw .cannotWrite(path: staging, reason: systemText(errno)) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                close(descriptor)
                throw .cannotWrite(path: path, reason: "another process is making something there")
            }
            var held = stat()
            var named = stat()
            let isNamed =
                fstat(descriptor, &held) == 0 && lstat(staging, &named) == 0 && held.st_ino == named.st_ino
            do {
                for name in isNamed ? try FileManager.default.contentsOfDirectory(atPath: staging) : [] {
                    try FileManager.default.removeItem(atPath: "\(staging)/\(name)")
                }
            } catch {
                close(descriptor)
                throw .cannotWrite(path: staging, reason: error.localizedDescription)
            }
            if isNamed { return descriptor }
            // Another attempt has ended meanwhile, and took it away or gave it its name.
            close(descriptor)
            var status = stat()
            guard stat(path, &status) != 0 else { throw .directoryNotEmpty(path: path) }
        }
    }

    /// Makes the directories above the place, each durable before the next is made in it.
    private static func makeParents(_ path: String) throws(ConfigurationError) {
        var status = stat()
        guard !path.isEmpty, stat(path, &status) != 0 else { return }
        let bytes = Array(path.utf8)
        if let slash = bytes.lastIndex(of: UInt8(ascii: "/")) {
            try makeParents(String(decoding: bytes[..<slash], as: UTF8.self))
        }
        try TextFile.writing { () throws(FileError) in
            do throws(FileError) {
                try DurableFile.makeDirectory(path, mode: 0o777)
            } catch {
                guard error.code == EEXIST else { throw error }
            }
            try DurableFile.synchronizeDirectory(containing: path)
        }
    }
}
