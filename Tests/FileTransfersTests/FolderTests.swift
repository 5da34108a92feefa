// Folders on a disk: what is found in them, and that nothing outside of them is touched.

import CommandOutcome
import DurableFiles
import ErasureCode
import Foundation
import Glibc
import Testing

@testable import FileTransfers

/// Runs `body` with the path of a folder that is removed afterwards.
private func withFolder(_ body: (String) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "transfers-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
}

private func write(_ path: String, _ text: String = "x") throws {
    try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
}

private func read(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
}

private func parts(_ path: String) -> [[UInt8]] { Array(path.utf8).pathParts }

private func store(_ text: String, _ sink: any ByteSink, time: UInt64 = 0) throws {
    var sink = sink
    try Array(text.utf8).withUnsafeBytes { bytes in try sink.append(bytes) }
    try sink.finish(modifiedMilliseconds: time)
}

@Suite("A walk through a folder") struct FolderWalkTests {
    private func walk(_ path: String, _ filter: PathFilter = PathFilter()) -> [String] {
        var walk = FolderWalk(Array(path.utf8), filter: filter)
        var found: [String] = []
        while let entry = walk.next() {
            func text(_ path: [UInt8]) -> String { path.readablePath }
            switch entry {
            case .file(let path, let facts): found.append("\(text(path)) \(facts.sizeBytes)")
            case .folder(let path, let isEmpty): found.append(text(path) + (isEmpty ? " empty" : ""))
            case .other(let path, let what): found.append("\(text(path)): \(what.prefix(7))")
            case .failed(let path, let code): found.append("\(text(path)) failed \(code)")
            }
        }
        return found
    }

    @Test("finds files in the order of their objects' keys, and what is none without opening it")
    func order() throws {
        try withFolder { folder in
            for name in ["a/b", "a-b", "a.b", "a/c/d", "a0", "b"] { try write("\(folder)/\(name)") }
            try FileManager.default.createDirectory(atPath: folder + "/empty", withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: folder)
            try FileManager.default.createSymbolicLink(atPath: folder + "/nowhere", withDestinationPath: "gone")
            #expect(mkfifo(folder + "/pipe", 0o600) == 0)
            try write(folder + "/.solidus-1.partial")
            #expect(
                walk(folder) == [
                    ".solidus-1.partial: an inte", "a-b 1", "a.b 1", "a/", "a/b 1", "a/c/", "a/c/d 1", "a0 1", "b 1",
                    "empty/ empty", "link: a symbo", "nowhere: a symbo", "pipe: a pipe",
                ])
        }
    }

    @Test("does not open what is excluded, and says nothing of it")
    func excluded() throws {
        try withFolder { folder in
            for name in ["a/b", "c/d.tmp", "e.tmp"] { try write("\(folder)/\(name)") }
            #expect(mkfifo(folder + "/pipe.tmp", 0o600) == 0)
            try FileManager.default.createSymbolicLink(atPath: folder + "/link.tmp", withDestinationPath: "gone")
            let patterns = try ["a", "*.tmp"].map { try #require(GlobPattern(Array($0.utf8), text: $0)) }
            #expect(walk(folder, PathFilter(excluded: patterns)) == ["c/"])
        }
    }

    @Test("names that are no UTF-8 are found as they are")
    func bytes() throws {
        try withFolder { folder in
            let path = Array((folder + "/caf").utf8) + [0xE9]
            let descriptor = open(path.zeroTerminated, O_CREAT | O_WRONLY, 0o600)
            #expect(descriptor >= 0)
            close(descriptor)
            #expect(walk(folder) == ["caf\\xE9 0"])
        }
    }

    @Test("a folder that is not there, or is none, is a failure")
    func missing() throws {
        try withFolder { folder in
            #expect(walk(folder + "/missing") == [" failed \(ENOENT)"])
            try write(folder + "/file")
            #expect(walk(folder + "/file") == [" failed \(ENOTDIR)"])
        }
    }

    @Test("as a target it may be missing, as a source it may not; names that are no keys matter to a source only")
    func entries() throws {
        try withFolder { folder in
            let prefix = try KeyPrefix(Array("bucket".utf8))
            func kinds(_ folder: String, _ prefix: KeyPrefix?) -> [String] {
                var entries = FolderEntries(Array(folder.utf8), filter: PathFilter(), keysBelow: prefix)
                var kinds: [String] = []
                while let entry = entries.next() {
                    switch entry {
                    case .item: kinds.append("item")
                    case .unusable: kinds.append("unusable")
                    case .gap(_, let failure): kinds.append("gap \(failure.message.hasPrefix(folder))")
                    case .folder, .leftOut: kinds.append("other")
                    }
                }
                return kinds
            }
            #expect(kinds(folder + "/missing", nil).isEmpty)
            #expect(kinds(folder + "/missing", prefix) == ["gap true"])
            let descriptor = open((Array((folder + "/caf").utf8) + [0xE9]).zeroTerminated, O_CREAT | O_WRONLY, 0o600)
            close(descriptor)
            #expect(kinds(folder, nil) == ["item"])
            #expect(kinds(folder, prefix) == ["unusable"])
        }
    }

    @Test("a folder that may not be read is a failure of its own", .enabled(if: geteuid() != 0))
    func unreadable() throws {
        try withFolder { folder in
            try write(folder + "/a/b")
            chmod(folder + "/a", 0)
            defer { chmod(folder + "/a", 0o700) }
            #expect(walk(folder) == ["a/ failed \(EACCES)"])
        }
    }
}

