// What those have in common who write a file piece by piece under another name than its own.

import Glibc

/// Steps with the descriptor of a file, or the path that it is to have.
package enum OpenFile {
    /// Writes all bytes where the descriptor stands; the errno of the failure, or nil.
    package static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int32? {
        var offset = 0
        while offset < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? errno : ENOSPC }
            offset += count
        }
        return nil
    }

    /// Gives a file its time of modification, in milliseconds since 1970; 0 for none. One whose time cannot be set keeps
    /// that which it has.
    package static func setModified(_ descriptor: Int32, milliseconds: UInt64) {
        guard milliseconds > 0, milliseconds < UInt64(Int64.max) else { return }
        let modified = timespec(tv_sec: Int(milliseconds / 1000), tv_nsec: Int(milliseconds % 1000) * 1_000_000)
        // UTIME_OMIT, which Swift does not see: the time of access stays.
        _ = futimens(descriptor, [timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2), modified])
    }

    /// The path of what is there once links are followed; the path itself when nothing is.
    package static func resolved(_ path: [UInt8]) -> [UInt8] {
        guard let resolved = realpath(path.map { CChar(bitPattern: $0) } + [0], nil) else { return path }
        defer { free(resolved) }
        return Array(UnsafeRawBufferPointer(start: resolved, count: strlen(resolved)))
    }
}
