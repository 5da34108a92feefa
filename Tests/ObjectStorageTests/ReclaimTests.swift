// Dead space goes back to the file system; living bytes never do.

import ErasureCode
import Foundation
import ObjectStorage
import Testing

@Suite struct ReclaimTests {
    private static let partSizeBytes = 20_000

    private func content(_ number: Int) -> SharedBytes { bytes(Self.partSizeBytes, seed: UInt64(number)) }

    /// A store with `count` versions of one object, one part each, one batch each.
    private func filled(_ count: Int) throws -> (fixture: StoreFixture, store: ObjectStore) {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        for number in 0..<count {
            try store.applyAll([ObjectMutation(key: key("a"), puts: [put(number, content(number))])])
        }
        return (fixture, store)
    }

    private func expectAlive(_ numbers: [Int], of count: Int, in store: ObjectStore) throws {
        for number in 0..<count {
            let found = try store.part(of: key("a"), version: version(number), part: .descriptor)
            #expect(found == (numbers.contains(number) ? content(number) : nil), "version \(number)")
        }
    }

    @Test("Nothing is given back before the index on disk knows that it is dead")
    func waitsForFlush() throws {
        let (fixture, store) = try filled(20)
        try store.applyAll([ObjectMutation(key: key("a"), drops: (0..<20).map { version($0) })])
        let before = try fixture.journalDiskBytes()
        #expect(try store.reclaim(limit: 1000) == ReclaimProgress())
        #expect(try fixture.journalDiskBytes() == before)
        try store.flushIndex()
        #expect(try store.reclaimAll().punchedSizeBytes > 0)
    }

    @Test("Dropping every other version gives about half the space back, and the rest survives a crash")
    func punchesHoles() throws {
        let (fixture, store) = try filled(60)
        let alive = (0..<60).filter { $0 % 2 == 1 }
        try store.applyAll([
            ObjectMutation(key: key("a"), drops: (0..<60).filter { $0 % 2 == 0 }.map { version($0) })
        ])
        let before = try fixture.journalDiskBytes()
        try store.flushIndex()
        let progress = try store.reclaimAll()
        #expect(progress.punchedSizeBytes >= 30 * 16384)
        #expect(try fixture.journalDiskBytes() <= before - 30 * 16384)
        try expectAlive(alive, of: 60, in: store)
        store.abandon()
        try expectAlive(alive, of: 60, in: try fixture.open())
    }

