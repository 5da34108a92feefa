// Any one server is faulty, in each way a server can be: every put and get succeeds with the right bytes.

import ClusterFiles
import Foundation
import Logging
import NIOCore
import NIOPosix
import QuorumClient
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import Testing

extension Clusters {
    @Suite("One server down", .serialized, .sharedCluster) struct OneServerDown {
        /// Every server in one mode, and in the others one with data or one with parity; always one of each, and one in
        /// a mode that verifies later.
        private static let servers: [ModeCase<NodeID>] = acceptance(
            casesByMode([
                .fingerprint: .four, .full: [NodeID(0)], .lazy: [NodeID(1)], .readTime: [NodeID(2)],
                .none: [NodeID(3)],
            ]),
            otherwise: casesByMode([.fingerprint: [NodeID(0), NodeID(3)], .lazy: [NodeID(1)]]))

        @Test(
            "killed with -9 and restarted with its disk: every operation succeeds before, while and after",
            .timeLimit(.minutes(3)), arguments: servers)
        func killed(_ test: ModeCase<NodeID>) async throws {
            let server = test.action
            let cluster = try await SharedCluster.current(in: test.mode)
            try await cluster.withClient { client in
                let before = try await cluster.checkOperations(client, "before-kill-\(server.rawValue)")
                cluster.kill(server)
                try await cluster.check(before, client)
                let during = try await cluster.checkOperations(client, "killed-\(server.rawValue)")
                try await cluster.withClient { try await cluster.check(before + during, $0) }
                try await cluster.start(server)
                try await cluster.check(before + during, client)
                try await cluster.checkOperations(client, "restarted-\(server.rawValue)", sizesBytes: [5, 64 << 10])
                #expect(cluster.isAlive(server))
            }
        }

        @Test(
            "stopped in its tracks: every operation succeeds while and after",
            .timeLimit(.minutes(3)), arguments: servers)
        func frozen(_ test: ModeCase<NodeID>) async throws {
            let server = test.action
            let cluster = try await SharedCluster.current(in: test.mode)
            try await cluster.withClient { client in
                let before = try await cluster.checkOperations(
                    client, "before-stop-\(server.rawValue)", sizesBytes: [5, 64 << 10])
                cluster.freeze(server)
                defer { cluster.thaw(server) }
                try await cluster.check(before, client)
                let during = try await cluster.checkOperations(client, "stopped-\(server.rawValue)")
                try await cluster.withClient { try await cluster.check(before + during, $0) }
                cluster.thaw(server)
                try await cluster.check(before + during, client)
                try await cluster.checkOperations(client, "thawed-\(server.rawValue)", sizesBytes: [5, 64 << 10])
            }
        }

        @Test("ended and started again in turn: every server comes back with all it had", .timeLimit(.minutes(3)))
        func restarted() async throws {
            let cluster = try SharedCluster.current
            try await cluster.withClient { client in
                let stored = try await cluster.checkOperations(client, "rolling")
                for server in cluster.servers {
                    #expect(try await cluster.terminate(server) == .exit(0))
                    try await cluster.start(server)
                }
                // Each reader's preferred servers are among those restarted, and no write repaired anything.
                for absent in cluster.servers {
                    cluster.kill(absent)
                    try await cluster.withClient { try await cluster.check(stored, $0) }
                    try await cluster.start(absent)
                }
            }
        }

        @Test(
            "another key at its address: it is named and left alone, and every operation succeeds",
            .timeLimit(.minutes(3)), arguments: [NodeID].four)
        func wrongKey(_ server: NodeID) async throws {
            let cluster = try SharedCluster.current
            cluster.kill(server)
            let generated = try GeneratedIdentity(
                commonName: "impostor", validFrom: Date(timeIntervalSinceNow: -60),
                validUntil: Date(timeIntervalSinceNow: 3600))
            let identity = try TransportIdentity(
                privateKeyPEM: generated.privateKeyPEM, certificatePEM: generated.certificatePEM)
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let recorder = Recorder()
            let endpoint = try await ServerEndpoint.start(
                ServerEndpointConfiguration(
                    host: "127.0.0.1", port: cluster.port(server), scope: cluster.configuration.scope,
                    peers: cluster.configuration.peers, limits: ConnectionLimits(cluster.configuration.parameters)),
                identity: identity, delegate: recorder, group: group, logger: .silent)
            do {
                try await cluster.withClient { client in
                    try await cluster.checkOperations(client, "wrong-key-\(server.rawValue)")
                }
                #expect(recorder.frameCount == 0, "a client spoke to a server with another key")
            } catch {
                Issue.record(error)
            }
            await endpoint.shutdown(grace: .milliseconds(100))
            try await group.shutdownGracefully()
            try await cluster.start(server)
        }
    }

