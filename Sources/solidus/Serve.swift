// solidus serve

import ArgumentParser
import CProcessControl
import ClusterFiles
import CommandOutcome
import Foundation
import Glibc
import Logging
import QuorumServer
import QuorumTransport
import ServerProcesses

struct Serve: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run one server in the foreground until SIGTERM or SIGINT.",
        discussion: """
            The log goes to standard error, or to the file that --log names: that is rotated once it has 16 MiB, and \
            four older ones are kept, FILE.1 to FILE.4. On SIGUSR1 the server writes what it has counted since its start into \
            HOME/counters.json, one line of JSON. On SIGHUP it takes over newer lists (addresses.toml, keys.toml, \
            access.toml beside cluster.toml), and writes into HOME/lists.json which versions it then goes by.

            Example: solidus serve --home demo/servers/0
            """)

    @Option(help: "The server's home, DIR/servers/NUMBER.", completion: .directory)
    var home: String
    @Option(help: "The file to which the log, and whatever else the server says, is appended.")
    var log: String?
    @Flag(help: .hidden)
    var readyPipe = false
    @OptionGroup var report: ReportOptions

    /// What a server that was stopped has to say.
    private struct Outcome: Encodable {
        let server: Int
        let stoppedBySignal: Int
        let counters: ServerCounters
    }

    func run() async throws {
        // First of all: from here on no SIGHUP ends the server, and what a signal asks for is done once it runs.
        let signals = process_control_watch_signals(false)
        // Lists are taken over also by a server that is to outlive its terminal.
        guard signals >= 0, process_control_watch_also(SIGUSR1) == 0, process_control_watch_also(SIGHUP) == 0 else {
            throw Failure(.inputOutput, "signals cannot be watched: \(systemText(errno))")
        }
        // Nobody may be listening to the log any more, or to whether it is ready; that is no reason to stop.
        signal(SIGPIPE, SIG_IGN)
        let errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10)
        let running: Running
        do {
            running = try await start()
        } catch {
            tell(error, on: errors)
            throw error
        }
        close(errors)
        let (home, server, logger) = (running.home, running.server, running.logger)
        logger.info("\(home.node) is ready at \(home.entry.address)")
        if readyPipe { ReadyPipe.say(.ready) }
        let reports = Task {
            while (try? await Task.sleep(for: .seconds(60))) != nil { running.log.report(to: logger) }
        }
        defer { reports.cancel() }
        let counters = ReportFile("counters.json", of: home)
        let lists = ReportFile(ReportFile.listsName, of: home)
        let number = await Self.firstSignal(signals) { number in
            switch number {
            case SIGUSR1: counters.write(server.counters, logger: logger)
            case SIGHUP: Task { lists.write(await server.reload(), logger: logger) }
            default: break
            }
        }
        logger.info("\(home.node) stops on signal \(number)")
        await server.shutdown()
        if report.json {
            try Report.finish(
                report,
                Outcome(
                    server: Int(home.node.rawValue), stoppedBySignal: Int(number), counters: server.counters),
                text: "")
        }
    }

    private struct Running {
        let log: ServerLog
        let logger: Logger
        let home: ServerHome
        let server: Server
    }

    private func start() async throws -> Running {
        let log = try Self.log(log)
        let home = try ServerHome(path: home)
        for complaint in home.complaints {
            Standard.complain("warning: \(complaint); the server goes by the list that it has in \(home.listDirectory)")
        }
        let logger = log.logger(label: "solidus.server.\(home.node.rawValue)")
        var configuration = ServerConfiguration(home: home)
        configuration.descriptorLimit = DescriptorLimit.raise()
        if let limit = configuration.descriptorLimit, limit < DescriptorLimit.recommended {
            // The segments of the journal that are kept open are fewer, too.
            configuration.storage.openSegmentsMax = max(1, min(configuration.storage.openSegmentsMax, limit / 8))
            logger.warning(
                """
                this process may have \(limit) files open, which bounds its connections; raise the hard limit \
                (ulimit -Hn) to \(DescriptorLimit.recommended) or more
                """)
        }
        let server = try await Server.start(configuration, logger: logger)
        return Running(log: log, logger: logger, home: home, server: server)
    }

    /// Tells why the server does not start, beside its log: with `--log` standard error is that log, which nobody looks
    /// at yet, and which takes nothing on a full disk.
    ///
    /// - Parameter errors: standard error as it was before.
    private func tell(_ error: any Error, on errors: Int32) {
        let reason = Failure(ofAny: error)?.message ?? "\(error)"
        if readyPipe { ReadyPipe.say(.failed(reason)) }
        var (before, now) = (stat(), stat())
        guard fstat(errors, &before) == 0, fstat(STDERR_FILENO, &now) == 0 else { return }
        guard before.st_dev != now.st_dev || before.st_ino != now.st_ino else { return }
        _ = Array("error: \(reason)\n".utf8).withUnsafeBytes { writeAll(errors, $0) }
    }

    private static func log(_ path: String?) throws(Failure) -> ServerLog {
        guard let path else { return ServerLog() }
        do {
            return try ServerLog(appendingTo: path)
        } catch {
            throw Failure(.inputOutput, "\(error)")
        }
    }

    /// The first signal to arrive that asks to stop. A thread of its own waits for it, since a read that blocks would
    /// hold up the threads that tasks share.
    ///
    /// - Parameter other: called on that thread for each SIGUSR1 and SIGHUP.
    private static func firstSignal(_ pipe: Int32, other: @escaping @Sendable (Int32) -> Void) async -> UInt8 {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var number: UInt8 = 0
                while true {
                    let count = Glibc.read(pipe, &number, 1)
                    if count == 1, Int32(number) == SIGUSR1 || Int32(number) == SIGHUP {
                        other(Int32(number))
                    } else if count == 1, Int32(number) != SIGCHLD {
                        break
                    }
                    if count == 0 || (count < 0 && errno != EINTR) { break }
                }
                continuation.resume(returning: number)
            }
        }
    }
}
