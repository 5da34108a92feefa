// Blocks of one size out of pieces of any sizes.

import ErasureCode

/// Cuts what a sequence gives into blocks. What is given in pieces of a block's size is not copied.
struct BlockSource<Iterator: AsyncIteratorProtocol> where Iterator.Element == SharedBytes {
    private var iterator: Iterator
    private var pieces: [SharedBytes] = []
    private var available = 0
    private var isAtEnd = false

    init(_ iterator: Iterator) {
        self.iterator = iterator
    }

    /// The next block; a shorter one, or an empty one, only at the source's end.
    mutating func next(sizeBytes: Int) async throws -> SharedBytes {
        while available < sizeBytes, !isAtEnd {
            if let piece = try await iterator.next() {
                guard piece.count > 0 else { continue }
                pieces.append(piece)
                available += piece.count
            } else {
                isAtEnd = true
            }
        }
        return take(min(sizeBytes, available))
    }

    /// Puts back what was taken last.
    mutating func putBack(_ block: SharedBytes) {
        guard block.count > 0 else { return }
        pieces.insert(block, at: 0)
        available += block.count
    }

    private mutating func take(_ count: Int) -> SharedBytes {
        available -= count
        if count == 0 { return SharedBytes() }
        if pieces[0].count == count { return pieces.removeFirst() }
        if pieces[0].count > count {
            let block = pieces[0][0..<count]
            pieces[0] = pieces[0][count..<pieces[0].count]
            return block
        }
        var parts: [SharedBytes] = []
        var left = count
        while left > 0 {
            if pieces[0].count <= left {
                left -= pieces[0].count
                parts.append(pieces.removeFirst())
            } else {
                parts.append(pieces[0][0..<left])
                pieces[0] = pieces[0][left..<pieces[0].count]
                left = 0
            }
        }
        return ObjectClient.joined(parts)
    }
}
