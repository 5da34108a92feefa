// A real file system of a few megabytes, filled to the brim while the store writes and deletes.

import ErasureCode
import Glibc
import ObjectStorage
import SmallDisks
import Testing

/// A part's bytes, by the number of its object.
private func content(_ number: UInt64) -> SharedBytes {
    SharedBytes([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 16_000))
}

@Suite("A full disk", .enabled(if: SmallDisk.isAvailable, "needs to mount a file system of its own: run as root"))
struct FullDiskTests {
    private static let diskSizeBytes = 24 << 20

    private static var options: StorageOptions {
        var options = StorageOptions.small
        options.segmentSizeBytes = 1 << 20
        options.indexWriteBufferBytes = 256 << 10
        options.flushIntervalBytes = 1 << 20
        options.reclaimFlushBytes = 256 << 10
        return options
    }

    /// The objects that the store acknowledged, by number, with the seeds of their parts.
    private struct Acknowledged {
        var seeds: [Int: UInt64] = [:]

        func check(_ store: ObjectStore) throws {
            for (number, seed) in seeds {
                let found = try store.part(of: key("object \(number)"), version: version(1), part: .descriptor)
                try #require(found == content(seed), "object \(number)")
                try #require(try store.record(of: key("object \(number)")) != nil)
            }
            #expect(try store.objects(after: nil, limit: .max).count == seeds.count)
        }
    }

    /// Puts objects until the store has refused some for want of space, and never for anything else.
    private func putUntilFull(
        _ store: ObjectStore, from first: Int, _ acknowledged: inout Acknowledged, meanwhile: (Int) throws -> Void
    ) throws -> Int {
        var refusalCount = 0
        var number = first
        while refusalCount < 60 {
            let batch = (number..<number + 8).map { number in
                ObjectMutation(
                    key: key("object \(number)"), record: .set([UInt8](repeating: 3, count: 400)),
                    puts: [put(1, content(UInt64(number)))])
            }
            for (offset, result) in store.apply(batch).enumerated() {
                switch result {
                case .success: acknowledged.seeds[number + offset] = UInt64(number + offset)
                case .failure(.noSpace): refusalCount += 1
                case .failure(let error):
                    Issue.record("refused with \(error)")
                    return number
                }
            }
            _ = try store.reclaimShare()
            number += 8
            try meanwhile(number)
        }
        return number
    }

    private func deleteEven(_ store: ObjectStore, _ acknowledged: inout Acknowledged) -> Int {
        var deletedCount = 0
        for number in acknowledged.seeds.keys.sorted() where number % 2 == 0 {
            let results = store.apply([
                ObjectMutation(key: key("object \(number)"), record: .clear, drops: [version(1)])
            ])
            // As the server does it after every batch; what could not be given back is tried again.
            _ = try? store.reclaimShare()
            if results.first?.error == nil {
                acknowledged.seeds[number] = nil
                deletedCount += 1
            }
        }
        return deletedCount
    }

    @Test("Filled by the store itself: it refuses what does not fit, keeps the rest, and deletes its way out")
    func filledByItself() throws {
        let disk = try SmallDisk(sizeBytes: Self.diskSizeBytes)
        var options = Self.options
        options.reservedFreeBytes = 4 << 20
        let directory = disk.path + "/store"
        try ObjectStore.create(directory: directory, incarnation: 1, options: options)
        let store = try ObjectStore(directory: directory, options: options)
        var acknowledged = Acknowledged()
        var next = 0
        for _ in 0..<3 {
            next = try putUntilFull(store, from: next, &acknowledged) { _ in }
            try acknowledged.check(store)
            let evenCount = acknowledged.seeds.keys.count { $0 % 2 == 0 }
            #expect(deleteEven(store, &acknowledged) == evenCount)
            try store.flushIndex()
            _ = try store.reclaimAll()
        }
        store.abandon()
        let reopened = try ObjectStore(directory: directory, options: options)
        try acknowledged.check(reopened)
        try reopened.applyAll([ObjectMutation(key: key("after"), puts: [put(1, content(1))])])
    }

    @Test("Filled by others to the last byte while the index is being written: nothing ends, nothing is lost")
    func filledByOthers() throws {
        let disk = try SmallDisk(sizeBytes: Self.diskSizeBytes)
        var options = Self.options
        options.indexSetAsideBytes = 1 << 20
        let directory = disk.path + "/store"
        try ObjectStore.create(directory: directory, incarnation: 1, options: options)
        var store = try ObjectStore(directory: directory, options: options)
        var acknowledged = Acknowledged()
        var next = 0
        for round in 0..<4 {
            let start = next
            next = try putUntilFull(store, from: next, &acknowledged) { number in
                // Every byte that comes free goes to the others at once.
                if number > start + 100 * round { disk.fill(leavingBytes: 0) }
            }
            #expect(disk.freeBytes == 0)
            try acknowledged.check(store)
            // The index is asked to write itself where there is no room for it, again and again.
            for _ in 0..<40 {
                try? store.flushIndex()
                _ = try? store.reclaimShare()
            }
            do {
                try store.flushIndex()
            } catch StorageError.indexFull {
            }
            try acknowledged.check(store)
            if round % 2 == 1 {
                // A full disk opens, too: nothing is written but what the index set aside for that.
                store.abandon()
                store = try ObjectStore(directory: directory, options: options)
                try acknowledged.check(store)
            }
            _ = deleteEven(store, &acknowledged)
            try acknowledged.check(store)
            disk.release()
            // With room it goes on by itself: what waited is written, and writes are taken.
            let object = ObjectMutation(
                key: key("object \(next)"), record: .set([1]), puts: [put(1, content(UInt64(next)))])
            var isStored = false
            for _ in 0..<200 where !isStored {
                isStored = store.apply([object]).first?.error == nil
                if !isStored { usleep(50_000) }
            }
            try #require(isStored, "round \(round): no write is taken although there is room")
            acknowledged.seeds[next] = UInt64(next)
            next += 8
            try store.flushIndex()
            _ = try store.reclaimAll()
        }
        try store.close()
        let reopened = try ObjectStore(directory: directory, options: options)
        try acknowledged.check(reopened)
    }
}
