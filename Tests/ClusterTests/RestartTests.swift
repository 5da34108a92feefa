// Restarting a cluster's servers one after the other, on real processes that `cluster up` has started.

import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import Testing

/// What a rolling restart has told as JSON.
private struct RestartReport {
    struct Event: Decodable, Equatable {
        let server: Int
        let step: String
        let process: Int?
    }
    private struct Summary: Decodable {
        struct Counts: Decodable {
            let restarted: [Int]
            let restartedBefore: [Int]
        }
        let summary: Counts
    }

    var events: [Event] = []
    var restarted: [Int] = []
    var restartedBefore: [Int] = []

    init(_ output: String) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        for line in output.split(separator: "\n") where line.hasPrefix("{") && !line.hasPrefix("{\"error\"") {
            let data = Data(line.utf8)
            if let summary = try? decoder.decode(Summary.self, from: data).summary {
                (restarted, restartedBefore) = (summary.restarted, summary.restartedBefore)
            } else {
                events.append(try decoder.decode(Event.self, from: data))
            }
        }
    }

    /// The servers of which this was told, in order.
    func servers(_ step: String) -> [Int] { events.filter { $0.step == step }.map(\.server) }
}

extension TestCluster {
    /// The processes of the servers that run, by their numbers.
    fileprivate var runningProcesses: [Int: Int] {
        get async throws {
            let status = try await run(["status", directory, "--json"])
            let object = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
            let servers = try #require(object?["servers"] as? [[String: Any]], "\(status)")
            return servers.reduce(into: [:]) { processes, server in
                if let number = server["number"] as? Int { processes[number] = server["process"] as? Int }
            }
        }
    }
}

extension Clusters {
    @Suite("A rolling restart", .serialized) struct RollingRestarts {
        /// Runs `body` with servers that `cluster up --detach` has started.
        private func withDetached(
            settings: String? = nil, _ body: (TestCluster) async throws -> Void
        ) async throws {
            try await withCluster(starts: false) { cluster in
                if let settings {
                    for server in cluster.servers { try cluster.set(server, settings) }
                } else {
                    try cluster.makeHasty()
                }
                let up = try await cluster.run(["cluster", "up", cluster.directory, "--detach"])
                #expect(up.end == .exit(0), "\(up)")
                do {
                    try await body(cluster)
                } catch {
                    Issue.record(error)
                }
                let down = try await cluster.run(["cluster", "down", cluster.directory])
                #expect(down.end == .exit(0), "\(down)")
            }
        }

