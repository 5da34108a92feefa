// What a plan says is to be done, of sources and targets made up for it.

import CommandOutcome
import FileTransfers
import Testing

/// Not that of the testing library.
typealias ExitStatus = CommandOutcome.ExitStatus

/// Entries that are given.
struct GivenEntries: TransferEntries, Sendable {
    private var entries: [TransferEntry]
    private let failure: Failure?

    /// - Parameter failure: comes after the last entry.
    init(_ entries: [TransferEntry], failure: Failure? = nil) {
        self.entries = entries.sorted { $0.path.lexicographicallyPrecedes($1.path) }.reversed()
        self.failure = failure
    }

    mutating func next() throws(Failure) -> TransferEntry? {
        if let entry = entries.popLast() { return entry }
        if let failure { throw failure }
        return nil
    }
}

extension TransferItem {
    init(_ path: String, size: UInt64 = 1, time: UInt64 = 1, etag: String? = nil) {
        self.init(path: Array(path.utf8), sizeBytes: size, modifiedMilliseconds: time, etag: etag)
    }
}

extension TransferEntry {
    static func item(_ path: String, size: UInt64 = 1, time: UInt64 = 1, etag: String? = nil) -> TransferEntry {
        .item(TransferItem(path, size: size, time: time, etag: etag))
    }
    static func folder(_ path: String, isEmpty: Bool = false) -> TransferEntry {
        .folder(Array(path.utf8), isEmpty: isEmpty)
    }
    static func link(_ path: String) -> TransferEntry { .leftOut(Array(path.utf8), "a link") }
    static func gap(_ path: String) -> TransferEntry { .gap(Array(path.utf8), Failure(.inputOutput, path)) }
    static func unusable(_ path: String) -> TransferEntry { .unusable(Array(path.utf8), Failure(.refused, path)) }
}

