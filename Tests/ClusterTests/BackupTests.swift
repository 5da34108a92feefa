// A cluster whose directory is lost, and is operated from a backup of it, while its servers go on elsewhere.

import Foundation
import Glibc
import LoopbackPorts
import QuorumProtocol
import Testing

/// Servers that run from homes of their own, as on machines of their own.
private final class RemoteServers {
    let cluster: TestCluster
    private let directory: String
    private var processes: [NodeID: ChildProcess] = [:]

    /// Moves the homes of these servers out of the cluster's directory.
    init(_ servers: [NodeID], of cluster: TestCluster, into directory: String) throws {
        self.cluster = cluster
        self.directory = directory
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for server in servers {
            try FileManager.default.moveItem(atPath: cluster.home(server), toPath: home(server))
            for name in ["cluster.toml", "addresses.toml", "keys.toml", "access.toml"] {
                try FileManager.default.copyItem(
                    atPath: "\(cluster.directory)/\(name)", toPath: "\(home(server))/\(name)")
            }
        }
    }

    deinit { for process in processes.values { process.destroy() } }

    func home(_ server: NodeID) -> String { "\(directory)/\(server.rawValue)" }

    func start(_ server: NodeID) async throws {
        let process = try ChildProcess(
            Executable.path(), ["serve", "--home", home(server)], outputPath: home(server) + "/log",
            group: Watchdog.group.get())
        processes[server] = process
        while !Loopback.accepts(port: cluster.port(server)) {
            try #require(process.currentEnd == nil, "\(process.output)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    func kill(_ server: NodeID) { processes[server]?.destroy() }

    /// What `cluster reload` does on one machine.
    func handOut(_ names: [String], from source: String) throws {
        for (server, process) in processes where process.currentEnd == nil {
            for name in names {
                File.remove("\(home(server))/\(name)")
                try FileManager.default.copyItem(
                    atPath: "\(source)/\(name)", toPath: "\(home(server))/\(name)")
            }
            process.signal(SIGHUP)
        }
    }
}

extension Clusters {
    @Suite("A cluster's backup", .serialized) struct Backup {
        @Test(
            "runs the cluster when its directory is lost, with all that was changed since", .timeLimit(.minutes(4)))
        func restored() async throws {
            try await withTemporaryDirectory { directory in
                let cluster = try TestCluster(directory: directory + "/cluster", clientNames: ["away", "first"])
                try cluster.makeHasty()
                let (backup, restored) = (directory + "/backup", directory + "/restored")
                func run(_ arguments: String...) async throws -> CommandResult {
                    try await Executable.run(arguments, in: directory)
                }
                func attempt(_ arguments: String..., endingWith code: Int32 = 0) async throws -> String {
                    let result = try await Executable.run(arguments, in: directory)
                    #expect(result.end == .exit(code), "\(arguments): \(result)")
                    return result.output
                }
                // The first client that is listed lives elsewhere, and so do all servers but one.
                let lost = cluster.servers[3]
                let remote = try RemoteServers(
                    Array(cluster.servers.dropLast()), of: cluster, into: directory + "/remote")
                File.remove(cluster.directory + "/clients/away")
                for server in cluster.servers.dropLast() { try await remote.start(server) }
                try await cluster.start(lost)
                defer { cluster.killAll() }
                func store(_ name: String, as client: String = "first", in place: String) async throws {
                    try File.write(directory + "/value", SeededBytes.make(name, 3000).array)
                    _ = try await attempt(
                        "put", "b/\(name)", directory + "/value", "--cluster", place, "--client", client)
                }
                func expect(_ name: String, as client: String = "first", in place: String) async throws {
                    _ = try await attempt(
                        "get", "b/\(name)", directory + "/copy", "--cluster", place, "--client", client)
                    #expect(try File.read(directory + "/copy") == SeededBytes.make(name, 3000).array, "\(name)")
                }
                _ = try await attempt("mb", "b", "--cluster", cluster.directory, "--client", "first")
                try await store("before", in: cluster.directory)

                let made = try await attempt("cluster", "backup", cluster.directory, "--to", backup)
                #expect(made.contains("servers/*/statement-key.pem: no two servers"), "\(made)")
                #expect(made.contains("clients/away, servers/0, servers/1, servers/2"), "\(made)")
                #expect(made.contains("warning") && made.contains("secret"), "\(made)")
                let again = try await run("cluster", "backup", cluster.directory, "--to", backup)
                #expect(again.end == .exit(6) && again.output.contains("not empty"), "\(again)")

                // What is signed after the backup reaches the servers, and not the backup.
                _ = try await attempt("client", "add", cluster.directory, "later")
                try await store("later", as: "later", in: cluster.directory)
                cluster.kill(lost)
                File.remove(cluster.directory)

                let told = try await attempt("cluster", "restore", restored, "--from", backup)
                #expect(told.contains("access 2") && told.contains("by 3 of 4 servers"), "\(told)")
                #expect(try File.text(restored + "/access.toml").contains("later"))
                let status = try await attempt("cluster", "status", restored, "--client", "first", "--json")
                #expect(status.contains("\"reachable\":3"), "\(status)")
                try await expect("before", in: restored)
                _ = try await attempt("client", "add", restored, "guest", "--grant", "b:read,write")
                // The client itself takes the list that names it to the servers.
                try await store("guest", as: "first", in: restored)
                try await expect("guest", as: "guest", in: restored)
                try remote.handOut(["access.toml"], from: restored)

                // The server that was lost with the directory is no other server's second life: it begins anew.
                let home = restored + "/servers/\(lost.rawValue)"
                let refused = try await run("serve", "--home", home)
                #expect(refused.end == .exit(6), "\(refused)")
                let rebuilt = try await attempt("server", "rebuild", "--home", home)
                #expect(rebuilt.contains("version 2, names it"), "\(rebuilt)")
                _ = try await attempt("cluster", "up", restored, "--detach", "--server", "\(lost.rawValue)")
                do {
                    try remote.handOut(["keys.toml"], from: restored)
                    let reloaded = try await run("cluster", "reload", restored)
                    #expect(reloaded.output.contains("in force at 1 of 4"), "\(reloaded)")
                    let deadline = ContinuousClock.now + .seconds(90)
                    while access(home + "/rebuild.json", F_OK) == 0 {
                        try #require(ContinuousClock.now < deadline, "\((try? File.text(home + "/server.log")) ?? "")")
                        try await Task.sleep(for: .milliseconds(200))
                    }
                    remote.kill(cluster.servers[0])
                    for name in ["before", "later", "guest"] { try await expect(name, in: restored) }
                } catch {
                    Issue.record(error)
                }
                _ = try await attempt("cluster", "down", restored)
            }
        }

        @Test(
            "from which too few servers can be asked is restored, and says what is still to be done",
            .timeLimit(.minutes(2)))
        func unreachable() async throws {
            try await withCluster(starts: false) { cluster in
                let (backup, restored) = (cluster.directory + "-backup", cluster.directory + "-restored")
                let made = try await cluster.run(["cluster", "backup", cluster.directory, "--to", backup, "--json"])
                #expect(made.end == .exit(0), "\(made)")
                let line = made.output.split(separator: "\n").first { $0.hasPrefix("{") } ?? "{}"
                let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                #expect((object?["copied"] as? [String])?.contains("operator/key.pem") == true, "\(made)")
                #expect((object?["left_out"] as? [[String: String]])?.allSatisfy { $0["why"] != "" } == true, "\(made)")

                let early = try await cluster.run(["cluster", "restore", restored, "--from", backup])
                #expect(early.end == .exit(11) && early.output.contains("Change none before"), "\(early)")
                try await cluster.startAll()
                let complete = try await cluster.run(["cluster", "restore", restored, "--json"])
                #expect(complete.end == .exit(0) && complete.output.contains("\"answered\":[0,1,2,3]"), "\(complete)")

                File.remove(backup + "/clients/first/key.pem")
                let broken = try await cluster.run(["cluster", "restore", restored + "-2", "--from", backup])
                #expect(broken.end == .exit(6) && broken.output.contains("clients/first/key.pem"), "\(broken)")
                #expect(access(restored + "-2", F_OK) != 0)
            }
        }
    }
}
