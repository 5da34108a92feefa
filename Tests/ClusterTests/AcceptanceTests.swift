// What only takes long shows: memory of large transfers, and how long a command waits for servers that say nothing.

import CommandOutcome
import ErasureCode
import Foundation
import Glibc
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("Long transfers", .serialized, .acceptance) struct Acceptance {
        private func start(_ cluster: TestCluster, _ arguments: [String], _ output: String) throws -> ChildProcess {
            try ChildProcess(
                Executable.path(), arguments + ["--cluster", cluster.directory], outputPath: output,
                group: Watchdog.group.get())
        }

        @Test(
            "without a quorum a put says for whom it waits, ends when it was told to, and is gone on with",
            .timeLimit(.minutes(5)))
        func stalled() async throws {
            try await withCluster { cluster in
                try await cluster.makeBucket("stalled")
                let value = SeededBytes.make("stalled", 60 << 20)
                let file = cluster.directory + "/large"
                try File.write(file, value.array)
                let arguments = ["put", "stalled/large", file, "--continue", "--stall", "14"]
                let process = try start(cluster, arguments, cluster.directory + "/stalled")
                defer { process.destroy() }
                let records = cluster.directory + "/clients/first/uploads"
                while process.currentEnd == nil, (try? File.names(records))?.isEmpty ?? true {
                    try await Task.sleep(for: .milliseconds(1))
                }
                for server: UInt16 in [1, 2] { cluster.freeze(NodeID(server)) }
                #expect(try await process.wait(seconds: 120) == .exit(ExitStatus.unavailable.rawValue))
                let line = process.output.split(separator: "\n").first { $0.contains("no progress for 1") }
                #expect(
                    line?.contains("server 1 (") == true && line?.contains("server 2 (") == true, "\(process.output)")
                #expect(process.output.contains("the same command goes on with it"), "\(process.output)")
                for server: UInt16 in [1, 2] { cluster.thaw(NodeID(server)) }
                let again = try await cluster.run(arguments + ["--cluster", cluster.directory], seconds: 120)
                #expect(again.end == .exit(0) && again.output.contains("going on with an earlier upload"), "\(again)")
                try await cluster.withClient { client in
                    let stored = try await client.get(try ObjectKey("stalled/large"))
                    #expect(stored.value == value)
                }
            }
        }

        /// Runs a line of the shell, which ends in an `exec` of the program, and gives the most memory that it had.
        private func peakBytes(_ cluster: TestCluster, _ line: String) async throws -> Int {
            let output = cluster.directory + "/peak"
            defer { File.remove(output) }
            let process = try ChildProcess(
                "/bin/bash", ["-c", line, Executable.path(), cluster.directory], outputPath: output,
                group: Watchdog.group.get())
            defer { process.destroy() }
            var peak = 0
            while process.currentEnd == nil {
                let status = (try? File.text("/proc/\(process.id)/status")) ?? ""
                let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
                let number = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
                peak = max(peak, number << 10)
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(process.currentEnd == .exit(0), "\(process.output)")
            return peak
        }

        @Test("a large object takes no more memory than a small one, by files and by pipes", .timeLimit(.minutes(10)))
        func memory() async throws {
            try await withCluster(change: { $0.stripeSizeBytesMax = 1 << 20 }) { cluster in
                try await cluster.makeBucket("memory")
                var peaks: [String: [Int]] = [:]
                for size in [40, 400] {
                    let file = cluster.directory + "/file"
                    File.remove(file)
                    let made = try ChildProcess(
                        "/bin/bash", ["-c", "head -c \(size << 20) /dev/urandom > '\(file)'"], outputPath: "/dev/null")
                    #expect(try await made.wait(seconds: 60) == .exit(0))
                    for (name, line) in [
                        ("put", "exec \"$0\" put memory/file '\(file)'"),
                        ("pipe", "exec \"$0\" put memory/pipe - < <(cat '\(file)')"),
                        ("get", "exec \"$0\" get memory/file '\(file).back'"),
                        ("cat", "exec \"$0\" cat memory/pipe > '\(file).back'"),
                    ] {
                        peaks[name, default: []].append(
                            try await peakBytes(cluster, line + " --cluster \"$1\""))
                    }
                    #expect(try File.read(file + ".back") == File.read(file))
                }
                for (name, peak) in peaks {
                    #expect(peak[1] < peak[0] + 32 << 20, "\(name): \(peak)")
                }
            }
        }
    }
}
