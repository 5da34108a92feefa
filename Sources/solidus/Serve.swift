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

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run one server in the foreground until SIGTERM or SIGINT.",
        discussion: """
            The log goes to standard error. On SIGUSR1 the server writes what it has counted since its start into \
            HOME/counters.json, one line of JSON.
            """)

    @Option(help: "The server's home, DIR/servers/NUMBER.", completion: .directory)
    var home: String
    @Flag(help: .hidden)
    var readyPipe = false

    func run() async throws {
        let home = try ServerHome(path: home)
        for warning in home.identity.warnings { Standard.complain("warning: \(warning)") }
        let signals = process_control_watch_signals(false)
        guard signals >= 0, process_control_watch_also(SIGUSR1) == 0 else {
            throw Failure(.inputOutput, "signals cannot be watched: \(systemText(errno))")
        }
        let logger = Logger(label: "solidus.server.\(home.node.rawValue)") { StreamLogHandler.standardError(label: $0) }
        let server = try await Server.start(ServerConfiguration(home: home), logger: logger)
        logger.info("\(home.node) is ready at \(home.entry.address)")
        if readyPipe {
            // Nobody may be listening any more; that is no reason to stop.
            signal(SIGPIPE, SIG_IGN)
            _ = Array("ready\n".utf8).withUnsafeBytes {
                writeAll(Int32(process_control_ready_descriptor), $0)
            }
            close(Int32(process_control_ready_descriptor))
        }
        let counters = CountersFile(home: home)
        let number = await Self.firstSignal(signals) { counters.write(server.counters, logger: logger) }
        logger.info("\(home.node) stops on signal \(number)")
        await server.shutdown()
    }

    /// The first signal to arrive that asks to stop. A thread of its own waits for it, since a read that blocks would
    /// hold up the threads that tasks share.
    ///
    /// - Parameter report: called on that thread for each SIGUSR1.
    private static func firstSignal(_ pipe: Int32, report: @escaping @Sendable () -> Void) async -> UInt8 {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var number: UInt8 = 0
                while true {
                    let count = Glibc.read(pipe, &number, 1)
                    if count == 1, Int32(number) == SIGUSR1 {
                        report()
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
