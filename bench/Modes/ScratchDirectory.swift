// A directory for the clusters of a run, gone with it.

import Foundation
import Glibc

/// A new directory of this process's own.
struct ScratchDirectory {
    let path: String

    init(in parent: String, leftovers: Leftovers) throws {
        let path = parent + (parent.hasSuffix("/") ? "" : "/") + "solidus-bench-\(getpid())"
        leftovers.add { try? FileManager.default.removeItem(atPath: path) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        self.path = path
    }
}
