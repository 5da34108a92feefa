// Who gets in, who does not, and what they are told.

import NIOCore
import NIOSSL
import QuorumTransport
import Testing

@Suite("Handshake", .timeLimit(.minutes(1)))
struct HandshakeTests {
    @Test("A pinned client is let in under the identity of its certificate")
    func goodPeer() async throws {
        let fixture = try Fixture()
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        try await fixture.expectService(by: endpoint)
        let session = try #require(delegate.withRecord { $0.opened.first })
        #expect(session.identity == .client("alice"))
        #expect(session.pin == fixture.client.pin)
        #expect(session.peer.hasPrefix("client alice at 127.0.0.1:"))
        #expect(endpoint.counters.openedSessions == 1)
        #expect(endpoint.counters.refusals == 0)
        await endpoint.shutdown(grace: .seconds(5))
    }

    /// Connects as `identity` with `adjust` and returns the error of the first attempt.
    private func firstError(
        _ fixture: Fixture, as identity: TestIdentity? = nil,
        adjust: (inout PeerConnectionConfiguration) -> Void = { _ in },
        check: (TransportCounters) -> Bool
    ) async throws -> TransportError {
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, as: identity, record: record, adjust: adjust)
        defer { connection.close() }
        try await eventually("the attempt fails") { record.withRecord { !$0.errors.isEmpty } }
        try await eventually("the failure is counted") { check(endpoint.counters) }
        #expect(record.withRecord { $0.connectedCount } == 0)
        #expect(delegate.withRecord { $0.opened.isEmpty })
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
        return try #require(record.withRecord { $0.errors.first })
    }

    private func refusal(_ error: TransportError) -> ConnectionRefusal? {
        guard case .refused(_, let reason) = error else { return nil }
        return reason
    }

    @Test("A client whose certificate is not pinned is told so")
    func unpinnedClient() async throws {
        let error = try await firstError(try Fixture(), as: try TestIdentity("mallory")) { $0.refusedUnknownPeer >= 1 }
        #expect(refusal(error) == .unknownPeer)
        #expect("\(error)".hasPrefix("server 2 at 127.0.0.1:"))
        #expect("\(error)".hasSuffix("our certificate is not listed in the cluster's configuration"))
    }

    @Test("A client whose certificate expired is told since when")
    func expiredClient() async throws {
        let client = try TestIdentity("client", from: -7200, until: -3600)
        let error = try await firstError(try Fixture(client: client)) { $0.refusedCertificateValidity >= 1 }
        #expect(refusal(error) == .certificateExpired(notAfter: client.identity.validity.notAfter))
    }

    @Test("A client whose certificate is not valid yet is told from when it will be")
    func earlyClient() async throws {
        let client = try TestIdentity("client", from: 3600, until: 7200)
        let error = try await firstError(try Fixture(client: client)) { $0.refusedCertificateValidity >= 1 }
        #expect(refusal(error) == .certificateNotYetValid(notBefore: client.identity.validity.notBefore))
    }

    @Test("A client of another cluster is refused")
    func wrongCluster() async throws {
        let other = try #require(ClusterScope(clusterID: [UInt8](repeating: 8, count: 16), epoch: 3))
        let error = try await firstError(try Fixture(), adjust: { $0.scope = other }) { $0.refusedWrongCluster >= 1 }
        #expect(refusal(error) == .wrongCluster)
    }

    @Test("A client with another configuration of the server's epoch is refused, and told in what it differs")
    func otherConfiguration() async throws {
        let other = try #require(
            ClusterScope(
                clusterID: Fixture.scope.clusterID, epoch: 3, configurationDigest: [UInt8](repeating: 1, count: 32),
                partTags: [1, 2, 7, 4, 8, 9]))
        let error = try await firstError(try Fixture(), adjust: { $0.scope = other }) {
            $0.refusedOtherConfiguration >= 1
        }
        let reason = refusal(error)
        #expect(reason == .otherConfiguration([.init(.stripeSize), .init(.groups)]))
        #expect(reason?.description.contains("stripe_bytes, groups;") == true)
    }

    @Test("Another epoch, and other versions of lists, are no reason to hang up; each side learns the other's")
    func otherEpoch() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let known = ListVersions(addresses: 4, keys: 5, access: 6)
        let announced = try #require(
            ClusterScope(
                clusterID: Fixture.scope.clusterID, epoch: 8, configurationDigest: [UInt8](repeating: 1, count: 32),
                listVersions: known, incarnation: 2))
        endpoint.announce(announced)
        let record = ConnectionRecord()
        let connection = try fixture.connect(to: endpoint, record: record)
        try await eventually("the connection stands") { record.withRecord { $0.connectedCount } == 1 }
        #expect(record.withRecord { $0.scopes } == [announced])
        connection.close()
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A server with another certificate than the pinned one is not spoken to")
    func unpinnedServer() async throws {
        let fixture = try Fixture()
        let expected = try TestIdentity("another").pin
        let error = try await firstError(fixture, adjust: { $0.expectedPin = expected }) { $0.failedTLS >= 1 }
        guard case .certificateNotPinned(_, expected, let got) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(got == fixture.server.pin)
    }

    @Test("A server whose certificate expired is not spoken to")
    func expiredServer() async throws {
        let server = try TestIdentity("server", from: -7200, until: -3600)
        let error = try await firstError(try Fixture(server: server)) { $0.failedTLS >= 1 }
        guard case .certificateExpired(_, server.identity.validity.notAfter) = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("A peer of another protocol version is told the one spoken here")
    func wrongVersion() async throws {
        let fixture = try Fixture()
        let endpoint = try await fixture.start(.echo())
        let peer = try await RawPeer.connect(port: try #require(endpoint.port), identity: fixture.client)
        peer.send(framed(Greeting.hello(version: 77, Fixture.scope).encoded()))
        try await eventually("the server closes") { peer.isClosed }
        #expect(peer.greeting == .refusal(.unsupportedVersion(supported: Greeting.currentVersion)))
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test(
        "A peer that shows no certificate, or speaks an older TLS, does not get through TLS",
        arguments: [(false, TLSVersion.tlsv13), (true, .tlsv12)])
    func weakTLS(showsCertificate: Bool, version: TLSVersion) async throws {
        var fixture = try Fixture()
        // On a busy machine the time for a handshake may end before the certificate is looked for.
        fixture.serverConfiguration.limits.handshakeTimeout = .minutes(10)
        let delegate = RecordingServer.echo()
        let endpoint = try await fixture.start(delegate)
        let peer = try await RawPeer.connect(
            port: try #require(endpoint.port), identity: fixture.client, showsCertificate: showsCertificate,
            maximumVersion: version)
        peer.send(framed(Greeting.hello(version: Greeting.currentVersion, Fixture.scope).encoded()))
        try await eventually("the server closes") { peer.isClosed }
        #expect(endpoint.counters.failedTLS == 1)
        #expect(endpoint.counters.openedSessions == 0 && peer.received.isEmpty)
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A client refuses a server whose HELLO names another configuration of the epoch")
    func lyingServerHello() async throws {
        // Two honest endpoints never get this far, so the server's part is played by hand.
        let fixture = try Fixture()
        let liar = try await RawServer.start(identity: fixture.server) { channel, _ in
            let scope = ClusterScope(
                clusterID: Fixture.scope.clusterID, epoch: 3, configurationDigest: [UInt8](repeating: 1, count: 32))!
            let hello = Greeting.hello(version: Greeting.currentVersion, scope)
            channel.writeAndFlush(framed(hello.encoded()), promise: nil)
        }
        let error = try await liar.firstError(fixture)
        #expect(error == .helloRejected(peer: liar.peer, reason: .otherConfiguration([])))
        liar.close()
    }

    @Test(
        "Garbage in the place of a server's HELLO or frames ends the connection with its reason",
        arguments: [
            ([UInt8]([5, 0, 0, 0, 1, 2, 3, 4, 5]), "rejected"), ([0, 0, 0, 0], "empty"), ([1, 16, 0, 0], "too large"),
        ])
    func garbageServerHello(bytes: [UInt8], kind: String) async throws {
        let fixture = try Fixture()
        let liar = try await RawServer.start(identity: fixture.server) { channel, _ in
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        }
        let expected: TransportError =
            switch kind {
            case "rejected": .helloRejected(peer: liar.peer, reason: .malformedHello)
            case "empty": .emptyFrame(peer: liar.peer)
            default: .frameTooLarge(peer: liar.peer, sizeBytes: 4097, limitBytes: 4096)
            }
        #expect(try await liar.firstError(fixture) == expected)
        liar.close()
    }

    @Test("A silent peer is dropped when its handshake takes too long, with TLS or without", arguments: [true, false])
    func silentPeer(speaksTLS: Bool) async throws {
        var fixture = try Fixture()
        fixture.serverConfiguration.limits.handshakeTimeout = .milliseconds(300)
        let endpoint = try await fixture.start(.echo())
        let peer = try await RawPeer.connect(
            port: try #require(endpoint.port), identity: speaksTLS ? fixture.client : nil)
        try await eventually("the server gives up") { peer.isClosed }
        #expect(endpoint.counters.handshakeTimeouts == 1)
        await endpoint.shutdown(grace: .seconds(5))
    }

    @Test("A server that accepts and says nothing is given up with its name")
    func silentServer() async throws {
        let fixture = try Fixture()
        let silent = try await RawServer.start(identity: nil) { _, _ in }
        let error = try await silent.firstError(fixture) { $0.limits.handshakeTimeout = .milliseconds(300) }
        #expect(error == .handshakeTimedOut(peer: silent.peer, milliseconds: 300))
        silent.close()
    }
}
