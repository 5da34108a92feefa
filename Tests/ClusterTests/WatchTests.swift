// A status that goes on until it is interrupted: in a pipe, for programs, and on a terminal.

import Foundation
import Glibc
import QuorumProtocol
import Testing

/// A terminal that nobody sits at.
private final class Terminal {
    /// What a program opens to write to it.
    let path: String
    private let descriptor: Int32
    private(set) var text = ""

    init(rows: UInt16, columns: UInt16) throws {
        descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var (isLocked, number): (Int32, Int32) = (0, 0)
        // TIOCSPTLCK and TIOCGPTN, which Swift does not see.
        try #require(ioctl(descriptor, 0x4004_5431, &isLocked) == 0 && ioctl(descriptor, 0x8004_5430, &number) == 0)
        path = "/dev/pts/\(number)"
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        try #require(ioctl(descriptor, UInt(TIOCSWINSZ), &size) == 0)
        try #require(fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0)
    }

    deinit { close(descriptor) }

    /// Takes what was written since.
    func read() {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        if count > 0 { text += String(decoding: bytes.prefix(count), as: UTF8.self) }
    }
}

extension Clusters {
    @Suite("A status that is watched", .serialized) struct Watching {
        private static let patience = Duration.seconds(60)

        /// Runs a watching status until what it has written is enough, and ends it with a signal.
        private func watch(
            _ arguments: [String], in cluster: TestCluster, outputPath: String? = nil, endedBy signal: Int32 = SIGINT,
            sourceLocation: SourceLocation = #_sourceLocation, until isEnough: (String) throws -> Bool
        ) async throws -> CommandResult {
            let process = try ChildProcess(
                Executable.path(), ["status", cluster.directory] + arguments,
                outputPath: outputPath ?? "\(cluster.directory)/watch-\(UUID().uuidString)",
                group: Watchdog.group.get())
            defer { process.destroy() }
            let deadline = ContinuousClock.now + Self.patience
            while try !isEnough(process.output) {
                try #require(
                    process.currentEnd == nil && ContinuousClock.now < deadline, "\(process.output)",
                    sourceLocation: sourceLocation)
                try await Task.sleep(for: .milliseconds(50))
            }
            process.signal(signal)
            return CommandResult(end: try await process.wait(seconds: 60), output: process.output)
        }

        private static func blocks(_ output: String) -> [String] { output.components(separatedBy: "\n\n") }

        @Test(
            "goes on until it is interrupted, and says which signal has ended it", .timeLimit(.minutes(2)),
            arguments: [SIGINT, SIGTERM, SIGHUP])
        func interrupted(_ signal: Int32) async throws {
            try await withCluster { cluster in
                let result = try await watch(["--watch", "0.2"], in: cluster, endedBy: signal) {
                    Self.blocks($0).count > 3
                }
                #expect(result.end == .exit(128 + signal), "\(result)")
                let stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  .*, every 0\.2 s\n/
                for block in Self.blocks(result.output).prefix(3) {
                    #expect(try stamp.prefixMatch(in: block) != nil, "\(block)")
                    #expect(block.contains("server 3  ") && block.contains("4 work, 3 are needed"), "\(block)")
                    #expect(!block.contains("\u{1b}"), "\(block)")
                }
            }
        }

        @Test(
            "shows one that hangs as that, and the others, again and again, also when a group is out of reach",
            .timeLimit(.minutes(2)))
        func hanging() async throws {
            try await withCluster { cluster in
                cluster.freeze(cluster.servers[0])
                let arguments = ["--json", "--timeout", "1", "--watch"]
                let result = try await watch(arguments, in: cluster) { output in
                    if output.contains("\"reachable\":3") { cluster.kill(cluster.servers[1]) }
                    return output.split(separator: "\n").count { $0.contains("\"reachable\":2") } > 1
                }
                #expect(result.end == .exit(130), "\(result)")
                let lines = result.output.split(separator: "\n")
                var times: [String] = []
                for line in lines {
                    let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                    let servers = try #require(object?["servers"] as? [[String: Any]], "\(line)")
                    #expect(servers.count == 4 && servers[0]["reachable"] as? Bool == false, "\(line)")
                    #expect(servers[3]["reachable"] as? Bool == true, "\(line)")
                    times.append(try #require(object?["time"] as? String, "\(line)"))
                }
                #expect(times == times.sorted() && Set(times).count > 1, "\(times)")
            }
        }

        @Test("is drawn in place on a terminal, as much of it as there is room for", .timeLimit(.minutes(2)))
        func terminal() async throws {
            try await withCluster { cluster in
                let terminal = try Terminal(rows: 6, columns: 200)
                let result = try await watch(["--watch", "0.2"], in: cluster, outputPath: terminal.path) { _ in
                    terminal.read()
                    return terminal.text.components(separatedBy: "\u{1b}[H").count > 3
                }
                #expect(result.end == .exit(130), "\(result)")
                let screens = terminal.text.components(separatedBy: "\u{1b}[H")
                #expect(screens[0] == "\u{1b}[2J", "\(terminal.text)")
                // The stamp, four servers and a group, of which some may say more, have no room beside the cursor's row.
                for screen in screens[1...2] {
                    let rows = screen.components(separatedBy: "\u{1b}[K\r\n")
                    #expect(rows.count == 6 && rows[5] == "\u{1b}[J", "\(screen)")
                    #expect(rows[0].contains("every 0.2 s") && rows[1].hasPrefix("server 0  "), "\(screen)")
                    #expect(rows[4].hasPrefix("... ") && rows[4].contains(" more lines"), "\(screen)")
                }
            }
        }

        @Test("takes a number for its interval, and the directory before it or behind it", .timeLimit(.minutes(1)))
        func arguments() async throws {
            try await withCluster(starts: false) { cluster in
                for wrong in ["0", "-1", "nan", "86401"] {
                    let result = try await cluster.run(["status", "--watch=\(wrong)", cluster.directory])
                    #expect(result.end == .exit(64) && result.output.contains("--watch must be"), "\(result)")
                }
                for right in [["--watch"], ["--watch", "5"], ["--watch=5"], ["5", "--watch"]] {
                    let none = cluster.directory + "/none"
                    let result = try await cluster.run(["status"] + right + (right[0] == "5" ? [] : [none]))
                    #expect(result.end == .exit(6) && result.output.contains("cluster.toml"), "\(right): \(result)")
                }
            }
        }
    }
}
