// What a server makes of well-formed frames whose type it does not know, and of those that nobody is to answer.

import ClusterFiles
import Logging
import NIOCore
import NIOPosix
import QuorumOperations
import QuorumProtocol
import QuorumServer
import QuorumTransport
import QuorumWire
import Testing

@Suite("Messages of another release", .serialized, .timeLimit(.minutes(1)))
struct UnknownMessageTests {
    private static let unknownType: UInt8 = 77

    /// A connection to server 0 over which anything can be sent.
    private final class Peer {
        let connection: PeerConnection
        let parameters: ClusterParameters
        private var events: AsyncStream<PeerConnectionEvent>.AsyncIterator

        /// As the cluster's client, or as one of its servers.
        init(_ cluster: InProcessCluster, asServer server: Int? = nil) throws {
            let home = try ClientHome(clusterDirectory: cluster.directory)
            let identity =
                try server.map { try ServerHome(path: "\(cluster.directory)/servers/\($0)").identity } ?? home.identity
            parameters = home.cluster.parameters
            let entry = home.cluster.servers[0]
            let (events, continuation) = AsyncStream<PeerConnectionEvent>.makeStream()
            connection = try PeerConnection(
                PeerConnectionConfiguration(
                    serverNumber: 0, host: entry.host, port: entry.port, expectedPin: entry.pin,
                    scope: home.cluster.scope, limits: ConnectionLimits(parameters)),
                identity: identity, eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
                logger: Logger(label: "test")
            ) { continuation.yield($0) }
            self.events = events.makeAsyncIterator()
            connection.start()
        }

        deinit { connection.close() }

        enum Event: Equatable {
            case connected
            case reply(UInt64, Reply)
            case disconnected
        }

        func next() async throws -> Event {
            switch await events.next() {
            case .connected: return .connected
            case .frame(let frame):
                let (number, reply) = try Reply.decode(frame, parameters: parameters)
                return .reply(number, reply)
            case .disconnected, nil: return .disconnected
            }
        }

        func send(type: UInt8, number: UInt64) {
            var frame = ByteBuffer()
            frame.writeInteger(type)
            frame.writeInteger(number)
            frame.writeInteger(UInt32(3))
            frame.writeBytes([1, 2, 3, 4])
            connection.send(OutboundFrame(head: frame))
        }

        func send(_ request: Request, number: UInt64) {
            connection.send(
                OutboundFrame(request.encoded(request: number, to: parameters.placement(of: request.key).route)))
        }
    }

    private static func question() throws -> Request { .readTimestamp(try ObjectKey("tests/nothing")) }

    @Test("an unknown type is refused as unsupported, and the connection lives on")
    func unsupported() async throws {
        try await withCluster { cluster, _ in
            let peer = try Peer(cluster)
            #expect(try await peer.next() == .connected)
            for number: UInt64 in [1, 2] {
                peer.send(type: Self.unknownType, number: number)
                #expect(try await peer.next() == .reply(number, .refused(.unsupported(type: Self.unknownType))))
            }
            peer.send(try Self.question(), number: 3)
            #expect(try await peer.next() == .reply(3, .timestamp(CommittedClaim(certificate: nil))))
            let counters = try #require(cluster.servers[0]?.counters)
            #expect(counters.refusals["unsupported"] == 2 && counters.malformedFrames == 0)
        }
    }

    @Test("a client's one-way message, known or not, is not answered and ends the connection", arguments: [77, 4, 1])
    func clientsOneWay(type: UInt8) async throws {
        try await withCluster { cluster, _ in
            let peer = try Peer(cluster)
            #expect(try await peer.next() == .connected)
            peer.send(type: type, number: 0)
            #expect(try await peer.next() == .disconnected)
            #expect(cluster.servers[0]?.counters.malformedFrames == 1)
        }
    }

    @Test("a node's one-way messages are not answered, and have no requests among them")
    func nodesOneWay() async throws {
        try await withCluster { cluster, _ in
            let peer = try Peer(cluster, asServer: 1)
            #expect(try await peer.next() == .connected)
            for _ in 0..<3 { peer.send(type: Self.unknownType, number: 0) }
            peer.send(try Self.question(), number: 1)
            // The end is the first that comes back.
            #expect(try await peer.next() == .disconnected)
            let counters = try #require(cluster.servers[0]?.counters)
            #expect(counters.ignoredMessages == 3 && counters.malformedFrames == 1 && counters.refusals.isEmpty)
        }
    }

    @Test("a node's requests have no one-way messages among them")
    func oneWayAmongRequests() async throws {
        try await withCluster { cluster, _ in
            let peer = try Peer(cluster, asServer: 1)
            #expect(try await peer.next() == .connected)
            peer.send(try Self.question(), number: 1)
            guard case .reply(1, _) = try await peer.next() else {
                Issue.record("the request was not answered")
                return
            }
            peer.send(type: Self.unknownType, number: 0)
            #expect(try await peer.next() == .disconnected)
            let counters = try #require(cluster.servers[0]?.counters)
            #expect(counters.ignoredMessages == 0 && counters.malformedFrames == 1)
        }
    }

    @Test("a request with number 0 is none, also a node's")
    func unnumberedRequest() async throws {
        try await withCluster { cluster, _ in
            let peer = try Peer(cluster, asServer: 1)
            #expect(try await peer.next() == .connected)
            peer.send(type: MessageType.readTimestamp.rawValue, number: 0)
            #expect(try await peer.next() == .disconnected)
            #expect(cluster.servers[0]?.counters.malformedFrames == 1)
        }
    }
}
