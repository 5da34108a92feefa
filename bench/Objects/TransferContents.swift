// The bytes of a large object: known at every offset, and made as fast as memory is copied.

import ErasureCode

/// So many bytes, a block at a time. No two blocks are the same.
struct TransferContents: AsyncSequence, Sendable {
    static let blockSizeBytes = 1 << 20

    let sizeBytes: UInt64
    private let pattern = RandomBytes.block(sizeBytes: Self.blockSizeBytes)

    init(sizeBytes: UInt64) { self.sizeBytes = sizeBytes }

    /// A whole block, though the object may end within it.
    private func block(_ number: UInt64) -> SharedBytes {
        SharedBytes(uninitializedCount: Self.blockSizeBytes) { target in
            pattern.withUnsafeBytes { target.copyMemory(from: $0) }
            target.storeBytes(of: number.littleEndian, as: UInt64.self)
        }
    }

    /// Hands on all of it, a block at a time.
    func eachBlock(_ body: (SharedBytes) throws -> Void) rethrows {
        var offset: UInt64 = 0
        while offset < sizeBytes {
            let block = block(offset / UInt64(Self.blockSizeBytes))
            let count = Int(Swift.min(UInt64(block.count), sizeBytes - offset))
            offset += UInt64(count)
            try body(block[0..<count])
        }
    }

    /// Whether these are the bytes from an offset on.
    func matches(_ bytes: SharedBytes, from offset: UInt64) -> Bool {
        guard offset + UInt64(bytes.count) <= sizeBytes else { return false }
        var done = 0
        while done < bytes.count {
            let place = offset + UInt64(done)
            let within = Int(place % UInt64(Self.blockSizeBytes))
            let count = Swift.min(bytes.count - done, Self.blockSizeBytes - within)
            let expected = block(place / UInt64(Self.blockSizeBytes))[within..<within + count]
            guard bytes[done..<done + count] == expected else { return false }
            done += count
        }
        return true
    }

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let contents: TransferContents
        private var offset: UInt64 = 0

        fileprivate init(_ contents: TransferContents) { self.contents = contents }

        mutating func next() async -> SharedBytes? {
            guard offset < contents.sizeBytes else { return nil }
            let block = contents.block(offset / UInt64(TransferContents.blockSizeBytes))
            let count = Int(Swift.min(UInt64(block.count), contents.sizeBytes - offset))
            offset += UInt64(count)
            return block[0..<count]
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}
