// How many files and connections the process may have open.

import Glibc

/// The process's limit of descriptors.
package enum DescriptorLimit {
    /// A server with fewer has hardly any connections.
    package static let recommended = 4096
    /// What a limit without end is taken for.
    private static let largest: rlim_t = 1 << 20

    /// Raises the soft limit to the hard one, which takes no right.
    ///
    /// - Returns: the limit from now on; nil when the system does not tell it.
    package static func raise() -> Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        let before = limit.rlim_cur
        limit.rlim_cur = min(limit.rlim_max, max(before, largest))
        if limit.rlim_cur > before, setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
            limit.rlim_cur = before
        }
        return Int(min(limit.rlim_cur, largest))
    }
}
