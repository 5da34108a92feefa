// What others say is not whole here: how much of it is looked at.

import QuorumProtocol
import Testing

@testable import QuorumServer

@Suite("Doubts of others")
struct DoubtsTests {
    private let alice = Principal.client(ClientID(high: 1, low: 2))
    private let server = Principal.server(NodeID(3))

    private func doubt(_ stripe: UInt64) throws -> AuditDoubt {
        let timestamp = Timestamp(counter: 1, writer: ClientID(high: 1, low: 2), digest: .sha256([1]))
        return AuditDoubt(key: try ObjectKey("bucket/object"), .ofVersion(timestamp, stripe))
    }

    @Test("a stripe is looked at once an hour, whoever doubts it")
    func once() throws {
        var doubts = Doubts()
        #expect(doubts.take(try doubt(1), from: alice, nowMilliseconds: 5000))
        #expect(!doubts.take(try doubt(1), from: alice, nowMilliseconds: 5001))
        #expect(!doubts.take(try doubt(1), from: server, nowMilliseconds: 3_604_999))
        #expect(doubts.take(try doubt(2), from: server, nowMilliseconds: 3_604_999))
        #expect(doubts.take(try doubt(1), from: server, nowMilliseconds: 3_605_000))
        // A clock that was set back begins a new hour instead of an endless one.
        #expect(doubts.take(try doubt(1), from: server, nowMilliseconds: 100))
    }

    @Test("one sender has so many looked at, and takes nothing from others")
    func perSender() throws {
        var doubts = Doubts()
        for stripe in 0..<UInt64(Doubts.perSenderMax) {
            #expect(doubts.take(try doubt(stripe), from: alice, nowMilliseconds: 1))
        }
        let next = UInt64(Doubts.perSenderMax)
        #expect(!doubts.take(try doubt(next), from: alice, nowMilliseconds: 1))
        #expect(doubts.take(try doubt(next), from: server, nowMilliseconds: 1))
    }

    @Test("many senders together have no more remembered than there is room for")
    func together() throws {
        var doubts = Doubts()
        var taken = 0
        for sender in 0..<UInt64(Doubts.countMax / Doubts.perSenderMax + 5) {
            for stripe in 0..<UInt64(Doubts.perSenderMax) {
                let from = Principal.client(ClientID(high: 9, low: sender))
                let isTaken = doubts.take(
                    try doubt(sender * UInt64(Doubts.perSenderMax) + stripe), from: from, nowMilliseconds: 1)
                if isTaken { taken += 1 }
            }
        }
        #expect(taken == Doubts.countMax)
    }
}
