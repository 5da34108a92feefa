// What peers can make a server hold, all together, and what it costs others.

import NIOCore
import Synchronization
import Testing

@testable import QuorumTransport

@Suite("Memory", .timeLimit(.minutes(3)))
struct MemoryTests {
    // MARK: Shares

    /// Takes byte after byte until there are no more, or more than any budget here has.
    private func fill(_ account: MemoryAccount) {
        for _ in 0..<1000 where !account.reserve(1) { return }
    }

    @Test("who is alone gets a third with one connection and nearly half with many; a newcomer always finds room")
    func shares() {
        let budget = MemoryBudget(limitBytes: 400)
        let hostile = (0..<32).map { _ in budget.account(of: .client("mallory")) {} }
        fill(hostile[0])
        #expect(budget.counts.heldBytes == 100, "a third of what clients may use")
        for account in hostile { fill(account) }
        #expect((140...150).contains(budget.counts.heldBytes))
        // Each newcomer gets his share, however many came before him.
        for number in 0..<4 {
            let newcomer = budget.account(of: .client("\(number)")) {}
            let held = budget.counts.heldBytes
            fill(newcomer)
            #expect(budget.counts.heldBytes > held, "newcomer \(number)")
        }
        #expect(budget.counts.heldBytes <= 300)
        let node = budget.account(of: .server(2)) {}
        #expect(node.reserve(90), "a quarter is left for nodes")
        #expect(budget.counts.mostHeldBytes <= 400)
    }

    @Test("who waits is woken as soon as there is room for what he wants, and not before")
    func wakeups() {
        let woken = Mutex<[String]>([])
        let budget = MemoryBudget(limitBytes: 400)
        let first = budget.account(of: .client("a")) { woken.withLock { $0.append("a") } }
        let second = budget.account(of: .client("b")) { woken.withLock { $0.append("b") } }
        #expect(first.reserve(100) && !first.reserve(100))
        #expect(!second.reserve(210))
        #expect(budget.counts.pauses == 2)
        first.release(5)
        #expect(woken.withLock { $0 } == [])
        first.release(10)
        #expect(woken.withLock { $0 } == ["b"], "a asks for more than his share, b does not any more")
        #expect(second.reserve(210))
        second.release(210)
        first.release(50)
        #expect(woken.withLock { $0 } == ["b", "a"])
        // Nobody asks twice, and who is gone is not asked for.
        #expect(!first.reserve(300))
        first.close()
        first.release(35)
        #expect(woken.withLock { $0 } == ["b", "a"])
        #expect(budget.counts.heldBytes == 0)
    }

    @Test("what a connection left under way counts for its identity until it is done")
    func underWay() {
        let budget = MemoryBudget(limitBytes: 400)
        let first = budget.account(of: .client("a")) {}
        #expect(first.reserve(100))
        first.close()
        let second = budget.account(of: .client("a")) {}
        #expect(!second.reserve(101))
        first.release(100)
        #expect(second.reserve(101))
    }

    // MARK: Progress

    private func clock(_ moved: [Int], secondsApart: Int64 = 1) -> [Bool] {
        var clock = ProgressClock()
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        return moved.map { bytes in
            defer { now = now + .seconds(secondsApart) }
            clock.moved(bytes)
            return clock.isTooSlow(now: now, demand: ProgressDemand())
        }
    }

    @Test("64 KiB a second are asked for, over ten seconds")
    func demand() {
        #expect(!clock(Array(repeating: 64 << 10, count: 40)).contains(true))
        #expect(clock(Array(repeating: 63 << 10, count: 40)).contains(true))
        #expect(clock(Array(repeating: 0, count: 11)).firstIndex(of: true) == 10)
        // Much in one second is as good as a little in each.
        #expect(!clock([640 << 10] + Array(repeating: 0, count: 10)).contains(true))
        // What was sent long ago does not count.
        #expect(clock([100 << 20] + Array(repeating: 0, count: 25)).contains(true))
    }

    @Test("a server that was too busy to look does not hold it against its peers")
    func busyServer() {
        #expect(!clock([0, 0, 0, 0, 0], secondsApart: 600).contains(true))
        var clock = ProgressClock()
        for second in 0..<100 {
            clock.excuse()
            let now = NIODeadline.uptimeNanoseconds(UInt64(second + 1) * 1_000_000_000)
            let isTooSlow = clock.isTooSlow(now: now, demand: ProgressDemand())
            #expect(!isTooSlow)
        }
    }

    // MARK: Connections

    /// A server whose largest frame has 1 MiB, with a budget of 64 of them, and two clients.
    private func fixture() throws -> (Fixture, bob: TestIdentity) {
        var fixture = try Fixture()
        let bob = try TestIdentity("bob")
        fixture.serverConfiguration.peers = PeerDirectory([
            fixture.client.pin: .client("alice"), bob.pin: .client("bob"),
        ])
        fixture.serverConfiguration.limits = ConnectionLimits(frameSizeBytesMax: 1 << 20)
        fixture.serverConfiguration.limits.handshakeTimeout = .minutes(1)
        fixture.serverConfiguration.memory = MemoryBudget(limitBytes: 64 << 20)
        return (fixture, bob)
    }

