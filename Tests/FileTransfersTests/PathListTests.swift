// Lists of paths that commands write and take.

import CommandOutcome
import Foundation
import Glibc
import Testing

@testable import FileTransfers

@Suite("A list of paths") struct PathListTests {
    private func withFile(_ body: ([UInt8]) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "list-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(Array(path.utf8))
    }

    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("comes back from its file as it was, whatever bytes the paths have")
    func roundTrip() throws {
        try withFile { (file: [UInt8]) throws in
            let paths: [[UInt8]] = [[0x61, 0x0A, 0xFF], Self.bytes("b/c d"), Self.bytes("e/")]
            #expect(try PathList.write(paths, to: file) == 0)
            #expect(try PathList(file: file) == PathList(paths))
            #expect(try PathList.write([], to: file) == 0)
            #expect(try PathList(file: file) == PathList([]))
            // A key may have a zero byte, and cannot be in the list.
            #expect(try PathList.write([[0x61], [0x61, 0]], to: file) == 1)
            #expect(try PathList(file: file) == PathList([[0x61]]))
        }
    }

    @Test("that was cut off, or has lines, or is not there, is refused")
    func refused() throws {
        try withFile { file in
            for bytes in [Self.bytes("a\n"), [0x61, 0, 0x62]] {
                try Data(bytes).write(to: URL(fileURLWithPath: String(decoding: file, as: UTF8.self)))
                #expect(throws: Failure.self) { try PathList(file: file) }
            }
            #expect(throws: Failure.self) { try PathList(file: file + [0x78]) }
        }
    }

    @Test("is written into a device and does not take its place")
    func device() throws {
        #expect(try PathList.write([[0x61]], to: Self.bytes("/dev/null")) == 0)
        var status = stat()
        #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
    }

    @Test("names paths and all below, those with a slash at the end only as folders; the empty path is all there is")
    func names() {
        let list = PathList(["a/b", "c/", "d"].map(Self.bytes))
        for (path, isNamed) in [
            ("a/b", true), ("a", false), ("a/b/c", true), ("c/x", true), ("c/x/y", true), ("c", false), ("cx", false),
            ("d", true), ("d/x", true), ("dx", false),
        ] {
            #expect(list.names(Self.bytes(path)) == isNamed, "\(path)")
        }
        for (folder, may) in [
            ("a/", true), ("a/b/", true), ("c/", true), ("c/x/", true), ("d/", true), ("e/", false),
        ] {
            #expect(list.mayName(below: Self.bytes(folder)) == may, "\(folder)")
        }
        #expect(PathList([[]]).names(Self.bytes("any/thing")) && !PathList([]).names(Self.bytes("a")))
    }

    @Test("is what a filter takes, beside its patterns; folders without any of it are not opened")
    func filter() throws {
        let pattern = try #require(GlobPattern(Self.bytes("*.tmp"), text: "*.tmp"))
        let filter = PathFilter(excluded: [pattern], listed: PathList(["a/b", "a/c.tmp"].map(Self.bytes)))
        #expect(filter.takes(Self.bytes("a/b")) && !filter.takes(Self.bytes("a/c.tmp")) && !filter.takes([0x64]))
        #expect(filter.excludes(Self.bytes("d/")) && !filter.excludes(Self.bytes("a/")))
    }
}

@Suite("Gaps of a source") struct SourceGapsTests {
    @Test("cover what is at them and below, and a file that was not read its folder")
    func covers() {
        var gaps = SourceGaps()
        #expect(gaps.isEmpty && !gaps.covers([0x61]))
        gaps.add(Array("a/b/".utf8), "first")
        gaps.add(Array("c".utf8), "second")
        gaps.add(folderOf: Array("d/e/f".utf8), "third")
        for (path, isCovered) in [
            ("a/b/x", true), ("a/b", false), ("a/bx", false), ("c", true), ("c/x", true), ("cx", false),
            ("d/e/g", true),
            ("d/x", false),
        ] {
            #expect(gaps.covers(Array(path.utf8)) == isCovered, "\(path)")
        }
        #expect(gaps.reason == "first" && gaps.places == "a/b/, c, d/e/")
        gaps.add(folderOf: Array("top".utf8), "fourth")
        #expect(gaps.covers(Array("anything".utf8)) && gaps.places == nil)
    }

    @Test("are all there is once there are too many")
    func many() {
        var gaps = SourceGaps()
        for number in 0...10_000 { gaps.add(Array("\(number)/".utf8), "many") }
        #expect(gaps.covers(Array("other".utf8)))
    }
}
