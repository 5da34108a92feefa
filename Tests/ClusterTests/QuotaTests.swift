// What clients may have at servers, on real processes: each limit is met, by whom it concerns alone, and let go of.

import ClusterFiles
import ErasureCode
import Foundation
import NIOPosix
import QuorumClient
import QuorumFaults
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("Quotas", .serialized) struct Quotas {
        @Test(
            "a client over its quota is refused, says why, can delete, and goes on with a larger one; others never notice",
            .timeLimit(.minutes(2)))
        func quota() async throws {
            try await withCluster(clientNames: ["first", "greedy"]) { cluster in
                let operatorHome = try OperatorHome(clusterDirectory: cluster.directory)
                _ = try operatorHome.setQuotas("greedy") { $0.storedBytes = 200_000 }
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
                    _ = try operatorHome.setQuotas("greedy") { $0.storedBytes = nil }
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

        @Test(
            "who PREPAREs on endless new keys is refused at its limit, keeps nobody from working, and has room again once commits are found",
            .timeLimit(.minutes(2)))
        func endlessKeys() async throws {
            try await withCluster(clientNames: ["first", "hostile"]) { cluster in
                let limit = 12
                for quota in [["--bytes", "1GiB", "--uncommitted-percent", "20"], ["--bare-versions", "\(limit)"]] {
                    let result = try await cluster.run(["client", "quota", cluster.directory, "hostile"] + quota)
                    #expect(result.end == .exit(0), "\(result)")
                }
                // In force at a quorum; here it has to be at all.
                _ = try await cluster.reload()
                let list = try await cluster.run(["client", "list", cluster.directory])
                let quotas = "1073741824 bytes, 20 % of the disk uncommitted, \(limit) versions at new objects"
                #expect(list.output.contains("quota \(quotas)"), "\(list)")
                let home = try cluster.clientHome("hostile")
                let parameters = cluster.configuration.parameters
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let server = cluster.servers[1]
                let keys = try (0...limit).map { try ObjectKey("tests/endless-\(100 + $0)") }
                func begin(_ key: ObjectKey, at peer: RawPeer) async throws -> Reply {
                    let begun = ForgedVersion.make(
                        key: key, value: [1], counter: 1, writer: home.id, parameters: parameters, soundness: .sound)
                    return try await peer.ask(begun.prepare(for: peer.position(of: key)))
                }
                let expected = Reply.refused(
                    .quotaExceeded(.bareVersions, limit: UInt64(limit), used: UInt64(limit)))
                var peer = try RawPeer(cluster, server, identity: home.identity, group: group)
                for key in keys.dropLast() {
                    guard case .prepared = try await begin(key, at: peer) else {
                        Issue.record("\(key) was not begun")
                        return
                    }
                }
                try await cluster.withClient { first in
                    for number in 0..<20 {
                        let more = try ObjectKey("tests/endless-more-\(number)")
                        let answer = try await begin(more, at: peer)
                        #expect(answer == expected)
                        let key = try ObjectKey("tests/first-\(number)")
                        _ = try await first.put(key, SharedBytes([UInt8(number)]))
                        #expect(try await first.get(key).value.array == [UInt8(number)])
                    }
                }
                peer.close()
                #expect(try await cluster.counters(of: server).refusals["bareVersionsQuota"] ?? 0 >= 20)

                // The client finishes them while this server is away, so it learns of no commit.
                cluster.kill(server)
                try await cluster.withClient("hostile") { client in
                    for key in keys.dropLast() { _ = try await client.put(key, SharedBytes([2])) }
                }
                try await cluster.start(server)
                peer = try RawPeer(cluster, server, identity: home.identity, group: group)
                // What is charged survives the restart; what was committed is found out before it binds.
                var answer = try await begin(keys[limit], at: peer)
                for _ in 0..<200 {
                    guard case .refused(.quotaExceeded(.bareVersions, _, _)) = answer else { break }
                    try await Task.sleep(for: .milliseconds(50))
                    answer = try await begin(keys[limit], at: peer)
                }
                guard case .prepared = answer else {
                    Issue.record("a client whose versions are committed is locked out: \(answer)")
                    return
                }
                peer.close()
                try await group.shutdownGracefully()
            }
        }
    }
}
