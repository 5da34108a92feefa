// Folders and interruptions on the command line, with real processes: what the transfers' own tests cannot see.

import CommandOutcome
import ErasureCode
import FileTransfers
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Folders on the command line", .serialized, .sharedCluster) struct FolderTransfers {
        private func run(_ arguments: [String]) async throws -> CommandResult {
            let cluster = try SharedCluster.current
            return try await cluster.run(arguments + ["--cluster", cluster.directory])
        }

        private func expect(
            _ arguments: String..., ending code: Int32 = 0, with text: String? = nil,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let result = try await run(arguments)
            #expect(result.end == .exit(code), "\(result)", sourceLocation: sourceLocation)
            if let text { #expect(result.output.contains(text), "\(result)", sourceLocation: sourceLocation) }
            // Nothing moves a cursor where there is no terminal.
            #expect(!result.output.contains("\r") && !result.output.contains("\u{1B}"), sourceLocation: sourceLocation)
        }

        /// The files below a folder with their content.
        private func content(_ folder: String) throws -> [String: [UInt8]] {
            var content: [String: [UInt8]] = [:]
            for name in FileManager.default.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] {
                var status = stat()
                guard lstat("\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
                content[name] = try File.read("\(folder)/\(name)")
            }
            return content
        }

        private func make(_ folder: String, _ names: [String]) throws {
            for name in names {
                let path = "\(folder)/\(name)" as NSString
                try FileManager.default.createDirectory(
                    atPath: path.deletingLastPathComponent, withIntermediateDirectories: true)
                try File.write(path as String, SeededBytes.make(name, 1000 + name.utf8.count).array)
            }
        }

        @Test("go there and come back, are synchronised, and are deleted", .timeLimit(.minutes(3)))
        func folder() async throws {
            try await withTemporaryDirectory { directory in
                let (source, target) = (directory + "/source", directory + "/target")
                try await SharedCluster.current.makeBucket("folders")
                let names = (0..<20).map { "many/\($0)" } + ["a", "a-b/c", "a.b", "deep/er/still/file", "old.tmp"]
                try make(source, names)
                try FileManager.default.createDirectory(atPath: source + "/empty", withIntermediateDirectories: false)
                try FileManager.default.createSymbolicLink(atPath: source + "/link", withDestinationPath: "a")
                #expect(mkfifo(source + "/pipe", 0o600) == 0)

                try await expect("put", "-r", "nobucket/x", source, ending: 3, with: "solidus mb nobucket")
                try await expect("put", "folders/x", source, ending: 7, with: "--recursive")
                try await expect("put", "-r", "folders/x", source, "--dry-run", with: "25 would be stored")
                try await expect("put", "-r", "folders/x", source, "--exclude", "*.tmp", with: "24 stored")
                try await expect("get", "-r", "folders/x", target, "--quiet")
                var expected = try content(source)
                expected["old.tmp"] = nil
                #expect(try content(target) == expected)

                // Nothing is done twice, in either direction.
                try await expect(
                    "put", "-r", "folders/x/", source, "--sync", "--exclude", "*.tmp",
                    with: "nothing done, 24 unchanged")
                try await expect("get", "-r", "folders/x", target, "--sync", with: "nothing done, 24 unchanged")
                try await expect(
                    "put", "-r", "folders/x", target, "--sync", "--checksum", with: "nothing done, 24 unchanged")
                try await expect("cp", "-r", "folders/x", "folders/copy", with: "24 copied")
                try await expect("cp", "-r", "folders/x", "folders/copy", "--sync", with: "nothing done, 24 unchanged")

                try File.write(target + "/a", [1])
                File.remove(target + "/many/7")
                try await expect(
                    "put", "-r", "folders/x", target, "--sync", "--delete", "--json", with: "\"deleted\":1,\"stored\":1"
                )
                try await expect("cat", "folders/x/many/7", ending: 3)
                #expect(try await run(["cat", "folders/x/a"]).output == "\u{1}")
                try await expect("get", "-r", "folders/x", source, "--sync", "--delete", with: "1 read")
                #expect(try content(source).keys.contains("many/7") == false)
                #expect(access(source + "/link", F_OK) == 0, "what is no file was deleted")

                try await expect("mv", "-r", "folders/copy", "folders/moved", with: "24 moved")
                try await expect("rm", "-r", "folders/copy", ending: 3)
                try await expect("rm", "-r", "folders/mov", ending: 3)
                try await expect("rm", "-r", "folders/x", with: "23 deleted")
                try await expect("du", "folders", with: "24 objects")
                try await expect("rb", "folders", "--force")
            }
        }

        /// Every line of standard output is JSON, and the last one is the summary.
        private func expectLines(
            _ words: String, _ outcomes: [String?], failing: Int, ending code: Int32,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let cluster = try SharedCluster.current
            let output = cluster.directory + "/lines"
            defer { File.remove(output) }
            let process = try ChildProcess(
                "/bin/sh",
                ["-c", "\"$0\" \(words) --cluster \"$1\" 2>/dev/null", Executable.path(), cluster.directory],
                outputPath: output, group: Watchdog.group.get())
            defer { process.destroy() }
            #expect(try await process.wait(seconds: 60) == .exit(code), sourceLocation: sourceLocation)
            let lines = try process.output.split(separator: "\n").map {
                try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
            }
            let found = lines.map { $0?["outcome"] as? String }
            #expect(
                found.dropLast().map { $0 ?? "" }.sorted() == outcomes.compactMap(\.self), "\(process.output)",
                sourceLocation: sourceLocation)
            let summary = lines.last??["summary"] as? [String: Any]
            #expect(summary?["failed"] as? Int == failing, "\(process.output)", sourceLocation: sourceLocation)
        }

        @Test("never lead out of the target, and each name that cannot be is told of", .timeLimit(.minutes(1)))
        func hostileNames() async throws {
            try await withTemporaryDirectory { directory in
                let cluster = try SharedCluster.current
                try await cluster.makeBucket("hostile")
                // No file system has names of this length.
                let long = String(repeating: "n", count: 300)
                try await cluster.withClient { client in
                    for name in ["good", "../out", "a/../../out", "/out", "b//c", "good/file", "mark/", ".", long] {
                        let value = SharedBytes(name == "mark/" ? [] : [1])
                        _ = try await client.put(try ObjectKey("hostile/" + name), value)
                    }
                }
                let target = directory + "/in/target"
                let result = try await run(["get", "-r", "hostile", target])
                #expect(result.end == .exit(12), "\(result)")
                for name in ["../out", "a/../../out", "/out", "b//c", "good/file", "."] {
                    #expect(result.output.contains("error: \(name): no file can be called that"), "\(result)")
                }
                #expect(result.output.contains("\(long): File name too long"), "\(result)")
                #expect(try File.names(directory) == ["in"])
                // One by one they are what they are.
                for name in ["../out", "/out", "b//c", "."] {
                    #expect(try await run(["cat", "hostile/" + name]).output == "\u{1}", "\(name)")
                }
                #expect(try File.names(target).sorted() == ["good", "mark"])

                let odd = directory + "/odd"
                try make(odd, ["fine"])
                let path = Array((odd + "/caf").utf8CString.dropLast()) + [-23, 0]
                let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
                close(descriptor)
                try await expect("put", "-r", "hostile/odd", odd, ending: 12, with: "caf\\xE9: its name is not UTF-8")
                try await expect("ls", "-r", "hostile/odd/", with: "hostile/odd/fine")
                try await expectLines(
                    "put -r hostile/odd '\(odd)' --json", ["failed", "stored", nil], failing: 1, ending: 12)
                try await expectLines(
                    "put -r hostile/odd '\(odd)' --json --sync", ["failed", "unchanged", nil], failing: 1, ending: 12)
            }
        }

        @Test("a file that is changed while it is read is not stored, unless that is allowed", .timeLimit(.minutes(1)))
        func changedFile() async throws {
            try await withTemporaryDirectory { directory in
                let path = directory + "/file"
                let key = try ObjectKey("tests/changed")
                try await SharedCluster.current.withClient { client in
                    for isAllowed in [false, true] {
                        try File.write(path, [1, 2, 3])
                        // It is open, and changes before its end is reached.
                        let source = try SourceFile(path: Array(path.utf8))
                        try File.write(path, [4, 5])
                        do throws(Failure) {
                            _ = try await FileTransfer(client).upload(
                                source, to: key, metadata: ObjectMetadata(), allowsChanging: isAllowed)
                            #expect(isAllowed, "a file that was changed was stored")
                        } catch {
                            #expect(!isAllowed && error.status == .sourceChanged, "\(error.message)")
                            await #expect(throws: ClientError.self) { try await client.head(key) }
                        }
                    }
                    let object = try await client.get(key)
                    #expect([SharedBytes([1, 2, 3]), SharedBytes([4, 5])].contains(object.value))
                    // The tag is the content's digest.
                    let source = try SourceFile(path: Array(path.utf8))
                    let stored = try await FileTransfer(client).upload(source, to: key, metadata: ObjectMetadata())
                    let head = try await client.head(key)
                    #expect(stored.sizeBytes == 2)
                    #expect(head.metadata.modifiedMilliseconds == source.facts?.modifiedMilliseconds)
                    #expect(try await FileTransfer(client).tag(of: SourceFile(path: Array(path.utf8))) == head.etag)
                }
            }
        }

        @Test(
            "show on a terminal how far things are, in one line that is gone at the end", .timeLimit(.minutes(1)),
            .enabled(if: access("/usr/bin/script", X_OK) == 0))
        func terminal() async throws {
            try await withTemporaryDirectory { directory in
                let cluster = try SharedCluster.current
                try await cluster.makeBucket("terminal")
                try make(directory + "/files", ["a"])
                // Without a quorum it waits, however fast this machine is.
                let frozen = [NodeID(0), NodeID(1)]
                for server in frozen { cluster.freeze(server) }
                defer { for server in frozen { cluster.thaw(server) } }
                let command =
                    try "stty cols 60; exec '\(Executable.path())' put -r terminal '\(directory)/files' "
                    + "--cluster '\(cluster.directory)' --timeout 60"
                let process = try ChildProcess(
                    "/bin/sh", ["-c", "TERM=xterm exec script -q -e -c \"$0\" /dev/null", command],
                    outputPath: directory + "/output", group: Watchdog.group.get())
                defer { process.destroy() }
                for _ in 0..<5000 where !process.output.contains("\r\u{1B}[K0 of ") {
                    try await Task.sleep(for: .milliseconds(10))
                }
                for server in frozen { cluster.thaw(server) }
                #expect(try await process.wait(seconds: 60) == .exit(0), "\(process.output)")
                let output = process.output
                let dumb = try ChildProcess(
                    "/bin/sh", ["-c", "TERM=dumb exec script -q -e -c \"$0\" /dev/null", command],
                    outputPath: directory + "/dumb", group: Watchdog.group.get())
                defer { dumb.destroy() }
                #expect(try await dumb.wait(seconds: 60) == .exit(0), "\(dumb.output)")
                #expect(!dumb.output.contains("\u{1B}") && dumb.output.contains("1 stored (1001 bytes)"))
                #expect(output.contains("\r\u{1B}[K0 of ") && output.contains("1 stored (1001 bytes)"), "\(output)")
                #expect(output.split(separator: "\r\u{1B}[K").last?.contains(" of ") == false, "\(output)")
            }
        }

        @Test("a command that reads no more of a pipe ends without a word", .timeLimit(.minutes(1)))
        func brokenPipe() async throws {
            let cluster = try SharedCluster.current
            try await cluster.makeBucket("pipes")
            try await cluster.withClient { client in
                _ = try await client.put(try ObjectKey("pipes/large"), SeededBytes.make("pipe", 1 << 20))
                for number in 0..<300 { _ = try await client.put(try ObjectKey("pipes/\(number)"), SharedBytes()) }
            }
            for command in ["cat pipes/large", "get pipes/large - -q"] {
                let script =
                    "\"$0\" \(command) --cluster \"$1\" 2>\"$1/complaint\" | head -c 1 >/dev/null; "
                    + "test ${PIPESTATUS[0]} = 141 && test ! -s \"$1/complaint\""
                let process = try ChildProcess(
                    "/bin/bash", ["-c", script, Executable.path(), cluster.directory],
                    outputPath: "/dev/null", group: Watchdog.group.get())
                defer { process.destroy() }
                #expect(try await process.wait(seconds: 60) == .exit(0), "\(command)")
            }
        }
    }

    @Suite("A signal in the middle of a transfer", .serialized) struct Signals {
        /// Returns when the process handles SIGINT.
        private func waitUntilHandled(_ process: ChildProcess) async throws {
            for _ in 0..<6000 {
                let status = (try? File.text("/proc/\(process.id)/status")) ?? ""
                let line = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
                let mask = line.flatMap { UInt64($0.split(separator: "\t").last ?? "", radix: 16) } ?? 0
                if mask & 1 << UInt64(SIGINT - 1) != 0 { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            Issue.record("\(process.name) handles no signal: \(process.output)")
        }

        @Test("ends it with a code of its own, leaves nothing, and the old version", .timeLimit(.minutes(2)))
        func signals() async throws {
            try await withCluster { cluster in
                try await cluster.makeBucket("signals")
                let key = try ObjectKey("signals/key")
                try await cluster.withClient { client in _ = try await client.put(key, SharedBytes([1, 2, 3])) }
                let (folder, pipe) = (cluster.directory + "/folder", cluster.directory + "/pipe")
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
                try File.write(folder + "/file", [9])
                #expect(mkfifo(pipe, 0o600) == 0)
                // Without a quorum everything waits.
                cluster.freeze(NodeID(0))
                cluster.freeze(NodeID(1))
                for (command, number, code) in [
                    (["put", "signals/key", pipe], SIGINT, 130),
                    (["put", "signals/key", folder + "/file"], SIGHUP, 129),
                    (["get", "signals/key", folder + "/file"], SIGTERM, 143), (["rm", "signals/key"], SIGINT, 130),
                    (["put", "-r", "signals", folder], SIGTERM, 143),
                ] as [([String], Int32, Int32)] {
                    let process = try ChildProcess(
                        Executable.path(), command + ["--cluster", cluster.directory, "--timeout", "600"],
                        outputPath: cluster.directory + "/output", group: Watchdog.group.get())
                    defer { process.destroy() }
                    try await waitUntilHandled(process)
                    process.signal(number)
                    #expect(try await process.wait(seconds: 60) == .exit(code), "\(command): \(process.output)")
                    #expect(process.output.contains("interrupted"), "\(command): \(process.output)")
                    File.remove(cluster.directory + "/output")
                    #expect(try File.names(folder) == ["file"] && File.read(folder + "/file") == [9])
                }
                // A second one ends it whatever it does.
                let process = try ChildProcess(
                    Executable.path(),
                    ["put", "signals/key", folder + "/file", "--cluster", cluster.directory, "--timeout", "600"],
                    outputPath: cluster.directory + "/output", group: Watchdog.group.get())
                defer { process.destroy() }
                try await waitUntilHandled(process)
                process.signal(SIGINT)
                process.signal(SIGINT)
                #expect(try await process.wait(seconds: 60) == .exit(130), "\(process.output)")
                cluster.thaw(NodeID(0))
                cluster.thaw(NodeID(1))
                try await cluster.withClient { client in
                    // What was given up may yet take effect, but for the pipe, of which nothing was read.
                    let value = try? await client.get(key).value
                    #expect(value == nil || value == SharedBytes([1, 2, 3]) || value == SharedBytes([9]))
                }
            }
        }
    }
}
