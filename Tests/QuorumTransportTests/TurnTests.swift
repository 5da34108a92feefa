// Sessions of one event loop take turns.

import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import QuorumTransport

@Suite("Turns", .timeLimit(.minutes(2)))
struct TurnTests {
    private static let burst = 100

    @Test("a session's burst of frames that take long lets another session of its loop in between")
    func turns() async throws {
        let order = Mutex<[String]>([])
        let isOtherSent = Mutex(false)
        let server = RecordingServer { session, frame in
            let text = String(buffer: frame)
            order.withLock { $0.append(text) }
            if text == "burst" {
                // The loop stands still until the other sends its frame, and then with each frame for longer than a turn,
                // and for as long as a busy machine may take to deliver that one.
                while order.withLock({ $0.count }) == 1, !isOtherSent.withLock({ $0 }) { usleep(1000) }
                usleep(order.withLock { $0.contains("other") } ? 0 : 20_000)
            }
            session.completed(frameSizeBytes: frame.readableBytes)
        }
        let fixture = try Fixture()
        let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let endpoint = try await ServerEndpoint.start(
            fixture.serverConfiguration, identity: fixture.server.identity, delegate: server, group: loop,
            logger: Fixture.logger)
        let other = try fixture.connect(to: endpoint, record: ConnectionRecord())
        try await eventually("the other is connected") { other.state == .connected }
        let hasty = try await RawPeer.greeted(port: try #require(endpoint.port), identity: fixture.client)
        var frames = ByteBuffer()
        for _ in 0..<Self.burst { frames.writeImmutableBuffer(framed(ByteBuffer(string: "burst"))) }
        hasty.send(frames)
        try await eventually("the burst has begun") { !order.withLock { $0.isEmpty } }
        let before = other.counters.sentBytes
        #expect(other.send(frame("other")) == .queued)
        try await eventually("the other has sent its frame") { other.counters.sentBytes > before }
        isOtherSent.withLock { $0 = true }
        try await eventually("all have been heard") { order.withLock { $0.count } == Self.burst + 1 }
        let place = try #require(order.withLock { $0.firstIndex(of: "other") })
        #expect(place < Self.burst, "the other was heard after the whole burst")
        other.close()
        hasty.close()
        await endpoint.shutdown(grace: .milliseconds(100))
        try await loop.shutdownGracefully()
    }

    @Test("what a peer sent before it closed is heard, though it had to wait for its turn")
    func closed() async throws {
        let heard = Mutex(0)
        let isClosed = Mutex(false)
        let server = RecordingServer { session, frame in
            // With the first frame the loop stands still until the peer closes, then with each for longer than a turn.
            while !isClosed.withLock({ $0 }) { usleep(1000) }
            usleep(2000)
            heard.withLock { $0 += 1 }
            session.completed(frameSizeBytes: frame.readableBytes)
        }
        let fixture = try Fixture()
        let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let endpoint = try await ServerEndpoint.start(
            fixture.serverConfiguration, identity: fixture.server.identity, delegate: server, group: loop,
            logger: Fixture.logger)
        let hasty = try await RawPeer.greeted(port: try #require(endpoint.port), identity: fixture.client)
        var frames = ByteBuffer()
        for _ in 0..<Self.burst { frames.writeImmutableBuffer(framed(ByteBuffer(string: "burst"))) }
        hasty.send(frames)
        hasty.close()
        isClosed.withLock { $0 = true }
        try await eventually("all have been heard") { heard.withLock { $0 } == Self.burst }
        await endpoint.shutdown(grace: .milliseconds(100))
        try await loop.shutdownGracefully()
    }
}
