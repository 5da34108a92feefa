// Somebody without a certificate that counts, at the door of a real server.

import ClusterFiles
import Foundation
import Glibc
import LoopbackPorts
import NIOPosix
import QuorumProtocol
import QuorumServer
import QuorumTransport
import Testing

extension BesiegedClusters {
    @Suite("Strangers", .serialized) struct Strangers {
        private let target = NodeID(1)

        @Test(
            "who holds and reopens every place of a server keeps out neither clients nor servers that restart",
            .timeLimit(.minutes(4)))
        func places() async throws {
            // Servers that verify connect to each other.
            try await withCluster(change: { $0.mode = .lazy }) { cluster in
                let stranger = IdleStranger(port: cluster.port(target), count: 256, from: ["127.0.0.2"])
                defer { stranger.end() }
                try await cluster.counters(of: target, until: "he loses places and takes them again") {
                    $0.connections.evictedHandshakes > 500
                }
                let other = NodeID(2)
                cluster.kill(other)
                try await cluster.start(other)
                try await expectTries(cluster, other)
                // The besieged server is needed for each quorum now.
                cluster.kill(NodeID(3))
                for round in 0..<5 {
                    try await cluster.withClient { client in
                        try await cluster.checkOperations(client, "round-\(round)", sizesBytes: [5, 64 << 10])
                    }
                }
                // To verify, the restarted server has to hear what the besieged one has.
                try await cluster.counters(of: other, until: "it verifies") { $0.verifiedObjects > 0 }
                try await cluster.counters(of: target, until: "the siege goes on") {
                    $0.connections.evictedHandshakes > 1000
                }
            }
        }

        /// Whoever counts, from an address that the stranger does not have, is let in within ten tries.
        private func expectTries(_ cluster: TestCluster, _ other: NodeID) async throws {
            let client = try cluster.clientHome()
            let server = try ServerHome(path: cluster.home(other))
            let incarnation = Incarnation(1)
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            for _ in 0..<30 {
                let peers = [
                    try RawPeer(cluster, target, identity: client.identity, group: group),
                    try RawPeer(
                        cluster, target, identity: server.identity, group: group,
                        scope: server.cluster.scope(incarnation: incarnation)),
                ]
                for peer in peers {
                    try await peer.settle()
                    #expect(peer.disconnectionCount < 10, "\(peer.disconnections)")
                    peer.close()
                }
            }
            try await group.shutdownGracefully()
        }

        @Test("a server rotates its log: it keeps four older files, and none grows", .timeLimit(.minutes(2)))
        func rotation() async throws {
            let sizeBytesMax: UInt64 = 16 << 20
            try await withCluster(starts: false, clientNames: ["first", "hostile"]) { cluster in
                let path = "\(cluster.home(target))/server.log"
                try cluster.launch(target, ["serve", "--home", cluster.home(target), "--log", path])
                try await cluster.waitUntilListening(target)
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let hostile = try RawPeer(
                    cluster, target, identity: cluster.clientHome("hostile").identity, group: group)
                for round in 0..<7 {
                    // Nearly as if so much had been written.
                    try #require(truncate(path, off_t(sizeBytesMax)) == 0)
                    try await hostile.exchange([255, UInt8(round)])
                    let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
                    while !((try? File.text(path).contains("no request")) ?? false) || sizeBytes(path) >= sizeBytesMax {
                        try #require(ContinuousClock.now < deadline, "round \(round): \(sizeBytes(path)) bytes")
                        try await Task.sleep(for: .milliseconds(10))
                    }
                }
                hostile.close()
                try await group.shutdownGracefully()
                #expect(try await cluster.terminate(target) == .exit(0))
                let names = try File.names(cluster.home(target)).filter { $0.hasPrefix("server.log") }
                #expect(names == ["server.log"] + (1...4).map { "server.log.\($0)" })
                #expect(try File.text(path).contains("stops on signal"))
                for name in names {
                    let size = sizeBytes("\(cluster.home(target))/\(name)")
                    #expect((1...sizeBytesMax + 4096).contains(size), "\(name) has \(size) bytes")
                }
            }
        }

        private func sizeBytes(_ path: String) -> UInt64 {
            var status = stat()
            return stat(path, &status) == 0 ? UInt64(status.st_size) : 0
        }

        @Test(
            "thousands of wrong protocols, wrong certificates and malformed frames leave next to nothing in the log",
            .timeLimit(.minutes(5)))
        func logs() async throws {
            try await withCluster(clientNames: ["first", "hostile"]) { cluster in
                let path = "\(cluster.home(target))/server.log"
                cluster.kill(target)
                try cluster.launch(target, ["serve", "--home", cluster.home(target), "--log", path])
                try await cluster.waitUntilListening(target)
                cluster.kill(NodeID(3))
                let start = ContinuousClock.now

                var generator = SeededGenerator("strangers")
                for number in 0..<1000 {
                    Loopback.say(Array("GET /\(number) HTTP/1.1\r\n\r\n".utf8), port: cluster.port(target))
                    Loopback.say(
                        (0..<100).map { _ in UInt8.random(in: 0...255, using: &generator) }, port: cluster.port(target))
                }
                try await cluster.withClient {
                    try await cluster.checkOperations($0, "wrong-protocols", sizesBytes: [5])
                }

                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let unlisted = try GeneratedIdentity(
                    commonName: "mallory", validFrom: Date(timeIntervalSinceNow: -60),
                    validUntil: Date(timeIntervalSinceNow: 3600))
                let stranger = try RawPeer(
                    cluster, target,
                    identity: TransportIdentity(
                        privateKeyPEM: unlisted.privateKeyPEM, certificatePEM: unlisted.certificatePEM,
                        now: Int64(Date().timeIntervalSince1970)), group: group)
                try await cluster.counters(of: target, until: "he has been refused again and again") {
                    $0.connections.refusedUnknownPeer >= 300
                }
                stranger.close()
                try await cluster.withClient { try await cluster.checkOperations($0, "certificates", sizesBytes: [5]) }

                let hostile = try RawPeer(
                    cluster, target, identity: cluster.clientHome("hostile").identity, group: group)
                for _ in 0..<300 { try await hostile.exchange([255, 1, 2, 3]) }
                hostile.close()
                try await cluster.withClient { try await cluster.checkOperations($0, "frames", sizesBytes: [5]) }
                try await group.shutdownGracefully()

                let counters = try await cluster.counters(of: target)
                #expect(counters.connections.failedTLS >= 1900 && counters.malformedFrames >= 300, "\(counters)")
                let lines = try File.text(path).split(separator: "\n")
                let minutes = Int((ContinuousClock.now - start).components.seconds / 60) + 2
                let provoked = lines.filter { $0.contains("no request") && !$0.contains("left out") }
                #expect((1...ServerLog.linesPerMinute * minutes).contains(provoked.count), "\(provoked.count) lines")
                #expect(lines.count - provoked.count <= 10 + minutes, "strangers have written: \(lines.prefix(50))")
                #expect(lines.contains { $0.contains("is ready at") })
            }
        }
    }
}
