// A day of an operator: wrong bytes, missing systems, one bad server among good ones, exchanged stores.

import CommandArguments
import Foundation
import Glibc
import LoopbackPorts
import QuorumProtocol
import Testing

/// Runs a shell's command line, in which "$solidus" is the program.
func shell(_ script: String, _ arguments: [String] = [], in directory: String) async throws -> CommandResult {
    let outputPath = "\(directory)/shell-\(UUID().uuidString)"
    let process = try ChildProcess(
        "/bin/sh", ["-c", "solidus=\"$1\"; shift; \(script)", "sh", Executable.path()] + arguments,
        outputPath: outputPath, group: Watchdog.group.get())
    defer { process.destroy() }
    let end = try await process.wait(seconds: 60)
    return CommandResult(end: end, output: process.output)
}

/// Whether this machine lets the tests take /proc away.
private let canHideProcesses: Bool = {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/proc"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
}()

extension Clusters {
    @Suite("What the command line is given", .serialized) struct GivenBytes {
        @Test("every argument comes through the parser's text as the bytes that it was")
        func roundTrip() {
            var generator = SeededGenerator("arguments")
            let samples: [[UInt8]] =
                [
                    [], Array("plain".utf8), [0xE9], [0xC3], Array("é".utf8), [0xF4, 0x8F, 0xBF, 0xBF],
                    Array("a".utf8) + [0xF4, 0x8F, 0xBE, 0x80, 0xFF], [0xED, 0xA0, 0x80], [0xF4, 0x8F],
                ] + (0..<500).map { _ in (0..<6).map { _ in UInt8.random(in: 0x70...0xFF, using: &generator) } }
            for bytes in samples {
                let text = ArgumentBytes.text(for: bytes)
                #expect(ArgumentBytes.bytes(of: text) == bytes)
                #expect(ArgumentBytes.isText(text) || FileArgument(argument: text)?.bytes == bytes)
                #expect(ArgumentBytes.isText(ArgumentBytes.readable(text)))
            }
            #expect(ArgumentBytes.readable(ArgumentBytes.text(for: Array("caf".utf8) + [0xE9])) == "caf\\xE9")
        }

        @Test("a key that is no UTF-8 is refused, files of any name are read and written", .timeLimit(.minutes(1)))
        func bytes() async throws {
            try await withCluster { cluster in
                try await cluster.makeBucket("b")
                for byte in ["351", "350"] {
                    let put = try await shell(
                        "\"$solidus\" put \"$(printf 'b/caf\\\(byte)')\" - --cluster \"$1\"", [cluster.directory],
                        in: cluster.directory)
                    #expect(put.end == .exit(64) && put.output.contains("not UTF-8"), "\(put)")
                }
                let option = try await shell(
                    "\"$solidus\" put b/k - --cluster \"$1\" --content-type \"$(printf 'caf\\351')\"",
                    [cluster.directory], in: cluster.directory)
                #expect(option.end == .exit(64) && option.output.contains("caf\\xE9"), "\(option)")
                let files = try await shell(
                    """
                    cd "$1" && file="$(printf 'in\\377')" && echo content > "$file" \
                    && "$solidus" put b/k "$file" --cluster . && "$solidus" get b/k "$(printf 'out\\376')" --cluster . \
                    && cmp "$file" "$(printf 'out\\376')"
                    """, [cluster.directory], in: cluster.directory)
                #expect(files.end == .exit(0), "\(files)")
            }
        }

