// Listening, limits on connections, reconnecting, shutting down.

import NIOCore
import QuorumTransport
import Testing

@Suite("Lifecycle", .timeLimit(.minutes(2)))
struct LifecycleTests {
    @Test("A port in use is a typed error that names the address")
    func portInUse() async throws {
        var fixture = try Fixture()
        let first = try await fixture.start(.echo())
        let port = try #require(first.port)
        fixture.serverConfiguration.port = port
        await #expect(throws: TransportError.addressInUse(address: "127.0.0.1:\(port)")) {
            try await fixture.start(.echo())
        }
        try await fixture.expectService(by: first)
        await first.shutdown(grace: .seconds(5))
    }

    @Test("An address of another machine cannot be listened on")
    func foreignAddress() async throws {
        var fixture = try Fixture()
        fixture.serverConfiguration.host = "192.0.2.1"
        do {
            _ = try await fixture.start(.echo())
            Issue.record("listened on a foreign address")
        } catch {
            guard case TransportError.cannotListen(address: "192.0.2.1:0", _) = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test("A connection comes back by itself after the server restarts")
    func restart() async throws {
        var fixture = try Fixture()
        let first = try await fixture.start(.echo())
        fixture.serverConfiguration.port = try #require(first.port)
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: first, record: record)
        try await eventually("connected") { connection.state == .connected }
        await first.shutdown(grace: .seconds(5))
        try await eventually("the loss is seen") { record.withRecord { !$0.errors.isEmpty } }
        try await eventually("attempts fail meanwhile") { record.withRecord { $0.errors.count } >= 3 }
        #expect(connection.send(frame("nobody there")) == .notConnected)
        guard case .cannotConnect(_, let reason)? = record.withRecord({ $0.errors.last }) else {
            Issue.record("\(record.withRecord { $0.errors })")
            return
        }
        #expect(reason == "Connection refused")
        let second = try await fixture.start(.echo())
        try await eventually("connected again") { connection.state == .connected }
        #expect(connection.send(frame("hello again")) == .queued)
        try await eventually("echoed") { record.withRecord { $0.frameCount } == 1 }
        #expect(record.withRecord { $0.connectedCount } == 2)
        connection.close()
        await second.shutdown(grace: .seconds(5))
    }

    @Test("A closed connection stays closed and reports nothing more")
    func closed() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("connected") { connection.state == .connected }
        connection.close()
        try await eventually("the server sees it go") { endpoint.sessionCount == 0 }
        connection.start()
        #expect(connection.send(frame("x")) == .notConnected)
        #expect(connection.state == .closed)
        #expect(record.withRecord { $0.errors.isEmpty && $0.connectedCount == 1 })
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("An idle connection starts with the first send, which is not delivered")
    func onDemand() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let configuration = PeerConnectionConfiguration(
            serverNumber: 2, host: "127.0.0.1", port: try #require(endpoint.port), expectedPin: fixture.server.pin,
            scope: Fixture.scope, limits: Fixture.limits)
        let connection = try PeerConnection(
            configuration, identity: fixture.client.identity, eventLoop: Fixture.group.next(), logger: Fixture.logger
        ) { _ in }
        #expect(connection.state == .idle)
        #expect(connection.send(frame("x")) == .notConnected)
        try await eventually("connected") { connection.state == .connected }
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("One identity gets as many sessions as allowed, and another identity is not hindered")
    func sessionsPerPeer() async throws {
        var fixture = try Fixture()
        let other = try TestIdentity("other")
        fixture.serverConfiguration.peers = PeerDirectory([
            fixture.client.pin: .client("alice"), other.pin: .client("bob"),
        ])
        fixture.serverConfiguration.admission.maximumSessionsPerPeer = 2
        let endpoint = try await fixture.start(.echo())
        let records = (0..<3).map { _ in ConnectionRecord() }
        var connections: [PeerConnection] = []
        for record in records[0..<2] {
            let connection = try fixture.connect(to: endpoint, record: record)
            connections.append(connection)
            try await eventually("connected") { connection.state == .connected }
        }
        let third = try fixture.connect(to: endpoint, record: records[2])
        try await eventually("refused") { records[2].withRecord { !$0.errors.isEmpty } }
        guard case .refused(_, .tooManyConnections(limit: 2))? = records[2].withRecord({ $0.errors.first }) else {
            Issue.record("\(records[2].withRecord { $0.errors })")
            return
        }
        let bob = try fixture.connect(to: endpoint, as: other, record: ConnectionRecord())
        try await eventually("bob is let in") { bob.state == .connected }
        connections[0].close()
        try await eventually("the third gets the place that became free") { third.state == .connected }
        for connection in connections + [third, bob] { connection.close() }
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("The limit on clients does not keep a server out")
    func serversGetIn() async throws {
        var fixture = try Fixture()
        let server = try TestIdentity("server 4")
        fixture.serverConfiguration.peers = PeerDirectory([
            fixture.client.pin: .client("alice"), server.pin: .server(4),
        ])
        fixture.serverConfiguration.admission.maximumClientSessions = 1
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        let alice = try fixture.connect(to: endpoint, record: ConnectionRecord())
        try await eventually("alice is let in") { alice.state == .connected }
        let record = ConnectionRecord()
        let again = try fixture.connect(to: endpoint, record: record)
        try await eventually("refused") { record.withRecord { !$0.errors.isEmpty } }
        let peer = try fixture.connect(to: endpoint, as: server, record: ConnectionRecord())
        try await eventually("the server is let in") { peer.state == .connected }
        #expect(delegate.withRecord { $0.opened.map(\.identity) } == [.client("alice"), .server(4)])
        for connection in [alice, again, peer] { connection.close() }
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("Replacing the directory closes the sessions of certificates that are gone")
    func revocation() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("connected") { connection.state == .connected }
        endpoint.replacePeers(PeerDirectory([:]))
        try await eventually("refused from now on") {
            record.withRecord { record in
                record.errors.contains { if case .refused(_, .unknownPeer) = $0 { true } else { false } }
            }
        }
        endpoint.replacePeers(fixture.serverConfiguration.peers)
        try await eventually("let in again") { connection.state == .connected }
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("Shutdown delivers what is queued")
    func shutdownFlushes() async throws {
        let fixture = try Fixture()
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        let record = ConnectionRecord(keepsFrames: false)
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("connected") { delegate.withRecord { $0.opened.count } == 1 }
        let session = try #require(delegate.withRecord { $0.opened.first })
        let chunk = OutboundFrame(head: ByteBuffer(repeating: 1, count: 1 << 20))
        for _ in 0..<20 { #expect(session.send(chunk) == .queued) }
        await endpoint.shutdown(grace: .seconds(20))
        try await eventually("everything arrived") { record.withRecord { $0.frameBytes } == 20 << 20 }
        #expect(delegate.withRecord { $0.closed.count } == 1)
        #expect(delegate.withRecord { $0.closed[0].error } == nil)
        connection.close()
    }

    @Test("An unreachable port is reported with its server, again and again")
    func refusedPort() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let record = ConnectionRecord()
        let port = try #require(endpoint.port)
        await endpoint.shutdown(grace: .seconds(1))
        let configuration = PeerConnectionConfiguration(
            serverNumber: 5, host: "127.0.0.1", port: port, expectedPin: fixture.server.pin, scope: Fixture.scope,
            limits: Fixture.limits)
        let connection = try PeerConnection(
            configuration, identity: fixture.client.identity, eventLoop: Fixture.group.next(), logger: Fixture.logger
        ) { record.take($0) }
        connection.start()
        try await eventually("two attempts fail") { record.withRecord { $0.errors.count } >= 2 }
        let peer = "server 5 at 127.0.0.1:\(port)"
        #expect(
            record.withRecord { $0.errors.first } == .cannotConnect(peer: peer, reason: "Connection refused"))
        connection.close()
    }
}
