// A file system of limited size, mounted for a test: what a full disk does is tried on a real one.

import Foundation
import Glibc

/// A file system in memory that goes with the last reference to it.
package final class SmallDisk: Sendable {
    private static let fillStepBytesMax = 64 << 20

    package let path: String
    private let isOwn: Bool

    /// Whether this process may mount file systems; who needs them says so when it may not.
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

    /// Moves a directory onto a file system of its own, which takes its place. If that fails everything is where it
    /// was. What is there when the file system goes is lost, unless `giveBack` was called before.
    ///
    /// - Throws: what the system refused; when the directory is not there, or on such a file system already.
    package convenience init(over directory: String, sizeBytes: Int) throws {
        let aside = Self.aside(directory)
        try Self.rename(directory, to: aside)
        do {
            try Self.makeDirectory(directory)
            try self.init(mounting: directory, sizeBytes: sizeBytes, isOwn: false)
        } catch {
            rmdir(directory)
            try Self.rename(aside, to: directory)
            throw error
        }
        do {
            try Self.copyContents(of: aside, to: directory)
        } catch {
            umount2(directory, 0)
            rmdir(directory)
            try Self.rename(aside, to: directory)
            throw error
        }
        try FileManager.default.removeItem(atPath: aside)
    }

    private init(mounting path: String, sizeBytes: Int, isOwn: Bool) throws {
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(sizeBytes),mode=0750") == 0 else { throw Self.systemError }
        self.path = path
        self.isOwn = isOwn
    }

    deinit {
        // What was given back is mounted no more: then this is somebody's directory, and the system refuses.
        umount2(path, Int32(MNT_DETACH))
        if isOwn { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Moves what is there to where the directory was, durably, and unmounts. Nobody may have files open there.
    ///
    /// - Throws: what the system refused; then everything is on this file system still.
    package func giveBack() throws {
        let aside = Self.aside(path)
        release()
        do {
            try Self.makeDirectory(aside)
            try Self.copyContents(of: path, to: aside)
            sync()
            guard umount2(path, 0) == 0 else { throw Self.systemError }
        } catch {
            try? FileManager.default.removeItem(atPath: aside)
            throw error
        }
        guard rmdir(path) == 0 else { throw Self.systemError }
        try Self.rename(aside, to: path)
    }

    package var freeBytes: Int {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return 0 }
        return Int(status.f_bavail * UInt(status.f_frsize))
    }

    /// Takes all that is free but so much, as another program would.
    package func fill(leavingBytes left: Int) {
        guard freeBytes > left else { return }
        let file = Glibc.open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        var step = Self.fillStepBytesMax
        while step > 0, freeBytes > left {
            let count = min(step, freeBytes - left)
            // Others may be quicker; then less has to do.
            if count < 1 || posix_fallocate(file, lseek(file, 0, SEEK_END), count) != 0 { step /= 2 }
        }
    }

    /// Gives back what `fill` took.
    package func release() { unlink(filler) }

    private var filler: String { path + "/filler" }

    // MARK: Moving directories

    private static func aside(_ directory: String) -> String { directory + ".aside" }

    private static var systemError: any Error { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }

    private static func rename(_ from: String, to: String) throws {
        guard access(to, F_OK) != 0 else { throw POSIXError(.EEXIST) }
        guard Glibc.rename(from, to) == 0 else { throw systemError }
    }

    private static func makeDirectory(_ path: String) throws {
        guard mkdir(path, 0o750) == 0 else { throw systemError }
    }

    private static func copyContents(of from: String, to: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: from) {
            try FileManager.default.copyItem(atPath: from + "/" + name, toPath: to + "/" + name)
        }
    }
}
