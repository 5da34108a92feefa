// The files that downloads write before they give them their names: what has to go when a process is ended in the middle
// of them.

import Glibc
import Synchronization

package enum TemporaryFiles {
    private static let paths = Mutex<Set<[CChar]>>([])

    static func add(_ path: [CChar]) { paths.withLock { _ = $0.insert(path) } }
    static func forget(_ path: [CChar]) { paths.withLock { _ = $0.remove(path) } }

    /// Removes all that are there, for a process that ends without waiting for what is under way.
    package static func removeAll() {
        paths.withLock { paths in
            for path in paths { unlink(path) }
            paths = []
        }
    }
}
