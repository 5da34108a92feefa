// The index is not a single point: what it held is made again from the journal, whatever was forgotten there meanwhile.

import ErasureCode
import Foundation
import ObjectStorage
import Testing

@Suite("Making the index anew") struct IndexRebuildTests {
    private static let count = 4000

    private var options: StorageOptions {
        var options = StorageOptions.small
        options.indexWriteBufferBytes = 64 << 10
        options.restatingIntervalBytes = 512 << 10
        options.reclaimFlushBytes = 256 << 10
        return options
    }

    private func name(_ number: Int) -> [UInt8] { key("object \(number)") }

    private func record(_ number: Int) -> [UInt8] { bytes(200, seed: UInt64(number)).array }

    private func object(_ number: Int) -> ObjectMutation {
        ObjectMutation(
            key: name(number), slot: UInt16(number % 7), record: .set(record(number)), summary: [UInt8(number % 256)],
            head: .set([1, UInt8(number % 256)]),
            puts: [
                put(number, .descriptor, bytes(100, seed: UInt64(number))),
                put(number, .fragment(FragmentIndex(0), StripeIndex(0)), bytes(1500, seed: UInt64(number))),
            ],
            expiry: .set(UInt64(number)))
    }

    /// A store of several thousand objects, a third of them deleted, with rows, whose journal has forgotten most of
    /// what was said in it.
    private func filled(_ fixture: StoreFixture) throws -> ObjectStore {
        let store = try fixture.open()
        for start in stride(from: 0, to: Self.count, by: 50) {
            try store.applyAll((start..<start + 50).map(object))
            try store.applyAll([
                StoreMutation(rows: [.put(.accounts, key: key("row \(start)"), value: [UInt8(start % 256)])])
            ])
            _ = try store.reclaimShare()
            _ = try store.restate(sizeBytesMax: 256 << 10)
        }
        for start in stride(from: 0, to: Self.count, by: 60) {
            let deleted = stride(from: start, to: min(start + 60, Self.count), by: 3)
            try store.applyAll(
                deleted.map {
                    ObjectMutation(
                        key: name($0), slot: UInt16($0 % 7), record: .clear, head: .clear, drops: [version($0)],
                        expiry: .clear)
                })
        }
        for _ in 0..<4 {
            try store.restateAll()
            try store.flushIndex()
            _ = try store.reclaimAll()
            while try store.compact(sizeBytesMax: 256 << 10).hasMore {}
        }
        return store
    }

    private func expectAll(_ store: ObjectStore) throws {
        for number in 0..<Self.count {
            let isDeleted = number % 3 == 0
            try #require(try store.record(of: name(number)) == (isDeleted ? nil : record(number)), "object \(number)")
            try #require(try store.expiry(of: name(number)) == (isDeleted ? nil : UInt64(number)))
            for (part, size) in [
                (VersionPart.descriptor, 100), (.fragment(FragmentIndex(0), StripeIndex(0)), 1500),
            ] {
                let found = try store.part(of: name(number), version: version(number), part: part)
                try #require(found == (isDeleted ? nil : bytes(size, seed: UInt64(number))), "object \(number)")
            }
        }
        let alive = (0..<Self.count).filter { $0 % 3 != 0 }
        #expect(try store.objects(after: nil, limit: .max).count == alive.count)
        #expect(try store.liveObjects(from: nil, below: nil, limit: .max).count == alive.count)
        #expect(try store.objects(inSlot: 3, after: nil, limit: .max).count == alive.count { $0 % 7 == 3 })
        #expect(try store.expired(before: .max, limit: .max).map(\.expiry) == alive.map { UInt64($0) })
        #expect(try store.rows(.accounts, from: nil, below: nil, limit: .max).count == Self.count / 50)
    }

    @Test("An index that is gone comes back from a journal that has forgotten most of what was said in it")
    func gone() throws {
        let fixture = try StoreFixture(options: options)
        let store = try filled(fixture)
        try expectAll(store)
        let used = store.usage.unreclaimedSizeBytes
        try store.close()
        try FileManager.default.removeItem(atPath: fixture.directory + "/index")
        let reopened = try fixture.open()
        #expect(reopened.indexCondition == .madeAnew)
        try expectAll(reopened)
        // What was given back before is found to be dead again.
        try reopened.flushIndex()
        _ = try reopened.reclaimAll()
        #expect(reopened.usage.unreclaimedSizeBytes <= used)
        try expectAll(reopened)
        try reopened.applyAll([ObjectMutation(key: key("more"), record: .set([1]))])
        try reopened.close()
        let again = try fixture.open()
        #expect(again.indexCondition == .good)
        #expect(try again.record(of: key("more")) == [1])
    }

    @Test("Rotten blocks of the index cost the keys in them until the next opening, which makes them again")
    func rotten() throws {
        let fixture = try StoreFixture(options: options)
        try filled(fixture).close()
        let directory = fixture.directory + "/index/"
        var flippedCount = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name.hasSuffix(".sst") {
            let content = try contents(of: directory + name)
            // In the middle of a record, so in a block of data; far from those that every opening reads.
            for number in [500, 2000, 3001] {
                guard let place = content.firstRange(of: record(number)) else { continue }
                try flip(directory + name, at: place.lowerBound + 50)
                flippedCount += 1
            }
        }
        #expect(flippedCount >= 3)
        let damaged = try fixture.open()
        #expect(damaged.indexCondition == .good, "nobody has met the damage yet")
        var lostCount = 0
        for number in 0..<Self.count where number % 3 != 0 {
            do throws(StorageError) {
                #expect(try damaged.record(of: name(number)) == record(number))
            } catch {
                guard case .recordLost = error else { throw error }
                lostCount += 1
            }
        }
        #expect((3...150).contains(lostCount), "\(lostCount) records are lost")
        // Everything else is written as before.
        try damaged.applyAll([ObjectMutation(key: key("another"), record: .set([1]))])
        damaged.abandon()
        let reopened = try fixture.open()
        #expect(reopened.indexCondition == .madeAnew)
        #expect(try reopened.record(of: key("another")) == [1])
        try reopened.applyAll([ObjectMutation(key: key("another"), record: .clear)])
        try expectAll(reopened)
    }
}
