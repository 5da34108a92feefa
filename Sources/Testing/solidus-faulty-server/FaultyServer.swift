// A server that lies: a real one, with a server's own home, keys and store, and a fault policy inside. For tests only.

import ArgumentParser
import CProcessControl
import ClusterFiles
import Foundation
import Glibc
import Logging
import QuorumFaults
import QuorumServer

@main
struct FaultyServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "solidus-faulty-server",
        abstract: "Run one server of a cluster as a liar, in the foreground, until SIGTERM or SIGINT. For tests only.",
        discussion: """
            It takes the server's place with its keys and its store. Afterwards that server has promised what its \
            store does not keep: it counts as faulty for good.
            """)

    @Option(help: "The home of the server whose place it takes.", completion: .directory)
    var home: String?
    @Option(help: "The cluster's directory; instead of --home, together with --server.", completion: .directory)
    var cluster: String?
    @Option(help: "Whose place in the cluster it takes, by index.")
    var server: Int?
    @Option(help: "In which way it is faulty.")
    var fault: ServerFaultKind
    @Option(help: "How it lies to auditors, besides.")
    var audits: AuditLie?
    @Option(help: "What its choices are drawn from.")
    var seed: UInt64 = 1
    @Option(help: "The file to which the log, and whatever else the server says, is appended.")
    var log: String?
    @Flag(help: .hidden)
    var readyPipe = false

    private var homePath: String? {
        if let home { return cluster == nil && server == nil ? home : nil }
        guard let cluster, let server else { return nil }
        return "\(cluster)/servers/\(server)"
    }

    mutating func validate() throws {
        guard homePath != nil else { throw ValidationError("Give either --home, or --cluster and --server.") }
    }

    func run() async throws {
        let signals = process_control_watch_signals(false)
        guard signals >= 0 else { try fail(7, "no pipe can be made: error \(errno)") }
        do {
            let home = try ServerHome(path: homePath ?? "")
            let log = try log.map { try ServerLog(appendingTo: $0) } ?? ServerLog()
            let logger = log.logger(label: "solidus.faulty-server.\(home.node.rawValue)")
            let interposer = FaultInterposer(
                kind: fault, auditLie: audits, parameters: home.cluster.parameters, seed: seed)
            let server = try await Server.start(
                ServerConfiguration(home: home), logger: logger, interposer: interposer)
            logger.info("\(home.node) is ready at \(home.entry.address) and faulty: \(fault.rawValue), seed \(seed)")
            if readyPipe { sayReady() }
            await endOfService(signals)
            await server.shutdown()
        } catch let error as ConfigurationError {
            try fail(6, error.description)
        } catch let error as LogFileError {
            try fail(7, error.description)
        } catch let error as ServerError {
            try fail(7, error.description)
        }
    }

    private func fail(_ code: Int32, _ message: String) throws -> Never {
        FileHandle.standardError.write(Data("error: \(message)\n".utf8))
        throw ExitCode(code)
    }

    private func sayReady() {
        // Nobody may be listening any more; that is no reason to stop.
        signal(SIGPIPE, SIG_IGN)
        let descriptor = Int32(process_control_ready_descriptor)
        _ = Array("ready\n".utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }

    /// Waits for a signal that asks to stop, on a thread of its own.
    private func endOfService(_ signals: Int32) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            Thread.detachNewThread {
                var number: UInt8 = 0
                while true {
                    let count = read(signals, &number, 1)
                    // Lists are taken over with the next start: a liar goes by what it likes.
                    if count == 1, ![SIGCHLD, SIGHUP].contains(Int32(number)) { break }
                    if count == 0 || (count < 0 && errno != EINTR) { break }
                }
                continuation.resume()
            }
        }
    }
}

extension ServerFaultKind: ExpressibleByArgument {}
extension AuditLie: ExpressibleByArgument {}
