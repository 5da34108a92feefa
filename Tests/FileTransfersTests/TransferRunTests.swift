// Runs over many items between ends that are made up: outcomes, failures, deletions, interruption.

import CommandOutcome
import FileTransfers
import Synchronization
import Testing

/// Notes what it is asked to do, and fails where it is told to.
private final class GivenEnds: TransferEnds {
    let failures: [String: ExitStatus]
    /// Transfers of these never end by themselves.
    let endless: Set<String>
    private let notes = Mutex<[String]>([])
    private let current = Mutex((now: 0, most: 0))

    init(failures: [String: ExitStatus] = [:], endless: Set<String> = []) {
        self.failures = failures
        self.endless = endless
    }

    var action: ItemAction { .stored }
    var done: [String] { notes.withLock { $0.sorted() } }
    var mostAtATime: Int { current.withLock { $0.most } }

    func transfer(
        _ item: TransferItem, progress: @escaping FileTransfer.Progress
    ) async throws(Failure) -> TransferredItem {
        current.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
        defer { current.withLock { $0.now -= 1 } }
        let path = String(decoding: item.path, as: UTF8.self)
        if endless.contains(path) { try? await Task.sleep(for: .seconds(3600)) }
        await Task.yield()
        try note("transfer", path)
        progress(item.sizeBytes)
        return TransferredItem(sizeBytes: item.sizeBytes, version: "1@a:b")
    }

    func isSame(_ item: TransferItem, as other: TransferItem) -> Bool { item.etag == other.etag }
    func isOfSource(_ failure: ExitStatus) -> Bool { failure == .inputOutput }

    func delete(_ item: TransferItem) throws(Failure) -> TransferredItem {
        try note("delete", String(decoding: item.path, as: UTF8.self))
        return TransferredItem(sizeBytes: item.sizeBytes, version: nil)
    }

    private func note(_ what: String, _ path: String) throws(Failure) {
        if Task.isCancelled { throw Failure(.unexpected, "cancelled") }
        if let status = failures[path] { throw Failure(status, path) }
        notes.withLock { $0.append("\(what) \(path)") }
    }
}

private final class Observer: TransferObserver {
    struct Seen {
        var planned = 0
        var bytes: UInt64 = 0
        var ended = 0
        var isComplete = false
    }
    private let state = Mutex(Seen())
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void = {}) { self.onEnd = onEnd }

    var seen: Seen { state.withLock { $0 } }
    func planned(_ item: TransferItem) { state.withLock { $0.planned += 1 } }
    func planIsComplete() { state.withLock { $0.isComplete = true } }
    func progressed(_ moreBytes: UInt64) { state.withLock { $0.bytes += moreBytes } }
    func ended(_ outcome: ItemOutcome) {
        state.withLock { $0.ended += 1 }
        onEnd()
    }
}

@Suite("A run over many") struct TransferRunTests {
    private func run(
        _ ends: GivenEnds, _ source: [TransferEntry], _ target: [TransferEntry] = [], sourceFailure: Failure? = nil,
        observer: Observer = Observer(), _ change: (inout RunOptions) -> Void = { _ in }
    ) async -> RunTally {
        var options = RunOptions()
        change(&options)
        return await TransferRun(ends, options, observer: observer).run {
            GivenEntries(source, failure: sourceFailure)
        } target: {
            GivenEntries(target)
        }
    }

    @Test("transfers each item once, so many at a time, and tells of each", arguments: [1, 3, 8])
    func each(count: Int) async {
        let ends = GivenEnds()
        let observer = Observer()
        let tally = await run(ends, (0..<100).map { .item("\($0)", size: 2) }, observer: observer) {
            $0.transferCount = count
        }
        #expect(ends.done == (0..<100).map { "transfer \($0)" }.sorted())
        #expect(ends.mostAtATime <= count)
        #expect(tally.done == [.stored: 100] && tally.transferredBytes == 200 && tally.status == .success)
        let seen = observer.seen
        #expect(seen.planned == 100 && seen.ended == 100 && seen.bytes == 200 && seen.isComplete)
    }

