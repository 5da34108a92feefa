// The programs of Examples/ on a real cluster: what they say and do is what their readers are promised.

import ErasureCode
import Foundation
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("The examples", .serialized, .sharedCluster) struct Examples {
        private func run(_ program: String, _ arguments: [String] = []) async throws -> String {
            let cluster = try SharedCluster.current
            let result = try await Executable.run(
                [cluster.directory] + arguments, program: program, in: cluster.directory)
            #expect(result.end == .exit(0), "\(result.output)")
            return result.output
        }

        @Test("hello stores, reads, lists and deletes", .timeLimit(.minutes(2)))
        func hello() async throws {
            let output = try await run("example-hello")
            for line in [
                "read: Hello, quorum!, written from examples", "its bytes 7 to 12: quorum",
                "listed: hello/copy.txt, 14 bytes", "listed: hello/greeting.txt, 14 bytes",
                "deleted: hello/greeting.txt",
            ] {
                #expect(output.contains(line + "\n"), "\(output)")
            }
            try await SharedCluster.current.withClient { client in
                let left = try await client.buckets().buckets
                #expect(left.isEmpty)
            }
        }

        @Test("stream brings a file in and out, piece by piece", .timeLimit(.minutes(2)))
        func stream() async throws {
            let directory = try SharedCluster.current.directory
            let (source, target) = (directory + "/streamed", directory + "/streamed-back")
            let text = String(repeating: "a line of some length\n", count: 300_000)
            try File.write(source, text.utf8)
            let output = try await run("example-stream", [source, target])
            #expect(try File.read(target) == Array(text.utf8))
            #expect(output.contains("stored 6600000 bytes\n") && output.contains("read 6600000 bytes\n"))
            // More than one piece, so there were steps on the way.
            #expect(output.split(separator: "\n").count { $0.hasPrefix("stored ") } > 1)
            #expect(output.contains("300000 lines\n"))
        }

        @Test("backup stores what has changed and deletes what is gone", .timeLimit(.minutes(2)))
        func backup() async throws {
            let cluster = try SharedCluster.current
            let folder = cluster.directory + "/backed-up"
            try FileManager.default.createDirectory(atPath: folder + "/below", withIntermediateDirectories: true)
            for number in 0..<6 { try File.write("\(folder)/\(number)", "file \(number)".utf8) }
            try File.write(folder + "/below/file", "deep".utf8)
            #expect(try await run("example-backup", [folder, "backup"]) == "7 stored, 0 unchanged, 0 deleted\n")
            #expect(try await run("example-backup", [folder, "backup"]) == "0 stored, 7 unchanged, 0 deleted\n")
            try File.write(folder + "/3", "another text".utf8)
            File.remove(folder + "/5")
            #expect(try await run("example-backup", [folder, "backup"]) == "1 stored, 5 unchanged, 1 deleted\n")
            try await cluster.withClient { client in
                let changed = try await client.get(ObjectKey("backup/3")).value
                #expect(changed == SharedBytes("another text".utf8))
                let deep = try await client.get(ObjectKey("backup/below/file")).value
                #expect(deep == SharedBytes("deep".utf8))
            }
        }
    }
}
