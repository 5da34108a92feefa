// A client with a valid certificate that sends nonsense to a live server: nothing of it kills the server, changes an
// object or keeps others from being served.

import ErasureCode
import Fingerprint
import Foundation
import Logging
import NIOCore
import NIOPosix
import QuorumClient
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization
import Testing

extension BesiegedClusters {
    @Suite("A hostile client", .serialized) struct HostileClient {
        private static let frameCount = 2000
        private static let connectionCount = 4

        @Test(
            "thousands of mutated frames leave the server alive, serving, and every object unchanged",
            .timeLimit(.minutes(4)))
        func mutatedFrames() async throws {
            try await withCluster(clientNames: ["first", "hostile"]) { cluster in
                let target = NodeID(1)
                try await cluster.withClient { client in
                    let stored = try await cluster.checkOperations(client, "target")
                    var versions: [Timestamp] = []
                    for item in stored { versions.append(try await client.head(item.key).timestamp) }

                    let answers = try await attack(cluster, target, stored)
                    #expect(answers.replies > 100, "the frames did not get as far as the protocol: \(answers)")
                    #expect(answers.disconnections > 100, "no frame was found malformed: \(answers)")

                    #expect(cluster.isAlive(target), "\(cluster.log(target).suffix(2000))")
                    try await cluster.check(stored, client)
                    for (item, version) in zip(stored, versions) {
                        #expect(try await client.head(item.key).timestamp == version)
                    }
                    // The attacked server is needed for each quorum now.
                    cluster.kill(NodeID(3))
                    try await cluster.check(stored, client)
                    try await cluster.checkOperations(client, "after", sizesBytes: [5, 64 << 10])
                    // What it stored survives, too.
                    cluster.kill(target)
                    try await cluster.start(target)
                    try await cluster.check(stored, client)
                }
            }
        }

        private struct Answers {
            var replies = 0
            var disconnections = 0
        }

        /// Sends the frames over several connections, each again and again as the server ends them.
        private func attack(
            _ cluster: TestCluster, _ target: NodeID, _ stored: [StoredValue]
        ) async throws -> Answers {
            let home = try cluster.clientHome("hostile")
            let victim = try cluster.clientHome("first")
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let answers = try await withThrowingTaskGroup(of: Answers.self) { tasks in
                for number in 0..<Self.connectionCount {
                    tasks.addTask {
                        let peer = try RawPeer(
                            cluster, target, identity: home.identity, group: group)
                        defer { peer.close() }
                        var generator = SeededGenerator("hostile \(number)")
                        let frames = try await Self.frames(peer, stored, writers: [home.id, victim.id])
                        for _ in 0..<(Self.frameCount / Self.connectionCount) {
                            let frame = frames.randomElement(using: &generator)!
                            try await peer.exchange(Mutation.any(frame, &generator))
                        }
                        try await peer.settle()
                        return Answers(replies: peer.replyCount, disconnections: peer.disconnectionCount)
                    }
                }
                return try await tasks.reduce(into: Answers()) { total, some in
                    total.replies += some.replies
                    total.disconnections += some.disconnections
                }
            }
            try await group.shutdownGracefully()
            return answers
        }

        /// Real frames of every kind, about objects that exist and with proofs that hold.
        private static func frames(
            _ peer: RawPeer, _ stored: [StoredValue], writers: [ClientID]
        ) async throws -> [[UInt8]] {
            let parameters = peer.parameters
            var requests: [Request] = []
            for item in stored.prefix(4) {
                let reply = try await peer.ask(.read(Read(key: item.key, portion: .fragments)))
                guard case .version(_, let parts?) = reply,
                    case .certificate(_, let certificate?) = try await peer.ask(
                        .certificate(item.key, parts.timestamp))
                else {
                    Issue.record("\(item.key) is not there: \(reply)")
                    continue
                }
                requests += [
                    .readTimestamp(item.key), .read(Read(key: item.key, portion: .fragments)),
                    .read(Read(key: item.key, version: parts.timestamp, portion: .descriptor)),
                    .commit(Commit(key: item.key, certificate: certificate)),
                    .certificate(item.key, parts.timestamp),
                    .describe(
                        Describe(key: item.key, timestamp: parts.timestamp, descriptor: parts.descriptor)),
                ]
                let block = SeededBytes.make("hostile", 300)
                let encoded = CrossChecksum.encode(block: block, code: parameters.quorums.code)
                let descriptor = SealedDescriptor(
                    Descriptor(
                        value: item.key, lengthBytes: 300, stripeSizeBytes: 1 << 20,
                        stripes: [encoded.crossChecksum], metadata: ObjectMetadata(), parameters: parameters))
                for writer in writers {
                    let timestamp = Timestamp(
                        counter: parts.timestamp.counter + 1, writer: writer, digest: descriptor.digest)
                    let position = peer.position(of: item.key)
                    requests.append(
                        .prepare(
                            Prepare(
                                key: item.key, timestamp: timestamp, position: position, descriptor: descriptor,
                                fragments: [encoded.fragments[position.offset]], justification: certificate,
                                admission: certificate.statements)))
                }
            }
            return requests.enumerated().map { number, request in
                let message = request.encoded(
                    request: UInt64(number) + 1, to: parameters.placement(of: request.key).route)
                return message.head + message.fragments.flatMap(\.array)
            }
        }
    }
}

