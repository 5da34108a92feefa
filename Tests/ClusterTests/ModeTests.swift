// Clusters of real processes in every verification mode, and a client that writes poison where PREPARE checks only
// hashes.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("In a verification mode", .serialized) struct Modes {
        @Test(
            "values are stored, read, replaced and deleted, also with a server killed", .timeLimit(.minutes(2)),
            arguments: VerificationMode.allCases)
        func roundTrip(mode: VerificationMode) async throws {
            try await withCluster(change: { $0.mode = mode }) { cluster in
                try await cluster.withClient { client in
                    let stored = try await cluster.checkOperations(client, "mode", sizesBytes: [0, 5, 70_000])
                    cluster.kill(NodeID(1))
                    try await cluster.check(stored, client)
                    try await cluster.checkOperations(client, "killed", sizesBytes: [0, 5, 70_000])
                    let key = stored[2].key
                    _ = try await client.put(key, SharedBytes([1, 2, 3]))
                    #expect(try await client.get(key).value.array == [1, 2, 3])
                    _ = try await client.delete(key)
                    await expectNotFound(client, key)
                }
            }
        }

        @Test(
            "none a server does not run unless its own file says that crashes are all it reckons with",
            .timeLimit(.minutes(1)))
        func noneIsRefused() async throws {
            try await withCluster(starts: false, change: { $0.mode = .none }) { cluster in
                let file = "\(cluster.home(NodeID(0)))/server.toml"
                let lines = try File.text(file).split(separator: "\n").filter { !$0.hasPrefix("faults") }
                for faults in ["", "faults = \"byzantine\"\n", "faults = \"none\"\n"] {
                    try File.write(file, Array((lines.joined(separator: "\n") + "\n" + faults).utf8))
                    let result = try await cluster.run(["serve", "--home", cluster.home(NodeID(0))])
                    #expect(result.end != .exit(0) && result.output.contains("server.toml"), "\(result)")
                    #expect(result.output.contains("faults"), "\(result.output)")
                    guard !faults.contains("none") else { continue }
                    #expect(result.output.contains("mode = \"none\""), "\(result.output)")
                    #expect(result.output.contains("faults = \"crash\" accepts that"), "\(result.output)")
                }
            }
        }

        @Test(
            "that verifies later, poison is read by nobody: the version before it is", .timeLimit(.minutes(2)),
            arguments: [VerificationMode.lazy, .readTime])
        func poison(mode: VerificationMode) async throws {
            try await withCluster(clientNames: ["first", "hostile"], change: { $0.mode = mode }) { cluster in
                let key = try ObjectKey("tests/poisoned")
                try await cluster.withClient { client in
                    let good = SharedBytes(Array("a good value".utf8))
                    let counter = try await client.put(key, good).timestamp.counter
                    let timestamp = try await cluster.commitPoison(key, counter: counter + 1)
                    #expect(try await client.get(key).value == good)
                    #expect(try await client.head(key).timestamp.counter == counter)
                    if mode == .lazy {
                        try await Self.wait("a server to find \(timestamp)") {
                            cluster.servers.contains { cluster.log($0).contains("\(timestamp) is poisonous") }
                        }
                    }
                    #expect(try await client.get(key).value == good)
                    // Whatever became of the poison is on the disk.
                    for server in cluster.servers {
                        cluster.kill(server)
                        try await cluster.start(server)
                    }
                    #expect(try await client.get(key).value == good)
                    _ = try await client.put(key, SharedBytes([7]))
                    #expect(try await client.get(key).value.array == [7])
                }
            }
        }

        @Test(
            "that verifies later, a hundred identities that poison an object keep nobody from writing it",
            .timeLimit(.minutes(5)), arguments: acceptance([VerificationMode.lazy, .readTime], otherwise: [.lazy]))
        func hundredPoisoners(mode: VerificationMode) async throws {
            let poisoners = (0..<100).map { "poisoner-\($0)" }
            try await withCluster(clientNames: ["first"] + poisoners, change: { $0.mode = mode }) { cluster in
                let key = try ObjectKey("tests/poisoned")
                try await cluster.withClient { client in
                    let counter = try await client.put(key, SharedBytes([0])).timestamp.counter
                    let takenCount = try await withThrowingTaskGroup(of: Int.self) { tasks in
                        for first in 0..<5 {
                            tasks.addTask {
                                var count = 0
                                for poisoner in stride(from: first, to: poisoners.count, by: 5) {
                                    let (_, refusals) = try await cluster.sendPoison(
                                        key, counter: counter + 1, by: poisoners[poisoner])
                                    if refusals.isEmpty { count += 1 }
                                }
                                return count
                            }
                        }
                        return try await tasks.reduce(0, +)
                    }
                    #expect(takenCount >= 64, "not much of an attack")
                    #expect(try await client.get(key).value.array == [0])
                    for number in 1...5 {
                        let value = SharedBytes([UInt8(number)])
                        _ = try await client.put(key, value)
                        #expect(try await client.get(key).value == value)
                    }
                }
            }
        }

        private static func wait(_ what: String, _ condition: () -> Bool) async throws {
            let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
            while !condition() {
                guard ContinuousClock.now < deadline else {
                    Issue.record("waited in vain for \(what)")
                    return
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }
}
