// Restarting servers one after the other, such that no group ever has more servers that do not work than it bears. With
// a new life for each this is proactive recovery (docs/protocol.md, Rebuilding): whoever had got into a server has lost
// it then, with its key.

import ClusterFiles
import CommandOutcome
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import ServerProcesses

struct RollingRestart {
    struct Plan: Sendable {
        let target: ClusterDirectory
        let cluster: ClusterDescription
        let servers: [Int]
        let health: HealthArguments
        let readyMilliseconds: Int
        let catchUp: Duration
        let beginsAnew: Bool
        /// Whether each gets an empty store and a new key, and with them what the others have.
        var renews = false
    }

    /// What has happened to a server, in JSON.
    private struct Event: Encodable {
        enum Step: String, Encodable {
            /// An earlier run has restarted it.
            case restartedBefore = "restarted_before"
            /// Others of its groups have to get back first what they have missed.
            case waits
            case stopped
            /// It has an empty store of its next incarnation, and the operator's list has its new key.
            case renewed
            case started
            /// It is waited for until it has back what it has missed.
            case lacks
            case whole
        }
        let server: Int
        let step: Step
        var process: Int?
        var incarnation: UInt64?
        /// It did not end in time.
        var killed: Bool?
        /// What is waited for: objects, and other servers to be met, of this server or of these.
        var wants: UInt64?
        var serversToMeet: UInt64?
        var waitingFor: [Int]?
        var seconds: Double?
    }

    private struct Summary: Encodable {
        struct Counts: Encodable {
            let restarted: [Int]
            let restartedBefore: [Int]
        }
        let summary: Counts
    }

    private static let pollInterval = Duration.milliseconds(500)
    private static let tellInterval = Duration.seconds(10)

    private let plan: Plan
    private let report: ReportOptions
    private var supervisor: Supervisor
    /// What servers lacked before anything was done, and could not get.
    private var stuck: [Int: UInt64] = [:]
    private var processes: RunDirectory { plan.target.run }

    init(_ plan: Plan, _ report: ReportOptions) throws(Failure) {
        self.plan = plan
        self.report = report
        supervisor = try Supervisor(run: plan.target.run, watchesSignals: false)
    }

    mutating func run() async throws {
        let condition = try await plan.health.condition(of: plan.target)
        try check(condition)
        for server in condition.servers { stuck[server.number] = server.status?.failedWants ?? 0 }
        if plan.beginsAnew { plan.servers.forEach { unlink(doneFile($0)) } }
        let before = plan.servers.filter { isDone($0) }
        let down = plan.servers.filter { processes.server($0) == nil }
        let others = plan.servers.filter { !before.contains($0) && !down.contains($0) }
        do {
            // All of them, before any is waited for: they may need each other.
            for server in down {
                if plan.renews { try goOnRenewing(server) }
                try start(server)
            }
            if plan.renews, !down.isEmpty { try distributeLists() }
            for server in before {
                let process = processes.server(server).map { Int($0.processID) }
                try tell(
                    Event(server: server, step: .restartedBefore, process: process),
                    "was restarted by an earlier run" + (process.map { " (process \($0))" } ?? ""))
            }
            for server in down + before { try await waitUntilWhole(server) }
            for server in others {
                try await waitForOthers(of: server)
                try Task.checkCancellation()
                try stop(server)
                if plan.renews { try renew(server) }
                try start(server)
                if plan.renews { try distributeLists() }
                try await waitUntilWhole(server)
            }
        } catch is CancellationError {
            throw Failure(.unexpected, "no server was left stopped; the same command goes on with what is left")
        }
        let restarted = (down + others).sorted()
        plan.servers.forEach { unlink(doneFile($0)) }
        try Report.line(
            report, Summary(summary: .init(restarted: restarted, restartedBefore: before)),
            text: "\(plan.renews ? "recovered" : "restarted") \(serverCount(restarted.count))"
                + (before.isEmpty ? "" : ", and \(before.count) in an earlier run"))
    }

    /// Whether an earlier run has started the process that runs now, from this very program.
    private func isDone(_ server: Int) -> Bool {
        guard let stamp = ProcessStamp(readingFrom: doneFile(server)), stamp.isRunning else { return false }
        return stamp.runs(ProgramFile.own)
    }

    /// Where it is noted that this command is done with a server.
    private func doneFile(_ server: Int) -> String {
        plan.renews ? processes.recoveredFile(server) : processes.restartedFile(server)
    }

    private func tell(_ event: Event, _ text: String) throws {
        try Report.line(report, event, text: "server \(event.server): \(text)")
    }

