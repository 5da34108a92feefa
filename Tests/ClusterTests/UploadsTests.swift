// Uploads that nobody has finished, through the real binary.

import ClusterFiles
import CommandOutcome
import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Unfinished uploads", .serialized, .sharedCluster) struct UploadsTests {
        private struct Line: Decodable {
            let upload: String
            let object: String
            let owner: String
            let chargedBytes: UInt64
            let servers: Int
        }

        private func run(_ arguments: [String]) async throws -> CommandResult {
            let cluster = try SharedCluster.current
            return try await cluster.run(arguments + ["--cluster", cluster.directory], seconds: 120)
        }

        private func list(_ arguments: [String]) async throws -> [Line] {
            let result = try await run(["uploads", "list", "--json"] + arguments)
            #expect(result.end == .exit(0), "\(result)")
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try result.output.split(separator: "\n").filter { $0.hasPrefix("{") }
                .map { try decoder.decode(Line.self, from: Data($0.utf8)) }
        }

        @Test("are listed with what they take, whoever they are of, and discarded by their names")
        func listed() async throws {
            let cluster = try SharedCluster.current
            try await cluster.makeBucket("unfinished")
            let key = try ObjectKey("unfinished/film")
            let home = try ClientHome(clusterDirectory: cluster.directory, client: "first")
            let client = try ObjectClient(home: home)
            let upload = try await client.beginUpload(key)
            let value = SeededBytes.make("unfinished", 3 << 20)
            let source = AsyncStream { continuation in
                continuation.yield(value)
                continuation.finish()
            }
            _ = try await client.putPart(1, of: upload, lengthBytes: UInt64(value.count), from: source)
            await client.close()

            let stranger = String(repeating: "7", count: 32)
            #expect(try await list(["--of", stranger]).isEmpty)
            for arguments in [[], ["--of", "first"], ["unfinished/fi", "--of", home.id.description]] {
                let lines = try await list(arguments)
                #expect(lines.map(\.upload) == [upload.id] && lines.map(\.object) == [key.text], "\(arguments)")
                #expect(lines.allSatisfy { $0.owner == home.id.description && $0.servers > 1 })
                #expect(lines.allSatisfy { $0.chargedBytes >= 3 << 19 && $0.chargedBytes < 2 << 20 }, "\(lines)")
            }
            #expect(try await list(["unfinished/x"]).isEmpty)

            let discard = ["uploads", "discard", key.text]
            #expect(try await run(discard + ["film"]).end == .exit(ExitStatus.usage.rawValue))
            let nobody = try await run(discard + [upload.id, "--of", "nobody"])
            #expect(nobody.end == .exit(ExitStatus.configuration.rawValue), "\(nobody)")
            // A stranger's of this name there is none, which is as good as discarded.
            #expect(try await run(discard + [upload.id, "--of", stranger]).end == .exit(0))
            #expect(try await list([]).count == 1)
            let done = try await run(discard + [upload.id])
            #expect(done.end == .exit(0), "\(done)")
            #expect(try await list([]).isEmpty)
        }
    }
}
