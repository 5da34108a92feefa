// Disks that fail, fill up or lose files: what the store refuses, and that it never pretends.

import ErasureCode
import Foundation
import ObjectStorage
import StorageSimulator
import Synchronization
import Testing

@Suite struct StorageFailureTests {
    @Test("After a failed sync nothing is acknowledged any more, and reads show only what was durable before")
    func failedSync() throws {
        let isFailing = Box(false)
        var options = StorageOptions.small
        options.system.files = AlteredFiles(syncFailure: {
            isFailing.value ? .system("fdatasync", $0, EIO) : nil
        })
        let fixture = try StoreFixture(options: options)
        let store = try fixture.open()
        try store.applyAll([ObjectMutation(key: key("a"), record: .set([1]))])
        isFailing.value = true
        let first = store.apply([ObjectMutation(key: key("a"), record: .set([2]))])
        isFailing.value = false
        let second = store.apply([ObjectMutation(key: key("b"), record: .set([2]))])
        for result in first + second {
            guard case .failed = result.error else {
                Issue.record("acknowledged: \(result)")
                continue
            }
        }
        #expect(try store.record(of: key("a")) == [1])
        #expect(try store.record(of: key("b")) == nil)
    }

    @Test("On a full disk puts are refused one by one, while commits and drops go on and make room again")
    func fullDisk() throws {
        let free = Box(UInt64(300 << 10))
        var options = StorageOptions.small
        options.reservedFreeBytes = 4 << 20
        options.system.files = AlteredFiles(freeBytes: { _ in free.value })
        let fixture = try StoreFixture(options: options)
        let store = try fixture.open()
        let content = bytes(40_000, seed: 1)
        let full = store.apply(
            (0..<5).map { ObjectMutation(key: [UInt8($0) + 1], record: .set([1]), puts: [put(1, content)]) }
                + [ObjectMutation(key: key("commit"), record: .set([2]))])
        #expect(full.map { $0.error == nil } == [true, true, true, false, false, true])
        guard case .noSpace(let needed, let available) = full[3].error else {
            Issue.record("unexpected \(full[3])")
            return
        }
        #expect(needed > content.count && available == free.value)
        #expect(try store.objects(after: nil, limit: 9).map(\.key) == [[1], [2], [3], key("commit")])

        // The present segment is full: without the reserve not even a drop could be recorded.
        free.value = 2 << 20
        let big = ObjectMutation(key: key("big"), record: .set([UInt8](repeating: 1, count: 60_000)))
        #expect(store.apply([big]).map { $0.error == nil } == [false])
        free.value = 3 << 20
        #expect(store.apply([big]).map { $0.error == nil } == [true])
        let another = ObjectMutation(key: key("put"), puts: [put(1, content)])
        let drop = ObjectMutation(key: [1], drops: [version(1)])
        #expect(store.apply([another, drop]).map { $0.error == nil } == [false, true])
        #expect(try store.part(of: [1], version: version(1), part: .descriptor) == nil)
        #expect(try store.part(of: [2], version: version(1), part: .descriptor) == content)

        free.value = 1 << 30
        try store.applyAll([another])
        store.abandon()
        let reopened = try fixture.open()
        #expect(try reopened.part(of: key("put"), version: version(1), part: .descriptor) == content)
        #expect(try reopened.part(of: [2], version: version(1), part: .descriptor) == content)
        #expect(try reopened.objects(after: nil, limit: 9).count == 5)
    }

    @Test("A missing index, or one that RocksDB finds damaged, is made anew from the journal")
    func lostIndex() throws {
        let base = try StoreFixture()
        let store = try base.open()
        try store.applyAll([ObjectMutation(key: key("a"), record: .set([1]))])
        try store.close()
        #expect(try base.open().indexCondition == .good)
        let names = try FileManager.default.contentsOfDirectory(atPath: base.directory + "/index")
        let manifest = try #require(names.first { $0.hasPrefix("MANIFEST") })
        for damage in ["/index", "/index/CURRENT", "/index/" + manifest] {
            let fixture = try base.copy()
            try FileManager.default.removeItem(atPath: fixture.directory + damage)
            let opened = try fixture.open()
            #expect(opened.indexCondition == .madeAnew, "\(damage) removed")
            #expect(try opened.record(of: key("a")) == [1])
        }
        let fixture = try base.copy()
        try flip(fixture.directory + "/index/" + manifest, at: 20)
        #expect(try fixture.open().record(of: key("a")) == [1])
        #expect(try fixture.open().indexCondition == .good)
    }

