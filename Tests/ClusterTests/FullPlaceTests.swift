// Disks that are full under everything but the store: where a file is to go, a cluster's directory, a server's home, its
// log. A command ends with a code and says which place is full; a server runs and says what it cannot do.

import ClusterFiles
import Crypto
import Foundation
import Glibc
import QuorumProtocol
import SmallDisks
import Testing

extension BesiegedClusters {
    @Suite(
        "A place that is full", .serialized,
        .enabled(if: SmallDisk.isAvailable, "needs to mount file systems of its own: run as root"))
    struct FullPlaces {
        private static let diskSizeBytes = 4 << 20

        /// Nothing of what ends a process that did not reckon with a full disk.
        private func expectPlainWords(_ result: CommandResult, code: Int32, naming path: String) {
            #expect(result.end == .exit(code), "\(result)")
            #expect(result.output.contains("the disk is full"), "\(result)")
            #expect(result.output.contains(path), "\(result)")
            for word in ["Fatal", "Crash", "Stack", "signal"] { #expect(!result.output.contains(word), "\(result)") }
        }

        @Test(
            "a get onto it, with and without --json, names the file and leaves the old one alone",
            .timeLimit(.minutes(1)))
        func get() async throws {
            try await withCluster { cluster in
                let disk = try SmallDisk(sizeBytes: Self.diskSizeBytes)
                let (old, new) = (disk.path + "/old", disk.path + "/new")
                try File.write(old, Array("old".utf8))
                try await cluster.withClient { client in
                    _ = try await client.put(try ObjectKey("tests/large"), SeededBytes.make("large", 1 << 20))
                }
                disk.fill(leavingBytes: 64 << 10)
                for target in [old, new] {
                    for json in [[], ["--json"]] {
                        let result = try await cluster.run(
                            ["get", "tests/large", target, "--cluster", cluster.directory] + json)
                        expectPlainWords(result, code: 7, naming: target)
                        #expect(json.isEmpty || result.output.contains("\"code\":\"input_output\""), "\(result)")
                    }
                }
                #expect(try File.names(disk.path) == ["filler", "old"])
                #expect(try File.text(old) == "old")
            }
        }

        @Test("what a command prints onto it is missed, and that is said on standard error", .timeLimit(.minutes(1)))
        func printing() async throws {
            try await withCluster { cluster in
                let disk = try SmallDisk(sizeBytes: Self.diskSizeBytes)
                try await cluster.withClient { client in
                    _ = try await client.put(try ObjectKey("tests/one"), SeededBytes.make("one", 1 << 20))
                }
                disk.fill(leavingBytes: 0)
                for command in [
                    "get tests/one -", "stat tests/one", "stat tests/one --json", "stat tests/none --json", "ls tests",
                ] {
                    let result = try await shell(
                        "\"$solidus\" \(command) --cluster \"$1\" > \"$2/out\"", [cluster.directory, disk.path],
                        in: cluster.directory)
                    if command.contains("none") {
                        // What went wrong first decides the code.
                        #expect(
                            result.end == .exit(3) && result.output.contains("tests/none does not exist"), "\(result)")
                    } else {
                        expectPlainWords(result, code: 7, naming: "standard output")
                    }
                }
            }
        }

        @Test(
            "a cluster is not made in it, a client not added: nothing is left, and with room both are done",
            .timeLimit(.minutes(2)))
        func making() async throws {
            try await withTemporaryDirectory { directory in
                let disk = try SmallDisk(sizeBytes: 48 << 20)
                let made = disk.path + "/cluster"
                func run(_ arguments: String...) async throws -> CommandResult {
                    try await Executable.run(arguments, in: directory)
                }
                // No room for anything, for some of the files, and for one of the stores.
                for left in [0, 64 << 10, 24 << 20] {
                    disk.fill(leavingBytes: left)
                    expectPlainWords(try await run("cluster", "init", made), code: 7, naming: disk.path)
                    #expect(try File.names(disk.path) == ["filler"])
                    disk.release()
                }
            }
            try await withCluster(starts: false) { cluster in
                let before = try File.text(cluster.directory + "/access.toml")
                for server in cluster.servers { File.remove(cluster.home(server) + "/store") }
                let disk = try SmallDisk(over: cluster.directory, sizeBytes: Self.diskSizeBytes)
                func run(_ arguments: String...) async throws -> CommandResult {
                    try await withTemporaryDirectory { try await Executable.run(arguments, in: $0) }
                }
                for left in [0, 4 << 10, 12 << 10] {
                    disk.fill(leavingBytes: left)
                    let add = try await run("client", "add", cluster.directory, "second")
                    expectPlainWords(add, code: 7, naming: cluster.directory)
                    #expect(try File.text(cluster.directory + "/access.toml") == before)
                    // What the next attempt begins with may be there; it has no client's name.
                    #expect(try File.names(cluster.directory + "/clients").filter { !$0.hasPrefix(".") } == ["first"])
                    disk.release()
                }
                #expect(try await run("client", "add", cluster.directory, "second").end == .exit(0))
                #expect(try ClientHome(clusterDirectory: cluster.directory, client: "second").name == "second")
            }
        }

