// What the tests share: certificates made on the spot, a recording server, and waiting with a limit.

import Foundation
import Logging
import NIOCore
import NIOPosix
import QuorumTransport
import Synchronization
import Testing

/// A key and certificate made for one test.
struct TestIdentity: Sendable {
    let generated: GeneratedIdentity
    let identity: TransportIdentity
    var pin: CertificatePin { identity.pin }

    /// Valid from `from` to `until`, seconds relative to now.
    init(_ name: String, from: Double = -3600, until: Double = 3600) throws {
        let now = Date()
        generated = try GeneratedIdentity(
            commonName: name, validFrom: now.addingTimeInterval(from), validUntil: now.addingTimeInterval(until))
        let middle = Int64(now.timeIntervalSince1970 + (from + until) / 2)
        identity = try TransportIdentity(
            privateKeyPEM: generated.privateKeyPEM, certificatePEM: generated.certificatePEM, now: middle)
    }
}

/// Records what a server endpoint reports; answers through a closure.
final class RecordingServer: ServerEndpointDelegate {
    struct Record {
        var opened: [Session] = []
        var frames: [[UInt8]] = []
        var frameCount = 0
        var closed: [(session: Session, error: TransportError?)] = []
    }

    private let record = Mutex(Record())
    private let keepsFrames: Bool
    private let onFrame: @Sendable (Session, ByteBuffer) -> Void

    init(keepsFrames: Bool = false, onFrame: @escaping @Sendable (Session, ByteBuffer) -> Void) {
        self.keepsFrames = keepsFrames
        self.onFrame = onFrame
    }

    static func echo() -> RecordingServer {
        RecordingServer { session, frame in
            session.send(OutboundFrame(head: frame))
            session.completed(frameSizeBytes: frame.readableBytes)
        }
    }

    static func sink(keepsFrames: Bool = true) -> RecordingServer {
        RecordingServer(keepsFrames: keepsFrames) { session, frame in
            session.completed(frameSizeBytes: frame.readableBytes)
        }
    }

    func withRecord<T>(_ body: (Record) -> T) -> T { record.withLock { body($0) } }

    func sessionOpened(_ session: Session) { record.withLock { $0.opened.append(session) } }

    func session(_ session: Session, received frame: ByteBuffer) {
        record.withLock { record in
            record.frameCount += 1
            if keepsFrames { record.frames.append(Array(buffer: frame)) }
        }
        onFrame(session, frame)
    }

    func sessionClosed(_ session: Session, error: TransportError?) {
        record.withLock { $0.closed.append((session, error)) }
    }
}

/// Records what a connection reports.
final class ConnectionRecord: Sendable {
    struct Record {
        var connectedCount = 0
        /// What the server's HELLOs said.
        var scopes: [ClusterScope] = []
        var frames: [ByteBuffer] = []
        var frameCount = 0
        var frameBytes = 0
        var errors: [TransportError] = []
    }

    private let record = Mutex(Record())
    private let keepsFrames: Bool

    init(keepsFrames: Bool = true) { self.keepsFrames = keepsFrames }

    func withRecord<T>(_ body: (Record) -> T) -> T { record.withLock { body($0) } }

    func take(_ event: PeerConnectionEvent) {
        record.withLock { record in
            switch event {
            case .connected(let scope):
                record.connectedCount += 1
                record.scopes.append(scope)
            case .frame(let frame):
                record.frameCount += 1
                record.frameBytes += frame.readableBytes
                if keepsFrames { record.frames.append(frame) }
            case .disconnected(let error): record.errors.append(error)
            }
        }
    }
}

/// A server with one pinned client, both able to talk; the parts may be changed before `start`.
struct Fixture {
    static let scope = ClusterScope(clusterID: [UInt8](repeating: 7, count: 16), epoch: 3, partTags: [1, 2, 3, 4, 5])!
    static let limits = ConnectionLimits(frameSizeBytesMax: 16 << 20)
    static var group: any EventLoopGroup { MultiThreadedEventLoopGroup.singleton }
    static let logger = Logger(label: "transport-tests", factory: { _ in SwiftLogNoOpLogHandler() })

    var server: TestIdentity
    var client: TestIdentity
    var serverConfiguration: ServerEndpointConfiguration

    init(server: TestIdentity? = nil, client: TestIdentity? = nil) throws {
        self.server = try server ?? TestIdentity("server")
        self.client = try client ?? TestIdentity("client")
        serverConfiguration = ServerEndpointConfiguration(
            host: "127.0.0.1", port: 0, scope: Self.scope,
            peers: PeerDirectory([self.client.pin: .client("alice")]), limits: Self.limits)
        serverConfiguration.limits.handshakeTimeout = .seconds(10)
    }

    func start(_ delegate: RecordingServer) async throws -> ServerEndpoint {
        try await ServerEndpoint.start(
            serverConfiguration, identity: server.identity, delegate: delegate, group: Self.group,
            logger: Self.logger)
    }

    /// A connection to `endpoint` that is started; `adjust` may change its configuration.
    func connect(
        to endpoint: ServerEndpoint, as identity: TestIdentity? = nil, record: ConnectionRecord,
        adjust: (inout PeerConnectionConfiguration) -> Void = { _ in }
    ) throws -> PeerConnection {
        var configuration = PeerConnectionConfiguration(
            serverNumber: 2, host: "127.0.0.1", port: try #require(endpoint.port), expectedPin: server.pin,
            scope: Self.scope, limits: Self.limits)
        configuration.limits.handshakeTimeout = .seconds(10)
        configuration.backoff.maximum = .milliseconds(200)
        adjust(&configuration)
        let connection = try PeerConnection(
            configuration, identity: (identity ?? client).identity, eventLoop: Self.group.next(), logger: Self.logger
        ) { record.take($0) }
        connection.start()
        return connection
    }

    /// Another connection to `endpoint` is let in, and served by an endpoint that `echoes`.
    func expectService(
        by endpoint: ServerEndpoint, echoes: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let record = ConnectionRecord()
        let connection = try connect(to: endpoint, record: record)
        defer { connection.close() }
        try await eventually("a fresh connection is let in", sourceLocation) { connection.state == .connected }
        #expect(connection.send(frame("still here?")) == .queued, sourceLocation: sourceLocation)
        try await eventually("an answer comes back", sourceLocation) { record.withRecord { $0.frameCount } == 1 }
        guard echoes else { return }
        let echo = record.withRecord { $0.frames.first.map { String(buffer: $0) } }
        #expect(echo == "still here?", sourceLocation: sourceLocation)
    }
}

func frame(_ text: String) -> OutboundFrame { OutboundFrame(head: ByteBuffer(string: text)) }

struct NeverHappened: Error, CustomStringConvertible {
    let description: String
}

/// Waits until `condition` holds, for at most 20 seconds.
func eventually(
    _ what: String, _ sourceLocation: SourceLocation = #_sourceLocation, _ condition: () -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("never happened: \(what)", sourceLocation: sourceLocation)
            throw NeverHappened(description: what)
        }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// SplitMix64: a test's random choices follow from its printed seed alone.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
