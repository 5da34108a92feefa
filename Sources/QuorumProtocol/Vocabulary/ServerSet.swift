// Sets of servers, which operations and replicas keep and ask at every step.

/// A set of servers of one group: a bit for each, so that nothing is allocated. Walked in the servers' order.
package struct ServerSet: Hashable, Sendable {
    private static let bitsPerWord = UInt8(UInt64.bitWidth)

    private var words = SIMD4<UInt64>()

    package init() {}

    package init(_ servers: some Sequence<ServerIndex>) {
        for server in servers { insert(server) }
    }

    private static func word(_ server: ServerIndex) -> Int { Int(server.rawValue / bitsPerWord) }
    private static func bit(_ server: ServerIndex) -> UInt64 { 1 << UInt64(server.rawValue % bitsPerWord) }

    package var isEmpty: Bool { words == SIMD4<UInt64>() }

    package var count: Int {
        words.x.nonzeroBitCount + words.y.nonzeroBitCount + words.z.nonzeroBitCount + words.w.nonzeroBitCount
    }

    package func contains(_ server: ServerIndex) -> Bool { words[Self.word(server)] & Self.bit(server) != 0 }

    package mutating func insert(_ server: ServerIndex) { words[Self.word(server)] |= Self.bit(server) }

    package mutating func remove(_ server: ServerIndex) { words[Self.word(server)] &= ~Self.bit(server) }

    package func subtracting(_ other: ServerSet) -> ServerSet {
        var rest = self
        rest.words &= ~other.words
        return rest
    }
}

extension ServerSet: Sequence {
    package struct Iterator: IteratorProtocol {
        fileprivate var rest: SIMD4<UInt64>

        package mutating func next() -> ServerIndex? {
            for word in rest.indices where rest[word] != 0 {
                let bit = rest[word].trailingZeroBitCount
                rest[word] &= rest[word] - 1
                return ServerIndex(UInt8(word * UInt64.bitWidth + bit))
            }
            return nil
        }
    }

    package func makeIterator() -> Iterator { Iterator(rest: words) }
}

extension ServerSet: ExpressibleByArrayLiteral {
    package init(arrayLiteral servers: ServerIndex...) { self.init(servers) }
}
