// Who loses his place when there is none left.

import NIOCore
import Testing

@testable import QuorumTransport

@Suite("Places for handshakes")
struct HandshakeTableTests {
    private let stranger = HandshakeTableTests.source("203.0.113.1")
    private let others = (0..<8).map { HandshakeTableTests.source("198.51.100.\($0)") }
    private var generator = SeededGenerator(seed: 5)

    private static func source(_ address: String) -> SourceAddress {
        SourceAddress(try? SocketAddress(ipAddress: address, port: 7))
    }

    @Test("one source cannot have more than its bound, and any of its handshakes may go but the newcomer")
    mutating func boundOfASource() {
        var table = HandshakeTable<Int>(maximum: 64, maximumPerSource: 8)
        let first = (0..<8).compactMap { table.add($0, from: stranger, using: &generator) }
        let other = table.add(1000, from: others[0], using: &generator)
        #expect(first == [] && other == nil)
        var evicted: Set<Int> = []
        for id in 8..<200 {
            let victim = table.add(id, from: stranger, using: &generator)
            #expect(victim != nil && victim != id && victim != 1000)
            if let victim { evicted.insert(victim) }
            #expect(table.count == 9 && table.contains(id) && table.contains(1000))
        }
        #expect(evicted.count == 192)
    }

    @Test("how long a handshake stays does not follow from its age")
    mutating func randomness() {
        var table = HandshakeTable<Int>(maximum: 8, maximumPerSource: 8)
        var ages: Set<Int> = []
        for id in 0..<2000 {
            if let victim = table.add(id, from: stranger, using: &generator) { ages.insert(min(id - victim, 9)) }
        }
        #expect(ages == Set(1...9), "handshakes of all ages go, also ones that have outlived many")
    }

    @Test("in a full table a newcomer takes the place of one who has many")
    mutating func fullTable() {
        var table = HandshakeTable<Int>(maximum: 16, maximumPerSource: 16)
        for (id, source) in others.enumerated() { _ = table.add(id, from: source, using: &generator) }
        let first = (100..<108).compactMap { table.add($0, from: stranger, using: &generator) }
        let later = (108..<400).map { table.add($0, from: stranger, using: &generator) ?? 0 }
        #expect(first == [] && later.allSatisfy { $0 >= 100 })
        let victim = table.add(1000, from: Self.source("192.0.2.9"), using: &generator)
        #expect(victim ?? 0 >= 100)
        #expect((0..<8).allSatisfy { table.contains($0) } && table.count == 16)
    }

    @Test("a place that is given back is free, once")
    mutating func givenBack() {
        var table = HandshakeTable<Int>(maximum: 2, maximumPerSource: 2)
        _ = table.add(1, from: stranger, using: &generator)
        _ = table.add(2, from: stranger, using: &generator)
        let removed = (table.remove(1), table.remove(1))
        #expect(removed == (true, false))
        let third = table.add(3, from: others[0], using: &generator)
        #expect(third == nil)
        #expect(table.count == 2)
    }

    @Test("an IPv6 network is one source, and an IPv4 address is the same one however it is written")
    func sources() {
        #expect(Self.source("2001:db8:1:2::1") == Self.source("2001:db8:1:2:ffff::9"))
        #expect(Self.source("2001:db8:1:2::1") != Self.source("2001:db8:1:3::1"))
        #expect(Self.source("::ffff:203.0.113.1") == stranger)
        #expect(Self.source("203.0.113.2") != stranger)
        #expect(SourceAddress.resolving(host: "203.0.113.1") == [stranger])
        #expect(SourceAddress.resolving(host: "no such name") == [])
    }
}
