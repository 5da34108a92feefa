// Options of transfers on the command line, with real processes: lists of what failed, comparisons, quiet, holes.

import CommandOutcome
import ErasureCode
import Foundation
import Glibc
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Options of transfers", .serialized, .sharedCluster) struct TransferOptions {
        private func run(_ arguments: String...) async throws -> CommandResult {
            let cluster = try SharedCluster.current
            return try await cluster.run(arguments + ["--cluster", cluster.directory])
        }

        private func put(_ bucket: String, _ names: [String]) async throws {
            try await SharedCluster.current.withClient { client in
                if try await !client.bucketExists(bucket) { _ = try await client.createBucket(bucket) }
                for name in names {
                    _ = try await client.put(try ObjectKey("\(bucket)/\(name)"), SharedBytes(Array(name.utf8)))
                }
            }
        }

        /// Runs a line of the shell with the program as `$0` and the cluster's directory as `$1`.
        private func shell(_ line: String) async throws -> CommandResult {
            let cluster = try SharedCluster.current
            let output = "\(cluster.directory)/shell-\(UUID().uuidString)"
            defer { File.remove(output) }
            let process = try ChildProcess(
                "/bin/bash", ["-c", line, Executable.path(), cluster.directory], outputPath: output,
                group: Watchdog.group.get())
            defer { process.destroy() }
            let end = try await process.wait(seconds: 60)
            return CommandResult(end: end, output: process.output)
        }

        @Test("what failed is listed, and a list is what is done again and nothing else", .timeLimit(.minutes(1)))
        func failedAgain() async throws {
            try await withTemporaryDirectory { directory in
                try await put("again", ["a", "b", "c/d", "c/e"])
                let (target, list) = (directory + "/target", directory + "/list")
                // Folders are in the way of two.
                for name in ["b", "c/e"] {
                    try FileManager.default.createDirectory(
                        atPath: "\(target)/\(name)", withIntermediateDirectories: true)
                }
                let first = try await run("get", "-r", "again", target, "--failed", list)
                #expect(first.end == .exit(ExitStatus.incomplete.rawValue), "\(first)")
                #expect(try File.text(list).split(separator: "\0").sorted() == ["b", "c/e"])
                #expect(rmdir(target + "/c/e") == 0)
                let second = try await run("get", "-r", "again", target, "--only", list, "--failed", list)
                #expect(second.end == .exit(ExitStatus.incomplete.rawValue), "\(second)")
                #expect(second.output.contains("1 read (3 bytes), 1 FAILED"), "\(second)")
                #expect(try File.text(list) == "b\0")
                #expect(rmdir(target + "/b") == 0)
                let third = try await run("get", "-r", "again", target, "--only", list, "--failed", list)
                #expect(third.end == .exit(0) && third.output.contains("1 read (1 bytes)"), "\(third)")
                #expect(try File.read(list).isEmpty && File.text(target + "/c/e") == "c/e")
                // What the list does not name is not deleted either.
                let other = directory + "/other"
                try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
                try File.write(list, Array("c/d\0".utf8))
                let synced = try await run("put", "-r", "again", other, "--sync", "--delete", "--only", list)
                #expect(synced.output.contains("1 deleted"), "\(synced)")
                #expect(try await run("ls", "-r", "again").output.split(separator: "\n").count == 3)
                #expect(try await run("get", "again/a", target, "--failed", list).end == .exit(64))
                #expect(try await run("rm", "-r", "again", "--only", directory + "/none").end == .exit(7))
            }
        }

        @Test("--quiet hides what went well, and neither failures nor the code", .timeLimit(.minutes(1)))
        func quiet() async throws {
            try await withTemporaryDirectory { directory in
                try await put("quiet", ["a", "b//c"])
                let good = try await run("get", "-r", "quiet", directory + "/in", "--include", "a", "--quiet")
                #expect(good.end == .exit(0) && good.output.isEmpty, "\(good)")
                let bad = try await run("get", "-r", "quiet", directory + "/in", "--quiet")
                #expect(bad.end == .exit(ExitStatus.incomplete.rawValue), "\(bad)")
                let lines = bad.output.split(separator: "\n")
                #expect(lines.count == 2 && lines[0].hasPrefix("error: b//c:"), "\(bad)")
                #expect(lines.last == "1 read (1 bytes), 1 FAILED", "\(bad)")
                let none = try await run("get", "quiet/none", directory + "/none", "--quiet")
                #expect(none.end == .exit(3) && none.output.contains("quiet/none does not exist"), "\(none)")
            }
        }

        @Test("a comparison tells same, different and unknown apart, and changes nothing", .timeLimit(.minutes(1)))
        func compare() async throws {
            try await withTemporaryDirectory { directory in
                let folder = directory + "/folder"
                try FileManager.default.createDirectory(atPath: folder + "/in", withIntermediateDirectories: true)
                for name in ["same", "in/other", "untagged"] { try File.write("\(folder)/\(name)", Array(name.utf8)) }
                try await SharedCluster.current.makeBucket("compared")
                #expect(try await run("put", "-r", "compared", folder, "--exclude", "untagged").end == .exit(0))
                // The library gives what is in memory no digest for a tag: its content is read.
                try await put("compared", ["untagged", "object"])
                let equal = try await run("compare", "compared", folder, "--exclude", "object")
                #expect(equal.end == .exit(0) && equal.output == "3 same\n", "\(equal)")
                // As long as before.
                try File.write(folder + "/in/other", Array("in/OTHER".utf8))
                try File.write(folder + "/file", [1])
                let other = try await run("compare", "compared", folder)
                #expect(other.end == .exit(ExitStatus.different.rawValue), "\(other)")
                for line in [
                    "different: \(folder)/in/other and compared/in/other", "only in the folder: \(folder)/file",
                    "only in the bucket: compared/object",
                    "1 different, 1 only in the folder, 1 only in the bucket, 2 same",
                ] {
                    #expect(other.output.split(separator: "\n").contains { $0 == line }, "\(line): \(other)")
                }
                let json = try await shell(
                    "\"$0\" compare compared '\(folder)' --json --cluster \"$1\" 2>/dev/null")
                let objects = try json.output.split(separator: "\n").map {
                    try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
                }
                #expect(
                    objects.dropLast().compactMap { $0?["outcome"] as? String }.sorted()
                        == ["different", "only_file", "only_object", "unchanged", "unchanged"], "\(json)")
                #expect((objects.last??["summary"] as? [String: Any])?["outcome"] as? String == "different")
                // A file that cannot be an object is neither same nor different.
                try File.write(folder + "/in/other", Array("in/other".utf8))
                File.remove(folder + "/file")
                let descriptor = open(Array((folder + "/caf").utf8CString.dropLast()) + [-23, 0], O_CREAT, 0o600)
                close(descriptor)
                let unknown = try await run("compare", "compared", folder, "--exclude", "object")
                #expect(unknown.end == .exit(ExitStatus.incomplete.rawValue), "\(unknown)")
                #expect(unknown.output.contains("3 same, 1 NOT COMPARED"), "\(unknown)")
            }
        }

        @Test("a put from a pipe that fails ends at once, whatever there is to come", .timeLimit(.minutes(1)))
        func endlessPipe() async throws {
            let result = try await shell(
                "yes | \"$0\" put nobucket/x - --cluster \"$1\"; test ${PIPESTATUS[1]} = 3")
            #expect(result.end == .exit(0), "\(result)")
            #expect(result.output.contains("solidus mb nobucket"), "\(result)")
        }

        @Test("files with holes are stored with their zeros, and get their holes back if that is wanted")
        func sparse() async throws {
            try await withTemporaryDirectory { directory in
                try await SharedCluster.current.makeBucket("sparse")
                let (file, target) = (directory + "/file", directory + "/target")
                try File.write(file, [1, 2, 3])
                #expect(truncate(file, 3_000_001) == 0)
                #expect(try await run("put", "sparse/file", file).end == .exit(0))
                for options in [[], ["--sparse"]] {
                    let cluster = try SharedCluster.current
                    let got = try await cluster.run(
                        ["get", "sparse/file", target, "--cluster", cluster.directory] + options)
                    #expect(got.end == .exit(0), "\(got)")
                    #expect(try File.read(target) == File.read(file))
                    var status = stat()
                    #expect(stat(target, &status) == 0)
                    #expect((Int(status.st_blocks) * 512 < 1_000_000) == !options.isEmpty)
                }
            }
        }
    }
}
