// How far a server that has lost its memory has come, in a file of its own. It is there before the store is, and goes
// when the server is well again: a store without it may speak for what it holds.

import DurableFiles
import Foundation
import Glibc

/// Where rebuilding goes on.
package struct RebuildMark: Codable, Equatable, Sendable {
    package enum Phase: String, Codable, Sendable {
        /// Too few others have told what they have committed: nothing is answered.
        case listing
        /// Requests are answered. Some servers have not told yet, some versions are open, or fragments are missing.
        case healing
    }

    package var phase = Phase.listing
    /// Slots below this one were listed by q others that went by this version of the list of keys, or a later one.
    package var nextSlot = 0
    package var keysVersion: UInt64 = 0
    /// When it began and when the server began to answer, in milliseconds since 1970; 0 for not yet.
    package var beganMilliseconds: UInt64 = 0
    package var servedMilliseconds: UInt64 = 0

    package init() {}

    /// What the file says; nil where there is none. One that makes no sense says that nothing was done yet.
    package init?(path: String) {
        guard access(path, F_OK) == 0 || errno != ENOENT else { return nil }
        let read = try? JSONDecoder().decode(RebuildMark.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        self = read ?? RebuildMark()
    }

    /// - Throws: when the file cannot be written.
    package func write(to path: String) throws {
        try DurableFile.replace(path, Array(JSONEncoder().encode(self)), mode: 0o600)
    }

    /// The server is well again.
    ///
    /// - Throws: when the file cannot be removed for good.
    static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        try DurableFile.synchronizeDirectory(containing: path)
    }
}

/// How far rebuilding is, for people.
package struct RebuildProgress: Equatable, Sendable {
    package var phase: RebuildMark.Phase?
    package var slotsDone = 0
    package var slotsAll = 0
    /// Other servers that have not told all that they have committed.
    package var serversMissing = 0
    /// Versions that others name and that are neither committed here nor outranked.
    package var openVersions = 0

    package init() {}
}
