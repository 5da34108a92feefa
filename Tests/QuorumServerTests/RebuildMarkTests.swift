// How far a server has come that begins anew, in its file.

import Foundation
import Glibc
import QuorumProtocol
import Testing

@testable import QuorumServer

@Suite("The mark of a server that is being rebuilt")
struct RebuildMarkTests {
    private func withFile(_ body: (String) throws -> Void) throws {
        let directory = NSTemporaryDirectory() + "rebuild-mark-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory + "/rebuild.json")
    }

    @Test("there is none without a file")
    func missing() throws {
        try withFile { path in
            #expect(RebuildMark(path: path) == nil)
            let files = RebuildFiles(mark: path, well: path + ".well", rolledBack: path + ".back")
            #expect(files.unfinished(.first) == nil)
        }
    }

    @Test("says what was written, only to its owner, and is gone once it is removed")
    func roundTrip() throws {
        try withFile { path in
            var mark = RebuildMark()
            #expect(mark.phase == .listing && mark.nextSlot == 0 && mark.keysVersion == 0)
            for phase in [RebuildMark.Phase.listing, .healing] {
                mark.phase = phase
                mark.nextSlot += 77
                mark.keysVersion += UInt64.max / 2
                mark.beganMilliseconds += 1_800_000_000_000
                mark.servedMilliseconds += 1_800_000_000_001
                try mark.write(to: path)
                #expect(RebuildMark(path: path) == mark)
            }
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
    }

    @Test("a life that began without memory is well only once that is noted of it, and then for good")
    func well() throws {
        try withFile { path in
            let files = RebuildFiles(mark: path, well: path + ".well", rolledBack: path + ".back")
            let (second, third) = (Incarnation(2), Incarnation(3))
            // Its mark is lost, whoever took it: it begins with the first slot again.
            #expect(files.unfinished(second) == RebuildMark())
            var mark = RebuildMark()
            mark.phase = .healing
            mark.nextSlot = 4096
            try mark.write(to: path)
            #expect(files.unfinished(second) == mark)
            try files.conclude(second)
            #expect(files.unfinished(second) == nil && files.unfinished(.first) == nil)
            #expect(files.unfinished(third) == RebuildMark())
            // What is noted of one life is no word for the one that comes after it.
            try mark.write(to: path)
            #expect(files.unfinished(third) == mark)
            try files.conclude(third)
            #expect(files.unfinished(third) == nil && files.unfinished(second) == RebuildMark())
            for text in ["", "{", "{}", #"{"incarnation":-1}"#] {
                try Data(text.utf8).write(to: URL(fileURLWithPath: files.well))
                #expect(files.unfinished(second) == RebuildMark())
            }
            // Which life has gone back is another thing, and no word for any other life.
            #expect(!files.isRolledBack(second))
            try files.noteRolledBack(second)
            #expect(files.isRolledBack(second) && !files.isRolledBack(third) && !files.isRolledBack(.first))
            // It is concluded again where a crash came between the two files.
            try mark.write(to: path)
            try files.conclude(second)
            try files.conclude(second)
            #expect(files.unfinished(second) == nil)
        }
    }

    @Test(
        "one that makes no sense says that nothing was done yet: better to ask once more than to answer too early",
        arguments: [
            "", "{", "null", "[]", "{}", #"{"phase":"healing"}"#, #"{"phase":"well","nextSlot":3,"keysVersion":1}"#,
            #"{"phase":"healing","nextSlot":-1,"keysVersion":-1,"beganMilliseconds":0,"servedMilliseconds":0}"#,
            "\u{0}\u{0}\u{0}",
        ])
    func garbage(text: String) throws {
        try withFile { path in
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            #expect(RebuildMark(path: path) == RebuildMark())
        }
    }

    @Test("one that cannot be read says so, too, though nobody knows what it said")
    func unreadable() throws {
        try withFile { path in
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            #expect(RebuildMark(path: path) == RebuildMark())
        }
    }
}