    @Test("A damaged block of the index that every opening reads is made anew by the next one")
    func damagedIndexBlock() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let record = [UInt8](repeating: 0xAB, count: 1000)
        try store.applyAll([ObjectMutation(key: key("a"), record: .set(record))])
        try store.close()
        let directory = fixture.directory + "/index/"
        var damaged = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name.hasSuffix(".sst") {
            let content = try Data(contentsOf: URL(fileURLWithPath: directory + name))
            if let range = content.range(of: Data(record)) {
                try flip(directory + name, at: range.lowerBound + 500)
                damaged += 1
            }
        }
        #expect(damaged == 1)
        let reopened = try fixture.open()
        #expect(reopened.indexCondition == .madeAnew)
        #expect(try reopened.record(of: key("a")) == record)
    }

    @Test(
        "A rotten block of the index costs what is in it: compactions that meet it stop no write, everything else is read"
    )
    func rottenIndexBlock() throws {
        var options = StorageOptions.small
        options.indexWriteBufferBytes = 64 << 10
        let fixture = try StoreFixture(options: options)
        func name(_ number: Int) -> [UInt8] { key("object \(number)") }
        func mutations(_ range: Range<Int>, _ value: UInt8) -> [ObjectMutation] {
            range.map { ObjectMutation(key: name($0), record: .set([UInt8](repeating: value, count: 300))) }
        }
        let count = 2000
        let store = try fixture.open()
        for start in stride(from: 0, to: count, by: 50) { try store.applyAll(mutations(start..<start + 50, 1)) }
        try store.close()
        let directory = fixture.directory + "/index/"
        let tables = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".sst") }
        let sizes = try tables.map { name in
            (try #require(FileManager.default.attributesOfItem(atPath: directory + name)[.size] as? Int), name)
        }
        let largest = try #require(sizes.max { $0.0 < $1.0 })
        try flip(directory + largest.1, at: largest.0 / 3)

        let damaged = try fixture.open()
        var lostCount = 0
        for number in 0..<count {
            do throws(StorageError) {
                let found = try damaged.record(of: name(number))
                #expect(found == [UInt8](repeating: 1, count: 300))
            } catch {
                guard case .recordLost = error else { throw error }
                lostCount += 1
            }
        }
        #expect((1...50).contains(lostCount), "\(lostCount) records are in the rotten block")
        // Many times the write buffer, over all keys: each compaction of the table meets the block.
        for value in 2..<8 as Range<UInt8> {
            for start in stride(from: 0, to: count, by: 50) {
                try damaged.applyAll(mutations(start..<start + 50, value))
            }
            try damaged.flushIndex()
        }
        for number in 0..<count {
            #expect(try damaged.record(of: name(number)) == [UInt8](repeating: 7, count: 300))
        }
        try damaged.close()
        #expect(try fixture.open().record(of: name(0)) == [UInt8](repeating: 7, count: 300))
    }

    /// A closed store with several segments, all of them needed; with `flushing`, nothing of it needs replay.
    private func severalSegments(flushing: Bool) throws -> StoreFixture {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        for number in 0..<8 {
            try store.applyAll([
                ObjectMutation(key: key("a"), puts: [put(number, bytes(60_000, seed: UInt64(number)))])
            ])
        }
        if flushing { try store.close() } else { store.abandon() }
        #expect(try fixture.segmentPaths().count == 4)
        return fixture
    }

    @Test(
        "A missing segment makes the store refuse to open, whether the index or the replay needs it",
        arguments: [true, false])
    func missingSegment(isFlushed: Bool) throws {
        let base = try severalSegments(flushing: isFlushed)
        for path in try base.segmentPaths() {
            let fixture = try base.copy()
            let name = (path as NSString).lastPathComponent
            try FileManager.default.removeItem(atPath: fixture.journal + "/" + name)
            #expect(throws: StorageError.missingSegment(path: fixture.journal + "/" + name)) { try fixture.open() }
        }
    }

    @Test("Segments, an index or an identity of another store are refused")
    func foreignFiles() throws {
        let base = try severalSegments(flushing: false)
        let other = try severalSegments(flushing: false)
        let segments = try base.segmentPaths().map { "/journal/" + ($0 as NSString).lastPathComponent }
        for piece in segments + ["/index", "/store"] {
            let fixture = try base.copy()
            try FileManager.default.removeItem(atPath: fixture.directory + piece)
            try FileManager.default.copyItem(atPath: other.directory + piece, toPath: fixture.directory + piece)
            #expect("\(piece) replaced") {
                try fixture.open()
            } throws: { error in
                guard case .foreign = error as? StorageError else { return false }
                return true
            }
        }
    }

    @Test("Any damage to the identity is refused, and another format is called that")
    func identityDamage() throws {
        let base = try StoreFixture()
        let size = try Data(contentsOf: URL(fileURLWithPath: base.directory + "/store")).count
        for position in 0..<size {
            let fixture = try base.copy()
            let path = fixture.directory + "/store"
            try flip(path, at: position)
            let expected: StorageError =
                (8..<12).contains(position)
                ? .unsupportedFormat(path: path, version: 3 ^ (0x10 << (8 * UInt32(position - 8))))
                : .damagedIdentity(path: path)
            #expect(throws: expected) { try fixture.open() }
        }
    }
}

/// A value that closures share.
final class Box<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) {
        state = Mutex(value)
    }

    var value: Value {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
