// Peers that send nonsense: it is refused, counted, and costs nobody else anything.

import NIOCore
import QuorumTransport
import Testing

@Suite("Hostile bytes", .timeLimit(.minutes(3)))
struct HostileBytesTests {
    @Test("Plain garbage on the TLS port is dropped and counted", arguments: [1, 5, 100, 5000])
    func plainGarbage(count: Int) async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        var generator = SeededGenerator(seed: UInt64(count))
        for _ in 0..<20 {
            let peer = try await RawPeer.connect(port: try #require(endpoint.port), identity: nil)
            peer.send(generator.bytes(count))
            try await Task.sleep(for: .milliseconds(1))
            peer.close()
        }
        try await eventually("all are counted") { endpoint.counters.failedTLS == 20 }
        #expect(endpoint.counters.refusals == 0)
        try await fixture.expectService(by: endpoint)
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("What an unpinned peer sends is never looked at, however well formed")
    func unauthenticatedBytes() async throws {
        let fixture = try Fixture()
        let delegate = RecordingServer.sink()
        let endpoint = try await fixture.start(delegate)
        let peer = try await RawPeer.connect(
            port: try #require(endpoint.port), identity: try TestIdentity("mallory"))
        peer.send(framed(Greeting.hello(version: Greeting.currentVersion, Fixture.scope).encoded()))
        peer.send([0, 0, 0, 0, 255, 255, 255, 255])
        try await eventually("the server closes") { peer.isClosed }
        #expect(peer.greeting == .refusal(.unknownPeer))
        let counters = endpoint.counters
        #expect(counters.refusedUnknownPeer == 1)
        #expect(counters.openedSessions == 0 && counters.emptyFrames == 0 && counters.oversizedFrames == 0)
        #expect(delegate.withRecord { $0.opened.isEmpty && $0.frameCount == 0 })
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A first frame that is no HELLO is refused in words")
    func notHello() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let peer = try await RawPeer.connect(port: try #require(endpoint.port), identity: fixture.client)
        peer.send(framed(ByteBuffer(string: "GET / HTTP/1.1")))
        try await eventually("the server closes") { peer.isClosed }
        #expect(peer.greeting == .refusal(.malformedHello))
        #expect(endpoint.counters.refusedMalformedHello == 1)
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("Before HELLO a frame above 4 KiB ends the connection")
    func largeBeforeHello() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let peer = try await RawPeer.connect(port: try #require(endpoint.port), identity: fixture.client)
        peer.send([1, 16, 0, 0])
        try await eventually("the server closes") { peer.isClosed }
        #expect(endpoint.counters.oversizedFrames == 1)
        await endpoint.shutdown(grace: .seconds(5))
    }

    /// Sends `bytes` after a good HELLO and returns how the session ended.
    private func ending(_ bytes: [UInt8], thenCloses: Bool) async throws -> (TransportError?, TransportCounters) {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.maximumFrameSizeBytes = 1000
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        let peer = try await RawPeer.greeted(port: try #require(endpoint.port), identity: fixture.client)
        peer.send(bytes)
        if thenCloses {
            try await eventually("the bytes are with the server") { peer.channel.isWritable }
            peer.close()
        }
        try await eventually("the session is closed") { delegate.withRecord { $0.closed.count } == 1 }
        let error = delegate.withRecord { $0.closed[0].error }
        let counters = endpoint.counters
        try await fixture.expectService(by: endpoint)
        await endpoint.shutdown(grace: .seconds(5))
        return (error, counters)
    }

    @Test("An oversized header ends the session with its size and the limit")
    func oversized() async throws {
        let (error, counters) = try await ending([233, 3, 0, 0], thenCloses: false)
        guard case .frameTooLarge(let peer, 1001, 1000)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(peer.hasPrefix("client alice at"))
        #expect(counters.oversizedFrames == 1)
    }

    @Test("An empty frame ends the session")
    func empty() async throws {
        let (error, counters) = try await ending([1, 0, 0, 0, 42, 0, 0, 0, 0], thenCloses: false)
        guard case .emptyFrame? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(counters.emptyFrames == 1 && counters.receivedFrames == 1)
    }

    @Test("A connection that ends inside a frame is told apart from one that ends between frames")
    func truncated() async throws {
        let (error, counters) = try await ending([10, 0, 0, 0, 1, 2, 3], thenCloses: true)
        guard case .truncatedFrame(_, 7)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(counters.truncatedFrames == 1)
        let (clean, cleanCounters) = try await ending([1, 0, 0, 0, 9], thenCloses: true)
        guard case .connectionLost? = clean else {
            Issue.record("\(String(describing: clean))")
            return
        }
        #expect(cleanCounters.truncatedFrames == 0)
    }

    @Test("Well-formed frames of random bytes go up as they are, thousands of them")
    func opaqueFrames() async throws {
        let fixture = try Fixture()
        let delegate = RecordingServer.sink()
        let endpoint = try await fixture.start(delegate)
        let peer = try await RawPeer.greeted(port: try #require(endpoint.port), identity: fixture.client)
        var generator = SeededGenerator(seed: 21)
        var sent: [[UInt8]] = []
        for _ in 0..<4000 {
            let bytes = generator.bytes(Int.random(in: 1...300, using: &generator))
            sent.append(bytes)
            peer.send(framed(ByteBuffer(bytes: bytes)))
        }
        try await eventually("all are handed up") { delegate.withRecord { $0.frameCount } == 4000 }
        #expect(delegate.withRecord { $0.frames } == sent)
        peer.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test(
        "Mutated streams after HELLO, hundreds of connections, never trap and never stop the service",
        arguments: [31, 32])
    func mutatedStreams(seed: UInt64) async throws {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.maximumFrameSizeBytes = 2000
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        let port = try #require(endpoint.port)
        var generator = SeededGenerator(seed: seed)
        let connections = 150
        for _ in 0..<connections {
            var stream: [UInt8] = []
            for _ in 0..<20 {
                let size = Int.random(in: 1...100, using: &generator)
                stream += [UInt8(size), 0, 0, 0] + generator.bytes(size)
            }
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                stream[Int.random(in: 0..<stream.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            let peer = try await RawPeer.greeted(port: port, identity: fixture.client)
            var rest = stream[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...900, using: &generator))
                peer.send(Array(piece))
                rest = rest.dropFirst(piece.count)
            }
            peer.close()
        }
        try await eventually("all sessions are closed, seed \(seed)") {
            delegate.withRecord { $0.closed.count } == connections
        }
        #expect(endpoint.counters.openedSessions == UInt64(connections))
        #expect(delegate.withRecord { $0.closed.allSatisfy { $0.error != nil } }, "seed \(seed)")
        let counters = endpoint.counters
        #expect(counters.oversizedFrames > 0 && counters.truncatedFrames > 0, "seed \(seed)")
        try await fixture.expectService(by: endpoint)
        await endpoint.shutdown(grace: .seconds(5))
    }
}