        @Test("control characters of keys are masked", .timeLimit(.minutes(1)))
        func masked() async throws {
            try await withCluster { cluster in
                try await cluster.makeBucket("b")
                let key = "b/a\u{1B}[31m\nread b/x"
                try File.write(cluster.directory + "/value", [1])
                func expectMasked(_ arguments: [String], endingWith code: Int32 = 0) async throws {
                    let result = try await cluster.run(arguments)
                    #expect(result.end == .exit(code), "\(result)")
                    #expect(!result.output.contains("\u{1B}") && !result.output.contains("\nread b/x"), "\(result)")
                    #expect(code == 0 || result.output.contains("\u{FFFD}"), "\(result)")
                }
                let place = ["--cluster", cluster.directory]
                for arguments in [
                    ["put", key, cluster.directory + "/value"], ["get", key, "-"], ["stat", key], ["ls", "b"],
                    ["ls", "b/a\u{1B}", "-r"], ["rm", key],
                ] { try await expectMasked(arguments + place) }
                for arguments in [["stat", key], ["rm", key], ["get", key, "-"]] {
                    try await expectMasked(arguments + place, endingWith: 3)
                }
                let odd = "a\u{1B}[31m\nread b/x"
                for arguments in [
                    ["stat", "\(odd)/key"], ["stat", key, odd], ["stat", key, "--\(odd)"], ["ls", odd],
                ] {
                    try await expectMasked(arguments + place, endingWith: 64)
                }
                try await expectMasked(["stat", "b/k", "--client", "a\u{1B}[31m"] + place, endingWith: 6)
                try await expectMasked(["client", "add", cluster.directory, "a\u{1B}[31m"], endingWith: 64)
                try await expectMasked(["put", "b/k", "/a\u{1B}[31m"] + place, endingWith: 7)
            }
        }

        @Test(
            "a command that is missing is no success", .timeLimit(.minutes(1)),
            arguments: [[], ["cluster"], ["client"]])
        func noCommand(_ arguments: [String]) async throws {
            try await withTemporaryDirectory { directory in
                let result = try await Executable.run(arguments, in: directory)
                #expect(result.end == .exit(64) && result.output.contains("a command is missing"), "\(result)")
                #expect(try await Executable.run(arguments + ["--help"], in: directory).end == .exit(0))
            }
        }

        @Test(
            "without /proc commands do what they are asked for, or fail", .timeLimit(.minutes(1)),
            .enabled(if: canHideProcesses))
        func withoutProcesses() async throws {
            try await withCluster { cluster in
                func run(_ words: String) async throws -> CommandResult {
                    try await shell(
                        "exec unshare -m sh -c 'mount -t tmpfs none /proc && exec \"$0\" \(words)' \"$solidus\" \"$1\"",
                        [cluster.directory], in: cluster.directory)
                }
                try await cluster.makeBucket("b")
                try File.write(cluster.directory + "/value", [1])
                // The library under Swift's tasks ends a process that is busy for a second when it finds no /proc. That
                // is a failure; what must not be is a success of nothing.
                let put = try await run("put b/k \"$1/value\" --cluster \"$1\"")
                #expect(put.end != .exit(0) || put.output.contains("stored b/k"), "\(put)")
                #expect(put.end != .exit(64) && !put.output.contains("USAGE"), "\(put)")
                #expect(try await run("stat b/none --cluster \"$1\"").end != .exit(0))
                let down = try await run("cluster down \"$1\"")
                #expect(down.end == .exit(7) && down.output.contains("/proc"), "\(down)")
            }
        }

        @Test("the release is told, and the cluster may stand in the environment", .timeLimit(.minutes(1)))
        func manners() async throws {
            try await withCluster(starts: false) { cluster in
                let version = try await cluster.run(["--version"])
                #expect(version.end == .exit(0) && version.output.contains(Release.version), "\(version)")
                let script = "export SOLIDUS_CLUSTER=\"$1\"; \"$solidus\""
                let list = try await shell("\(script) client list", [cluster.directory], in: cluster.directory)
                #expect(list.end == .exit(0) && list.output.contains("first"), "\(list)")
                let add = try await shell("\(script) client add second", [cluster.directory], in: cluster.directory)
                #expect(add.end == .exit(0) && add.output.contains("second"), "\(add)")
                for command in [
                    "cluster status", "status", "cluster sign", "cluster reload", "cluster down",
                    "client quota first --bytes none",
                ] {
                    let result = try await shell("\(script) \(command)", [cluster.directory], in: cluster.directory)
                    // No server runs; what each command is about was found.
                    #expect([.exit(0), .exit(4)].contains(result.end), "\(command): \(result)")
                }
                let none = try await shell("unset SOLIDUS_CLUSTER; \"$solidus\" cluster down", in: cluster.directory)
                #expect(none.end == .exit(64) && none.output.contains("SOLIDUS_CLUSTER"), "\(none)")
            }
        }
    }