    private static let openFrame: ByteBuffer = {
        var bytes = ByteBuffer(integer: UInt32(1 << 20), endianness: .little)
        bytes.writeRepeatingByte(7, count: 1000)
        return bytes
    }()

    @Test("32 sessions with open frames and unread answers stay within the budget, and others are served")
    func hostileSessions() async throws {
        let (fixture, bob) = try fixture()
        let endpoint = try await fixture.start(.echo())
        let port = try #require(endpoint.port)
        var hostile: [RawPeer] = []
        let frame = framed(ByteBuffer(repeating: 9, count: 1 << 20))
        for number in 0..<32 {
            let peer = try await RawPeer.greeted(port: port, identity: fixture.client)
            hostile.append(peer)
            if !number.isMultiple(of: 4) {
                peer.send(Self.openFrame)
            } else {
                // Answers that nobody takes: more than the system's own buffers hold.
                try await peer.channel.setOption(.autoRead, value: false).get()
                for _ in 0..<14 { peer.send(frame) }
                peer.send(Self.openFrame)
            }
        }
        try await eventually("somebody has to wait") { endpoint.memory.pauses > 0 }
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, as: bob, record: record) {
            $0.limits = fixture.serverConfiguration.limits
        }
        try await eventually("bob is let in") { connection.state == .connected }
        for count in 1...60 {
            #expect(connection.send(OutboundFrame(head: ByteBuffer(repeating: 1, count: 600_000))) == .queued)
            try await eventually("bob has answer \(count)") { record.withRecord { $0.frameCount } == count }
        }
        #expect(record.withRecord { $0.connectedCount == 1 && $0.errors.isEmpty })
        let memory = endpoint.memory
        #expect(memory.mostHeldBytes <= memory.budgetBytes, "\(memory)")
        connection.close()
        for peer in hostile { peer.close() }
        try await eventually("all was given back") { endpoint.memory.heldBytes == 0 }
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("while memory is short, who does not go on with a frame or does not take answers is dropped")
    func stalled() async throws {
        var (fixture, bob) = try fixture()
        fixture.serverConfiguration.limits.progress.window = .milliseconds(200)
        fixture.serverConfiguration.limits.progress.interval = .milliseconds(20)
        let endpoint = try await fixture.start(.echo())
        let port = try #require(endpoint.port)
        let first = try await RawPeer.greeted(port: port, identity: bob)
        first.send(Self.openFrame)
        try await eventually("the frame has begun") { endpoint.memory.heldBytes > 1 << 20 }
        try await Task.sleep(for: .milliseconds(600))
        #expect(!first.isClosed && endpoint.counters.stalledConnections == 0, "memory is not short")
        var hostile: [RawPeer] = []
        for _ in 0..<20 {
            let peer = try await RawPeer.greeted(port: port, identity: fixture.client)
            peer.send(Self.openFrame)
            hostile.append(peer)
        }
        try await eventually("enough of them are dropped") { endpoint.counters.stalledConnections >= 9 }
        try await eventually("memory is not short any more") { endpoint.memory.heldBytes <= 12 << 20 }
        try await fixture.expectService(by: endpoint)
        for peer in hostile + [first] { peer.close() }
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("a sender over its share is paused, loses nothing, and goes on when its requests are answered")
    func pausedSender() async throws {
        var (fixture, _) = try fixture()
        fixture.serverConfiguration.limits.maximumUnansweredBytes = 64 << 20
        fixture.serverConfiguration.limits.maximumOutboundBytes = 64 << 20
        let held = Mutex<[(Session, ByteBuffer)]>([])
        let answers = Mutex(false)
        let delegate = RecordingServer { session, frame in
            if answers.withLock({ $0 }) {
                session.send(OutboundFrame(head: frame))
                session.completed(frameSizeBytes: frame.readableBytes)
            } else {
                held.withLock { $0.append((session, frame)) }
            }
        }
        let endpoint = try await fixture.start(delegate)
        let record = ConnectionRecord(keepsFrames: false)
        let connection = try fixture.connect(to: endpoint, record: record) {
            $0.limits.maximumOutboundBytes = 128 << 20
        }
        try await eventually("connected") { connection.state == .connected }
        for _ in 0..<60 {
            #expect(connection.send(OutboundFrame(head: ByteBuffer(repeating: 3, count: 1 << 20))) == .queued)
        }
        try await eventually("its share is full") { endpoint.memory.pauses == 1 }
        #expect(held.withLock { $0.count } == 16, "a third of what clients may use")
        answers.withLock { $0 = true }
        for (session, frame) in held.withLock({ $0 }) {
            session.send(OutboundFrame(head: frame))
            session.completed(frameSizeBytes: frame.readableBytes)
        }
        try await eventually("all is answered") { record.withRecord { $0.frameCount } == 60 }
        #expect(record.withRecord { $0.connectedCount == 1 && $0.errors.isEmpty })
        #expect(endpoint.memory.mostHeldBytes <= endpoint.memory.budgetBytes)
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }
}
