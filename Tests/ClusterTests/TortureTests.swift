// Clients and a nemesis at a real cluster, judged by the history that they leave.

import ClusterFiles
import Foundation
import HistoryChecker
import LoopbackPorts
import ObjectStorage
import QuorumProtocol
import SmallDisks
import Testing

extension BesiegedClusters {
    @Suite("Torture", .serialized) struct TortureTests {
        @Test(
            "with one server at a time killed, stopped or damaged, the history is linearizable and operations go on",
            .timeLimit(.minutes(6)))
        func oneFault() async throws {
            try await withCluster(starts: false, clientNames: ["one", "two", "three"]) { cluster in
                let (outcome, history) = try await cluster.torture(
                    seconds: 12, ["--clients", "6", "--objects", "3", "--nemesis", "0.7"])
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.reads.completed > 0 && outcome.writes.completed > 0 && outcome.readBack == 18)
                #expect(outcome.completed == outcome.reads.completed + outcome.writes.completed)
                for completions in [outcome.reads, outcome.writes] {
                    #expect(completions.longestGapSeconds > 0 && completions.longestGapBeganSeconds >= 0)
                }
                #expect(outcome.attackCount > 0, "\(outcome.nemesis)")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
                for server in cluster.servers {
                    #expect(!Loopback.accepts(port: cluster.port(server)), "\(server) was left running")
                }
                // What was written for others to read is what was judged.
                let events = try HistoryEvent.parse(File.read(history))
                let verdict = try HistoryChecker().check(events: events)
                #expect(verdict.isLinearizable)
                #expect(verdict.statistics.operations == outcome.judgement.operations)
            }
        }

