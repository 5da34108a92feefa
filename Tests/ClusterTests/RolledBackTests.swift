// A server whose disk was put back to an earlier state, on real processes (docs/protocol.md, Rebuilding).

import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("A store that went back", .serialized) struct RolledBack {
        @Test(
            "finds out by its own forgotten word, answers nothing any more, and is rebuilt", .timeLimit(.minutes(4)))
        func noticed() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let server = cluster.servers[2]
                let (old, new) = (try ObjectKey("tests/old"), try ObjectKey("tests/new"))
                let value = SeededBytes.make("value", 50_000)
                try await cluster.withClient { _ = try await $0.put(old, value) }
                #expect(try await cluster.terminate(server) == .exit(0))
                let copy = cluster.directory + "/copy"
                try FileManager.default.copyItem(atPath: cluster.store(server), toPath: copy)
                // With one of the others away, each certificate has this one's word.
                try await cluster.start(server)
                cluster.kill(cluster.servers[0])
                try await cluster.withClient { client in
                    _ = try await client.put(new, value)
                    _ = try await client.put(old, SeededBytes.make("newer", 50_000))
                }
                cluster.kill(server)
                try await cluster.start(cluster.servers[0])
                File.remove(cluster.store(server))
                try FileManager.default.moveItem(atPath: copy, toPath: cluster.store(server))
                try await cluster.start(server)

                let deadline = ContinuousClock.now + .seconds(60)
                while true {
                    let status = try await cluster.run(["status", cluster.directory])
                    if status.output.contains("ROLLED BACK") { break }
                    try #require(ContinuousClock.now < deadline, "nobody notices: \(status) \(cluster.log(server))")
                    try await Task.sleep(for: .milliseconds(200))
                }
                #expect(cluster.log(server).contains("knows nothing of it"))
                try await expectValue(value, of: new, in: cluster)
                try await expectValue(SeededBytes.make("newer", 50_000), of: old, in: cluster)
                let verified = try await cluster.run(["verify", "tests/new", "--cluster", cluster.directory])
                #expect(verified.end == .exit(11), "\(verified)")

                // Started again, with nobody there to show it anything, it remembers.
                cluster.kill(server)
                for other in cluster.servers where other != server { cluster.kill(other) }
                try await cluster.start(server)
                let alone = try await cluster.run(["status", cluster.directory])
                #expect(alone.output.contains("ROLLED BACK"), "\(alone)")
                for other in cluster.servers where other != server { try await cluster.start(other) }

                try await cluster.replaceStore(server)
                cluster.kill(cluster.servers[1])
                try await expectValue(value, of: new, in: cluster)
                try await expectValue(SeededBytes.make("newer", 50_000), of: old, in: cluster)
            }
        }
    }
}
