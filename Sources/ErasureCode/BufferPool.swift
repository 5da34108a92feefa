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

    /// The idle buffers of one capacity. Each one's first word is the address of the next, so that neither taking nor
    /// giving allocates anything.
    private struct Shelf: @unchecked Sendable {
        private var first: UnsafeMutableRawPointer?
        private(set) var count = 0

        mutating func push(_ buffer: UnsafeMutableRawPointer) {
            buffer.storeBytes(of: first, as: UnsafeMutableRawPointer?.self)
            first = buffer
            count += 1
        }

        mutating func pop() -> Buffer? {
            guard let buffer = first else { return nil }
            first = buffer.load(as: UnsafeMutableRawPointer?.self)
            count -= 1
            return Buffer(start: buffer)
        }
    }

    /// A buffer that nobody but its holder refers to, and which may therefore change threads.
    private struct Buffer: @unchecked Sendable {
        let start: UnsafeMutableRawPointer
    }

    private struct Idle {
        /// By step.
        var shelves = Array(repeating: Shelf(), count: BufferPool.stepCount)
        var retainedBytes = 0

        mutating func pop(step: Int) -> Buffer? {
            guard let buffer = shelves[step].pop() else { return nil }
            retainedBytes -= BufferPool.capacity(ofStep: step)
            return buffer
        }

        /// Takes a buffer out of that one of the other steps that holds most bytes.
        mutating func evict(toMakeRoomFor step: Int) -> Buffer? {
            var largest: (step: Int, bytes: Int)?
            for other in shelves.indices where other != step && shelves[other].count > 0 {
                let bytes = shelves[other].count * BufferPool.capacity(ofStep: other)
                if bytes > largest?.bytes ?? 0 { largest = (other, bytes) }
            }
            return largest.flatMap { pop(step: $0.step) }
        }
    }

    private let idle = Mutex(Idle())
    private let retainedBytesMax: Int

    package init(retainedBytesMax: Int) {
        self.retainedBytesMax = retainedBytesMax
    }

    deinit {
        idle.withLock { idle in
            for step in 0..<Self.stepCount {
                while let buffer = idle.pop(step: step) { buffer.start.deallocate() }
            }
        }
    }

    /// Uninitialised memory of at least `count` bytes, to be given back with the same count.
    package func take(count: Int) -> UnsafeMutableRawPointer {
        guard let step = Self.step(for: count) else {
            return .allocate(byteCount: count, alignment: Self.alignment)
        }
        return idle.withLock { $0.pop(step: step) }?.start
            ?? .allocate(byteCount: Self.capacity(ofStep: step), alignment: Self.alignment)
    }

    /// Takes memory back that `take(count:)` handed out and that nobody reads any more.
    package func give(_ buffer: UnsafeMutableRawPointer, count: Int) {
        guard let step = Self.step(for: count) else {
            buffer.deallocate()
            return
        }
        let capacity = Self.capacity(ofStep: step)
        let returned = Buffer(start: buffer)
        // What is in use today displaces what was in use yesterday.
        var isRetained = false
        while !isRetained {
            let evicted = idle.withLock { idle -> Buffer? in
                guard idle.retainedBytes + capacity > retainedBytesMax else {
                    idle.shelves[step].push(returned.start)
                    idle.retainedBytes += capacity
                    isRetained = true
                    return nil
                }
                return idle.evict(toMakeRoomFor: step)
            }
            if let evicted { evicted.start.deallocate() } else if !isRetained { break }
        }
        if !isRetained { buffer.deallocate() }
    }

    /// Bytes that lie idle.
    package var retainedBytes: Int { idle.withLock { $0.retainedBytes } }

    /// The count rounded up: by less than a quarter, and not at all below the pooled sizes.
    package static func capacity(for count: Int) -> Int {
        step(for: count).map(capacity(ofStep:)) ?? count
    }

    /// Four to each power of two, from the smallest pooled size up to the largest there is.
    private static let stepCount = 4 * (Int.bitWidth - 1 - pooledSizeBytesMin.trailingZeroBitCount)

    /// The lowest step whose capacity suffices; nil for what is not pooled.
    private static func step(for count: Int) -> Int? {
        guard count >= pooledSizeBytesMin else { return nil }
        // Of a count just above a step, the bits below its two after the first are rounded up.
        let exponent = Int.bitWidth - 1 - (count - 1).leadingZeroBitCount
        guard exponent >= pooledSizeBytesMin.trailingZeroBitCount else { return 0 }
        let quarter = (count - 1) >> (exponent - 2) & 3
        return 4 * (exponent - pooledSizeBytesMin.trailingZeroBitCount) + quarter + 1
    }

    private static func capacity(ofStep step: Int) -> Int {
        (4 + step & 3) << (pooledSizeBytesMin.trailingZeroBitCount - 2 + step >> 2)
    }
}