        @Test(
            "with two faults allowed, a liar and another faulty server at a time harm nobody", .timeLimit(.minutes(6)))
        func liarAndNemesis() async throws {
            try await withCluster(faults: 2, starts: false) { cluster in
                let (outcome, _) = try await cluster.torture(
                    seconds: 10,
                    ["--clients", "4", "--objects", "3", "--nemesis", "0.7", "--faulty", "mixture"])
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.completed > 0 && outcome.readBack == 12)
                #expect(outcome.attackCount > 0, "\(outcome.nemesis)")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
            }
        }

        @Test(
            "large values, ranges and listings, with one server at a time killed, stopped or damaged, are right",
            .timeLimit(.minutes(6)))
        func largeValues() async throws {
            try await withCluster(starts: false, clientNames: ["one", "two"]) {
                $0.stripeSizeBytesMax = 1 << 20
            } _: { cluster in
                let (outcome, history) = try await cluster.torture(
                    seconds: 10, ["--clients", "4", "--objects", "3", "--nemesis", "0.7", "--stripes", "3"])
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.completed > 0 && outcome.readBack == 12)
                #expect(outcome.ranges > 0 && outcome.listings > 0)
                #expect(outcome.attackCount > 0, "\(outcome.nemesis)")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
                let events = try HistoryEvent.parse(File.read(history))
                #expect(try HistoryChecker().check(events: events).statistics.listings >= 3 * outcome.listings)
            }
        }

        @Test(
            "partial writes, with one server at a time killed, stopped or damaged, go on and stay linearizable",
            .timeLimit(.minutes(6)),
            arguments: acceptance([VerificationMode.fingerprint, .lazy, .readTime], otherwise: [.fingerprint]))
        func partialWrites(mode: VerificationMode) async throws {
            try await withCluster(starts: false, change: { $0.mode = mode }) { cluster in
                let (outcome, _) = try await cluster.torture(
                    seconds: 6, ["--clients", "4", "--objects", "3", "--nemesis", "0.7", "--partial"])
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.completed > 0 && outcome.readBack == 12)
                #expect(outcome.attackCount > 0, "\(outcome.nemesis)")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
            }
        }

        @Test(
            "hostile clients of several kinds, with one server at a time harmed, keep nobody from what is right",
            .timeLimit(.minutes(8)), arguments: acceptance([VerificationMode.fingerprint, .lazy], otherwise: [.lazy]))
        func hostileClients(mode: VerificationMode) async throws {
            // Strangers who take every place for a handshake may well keep a client from its idle sessions.
            let crowd = mode == .fingerprint ? "sessions" : "handshakes"
            let kinds = ["endless-keys", "full-queue", "lists", "poison", crowd]
            try await withCluster(starts: false, change: { $0.mode = mode }) { cluster in
                let (outcome, _) = try await cluster.torture(
                    seconds: 20,
                    ["--clients", "4", "--objects", "3", "--nemesis", "1", "--attack-rate", "100"]
                        + kinds.flatMap { ["--hostile", $0] })
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.reads.completed > 0 && outcome.writes.completed > 0 && outcome.readBack > 0)
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
                #expect(outcome.attacks.map(\.kind) == kinds)
                for attack in outcome.attacks where attack.kind != "handshakes" {
                    #expect(attack.requests > 0, "\(attack)")
                }
                let poison = try #require(outcome.attacks.first { $0.kind == "poison" })
                #expect(mode == .lazy || poison.refused["invalidFragment", default: 0] > 0, "\(poison)")
            }
        }

        @Test("an attack that comes to nothing fails the run", .timeLimit(.minutes(4)))
        func attackOfNothing() async throws {
            try await withCluster(starts: false) { cluster in
                // One that may write nothing cannot leave anything unfinished.
                let grant = try #require(Grant(bucket: "elsewhere", rights: .read))
                _ = try OperatorHome(clusterDirectory: cluster.directory)
                    .add(NewClient(name: "hostile-lists", grants: [grant]))
                let torture = try ChildProcess(
                    Executable.path(),
                    [
                        "torture", "--cluster", cluster.directory, "--seconds", "3600", "--history",
                        cluster.directory + "/history.jsonl", "--nemesis", "0", "--stall", "60", "--timeout", "60",
                        "--clients", "2", "--hostile", "lists",
                    ], outputPath: cluster.directory + "/torture-output", group: Watchdog.group.get())
                defer { torture.destroy() }
                while !torture.output.contains("2 s: ") {
                    try #require(torture.currentEnd == nil, "\(torture.output)")
                    try await Task.sleep(for: .milliseconds(20))
                }
                torture.signal(SIGINT)
                #expect(try await torture.wait(seconds: 120) == .exit(9), "\(torture.output)")
                #expect(torture.output.contains("the attack lists came to nothing"), "\(torture.output)")
                #expect(torture.output.contains("linearizable"), "\(torture.output)")
            }
        }

        @Test(
            "while the disks of all servers are full, reads and deletions go on, and puts when there is room again",
            .enabled(if: SmallDisk.isAvailable, "needs to mount file systems of its own: run as root"), .acceptance,
            .timeLimit(.minutes(8)))
        func fullDisks() async throws {
            var storage = StorageOptions()
            // Of which the first segment is made; what puts have to fill is no more than that.
            storage.segmentSizeBytes = 4 << 20
            try await withCluster(starts: false, clientNames: ["one", "two"], storage: storage) { cluster in
                let (outcome, _) = try await cluster.torture(
                    seconds: 15,
                    ["--clients", "4", "--objects", "40", "--nemesis", "0.7", "--small-disks", "896"])
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
                let disks = try #require(outcome.disks)
                #expect(outcome.nemesis["fill_all_disks", default: 0] >= disks.timesFull && disks.timesFull > 0)
                #expect(disks.putsAfterFull > 0)
                #expect(disks.ballastStored > 0 && disks.ballastRead > 0)
                #expect(disks.ballastDeleted == disks.ballastStored)
                // The stores are back, with all that is in them.
                for server in cluster.servers {
                    #expect(FileManager.default.fileExists(atPath: cluster.home(server) + "/store/journal"))
                    #expect(!FileManager.default.fileExists(atPath: cluster.home(server) + "/store.aside"))
                }
                try await cluster.startAll()
                try await cluster.withClient("one") { client in
                    try await cluster.checkOperations(client, "after", sizesBytes: [5, 64 << 10])
                }
            }
        }

        @Test(
            "who may not mount is told by the summary that no disk was filled, and what is run passes",
            .timeLimit(.minutes(4)))
        func withoutMounting() async throws {
            try await withCluster(starts: false, clientNames: ["one", "two"]) { cluster in
                let arguments = [
                    "torture", "--cluster", cluster.directory, "--seconds", "1", "--small-disks", "896", "--history",
                    cluster.directory + "/history.jsonl", "--clients", "2", "--stall", "60", "--timeout", "60",
                ]
                // Root without the right to mount is like anybody else here.
                let process =
                    geteuid() == 0
                    ? try ChildProcess(
                        "/usr/bin/setpriv", ["--bounding-set", "-sys_admin", Executable.path()] + arguments,
                        outputPath: cluster.directory + "/torture-output", group: Watchdog.group.get())
                    : try ChildProcess(
                        Executable.path(), arguments, outputPath: cluster.directory + "/torture-output",
                        group: Watchdog.group.get())
                defer { process.destroy() }
                #expect(try await process.wait(seconds: 200) == .exit(0), "\(process.output)")
                let lines = process.output.split(separator: "\n")
                #expect(lines.contains { $0.hasPrefix("SKIPPED --small-disks: ") }, "\(process.output)")
                #expect(process.output.contains("linearizable"), "\(process.output)")
            }
        }

        @Test(
            "a cluster that runs is not moved onto small disks",
            .enabled(if: SmallDisk.isAvailable, "needs to mount file systems of its own: run as root"),
            .timeLimit(.minutes(2)))
        func runningOnSmallDisks() async throws {
            try await withCluster(starts: false, clientNames: ["one", "two"]) { cluster in
                func run(_ arguments: String...) async throws -> CommandResult { try await cluster.run(arguments) }
                #expect(try await run("cluster", "up", cluster.directory, "--detach", "--server", "1").end == .exit(0))
                let result = try await run(
                    "torture", "--cluster", cluster.directory, "--seconds", "1", "--small-disks", "896", "--history",
                    cluster.directory + "/history.jsonl")
                #expect(result.end == .exit(64), "\(result.output)")
                #expect(result.output.contains("server 1 runs"), "\(result.output)")
                #expect(try await run("cluster", "down", cluster.directory).end == .exit(0))
            }
        }

        @Test("reads and writes that pause for longer than they may fail the run", .timeLimit(.minutes(4)))
        func stalled() async throws {
            try await withCluster(starts: false) { cluster in
                // Far less than an operation takes.
                let (outcome, _) = try await cluster.torture(
                    seconds: 3, ["--clients", "2", "--nemesis", "0"], stallSeconds: 0.000_001, endingWith: 9)
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.reads.completed > 0 && outcome.writes.completed > 0)
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
            }
        }

        @Test("a run ends in its time, however long what hangs may take", .timeLimit(.minutes(4)))
        func endsInTime() async throws {
            try await withCluster { cluster in
                for server in cluster.servers.dropFirst(2) { cluster.freeze(server) }
                let (outcome, _) = try await cluster.torture(
                    seconds: 1, ["--clients", "2", "--nemesis", "0", "--timeout", "3600", "--heal", "1"],
                    stallSeconds: 1,
                    endingWith: 9)
                #expect(outcome.completed == 0 && outcome.readBack == 0 && outcome.readBackFailed > 0)
                #expect(outcome.healedAfterSeconds == nil && outcome.open.count == 2, "\(outcome.open)")
                #expect((1..<60).contains(outcome.ranSeconds), "\(outcome.ranSeconds)")
                for server in cluster.servers { cluster.thaw(server) }
            }
        }

        @Test("a liar that ends by itself fails the run", .timeLimit(.minutes(4)))
        func liarGone() async throws {
            try await withCluster(starts: false) { cluster in
                let torture = try ChildProcess(
                    Executable.path(),
                    [
                        "torture", "--cluster", cluster.directory, "--seconds", "3600", "--history",
                        cluster.directory + "/history.jsonl", "--nemesis", "0", "--stall", "60", "--timeout", "60",
                        "--faulty", "mute", "--faulty-server", "1", "--clients", "2",
                    ], outputPath: cluster.directory + "/torture-output", group: Watchdog.group.get())
                defer { torture.destroy() }
                func wait(for text: String) async throws {
                    while !torture.output.contains(text) {
                        try #require(torture.currentEnd == nil, "\(torture.output)")
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
                try await wait(for: "server 1 lying")
                let stamp = try File.text(cluster.directory + "/run/server-1.pid")
                let liar = try #require(stamp.split(separator: " ").first.flatMap { pid_t($0) })
                kill(liar, SIGKILL)
                try await wait(for: "server 1 deserted")
                torture.signal(SIGINT)
                #expect(try await torture.wait(seconds: 120) == .exit(9), "\(torture.output)")
                #expect(torture.output.contains("the liar in the place of server 1 ended by itself"))
                #expect(torture.output.contains("linearizable"), "\(torture.output)")
            }
        }

        @Test("servers that ran before run afterwards, and only those", .timeLimit(.minutes(4)))
        func leavesAsFound() async throws {
            try await withCluster(starts: false) { cluster in
                func run(_ arguments: String...) async throws {
                    let result = try await cluster.run(arguments)
                    #expect(result.end == .exit(0), "\(result.output)")
                }
                try await run("cluster", "up", cluster.directory, "--detach", "--server", "0", "--server", "2")
                do {
                    _ = try await cluster.torture(seconds: 4, ["--clients", "2", "--nemesis", "0.5"])
                } catch {
                    Issue.record(error)
                }
                for server in cluster.servers {
                    let isExpected = [0, 2].contains(server.rawValue)
                    #expect(Loopback.accepts(port: cluster.port(server)) == isExpected, "\(server)")
                }
                try await run("cluster", "down", cluster.directory)
            }
        }

        @Test("a liar's policy that there is not is refused as a wrong argument", .timeLimit(.minutes(1)))
        func unknownPolicy() async throws {
            try await withCluster(starts: false) { cluster in
                let result = try await cluster.run([
                    "torture", "--cluster", cluster.directory, "--seconds", "1", "--faulty", "sloth", "--history",
                    cluster.directory + "/history.jsonl",
                ])
                #expect(result.end == .exit(64), "\(result.output)")
                #expect(result.output.contains("sloth"), "\(result.output)")
            }
        }

        @Test("a cluster that runs in the foreground is left alone", .timeLimit(.minutes(2)))
        func foreground() async throws {
            try await withCluster(starts: false) { cluster in
                let supervisor = try ChildProcess(
                    Executable.path(), ["cluster", "up", cluster.directory],
                    outputPath: cluster.directory + "/supervisor-output", group: Watchdog.group.get())
                defer { supervisor.destroy() }
                while !supervisor.output.contains("ready") {
                    try #require(supervisor.currentEnd == nil, "\(supervisor.output)")
                    try await Task.sleep(for: .milliseconds(20))
                }
                let result = try await cluster.run([
                    "torture", "--cluster", cluster.directory, "--seconds", "1", "--history",
                    cluster.directory + "/history.jsonl",
                ])
                #expect(result.end == .exit(7), "\(result.output)")
                #expect(result.output.contains("\(supervisor.id)"), "\(result.output)")
                supervisor.signal(SIGTERM)
                #expect(try await supervisor.wait(seconds: 30) == .exit(0))
            }
        }
    }

    @Suite("Judging histories", .serialized) struct CheckTests {
        private static let good: [String] = [
            #"{"process":0,"type":"invoke","f":"write","key":"a/b","value":"one","time":1}"#,
            #"{"process":0,"type":"ok","f":"write","key":"a/b","value":"one","time":2}"#,
            #"{"process":1,"type":"invoke","f":"write","key":"a/b","value":"two","time":3}"#,
            #"{"process":1,"type":"ok","f":"write","key":"a/b","value":"two","time":4}"#,
            #"{"process":0,"type":"invoke","f":"read","key":"a/b","value":null,"time":5}"#,
            #"{"process":0,"type":"ok","f":"read","key":"a/b","value":"two","time":6}"#,
        ]

        private func check(_ lines: [String], _ arguments: [String] = []) async throws -> CommandResult {
            try await withTemporaryDirectory { directory in
                let file = directory + "/history.jsonl"
                try File.write(file, Array((lines.joined(separator: "\n") + "\n").utf8))
                return try await Executable.run(["check", file] + arguments, in: directory)
            }
        }

        @Test("a good history is called linearizable", .timeLimit(.minutes(1)), arguments: [[], ["--json"]])
        func good(_ arguments: [String]) async throws {
            let result = try await check(Self.good, arguments)
            #expect(result.end == .exit(0), "\(result.output)")
            #expect(result.output.contains("linearizable"), "\(result.output)")
        }

        @Test(
            "a history doctored to read an overwritten value is refused, naming the operations",
            .timeLimit(.minutes(1)), arguments: [[], ["--json"]])
        func stale(_ arguments: [String]) async throws {
            var lines = Self.good
            lines[5] = lines[5].replacingOccurrences(of: "two", with: "one")
            let result = try await check(lines, arguments)
            #expect(result.end == .exit(8), "\(result.output)")
            for text in ["a/b", "process 0 read one from 5", "process 1 wrote two from 3"] {
                #expect(result.output.contains(text), "\(text) is not named: \(result.output)")
            }
        }

        @Test("a history doctored to read what nobody wrote is refused, naming the read", .timeLimit(.minutes(1)))
        func unwritten() async throws {
            var lines = Self.good
            lines[5] = lines[5].replacingOccurrences(of: "two", with: "three")
            let result = try await check(lines)
            #expect(result.end == .exit(8), "\(result.output)")
            #expect(result.output.contains("process 0 read three from 5"), "\(result.output)")
        }

        @Test(
            "a file that is cut off, or no history, is called unreadable", .timeLimit(.minutes(1)))
        func unreadable() async throws {
            let cutOff = [Self.good[0], String(Self.good[1].dropLast(20))]
            for lines in [cutOff, ["nonsense"], [Self.good[1]], [Self.good[0], Self.good[0]]] {
                let result = try await check(lines)
                #expect(result.end == .exit(7), "\(result.output)")
            }
        }

        @Test("a history without any operation is refused", .timeLimit(.minutes(1)), arguments: [[], ["--json"]])
        func empty(_ arguments: [String]) async throws {
            for lines in [[], ["", " "]] {
                let result = try await check(lines, arguments)
                #expect(result.end == .exit(7), "\(result.output)")
                #expect(result.output.contains("no operations"), "\(result.output)")
            }
        }

        @Test("a file that is not there is named", .timeLimit(.minutes(1)))
        func missing() async throws {
            try await withTemporaryDirectory { directory in
                let result = try await Executable.run(["check", directory + "/nothing"], in: directory)
                #expect(result.end == .exit(7), "\(result.output)")
                #expect(result.output.contains(directory + "/nothing"), "\(result.output)")
            }
        }
    }
}
