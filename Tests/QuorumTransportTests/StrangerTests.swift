// A stranger who takes every place that he can get, and takes it again.

import LoopbackPorts
import NIOCore
import Testing

@testable import QuorumTransport

@Suite("A stranger", .timeLimit(.minutes(3)))
struct StrangerTests {
    /// As long as the test runs no handshake runs out of time: whoever loses his place loses it to a newcomer.
    private func fixture() throws -> Fixture {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.handshakeTimeout = .minutes(5)
        return fixture
    }

    @Test("who holds and reopens every place keeps out nobody from elsewhere")
    func elsewhere() async throws {
        let fixture = try fixture()
        let endpoint = try await fixture.start(.echo())
        let stranger = IdleStranger(port: try #require(endpoint.port), count: 256, from: ["127.0.0.2"])
        defer { stranger.end() }
        try await eventually("he has lost places and taken them again") {
            endpoint.counters.evictedHandshakes > 500
        }
        for _ in 0..<10 { try await fixture.expectService(by: endpoint) }
        #expect(endpoint.handshakeCount <= fixture.serverConfiguration.admission.maximumHandshakes)
        #expect(endpoint.counters.openedSessions == 10, "each got in with its first attempt")
        stranger.end()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("from his own address others get in within ten tries")
    func ownAddress() async throws {
        let fixture = try fixture()
        let endpoint = try await fixture.start(.echo())
        let port = try #require(endpoint.port)
        let stranger = IdleStranger(port: port, count: 256, from: ["127.0.0.2"])
        defer { stranger.end() }
        try await eventually("he has lost places and taken them again") {
            endpoint.counters.evictedHandshakes > 500
        }
        var tries = 0
        while endpoint.counters.openedSessions == 0 && tries < 10 {
            tries += 1
            let peer = try await RawPeer.connect(port: port, from: "127.0.0.2", identity: fixture.client)
            peer.send(framed(Greeting.hello(version: Greeting.currentVersion, Fixture.scope).encoded()))
            try await eventually("he is answered or loses his place") { peer.isClosed || peer.received.count >= 35 }
            peer.close()
        }
        #expect(endpoint.counters.openedSessions == 1, "after \(tries) tries")
        stranger.end()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("with as many addresses as there are places he does not keep out those who come from a node's")
    func keptPlaces() async throws {
        var fixture = try fixture()
        fixture.serverConfiguration.admission.maximumHandshakes = 8
        fixture.serverConfiguration.nodeSources = SourceAddress.resolving(host: "127.0.0.1")
        let endpoint = try await fixture.start(.echo())
        let stranger = IdleStranger(
            port: try #require(endpoint.port), count: 1, from: (2..<34).map { "127.0.0.\($0)" })
        defer { stranger.end() }
        try await eventually("every source loses its place all the time") {
            endpoint.counters.evictedHandshakes > 500
        }
        for _ in 0..<10 { try await fixture.expectService(by: endpoint) }
        #expect(endpoint.counters.openedSessions == 10, "each got in with its first attempt")
        stranger.end()
        await endpoint.shutdown(grace: .seconds(5))
    }
}
