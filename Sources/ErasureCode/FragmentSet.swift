// Which of a stripe's fragments are at hand.

/// A set of fragment indices, held inline: a bit for each of the 256 there can be.
struct FragmentSet: Hashable {
    private var words = SIMD4<UInt64>()

    /// Number of members.
    var count: Int { rank(of: 256) }

    /// Adds the index; false if it was a member before.
    mutating func insert(_ index: FragmentIndex) -> Bool {
        guard !contains(index) else { return false }
        words[index.offset >> 6] |= 1 << UInt64(index.offset & 63)
        return true
    }

    func contains(_ index: FragmentIndex) -> Bool {
        words[index.offset >> 6] >> UInt64(index.offset & 63) & 1 == 1
    }

    /// How many members are below the offset, which may be up to 256.
    func rank(of offset: Int) -> Int {
        var rank = 0
        for word in 0..<offset >> 6 { rank += words[word].nonzeroBitCount }
        if offset & 63 > 0 { rank += (words[offset >> 6] & (1 << UInt64(offset & 63) - 1)).nonzeroBitCount }
        return rank
    }

    /// The `count` members of lowest index.
    func lowest(_ count: Int) -> FragmentSet {
        var lowest = self
        for word in 0..<words.scalarCount {
            var room = count - rank(of: word << 6)
            var kept: UInt64 = 0
            var left = words[word]
            while room > 0, left != 0 {
                kept |= left & (~left &+ 1)
                left &= left &- 1
                room -= 1
            }
            lowest.words[word] = kept
        }
        return lowest
    }

    /// The members in ascending order.
    var indices: [FragmentIndex] {
        (0...UInt8.max).map { FragmentIndex($0) }.filter { contains($0) }
    }
}
