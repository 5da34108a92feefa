// What a server has to tell whoever asks with a signal: one line of JSON in its home.

import ClusterFiles
import DurableFiles
import Foundation
import Glibc
import Logging
import QuorumTransport

/// A file in a server's home that each report replaces.
struct ReportFile {
    /// Which lists the server goes by.
    static let listsName = "lists.json"

    private let path: String

    init(_ name: String, of home: ServerHome) {
        path = home.directory + "/" + name
    }

    /// Replaces the file by a rename, so that whoever reads it sees one line in full. A failure is logged and no more:
    /// a server does not end because nobody can be told.
    func write(_ report: some Encodable, logger: Logger) {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys]
        do {
            var line = try encoder.encode(report)
            line.append(UInt8(ascii: "\n"))
            try DurableFile.replace(path, Array(line), mode: 0o644)
        } catch let error as FileError {
            logger.warning("\(path) cannot be written: \(systemText(error.code))")
        } catch {
            logger.warning("\(path) cannot be written: \(error)")
        }
    }
}