    @Test(
        "Pages that parts share go back when the last of them dies, in whatever order and however many in a step",
        arguments: [21, 22, 23] as [UInt64], [1, 7, 40])
    func sharedPages(seed: UInt64, dropsMax: Int) throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let count = 60
        let puts = (0..<count).map { put($0, bytes(1500, seed: UInt64($0))) }
        try store.applyAll([ObjectMutation(key: key("a"), puts: puts)])
        var generator = SeededGenerator(seed: seed)
        var punched: UInt64 = 0
        var dropBatchCount = 0
        var alive = (0..<count).shuffled(using: &generator)
        while !alive.isEmpty {
            let dropCount = min(Int.random(in: 1...dropsMax, using: &generator), alive.count)
            try store.applyAll([ObjectMutation(key: key("a"), drops: alive.prefix(dropCount).map { version($0) })])
            alive.removeFirst(dropCount)
            dropBatchCount += 1
            try store.flushIndex()
            let limit = Int.random(in: 1...dropsMax, using: &generator)
            var step: ReclaimProgress
            repeat {
                step = try store.reclaim(limit: limit)
                punched += step.punchedSizeBytes
            } while step.hasMore
            for number in alive {
                let found = try store.part(of: key("a"), version: version(number), part: .descriptor)
                #expect(found == bytes(1500, seed: UInt64(number)), "seed \(seed), version \(number)")
            }
        }
        // The facts stay: all pages behind the last of theirs go back.
        let factsBytes = 104 + (2 + 1) + 2 + 1 + 4 + 4 + count * (1 + 56 + 14)
        func pages(_ size: Int) -> Int { (size + 4095) / 4096 * 4096 }
        #expect(punched == UInt64(pages(factsBytes + count * 1500) - pages(factsBytes)), "seed \(seed)")
        #expect(store.usage.unreclaimedSizeBytes == UInt64(factsBytes + dropBatchCount * 4096), "seed \(seed)")
    }

    @Test("A writer that is never idle gives back what it drops, a bounded piece after every batch")
    func keepsUp() throws {
        let (batchCount, partCount) = (30, 20)
        let fixture = try StoreFixture()
        let store = try fixture.open()
        func overwrite(_ number: Int) throws {
            let parts = (0..<partCount).map {
                put(
                    number, .fragment(FragmentIndex(0), StripeIndex(UInt32($0))),
                    bytes(2000, seed: UInt64(number * partCount + $0)))
            }
            try store.applyAll([
                ObjectMutation(key: key("a"), puts: parts, drops: number > 0 ? [version(number - 1)] : [])
            ])
        }
        for number in 0...batchCount { try overwrite(number) }
        try store.flushIndex()
        var given = 0
        // Begins to count anew: a share of all that was dropped so far would be everything.
        given += try store.reclaim(limit: 1).rangeCount
        for number in batchCount + 1...2 * batchCount {
            try overwrite(number)
            let step = try store.reclaimShare()
            #expect(step.rangeCount <= 2 * (partCount + 2))
            given += step.rangeCount
        }
        #expect(given >= batchCount * partCount)
    }

    @Test("Segments without life are removed once the index on disk knows it; the one being written stays")
    func removesSegments() throws {
        let (fixture, store) = try filled(40)
        let before = try fixture.segmentPaths().count
        #expect(before > 5)
        try store.applyAll([ObjectMutation(key: key("a"), record: .set([1]), drops: (0..<40).map { version($0) })])
        try store.restateAll()
        try store.flushIndex()
        var removed = try store.reclaimAll().removedSegmentCount
        try store.flushIndex()
        removed += try store.reclaimAll().removedSegmentCount
        #expect(removed == before - 1)
        #expect(try fixture.segmentPaths().count == 1)
        store.abandon()
        let reopened = try fixture.open()
        #expect(try reopened.record(of: key("a")) == [1])
        try reopened.applyAll([ObjectMutation(key: key("a"), puts: [put(50, content(50))])])
        #expect(try reopened.part(of: key("a"), version: version(50), part: .descriptor) == content(50))
    }

    @Test("A segment that cannot be given back keeps no other one from it, and goes once it can")
    func passesOver() throws {
        let (fixture, store) = try filled(40)
        let paths = try fixture.segmentPaths()
        try store.applyAll([ObjectMutation(key: key("a"), drops: (0..<40).map { version($0) })])
        try store.restateAll()
        try store.flushIndex()
        let (missing, aside) = (paths[1], paths[1] + ".aside")
        try FileManager.default.moveItem(atPath: missing, toPath: aside)
        func reclaimAll() throws -> Int {
            var errorCount = 0
            for _ in 0..<20 {
                do { _ = try store.reclaim(limit: 8) } catch StorageError.missingSegment { errorCount += 1 }
            }
            return errorCount
        }
        let errorCount = try reclaimAll()
        #expect((1..<20).contains(errorCount), "not in every step")
        try store.flushIndex()
        _ = try reclaimAll()
        #expect(store.usage.segmentCount == 2, "that one and the one being written")
        try FileManager.default.moveItem(atPath: aside, toPath: missing)
        try store.flushIndex()
        #expect(try reclaimAll() == 0)
        try store.flushIndex()
        #expect(try reclaimAll() == 0)
        #expect(store.usage.segmentCount == 1)
        #expect(try fixture.segmentPaths().count == 1)
    }

    @Test("A removal that the index forgot in a crash is finished at the next opening")
    func removalInterrupted() throws {
        let (fixture, store) = try filled(40)
        try store.applyAll([ObjectMutation(key: key("a"), drops: (0..<40).map { version($0) })])
        try store.restateAll()
        try store.flushIndex()
        _ = try store.reclaimAll()
        try store.flushIndex()
        store.abandon()
        let base = try fixture.copy()
        let again = try fixture.open()
        #expect(try again.reclaimAll().removedSegmentCount > 0)
        again.abandon()
        // The index forgot the removal, and so did the directory.
        let survivors = try fixture.segmentPaths().count
        let reopened = try fixture.open()
        #expect(reopened.usage.segmentCount == survivors)
        let other = try base.open()
        #expect(try other.reclaimAll().removedSegmentCount > 0)
        try other.close()
        #expect(try base.segmentPaths().count == survivors)
    }

    @Test("A steady stream of overwrites keeps the journal small by itself")
    func steadyState() throws {
        var options = StorageOptions.small
        options.reclaimFlushBytes = 200 << 10
        options.restatingIntervalBytes = 4 << 10
        let fixture = try StoreFixture(options: options)
        let store = try fixture.open()
        for number in 0..<300 {
            try store.applyAll([
                ObjectMutation(
                    key: key("a"), puts: [put(number, content(number))],
                    drops: number > 0 ? [version(number - 1)] : [])
            ])
            _ = try store.reclaim(limit: 8)
            _ = try store.restate(sizeBytesMax: 4096)
        }
        // The index is flushed in the background; what it has not flushed yet cannot be given back yet.
        try store.restateAll()
        try store.flushIndex()
        _ = try store.reclaimAll()
        try store.flushIndex()
        _ = try store.reclaimAll()
        let paths = try fixture.segmentPaths()
        #expect(paths.count <= 3, "\(paths.map { $0.suffix(12) }), \(store.usage)")
        try expectAlive([299], of: 300, in: store)
    }
}
