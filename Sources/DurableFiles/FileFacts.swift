// What the system says of a file: to compare it with an object, and with itself a moment later.

import Glibc

/// Size, time and identity of a file.
package struct FileFacts: Equatable, Sendable {
    package let sizeBytes: UInt64
    /// Since 1970; 1 for what is older, since an object's 0 means that nobody said.
    package let modifiedMilliseconds: UInt64
    private let modified: (seconds: Int, nanoseconds: Int)
    private let identity: (device: UInt64, inode: UInt64)

    package init(_ status: stat) {
        sizeBytes = UInt64(clamping: status.st_size)
        modified = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
        modifiedMilliseconds = UInt64(
            clamping: max(1, status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1_000_000))
        identity = (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    /// All of it as text, to be compared after a restart.
    package var text: String {
        "\(sizeBytes) bytes, \(modified.seconds).\(modified.nanoseconds) s, \(identity.device):\(identity.inode)"
    }

    package static func == (left: FileFacts, right: FileFacts) -> Bool {
        left.sizeBytes == right.sizeBytes && left.modified == right.modified && left.identity == right.identity
    }
}
