// A directory for the clusters of a run, gone with it: also when it is interrupted.

import Dispatch
import Foundation
import Glibc

/// A new directory of this process's own.
struct ScratchDirectory {
    let path: String
    private let interruptions: [any DispatchSourceSignal]

    /// From now on SIGINT and SIGTERM remove the directory before they end the process, and with it the servers.
    init(in parent: String) throws {
        let path = parent + (parent.hasSuffix("/") ? "" : "/") + "solidus-bench-\(getpid())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        self.path = path
        interruptions = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                try? FileManager.default.removeItem(atPath: path)
                _exit(128 + number)
            }
            source.resume()
            return source
        }
    }

    func remove() {
        interruptions.forEach { $0.cancel() }
        try? FileManager.default.removeItem(atPath: path)
    }
}
