// What a server counted, for whoever asks with a signal.

import ClusterFiles
import Foundation
import Glibc
import Logging
import QuorumServer

/// `counters.json` in a server's home.
struct CountersFile {
    private let path: String

    init(home: ServerHome) {
        path = home.directory + "/counters.json"
    }

    /// Replaces the file by a rename, so that whoever reads it sees one line in full. A failure is logged and no more:
    /// a server does not end because nobody can be told what it counts.
    func write(_ counters: ServerCounters, logger: Logger) {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys]
        do {
            var line = try encoder.encode(counters)
            line.append(UInt8(ascii: "\n"))
            try line.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            logger.warning("\(path) cannot be written: \(error)")
        }
    }
}
