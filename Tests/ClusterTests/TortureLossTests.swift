// A torture whose servers lose their stores, and what it demands of all servers at its end.

import ErasureCode
import Foundation
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("Torture of stores", .serialized) struct TortureLossTests {
        @Test(
            "with one server at a time without its store, or with an earlier state of it, nothing is lost, and all get well",
            .timeLimit(.minutes(9)), arguments: acceptance([VerificationMode.fingerprint, .lazy], otherwise: [.lazy]))
        func losses(mode: VerificationMode) async throws {
            try await withCluster(starts: false, clientNames: ["one", "two"], change: { $0.mode = mode }) { cluster in
                let (outcome, _) = try await cluster.torture(
                    seconds: 12,
                    ["--clients", "4", "--objects", "3", "--nemesis", "0.7", "--lose", "wipe", "--lose", "roll-back"])
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.completed > 0 && outcome.readBack == 12)
                #expect(outcome.nemesis["wipe", default: 0] > 0 && outcome.nemesis["roll_back", default: 0] > 0)
                let rebuilds = try #require(outcome.rebuilds)
                #expect(rebuilds.begun == outcome.nemesis["rebuild"] && rebuilds.begun > 0, "\(outcome.nemesis)")
                #expect(rebuilds.well > 0 && rebuilds.longestSeconds > 0, "\(rebuilds)")
                #expect(outcome.healedAfterSeconds != nil && outcome.open.isEmpty, "\(outcome.open)")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
                for server in cluster.servers {
                    let names = try File.names(cluster.home(server))
                    #expect(names.contains("store") && !names.contains("rebuild.json"), "\(names)")
                    #expect(!names.contains("store.earlier"), "\(names)")
                }
            }
        }

        @Test("servers that lack something when their time to heal is over fail the run", .timeLimit(.minutes(4)))
        func notHealed() async throws {
            try await withCluster(starts: false) { cluster in
                for server in cluster.servers { try cluster.set(server, "repair_mib_per_second = 0") }
                // Of an object that nobody writes any more, nothing comes back by itself.
                try await cluster.startAll()
                try await cluster.withClient { client in
                    _ = try await client.put(ObjectKey("tests/aside"), SeededBytes.make("aside", 100_000))
                }
                for server in cluster.servers { #expect(try await cluster.terminate(server) == .exit(0)) }
                let (outcome, _) = try await cluster.torture(
                    seconds: 1, ["--clients", "2", "--nemesis", "0.3", "--heal", "5", "--lose", "wipe"], endingWith: 9)
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
                #expect(outcome.healedAfterSeconds == nil && outcome.rebuilds?.well == 0)
                #expect(outcome.open.contains { $0.contains("lacks something of") }, "\(outcome.open)")
            }
        }

        @Test("stores are lost only where that can be, and be made good", .timeLimit(.minutes(2)))
        func refused() async throws {
            try await withCluster(starts: false) { cluster in
                func torture(_ arguments: [String]) async throws -> CommandResult {
                    try await cluster.run(
                        [
                            "torture", "--cluster", cluster.directory, "--seconds", "1", "--lose", "wipe", "--history",
                            cluster.directory + "/history.jsonl",
                        ] + arguments)
                }
                for arguments in [
                    ["--nemesis", "0"], ["--lose", "wipe"], ["--faulty", "mute"], ["--small-disks", "900"],
                ] {
                    let result = try await torture(arguments)
                    #expect(result.end == .exit(64), "\(arguments): \(result.output)")
                    #expect(result.output.contains("--lose"), "\(arguments): \(result.output)")
                }
                File.remove(cluster.operatorKey)
                let result = try await torture([])
                #expect(result.end == .exit(6) && result.output.contains("operator/key.pem"), "\(result.output)")
            }
        }
    }
}
