// `solidus server check` on stores that are good, that have rotted, and that are in use.

import ClusterFiles
import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("A check of a server's store", .serialized) struct ServerChecks {
        private let target = NodeID(1)

        private struct Verdict: Decodable {
            let server: Int
            let index: String
            let objects: Int
            let versions: Int
            let fragments: Int
            let fragmentBytes: UInt64
            let damagedCount: Int
            let missingCount: Int
            let unreadCount: Int
            let damaged: [String]
            let missing: [String]
        }

        @Test(
            "counts all that is there, names what has rotted or is missing, and changes nothing",
            .timeLimit(.minutes(3)))
        func verdicts() async throws {
            try await withCluster { cluster in
                let names = (0..<70).map { "tests/checked/\($0)" }
                let large = try ObjectKey("tests/checked/large")
                let late = try ObjectKey("tests/checked/late")
                try await cluster.withClient { client in
                    for (number, name) in names.enumerated() {
                        _ = try await client.put(ObjectKey(name), SeededBytes.make("checked \(number)", 6000 + number))
                    }
                    _ = try await client.put(large, SeededBytes.make("large", 3 * cluster.stripeSizeBytes + 5))
                    _ = try await client.delete(ObjectKey(names[0]))
                }
                // One that runs is not looked at.
                let busy = try await check(cluster)
                #expect(busy.end == .exit(7) && busy.output.contains("runs"), "\(busy)")
                #expect(try await cluster.terminate(target) == .exit(0))
                let good = try verdict(await check(cluster, "--json"))
                #expect(good.server == 1 && good.index == "good" && good.objects == 71)
                #expect(good.versions >= 71 && good.fragments >= 73, "\(good)")
                #expect(good.damagedCount == 0 && good.missingCount == 0, "\(good)")

                // What was written without it is missing once it has been told; its own is rotten.
                try await cluster.withClient { _ = try await $0.put(late, SeededBytes.make("late", 2000)) }
                try await cluster.start(target)
                try await cluster.withClient { client in
                    // Whoever reads with few other servers writes back.
                    cluster.kill(NodeID(3))
                    _ = try await client.get(late)
                }
                try await cluster.start(NodeID(3))
                #expect(try await cluster.terminate(target) == .exit(0))
                let rotten = try ObjectKey(names[33])
                try rot(cluster, try await fragment(cluster, rotten))
                for _ in 0..<2 {
                    let result = try await check(cluster, "--json")
                    #expect(result.end == .exit(11), "\(result)")
                    let bad = try verdict(result)
                    #expect(bad.damagedCount == 1 && bad.damaged.first?.contains(names[33]) == true, "\(bad)")
                    #expect(bad.missingCount == 1 && bad.missing.first?.contains("late") == true, "\(bad)")
                }
                let told = try await check(cluster, "--names", "0")
                #expect(told.end == .exit(11) && told.output.contains("1 DAMAGED") && !told.output.contains("damaged:"))

                // An index that is gone is made again.
                File.remove("\(cluster.home(target))/store/index")
                let anew = try verdict(await check(cluster, "--json"))
                #expect(anew.index == "made_anew" && anew.damagedCount == 1 && anew.objects == 72, "\(anew)")
                #expect(try verdict(await check(cluster, "--json")).index == "good")
                // What the server has noted as lost is damage still.
                try await cluster.start(target)
                let verified = try await cluster.run(["verify", names[33], "--cluster", cluster.directory])
                #expect(verified.end == .exit(11), "\(verified)")
                #expect(try await cluster.terminate(target) == .exit(0))
                let noted = try verdict(await check(cluster, "--json"))
                #expect(noted.damagedCount == 1 && noted.damaged.first?.contains("noted as lost") == true, "\(noted)")
                try await cluster.start(target)
                try await cluster.withClient { _ = try await cluster.checkOperations($0, "after", sizesBytes: [5]) }
            }
        }

        private func check(_ cluster: TestCluster, _ options: String...) async throws -> CommandResult {
            try await cluster.run(["server", "check", "--home", cluster.home(target)] + options)
        }

        private func verdict(_ result: CommandResult) throws -> Verdict {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode(
                Verdict.self,
                from: Data(try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }).utf8))
        }

        /// The server's own fragment of an object.
        private func fragment(_ cluster: TestCluster, _ key: ObjectKey) async throws -> [UInt8] {
            let parameters = cluster.configuration.parameters
            let number = try #require(Int(key.text.split(separator: "/").last ?? ""))
            let value = SeededBytes.make("checked \(number)", 6000 + number)
            let position = try #require(parameters.placement(of: key).position(of: target))
            return parameters.quorums.code.encode(block: value)[position.offset].array
        }

        /// Turns a byte of these in the stopped server's journal.
        private func rot(_ cluster: TestCluster, _ bytes: [UInt8]) throws {
            let directory = "\(cluster.home(target))/store/journal"
            var count = 0
            for name in try File.names(directory) {
                var content = Data(try File.read("\(directory)/\(name)"))
                while let range = content.range(of: Data(bytes)) {
                    content[range.lowerBound + 7] ^= 1
                    count += 1
                }
                if count > 0 { try File.write("\(directory)/\(name)", content) }
            }
            #expect(count == 1, "the journal holds it \(count) times")
        }
    }
}
