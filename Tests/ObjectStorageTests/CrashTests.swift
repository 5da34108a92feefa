// A store that was killed, cut off in a write, or rotted comes back with exactly what it acknowledged, or refuses.

import ErasureCode
import Foundation
import ObjectStorage
import StorageSimulator
import Synchronization
import Testing

@Suite struct CrashTests {
    @Test("A crash takes the index back to its last flush, so that the crash tests test the replay")
    func crashForgetsUnflushedIndex() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        try store.applyAll([ObjectMutation(key: key("a"), record: .set([1]))])
        store.abandon()
        let segment = try #require(fixture.segmentPaths().first)
        try overwrite(segment, at: 4096, with: [UInt8](repeating: 0, count: 4096))
        let reopened = try fixture.open()
        #expect(try reopened.record(of: key("a")) == nil)
        #expect(reopened.usage.nextSequence == 1)
    }

    @Test("A clean close leaves nothing to replay")
    func closeFlushes() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        try store.applyAll([ObjectMutation(key: key("a"), record: .set([1]))])
        try store.close()
        let segment = try #require(fixture.segmentPaths().first)
        try overwrite(segment, at: 4096, with: [UInt8](repeating: 0, count: 4096))
        let reopened = try fixture.open()
        #expect(try reopened.record(of: key("a")) == [1])
        #expect(reopened.usage.nextSequence == 2)
    }

    @Test(
        "Hundreds of crashes, torn writes, flushes and reclaims in a random workload lose and invent nothing",
        arguments: [11, 12, 13, 14] as [UInt64])
    func randomCrashes(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        var workload = StorageWorkload(dice: dice.fork())
        var options = StorageOptions.small
        options.indexWriteBufferBytes = 64 << 10
        options.flushIntervalBytes = seed % 2 == 0 ? 300 << 10 : 1 << 30
        options.reclaimFlushBytes = 100 << 10
        let failing = Failing()
        options.system.files = AlteredFiles(syncFailure: { failing.failure(of: $0) })
        let fixture = try StoreFixture(options: options)
        var model = StoreModel()
        var crashCount = 0
        var tornCount = 0
        var store = try fixture.open()
        for step in 0..<500 {
            switch Int.random(in: 0..<20, using: &dice) {
            case 0..<11:
                let batch = workload.batch()
                try store.applyAll(batch)
                model.apply(batch)
            case 11..<14:
                _ = try store.reclaim(limit: Int.random(in: 1...40, using: &dice))
            case 14:
                try store.flushIndex()
            case 15:
                try store.close()
                store = try fixture.open()
            case 16..<18:
                store.abandon()
                store = try fixture.open()
                crashCount += 1
                let difference = try model.difference(from: store)
                try #require(difference == nil, "seed \(seed), step \(step), after a crash")
            default:
                // Written, never acknowledged, and only some of its pages reached the disk.
                let batch = workload.batch()
                failing.setFailing(true)
                for result in store.apply(batch) {
                    guard case .failed = result.error else {
                        Issue.record("seed \(seed), step \(step): acknowledged without a sync")
                        return
                    }
                }
                failing.setFailing(false)
                store.abandon()
                try losePages(of: fixture, &dice)
                store = try fixture.open()
                tornCount += 1
                var other = model
                other.apply(batch)
                if try other.difference(from: store) == nil {
                    model = other
                } else {
                    let difference = try model.difference(from: store)
                    try #require(difference == nil, "seed \(seed), step \(step), after a torn write")
                }
            }
        }
        #expect(crashCount > 30 && tornCount > 30, "seed \(seed)")
        let difference = try model.difference(from: store)
        #expect(difference == nil, "seed \(seed), at the end")
    }

    /// Zeroes a random choice of the pages of the last batch in the journal.
    private func losePages(of fixture: StoreFixture, _ generator: inout Dice) throws {
        for path in try fixture.segmentPaths().reversed() {
            guard let start = try fixture.batchOffsets(in: path).last else { continue }
            let size = try #require(FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
            for page in stride(from: start, to: min(size, start + 40 * 4096), by: 4096)
            where Int.random(in: 0..<4, using: &generator) == 0 {
                try overwrite(path, at: page, with: [UInt8](repeating: 0, count: min(4096, size - page)))
            }
            return
        }
    }

    /// Two batches, an inline and a journaled part in each, unflushed and abandoned.
    private func twoBatches() throws -> (fixture: StoreFixture, path: String, offsets: [Int]) {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        for number in 1...2 {
            try store.applyAll([
                ObjectMutation(
                    key: key("a"), record: .set([UInt8(number)]),
                    puts: [
                        put(number, .descriptor, bytes(100, seed: UInt64(number))),
                        put(number, .fragment(FragmentIndex(0), StripeIndex(0)), bytes(6000, seed: UInt64(number))),
                    ], expiry: .set(UInt64(number)))
            ])
        }
        store.abandon()
        let path = try #require(fixture.segmentPaths().first)
        return (fixture, path, try fixture.batchOffsets(in: path))
    }

    /// 104 bytes of header, then of metadata: key, slot, flags, record, summary, expiry, counts, two puts of 56-byte
    /// versions.
    private static let metadataEnd = 104 + (2 + 1) + 2 + 1 + (4 + 1) + 2 + 8 + 4 + 4 + 2 * (1 + 56 + 1 + 1 + 4 + 4 + 4)
    private static let headPositions =
        Array(0..<104) + stride(from: 104, to: metadataEnd - 1, by: 5) + [metadataEnd - 1]
    private static let payloadPositions = [0, 99, 100, 3000, 4095 - metadataEnd, 4096 - metadataEnd, 6099].map {
        metadataEnd + $0
    }

    @Test("A last batch with any byte of header, metadata or payload damaged is taken for torn, and the store goes on")
    func damagedLastBatch() throws {
        let (base, path, offsets) = try twoBatches()
        #expect(offsets == [4096, 12288])
        for position in Self.headPositions + Self.payloadPositions {
            let fixture = try base.copy()
            let damaged = fixture.journal + "/" + (path as NSString).lastPathComponent
            try flip(damaged, at: offsets[1] + position)
            let store = try fixture.open()
            try #require(store.usage.nextSequence == 2, "byte \(position)")
            #expect(try store.record(of: key("a")) == [1], "byte \(position)")
            #expect(try store.part(of: key("a"), version: version(2), part: .descriptor) == nil, "byte \(position)")
            try store.applyAll([ObjectMutation(key: key("b"), record: .set([3]))])
            store.abandon()
            let again = try fixture.open()
            #expect(try again.objects(after: nil, limit: 9).map(\.record) == [[1], [3]], "byte \(position)")
        }
    }

    @Test("A batch with any byte of header or metadata damaged before another one makes the store refuse to open")
    func damagedEarlierHead() throws {
        let (base, path, offsets) = try twoBatches()
        for position in Self.headPositions {
            let fixture = try base.copy()
            let damaged = fixture.journal + "/" + (path as NSString).lastPathComponent
            try flip(damaged, at: offsets[0] + position)
            #expect("byte \(position)") {
                try fixture.open()
            } throws: { error in
                guard case .damagedJournal(damaged, 4096, _) = error as? StorageError else { return false }
                return true
            }
        }
    }

    @Test("A part damaged in an earlier batch is refused when it is read; everything else is there")
    func damagedEarlierPart() throws {
        let (base, path, offsets) = try twoBatches()
        for position in Self.payloadPositions {
            let fixture = try base.copy()
            try flip(fixture.journal + "/" + (path as NSString).lastPathComponent, at: offsets[0] + position)
            let store = try fixture.open()
            let isInline = position < Self.metadataEnd + 100
            for part in [.descriptor, .fragment(FragmentIndex(0), StripeIndex(0))] as [VersionPart] {
                if (part == .descriptor) == isInline {
                    #expect("byte \(position)") {
                        try store.part(of: key("a"), version: version(1), part: part)
                    } throws: { error in
                        guard case .corruptPart = error as? StorageError else { return false }
                        return true
                    }
                } else {
                    #expect(try store.part(of: key("a"), version: version(1), part: part) != nil)
                }
                #expect(try store.part(of: key("a"), version: version(2), part: part) != nil)
            }
            #expect(try store.record(of: key("a")) == [2])
        }
    }

    @Test("A segment cut off anywhere in its last batch loses that batch and nothing else")
    func truncatedLastBatch() throws {
        let (base, path, offsets) = try twoBatches()
        let size = try #require(FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64)
        let cuts = [0, 1, 103, 104, 105, Self.metadataEnd - 1, Self.metadataEnd] + Self.payloadPositions
        for cut in cuts {
            let fixture = try base.copy()
            let damaged = fixture.journal + "/" + (path as NSString).lastPathComponent
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: damaged))
            try file.truncate(atOffset: UInt64(offsets[1] + cut))
            // Preallocation is durable before the segment is used, so a crash leaves zeros, not a shorter file.
            try file.truncate(atOffset: size)
            try file.close()
            let store = try fixture.open()
            #expect(store.usage.nextSequence == 2, "cut at \(cut)")
            #expect(try store.record(of: key("a")) == [1], "cut at \(cut)")
        }
    }

    @Test("The remains of a torn batch are never taken for a batch of a later time")
    func tornRemainsStayDead() throws {
        let (fixture, path, offsets) = try twoBatches()
        let remains = try Array(Data(contentsOf: URL(fileURLWithPath: path))[offsets[1]..<offsets[1] + 8192])
        // The second batch's payload is damaged: its head is intact and must be made unreadable.
        try flip(path, at: offsets[1] + 5000)
        try fixture.open().abandon()
        #expect(try fixture.batchOffsets(in: path) == [offsets[0]])

        // A copy of a batch inside a part lies at another place than its header says.
        let store = try fixture.open()
        let metadataSize = (2 + 1) + 2 + 1 + 4 + 4 + (1 + 56 + 1 + 1 + 4 + 4 + 4)
        let padding = [UInt8](repeating: 0, count: 4096 - 104 - metadataSize)
        try store.applyAll([ObjectMutation(key: key("b"), puts: [put(1, SharedBytes(padding + remains))])])
        #expect(try fixture.batchOffsets(in: path) == [offsets[0], offsets[1], offsets[1] + 4096])
        store.abandon()
        let reopened = try fixture.open()
        #expect(reopened.usage.nextSequence == 3)
        #expect(try reopened.record(of: key("a")) == [1])
    }
}

/// Syncs that fail when told to.
private final class Failing: Sendable {
    private let isFailing = Mutex(false)

    func setFailing(_ value: Bool) {
        isFailing.withLock { $0 = value }
    }

    func failure(of path: String) -> StorageError? {
        isFailing.withLock { $0 } ? .system("fdatasync", path, EIO) : nil
    }
}
