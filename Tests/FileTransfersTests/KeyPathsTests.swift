// Paths of files and keys of objects, each from the other.

import FileTransfers
import QuorumProtocol
import Testing

@Suite("Paths and keys") struct KeyPathsTests {
    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test(
        "a prefix stands for a folder",
        arguments: [("photos", "photos/"), ("photos/", "photos/"), ("photos/2024", "photos/2024/"), ("a/b//", "a/b//")])
    func prefix(text: String, folder: String) throws {
        let prefix = try KeyPrefix(Self.bytes(text))
        #expect(prefix.bytes == Self.bytes(folder))
        #expect(try prefix.key(Self.bytes("x/y")).text == folder + "x/y")
        #expect(prefix.path(of: try ObjectKey(folder + "x/y")) == Self.bytes("x/y"))
    }

    @Test("what is no bucket is no prefix", arguments: ["", "/a", "Photos", "_buckets", "a_b/c"])
    func noPrefix(text: String) {
        // The records are objects like others here; the command line refuses their name before.
        if text == "_buckets" { return #expect((try? KeyPrefix(Self.bytes(text)))?.bucket == text) }
        #expect(throws: ObjectKeyError.self) { try KeyPrefix(Self.bytes(text)) }
    }

    @Test("one place is within another one by whole names only")
    func overlap() throws {
        let place = try KeyPrefix(Self.bytes("a/b"))
        for (other, overlaps) in [("a", true), ("a/b/c", true), ("a/b", true), ("a/bc", false), ("a/c", false)] {
            #expect(try place.overlaps(KeyPrefix(Self.bytes(other))) == overlaps, "\(other)")
        }
    }

    @Test("a file whose name is no UTF-8, or too long, has no key, and it is said why")
    func noKey() throws {
        let prefix = try KeyPrefix(Self.bytes("photos"))
        #expect(throws: NameFault.noKey(.notUTF8)) { try prefix.key([0x61, 0xFF]) }
        #expect(try prefix.key([UInt8](repeating: 0x61, count: 1024)).bytes.count == 7 + 1024)
        do throws(NameFault) {
            _ = try prefix.key([UInt8](repeating: 0x61, count: 1025))
            Issue.record("a key of 1025 bytes")
        } catch {
            #expect("\(error)".contains("1024"))
        }
    }

    @Test(
        "an object becomes a file below the folder, or nothing",
        arguments: [
            ("a", 1, .success(.file([[0x61]]))), ("a/b", 0, .success(.file([[0x61], [0x62]]))),
            ("a/", 0, .success(.folder([[0x61]]))), ("a/", 1, .failure(.folderWithContent)),
            ("/a", 1, .failure(.emptyPart)), ("a//b", 1, .failure(.emptyPart)), ("a//", 0, .failure(.emptyPart)),
            ("/", 0, .failure(.emptyPart)), ("../a", 1, .failure(.dotPart)), ("a/../../b", 1, .failure(.dotPart)),
            ("a/..", 1, .failure(.dotPart)), (".", 1, .failure(.dotPart)), ("a/./b", 1, .failure(.dotPart)),
            ("a\0b", 1, .failure(.zeroByte)), ("...", 1, .success(.file([[0x2E, 0x2E, 0x2E]]))),
            ("a\nb", 1, .success(.file([[0x61, 0x0A, 0x62]]))), ("", 0, .failure(.emptyPart)),
        ] as [(String, UInt64, Result<LocalName, NameFault>)])
    func localName(path: String, sizeBytes: UInt64, expected: Result<LocalName, NameFault>) {
        let found = Result { () throws(NameFault) in try LocalName(Self.bytes(path), sizeBytes: sizeBytes) }
        #expect(found == expected, "\(path)")
    }

    @Test("of an object and others below its name, as if it were a folder, the others are found")
    func filesInTheWay() {
        var files = FilesInTheWay()
        let inOrder = ["a", "a!", "a!/b", "a-b", "a/", "a/b", "a/b/c", "a0", "b/", "b/c", "b/c/d/e", "b/c/d0"]
        let found = inOrder.map { path in
            files.file(above: Self.bytes(path)).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(found == [nil, nil, "a!", nil, "a", "a", "a", nil, nil, nil, "b/c", "b/c"])
    }

    @Test("names that are one file where case and composition do not count are found, each once")
    func folded() {
        var names = FoldedNames()
        let paths = ["File.txt", "a/\u{E9}", "a/e\u{301}", "file.TXT", "stra\u{DF}e", "STRASSE", "other"]
        let earlier = paths.map { names.earlier(Self.bytes($0)).map { String(decoding: $0, as: UTF8.self) } }
        #expect(
            earlier.map { $0?.unicodeScalars.count } == [nil, nil, 3, 8, nil, 6, nil], "\(earlier)")
    }
}
