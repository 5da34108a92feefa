// What one client, or a bad disk, may cost others: on real processes (docs/protocol.md, Loss, Fair shares).

import ClusterFiles
import ErasureCode
import Fingerprint
import Foundation
import NIOPosix
import QuorumClient
import QuorumFaults
import QuorumProtocol
import QuorumServer
import Testing

extension Clusters {
    @Suite("Fair shares", .serialized) struct FairShares {
        @Test(
            "a rotten fragment is noticed, durably held no more, and taken again from who brings it",
            .timeLimit(.minutes(2)))
        func rottenFragment() async throws {
            try await withCluster { cluster in
                let key = try ObjectKey("tests/rotten")
                let value = SeededBytes.make("rotten", 64 << 10)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                let placement = cluster.configuration.parameters.placement(of: key)
                // The first data fragment is the value's first half.
                let server = placement.nodes[0]
                #expect(try await cluster.terminate(server) == .exit(0))
                try rot(cluster, server, containing: Array(value.array[100..<140]))
                try await cluster.start(server)
                let read = try await cluster.withClient { try await $0.get(key).value }
                #expect(read == value)

                let home = try cluster.clientHome()
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                for _ in 0..<2 {
                    let peer = try RawPeer(cluster, server, identity: home.identity, group: group)
                    let reply = try await peer.ask(.read(Read(key: key, portion: .fragments)))
                    guard case .version(_, let parts?) = reply else {
                        Issue.record("not a version: \(reply)")
                        break
                    }
                    #expect(parts.fragments == nil)
                    peer.close()
                    // It is known after a crash, too, without another look at the disk.
                    cluster.kill(server)
                    try await cluster.start(server)
                }
                let peer = try RawPeer(cluster, server, identity: home.identity, group: group)
                guard case .version(_, let parts?) = try await peer.ask(.read(Read(key: key, portion: .descriptor)))
                else {
                    Issue.record("the descriptor is gone")
                    return
                }
                let encoded = CrossChecksum.encode(block: value, code: peer.parameters.quorums.code)
                let prepare = Prepare(
                    key: key, timestamp: parts.timestamp, position: Position(0), descriptor: parts.descriptor,
                    fragments: [encoded.fragments[0]])
                guard case .prepared(let statement, _) = try await peer.ask(.prepare(prepare)) else {
                    Issue.record("the fragment was not taken again")
                    return
                }
                #expect(statement.claim == .stored)
                guard case .version(_, let healed?) = try await peer.ask(.read(Read(key: key, portion: .fragments)))
                else {
                    Issue.record("nothing is held")
                    return
                }
                #expect(healed.fragments == [encoded.fragments[0]])
                peer.close()
                try await group.shutdownGracefully()
            }
        }

        /// Turns a byte of what a stopped server's journal holds.
        private func rot(_ cluster: TestCluster, _ server: NodeID, containing bytes: [UInt8]) throws {
            let directory = "\(cluster.home(server))/store/journal"
            for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
                let url = URL(fileURLWithPath: "\(directory)/\(name)")
                var data = try Data(contentsOf: url)
                guard let range = data.range(of: Data(bytes)) else { continue }
                data[range.lowerBound] ^= 1
                let handle = try FileHandle(forWritingTo: url)
                try handle.seek(toOffset: UInt64(range.lowerBound))
                try handle.write(contentsOf: data[range.lowerBound...range.lowerBound])
                try handle.close()
                return
            }
            Issue.record("\(server) does not hold the fragment")
        }

        @Test(
            "a client that fills an object's queue with PREPAREs sent again keeps no other's write waiting for a second try",
            .timeLimit(.minutes(2)))
        func retransmissions() async throws {
            try await withCluster(clientNames: ["first", "hostile"]) { cluster in
                let key = try ObjectKey("tests/flooded")
                let home = try cluster.clientHome("hostile")
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let peers = try cluster.servers.map {
                    try RawPeer(cluster, $0, identity: home.identity, group: group)
                }
                let flood = Task {
                    try await withThrowingTaskGroup(of: Void.self) { tasks in
                        for peer in peers {
                            let bytes = try Self.prepare(key, by: home.id, at: peer)
                            tasks.addTask {
                                while !Task.isCancelled {
                                    for _ in 0..<100 { try await peer.send(bytes) }
                                    try await Task.sleep(for: .milliseconds(1))
                                }
                            }
                        }
                        try await tasks.waitForAll()
                    }
                }
                while peers.contains(where: { $0.replyCount < 100 }) { try await Task.sleep(for: .milliseconds(5)) }
                // Nothing is ever sent a second time.
                try await cluster.withClient(timeoutMilliseconds: 40_000, retransmitMilliseconds: 100_000) { client in
                    for number in 0..<10 {
                        let value = SeededBytes.make("flooded \(number)", 1000)
                        _ = try await client.put(key, value)
                        #expect(try await client.get(key).value == value)
                    }
                }
                flood.cancel()
                _ = await flood.result
                for peer in peers { peer.close() }
                try await group.shutdownGracefully()
            }
        }

        /// A valid PREPARE of a version that is never committed, as one frame.
        private static func prepare(_ key: ObjectKey, by client: ClientID, at peer: RawPeer) throws -> [UInt8] {
            let block = SeededBytes.make("flood", 1000)
            let encoded = CrossChecksum.encode(block: block, code: peer.parameters.quorums.code)
            let descriptor = SealedDescriptor(
                Descriptor(
                    value: key, lengthBytes: 1000, stripeSizeBytes: UInt32(peer.parameters.limits.stripeSizeBytesMax),
                    stripes: [encoded.crossChecksum], metadata: ObjectMetadata(), parameters: peer.parameters))
            let position = peer.position(of: key)
            let request = Request.prepare(
                Prepare(
                    key: key, timestamp: Timestamp(counter: 1, writer: client, digest: descriptor.digest),
                    position: position, descriptor: descriptor, fragments: [encoded.fragments[position.offset]]))
            let message = request.encoded(request: 7, to: peer.parameters.placement(of: key).route)
            return message.head + message.fragments.flatMap(\.array)
        }
    }
}
