// Files of the servers' stores, as somebody on their machine sees them.

import Foundation
import Glibc

enum StoreFiles {
    /// The journals' files of these stores.
    static func journals(of stores: [String]) -> Set<String> {
        Set(
            stores.flatMap { store in
                let journal = store + "/journal"
                return ((try? FileManager.default.contentsOfDirectory(atPath: journal)) ?? []).map {
                    "\(journal)/\($0)"
                }
            })
    }

    /// Has the machine drop what it holds of a file in memory and is on disk already; whether it was asked to.
    static func forget(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0
    }
}
