// Giving servers a new life one after the other, on real processes that `cluster up` has started.

import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import QuorumServer
import Testing

extension BesiegedClusters {
    @Suite("Proactive recovery", .serialized) struct Recovery {
        /// Runs `body` with servers that `cluster up --detach` has started.
        private func withDetached(_ body: (TestCluster) async throws -> Void) async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                let up = try await cluster.run(["cluster", "up", cluster.directory, "--detach"])
                #expect(up.end == .exit(0), "\(up)")
                do {
                    try await body(cluster)
                } catch {
                    Issue.record(error)
                }
                let down = try await cluster.run(["cluster", "down", cluster.directory])
                #expect(down.end == .exit(0), "\(down)")
            }
        }

        /// What `status` says of each server's life, and whether it is well.
        private func lives(_ cluster: TestCluster) async throws -> [Int: (incarnation: Int, isWell: Bool)] {
            let status = try await cluster.run(["status", cluster.directory, "--json"])
            let object = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
            let servers = try #require(object?["servers"] as? [[String: Any]], "\(status)")
            return servers.reduce(into: [:]) { lives, server in
                guard let number = server["number"] as? Int, let status = server["status"] as? [String: Any] else {
                    return
                }
                lives[number] = (status["incarnation"] as? Int ?? 0, status["rebuild"] == nil)
            }
        }

        private func put(_ names: [String], _ cluster: TestCluster) async throws {
            try await cluster.makeBucket("b")
            try await cluster.withClient { client in
                for (number, name) in names.enumerated() {
                    _ = try await client.put(ObjectKey(name), SeededBytes.make(name, 3000 + 300_000 * (number % 4)))
                }
            }
        }

        /// All of it is there without any one server.
        private func expectAll(_ names: [String], _ cluster: TestCluster) async throws {
            for away in cluster.servers {
                let number = "\(away.rawValue)"
                let down = try await cluster.run(["cluster", "down", cluster.directory, "--server", number])
                #expect(down.end == .exit(0), "\(down)")
                try await cluster.withClient { client in
                    for (number, name) in names.enumerated() {
                        let value = try await client.get(ObjectKey(name)).value
                        #expect(
                            value == SeededBytes.make(name, 3000 + 300_000 * (number % 4)), "\(name) without \(away)")
                    }
                }
                let up = try await cluster.run(
                    ["cluster", "up", cluster.directory, "--detach", "--server", number])
                #expect(up.end == .exit(0), "\(up)")
            }
        }

        @Test(
            "every server gets a new key and what the others have, one after the other, and no client notices",
            .acceptance, .timeLimit(.minutes(6)))
        func rotate() async throws {
            try await withDetached { cluster in
                let names = (0..<12).map { "b/kept-\($0)" }
                try await put(names, cluster)
                let keys = try cluster.servers.map { try File.read(cluster.home($0) + "/statement-key.pem") }
                let isOver = Flag()
                let writer = Task {
                    try await cluster.withClient { client in
                        var count = 0
                        while !isOver.isRaised {
                            let key = try ObjectKey("b/meanwhile-\(count % 16)")
                            let value = SeededBytes.make("meanwhile \(count)", 2000 + count)
                            _ = try await client.put(key, value)
                            #expect(try await client.get(key).value == value, "\(count)")
                            count += 1
                        }
                        return count
                    }
                }
                defer { isOver.raise() }
                let recovered = try await cluster.run(["recover", cluster.directory, "--rotate"], seconds: 300)
                isOver.raise()
                #expect(recovered.end == .exit(0) && recovered.output.contains("recovered 4 servers"), "\(recovered)")
                #expect(try await writer.value > 3)
                let lives = try await lives(cluster)
                #expect(lives.count == 4 && lives.values.allSatisfy { $0.incarnation == 2 && $0.isWell }, "\(lives)")
                for (server, key) in zip(cluster.servers, keys) {
                    #expect(try File.read(cluster.home(server) + "/statement-key.pem") != key)
                }
                try await expectAll(names, cluster)
            }
        }

        @Test(
            "a new life that was begun and left is gone on with, and none is begun beside a server that is down",
            .timeLimit(.minutes(5)))
        func goneOnWith() async throws {
            try await withDetached { cluster in
                let names = (0..<6).map { "b/kept-\($0)" }
                try await put(names, cluster)
                for words in [[], ["--rotate", "--server", "1"]] {
                    let unclear = try await cluster.run(["recover", cluster.directory] + words)
                    #expect(unclear.end == .exit(64), "\(unclear)")
                }
                let down = try await cluster.run(["cluster", "down", cluster.directory, "--server", "1"])
                #expect(down.end == .exit(0), "\(down)")
                for (words, reason) in [
                    (["--server", "2"], "server 1 cannot be reached"), (["--server", "1"], "start it first"),
                ] {
                    let refused = try await cluster.run(["recover", cluster.directory] + words)
                    #expect(refused.end == .exit(4) && refused.output.contains(reason), "\(refused)")
                }
                var lives = try await lives(cluster)
                #expect(lives.count == 3 && lives.values.allSatisfy { $0.incarnation == 1 }, "\(lives)")

                // As if it had been killed when it had given up the store and most of it lay there still.
                let server = cluster.servers[1]
                try RebuildMark().write(to: cluster.rebuildFile(server))
                File.remove(cluster.store(server) + "/store")
                let recovered = try await cluster.run(
                    ["recover", cluster.directory, "--server", "1"], seconds: 200)
                #expect(recovered.end == .exit(0), "\(recovered)")
                lives = try await self.lives(cluster)
                #expect(lives[1]?.incarnation == 2 && lives[1]?.isWell == true, "\(lives)")
                #expect(try !File.names(cluster.directory + "/run").contains { $0.hasPrefix("recovered") })
                try await expectAll(names, cluster)
            }
        }
    }
}
