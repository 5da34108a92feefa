// What a server makes of a client whose frames are no requests.

import ClusterFiles
import Logging
import NIOCore
import NIOPosix
import QuorumOperations
import QuorumProtocol
import QuorumServer
import QuorumTransport
import Testing

@Suite("Frames that are no requests", .serialized)
struct MalformedFrameTests {
    @Test("a burst of frames that are no requests costs the client its connection, and the server one line of log")
    func burst() async throws {
        try await withCluster { cluster, _ in
            let home = try ClientHome(clusterDirectory: cluster.directory)
            let entry = home.cluster.servers[0]
            let group = MultiThreadedEventLoopGroup.singleton
            let (events, continuation) = AsyncStream<PeerConnectionEvent>.makeStream()
            let connection = try PeerConnection(
                PeerConnectionConfiguration(
                    serverNumber: 0, host: entry.host, port: entry.port, expectedPin: entry.pin,
                    scope: home.cluster.scope, limits: ConnectionLimits(home.cluster.parameters)),
                identity: home.identity, eventLoop: group.next(), logger: Logger(label: "test")
            ) { continuation.yield($0) }
            defer { connection.close() }
            connection.start()
            var sent = false
            waiting: for await event in events {
                switch event {
                case .connected:
                    sent = true
                    for _ in 0..<500 { connection.send(OutboundFrame(head: ByteBuffer(bytes: [0xff]))) }
                case .disconnected:
                    // On a busy machine a first attempt to connect can run out of its time.
                    if sent { break waiting }
                case .frame:
                    Issue.record("the server answered what is no request")
                }
            }
            #expect(cluster.servers[0]?.counters.malformedFrames == 1)
        }
    }
}