/// A client's connection on which anything can be sent.
final class RawPeer: Sendable {
    private struct State {
        var replies: [UInt64: Reply] = [:]
        var replyCount = 0
        var disconnections: [TransportError] = []
        var nextNumber: UInt64 = 1 << 40
    }

    struct NoAnswer: Error { let what: String }

    let server: NodeID
    let parameters: ClusterParameters
    private let connection = Mutex<PeerConnection?>(nil)
    private let state = Mutex(State())

    init(
        _ cluster: TestCluster, _ server: NodeID, identity: TransportIdentity, group: any EventLoopGroup,
        scope: ClusterScope? = nil
    ) throws {
        self.server = server
        parameters = cluster.configuration.parameters
        let entry = try #require(cluster.configuration.server(server))
        var configuration = PeerConnectionConfiguration(
            serverNumber: server.rawValue, host: entry.host, port: entry.port, expectedPin: entry.pin,
            scope: scope ?? cluster.configuration.scope, limits: ConnectionLimits(parameters))
        configuration.backoff.minimum = .milliseconds(1)
        configuration.backoff.maximum = .milliseconds(20)
        let parameters = parameters
        let made = try PeerConnection(
            configuration, identity: identity, eventLoop: group.next(), logger: .silent
        ) { [weak self] event in
            guard let self else { return }
            switch event {
            case .connected: break
            case .frame(let frame):
                let decoded = try? Reply.decode(frame, parameters: parameters)
                self.state.withLock { state in
                    state.replyCount += 1
                    if let decoded { state.replies[decoded.number] = decoded.reply }
                }
            case .disconnected(let error):
                self.state.withLock { $0.disconnections.append(error) }
            }
        }
        connection.withLock { $0 = made }
        made.start()
    }

    var replyCount: Int { state.withLock { $0.replyCount } }
    var disconnectionCount: Int { state.withLock { $0.disconnections.count } }
    var disconnections: [TransportError] { state.withLock { $0.disconnections } }

    func close() { connection.withLock { $0 }?.close() }

    /// Sends the bytes as one frame as soon as there is a connection.
    func send(_ bytes: [UInt8]) async throws {
        try await wait("a connection") {
            self.connection.withLock { $0 }?.send(OutboundFrame(head: ByteBuffer(bytes: bytes))) == .queued
        }
    }

    /// Sends the bytes as one frame and returns once the server has answered or ended the connection.
    func exchange(_ bytes: [UInt8]) async throws {
        let before = state.withLock { $0.replyCount + $0.disconnections.count }
        try await send(bytes)
        try await wait("an answer or an end") {
            self.state.withLock { $0.replyCount + $0.disconnections.count > before }
        }
    }

    /// The server's position for an object; 0 where it has none.
    func position(of key: ObjectKey) -> Position { parameters.placement(of: key).position(of: server) ?? Position(0) }

    func ask(_ request: Request) async throws -> Reply {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        let message = request.encoded(request: number, to: parameters.placement(of: request.key).route)
        var reply: Reply?
        for _ in 0..<10 where reply == nil {
            try await send(message.head + message.fragments.flatMap(\.array))
            reply = try? await wait("an answer", seconds: 5) { () -> Reply? in
                self.state.withLock { $0.replies[number] }
            }
        }
        guard let reply else { throw NoAnswer(what: "\(request.kind)") }
        return reply
    }

    /// Returns once the server has dealt with all that was sent.
    func settle() async throws {
        _ = try await ask(.readTimestamp(try ObjectKey("tests/settled")))
    }

    func waitForDisconnection() async throws -> TransportError {
        try await wait("a disconnection") { self.state.withLock { $0.disconnections.first } }
    }

    private func wait(_ what: String, _ condition: () -> Bool) async throws {
        _ = try await wait(what) { condition() ? () : nil }
    }

    private func wait<T>(
        _ what: String, seconds: Double = TestCluster.patienceSeconds, _ value: () -> T?
    ) async throws -> T {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            if let found = value() { return found }
            guard ContinuousClock.now < deadline else { throw NoAnswer(what: what) }
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}