    // MARK: Whether it may be

    /// Everything that can be seen before the first server is stopped.
    private func check(_ condition: ClusterCondition) throws(Failure) {
        if let supervisor = processes.supervisor {
            throw Failure(
                .inputOutput,
                "the cluster runs in the foreground of process \(supervisor.processID), which would miss the servers that "
                    + "are restarted; stop it, and start the cluster with --detach")
        }
        for server in plan.servers {
            let elsewhere =
                "restart it there ('systemctl restart solidus@\(server)' if systemd runs it), one server after the "
                + "other, and name those that are to be restarted here with --server"
            guard access(plan.target.home(server), F_OK) == 0 else {
                throw Failure(
                    .configuration,
                    "server \(server) has no home in \(plan.target.path), so it runs elsewhere; \(elsewhere)")
            }
            guard let stamp = processes.server(server) else {
                guard condition.servers.first(where: { $0.number == server })?.reachable != true else {
                    throw Failure(
                        .configuration, "server \(server) answers, and does not run from this directory; \(elsewhere)")
                }
                continue
            }
            guard processes.started(server) == stamp else {
                throw Failure(
                    .inputOutput,
                    "server \(server) runs as process \(stamp.processID), which 'cluster up' has not started; restart it "
                        + "as it was started ('systemctl restart solidus@\(server)' if systemd runs it), or have 'cluster "
                        + "down' stop it and 'cluster up --detach' start it once")
            }
        }
    }