/// One after the other: temporary files are removed all at once.
@Suite("What is written", .serialized) struct WrittenFilesTests {}

extension WrittenFilesTests {
    @Suite("A folder that objects are read into") struct LocalFolderTests {
        @Test("gets files with their times and keeps the rights of those that are replaced")
        func files() throws {
            try withFolder { folder in
                let local = try LocalFolder(Array((folder + "/x/y/").utf8))
                try store("one", local.sink(parts("a/b/c")), time: 1_700_000_000_123)
                #expect(try read(folder + "/x/y/a/b/c") == "one")
                var status = stat()
                #expect(lstat(folder + "/x/y/a/b/c", &status) == 0)
                #expect(FileFacts(status).modifiedMilliseconds == 1_700_000_000_123)
                chmod(folder + "/x/y/a/b/c", 0o640)
                try store("two", local.sink(parts("a/b/c")))
                #expect(try read(folder + "/x/y/a/b/c") == "two")
                #expect(lstat(folder + "/x/y/a/b/c", &status) == 0 && status.st_mode & 0o777 == 0o640)
                try local.makeFolder(parts("d/e"))
                #expect(lstat(folder + "/x/y/d/e", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR)
                try local.delete(parts("a/b/c"))
                #expect(lstat(folder + "/x/y/a/b/c", &status) != 0)
            }
        }

        @Test("what is not finished is not there, and leaves nothing")
        func discarded() throws {
            try withFolder { folder in
                let local = try LocalFolder(Array(folder.utf8))
                try store("old", local.sink(parts("a")))
                var sink = try local.sink(parts("a"))
                try [1, 2, 3].withUnsafeBytes { bytes in try sink.append(bytes) }
                #expect(try read(folder + "/a") == "old")
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
                sink.discard()
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])

                _ = try local.sink(parts("b"))
                TemporaryFiles.removeAll()
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
            }
        }

        @Test("nothing is written, read or deleted by way of a symbolic link, nor in place of one or of a folder")
        func links() throws {
            try withFolder { folder in
                try write(folder + "/outside/file", "old")
                let inside = folder + "/inside"
                try FileManager.default.createDirectory(atPath: inside + "/folder", withIntermediateDirectories: true)
                try FileManager.default.createSymbolicLink(atPath: inside + "/out", withDestinationPath: "../outside")
                try FileManager.default.createSymbolicLink(
                    atPath: inside + "/link", withDestinationPath: "../outside/file")
                let local = try LocalFolder(Array(inside.utf8))
                for path in ["out/file", "out/new", "out/new/file", "link", "folder", "link/x"] {
                    #expect(throws: Failure.self, "\(path)") { try local.sink(parts(path)) }
                }
                #expect(throws: Failure.self) { try local.source(parts("out/file")) }
                #expect(throws: Failure.self) { try local.source(parts("link")) }
                #expect(throws: Failure.self) { try local.delete(parts("out/file")) }
                #expect(throws: Failure.self) { try local.makeFolder(parts("out/new")) }
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/outside") == ["file"])
                #expect(try read(folder + "/outside/file") == "old")
            }
        }

        @Test("a file on the way is named")
        func fileInTheWay() throws {
            try withFolder { folder in
                let local = try LocalFolder(Array(folder.utf8))
                try store("x", local.sink(parts("a")))
                do throws(Failure) {
                    _ = try local.sink(parts("a/b"))
                    Issue.record("a file within a file")
                } catch {
                    #expect(
                        error.status == .inputOutput && error.message.contains("'a' on the way"), "\(error.message)")
                }
            }
        }
    }

}

