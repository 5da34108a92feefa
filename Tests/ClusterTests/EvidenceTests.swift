// Servers that lie with their signature leave a proof, in others' homes or with a client that looks for it, which the
// program judges without asking anybody.

import ErasureCode
import Foundation
import QuorumClient
import QuorumFaults
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Evidence of a lie", .serialized) struct EvidenceOfLies {
        private struct Judged: Decodable {
            struct Evidence: Decodable {
                let server: Int
                let kind: String
                let incarnation: UInt64
            }
            let isProof: Bool
            let isKeyRetired: Bool?
            let evidence: Evidence
        }

        private func judgement(_ json: String) throws -> Judged {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode(Judged.self, from: Data(json.utf8))
        }

        private func files(_ directory: String) -> [String] {
            ((try? File.names(directory)) ?? []).filter { $0.hasSuffix(".evidence") }.map { "\(directory)/\($0)" }
        }

        @Test(
            "a server that calls good versions poisonous is found by those that verify them, and convicted",
            .timeLimit(.minutes(2)))
        func falsePoison() async throws {
            try await withCluster(change: { $0.mode = .lazy }) { cluster in
                let liar = NodeID(3)
                try await cluster.startLiar(liar, .falsePoison)
                let honest = cluster.servers.filter { $0 != liar }
                try await cluster.withClient { client in
                    var number = 0
                    while honest.allSatisfy({ files("\(cluster.home($0))/evidence").isEmpty }), number < 400 {
                        _ = try await client.put(ObjectKey("tests/called-\(number)"), SharedBytes([1, 2, 3]))
                        number += 1
                        try await Task.sleep(for: .milliseconds(100))
                    }
                }
                let home = try #require(
                    honest.map { cluster.home($0) }.first { !files("\($0)/evidence").isEmpty })
                let listed = try await cluster.run(["evidence", "list", home])
                #expect(listed.end == .exit(0) && listed.output.contains("called-sound-poisonous"), "\(listed)")
                for file in files("\(home)/evidence") {
                    let judged = try await cluster.run([
                        "evidence", "verify", file, "--cluster", cluster.directory, "--json",
                    ])
                    #expect(judged.end == .exit(0), "\(judged)")
                    let verdict = try judgement(judged.output)
                    #expect(verdict.isProof && verdict.isKeyRetired == false)
                    #expect(verdict.evidence.server == 3 && verdict.evidence.incarnation == 1)
                }
                let status = try await cluster.run(["cluster", "status", cluster.directory])
                #expect(status.output.contains("PROOFS that another server lied"), "\(status)")
            }
        }

        @Test(
            "a server that signs for what it never had is convicted where the client has lied with it",
            .timeLimit(.minutes(2)))
        func storedVoid() async throws {
            try await withCluster(clientNames: ["first", "hostile"]) { cluster in
                // Of position 0, at which the fragment is garbage, the liar is to have this object.
                let liar = NodeID(0)
                let key = try #require(
                    (0..<100).compactMap { try? ObjectKey("tests/void-\($0)") }.first {
                        cluster.configuration.parameters.placement(of: $0).node(at: Position(0)) == liar
                    })
                try await cluster.startLiar(liar, .signsWithoutStoring)
                _ = try await cluster.commitPoison(key, counter: 1)
                let lies = "\(cluster.directory)/lies"
                let verified = try await cluster.run([
                    "verify", key.text, "--cluster", cluster.directory, "--evidence", lies,
                ])
                #expect(verified.end == .exit(11) && verified.output.contains("PROOF of a lie"), "\(verified)")
                let file = try #require(files(lies).first)
                #expect(files(lies).count == 1)

                let shown = try await cluster.run(["evidence", "show", file])
                #expect(shown.end == .exit(0) && shown.output.contains("accused: server 0, incarnation 1"), "\(shown)")
                let judged = try await cluster.run(["evidence", "verify", file, "--cluster", cluster.directory])
                #expect(judged.end == .exit(0) && judged.output.contains("PROVEN: server 0"), "\(judged)")

                // Where somebody has tampered with it, it proves nothing.
                var bytes = try File.read(file)
                bytes[bytes.count - 1] ^= 1
                try File.write(file, bytes)
                let tampered = try await cluster.run(["evidence", "verify", file, "--cluster", cluster.directory])
                #expect(tampered.end == .exit(10) && tampered.output.contains("NO PROOF"), "\(tampered)")
                try File.write(file, bytes.dropLast())
                let short = try await cluster.run(["evidence", "verify", file, "--cluster", cluster.directory])
                #expect(short.end == .exit(7), "\(short)")
                let listed = try await cluster.run(["evidence", "list", lies, "--json"])
                #expect(listed.end == .exit(11), "\(listed)")
                let missing = try await cluster.run(["evidence", "list", "\(lies)/none"])
                #expect(missing.end == .exit(7), "\(missing)")
            }
        }

        @Test("servers that are honest, whatever their disks lose, leave none", .timeLimit(.minutes(2)))
        func honest() async throws {
            try await withCluster { cluster in
                try await cluster.withClient { client in
                    _ = try await client.put(ObjectKey("tests/whole"), SharedBytes([1, 2, 3]))
                }
                cluster.kill(NodeID(1))
                let lies = "\(cluster.directory)/lies"
                let verified = try await cluster.run([
                    "verify", "tests/whole", "--cluster", cluster.directory, "--evidence", lies,
                ])
                #expect(verified.end == .exit(11), "\(verified)")
                #expect(!FileManager.default.fileExists(atPath: lies))
                let listed = try await cluster.run(["evidence", "list", cluster.home(NodeID(0))])
                #expect(listed.end == .exit(0) && listed.output.contains("no evidence"), "\(listed)")
            }
        }
    }
}