@Suite("A plan") struct SyncPlanTests {
    private static func steps(
        _ source: [TransferEntry], _ target: [TransferEntry]?, _ comparison: Comparison = .none, deletes: Bool = false
    ) async throws -> [String] {
        var plan = SyncPlan(
            source: GivenEntries(source), target: target.map { GivenEntries($0) }, comparison: comparison,
            deletes: deletes)
        var steps: [String] = []
        while let step = try await plan.next() {
            func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }
            switch step {
            case .transfer(let item): steps.append("transfer \(text(item.path))")
            case .compare(let item, let other): steps.append("compare \(text(item.path)) \(text(other.path))")
            case .same(let item): steps.append("same \(text(item.path))")
            case .delete(let item): steps.append("delete \(text(item.path))")
            case .leave(let entry): steps.append("leave \(text(entry.path))")
            }
        }
        return steps
    }

    @Test("without a comparison transfers everything and deletes nothing")
    func all() async throws {
        #expect(
            try await Self.steps([.item("a"), .item("b")], [.item("a"), .item("c")])
                == ["transfer a", "transfer b"])
        #expect(try await Self.steps([], nil).isEmpty)
    }

    @Test("transfers what is new or differs in size or time, in whichever direction the time differs")
    func sizeAndTime() async throws {
        let source: [TransferEntry] = [
            .item("new"), .item("same", size: 5, time: 7), .item("larger", size: 6, time: 7),
            .item("older", size: 5, time: 6), .item("newer", size: 5, time: 8),
        ]
        let target: [TransferEntry] = ["same", "larger", "older", "newer"].map { .item($0, size: 5, time: 7) }
        #expect(
            try await Self.steps(source, target, .sizeAndTime)
                == ["transfer larger", "transfer new", "transfer newer", "transfer older", "same same"])
    }

    @Test(
        "a disk that keeps whole seconds, or every other one, is no change",
        arguments: [
            (1_000, 1_000, true), (1_000, 1_999, true), (1_000, 2_000, false), (2_000, 3_999, true),
            (2_000, 4_000, false), (3_000, 4_500, false), (1_500, 1_600, false), (2_000, 1_999, false),
        ])
    func coarseTimes(file: UInt64, object: UInt64, isSame: Bool) async throws {
        let expected = [isSame ? "same a" : "transfer a"]
        #expect(try await Self.steps([.item("a", time: file)], [.item("a", time: object)], .sizeAndTime) == expected)
        #expect(try await Self.steps([.item("a", time: object)], [.item("a", time: file)], .sizeAndTime) == expected)
    }

    @Test("by content compares what has the same size, whatever the times; by tags nobody reads anything")
    func content() async throws {
        let source: [TransferEntry] = [.item("a", size: 1, time: 1, etag: "x"), .item("b", size: 2, etag: "x")]
        let target: [TransferEntry] = [.item("a", size: 1, time: 9, etag: "y"), .item("b", size: 1, etag: "x")]
        #expect(try await Self.steps(source, target, .content) == ["compare a a", "transfer b"])
        #expect(try await Self.steps(source, target, .tags) == ["transfer a", "transfer b"])
        #expect(try await Self.steps(source, source, .tags) == ["same a", "same b"])
        #expect(try await Self.steps([.item("a")], [.item("a")], .tags) == ["transfer a"])
    }

    @Test("deletes what the source does not have, before, between and behind what it has")
    func deletes() async throws {
        let steps = try await Self.steps(
            [.item("b"), .item("d/e")], ["a", "b", "c", "d", "d/e", "d/f", "z"].map { .item($0) }, .sizeAndTime,
            deletes: true)
        #expect(steps == ["delete a", "same b", "delete c", "delete d", "same d/e", "delete d/f", "delete z"])
        #expect(
            try await Self.steps([], (0..<5000).map { .item("\($0)") }, deletes: true).count == 5000)
    }

    @Test("what the source left out is not deleted, nor what is in it; what only begins alike is")
    func leftOut() async throws {
        let target: [TransferEntry] = ["l", "l!", "l/a", "l/b/c", "la", "u"].map { .item($0) }
        #expect(
            try await Self.steps([.link("l"), .unusable("u")], target, deletes: true)
                == ["leave l", "delete l!", "delete la", "leave u"])
    }

    @Test("an object that marks a folder is the same thing as the folder")
    func folderMark() async throws {
        let steps = try await Self.steps(
            [.folder("a/"), .item("a/b")], [.item("a/", size: 0), .item("a/b"), .item("c/", size: 0)], .sizeAndTime,
            deletes: true)
        #expect(steps == ["leave a/", "same a/b", "delete c/"])
    }

    @Test("a folder is what an object that marks it has become, and is not transferred again or deleted")
    func folderOfMark() async throws {
        let source: [TransferEntry] = [.item("a/", size: 0), .item("b/", size: 0)]
        let target: [TransferEntry] = [.folder("a/", isEmpty: true), .folder("c/", isEmpty: true)]
        #expect(try await Self.steps(source, target, .sizeAndTime, deletes: true) == ["same a/", "transfer b/"])
        #expect(try await Self.steps(source, target) == ["transfer a/", "transfer b/"])
    }

    @Test("what is only compared is compared whatever its size")
    func everything() async throws {
        let steps = try await Self.steps(
            [.item("a", size: 1), .item("b")], [.item("a", size: 2), .item("c")], .all, deletes: true)
        #expect(steps == ["compare a a", "transfer b", "delete c"])
    }

    @Test("a source that fails on the way ends the plan by that, and nothing is deleted")
    func failingSource() async throws {
        let failure = Failure(.unavailable, "no quorum")
        var plan = SyncPlan(
            source: GivenEntries([.item("a")], failure: failure), target: GivenEntries([.item("b")]), comparison: .none,
            deletes: true)
        await #expect(throws: Failure.self) { while try await plan.next() != nil {} }
    }

    @Test("of objects that cannot be files each is named, and the others are taken")
    func names() async throws {
        let entries: [TransferEntry] = ["../x", "a", "a/b", "b//c", "File", "file"].map { .item($0) }
        func unusable(_ folds: Bool) async throws -> [String] {
            var named = NamedEntries(GivenEntries(entries), foldsNames: folds)
            var found: [String] = []
            while let entry = try await named.next() {
                guard case .unusable(let path, let failure) = entry else { continue }
                #expect(failure.message.contains(String(decoding: path, as: UTF8.self)))
                found.append(String(decoding: path, as: UTF8.self))
            }
            return found
        }
        #expect(try await unusable(false) == ["../x", "a/b", "b//c"])
        #expect(try await unusable(true) == ["../x", "a/b", "b//c", "file"])
    }
}
