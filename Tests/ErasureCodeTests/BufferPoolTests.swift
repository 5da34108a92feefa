// What the pool promises: memory comes back, nothing is handed out twice, and no more than its share lies idle.

import ErasureCode
import Testing

@Suite("A buffer pool")
struct BufferPoolTests {
    @Test("hands out a returned buffer again to a request of about its size")
    func reuse() {
        let pool = BufferPool(retainedBytesMax: 1 << 20)
        let first = pool.take(count: 100_000)
        let second = pool.take(count: 100_000)
        #expect(first != second)
        pool.give(first, count: 100_000)
        let again = pool.take(count: 99_000)
        #expect(again == first)
        pool.give(again, count: 99_000)
        pool.give(second, count: 100_000)
    }

    @Test("keeps no more than its limit")
    func limit() {
        // 70,000 bytes are rounded up to 80 KiB: three of them fit.
        let pool = BufferPool(retainedBytesMax: 3 * 81_920 + 1)
        let buffers = (0..<5).map { _ in pool.take(count: 70_000) }
        #expect(Set(buffers).count == 5)
        for buffer in buffers { pool.give(buffer, count: 70_000) }
        #expect(pool.retainedBytes == 3 * 81_920)
    }

    @Test("gives up idle buffers of another size for those that are in use now")
    func eviction() {
        let pool = BufferPool(retainedBytesMax: 10 << 20)
        let large = (0..<3).map { _ in pool.take(count: 4 << 20) }
        for buffer in large { pool.give(buffer, count: 4 << 20) }
        #expect(pool.retainedBytes == 8 << 20)
        let small = (0..<200).map { _ in pool.take(count: 32 << 10) }
        for buffer in small { pool.give(buffer, count: 32 << 10) }
        #expect(pool.retainedBytes <= 10 << 20)
        let again = Set((0..<200).map { _ in pool.take(count: 32 << 10) })
        #expect(again == Set(small))
        for buffer in again { pool.give(buffer, count: 32 << 10) }
    }

    @Test("leaves small buffers to the allocator")
    func small() {
        let pool = BufferPool(retainedBytesMax: 1 << 20)
        let buffer = pool.take(count: BufferPool.pooledSizeBytesMin - 1)
        pool.give(buffer, count: BufferPool.pooledSizeBytesMin - 1)
        #expect(pool.retainedBytes == 0)
    }

    @Test("rounds sizes up by less than a quarter, the same for every size it rounds to")
    func capacities() {
        for count in [4096, 4097, 5119, 5120, 5121, 8191, 65_535, 65_537, 1 << 20, (1 << 20) + 1, 5_000_001] {
            let capacity = BufferPool.capacity(for: count)
            #expect(capacity >= count && 4 * (capacity - count) < count, "\(count) bytes")
            #expect(BufferPool.capacity(for: capacity) == capacity)
        }
    }

    @Test("aligns every buffer to a cache line", arguments: [1, 100, 4096, 10_000, 1 << 20])
    func alignment(count: Int) {
        let pool = BufferPool(retainedBytesMax: 1 << 22)
        for _ in 0..<3 {
            let buffer = pool.take(count: count)
            #expect(Int(bitPattern: buffer) % 64 == 0)
            pool.give(buffer, count: count)
        }
    }

    @Test("never hands one buffer to two holders, whatever threads take and give")
    func concurrency() async {
        let pool = BufferPool(retainedBytesMax: 1 << 20)
        await withTaskGroup(of: Bool.self) { group in
            for holder in UInt64(1)...8 {
                group.addTask {
                    var isAlone = true
                    for round in 0..<2000 {
                        let count = 4096 + 1024 * (round % 5)
                        let buffer = pool.take(count: count)
                        let words = buffer.bindMemory(to: UInt64.self, capacity: 2)
                        words[0] = holder
                        words[1] = UInt64(round)
                        if round % 64 == 0 { await Task.yield() }
                        isAlone = isAlone && words[0] == holder && words[1] == UInt64(round)
                        pool.give(buffer, count: count)
                    }
                    return isAlone
                }
            }
            for await isAlone in group { #expect(isAlone) }
        }
    }
}
