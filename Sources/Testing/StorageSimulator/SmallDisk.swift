// A file system of limited size, mounted for a test: what a full disk does is tried on a real one.

import Foundation
import Glibc
import ObjectStorage

/// A file system in memory that goes with the last reference to it.
package final class SmallDisk {
    package let path: String
    private let isOwn: Bool

    /// Whether this process may mount file systems; tests say so when it may not.
    package static var isAvailable: Bool { geteuid() == 0 && (try? SmallDisk(sizeBytes: 1 << 20)) != nil }

    /// Mounts one at a path of its own.
    package convenience init(sizeBytes: Int) throws {
        let path = NSTemporaryDirectory() + "/small-disk-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        do {
            try self.init(mounting: path, sizeBytes: sizeBytes, isOwn: true)
        } catch {
            try? FileManager.default.removeItem(atPath: path)
            throw error
        }
    }

    /// Moves a directory onto a file system of its own, which takes its place.
    package convenience init(over directory: String, sizeBytes: Int) throws {
        let aside = directory + ".aside"
        try FileManager.default.moveItem(atPath: directory, toPath: aside)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        try self.init(mounting: directory, sizeBytes: sizeBytes, isOwn: false)
        for name in try FileManager.default.contentsOfDirectory(atPath: aside) {
            try FileManager.default.moveItem(atPath: aside + "/" + name, toPath: directory + "/" + name)
        }
        try FileManager.default.removeItem(atPath: aside)
    }

    private init(mounting path: String, sizeBytes: Int, isOwn: Bool) throws {
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(sizeBytes)") == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
        self.path = path
        self.isOwn = isOwn
    }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        if isOwn { try? FileManager.default.removeItem(atPath: path) }
    }

    package var freeBytes: Int { Int(PosixFiles().freeBytes(at: path) ?? 0) }

    /// Takes all that is free but so much, as another program would.
    package func fill(leavingBytes left: Int) {
        let file = Glibc.open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        defer { close(file) }
        let chunk = [UInt8](repeating: 1, count: 1 << 20)
        while freeBytes > left, write(file, chunk, min(chunk.count, max(freeBytes - left, 1))) > 0 {}
    }

    /// Gives back what `fill` took.
    package func release() { unlink(path + "/filler") }
}
