// What no server can bring back any more: it is named, and nobody waits for it (docs/protocol.md, Repair).

import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("What cannot be repaired", .serialized) struct Irreparable {
        /// What `cluster wants --json` says.
        private struct Wants: Decodable {
            struct Want: Decodable {
                let server: Int
                let object: String
                let attempts: Int
                let isIrreparable: Bool
                let reason: String
            }
            let wants: [Want]
            let silentServers: [Int]
        }

        private func wants(_ cluster: TestCluster, code: Int32) async throws -> Wants {
            let listed = try await cluster.run(["cluster", "wants", cluster.directory, "--json"])
            #expect(listed.end == .exit(code), "\(listed)")
            return try JSONDecoder().decode(Wants.self, from: Data(listed.output.utf8))
        }

        @Test(
            "a server that is rebuilt does not wait for it, an operator is told of it, and deleting it ends it",
            .acceptance, .timeLimit(.minutes(4)))
        func rebuilt() async throws {
            try await withCluster(starts: false, clientNames: ["first", "guest"]) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let (key, other) = (try ObjectKey("tests/gone"), try ObjectKey("tests/there"))
                let value = SeededBytes.make("gone", 64 << 10)
                try await cluster.withClient { client in
                    _ = try await client.put(key, value)
                    _ = try await client.put(other, SeededBytes.make("there", 64 << 10))
                }
                #expect(try await wants(cluster, code: 0).wants.isEmpty)
                // One data fragment rots, and a server with a parity fragment loses its disk: of four there are two, and
                // then the other data fragment rots, too.
                let nodes = cluster.configuration.parameters.placement(of: key).nodes
                for server in nodes.prefix(2) { cluster.kill(server) }
                for (place, server) in nodes.prefix(2).enumerated() {
                    let journal = JournalBytes(directory: "\(cluster.home(server))/store/journal")
                    let first = place * value.count / 2
                    try journal.flip(try journal.place(of: Array(value.array[(first + 100)..<(first + 140)])))
                }
                cluster.loseStore(nodes[2])
                for server in nodes.prefix(2) { try await cluster.start(server) }
                #expect(try await cluster.rebuild(nodes[2]).end == .exit(0))
                try await cluster.start(nodes[2])
                #expect(try await cluster.reloadLists().end == .exit(0))
                try await cluster.waitUntilWell(nodes[2])

                let named = try await wants(cluster, code: 11)
                let ofRebuilt = named.wants.filter { $0.server == Int(nodes[2].rawValue) }
                #expect(ofRebuilt.map(\.object) == [key.text], "\(named)")
                #expect(ofRebuilt.allSatisfy { $0.isIrreparable && $0.attempts >= 3 && !$0.reason.isEmpty }, "\(named)")
                #expect(named.silentServers.isEmpty)
                let refused = try await cluster.run(["cluster", "wants", cluster.directory, "--client", "guest"])
                #expect(refused.end == .exit(4), "\(refused)")

                #expect(try await cluster.run(["rm", key.text, "--cluster", cluster.directory]).end == .exit(0))
                let deadline = ContinuousClock.now + .seconds(60)
                while try await cluster.counters(of: nodes[2]).wants > 0 {
                    try #require(ContinuousClock.now < deadline, "the want stays: \(cluster.log(nodes[2]))")
                    try await Task.sleep(for: .milliseconds(200))
                }
                try await expectValue(SeededBytes.make("there", 64 << 10), of: other, in: cluster)
            }
        }

        @Test(
            "a rebuilt server without a word of it that it is well asks the others once more before it answers",
            .timeLimit(.minutes(3)))
        func wordLost() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let key = try ObjectKey("tests/kept")
                let value = SeededBytes.make("kept", 5000)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                let server = cluster.servers[1]
                try await cluster.replaceStore(server)
                cluster.kill(server)
                File.remove("\(cluster.home(server))/rebuilt.json")
                // With too few others it cannot learn what it may have promised, and answers nothing.
                for other in cluster.servers where other != server { cluster.kill(other) }
                try await cluster.start(server)
                #expect(cluster.log(server).contains("the others are asked what they have committed, from slot 0 on"))
                for other in cluster.servers where other != server { try await cluster.start(other) }
                try await cluster.waitUntilWell(server)
                cluster.kill(cluster.servers[0])
                try await expectValue(value, of: key, in: cluster)
            }
        }
    }
}
