// The command line as people use it, from making a cluster to taking it down.

import ErasureCode
import Foundation
import LoopbackPorts
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("The command line", .serialized) struct CommandLine {
        @Test(
            "makes a cluster, runs it, stores, reads, describes and deletes, and takes it down",
            .timeLimit(.minutes(3)))
        func session() async throws {
            try await withTemporaryDirectory { directory in
                let cluster = directory + "/cluster"
                func run(_ arguments: String...) async throws -> CommandResult {
                    try await Executable.run(arguments, in: directory)
                }
                let port = try FreePorts.takeConsecutive(4)
                let made = try await run("cluster", "init", cluster, "--base-port", "\(port)")
                #expect(made.end == .exit(0), "\(made)")
                #expect(
                    try await run("cluster", "init", cluster).end == .exit(6), "an existing cluster was overwritten")
                let up = try await run("cluster", "up", cluster, "--detach")
                do {
                    #expect(up.end == .exit(0), "\(up)")
                    try await self.objects(directory, cluster)
                } catch {
                    Issue.record(error)
                }
                let down = try await run("cluster", "down", cluster)
                #expect(down.end == .exit(0), "\(down)")
                for offset in 0..<4 { #expect(!Loopback.accepts(port: port + offset), "server \(offset) still runs") }
                #expect(try await run("cluster", "down", cluster).end == .exit(0), "a second 'down' is an error")

                // A second start finds everything that the first run stored.
                #expect(try await run("cluster", "up", cluster, "--detach").end == .exit(0))
                let kept = try await run("get", "tests/kept", directory + "/kept", "--cluster", cluster)
                #expect(kept.end == .exit(0), "\(kept)")
                #expect(try File.read(directory + "/kept") == SeededBytes.make("kept", 1 << 20).array)
                #expect(try await run("cluster", "down", cluster).end == .exit(0))
            }
        }

        private func objects(_ directory: String, _ cluster: String) async throws {
            func run(_ arguments: String...) async throws -> CommandResult {
                try await Executable.run(arguments + ["--cluster", cluster], in: directory)
            }
            try await buckets(directory, cluster)
            let (source, target) = (directory + "/source", directory + "/target")
            for size in [0, 1, 5, 64 << 10, 1 << 20, 8 << 20] {
                let bytes = SeededBytes.make("command line \(size)", size).array
                try File.write(source, bytes)
                let put = try await run("put", "tests/value", source)
                #expect(put.end == .exit(0), "\(put)")
                let get = try await run("get", "tests/value", target)
                #expect(get.end == .exit(0), "\(get)")
                #expect(try File.read(target) == bytes)
            }

            let stat = try await run("stat", "tests/value", "--json")
            #expect(stat.end == .exit(0), "\(stat)")
            let parsed = try JSONSerialization.jsonObject(with: Data(stat.output.utf8)) as? [String: Any]
            #expect(parsed?["object"] as? String == "tests/value", "\(stat.output)")
            #expect(parsed?["length_bytes"] as? Int == 8 << 20, "\(stat.output)")

            #expect(try await run("put", "tests/folder/one", source).end == .exit(0))
            let list = try await run("ls", "tests", "--json")
            #expect(list.end == .exit(0), "\(list)")
            let lines = try list.output.split(separator: "\n").map {
                try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
            }
            #expect(lines.map { $0?["prefix"] as? String } == ["tests/folder/", nil], "\(list.output)")
            #expect(lines.last??["object"] as? String == "tests/value", "\(list.output)")
            #expect(lines.last??["length_bytes"] as? Int == 8 << 20, "\(list.output)")
            let everything = try await run("ls", "-r", "tests/")
            #expect(
                everything.output.contains("tests/folder/one") && everything.output.contains("8388608"), "\(everything)"
            )
            #expect(try await run("ls", "tests/", "-r", "--after", "tests/value").output.isEmpty)
            #expect(try await run("rm", "tests/folder/one").end == .exit(0))
            #expect(try await run("ls", "tests").output.contains("tests/folder/") == false)
            #expect(try await run("ls", "No-bucket").end == .exit(64))

            try File.write(source, Array("text".utf8))
            #expect(try await run("put", "tests/value", source).end == .exit(0))
            let shown = try await run("get", "tests/value", "-")
            #expect(shown.end == .exit(0) && shown.output.contains("text"), "\(shown)")

            #expect(try await run("cat", "tests/value", "tests/value").output.hasPrefix("texttext"))
            for (range, expected) in [("1-2", "ex"), ("2-", "xt"), ("-3", "ext"), ("0-99", "text"), ("-99", "text")] {
                let part = try await run("cat", "tests/value", "--range=\(range)")
                #expect(part.end == .exit(0) && part.output == expected, "\(range): \(part)")
            }
            #expect(try await run("cat", "tests/value", "--range", "4-").end == .exit(5))
            for wrong in ["", "-", "2-1", "a-", "1-+2", "1"] {
                #expect(try await run("cat", "tests/value", "--range=\(wrong)").end == .exit(64), "\(wrong)")
            }
            try await copies(directory, cluster)

            #expect(try await run("rm", "tests/value").end == .exit(0))
            for command in [["get", "tests/value", target], ["stat", "tests/value"]] {
                let result = try await Executable.run(command + ["--cluster", cluster], in: directory)
                #expect(result.end == .exit(3), "\(result)")
                #expect(result.output.contains("tests/value"), "\(result.output)")
            }
            #expect(try File.read(target).count == 8 << 20, "a failed get changed its file")

            let large = [UInt8](repeating: 7, count: 8 << 20 + 1)
            try File.write(source, large)
            #expect(try await run("put", "tests/large", source).end == .exit(0))
            #expect(try await run("get", "tests/large", target).end == .exit(0))
            #expect(try File.read(target) == large)

            try File.write(source, SeededBytes.make("kept", 1 << 20).array)
            #expect(try await run("put", "tests/kept", source).end == .exit(0))
        }

        private func buckets(_ directory: String, _ cluster: String) async throws {
            func run(_ arguments: String...) async throws -> CommandResult {
                try await Executable.run(arguments + ["--cluster", cluster], in: directory)
            }
            let nowhere = try await run("put", "tests/value", "/dev/null")
            #expect(nowhere.end == .exit(3) && nowhere.output.contains("solidus mb tests"), "\(nowhere)")
            #expect(try await run("ls", "tests").end == .exit(3))
            for bucket in ["tests", "copies", "empty"] {
                let made = try await run("mb", bucket)
                #expect(made.end == .exit(0), "\(made)")
            }
            #expect(try await run("ls", "tests").output.isEmpty)
            #expect(try await run("mb", "tests").end == .exit(5))
            let list = try await run("ls")
            let lines = list.output.split(separator: "\n").map { $0.split(separator: " ") }
            #expect(lines.map { $0.dropFirst() } == ["copies", "empty", "tests"].map { [$0, "first"] }, "\(list)")
            #expect(try await run("rb", "empty").end == .exit(0))
            #expect(try await run("rb", "empty").end == .exit(3))
            for command in [["put", "_buckets/copies", "/dev/null"], ["ls", "_buckets"], ["mb", "_own"]] {
                let reserved = try await Executable.run(command + ["--cluster", cluster], in: directory)
                #expect(reserved.end == .exit(64) && reserved.output.contains("reserved"), "\(reserved)")
            }
            #expect(try await run("put", "copies/a", "/dev/null").end == .exit(0))
            let full = try await run("rb", "copies")
            #expect(full.end == .exit(5) && full.output.contains("1 object at least"), "\(full)")
            #expect(try await run("rb", "copies", "--force").end == .exit(0))
            #expect(try await run("mb", "copies").end == .exit(0))
        }

        private func copies(_ directory: String, _ cluster: String) async throws {
            func run(_ arguments: String...) async throws -> CommandResult {
                try await Executable.run(arguments + ["--cluster", cluster], in: directory)
            }
            let source = directory + "/source"
            let put = try await run(
                "put", "copies/one", source, "--content-type", "text/plain", "--meta", "author=somebody")
            #expect(put.end == .exit(0), "\(put)")
            let copied = try await run("cp", "copies/one", "copies/a/two")
            #expect(copied.end == .exit(0) && copied.output.contains("4 bytes"), "\(copied)")
            let stat = try await run("stat", "copies/a/two")
            #expect(stat.output.contains("text/plain") && stat.output.contains("somebody"), "\(stat)")
            let moved = try await run("mv", "copies/one", "copies/a/three", "--json")
            #expect(moved.end == .exit(0) && moved.output.contains("\"object\":\"copies/a/three\""), "\(moved)")
            #expect(try await run("cat", "copies/a/three").output == "text")
            #expect(try await run("cat", "copies/one").end == .exit(3))
            #expect(try await run("cp", "copies/one", "copies/four").end == .exit(3))
            #expect(try await run("mv", "copies/a/two", "copies/a/two").end == .exit(64))
            let used = try await run("du", "copies/a/")
            #expect(used.end == .exit(0) && used.output == "8 bytes in 2 objects of copies/a/\n", "\(used)")
            let json = try await run("du", "copies", "--json")
            #expect(json.output.contains("\"objects\":2") && json.output.contains("\"length_bytes\":8"), "\(json)")
        }

        @Test("help names the modes and the one that is taken by default", .timeLimit(.minutes(1)))
        func modeHelp() async throws {
            try await withTemporaryDirectory { directory in
                let help = try await Executable.run(["cluster", "init", "--help"], in: directory)
                #expect(help.end == .exit(0), "\(help)")
                // Lines are broken to fit a terminal.
                let words = help.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
                #expect(
                    words.contains("(values: fingerprint, full, lazy, read-time, none; default: fingerprint)"),
                    "\(help.output)")
            }
        }

        @Test(
            "wrong usage, wrong paths and wrong names have exit codes of their own and say what is wrong",
            .timeLimit(.minutes(1)),
            arguments: [
                (["get"], 64, "Usage"), (["put", "noslash", "/dev/null"], 64, "noslash"),
                (["put", "Bad/key", "/dev/null"], 64, "Bad"), (["frobnicate"], 64, "frobnicate"),
                (["stat", "a/b", "--cluster", "/nonexistent"], 6, "/nonexistent/cluster.toml"),
                (["stat", "a/b", "--timeout", "-1"], 64, "timeout"),
            ] as [([String], Int32, String)])
        func wrongUsage(_ arguments: [String], _ code: Int32, _ text: String) async throws {
            try await withTemporaryDirectory { directory in
                let result = try await Executable.run(arguments, in: directory)
                #expect(result.end == .exit(code), "\(result)")
                #expect(result.output.contains(text), "\(result.output)")
            }
        }

        @Test(
            "a cluster can be made under any relative path", .timeLimit(.minutes(1)),
            arguments: ["c", "./c", "c/", "a/b/c"])
        func relativePath(_ path: String) async throws {
            try await withTemporaryDirectory { directory in
                let process = try ChildProcess(
                    "/bin/sh",
                    ["-c", "cd \"$1\" && exec \"$2\" cluster init \"$3\"", "sh", directory, Executable.path(), path],
                    outputPath: directory + "/output", group: Watchdog.group.get())
                defer { process.destroy() }
                #expect(try await process.wait(seconds: 60) == .exit(0), "\(process.output)")
                #expect(try File.names("\(directory)/\(path)").contains("cluster.toml"))
            }
        }

        @Test("a file that is not there is named", .timeLimit(.minutes(1)))
        func missingFile() async throws {
            try await withCluster(starts: false) { cluster in
                let missing = cluster.directory + "/missing"
                let result = try await cluster.run(["put", "a/b", missing, "--cluster", cluster.directory])
                #expect(result.end == .exit(7), "\(result)")
                #expect(result.output.contains(missing), "\(result.output)")
            }
        }
    }
}