        private func restart(
            _ cluster: TestCluster, _ arguments: String..., endingWith code: Int32 = 0,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws -> (report: RestartReport, output: String) {
            let result = try await cluster.run(
                ["cluster", "restart", cluster.directory, "--json"] + arguments, seconds: 200)
            #expect(result.end == .exit(code), "\(result)", sourceLocation: sourceLocation)
            return (try RestartReport(result.output), result.output)
        }

        @Test(
            "takes one server after the other, each when the one before has everything, and no client notices",
            .timeLimit(.minutes(5)))
        func unnoticed() async throws {
            try await withDetached { cluster in
                try await cluster.makeBucket("b")
                let before = try await cluster.runningProcesses
                #expect(before.count == 4)
                let isOver = Flag()
                let key = try ObjectKey("b/same")
                // A program that goes on, and commands that come and go.
                let program = Task {
                    try await cluster.withClient { client in
                        var count = 0
                        while !isOver.isRaised {
                            let value = SeededBytes.make("program \(count)", 3000 + count)
                            _ = try await client.put(ObjectKey("b/program/\(count)"), value)
                            _ = try await client.put(key, value)
                            #expect(try await client.get(key).value == value, "\(count)")
                            count += 1
                        }
                        return count
                    }
                }
                let commands = Task {
                    let (file, copy) = (cluster.directory + "/value", cluster.directory + "/copy")
                    var count = 0
                    while !isOver.isRaised {
                        let value = SeededBytes.make("command \(count)", 300_000 + count).array
                        try File.write(file, value)
                        for words in [["put", "b/command/\(count)", file], ["get", "b/command/\(count)", copy]] {
                            let result = try await cluster.run(words + ["--cluster", cluster.directory])
                            #expect(result.end == .exit(0), "\(result)")
                        }
                        #expect(try File.read(copy) == value)
                        count += 1
                    }
                    return count
                }
                defer { isOver.raise() }
                let (report, output) = try await restart(cluster)
                isOver.raise()
                let (programCount, commandCount) = (try await program.value, try await commands.value)
                #expect(programCount > 3 && commandCount > 3)

                #expect(report.restarted == [0, 1, 2, 3] && report.restartedBefore.isEmpty, "\(output)")
                for step in ["stopped", "started", "whole"] {
                    #expect(report.servers(step) == [0, 1, 2, 3], "\(output)")
                }
                let told = report.events.filter { ["stopped", "started", "whole"].contains($0.step) }.map(\.server)
                #expect(told == told.sorted(), "a server was stopped before another had everything: \(output)")
                let after = try await cluster.runningProcesses
                #expect(after.count == 4 && before.allSatisfy { after[$0.key] != $0.value }, "\(before) \(after)")
                #expect(try !File.names(cluster.directory + "/run").contains { $0.hasPrefix("restarted") })
                let names = (0..<programCount).map { "b/program/\($0)" } + (0..<commandCount).map { "b/command/\($0)" }
                try await cluster.waitUntilWhole(names.suffix(8) + names.prefix(8))
            }
        }

        @Test(
            "starts a server that was down first, and ends when that has what it has missed", .timeLimit(.minutes(3)))
        func whole() async throws {
            // With the usual interval: nothing but hearing of it after its start brings it what it has missed.
            try await withDetached(settings: "repair_delay_seconds = 1") { cluster in
                try await cluster.makeBucket("b")
                let down = try await cluster.run(["cluster", "down", cluster.directory, "--server", "2"])
                #expect(down.end == .exit(0), "\(down)")
                let names = (0..<8).map { "b/missed-\($0)" }
                try await cluster.withClient { client in
                    for (number, name) in names.enumerated() {
                        _ = try await client.put(
                            ObjectKey(name), SeededBytes.make(name, 2000 + 200_000 * number))
                    }
                }
                let (report, output) = try await restart(cluster, "--server", "2")
                #expect(report.servers("stopped").isEmpty && report.servers("whole") == [2], "\(output)")
                #expect(report.servers("lacks").contains(2), "\(output)")
                for name in names {
                    let verified = try await cluster.run(["verify", name, "--cluster", cluster.directory])
                    #expect(verified.end == .exit(0), "\(verified)")
                }
            }
        }

        @Test("stops no server beside one that does not work, and says why", .timeLimit(.minutes(3)))
        func refused() async throws {
            try await withDetached { cluster in
                let processes = try await cluster.runningProcesses
                let down = try await cluster.run(["cluster", "down", cluster.directory, "--server", "1"])
                #expect(down.end == .exit(0), "\(down)")
                for numbers in [["--server", "0"], ["--server", "0", "--server", "3"]] {
                    let result = try await cluster.run(["cluster", "restart", cluster.directory] + numbers)
                    #expect(result.end == .exit(4), "\(result)")
                    #expect(
                        result.output.contains("server 0 is not restarted: of group 0 server 1 cannot be reached"),
                        "\(result)")
                }
                var left = try await cluster.runningProcesses
                #expect(left == processes.filter { $0.key != 1 })

                // One that does not start ends it before the next one is touched.
                let file = cluster.home(NodeID(1)) + "/server.toml"
                let text = try File.read(file)
                try File.write(file, Array("nonsense = 1\n".utf8) + text)
                let broken = try await restart(cluster, endingWith: 6)
                #expect(broken.output.contains("nonsense") && broken.report.events.isEmpty, "\(broken.output)")
                left = try await cluster.runningProcesses
                #expect(left == processes.filter { $0.key != 1 })
                try File.write(file, text)
                let (report, output) = try await restart(cluster)
                #expect(report.servers("started") == [1, 0, 2, 3], "\(output)")
                #expect(report.servers("stopped") == [0, 2, 3], "\(output)")
            }
        }

