// An attacker in a process of its own, which shares neither threads nor locks with those whom it harms.

import Foundation
import HostileClients
import QuorumProtocol

/// A running `solidus-bench attack`.
final class AttackChild: Sendable {
    private let process: ChildProgram
    private let report: String

    var processID: pid_t { process.processID }

    /// Starts the attack, and returns when it is under way. It dies with the thread that started it.
    ///
    /// - Parameter perSecond: how much it may do to each server a second; nil for as much as it can.
    init(
        _ kind: AttackName, as client: String, on cluster: BenchmarkCluster, objects: [ObjectKey], perSecond: Double?
    ) throws {
        let path = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        report = "\(cluster.directory)/\(client).json"
        var words = ["solidus-bench", "attack", kind.rawValue, "--home", "\(cluster.directory)/clients/\(client)"]
        words += ["--report", report]
        if let perSecond { words += ["--per-second", "\(perSecond)"] }
        for key in objects { words += ["--object", "\(key)"] }
        for server in cluster.servers { words += ["--store", server.store] }
        process = try ChildProgram(
            "the attack \(kind.rawValue)", path: path, words: words, log: "\(cluster.directory)/\(client).log")
        do {
            try process.waitUntilReady()
        } catch {
            process.kill()
            throw error
        }
    }

    /// Ends the attack; what it counted.
    func stop() throws -> AttackCounters {
        try process.terminate()
        return try JSONDecoder().decode(AttackCounters.self, from: Data(contentsOf: URL(fileURLWithPath: report)))
    }

    /// Ends the process at once, unless that was done.
    func kill() { process.kill() }
}