    @Suite("Every command", .serialized) struct EveryCommand {
        @Test("prints one JSON object when it is asked to, also when it fails", .timeLimit(.minutes(2)))
        func json() async throws {
            try await withCluster(starts: false) { cluster in
                let place = cluster.directory
                try File.write(place + "/value", [1, 2, 3])
                func expectObject(_ words: String, endingWith code: Int32 = 0, with key: String) async throws {
                    let arguments = words.split(separator: " ").map { $0 == "DIR" ? place : String($0) }
                    let result = try await cluster.run(arguments + ["--json"])
                    #expect(result.end == .exit(code), "\(words): \(result)")
                    // Warnings go to standard error, which here is the same file.
                    let lines = result.output.split(separator: "\n").filter { $0.hasPrefix("{") }
                    #expect(lines.count == 1, "\(words): \(result)")
                    let object = try JSONSerialization.jsonObject(with: Data((lines.first ?? "{}").utf8))
                    #expect((object as? [String: Any])?[key] != nil, "\(words): \(result)")
                }
                try await expectObject("cluster init DIR", endingWith: 6, with: "error")
                try await expectObject("cluster init \(place)/made --base-port 9", with: "directory")
                try await expectObject("cluster up DIR --detach", with: "servers")
                do {
                    try await expectObject("cluster up DIR --detach", endingWith: 7, with: "error")
                    try await expectObject("cluster status DIR", with: "groups")
                    try await expectObject("status DIR", with: "groups")
                    try await expectObject("cluster sign DIR", with: "signed")
                    try await expectObject("cluster reload DIR", with: "confirmed")
                    try await expectObject("cluster backup DIR --to \(place)-backup", with: "left_out")
                    try await expectObject("cluster backup DIR --to DIR", endingWith: 7, with: "error")
                    try await expectObject("cluster restore \(place)-2 --from \(place)-backup", with: "restored")
                    try await expectObject("client add DIR second", with: "home")
                    try await expectObject("client quota DIR second --bytes 1GiB", with: "lists")
                    try await expectObject("client list DIR", with: "clients")
                    try await expectObject("client pending DIR second", with: "objects")
                    try await expectObject("client purge DIR second", with: "purged")
                    try await expectObject("client revoke DIR second", with: "lists")
                    try await expectObject("client revoke DIR second", endingWith: 6, with: "error")
                    try await expectObject("mb b --cluster DIR", with: "created")
                    try await expectObject("mb b --cluster DIR", endingWith: 5, with: "error")
                    try await expectObject("ls --cluster DIR", with: "owner")
                    try await expectObject("put b/k \(place)/value --cluster DIR", with: "durable_at")
                    try await expectObject("get b/k \(place)/read --cluster DIR", with: "length_bytes")
                    try await expectObject("stat b/k --cluster DIR", with: "etag")
                    try await expectObject("ls b --cluster DIR", with: "object")
                    try await expectObject("rm b/k --cluster DIR", with: "durable_at")
                    try await expectObject("rm b/k --cluster DIR", endingWith: 3, with: "error")
                    try await expectObject("rb b --cluster DIR", with: "bucket")
                    try await expectObject("put -r b DIR --cluster DIR", endingWith: 3, with: "error")
                    try await expectObject("get -r b DIR --cluster \(place)/none", endingWith: 6, with: "error")
                    try await expectObject(
                        "put -r b DIR --only \(place)/none --cluster DIR", endingWith: 7, with: "error")
                    try await expectObject("put -r b DIR --stall 0 --cluster DIR", endingWith: 64, with: "error")
                    try await expectObject("serve --home \(place)/servers/0", endingWith: 7, with: "error")
                    try await expectObject("cluster frobnicate", endingWith: 64, with: "error")
                } catch {
                    Issue.record(error)
                }
                try await expectObject("cluster down DIR", with: "stopped")
                try await expectObject("status DIR", endingWith: 4, with: "groups")
            }
        }
    }