extension WrittenFilesTests {
    @Suite("A file that people name") struct NamedFileTests {
        @Test("is replaced where a link points to it, and the link stays")
        func link() throws {
            try withFolder { folder in
                try write(folder + "/sub/file", "old")
                try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "sub/file")
                try store("new", NewFile.sink(Array((folder + "/link").utf8)))
                #expect(try read(folder + "/sub/file") == "new")
                #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/link") == "sub/file")
            }
        }

        @Test("a folder is none, nor is what is in no folder")
        func folder() throws {
            try withFolder { folder in
                for path in [folder, folder + "/", folder + "/none/file", folder + "/none/"] {
                    #expect(throws: Failure.self, "\(path)") { try NewFile.sink(Array(path.utf8)) }
                }
                #expect(throws: Failure.self) { try SourceFile(path: Array(folder.utf8)) }
            }
        }

        @Test("that is changed, replaced or removed while it is read is known to be")
        func changed() throws {
            try withFolder { folder in
                let path = folder + "/file"
                func check(_ change: () throws -> some Any) throws -> ExitStatus? {
                    try write(path, "content")
                    let file = try SourceFile(path: Array(path.utf8))
                    let value = try file.read(sizeBytesMax: 100)
                    #expect(value == SharedBytes(Array("content".utf8)))
                    _ = try change()
                    do throws(Failure) {
                        try file.checkUnchanged(readBytes: value.count)
                        return nil
                    } catch {
                        #expect(error.message.contains("--allow-changing"))
                        return error.status
                    }
                }
                let untouched = try check {}
                #expect(untouched == nil)
                let rewritten = try check { try write(path, "more content") }
                #expect(rewritten == .sourceChanged)
                let appended = try check {
                    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
                    try handle.seekToEnd()
                    try handle.write(contentsOf: Data("!".utf8))
                    try handle.close()
                }
                #expect(appended == .sourceChanged)
                // As long as before, and at another time.
                let touched = try check {
                    let times = [timespec(tv_sec: 9, tv_nsec: 0), timespec(tv_sec: 9, tv_nsec: 0)]
                    utimensat(AT_FDCWD, path, times, 0)
                }
                #expect(touched == .sourceChanged)
                let removed = try check { unlink(path) }
                #expect(removed == .sourceChanged)
            }
        }

        @Test("that cannot be read to its end is named, with the system's reason")
        func unreadable() throws {
            // The system answers with an error of input and output: there is no memory at 0.
            let file = try SourceFile(path: Array("/proc/self/mem".utf8))
            do throws(Failure) {
                _ = try file.read(sizeBytesMax: 10)
                Issue.record("memory at 0 was read")
            } catch {
                #expect(error.status == .inputOutput)
                #expect(error.message.contains("/proc/self/mem") && error.message.contains("Input/output error"))
            }
        }

        @Test("a pipe is read to its end, and no longer than it is wanted")
        func pipe() throws {
            var ends: [Int32] = [0, 0]
            #expect(Glibc.pipe(&ends) == 0)
            let file = try SourceFile(path: Array("/dev/fd/\(ends[0])".utf8))
            #expect(file.facts == nil)
            #expect(throws: Failure.self) { try file.read(sizeBytesMax: 10, isCancelled: { true }) }
            #expect(write(ends[1], "abc", 3) == 3)
            close(ends[1])
            #expect(try file.read(sizeBytesMax: 10) == SharedBytes(Array("abc".utf8)))
            close(ends[0])
        }
    }

}

@Suite("A range of bytes") struct ByteRangeTests {
    @Test(
        "is written as HTTP has it",
        arguments: [
            ("0-3", 0..<4), ("2-", 2..<10), ("-3", 7..<10), ("0-99", 0..<10), ("-99", 0..<10), ("9-9", 9..<10),
            ("10-", nil), ("10-11", nil), ("-0", 10..<10),
        ] as [(String, Range<UInt64>?)])
    func bounds(text: String, expected: Range<UInt64>?) throws {
        #expect(try #require(ByteRange(text)).bounds(in: 10) == expected)
    }

    @Test(
        "and in no other way",
        arguments: ["", "-", "2-1", "a-", "1-+2", "1", "1-2-3", "--1", "99999999999999999999-"])
    func none(text: String) { #expect(ByteRange(text) == nil) }
}
