// The gateways of a torture, as the keeper's thread starts them and kills them. They are no servers: any of them may be
// killed at any time, also all at once.

import CProcessControl
import ClusterFiles
import CommandOutcome
import Foundation
import Glibc
import QuorumTransport
import S3Wire
import ServerProcesses

/// Which gateways there are.
struct GatewayPlan: Sendable {
    static let clientPrefix = "torture-gateway-"

    let clusterDirectory: String
    /// Of the clients that they are.
    let names: [String]
    /// Where they listen, on loopback.
    let ports: [Int]

    /// Gateways of a cluster, which are made as far as there are none yet.
    ///
    /// - Throws: what keeps them from being made; the operator's key has to be there.
    init(clusterDirectory: String, count: Int) throws {
        self.clusterDirectory = clusterDirectory
        names = (0..<count).map { "\(Self.clientPrefix)\($0)" }
        ports = try Self.freePorts(count)
        let made = GatewayHome.names(in: clusterDirectory)
        var settings = GatewaySettings()
        settings.conditionalWrites = .off
        for name in names where !made.contains(name) {
            _ = try OperatorHome(clusterDirectory: clusterDirectory).add(NewClient(name: name))
            try GatewayHome.make(name, clusterDirectory: clusterDirectory, settings: settings)
        }
    }

    /// Ports that nobody listens on, below those from which the system takes the near ends of connections.
    private static func freePorts(_ count: Int) throws(Failure) -> [Int] {
        var ports: [Int] = []
        for _ in 0..<10_000 where ports.count < count {
            let port = Int.random(in: 12_000..<32_000)
            if !ports.contains(port), (try? S3Connection(port: port, timeoutSeconds: 1)) == nil { ports.append(port) }
        }
        guard ports.count == count else { throw Failure(.inputOutput, "there are no free ports for the gateways") }
        return ports
    }
}

struct TortureGateways {
    private static let patienceMilliseconds = 30_000

    private let plan: GatewayPlan
    private let logs: String
    /// Nil while it does not run.
    private var processes: [pid_t?]

    /// Starts all of them.
    init(_ plan: GatewayPlan, logs: String) throws(Failure) {
        self.plan = plan
        self.logs = logs
        processes = Array(repeating: nil, count: plan.names.count)
        try startAll()
    }

    /// Kills some, and starts some of those that are gone.
    ///
    /// - Returns: how many it killed and started.
    mutating func act(_ generator: inout TortureGenerator) throws(Failure) -> (killed: Int, started: Int) {
        var counts = (killed: 0, started: 0)
        for index in processes.indices {
            if processes[index] == nil {
                try start(index)
                counts.started += 1
            } else if generator.chance(percent: 40) {
                kill(index)
                counts.killed += 1
                if generator.chance(percent: 50) {
                    try start(index)
                    counts.started += 1
                }
            }
        }
        return counts
    }

    /// Starts those that are gone, and returns when all listen.
    mutating func startAll() throws(Failure) {
        for index in processes.indices where processes[index] == nil { try start(index) }
        let deadline = ContinuousClock.now + .milliseconds(Self.patienceMilliseconds)
        for (index, port) in plan.ports.enumerated() {
            while (try? S3Connection(port: port, timeoutSeconds: 1)) == nil {
                guard ContinuousClock.now < deadline else {
                    throw Failure(.inputOutput, "the gateway \(plan.names[index]) does not listen; see \(log(index))")
                }
                usleep(10_000)
            }
        }
    }

    /// What is wrong: gateways that ended by themselves, each told once.
    mutating func complaints() -> [String] {
        var complaints: [String] = []
        for index in processes.indices {
            guard let process = processes[index] else { continue }
            var status: Int32 = 0
            guard waitpid(process, &status, WNOHANG) == process else { continue }
            processes[index] = nil
            let text = (try? String(contentsOfFile: log(index), encoding: .utf8)) ?? ""
            complaints.append(
                "the gateway \(plan.names[index]) ended by itself: \(ProcessEnd(waitStatus: status)); "
                    + "\(log(index)): \(text.suffix(1000))")
        }
        return complaints
    }

    mutating func killAll() {
        for index in processes.indices { kill(index) }
    }

    private func log(_ index: Int) -> String { "\(logs)/\(plan.names[index]).log" }

    private mutating func kill(_ index: Int) {
        guard let process = processes[index] else { return }
        Glibc.kill(process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        processes[index] = nil
    }

    /// It need not listen yet on return.
    private mutating func start(_ index: Int) throws(Failure) {
        let program = try ProgramFile.beside("solidus")
        let words = [
            "solidus", "gateway", "serve", "--cluster", plan.clusterDirectory, "--name", plan.names[index], "--listen",
            "127.0.0.1:\(plan.ports[index])",
        ]
        let file = open(log(index), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard file >= 0 else { throw Failure(.inputOutput, "\(log(index)): \(systemText(errno))") }
        defer { close(file) }
        // A gateway says by its port that it is ready; of this pipe it knows nothing.
        var ends: [Int32] = [0, 0]
        guard process_control_pipe(&ends) == 0 else {
            throw Failure(.inputOutput, "no pipe can be made: \(systemText(errno))")
        }
        defer { for end in ends { close(end) } }
        let vector = words.map { strdup($0) } + [nil]
        defer { vector.forEach { free($0) } }
        let child = process_control_spawn(program, vector, file, ends[1], true)
        guard child > 0 else {
            throw Failure(.inputOutput, "the gateway \(plan.names[index]) cannot be started: \(systemText(errno))")
        }
        processes[index] = child
    }
}
