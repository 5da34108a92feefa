// Pages that a few living bytes keep come back: the living are moved, and stay what they were.

import ErasureCode
import ObjectStorage
import SmallDisks
import StorageSimulator
import Testing

@Suite("Compaction") struct CompactionTests {
    private static let partSizeBytes = 2048
    private static let objectsPerBatch = 16

    private func name(_ number: Int) -> [UInt8] { key("object \(number)") }

    private func content(_ number: Int) -> SharedBytes { bytes(Self.partSizeBytes, seed: UInt64(number)) }

    private func object(_ number: Int) -> ObjectMutation {
        ObjectMutation(
            key: name(number), record: .set([1, 2, 3]),
            puts: [put(1, .fragment(FragmentIndex(0), StripeIndex(0)), content(number))])
    }

    private func fill(_ store: ObjectStore, _ count: Int) throws {
        for start in stride(from: 0, to: count, by: Self.objectsPerBatch) {
            try store.applyAll((start..<min(start + Self.objectsPerBatch, count)).map(object))
        }
    }

    private func delete(_ store: ObjectStore, _ numbers: [Int]) throws {
        for start in stride(from: 0, to: numbers.count, by: Self.objectsPerBatch) {
            let chosen = numbers[start..<min(start + Self.objectsPerBatch, numbers.count)]
            try store.applyAll(
                chosen.map { ObjectMutation(key: name($0), record: .clear, drops: [version(1)]) })
        }
    }

    private func expect(_ alive: [Int], in store: ObjectStore) throws {
        for number in alive {
            let found = try store.part(
                of: name(number), version: version(1), part: .fragment(FragmentIndex(0), StripeIndex(0)))
            try #require(found == content(number), "object \(number)")
        }
        #expect(try store.objects(after: nil, limit: .max).count == alive.count)
    }

    private var options: StorageOptions {
        var options = StorageOptions.small
        options.compactionWasteBytesMin = 64 << 10
        return options
    }

    /// Nine of ten, in no order.
    private func split(_ count: Int) -> (dead: [Int], alive: [Int]) {
        var generator = SeededGenerator(seed: 5)
        let order = (0..<count).shuffled(using: &generator)
        return (Array(order.prefix(count * 9 / 10)), Array(order.suffix(count - count * 9 / 10)))
    }

    @Test("Deleting 90 % of many small objects gives back 80 % of what they took, on real files, and through a crash")
    func onRealFiles() throws {
        let fixture = try StoreFixture(options: options)
        let store = try fixture.open()
        let empty = try fixture.journalDiskBytes()
        try fill(store, 2000)
        let full = try fixture.journalDiskBytes()
        let (dead, alive) = split(2000)
        try delete(store, dead)
        try store.settle()
        let moved = try store.compactAll()
        #expect(moved > 0)
        let left = try fixture.journalDiskBytes()
        #expect(5 * (left - empty) <= full - empty, "of \(full - empty) bytes, \(left - empty) are left")
        try expect(alive, in: store)
        store.abandon()
        try expect(alive, in: try fixture.open())
    }

    @Test("Facts of what was deleted come back, too, although they were many when all was last said again")
    func facts() throws {
        var options = options
        options.restatingIntervalBytes = 32 << 10
        let files = MemoryFiles(dice: Dice(seed: 1))
        options.system = StorageSystem(files: files, indexes: MemoryIndexes(files: files, dice: Dice(seed: 2)))
        try ObjectStore.create(directory: "/store", incarnation: 1, options: options)
        let store = try ObjectStore(directory: "/store", options: options)
        func work() throws {
            while try store.restate(sizeBytesMax: 16 << 10).hasMore {}
            try store.flushIndex()
            _ = try store.reclaimAll()
            while try store.compact(sizeBytesMax: 64 << 10).hasMore {}
        }
        let empty = files.occupiedBytes
        for start in stride(from: 0, to: 2000, by: Self.objectsPerBatch) {
            try store.applyAll(
                (start..<start + Self.objectsPerBatch).map {
                    ObjectMutation(key: name($0), record: .set([1]), puts: [put(1, bytes(400, seed: UInt64($0)))])
                })
            try work()
        }
        let full = files.occupiedBytes
        let (dead, alive) = split(2000)
        for start in stride(from: 0, to: dead.count, by: 100) {
            try delete(store, Array(dead[start..<start + 100]))
            try work()
        }
        for _ in 0..<3 { try work() }
        let left = files.occupiedBytes
        #expect(5 * (left - empty) <= 2 * (full - empty), "of \(full - empty) bytes, \(left - empty) are left")
        #expect(try store.objects(after: nil, limit: .max).count == alive.count)
        store.abandon()
        let reopened = try ObjectStore(directory: "/store", options: options)
        #expect(try reopened.objects(after: nil, limit: .max).count == alive.count)
    }