    @Suite("One bad server among good ones", .serialized) struct OneBadServer {
        @Test("'cluster up' starts the others, names what is wrong, and says that not all run", .timeLimit(.minutes(3)))
        func up() async throws {
            try await withCluster(starts: false) { cluster in
                let keyFile = cluster.home(NodeID(1)) + "/key.pem"
                let key = try File.read(keyFile)
                try File.write(keyFile, key.prefix(20))
                let socket = try #require(Loopback.listen(port: cluster.port(NodeID(2))))
                let up = try await cluster.run(["cluster", "up", cluster.directory, "--detach"])
                close(socket)
                #expect(up.end == .exit(11), "\(up)")
                #expect(up.output.contains("server 1 did not start") && up.output.contains("key.pem"), "\(up)")
                #expect(up.output.contains("server 2 did not start") && up.output.contains("uses this port"), "\(up)")
                #expect(up.output.contains("ready: 2 of 4 servers"), "\(up)")
                #expect([0, 3].allSatisfy { Loopback.accepts(port: cluster.port(NodeID($0))) })

                try File.write(keyFile, key)
                let rest = try await cluster.run(["cluster", "up", cluster.directory, "--detach", "--json"])
                #expect(rest.end == .exit(11), "\(rest)")
                #expect(rest.output.contains("server 0 was up already"), "\(rest)")
                #expect([0, 1, 2, 3].allSatisfy { Loopback.accepts(port: cluster.port(NodeID($0))) })
                let again = try await cluster.run(["cluster", "up", cluster.directory, "--detach"])
                #expect(again.end == .exit(7) && again.output.contains("every server was up already"), "\(again)")

                // A server that runs is known, whatever became of its pid file.
                let process = try String(File.text(cluster.directory + "/run/server-3.pid").split(separator: " ")[0])
                File.remove(cluster.directory + "/run/server-3.pid")
                for command in [["cluster", "status"], ["status"]] {
                    let status = try await cluster.run(command + [cluster.directory])
                    #expect(status.end == .exit(0) && status.output.contains("process \(process)"), "\(status)")
                }
                let reload = try await cluster.run(["cluster", "reload", cluster.directory])
                #expect(reload.end == .exit(0) && reload.output.contains("all 4 servers"), "\(reload)")
                let third = try await cluster.run(["cluster", "up", cluster.directory, "--detach", "--server", "3"])
                #expect(third.output.contains("server 3 was up already (process \(process))"), "\(third)")
                let down = try await cluster.run(["cluster", "down", cluster.directory])
                #expect(down.end == .exit(0) && down.output.contains("stopped 4 servers"), "\(down)")
                let out = try await cluster.run(["cluster", "status", cluster.directory])
                #expect(out.end == .exit(4) && out.output.contains("out of reach"), "\(out)")
            }
        }

