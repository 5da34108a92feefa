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

extension BesiegedClusters {
    @Suite("Fair shares", .serialized) struct FairShares {
        @Test(
            "a rotten fragment is noticed, durably held no more, not vouched for, and taken again from who brings it",
            .timeLimit(.minutes(2)))
        func rottenFragment() async throws {
            try await withCluster { cluster in
                for server in cluster.servers { try await cluster.restart(server, with: "repair_mib_per_second = 0") }
                let key = try ObjectKey("tests/rotten")
                let value = SeededBytes.make("rotten", 64 << 10)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                let placement = cluster.configuration.parameters.placement(of: key)
                // The first data fragment is the value's first half.
                let server = placement.nodes[0]
                let journal = JournalBytes(directory: "\(cluster.home(server))/store/journal")
                let place = try journal.place(of: Array(value.array[100..<140]))
                try journal.flip(place)

                let home = try cluster.clientHome()
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                func connect() throws -> RawPeer {
                    try RawPeer(cluster, server, identity: home.identity, group: group)
                }
                func held(_ peer: RawPeer) async throws -> HeldParts {
                    let reply = try await peer.ask(.read(Read(key: key, portion: .fragments)))
                    guard case .version(_, let parts?) = reply else { throw RawPeer.NoAnswer(what: "\(reply)") }
                    return parts
                }
                var peer = try connect()
                #expect(try await held(peer).fragments == nil)
                #expect(try await cluster.counters(of: server).lostParts > 0)
                let found = try await cluster.withClient { try await $0.get(key).value }
                #expect(found == value)
                let verify = ["verify", key.text, "--cluster", cluster.directory]
                var verified = try await cluster.run(verify)
                #expect(verified.end == .exit(11) && verified.output.contains("3 of 4 fragments are good"))
                #expect(verified.output.contains("server \(server.rawValue)  fragment 0  lost"), "\(verified)")

                // It is known after a crash, too, whatever the disk gives back then.
                try journal.flip(place)
                let encoded = CrossChecksum.encode(block: value, code: peer.parameters.quorums.code)
                for _ in 0..<2 {
                    try await expectNoVouching(cluster, server, peer, key: key, fragment: encoded.fragments[0])
                    peer.close()
                    cluster.kill(server)
                    try await cluster.start(server)
                    peer = try connect()
                    #expect(try await held(peer).fragments == nil)
                    #expect(try await cluster.counters(of: server).lostParts == 0, "it was read again")
                }

                let prepare = try await self.prepare(peer, key, encoded.fragments[0])
                guard case .prepared(let statement, _) = try await peer.ask(.prepare(prepare)) else {
                    Issue.record("the fragment was not taken again")
                    return
                }
                #expect(statement.claim == .stored)
                #expect(try await held(peer).fragments == [encoded.fragments[0]])
                peer.close()
                cluster.kill(server)
                try await cluster.start(server)
                peer = try connect()
                #expect(try await held(peer).fragments == [encoded.fragments[0]])
                verified = try await cluster.run(verify)
                #expect(verified.end == .exit(0) && verified.output.contains("4 of 4"), "\(verified)")
                cluster.kill(placement.nodes[3])
                verified = try await cluster.run(verify + ["--json", "--timeout", "3"])
                #expect(verified.end == .exit(11) && verified.output.contains("\"good\":3"), "\(verified)")
                #expect(verified.output.contains("not reachable"), "\(verified)")
                peer.close()
                try await group.shutdownGracefully()
            }
        }

        /// Whatever is asked of the version, the server signs nothing on it, though it has lately.
        private func expectNoVouching(
            _ cluster: TestCluster, _ server: NodeID, _ peer: RawPeer, key: ObjectKey, fragment: SharedBytes
        ) async throws {
            let signed = try await cluster.counters(of: server).signedStatements
            let parts = try await prepare(peer, key, fragment)
            var wrong = fragment.array
            wrong[0] ^= 1
            let reply = try await peer.ask(.prepare(try await prepare(peer, key, SharedBytes(wrong))))
            guard case .refused(.invalidFragment) = reply else {
                Issue.record("a wrong fragment was answered with \(reply)")
                return
            }
            guard case .certificate(_, let certificate?) = try await peer.ask(.certificate(key, parts.timestamp)),
                case .committed = try await peer.ask(.commit(Commit(key: key, certificate: certificate))),
                case .committed = try await peer.ask(
                    .describe(Describe(key: key, timestamp: parts.timestamp, descriptor: parts.descriptor)))
            else {
                Issue.record("the version is committed no more")
                return
            }
            #expect(try await cluster.counters(of: server).signedStatements == signed)
        }

        /// A PREPARE of the object's committed version.
        private func prepare(_ peer: RawPeer, _ key: ObjectKey, _ fragment: SharedBytes) async throws -> Prepare {
            let reply = try await peer.ask(.read(Read(key: key, portion: .descriptor)))
            guard case .version(_, let parts?) = reply else { throw RawPeer.NoAnswer(what: "\(reply)") }
            return Prepare(
                key: key, timestamp: parts.timestamp, position: peer.position(of: key), descriptor: parts.descriptor,
                fragments: [fragment])
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
