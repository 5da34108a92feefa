// The gateway of a benchmarked cluster: a process of its own, as in production.

import CProcessControl
import ClusterFiles
import Foundation
import Glibc
import S3Wire

/// A running `solidus gateway serve`. The kernel ends it with the thread that started it.
final class GatewayChild: Sendable {
    private static let patienceSeconds = 60.0

    let port: Int
    let identity: S3Identity
    private let process: ChildProgram

    var processID: pid_t { process.processID }

    private struct AddedKey: Decodable {
        let accessKey: String
        let secretKey: String
    }

    /// Starts a gateway of the client `name`, which is one already, and returns when it listens.
    init(_ name: String, cluster: String, program: String) throws {
        let added = try SolidusCommand.output(
            program, ["gateway", "key", "add", "bench", "--cluster", cluster, "--name", name, "--json"])
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let key = try decoder.decode(AddedKey.self, from: Data(added.utf8))
        identity = S3Identity(accessKey: key.accessKey, secret: key.secretKey)
        port = try FreePorts.take(1)[0]
        let log = "\(cluster)/gateway.log"
        process = try ChildProgram(
            "the gateway", path: program,
            words: [
                "solidus", "gateway", "serve", "--cluster", cluster, "--name", name, "--listen", "127.0.0.1:\(port)",
            ], log: log)
        let deadline = ContinuousClock.now + .seconds(Self.patienceSeconds)
        while (try? S3Connection(port: port, timeoutSeconds: 1)) == nil {
            guard ContinuousClock.now < deadline else { throw BenchmarkError.notReady("the gateway", log: log) }
            usleep(10_000)
        }
    }

    /// Ends the process, unless that was done.
    func kill() { process.kill() }
}
