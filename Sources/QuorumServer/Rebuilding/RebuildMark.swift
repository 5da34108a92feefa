// How far a server that has lost its memory has come, in a file of its own. It is there before the store is, and goes
// when the server is well again. Another file says then that this life of the store is well: every life but the first
// began without memory, so that one of which neither file says anything has yet to learn what it must not speak without.

import DurableFiles
import Foundation
import Glibc
import QuorumProtocol

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
}

/// Where it is noted how far a server is whose store was begun anew.
package struct RebuildFiles: Sendable {
    /// Of the mark, while it is not well.
    package let mark: String
    /// Of what says which life of the store is well.
    package let well: String
    /// Of what says which life of the store has gone back to an earlier state.
    package let rolledBack: String

    private struct Life: Codable {
        let incarnation: UInt64
    }

    package init(mark: String, well: String, rolledBack: String) {
        self.mark = mark
        self.well = well
        self.rolledBack = rolledBack
    }

    private static func life(_ path: String) -> UInt64? {
        try? JSONDecoder().decode(Life.self, from: Data(contentsOf: URL(fileURLWithPath: path))).incarnation
    }

    private static func note(_ incarnation: Incarnation, in path: String) throws {
        try DurableFile.replace(path, Array(JSONEncoder().encode(Life(incarnation: incarnation.rawValue))), mode: 0o600)
    }

    /// How far the store of this incarnation is; nil: it may speak for what it holds.
    package func unfinished(_ incarnation: Incarnation) -> RebuildMark? {
        if let mark = RebuildMark(path: mark) { return mark }
        guard incarnation > .first else { return nil }
        return Self.life(well) == incarnation.rawValue ? nil : RebuildMark()
    }

    /// The server is well again.
    ///
    /// - Throws: when one file cannot be written, or the other one not removed for good.
    func conclude(_ incarnation: Incarnation) throws {
        try Self.note(incarnation, in: well)
        guard unlink(mark) == 0 || errno == ENOENT else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        try DurableFile.synchronizeDirectory(containing: mark)
    }

    /// Whether the store of this incarnation was found to have gone back to an earlier state.
    package func isRolledBack(_ incarnation: Incarnation) -> Bool { Self.life(rolledBack) == incarnation.rawValue }

    /// It was found out, and is not to be forgotten by the next start.
    ///
    /// - Throws: when the file cannot be written.
    func noteRolledBack(_ incarnation: Incarnation) throws { try Self.note(incarnation, in: rolledBack) }
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
