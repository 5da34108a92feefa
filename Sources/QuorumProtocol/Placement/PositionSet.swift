// Sets of positions, which operations and replicas keep and ask at every step.

/// A set of positions: a bit for each, so that nothing is allocated. Walked in ascending order.
package struct PositionSet: Hashable, Sendable {
    private static let bitsPerWord = UInt8(UInt64.bitWidth)

    private var words = SIMD4<UInt64>()

    package init() {}

    package init(_ positions: some Sequence<Position>) {
        for position in positions { insert(position) }
    }

    private static func word(_ position: Position) -> Int { Int(position.rawValue / bitsPerWord) }
    private static func bit(_ position: Position) -> UInt64 { 1 << UInt64(position.rawValue % bitsPerWord) }

    package var isEmpty: Bool { words == SIMD4<UInt64>() }

    package var count: Int {
        words.x.nonzeroBitCount + words.y.nonzeroBitCount + words.z.nonzeroBitCount + words.w.nonzeroBitCount
    }

    package func contains(_ position: Position) -> Bool { words[Self.word(position)] & Self.bit(position) != 0 }

    package mutating func insert(_ position: Position) { words[Self.word(position)] |= Self.bit(position) }

    package mutating func remove(_ position: Position) { words[Self.word(position)] &= ~Self.bit(position) }

    package func subtracting(_ other: PositionSet) -> PositionSet {
        var rest = self
        rest.words &= ~other.words
        return rest
    }
}

extension PositionSet: Sequence {
    package struct Iterator: IteratorProtocol {
        fileprivate var rest: SIMD4<UInt64>

        package mutating func next() -> Position? {
            for word in rest.indices where rest[word] != 0 {
                let bit = rest[word].trailingZeroBitCount
                rest[word] &= rest[word] - 1
                return Position(UInt8(word * UInt64.bitWidth + bit))
            }
            return nil
        }
    }

    package func makeIterator() -> Iterator { Iterator(rest: words) }
}

extension PositionSet: ExpressibleByArrayLiteral {
    package init(arrayLiteral positions: Position...) { self.init(positions) }
}
