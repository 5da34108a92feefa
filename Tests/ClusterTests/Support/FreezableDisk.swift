// A file system that can be made to hang, as a disk does that no longer answers.

import Foundation
import Glibc

/// A file system in a file, which takes a directory's place. While it is frozen whoever writes there waits, and cannot
/// be killed either. Whatever becomes of this process, a helper thaws and unmounts it.
final class FreezableDisk: Sendable {
    private static let freezeRequest: UInt = 0xc004_5877
    private static let thawRequest: UInt = 0xc004_5878

    /// Whether this process may mount and freeze file systems.
    static let isAvailable: Bool = {
        guard geteuid() == 0, let directory = try? File.temporaryDirectory() else { return false }
        defer { File.remove(directory) }
        let place = directory + "/disk"
        guard mkdir(place, 0o700) == 0, let disk = try? FreezableDisk(over: place, sizeBytes: 32 << 20) else {
            return false
        }
        return (try? disk.freeze()) != nil && disk.thaw()
    }()

    private let path: String
    /// The directory, open, so that it can be thawed whatever else is wrong.
    private let descriptor: Int32
    private let helper: Process
    private let helperEnd: Pipe

    /// Moves a directory that nobody uses onto a file system of its own.
    init(over directory: String, sizeBytes: Int) throws {
        path = directory
        let image = directory + ".image"
        let aside = directory + ".aside"
        guard FileManager.default.createFile(atPath: image, contents: nil), truncate(image, sizeBytes) == 0,
            rename(directory, aside) == 0, mkdir(directory, 0o750) == 0
        else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        try Self.run("mkfs.ext4 -q -F '\(image)' && mount -o loop '\(image)' '\(directory)'")
        // From here on somebody unmounts it.
        helperEnd = Pipe()
        helper = Process()
        helper.executableURL = URL(fileURLWithPath: "/bin/sh")
        helper.arguments = [
            "-c", "trap '' HUP INT TERM; read line; fsfreeze -u \"$0\"; umount -l \"$0\"", directory,
        ]
        helper.standardInput = helperEnd
        helper.standardError = FileHandle.nullDevice
        do { try helper.run() } catch {
            umount2(directory, Int32(MNT_DETACH))
            throw error
        }
        descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        try Self.run("rmdir '\(directory)/lost+found' && cp -a '\(aside)/.' '\(directory)/' && rm -r '\(aside)'")
    }

    deinit {
        thaw()
        close(descriptor)
        try? helperEnd.fileHandleForWriting.close()
        helper.waitUntilExit()
    }

    func freeze() throws {
        guard ioctl(descriptor, Self.freezeRequest, 0) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
    }

    /// False when it was not frozen.
    @discardableResult
    func thaw() -> Bool { ioctl(descriptor, Self.thawRequest, 0) == 0 }

    private static func run(_ command: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "PATH=$PATH:/usr/sbin:/sbin; " + command]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw POSIXError(.EIO) }
    }
}
