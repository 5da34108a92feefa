// One server of a benchmarked cluster: a process of its own, as in production.

import Foundation
import Glibc
import QuorumServer

/// A running `solidus serve`. The kernel ends it with the thread that started it.
final class ServerChild: Sendable {
    let index: Int
    let home: String
    private let process: ChildProgram

    var processID: pid_t { process.processID }
    var store: String { home + "/store" }

    /// Starts the process; `waitUntilReady` must follow.
    ///
    /// - Parameter network: whose namespace for this server the process runs in; nil: this process's own.
    init(index: Int, home: String, program: String, network: ShapedNetwork?) throws {
        self.index = index
        self.home = home
        var path = program
        var words = ["solidus", "serve", "--home", home, "--ready-pipe"]
        if let network {
            // It becomes the program itself, so that the process is the server's.
            path = network.ip.path
            words = ["ip", "netns", "exec", network.namespace(ofServer: index), program] + words.dropFirst()
        }
        process = try ChildProgram("server \(index)", path: path, words: words, log: home + "/server.log")
    }

    /// Returns when the server listens. Call it once.
    func waitUntilReady() throws { try process.waitUntilReady() }

    /// Has the process stand still, as one whose machine has hung, until `resume`.
    func pause() { Glibc.kill(processID, SIGSTOP) }

    func resume() { Glibc.kill(processID, SIGCONT) }

    /// Ends the process, unless that was done; what it stored is of no further use.
    func kill() { process.kill() }

    /// What the server has counted since its start.
    func counters() throws -> ServerCounters {
        let path = home + "/counters.json"
        unlink(path)
        Glibc.kill(processID, SIGUSR1)
        let deadline = ContinuousClock.now + .seconds(10)
        while access(path, R_OK) != 0 {
            guard ContinuousClock.now < deadline else { throw BenchmarkError.noCounters(home: home) }
            usleep(1000)
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(ServerCounters.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }
}

/// Ports that nobody listens on now, below the range from which the system takes the near ends of connections.
enum FreePorts {
    static func take(_ count: Int) throws -> [Int] {
        var ports: [Int] = []
        for _ in 0..<10_000 where ports.count < count {
            let port = Int.random(in: 12_000..<32_000)
            if !ports.contains(port), isFree(port) { ports.append(port) }
        }
        guard ports.count == count else { throw BenchmarkError.noFreePorts }
        return ports
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