        @Test("leaves servers alone that it could not start as they were started", .timeLimit(.minutes(2)))
        func foreign() async throws {
            try await withCluster { cluster in
                let foreign = try await cluster.run(["cluster", "restart", cluster.directory])
                #expect(foreign.end == .exit(7) && foreign.output.contains("systemctl restart"), "\(foreign)")
                let away = cluster.directory + "/away"
                try FileManager.default.moveItem(atPath: cluster.home(NodeID(3)), toPath: away)
                let elsewhere = try await cluster.run(["cluster", "restart", cluster.directory, "--server", "3"])
                #expect(elsewhere.end == .exit(6) && elsewhere.output.contains("runs elsewhere"), "\(elsewhere)")
                try FileManager.default.moveItem(atPath: away, toPath: cluster.home(NodeID(3)))
                #expect(cluster.servers.allSatisfy(cluster.isAlive))

                cluster.killAll()
                let up = try ChildProcess(
                    Executable.path(), ["cluster", "up", cluster.directory],
                    outputPath: cluster.directory + "/up", group: Watchdog.group.get())
                defer { up.destroy() }
                while !up.output.contains("ready") {
                    try #require(up.currentEnd == nil, "\(up.output)")
                    try await Task.sleep(for: .milliseconds(20))
                }
                let held = try await cluster.run(["cluster", "restart", cluster.directory])
                #expect(held.end == .exit(7) && held.output.contains("--detach"), "\(held)")
                up.signal(SIGTERM)
                #expect(try await up.wait(seconds: 60) == .exit(0), "\(up.output)")
            }
        }

        @Test("that is interrupted leaves no server down, and is gone on with", .acceptance, .timeLimit(.minutes(4)))
        func interrupted() async throws {
            try await withDetached { cluster in
                let before = try await cluster.runningProcesses
                let process = try ChildProcess(
                    Executable.path(), ["cluster", "restart", cluster.directory, "--json"],
                    outputPath: cluster.directory + "/restart", group: Watchdog.group.get())
                defer { process.destroy() }
                while try RestartReport(process.output).servers("stopped").isEmpty {
                    try #require(process.currentEnd == nil, "\(process.output)")
                    try await Task.sleep(for: .milliseconds(20))
                }
                let other = try await cluster.run(["cluster", "down", cluster.directory])
                #expect(other.end == .exit(7) && other.output.contains("another command"), "\(other)")
                process.signal(SIGINT)
                #expect(try await process.wait(seconds: 60) == .exit(130), "\(process.output)")
                let done = try RestartReport(process.output).servers("started")
                #expect(!done.isEmpty && done.count < 4, "\(process.output)")
                let between = try await cluster.runningProcesses
                #expect(between.count == 4, "\(process.output)")

                let (report, output) = try await restart(cluster)
                #expect(report.restartedBefore == done && report.servers("restarted_before") == done, "\(output)")
                #expect(report.restarted == [0, 1, 2, 3].filter { !done.contains($0) }, "\(output)")
                let after = try await cluster.runningProcesses
                for server in 0..<4 {
                    #expect(after[server] != before[server], "\(server)")
                    #expect((after[server] == between[server]) == done.contains(server), "\(server)")
                }
                // What was gone on with is over: the next one begins with the first server again.
                let (again, text) = try await restart(cluster, "--server", "0")
                #expect(again.restarted == [0] && again.restartedBefore.isEmpty, "\(text)")
            }
        }
    }
}