    @Suite("One server never there", .serialized) struct OneServerNeverThere {
        @Test(
            "every operation succeeds, and it catches up when it comes at last",
            .timeLimit(.minutes(3)),
            arguments: acceptance(
                casesByMode([.fingerprint: .four, .lazy: [NodeID(0)], .none: [NodeID(2)]]),
                otherwise: casesByMode([.fingerprint: [NodeID(3)], .lazy: [NodeID(0)]])))
        func neverThere(_ test: ModeCase<NodeID>) async throws {
            let server = test.action
            try await withCluster(starts: false, change: { $0.mode = test.mode }) { cluster in
                let present = cluster.servers.filter { $0 != server }
                for other in present { try cluster.launch(other) }
                for other in present { try await cluster.waitUntilListening(other) }
                try await cluster.withClient { client in
                    let stored = try await cluster.checkOperations(client, "absent")
                    try await cluster.start(server)
                    try await cluster.check(stored, client)
                    try await cluster.checkOperations(client, "present", sizesBytes: [5, 64 << 10])
                }
            }
        }
    }

    @Suite("One server lies", .serialized) struct OneServerLies {
        /// Damage to messages, to what they say, and everything.
        private static let fewLies: [Lie] = [.mutatedBytes, .garbageFragments, .everything]

        @Test(
            "every operation succeeds with the right bytes, whatever it says",
            .timeLimit(.minutes(5)),
            arguments: acceptance(
                casesByMode([
                    .fingerprint: .four, .full: [NodeID(0)], .lazy: [NodeID(1)], .readTime: [NodeID(2)],
                ]),
                otherwise: casesByMode([.fingerprint: [NodeID(1)]])))
        func lies(_ test: ModeCase<NodeID>) async throws {
            let server = test.action
            try await withCluster(change: { $0.mode = test.mode }) { cluster in
                let before = try await cluster.withClient { try await cluster.checkOperations($0, "before-lies") }
                #expect(try await cluster.terminate(server) == .exit(0))
                let impostor = try await Impostor.start(cluster, server, .silence)
                do {
                    var all = before
                    let rewritten = WriteJournal(try ObjectKey("tests/rewritten"))
                    // In the other modes there are the liars of `FaultPolicies`, too.
                    for lie in test.mode == .fingerprint ? Lie.allCases : Self.fewLies {
                        impostor.lie(lie)
                        let count = impostor.lieCount
                        try await cluster.withClient { client in
                            let sizes = [0, 5, 64 << 10] + (lie == .everything ? [cluster.stripeSizeBytes] : [])
                            try await cluster.check(Array(all.suffix(8)), client)
                            let during = try await cluster.checkOperations(client, "lie-\(lie)", sizesBytes: sizes)
                            all += during
                            // Overwriting and deleting what was written under earlier lies.
                            for _ in 0..<3 {
                                try await rewritten.put(client, sizeBytes: 1000)
                                try await rewritten.get(client)
                            }
                            let gone = try ObjectKey("tests/gone")
                            _ = try await client.put(gone, during[1].value)
                            _ = try await client.delete(gone)
                            await expectNotFound(client, gone)
                        }
                        #expect(impostor.lieCount > count, "nothing reached the liar under '\(lie)'")
                    }
                    try await cluster.withClient { try await cluster.check(all, $0) }
                } catch {
                    Issue.record(error)
                }
                await impostor.shutdown()
            }
        }
    }
}

/// Counts what is sent to it.
final class Recorder: ServerEndpointDelegate {
    private let count = Count()
    var frameCount: Int { count.value }

    func sessionOpened(_ session: Session) {}
    func session(_ session: Session, received frame: ByteBuffer) {
        count.increase()
        session.completed(frameSizeBytes: frame.readableBytes)
    }
    func sessionClosed(_ session: Session, error: TransportError?) {}
}
