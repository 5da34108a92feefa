// The simulator's command line: one process for each core.

import Glibc
import Testing

extension Clusters {
    @Suite("solidus-sim") struct SimulatorCommand {
        private static func start(_ arguments: String..., in directory: String) throws -> ChildProcess {
            try ChildProcess(
                Executable.path("solidus-sim"), arguments, outputPath: "\(directory)/\(arguments.joined())",
                group: Watchdog.group.get())
        }

        @Test("comes to the same with one worker and with three", .timeLimit(.minutes(3)))
        func workers() async throws {
            try await withTemporaryDirectory { directory in
                var outcomes: [[Substring]] = []
                for count in ["1", "3"] {
                    let run = try Self.start("run", "--seeds", "1..20", "--workers", count, in: directory)
                    defer { run.destroy() }
                    #expect(try await run.wait(seconds: 120) == .exit(0), "\(run.output)")
                    #expect(run.output.hasPrefix("20 seeds, "), "\(run.output)")
                    #expect(run.output.contains("trace sum "), "\(run.output)")
                    // But for how many there were a second.
                    outcomes.append(Array(run.output.split(separator: ", ").dropFirst(2)))
                }
                #expect(outcomes[0] == outcomes[1])
            }
        }

        @Test("names the seed that takes a worker with it", .timeLimit(.minutes(3)))
        func lostWorker() async throws {
            try await withTemporaryDirectory { directory in
                let run = try Self.start("run", "--seeds", "1..1000000", "--workers", "2", in: directory)
                defer { run.destroy() }
                let workers = try await Self.children(of: run, count: 2)
                // Until then it has begun with its first seed, on a busy machine, too.
                try await Task.sleep(for: .seconds(10))
                kill(workers[0], SIGKILL)
                #expect(try await run.wait(seconds: 60) == .exit(1))
                #expect(run.output.contains("ended its worker process by signal 9"), "\(run.output)")
                #expect(run.output.contains("replay: solidus-sim replay "), "\(run.output)")
                #expect(kill(workers[1], 0) != 0, "the other worker is left behind")
            }
        }

        private static func children(of process: ChildProcess, count: Int) async throws -> [pid_t] {
            let path = "/proc/\(process.id)/task/\(process.id)/children"
            let deadline = ContinuousClock.now + .seconds(30)
            while ContinuousClock.now < deadline {
                let children = ((try? File.text(path)) ?? "").split(separator: " ").compactMap { pid_t($0) }
                if children.count == count { return children }
                try await Task.sleep(for: .milliseconds(10))
            }
            throw ProcessError.stillRunning("waiting for \(count) workers", seconds: 30)
        }
    }
}
