// A block of one server's index rots: the keys in it are refused there until the next start, and nothing else changes.

import ClusterFiles
import ErasureCode
import Foundation
import NIOPosix
import QuorumClient
import QuorumProtocol
import QuorumServer
import Testing

extension BesiegedClusters {
    @Suite("A rotten index", .serialized) struct RottenIndex {
        private let target = NodeID(1)
        private static let objectCount = 120

        @Test(
            "with a rotten block a server refuses the keys in it, serves and writes all others, and has them again later",
            .timeLimit(.minutes(3)))
        func block() async throws {
            try await withCluster { cluster in
                let stored = try (0..<Self.objectCount).map {
                    StoredValue(key: try ObjectKey("tests/index/\($0)"), value: SeededBytes.make("index \($0)", 2000))
                }
                try await cluster.withClient { client in
                    for item in stored { _ = try await client.put(item.key, item.value) }
                }
                // A clean end leaves everything in the index's files, and nothing to replay.
                let mark = try await certificateDigest(cluster, stored[50].key)
                #expect(try await cluster.terminate(target) == .exit(0))
                try rot(cluster, mark)
                try await cluster.start(target)

                let lost = try await refused(cluster, stored)
                #expect(lost.contains("tests/index/50") && lost.count <= 40, "\(lost.count) records are lost: \(lost)")
                let counters = try await cluster.counters(of: target)
                #expect(counters.refusals["recordLost", default: 0] >= UInt64(lost.count), "\(counters)")
                let status = try await cluster.run(["status", cluster.directory])
                #expect(status.end == .exit(0) && status.output.contains("recordLost"), "\(status)")
                // Nobody else is bothered: the other servers are a quorum.
                try await cluster.check(stored)

                // Where it is needed, it does its part for all keys but those.
                cluster.kill(NodeID(3))
                try await cluster.withClient { client in
                    for item in stored where !lost.contains(item.key.text) {
                        _ = try await client.put(item.key, item.value)
                    }
                    try await cluster.check(stored.filter { !lost.contains($0.key.text) }, client)
                    try await cluster.checkOperations(client, "new", sizesBytes: [5, 64 << 10])
                }
                await #expect(throws: ClientError.self) {
                    try await cluster.withClient(timeoutMilliseconds: 1500) {
                        _ = try await $0.put(stored[50].key, stored[50].value)
                    }
                }
                try await cluster.start(NodeID(3))

                // Killed, so that nothing is there but what it noted when it met the damage.
                cluster.kill(target)
                try await cluster.start(target)
                #expect(cluster.log(target).contains("was made again from the journal"), "\(cluster.log(target))")
                #expect(try await refused(cluster, stored).isEmpty)
                cluster.kill(NodeID(3))
                try await cluster.withClient { client in
                    for item in stored where lost.contains(item.key.text) {
                        _ = try await client.put(item.key, item.value)
                    }
                    try await cluster.check(stored, client)
                }
            }
        }

        /// What is said of an object in its record, and nowhere else in the index.
        private func certificateDigest(_ cluster: TestCluster, _ key: ObjectKey) async throws -> [UInt8] {
            try await withPeer(cluster) { peer in
                guard case .version(let claim, _) = try await peer.ask(.read(Read(key: key, portion: .descriptor)))
                else {
                    throw RawPeer.NoAnswer(what: "\(key)")
                }
                return try #require(claim.sound).certificateDigest.bytes
            }
        }

        /// The keys of which the server says that it has lost what it knew of them.
        private func refused(_ cluster: TestCluster, _ stored: [StoredValue]) async throws -> Set<String> {
            try await withPeer(cluster) { peer in
                var lost: Set<String> = []
                for item in stored {
                    switch try await peer.ask(.read(Read(key: item.key, portion: .fragments))) {
                    case .refused(.recordLost): lost.insert(item.key.text)
                    case .version(_, let parts?): #expect(parts.fragments != nil, "\(item.key)")
                    case let reply: Issue.record("\(item.key): \(reply)")
                    }
                }
                return lost
            }
        }

        private func withPeer<R>(_ cluster: TestCluster, _ body: (RawPeer) async throws -> R) async throws -> R {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let peer = try RawPeer(cluster, target, identity: cluster.clientHome().identity, group: group)
            let result: Result<R, any Error>
            do { result = .success(try await body(peer)) } catch { result = .failure(error) }
            peer.close()
            try await group.shutdownGracefully()
            return try result.get()
        }

        /// Turns a byte of the blocks of the stopped server's index that hold these bytes.
        private func rot(_ cluster: TestCluster, _ bytes: [UInt8]) throws {
            let directory = "\(cluster.home(target))/store/index"
            var count = 0
            for name in try File.names(directory) where name.hasSuffix(".sst") {
                var content = Data(try File.read("\(directory)/\(name)"))
                while let range = content.range(of: Data(bytes)) {
                    content[range.lowerBound] ^= 1
                    count += 1
                }
                try File.write("\(directory)/\(name)", content)
            }
            #expect(count > 0, "the index does not hold the record")
        }
    }
}