        @Test(
            "servers whose homes are in it start, also for the first time, serve, refuse a newer list and stop",
            .timeLimit(.minutes(3)))
        func homes() async throws {
            try await withCluster(starts: false) { cluster in
                let files = FileManager.default
                try await withTemporaryDirectory { elsewhere in
                    // The stores have room: a full store is another test's.
                    for server in cluster.servers {
                        try files.moveItem(
                            atPath: cluster.home(server) + "/store", toPath: "\(elsewhere)/\(server.rawValue)")
                        try files.createSymbolicLink(
                            atPath: cluster.home(server) + "/store",
                            withDestinationPath: "\(elsewhere)/\(server.rawValue)")
                    }
                    let disk = try SmallDisk(over: cluster.directory, sizeBytes: Self.diskSizeBytes)
                    func run(_ arguments: String...) async throws -> CommandResult {
                        try await Executable.run(arguments, in: elsewhere)
                    }
                    func expectDone(_ result: CommandResult, _ text: String) {
                        #expect(result.end == .exit(0) && result.output.contains(text), "\(result)")
                    }
                    do {
                        disk.fill(leavingBytes: 0)
                        expectDone(try await run("cluster", "up", cluster.directory, "--detach"), "ready: 4 servers")
                        // There was no room for pid files; the servers are known all the same.
                        let again = try await run("cluster", "up", cluster.directory, "--detach")
                        #expect(
                            again.end == .exit(7) && again.output.contains("every server was up already"), "\(again)")
                        let stored = try await cluster.withClient {
                            try await cluster.checkOperations($0, "full-home", sizesBytes: [5, 64 << 10])
                        }
                        disk.release()
                        expectDone(
                            try await run("client", "quota", cluster.directory, "first", "--bytes", "1GiB"),
                            "in force at all 4 servers")
                        try await refuseNewerList(cluster, disk) {
                            try await run("cluster", "reload", cluster.directory, "--timeout", "1")
                        }
                        try await cluster.check(stored)

                        disk.fill(leavingBytes: 0)
                        expectDone(try await run("cluster", "down", cluster.directory), "stopped 4 servers")
                        disk.fill(leavingBytes: 0)
                        expectDone(try await run("cluster", "up", cluster.directory, "--detach"), "ready: 4 servers")
                        let status = try await run("status", cluster.directory, "--json")
                        #expect(status.output.components(separatedBy: "\"access\":2").count == 5, "\(status)")
                        try await cluster.check(stored)
                    } catch {
                        Issue.record(error)
                    }
                    expectDone(try await run("cluster", "down", cluster.directory), "stopped 4 servers")
                }
            }
        }

        /// With a list beside cluster.toml that is newer than those that servers have kept, has them look for it.
        private func refuseNewerList(
            _ cluster: TestCluster, _ disk: SmallDisk, reload: () async throws -> CommandResult
        ) async throws {
            let key = try P256.Signing.PrivateKey(pemRepresentation: File.text(cluster.directory + "/operator/key.pem"))
            let list = try SignedList(
                AccessList(cluster.configuration.clients),
                cluster: cluster.configuration.parameters.configuration.cluster, version: 3, signedBy: key)
            try File.write(cluster.directory + "/access.toml", Array(list.toml().utf8))
            // Where an old report lies there is room for a new one.
            for server in cluster.servers { File.remove(cluster.home(server) + "/lists.json") }
            disk.fill(leavingBytes: 0)
            let result = try await reload()
            #expect(result.end == .exit(4) && result.output.contains("full"), "\(result)")
            for server in cluster.servers {
                #expect(result.output.contains("warning: server \(server.rawValue) "), "\(result)")
            }
        }

        @Test("half a history is not left under the name of a whole one", .timeLimit(.minutes(1)))
        func history() async throws {
            try await withCluster { cluster in
                let disk = try SmallDisk(sizeBytes: Self.diskSizeBytes)
                disk.fill(leavingBytes: 0)
                let history = disk.path + "/history.jsonl"
                let result = try await cluster.run(
                    [
                        "torture", "--cluster", cluster.directory, "--seconds", "1", "--nemesis", "0", "--history",
                        history,
                    ])
                expectPlainWords(result, code: 7, naming: history + ".partial")
                #expect(try File.names(disk.path) == ["filler", "history.jsonl.partial"])
            }
        }

        @Test("a server that cannot start says why, though its log takes nothing", .timeLimit(.minutes(1)))
        func log() async throws {
            try await withCluster(starts: false) { cluster in
                let disk = try SmallDisk(sizeBytes: Self.diskSizeBytes)
                let home = cluster.home(NodeID(0))
                disk.fill(leavingBytes: 0)
                let log = disk.path + "/log"
                chmod(home + "/key.pem", 0o644)
                let serve = try await cluster.run(["serve", "--home", home, "--log", log])
                #expect(serve.end == .exit(6) && serve.output.contains("chmod 600 \(home)/key.pem"), "\(serve)")
                #expect(try File.read(log).isEmpty)
                try FileManager.default.createSymbolicLink(atPath: home + "/server.log", withDestinationPath: log)
                let up = try await cluster.run(["cluster", "up", cluster.directory, "--detach", "--server", "0"])
                #expect(up.end == .exit(6) && up.output.contains("chmod 600 \(home)/key.pem"), "\(up)")
                chmod(home + "/key.pem", 0o600)
                // It serves, and its last word is lost, not it.
                let process = try cluster.launch(NodeID(0), ["serve", "--home", home, "--log", log])
                try await cluster.waitUntilListening(NodeID(0))
                process.signal(SIGTERM)
                #expect(try await process.wait(seconds: TestCluster.patienceSeconds) == .exit(0))
                #expect(try File.read(log).isEmpty)
            }
        }
    }
}
