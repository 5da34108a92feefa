// The processes of the hostile clients, as the keeper's thread starts and ends them.

import CProcessControl
import CommandOutcome
import Foundation
import Glibc
import HostileClients
import QuorumTransport
import ServerProcesses

/// Which attacks there are to be, and on what.
struct AttackPlan: Sendable {
    var kinds: [AttackKind]
    /// Objects that correct clients write.
    var objects: [String]
    /// How much each does to a server a second; nil for as much as it can.
    var perSecond: Double?
}

/// A running `solidus-torture attack` for each kind. They die with the thread that started them.
struct TortureAttackers {
    private var running: [TortureAttacker] = []

    init(_ plan: AttackPlan, _ location: ClusterLocation) throws(Failure) {
        for kind in plan.kinds { running.append(try TortureAttacker(kind, plan, location)) }
    }

    /// Whether servers have had to do with every attack.
    mutating func areFelt() -> Bool {
        // Each is asked: the answers come through pipes.
        running.indices.count { running[$0].isFelt() } == running.count
    }

    /// What is wrong where a process has ended by itself; each is told once.
    mutating func complaints() -> [String] { running.indices.compactMap { running[$0].complaint() } }

    /// Ends the attacks.
    ///
    /// - Returns: what became of them, and what is wrong with that.
    mutating func stop() -> (reports: [AttackReport], findings: [String]) {
        for attacker in running { attacker.askToEnd() }
        var reports: [AttackReport] = []
        var findings: [String] = []
        for index in running.indices {
            let kind = running[index].kind
            guard let report = running[index].report() else {
                findings.append("the attack \(kind.rawValue) left no report: \(running[index].ended)")
                continue
            }
            reports.append(report)
            if !kind.isFelt(report.counters) {
                let reason = report.problem.map { ": \($0)" } ?? ""
                findings.append("the attack \(kind.rawValue) came to nothing\(reason) (\(report.counters.summary))")
            }
        }
        return (reports, findings)
    }
}

/// One of them.
private struct TortureAttacker {
    private static let patience = Duration.seconds(30)

    let kind: AttackKind
    private let processID: pid_t
    private let log: String
    private let reportPath: String
    private var end: ProcessEnd?
    /// Where it says that servers have had to do with it; nil once it did, or has ended.
    private var feltPipe: Int32?
    private var hasBeenFelt = false

    init(_ kind: AttackKind, _ plan: AttackPlan, _ location: ClusterLocation) throws(Failure) {
        self.kind = kind
        log = "\(location.run.path)/attack-\(kind.rawValue).log"
        reportPath = "\(location.run.path)/attack-\(kind.rawValue).json"
        unlink(reportPath)
        var words = ["solidus-torture", "attack", "--kind", kind.rawValue, "--cluster", location.directory]
        words += ["--report", reportPath]
        words += plan.objects.flatMap { ["--object", $0] } + location.homes.flatMap { ["--store", $0 + "/store"] }
        if let rate = plan.perSecond { words += ["--per-second", "\(rate)"] }
        let file = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard file >= 0 else { throw Failure(.inputOutput, "\(log): \(systemText(errno))") }
        defer { close(file) }
        let vector = words.map { strdup($0) } + [nil]
        defer { vector.forEach { free($0) } }
        var ends: [Int32] = [0, 0]
        guard process_control_pipe(&ends) == 0 else {
            throw Failure(.inputOutput, "no pipe can be made: \(systemText(errno))")
        }
        processID = process_control_spawn(ProgramFile.own, vector, file, ends[1], true)
        let code = errno
        close(ends[1])
        guard processID > 0 else {
            close(ends[0])
            throw Failure(.inputOutput, "the attack \(kind.rawValue) cannot be started: \(systemText(code))")
        }
        feltPipe = ends[0]
    }

    mutating func isFelt() -> Bool {
        if let pipe = feltPipe {
            var polled = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
            var byte: UInt8 = 0
            if poll(&polled, 1, 0) > 0 {
                hasBeenFelt = read(pipe, &byte, 1) == 1
                close(pipe)
                feltPipe = nil
            }
        }
        return hasBeenFelt
    }

    mutating func complaint() -> String? {
        guard end == nil, collect() else { return nil }
        return "the attack \(kind.rawValue) ended by itself: \(ended)"
    }

    func askToEnd() {
        if end == nil { Glibc.kill(processID, SIGTERM) }
    }

    /// What it leaves when it has ended, by force if it takes too long.
    mutating func report() -> AttackReport? {
        let deadline = ContinuousClock.now + Self.patience
        while !collect(), ContinuousClock.now < deadline { usleep(5000) }
        if end == nil {
            Glibc.kill(processID, SIGKILL)
            while !collect() { usleep(1000) }
        }
        guard let data = FileManager.default.contents(atPath: reportPath) else { return nil }
        return try? JSONDecoder().decode(AttackReport.self, from: data)
    }

    /// Whether the process has ended.
    private mutating func collect() -> Bool {
        var status: Int32 = 0
        if end == nil, waitpid(processID, &status, WNOHANG) == processID { end = ProcessEnd(waitStatus: status) }
        return end != nil
    }

    /// How it ended, with what it said.
    var ended: String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return "\(end.map { "\($0)" } ?? "still running"); \(log): \(text.suffix(1000))"
    }
}