    @Test("The same on files in memory")
    func onInjectedFiles() throws {
        var options = options
        let files = MemoryFiles(dice: Dice(seed: 1))
        options.system = StorageSystem(files: files, indexes: MemoryIndexes(files: files, dice: Dice(seed: 2)))
        try ObjectStore.create(directory: "/store", incarnation: 1, options: options)
        let store = try ObjectStore(directory: "/store", options: options)
        let empty = files.occupiedBytes
        try fill(store, 1000)
        let full = files.occupiedBytes
        let (dead, alive) = split(1000)
        try delete(store, dead)
        try store.settle()
        _ = try store.compactAll()
        let left = files.occupiedBytes
        #expect(5 * (left - empty) <= full - empty, "of \(full - empty) bytes, \(left - empty) are left")
        try expect(alive, in: store)
    }

    @Test("A full disk of nothing but small objects, all of them facts, is deleted from until puts are taken again")
    func nothingButFacts() throws {
        var options = options
        options.segmentSizeBytes = 256 << 10
        options.reservedFreeBytes = 512 << 10
        options.restatingIntervalBytes = 128 << 10
        let files = MemoryFiles(dice: Dice(seed: 1))
        options.system = StorageSystem(files: files, indexes: MemoryIndexes(files: files, dice: Dice(seed: 2)))
        try ObjectStore.create(directory: "/store", incarnation: 1, options: options)
        let store = try ObjectStore(directory: "/store", options: options)
        files.setCapacity(6 << 20)
        func work() throws {
            _ = try store.maintain(limit: 1000)
            _ = try store.compact(sizeBytesMax: 64 << 10)
            while try store.restate(sizeBytesMax: 64 << 10).hasMore {}
            try store.flushIndex()
        }
        func small(_ number: Int) -> ObjectMutation {
            ObjectMutation(key: name(number), record: .set([1]), puts: [put(1, bytes(600, seed: UInt64(number)))])
        }
        var count = 0
        while store.apply((count..<count + 4).map(small)).allSatisfy({ $0.error == nil }) {
            count += 4
            try #require(count < 20_000)
        }
        try work()
        while store.apply((count..<count + 4).map(small)).allSatisfy({ $0.error == nil }) {
            count += 4
            try work()
            try #require(count < 20_000)
        }
        #expect(count > 500)
        for number in 0..<count {
            try store.applyAll([ObjectMutation(key: name(number), record: .clear, drops: [version(1)])])
            if number % 8 == 0 { try work() }
        }
        for _ in 0..<3 {
            try work()
            _ = try store.reclaimAll()
        }
        for start in stride(from: count + 8, to: count + 8 + count / 2, by: 4) {
            try store.applyAll((start..<start + 4).map(small))
            if start % 64 == 0 { try work() }
        }
    }