    /// Returns once this server may be stopped: no more servers of its groups do not work than they bear with it, and
    /// nobody else of them is about to get back what it has missed.
    ///
    /// - Throws: when more do not work, or it takes too long.
    private func waitForOthers(of server: Int) async throws {
        // Starting one that is down takes nothing from anybody.
        guard processes.server(server) != nil else { return }
        let faults = plan.cluster.parameters.quorums.faults
        let deadline = ContinuousClock.now + plan.catchUp
        var toldAt: ContinuousClock.Instant?
        while true {
            let condition = try await plan.health.condition(of: plan.target)
            let groups = condition.groups.filter { $0.servers.contains(server) }
            let others = Set(groups.flatMap(\.servers)).subtracting([server])
            let failed = condition.servers.filter { others.contains($0.number) && $0.fault != nil }
            for group in groups {
                let down = failed.filter { group.servers.contains($0.number) }
                guard down.count + 1 > faults else { continue }
                let why = down.map { "server \($0.number) \($0.fault ?? "")" }.joined(separator: ", ")
                throw Failure(
                    .unavailable,
                    "server \(server) is not restarted: of group \(group.number) "
                        + (why.isEmpty ? "no server may be down" : "\(why), and no more than \(faults) may be down"))
            }
            let lacking = condition.servers.filter { others.contains($0.number) && $0.fault == nil && !isWhole($0) }
            if lacking.isEmpty { return }
            let names = lacking.map { "server \($0.number)" }.joined(separator: ", ")
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .unavailable,
                    "server \(server) is not restarted: \(names) still lacks something "
                        + "('solidus cluster status \(plan.target.path)'); run the command again")
            }
            if isDue(&toldAt) {
                try tell(
                    Event(
                        server: server, step: .waits, wants: lacking.reduce(0) { $0 + ($1.status?.wants ?? 0) },
                        serversToMeet: lacking.reduce(0) { max($0, $1.status?.serversToMeet ?? 0) },
                        waitingFor: lacking.map(\.number)),
                    "waits for \(names) to get back what is missing there")
            }
            try await Task.sleep(for: Self.pollInterval)
        }
    }

    /// Whether a server has back what it has missed. What it could not get before anything was done it need not get.
    private func isWhole(_ server: ClusterCondition.Server) -> Bool {
        guard let status = server.status, server.fault == nil, status.serversToMeet == 0 else { return false }
        return status.wants == 0
            || (status.wants <= stuck[server.number] ?? 0 && status.failedWants >= status.wants)
    }

    private func isDue(_ toldAt: inout ContinuousClock.Instant?) -> Bool {
        let now = ContinuousClock.now
        guard toldAt.map({ now - $0 >= Self.tellInterval }) ?? true else { return false }
        toldAt = now
        return true
    }

    // MARK: One server

    private func stop(_ server: Int) throws {
        guard let stamp = processes.server(server) else { return }
        let killed = !ProcessStamp.end([stamp]).isEmpty
        processes.remove(processes.serverFile(server), of: stamp)
        if killed { Standard.complain("warning: server \(server) did not end in time and was killed") }
        try tell(Event(server: server, step: .stopped, process: Int(stamp.processID), killed: killed), "stopped")
    }

    private mutating func start(_ server: Int) throws {
        let (_, failures) = try supervisor.start(
            [(index: server, path: plan.target.home(server))], diesWithCaller: false,
            waitMilliseconds: plan.readyMilliseconds)
        if let failure = failures.first?.failure {
            throw Failure(
                failure.status,
                failure.message + "\nserver \(server) is down; mend what is wrong and run the command again")
        }
        let stamp = processes.server(server)
        processes.note(stamp, in: doneFile(server))
        try tell(
            Event(server: server, step: .started, process: stamp.map { Int($0.processID) }),
            "started" + (stamp.map { " as process \($0.processID)" } ?? ""))
    }

    // MARK: A new life

    /// Gives up the server's store and key, and begins its next life.
    private func renew(_ server: Int) throws {
        let home = plan.target.home(server)
        guard let present = try NewLife.incarnation(home) else { return try renewed(server, NewLife(home: home)) }
        try renewed(server, NewLife(home: home, givingUp: present))
    }

    /// The same for a server that is down: if an earlier run has begun that.
    private func goOnRenewing(_ server: Int) throws {
        let home = plan.target.home(server)
        let cluster = try ClusterDescription(contentsOf: plan.target.clusterFile)
        guard try NewLife.isUnfinished(home, in: cluster, of: NodeID(UInt16(server))) else {
            throw Failure(
                .unavailable,
                "server \(server) is down; start it first ('solidus cluster up \(plan.target.path)'), since one server at a "
                    + "time may be without what it knows")
        }
        try renewed(server, NewLife(home: home))
    }

    private func renewed(_ server: Int, _ life: NewLife) throws {
        let incarnation = life.rebuilt.entry.incarnation
        guard life.isListed else {
            throw Failure(
                .configuration,
                "the operator's key is not in \(plan.target.path): sign the list of keys where it is, with these lines, "
                    + "and start server \(server) then:\n" + life.rebuilt.listLines.joined(separator: "\n"))
        }
        try tell(
            Event(server: server, step: .renewed, incarnation: incarnation.rawValue),
            "has an empty store and a new key, \(incarnation)")
    }

    /// Has the servers of this machine go by the list of keys that was just signed. Those elsewhere get it from them.
    private func distributeLists() throws {
        let cluster = try ClusterDescription(contentsOf: plan.target.clusterFile)
        let distribution = try ListDistribution(plan.target, cluster)
        distribution.warn()
    }

    // MARK: What it has missed

    /// Returns once a server that was started answers and has back what it has missed.
    ///
    /// - Throws: when it ends, or it takes too long.
    private func waitUntilWhole(_ server: Int) async throws {
        let begun = ContinuousClock.now
        let deadline = begun + plan.catchUp
        var toldAt: ContinuousClock.Instant?
        while true {
            try Task.checkCancellation()
            let condition = try await plan.health.condition(of: plan.target)
            guard let found = condition.servers.first(where: { $0.number == server }) else { return }
            if isWhole(found) {
                let seconds = ((ContinuousClock.now - begun) / .seconds(1) * 10).rounded() / 10
                return try tell(
                    Event(server: server, step: .whole, seconds: seconds), "has everything, after \(seconds) s")
            }
            guard processes.server(server) != nil else {
                throw Failure(
                    .unavailable,
                    "server \(server) has ended; \(plan.target.home(server))/server.log says why. No other is restarted"
                )
            }
            let lack = found.fault ?? found.status?.lack ?? ""
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .unavailable,
                    "server \(server) \(lack), for longer than --catch-up; no other is restarted before it has everything"
                )
            }
            if isDue(&toldAt) {
                try tell(
                    Event(
                        server: server, step: .lacks, wants: found.status?.wants,
                        serversToMeet: found.status?.serversToMeet), lack)
            }
            try await Task.sleep(for: Self.pollInterval)
        }
    }
}

extension ClusterCondition.Server {
    /// Why it counts as faulty; nil when it works.
    fileprivate var fault: String? {
        guard let status else { return "cannot be reached" }
        guard status.rebuild == nil else { return "is being rebuilt" }
        return status.isWritable ? nil : "takes no puts"
    }
}

extension ClusterCondition.Status {
    /// What it does not have yet.
    fileprivate var lack: String {
        serversToMeet > 0
            ? "has to hear from \(serverCount(Int(clamping: serversToMeet))) what it has missed"
            : "lacks something of \(wants) objects"
                + (failedWants > 0 ? ", of which \(failedWants) cannot be had now" : "")
    }
}
