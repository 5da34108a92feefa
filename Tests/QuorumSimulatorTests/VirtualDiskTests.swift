// The disk keeps what was synced and nothing else.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol
import QuorumSimulator
import Testing

@Suite("A virtual disk")
struct VirtualDiskTests {
    private func write(_ text: String, _ maker: inout ChangeMaker, to disk: inout VirtualDisk) -> Timestamp {
        let (item, timestamp) = maker.prepare(text)
        disk.enqueue(item)
        return timestamp
    }

    private func sync(_ disk: inout VirtualDisk, _ generator: inout SeededGenerator) -> Int {
        guard disk.begin() else { return 0 }
        var count = 0
        disk.sync(&generator) { _, _ in count += 1 }
        disk.finish()
        return count
    }

    @Test("gives back what was synced, before and after a crash")
    func synced() throws {
        var maker = try ChangeMaker()
        var generator = SeededGenerator(seed: 1)
        var disk = VirtualDisk()
        let timestamp = write("a", &maker, to: &disk)
        #expect(disk.parts(maker.key, timestamp) == nil)
        let syncedCount = sync(&disk, &generator)
        #expect(syncedCount == 1)
        for _ in 0..<2 {
            #expect(disk.parts(maker.key, timestamp)?.fragments?.count == 1)
            #expect(disk.record(maker.key).value?.held.map(\.timestamp) == [timestamp])
            disk.crash(&generator)
        }
    }

    @Test("loses what waited, and of a batch under way all but a prefix", arguments: 0..<40 as Range<UInt64>)
    func unsynced(seed: UInt64) throws {
        var maker = try ChangeMaker()
        var generator = SeededGenerator(seed: seed)
        var disk = VirtualDisk()
        let batch = ["a", "b", "c"].map { write($0, &maker, to: &disk) }
        let begins = disk.begin()
        let late = write("d", &maker, to: &disk)
        let beginsAnother = disk.begin()
        #expect(begins && !beginsAnother, "one batch at a time")
        disk.crash(&generator)
        #expect(disk.parts(maker.key, late) == nil)
        let survived = batch.map { disk.parts(maker.key, $0) != nil }
        #expect(survived == survived.sorted { $0 && !$1 }, "a later change survived an earlier one")
        let held = disk.record(maker.key).value?.held ?? []
        #expect(Set(held.map(\.timestamp)) == Set(zip(batch, survived).filter(\.1).map(\.0)))
        let leftCount = sync(&disk, &generator)
        #expect(leftCount == 0)
    }

    @Test("loses the torn end of a batch in some crashes and keeps the whole batch in others")
    func torn() throws {
        var counts: Set<Int> = []
        for seed in 0..<40 as Range<UInt64> {
            var maker = try ChangeMaker()
            var generator = SeededGenerator(seed: seed)
            var disk = VirtualDisk()
            let batch = ["a", "b"].map { write($0, &maker, to: &disk) }
            _ = disk.begin()
            disk.crash(&generator)
            counts.insert(batch.count { disk.parts(maker.key, $0) != nil })
        }
        #expect(counts == [0, 1, 2])
    }

    @Test("loses a whole batch when power fails suddenly")
    func sudden() throws {
        for seed in 0..<20 as Range<UInt64> {
            var maker = try ChangeMaker()
            var generator = SeededGenerator(seed: seed)
            var disk = VirtualDisk()
            let batch = ["a", "b"].map { write($0, &maker, to: &disk) }
            _ = disk.begin()
            disk.crash(&generator, isSudden: true)
            #expect(batch.allSatisfy { disk.parts(maker.key, $0) == nil })
        }
    }

    @Test("reports what has rotted as missing, never as something else", arguments: 0..<40 as Range<UInt64>)
    func rot(seed: UInt64) throws {
        var maker = try ChangeMaker()
        var generator = SeededGenerator(seed: seed)
        var disk = VirtualDisk()
        let rotsEmpty = disk.rot(&generator)
        #expect(rotsEmpty == nil, "nothing can rot on an empty disk")
        let timestamps = ["a", "b"].map { write($0, &maker, to: &disk) }
        _ = sync(&disk, &generator)
        let before = timestamps.map { disk.parts(maker.key, $0)?.fragments }
        let rotten = disk.rot(&generator)
        #expect(rotten != nil)
        let isRecordLost = disk.record(maker.key).value == nil
        let after = timestamps.map { disk.parts(maker.key, $0)?.fragments }
        #expect(isRecordLost != zip(before, after).contains { $0 != nil && $1 == nil })
        for (was, now) in zip(before, after) { #expect(now == nil || now == was) }
        disk.crash(&generator)
        #expect(timestamps.map { disk.parts(maker.key, $0)?.fragments } == after)
    }
}