    @Test("A part that has rotted stays where it is and is refused as before; all others are moved")
    func rotten() throws {
        let fixture = try StoreFixture(options: options)
        let store = try fixture.open()
        try fill(store, 400)
        let (dead, alive) = split(400)
        try delete(store, dead)
        try store.settle()
        let victim = alive[0]
        let needle = content(victim).array
        for path in try fixture.segmentPaths() {
            let bytes = try contents(of: path)
            if let offset = bytes.firstRange(of: needle)?.lowerBound { try flip(path, at: offset + 100) }
        }
        func expectCorrupt() {
            #expect {
                _ = try store.part(
                    of: name(victim), version: version(1), part: .fragment(FragmentIndex(0), StripeIndex(0)))
            } throws: { error in
                guard case StorageError.corruptPart = error else { return false }
                return true
            }
        }
        expectCorrupt()
        #expect(try store.compactAll() > 0)
        expectCorrupt()
        for number in alive.dropFirst() {
            let found = try store.part(
                of: name(number), version: version(1), part: .fragment(FragmentIndex(0), StripeIndex(0)))
            #expect(found == content(number))
        }
    }

    @Test("What is put, replaced and dropped between the steps of a round is left alone")
    func amongChanges() throws {
        let fixture = try StoreFixture(options: options)
        let store = try fixture.open()
        try fill(store, 800)
        var (dead, alive) = split(800)
        try delete(store, dead)
        try store.settle()
        var next = 800
        var stepCount = 0
        while try store.compact(sizeBytesMax: 4096).hasMore {
            let dropped = alive.removeFirst()
            try delete(store, [dropped])
            dead.append(dropped)
            try store.applyAll([object(next), object(alive[0])])
            alive.append(next)
            next += 1
            _ = try store.reclaimShare()
            stepCount += 1
            try #require(stepCount < 10_000)
        }
        #expect(stepCount > 10)
        try expect(alive, in: store)
        store.abandon()
        try expect(alive, in: try fixture.open())
    }

    @Test(
        "On a full disk it goes on in a quarter of the reserve, until puts are taken again",
        .enabled(if: SmallDisk.isAvailable, "needs to mount a file system of its own: run as root"))
    func onFullDisk() throws {
        let disk = try SmallDisk(sizeBytes: 24 << 20)
        var options = options
        options.segmentSizeBytes = 1 << 20
        options.reservedFreeBytes = 4 << 20
        options.indexWriteBufferBytes = 256 << 10
        let directory = disk.path + "/store"
        try ObjectStore.create(directory: directory, incarnation: 1, options: options)
        let store = try ObjectStore(directory: directory, options: options)
        var count = 0
        fill: while count < 20_000 {
            let results = store.apply((count..<count + Self.objectsPerBatch).map(object))
            for result in results {
                if let error = result.error {
                    guard case .noSpace = error else { throw error }
                    break fill
                }
                count += 1
            }
        }
        let listed = try store.objects(after: nil, limit: .max).count
        let numbers = (0..<count + Self.objectsPerBatch).filter {
            (try? store.record(of: name($0))) ?? nil != nil
        }
        #expect(numbers.count == listed)
        // Every tenth lives: no segment and hardly a page is without life.
        let dead = numbers.filter { $0 % 10 != 0 }
        var moved = 0
        for start in stride(from: 0, to: dead.count, by: 160) {
            try delete(store, Array(dead[start..<min(start + 160, dead.count)]))
            // As a server does it about once a second.
            _ = try store.maintain(limit: 1000)
            moved += try store.compact(sizeBytesMax: 256 << 10).movedCount
            while try store.restate(sizeBytesMax: 256 << 10).hasMore {}
        }
        try store.settle()
        moved += try store.compactAll()
        #expect(moved > 0)
        let alive = numbers.filter { $0 % 10 == 0 }
        try expect(alive, in: store)
        let more = (count + 100)..<(count + 100 + count / 2)
        for start in stride(from: more.lowerBound, to: more.upperBound, by: Self.objectsPerBatch) {
            try store.applyAll((start..<min(start + Self.objectsPerBatch, more.upperBound)).map(object))
        }
        try expect(alive + more, in: store)
    }
}

extension ObjectStore {
    /// Gives back all that can be.
    fileprivate func settle() throws {
        for _ in 0..<3 {
            try restateAll()
            try flushIndex()
            _ = try reclaimAll()
        }
    }

    /// Rounds of compaction until none finds anything to move; how many parts were moved.
    fileprivate func compactAll() throws -> Int {
        var moved = 0
        for _ in 0..<8 {
            var progress: CompactionProgress
            repeat {
                progress = try compact(sizeBytesMax: 64 << 10)
                moved += progress.movedCount
            } while progress.hasMore
            try settle()
        }
        return moved
    }
}
