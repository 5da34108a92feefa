// What a server's journal has on the disk, to be damaged.

import Foundation
import Testing

/// A journal's files.
struct JournalBytes {
    let directory: String

    struct Missing: Error {
        let directory: String
    }

    /// Where these bytes are.
    func place(of bytes: [UInt8]) throws -> (path: String, offset: Int) {
        for name in try File.names(directory) {
            let data = Data(try File.read("\(directory)/\(name)"))
            if let range = data.range(of: Data(bytes)) { return ("\(directory)/\(name)", range.lowerBound) }
        }
        throw Missing(directory: directory)
    }

    /// Turns a bit of the byte there, or turns it back.
    func flip(_ place: (path: String, offset: Int)) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: place.path))
        defer { try? handle.close() }
        try handle.seek(toOffset: UInt64(place.offset))
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: UInt64(place.offset))
        try handle.write(contentsOf: Data([byte ^ 1]))
    }
}
