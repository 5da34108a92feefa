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
        var buffers: [Int: [IdleBuffer]] = [:]
        var retainedBytes = 0
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
            let isRetained = idle.withLock { idle in
                guard idle.retainedBytes + capacity <= retainedBytesMax else { return false }
                idle.retainedBytes += capacity
                idle.buffers[capacity, default: []].append(returned)
                return true
            }
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