    @Test("one that fails stops no other: the code is 'incomplete', or, if all failed alike, what they failed with")
    func failures() async {
        let ends = GivenEnds(failures: ["b": .refused])
        let tally = await run(ends, ["a", "b", "c"].map { .item($0) })
        #expect(ends.done == ["transfer a", "transfer c"])
        #expect(tally.failedCount == 1 && tally.status == .incomplete)
        #expect(tally.text == "2 stored (2 bytes), 1 FAILED")
        let none = await run(GivenEnds(failures: ["a": .refused, "b": .refused]), ["a", "b"].map { .item($0) })
        #expect(none.status == .refused)
        let mixed = await run(GivenEnds(failures: ["a": .refused, "b": .unavailable]), ["a", "b"].map { .item($0) })
        #expect(mixed.status == .incomplete)
    }

    @Test("what has no name at the other end is a failure, what is no file none")
    func leftOut() async {
        let tally = await run(
            GivenEnds(), [.item("a"), .unusable("u"), .link("l"), .folder("e/", isEmpty: true), .folder("f/")])
        #expect(tally.failedCount == 1 && tally.leftOutCount == 2 && tally.status == .incomplete)
        #expect(await run(GivenEnds(), [.item("a"), .link("l")]).status == .success)
    }

    @Test("deletes after all transfers what the source does not have, and all of it")
    func deletes() async {
        let ends = GivenEnds(failures: ["x7": .refused])
        let target: [TransferEntry] = (0..<5000).map { .item("x\($0)") } + [.item("a")]
        let tally = await run(ends, [.item("a")], target) {
            $0.deletes = true
            $0.comparison = .sizeAndTime
        }
        #expect(tally.done == [.deleted: 4999] && tally.sameCount == 1 && tally.failedCount == 1)
        #expect(tally.status == .incomplete && !ends.done.contains("delete a"))
    }

    @Test("deletes nothing where the source could not be listed, looked at or read, and says so")
    func suppressed() async {
        let extra: [TransferEntry] = [.item("extra")]
        func expectNothingDeleted(_ tally: RunTally, _ ends: GivenEnds) {
            #expect(!ends.done.contains("delete extra") && tally.done[.deleted] == nil)
            #expect(tally.status == .incomplete && tally.text.contains("1 not deleted"), "\(tally.text)")
        }
        let unread = GivenEnds(failures: ["b": .inputOutput])
        expectNothingDeleted(await run(unread, [.item("a"), .item("b")], extra) { $0.deletes = true }, unread)
        let unseen = GivenEnds()
        expectNothingDeleted(await run(unseen, [.item("a"), .gap("")], extra) { $0.deletes = true }, unseen)
        // Seen before the source fails.
        let unlisted = GivenEnds()
        let tally = await run(
            unlisted, [.item("a"), .item("z")], extra, sourceFailure: Failure(.unavailable, "no quorum")
        ) { $0.deletes = true }
        expectNothingDeleted(tally, unlisted)
        #expect(unlisted.done == ["transfer a", "transfer z"])
        // A target that refuses an item says nothing about the source.
        let refused = GivenEnds(failures: ["b": .refused])
        _ = await run(refused, [.item("a"), .item("b")], extra) { $0.deletes = true }
        #expect(refused.done.contains("delete extra"))
    }

