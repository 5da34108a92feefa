// solidus gateway serve

import ArgumentParser
import CProcessControl
import CommandOutcome
import Foundation
import Glibc
import Logging
import QuorumProtocol
import QuorumServer
import QuorumTransport
import S3Gateway
import ServerProcesses
import Synchronization

struct GatewayServe: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run a gateway in the foreground until SIGTERM or SIGINT.",
        discussion: """
            What goes wrong is told on standard error. The access log has one line of JSON for each request. Clients reach \
            buckets as http://HOST:PORT/BUCKET, and as http://BUCKET.DOMAIN where the gateway has a domain. /-/live and \
            /-/ready answer whoever watches over it. The address of --metrics also has a page for people, /-/status, \
            and the same as JSON, /-/status.json; whoever reaches it may look.

            Examples:
              solidus gateway serve --cluster demo --listen 127.0.0.1:9000 --metrics 127.0.0.1:9001
              solidus gateway serve --cluster demo --listen 0.0.0.0:443 --certificate chain.pem --private-key key.pem
            """)

    @OptionGroup var gateway: GatewayArguments
    @Option(help: "Where it listens, HOST:PORT.")
    var listen = "127.0.0.1:9000"
    @Option(help: "Where it tells its metrics and has its status page, HOST:PORT; nowhere when not given.")
    var metrics: String?
    @Option(help: "A certificate chain, PEM; without it the gateway speaks plain HTTP.", completion: .file())
    var certificate: String?
    @Option(help: "The certificate's private key, PEM.", completion: .file())
    var privateKey: String?
    @Option(help: "The file to which a line is written for each request; '-' is standard output.", completion: .file())
    var accessLog: String?
    @Option(help: "How much memory transfers of more than 256 KiB may have together, in MiB.")
    var memory = 256
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard (certificate == nil) == (privateKey == nil) else {
            throw ValidationError("--certificate and --private-key go together.")
        }
        guard (16...1_048_576).contains(memory) else {
            throw ValidationError("--memory must be 16 to 1048576 MiB.")
        }
        _ = try Self.address(listen, "--listen")
        if let metrics { _ = try Self.address(metrics, "--metrics") }
    }

    private static func address(_ text: String, _ option: String) throws -> (host: String, port: Int) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port), colon != text.startIndex
        else { throw ValidationError("\(option) '\(text)' is no HOST:PORT.") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return (String(host), port)
    }

    private struct Outcome: Encodable {
        let gateway: String
        let stoppedBySignal: Int
    }

    func run() async throws {
        let signals = process_control_watch_signals(false)
        guard signals >= 0 else { throw Failure(.inputOutput, "signals cannot be watched: \(systemText(errno))") }
        signal(SIGPIPE, SIG_IGN)
        let home = try gateway.home()
        let log = ServerLog()
        let logger = log.logger(label: "solidus.gateway.\(home.client.name)")
        if let limit = DescriptorLimit.raise(), limit < DescriptorLimit.recommended {
            logger.warning("this process may have \(limit) files open, which bounds its connections")
        }
        let (host, port) = try Self.address(listen, "--listen")
        var addresses = GatewayAddresses(host: host, port: port)
        addresses.metrics = try metrics.map { try Self.address($0, "--metrics") }
        if let certificate, let privateKey { addresses.tls = (certificate, privateKey) }
        var options = GatewayOptions()
        options.memoryBytes = memory << 20
        let running: RunningGateway
        do {
            running = try await RunningGateway.start(
                home, at: addresses, options: options, logger: logger, accessLog: try accessLog.map(Self.writer))
        } catch {
            throw Failure(ofGateway: error)
        }
        logger.info("the gateway \(home.client.name) is ready at \(host):\(running.port)")
        if let metrics = addresses.metrics, let port = running.metricsPort,
            let address = NetworkAddress(host: metrics.host, port: port)
        {
            logger.info("its status page is http://\(address)/-/status")
        }
        let number = await Self.firstSignal(signals)
        logger.info("the gateway \(home.client.name) stops on signal \(number)")
        await running.stop()
        if report.json {
            try Report.finish(
                report, Outcome(gateway: home.client.name, stoppedBySignal: Int(number)), text: "")
        }
    }

    /// Writes lines to a file's end.
    private static func writer(_ path: String) throws(Failure) -> @Sendable (String) -> Void {
        let descriptor =
            path == "-" ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            throw Failure(.inputOutput, "the access log \(path) cannot be opened: \(systemText(errno))")
        }
        // A line that cannot be written is lost; requests are answered all the same.
        return { line in _ = Array((line + "\n").utf8).withUnsafeBytes { writeAll(descriptor, $0) } }
    }

    /// The first signal that asks to stop. A thread of its own waits for it, since a read that blocks would hold up the
    /// threads that tasks share.
    private static func firstSignal(_ pipe: Int32) async -> UInt8 {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var number: UInt8 = 0
                while true {
                    let count = Glibc.read(pipe, &number, 1)
                    if count == 1, Int32(number) != SIGCHLD { break }
                    if count == 0 || (count < 0 && errno != EINTR) { break }
                }
                continuation.resume(returning: number)
            }
        }
    }
}
