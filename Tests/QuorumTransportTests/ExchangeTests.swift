// Frames between good peers: sizes, order, limits, back-pressure.

import NIOCore
import QuorumTransport
import Synchronization
import Testing

@Suite("Exchange", .timeLimit(.minutes(2)))
struct ExchangeTests {
    @Test("Frames of all sizes arrive whole and in order, both ways")
    func sizes() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("connected") { connection.state == .connected }
        var generator = SeededGenerator(seed: 3)
        let sizes = [1, 2, 3, 4, 5, 255, 256, 4095, 4096, 4097, 8191, 8192, 8193, 16384, 65536, 300_000, 1 << 20, 17]
        var sent: [[UInt8]] = []
        for size in sizes {
            let bytes = generator.bytes(size)
            let split = Int.random(in: 0...size, using: &generator)
            sent.append(bytes)
            let frame = OutboundFrame(
                head: ByteBuffer(bytes: bytes[..<split]), body: ByteBuffer(bytes: bytes[split...]))
            #expect(connection.send(frame) == .queued)
        }
        try await eventually("all echoes are back") { record.withRecord { $0.frameCount } == sizes.count }
        #expect(record.withRecord { $0.frames.map { Array(buffer: $0) } } == sent)
        try await eventually("the queue is empty") { connection.queuedBytes == 0 }
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("Frames of 8 MiB go both ways, several at once")
    func large() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("connected") { connection.state == .connected }
        let payload = ByteBuffer(repeating: 0xA5, count: 8 << 20)
        for index in 0..<6 {
            let head = ByteBuffer(integer: UInt32(index))
            #expect(connection.send(OutboundFrame(head: head, body: payload)) == .queued)
        }
        try await eventually("all echoes are back") { record.withRecord { $0.frameCount } == 6 }
        for (index, frame) in record.withRecord({ $0.frames }).enumerated() {
            #expect(frame.getInteger(at: 0, as: UInt32.self) == UInt32(index))
            #expect(frame.getSlice(at: 4, length: frame.readableBytes - 4) == payload)
        }
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("The connecting side counts the bytes at its socket: the frames' and little more")
    func countedBytes() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("connected") { connection.state == .connected }
        let before = connection.counters
        #expect(before.sentBytes > 0 && before.receivedBytes > 0, "the handshake is counted")
        let sizeBytes: UInt64 = 1 << 20
        connection.send(OutboundFrame(head: ByteBuffer(repeating: 7, count: Int(sizeBytes))))
        try await eventually("the echo is back") { record.withRecord { $0.frameCount } == 1 }
        let after = connection.counters
        // TLS adds 22 bytes to each record of at most 16 KiB, and may send a few short records of its own.
        let range = sizeBytes + 4...sizeBytes + sizeBytes / 64
        #expect(range.contains(after.sentBytes - before.sentBytes))
        #expect(range.contains(after.receivedBytes - before.receivedBytes))
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("Thousands of small frames from several threads arrive, each thread's in its order")
    func small() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("connected") { connection.state == .connected }
        await withTaskGroup(of: Void.self) { tasks in
            for sender in 0..<4 {
                tasks.addTask {
                    for index in 0..<2500 {
                        let head = ByteBuffer(bytes: [UInt8(sender), UInt8(index & 255), UInt8(index >> 8)])
                        connection.send(OutboundFrame(head: head))
                    }
                }
            }
        }
        try await eventually("all echoes are back") { record.withRecord { $0.frameCount } == 10_000 }
        var next = [Int](repeating: 0, count: 4)
        for frame in record.withRecord({ $0.frames }) {
            let bytes = Array(buffer: frame)
            #expect(Int(bytes[1]) | Int(bytes[2]) << 8 == next[Int(bytes[0])])
            next[Int(bytes[0])] += 1
        }
        #expect(next == [2500, 2500, 2500, 2500])
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A frame that the other side would refuse is not sent")
    func invalidSizes() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let connection = try fixture.connect(to: endpoint, record: ConnectionRecord()) {
            $0.limits.maximumFrameSizeBytes = 100
        }
        try await eventually("connected") { connection.state == .connected }
        #expect(connection.send(frame("")) == .invalidSize(sizeBytes: 0, limitBytes: 100))
        let large = OutboundFrame(head: ByteBuffer(repeating: 1, count: 101))
        #expect(connection.send(large) == .invalidSize(sizeBytes: 101, limitBytes: 100))
        #expect(connection.state == .connected)
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A server stops handing up frames when its budget is used, and goes on as frames are completed")
    func inboundBudget() async throws {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.maximumUnansweredFrames = 10
        let delegate = RecordingServer { _, _ in }
        let endpoint = try await fixture.start(delegate)
        let connection = try fixture.connect(to: endpoint, record: ConnectionRecord())
        try await eventually("connected") { connection.state == .connected }
        for _ in 0..<1000 { #expect(connection.send(frame("work")) == .queued) }
        try await eventually("the budget is used") { delegate.withRecord { $0.frameCount } == 10 }
        let session = try #require(delegate.withRecord { $0.opened.first })
        var completed = 0
        while completed < 1000 {
            try await eventually("frame \(completed) is handed up") {
                delegate.withRecord { $0.frameCount } > completed
            }
            #expect(session.unansweredFrames.count <= 10)
            session.completed(frameSizeBytes: 4)
            completed += 1
        }
        #expect(delegate.withRecord { $0.frameCount } == 1000)
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A budget in bytes holds a flood on the client's side, bounded there as well")
    func floodStaysWithTheSender() async throws {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.maximumUnansweredBytes = 1 << 20
        let delegate = RecordingServer { _, _ in }
        let endpoint = try await fixture.start(delegate)
        let connection = try fixture.connect(to: endpoint, record: ConnectionRecord()) {
            $0.limits.maximumFrameSizeBytes = 1 << 20
            $0.limits.maximumOutboundBytes = 8 << 20
        }
        try await eventually("connected") { connection.state == .connected }
        let flood = OutboundFrame(head: ByteBuffer(repeating: 9, count: 64 * 1024))
        var sent = 0
        try await eventually("the client's queue is full") {
            while connection.send(flood) == .queued { sent += 1 }
            return connection.queuedBytes > 7 << 20 && delegate.withRecord { $0.frameCount } == 16
        }
        // Whatever was sent beyond the server's budget and the client's queue lies in the sockets of both kernels.
        let session = try #require(delegate.withRecord { $0.opened.first })
        #expect(session.unansweredFrames.bytes == 1 << 20)
        #expect(connection.queuedBytes <= 8 << 20)
        #expect(connection.counters.outboundOverflows > 0)
        guard case .queueFull(let queued, 8 << 20) = connection.send(flood) else {
            Issue.record("the queue took more than its bound")
            return
        }
        #expect(queued <= 8 << 20)
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A server reads no more from a client that does not read its replies, and keeps the replies within bounds")
    func slowReader() async throws {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.maximumFrameSizeBytes = 1 << 20
        fixture.serverConfiguration.limits.outboundHighWaterBytes = 1 << 20
        fixture.serverConfiguration.limits.maximumOutboundBytes = 64 << 20
        let reply = ByteBuffer(repeating: 5, count: 256 * 1024)
        let delegate = RecordingServer { session, frame in
            session.completed(frameSizeBytes: frame.readableBytes)
            session.send(OutboundFrame(head: reply))
        }
        let endpoint = try await fixture.start(delegate)
        let peer = try await RawPeer.greeted(port: try #require(endpoint.port), identity: fixture.client)
        // The HELLO leaves before the delegate is told.
        try await eventually("the session is open") { delegate.withRecord { !$0.opened.isEmpty } }
        let session = try #require(delegate.withRecord { $0.opened.first })
        try await peer.channel.setOption(.autoRead, value: false).get()
        // Requests of 16 KiB: a few of them fill a read, so that the bound is not missed by what one read holds.
        let request = framed(ByteBuffer(repeating: 1, count: 16 * 1024))
        var handedUp = -1
        for _ in 0..<400 { peer.send(request) }
        try await eventually("the server's queue is above its mark") { session.queuedBytes > 1 << 20 }
        repeat {
            handedUp = delegate.withRecord { $0.frameCount }
            try await Task.sleep(for: .milliseconds(200))
        } while handedUp != delegate.withRecord { $0.frameCount }
        // One read of at most 256 KiB after the mark was passed is 16 requests, so 4 MiB of replies; TLS may hold as
        // much again.
        #expect(handedUp < 400)
        #expect(session.queuedBytes <= 16 << 20)
        try await fixture.expectService(by: endpoint, echoes: false)
        try await peer.channel.setOption(.autoRead, value: true).get()
        peer.channel.read()
        try await eventually("the rest is served once the peer reads") {
            delegate.withRecord { $0.frameCount } >= 400
        }
        peer.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A peer that never reads makes the server's queue neither exceed its bound nor hinder others")
    func pushedFlood() async throws {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.maximumFrameSizeBytes = 1 << 20
        fixture.serverConfiguration.limits.maximumOutboundBytes = 4 << 20
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        let peer = try await RawPeer.greeted(port: try #require(endpoint.port), identity: fixture.client)
        try await peer.channel.setOption(.autoRead, value: false).get()
        // The HELLO leaves before the delegate is told.
        try await eventually("the session is open") { delegate.withRecord { !$0.opened.isEmpty } }
        let session = try #require(delegate.withRecord { $0.opened.first })
        let push = OutboundFrame(head: ByteBuffer(repeating: 5, count: 256 * 1024))
        try await eventually("the queue is full") {
            for _ in 0..<32 { session.send(push) }
            return endpoint.counters.outboundOverflows > 0
        }
        #expect(session.queuedBytes <= 4 << 20)
        try await fixture.expectService(by: endpoint)
        await endpoint.shutdown(grace: .milliseconds(200))
        #expect(session.send(push) == .notConnected)
    }
}