    @Test("a folder that could not be seen or read does not keep others from being deleted in")
    func suppressedBelow() async {
        let ends = GivenEnds(failures: ["read/b": .inputOutput])
        let source: [TransferEntry] = [.item("a"), .gap("seen/"), .gap("odd"), .item("read/b"), .item("read/in/c")]
        let target = ["seen", "seen/x", "seen/y/z", "seen-not/x", "odd", "odd/x", "read/x", "read/in/x", "x"]
        let tally = await run(ends, source, target.map { .item($0) }) { $0.deletes = true }
        #expect(
            ends.done.filter { $0.hasPrefix("delete") } == ["delete seen", "delete seen-not/x", "delete x"])
        #expect(tally.notDeletedCount == 5 && tally.done[.deleted] == 3 && tally.status == .incomplete)
        #expect(
            tally.text.contains("5 not deleted: of the source not all could be looked at (odd, read/, seen/)"),
            "\(tally.text)")
    }

    @Test("where names that differ in case are one file, what was just written under another is not deleted")
    func foldedExtras() async {
        let (source, target) = ([TransferEntry.item("File"), .item("b")], [TransferEntry.item("file"), .item("c")])
        let ends = GivenEnds()
        _ = await run(ends, source, target) {
            $0.deletes = true
            $0.foldsNames = true
        }
        #expect(ends.done == ["delete c", "transfer File", "transfer b"])
    }

    @Test("what failed is named, and nothing else")
    func failedPaths() async {
        let ends = GivenEnds(failures: ["b": .unavailable, "old": .refused])
        let tally = await run(ends, [.item("a"), .item("b"), .unusable("u"), .link("l")], [.item("old")]) {
            $0.deletes = true
        }
        #expect(Set(tally.failedPaths) == Set(["b", "old", "u"].map { Array($0.utf8) }))
        #expect(tally.failedCount == 3)
    }

    @Test("a comparison transfers and deletes nothing, and tells same, different, at one end only and unknown apart")
    func comparison() async {
        let source: [TransferEntry] = [
            .item("same", etag: "1"), .item("other", etag: "1"), .item("file"), .gap("gap/"), .link("link"),
        ]
        let target: [TransferEntry] = [
            .item("same", etag: "1"), .item("other", etag: "2"), .item("object"), .item("gap/x"), .item("link"),
        ]
        let ends = GivenEnds()
        let tally = await run(ends, source, target) { $0.isComparison = true }
        #expect(ends.done.isEmpty && tally.done.isEmpty && tally.planned.isEmpty)
        #expect(tally.sameCount == 1 && tally.differing == [.content: 1, .onlyFile: 1, .onlyObject: 1])
        #expect(tally.failedPaths == ["gap/", "gap/x"].map { Array($0.utf8) } && tally.status == .incomplete)
        #expect(
            tally.text == "1 different, 1 only in the folder, 1 only in the bucket, 1 same, 1 left out, 2 NOT COMPARED")
        let equal = await run(GivenEnds(), [.item("a", etag: "1")], [.item("a", etag: "1")]) { $0.isComparison = true }
        #expect(equal.status == .success && equal.text == "1 same")
        let differs = await run(GivenEnds(), [.item("a")], []) { $0.isComparison = true }
        #expect(differs.status == .different)
        #expect(await run(GivenEnds(), [], []) { $0.isComparison = true }.text == "0 same")
    }

    @Test("a dry run does nothing and counts what it would do, also what it would delete")
    func dryRun() async {
        let ends = GivenEnds()
        let tally = await run(ends, [.item("a", size: 7)], [.item("b")]) {
            $0.isDryRun = true
            $0.deletes = true
        }
        #expect(ends.done.isEmpty)
        #expect(tally.planned == [.stored: 1, .deleted: 1] && tally.done.isEmpty)
        #expect(tally.text == "1 would be stored (7 bytes), 1 would be deleted")
    }

    @Test("what is compared by content is transferred only when it differs")
    func content() async {
        let ends = GivenEnds()
        let tally = await run(
            ends, [.item("a", etag: "1"), .item("b", etag: "1")], [.item("a", etag: "1"), .item("b", etag: "2")]
        ) { $0.comparison = .content }
        #expect(ends.done == ["transfer b"] && tally.sameCount == 1)
    }

    @Test("a run that is cancelled ends at once, and says what was done")
    func cancelled() async {
        let ends = GivenEnds(endless: ["b"])
        let (stream, signal) = AsyncStream<Void>.makeStream()
        let observer = Observer { signal.yield() }
        let task = Task {
            await run(ends, ["a", "b", "c"].map { .item($0) }, [.item("extra")], observer: observer) {
                $0.transferCount = 1
                $0.deletes = true
            }
        }
        for await _ in stream { break }
        task.cancel()
        let tally = await task.value
        #expect(tally.isInterrupted && tally.done == [.stored: 1] && tally.failedCount == 0)
        #expect(ends.done == ["transfer a"])
        #expect(tally.text.hasPrefix("interrupted; so far: 1 stored"))
    }
}
