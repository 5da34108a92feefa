// The one source of chance for everything that a seed must reproduce.

/// Steele, Lea & Flood's SplitMix64 (*Fast splittable pseudorandom number generators*, OOPSLA 2014). Its draws are
/// defined here to the last bit, so that a seed means the same under every version of the standard library.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    @usableFromInline var state: UInt64

    @inlinable package init(seed: UInt64) { state = seed }

    @inlinable @inline(__always) package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A stream of its own, drawn from this one.
    @inlinable package mutating func fork() -> SeededGenerator { SeededGenerator(seed: next()) }

    /// One of 0..<count, which must not be empty; the bias for a count below 2³² is below 2⁻³².
    @inlinable package mutating func below(_ count: Int) -> Int {
        precondition(count > 0)
        return Int(next().multipliedFullWidth(by: UInt64(count)).high)
    }

    /// One of the range, ends included.
    @inlinable package mutating func within(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + below(range.upperBound - range.lowerBound + 1)
    }

    /// True `percent` times in a hundred.
    @inlinable package mutating func chance(percent: Int) -> Bool { below(100) < percent }

    /// One of the elements; nil when there are none.
    @inlinable package mutating func pick<Elements: RandomAccessCollection>(_ elements: Elements) -> Elements.Element? {
        guard !elements.isEmpty else { return nil }
        return elements[elements.index(elements.startIndex, offsetBy: below(elements.count))]
    }

    /// The elements in a random order (Fisher & Yates).
    @inlinable package mutating func shuffled<Element>(_ elements: some Collection<Element>) -> [Element] {
        var shuffled = Array(elements)
        guard shuffled.count > 1 else { return shuffled }
        for last in stride(from: shuffled.count - 1, to: 0, by: -1) { shuffled.swapAt(last, below(last + 1)) }
        return shuffled
    }

    /// Random bytes.
    package mutating func bytes(count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            withUnsafeBytes(of: next().littleEndian) { bytes.append(contentsOf: $0.prefix(count - bytes.count)) }
        }
        return bytes
    }
}
