// Memory for fragments and blocks, used over and over.
//
// Fresh memory of this size comes from the kernel a page fault at a time, each of which costs about as much as hashing
// the page; memory that was used before does not. Sizes are rounded up to one of four steps to each power of two, so
// that a returned buffer serves later requests of about its size.

import Synchronization

/// Buffers of at least `pooledSizeBytesMin`, aligned to a cache line, kept when they are returned as long as no more
/// than `retainedBytesMax` lie idle. Smaller ones come from the allocator, which is fast at those.
package final class BufferPool: Sendable {
    /// The pool of this process.
    package static let shared = BufferPool(retainedBytesMax: 128 << 20)

    /// What is smaller is not pooled.
    package static let pooledSizeBytesMin = 4 << 10
    private static let alignment = 64

    /// A buffer that nobody but the pool refers to, and which may therefore change threads.
    private struct IdleBuffer: @unchecked Sendable {
        let start: UnsafeMutableRawPointer
    }

    private struct Idle {
        /// By capacity.
        var buffers: [Int: [IdleBuffer]] = [:]
        var retainedBytes = 0

        /// Takes a buffer out of that one of the other capacities that holds most bytes.
        mutating func evict(toMakeRoomFor capacity: Int) -> IdleBuffer? {
            let others = buffers.filter { $0.key != capacity && !$0.value.isEmpty }
            guard let largest = others.max(by: { $0.key * $0.value.count < $1.key * $1.value.count }) else {
                return nil
            }
            retainedBytes -= largest.key
            return buffers[largest.key]!.removeLast()
        }
    }

    private let idle = Mutex(Idle())
    private let retainedBytesMax: Int

    package init(retainedBytesMax: Int) {
        self.retainedBytesMax = retainedBytesMax
    }

    deinit {
        idle.withLock { idle in
            for buffer in idle.buffers.values.joined() { buffer.start.deallocate() }
        }
    }

    /// Uninitialised memory of at least `count` bytes, to be given back with the same count.
    package func take(count: Int) -> UnsafeMutableRawPointer {
        let capacity = Self.capacity(for: count)
        if capacity >= Self.pooledSizeBytesMin {
            let reused = idle.withLock { idle -> IdleBuffer? in
                guard let buffer = idle.buffers[capacity]?.popLast() else { return nil }
                idle.retainedBytes -= capacity
                return buffer
            }
            if let reused { return reused.start }
        }
        return .allocate(byteCount: capacity, alignment: Self.alignment)
    }

    /// Takes memory back that `take(count:)` handed out and that nobody reads any more.
    package func give(_ buffer: UnsafeMutableRawPointer, count: Int) {
        let capacity = Self.capacity(for: count)
        if capacity >= Self.pooledSizeBytesMin {
            let returned = IdleBuffer(start: buffer)
            // What is in use today displaces what was in use yesterday.
            var evicted: [IdleBuffer] = []
            let isRetained = idle.withLock { idle in
                while idle.retainedBytes + capacity > retainedBytesMax {
                    guard let other = idle.evict(toMakeRoomFor: capacity) else { return false }
                    evicted.append(other)
                }
                idle.retainedBytes += capacity
                idle.buffers[capacity, default: []].append(returned)
                return true
            }
            for other in evicted { other.start.deallocate() }
            if isRetained { return }
        }
        buffer.deallocate()
    }

    /// Bytes that lie idle.
    package var retainedBytes: Int { idle.withLock { $0.retainedBytes } }

    /// The count rounded up: by less than a quarter, and not at all below the pooled sizes.
    package static func capacity(for count: Int) -> Int {
        guard count >= pooledSizeBytesMin else { return count }
        let step = 1 << (Int.bitWidth - count.leadingZeroBitCount - 3)
        return (count + step - 1) & ~(step - 1)
    }
}
