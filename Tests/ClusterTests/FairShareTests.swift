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

        @Test(
            "a client over its quota is refused, says why, can delete, and goes on with a larger one; others never notice",
            .timeLimit(.minutes(2)))
        func quota() async throws {
            try await withCluster(clientNames: ["first", "greedy"]) { cluster in
                let operatorHome = try OperatorHome(clusterDirectory: cluster.directory)
                _ = try operatorHome.setQuota("greedy", bytes: 200_000)
                _ = try await cluster.reload()
                let value = SeededBytes.make("greedy", 64 << 10)
                try await cluster.withClient("greedy") { client in
                    var stored = 0
                    var refused: ClientError?
                    while refused == nil, stored < 20 {
                        do {
                            _ = try await client.put(try ObjectKey("tests/greedy-\(stored)"), value)
                            stored += 1
                        } catch let error as ClientError {
                            refused = error
                        }
                    }
                    // A fragment is half of a value.
                    #expect((3...6).contains(stored), "\(stored) objects of 64 KiB")
                    let reason = try #require(refused).description
                    #expect(reason.contains("of 200000 that it may have"), "\(reason)")
                    try await cluster.withClient { first in
                        _ = try await first.put(try ObjectKey("tests/first"), value)
                    }
                    _ = try await client.delete(try ObjectKey("tests/greedy-0"))
                    await #expect(throws: ClientError.self) { try await client.get(try ObjectKey("tests/greedy-0")) }

                    // What is charged survives a restart.
                    for server in cluster.servers {
                        cluster.kill(server)
                        try await cluster.start(server)
                    }
                    await #expect(throws: ClientError.self) {
                        for number in 0..<3 {
                            _ = try await client.put(try ObjectKey("tests/greedy-more-\(number)"), value)
                        }
                    }
                    _ = try operatorHome.setQuota("greedy", bytes: nil)
                    _ = try await cluster.reload()
                    _ = try await client.put(try ObjectKey("tests/greedy-again"), value)
                    #expect(try await client.get(try ObjectKey("tests/greedy-1")).value == value)
                }
            }
        }

        @Test(
            "what a client began on hundreds of new objects is listed, finished by itself, or purged by an operator",
            .timeLimit(.minutes(3)))
        func unfinished() async throws {
            try await withCluster(clientNames: ["first", "hostile"]) { cluster in
                let home = try cluster.clientHome("hostile")
                let keys = try (0..<260).map { try ObjectKey("tests/begun-\(1000 + $0)") }
                let other = try ObjectKey("tests/begun-by-two\u{1B}[31m")
                let parameters = cluster.configuration.parameters
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                // At one server only, and there before what another client writes.
                let peer = try RawPeer(cluster, cluster.servers[1], identity: home.identity, group: group)
                for key in keys + [other] {
                    let begun = ForgedVersion.make(
                        key: key, value: Array(key.text.utf8), counter: 1, writer: home.id, parameters: parameters,
                        soundness: .sound)
                    guard case .prepared = try await peer.ask(begun.prepare(for: peer.position(of: key))) else {
                        Issue.record("\(key) was not begun")
                        return
                    }
                }
                peer.close()
                try await group.shutdownGracefully()
                let list = ["client", "pending", cluster.directory, "hostile"]
                var result = try await cluster.run(list)
                #expect(result.end == .exit(0) && result.output.contains("261 objects with versions"), "\(result)")
                #expect(result.output.contains("tests/begun-1259  at 1 server"), "\(result.output)")
                #expect(!result.output.contains("\u{1B}"), "\(result.output)")
                // Its own it may see, others' it may not.
                result = try await cluster.run(list + ["--as", "hostile"])
                #expect(result.end == .exit(0) && result.output.contains("261 objects"), "\(result)")
                _ = try OperatorHome(clusterDirectory: cluster.directory).add(
                    NewClient(name: "guest", grants: [try #require(Grant("*:read,write,list"))]))
                _ = try await cluster.reload()
                result = try await cluster.run(list + ["--as", "guest"])
                #expect(result.end != .exit(0) && result.output.contains("admin"), "\(result)")
                // The client itself finishes one by writing it.
                try await cluster.withClient("hostile") { _ = try await $0.put(keys[0], SharedBytes([1])) }

                result = try await cluster.run(["client", "revoke", cluster.directory, "hostile"])
                #expect(result.output.contains("has the id \(home.id)"), "\(result)")
                _ = try await cluster.reload()
                try await cluster.withClient { _ = try await $0.put(other, SharedBytes([2])) }
                let purge = ["client", "purge", cluster.directory, home.id.description]
                result = try await cluster.run(purge, seconds: 120)
                #expect(result.end == .exit(0) && result.output.contains("purged 259 objects"), "\(result)")
                result = try await cluster.run(["client", "pending", cluster.directory, home.id.description])
                #expect(result.end == .exit(0) && result.output.hasPrefix("0 objects"), "\(result)")
                try await cluster.withClient { client in
                    let finished = try await client.get(keys[0]).value.array
                    let others = try await client.get(other).value.array
                    #expect(finished == [1] && others == [2])
                    await expectNotFound(client, keys[1])
                }
            }
        }
    }
}