        @Test("a store of another server, or of another cluster, is refused and left alone", .timeLimit(.minutes(1)))
        func otherStores() async throws {
            try await withCluster(starts: false) { cluster in
                try await withCluster(starts: false) { other in
                    let (first, second) = (cluster.home(NodeID(0)) + "/store", cluster.home(NodeID(1)) + "/store")
                    let files = FileManager.default
                    try files.moveItem(atPath: first, toPath: first + ".kept")
                    try files.moveItem(atPath: second, toPath: first)
                    let exchanged = try await cluster.run(["serve", "--home", cluster.home(NodeID(0))])
                    #expect(exchanged.end == .exit(6), "\(exchanged)")
                    let own = cluster.configuration.parameters.configuration.cluster
                    let advice = "put this server's own store back"
                    #expect(
                        exchanged.output.contains(
                            "the store of server 1 of cluster \(own), not of server 0 of cluster \(own)"),
                        "\(exchanged)")
                    #expect(exchanged.output.contains(advice), "\(exchanged)")
                    try files.moveItem(atPath: first, toPath: second)
                    try files.copyItem(atPath: other.home(NodeID(0)) + "/store", toPath: first)
                    let foreign = try await cluster.run(["serve", "--home", cluster.home(NodeID(0))])
                    #expect(foreign.end == .exit(6), "\(foreign)")
                    let id = other.configuration.parameters.configuration.cluster
                    #expect(
                        foreign.output.contains(
                            "the store of server 0 of cluster \(id), not of server 0 of cluster \(own)"),
                        "\(foreign)")
                    #expect(foreign.output.contains(advice), "\(foreign)")
                    File.remove(first)
                    try files.moveItem(atPath: first + ".kept", toPath: first)
                    try await cluster.startAll()
                }
            }
        }

        @Test("a private key that others may read is refused, with what to do", .timeLimit(.minutes(1)))
        func openKeys() async throws {
            try await withCluster(starts: false) { cluster in
                let home = cluster.home(NodeID(0))
                for name in ["key.pem", "statement-key.pem"] {
                    chmod("\(home)/\(name)", 0o644)
                    let result = try await cluster.run(["serve", "--home", home])
                    #expect(result.end == .exit(6), "\(result)")
                    #expect(result.output.contains("chmod 600 \(home)/\(name)"), "\(result)")
                    chmod("\(home)/\(name)", 0o600)
                }
                let operatorKey = cluster.directory + "/operator/key.pem"
                chmod(operatorKey, 0o640)
                let add = try await cluster.run(["client", "add", cluster.directory, "second"])
                #expect(add.end == .exit(6) && add.output.contains("chmod 600 \(operatorKey)"), "\(add)")
            }
        }

        @Test("SIGHUP does not stop a server, and a server that is down is warned of", .timeLimit(.minutes(1)))
        func hangUpAndWarning() async throws {
            try await withCluster { cluster in
                try await cluster.makeBucket("b")
                for server in cluster.servers { cluster.process(server)?.signal(SIGHUP) }
                cluster.kill(NodeID(3))
                try File.write(cluster.directory + "/value", [1])
                for arguments in [["put", "b/k", cluster.directory + "/value"], ["get", "b/k", "-"]] {
                    let result = try await cluster.run(arguments + ["--cluster", cluster.directory])
                    #expect(result.end == .exit(0), "\(result)")
                    #expect(result.output.contains("warning: server 3 did not take part"), "\(result)")
                    let isTold = arguments[0] == "get" || result.output.contains("durable at 3 of 4 servers (0, 1, 2)")
                    #expect(isTold, "\(result)")
                }
                #expect((0..<3).allSatisfy { cluster.isAlive(NodeID($0)) })
            }
        }

        @Test("another service on a server's port is called that", .timeLimit(.minutes(1)))
        func otherService() async throws {
            try await withCluster(starts: false) { cluster in
                let socket = try #require(Loopback.listen(port: cluster.port(NodeID(0))))
                let service = Thread {
                    let answer = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
                    while true {
                        let peer = accept(socket, nil, nil)
                        guard peer >= 0 else { return }
                        _ = answer.withUnsafeBytes { write(peer, $0.baseAddress, $0.count) }
                        close(peer)
                    }
                }
                service.start()
                defer {
                    shutdown(socket, Int32(SHUT_RDWR))
                    close(socket)
                }
                let status = try await cluster.run(["cluster", "status", cluster.directory])
                #expect(status.end == .exit(4), "\(status)")
                #expect(status.output.contains("another service"), "\(status)")
                #expect(!status.output.contains("SSL"), "\(status)")
            }
        }

        @Test("an object with too few good fragments says which servers lost theirs", .timeLimit(.minutes(2)))
        func rottenFragments() async throws {
            try await withCluster { cluster in
                var generator = SeededGenerator("rotten")
                // The stores hold nothing else that could be damaged.
                let value = generator.bytes(1 << 20)
                try await cluster.withClient { client in _ = try await client.put(try ObjectKey("b/k"), value) }
                for server in cluster.servers.dropFirst() {
                    _ = try await cluster.terminate(server)
                    let damage = try StoreDamage(.payload, store: cluster.home(server) + "/store", &generator)
                    #expect(!damage.isEmpty)
                    try damage.flip()
                    try await cluster.start(server)
                }
                let get = try await cluster.run(
                    ["get", "b/k", "-", "--cluster", cluster.directory, "--timeout", "3600"])
                #expect(get.end == .exit(4), "\(get)")
                for server in 1..<4 {
                    #expect(get.output.contains("  server \(server): server \(server) at"), "\(get)")
                }
                #expect(get.output.components(separatedBy: "answered without a fragment").count == 4, "\(get)")
                #expect(!get.output.contains("did not answer"), "\(get)")
            }
        }

        /// What a server says that it has refused; nil when it was not reached.
        private static func refusedConnections(of server: Int, in status: String) throws -> [String: Int]? {
            let parsed = try JSONSerialization.jsonObject(with: Data(status.utf8)) as? [String: Any]
            let servers = try #require(parsed?["servers"] as? [[String: Any]])
            return (servers[server]["status"] as? [String: Any])?["refused_connections"] as? [String: Int]
        }

        @Test(
            "a server without descriptors for its connections pauses, says so, and works on when they are gone",
            .timeLimit(.minutes(2)))
        func fewDescriptors() async throws {
            try await withCluster(starts: false) { cluster in
                // Other servers' connections would take the few descriptors that there are.
                for server in cluster.servers { try cluster.set(server, "anti_entropy_seconds = 0") }
                for server in cluster.servers.dropFirst(2) { try await cluster.start(server) }
                // The soft limit is raised to the hard one.
                for (server, limit) in [(NodeID(0), "-Sn 64"), (NodeID(1), "-n 256")] {
                    try cluster.launch(server, limit: limit)
                    try await cluster.waitUntilListening(server)
                }
                let limits = try File.text("/proc/\(cluster.process(NodeID(0))?.id ?? 0)/limits")
                let row = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
                let numbers = row.split(separator: " ").compactMap { Int($0) }
                #expect(numbers.count == 2 && numbers[0] == numbers[1] && numbers[0] > 64, "\(row)")

                // Less than its table of connections was made for.
                let process = try #require(cluster.process(NodeID(1))?.id)
                let few = try File.names("/proc/\(process)/fd").count + 2
                let limited = try await shell(
                    "prlimit --pid \(process) --nofile=\(few):\(few)", in: cluster.directory)
                #expect(limited.end == .exit(0), "\(limited)")
                let sockets = (0..<80).compactMap { _ in Loopback.connect(port: cluster.port(NodeID(1))) }
                try await cluster.withClient { try await cluster.checkOperations($0, "few", sizesBytes: [5]) }
                sockets.forEach { close($0) }
                // A server that tried again and again would have failed thousands of times by now.
                var refused: [String: Int]?
                for _ in 0..<100 where refused == nil {
                    let status = try await cluster.run(["cluster", "status", cluster.directory, "--json"])
                    refused = try Self.refusedConnections(of: 1, in: status.output)
                }
                let counts = try #require(refused, "the server cannot be reached any more")
                #expect((1..<100).contains(counts["no descriptors"] ?? 0), "\(counts)")
                #expect(cluster.log(NodeID(1)).contains("no connection can be accepted"))
            }
        }
    }
}
