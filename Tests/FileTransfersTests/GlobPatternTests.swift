// Patterns for paths: what they match, and what they do not.

import FileTransfers
import Testing

@Suite("A pattern for paths") struct GlobPatternTests {
    private static func pattern(_ text: String) throws -> GlobPattern {
        try #require(GlobPattern(Array(text.utf8), text: text), "\(text)")
    }

    struct Row: Sendable {
        let pattern: String
        let matching: [String]
        let others: [String]
    }

    @Test(
        "matches as shells do",
        arguments: [
            Row(pattern: "*.tmp", matching: ["a.tmp", "x/y/.tmp", "a/b.tmp"], others: ["a.tmp/b", "a.tmpx", "tmp"]),
            Row(pattern: "a*", matching: ["a", "abc", "x/a"], others: ["ba", "a/b"]),
            Row(pattern: "a/*", matching: ["a/b", "a/"], others: ["a", "a/b/c", "x/a/b"]),
            Row(pattern: "/a", matching: ["a"], others: ["x/a"]),
            Row(pattern: "a/**", matching: ["a/b", "a/b/c"], others: ["a", "b/a/c"]),
            Row(pattern: "**/c", matching: ["c", "a/c", "a/b/c"], others: ["ac", "a/bc", "c/d"]),
            Row(pattern: "a/**/c", matching: ["a/c", "a/b/c", "a/b/b/c"], others: ["ac", "a/bc", "b/a/c"]),
            Row(pattern: "a**c", matching: ["ac", "axc", "abc"], others: ["a/b", "c"]),
            Row(pattern: "?", matching: ["a", "x/b", "\u{E9}", "\u{1F600}"], others: ["", "ab", "a\u{E9}"]),
            Row(pattern: "a?c", matching: ["abc", "a\u{20AC}c"], others: ["ac", "a/c", "abbc"]),
            Row(pattern: "[a-c]x", matching: ["ax", "cx"], others: ["dx", "x", "-x"]),
            Row(pattern: "[!a-c]", matching: ["d", "]"], others: ["a", "b"]),
            Row(pattern: "[]a]", matching: ["]", "a"], others: ["b"]),
            Row(pattern: "[a-]", matching: ["a", "-"], others: ["b"]),
            Row(pattern: "\\*", matching: ["*"], others: ["a", "\\*"]),
            Row(pattern: "folder/", matching: ["folder", "x/folder"], others: ["folders", "a"]),
            Row(pattern: "**", matching: ["a", "a/b"], others: []),
        ])
    func matching(row: Row) throws {
        let pattern = try Self.pattern(row.pattern)
        for path in row.matching { #expect(pattern.matches(Array(path.utf8)[...]), "\(row.pattern) on \(path)") }
        for path in row.others { #expect(!pattern.matches(Array(path.utf8)[...]), "\(row.pattern) on \(path)") }
    }

    @Test("is refused when it is none", arguments: ["", "/", "a[", "[", "[]", "[b-a]", "a\\"])
    func refused(text: String) {
        #expect(GlobPattern(Array(text.utf8), text: text) == nil)
    }

    @Test("takes no longer than its length times the path's, however many stars")
    func bounded() throws {
        let pattern = try Self.pattern(String(repeating: "*a", count: 50) + "b")
        #expect(!pattern.matches(Array(String(repeating: "a", count: 2000).utf8)[...]))
    }

    @Test(
        "excluded is what matches or is in a folder that does, and then only what is included is left",
        arguments: [
            (["*.jpg"], ["old"], "a.jpg", true), (["*.jpg"], ["old"], "a.png", false),
            (["*.jpg"], ["old"], "old/a.jpg", false), (["*.jpg"], ["old"], "x/old/y/a.jpg", false),
            ([], ["*.tmp"], "a", true), ([], ["*.tmp"], "a.tmp/b", false), (["keep"], [], "keep/a/b", true),
            (["keep"], [], "other/keeper", false), ([], [], "anything", true), ([], ["a/b"], "a/b/", false),
        ] as [([String], [String], String, Bool)])
    func filter(included: [String], excluded: [String], path: String, isTaken: Bool) throws {
        let filter = PathFilter(
            included: try included.map(Self.pattern), excluded: try excluded.map(Self.pattern))
        #expect(filter.takes(Array(path.utf8)) == isTaken)
    }
}
