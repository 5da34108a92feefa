// The thread that owns the servers' processes during a torture: it starts them, lets the nemesis loose on them, and
// leaves them as it found them.

import CProcessControl
import CommandOutcome
import Foundation
import Glibc
import QuorumTransport
import ServerProcesses
import Synchronization

/// What is done to the servers.
struct TorturePlan: Sendable {
    var location: ClusterLocation
    /// The members of each group.
    var groups: [[Int]]
    var faultsMax: Int
    var seed: UInt64
    /// Between two actions of the nemesis; nil for none.
    var nemesisSeconds: Double?
    /// Which server is replaced by a liar, and the liar's policy.
    var faulty: (server: Int, kind: String)?
    /// What hostile clients do; nil for none.
    var attacks: AttackPlan?
    /// In which ways the nemesis has servers lose their stores.
    var losses: [StoreLoss] = []
    /// Through which clients go; nil when they are clients of the servers.
    var gateways: GatewayPlan?
}

/// Keeps the servers. While its thread runs no other command may start or stop servers of the cluster.
final class TortureKeeper: Sendable {
    /// What it is doing, in this order.
    enum Phase: Int, Comparable {
        /// Between `healed` and `quiet` hostile clients go on; the nemesis does not.
        case starting, tormenting, healed, quiet, left

        static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
    }

    struct State {
        var phase = Phase.starting
        /// What it is to be doing.
        var wanted = Phase.tormenting
        var failure: Failure?
        var isInterrupted = false
        var description = ""
        var actionCounts: [Nemesis.Action: Int] = [:]
        var rebuilds = Nemesis.Rebuilds()
        var findings: [String] = []
        /// Whether servers have had to do with every attack that there is to be.
        var areAttacksFelt = false
        /// What became of the attacks; empty until the servers are left.
        var attacks: [AttackReport] = []
    }

    private static let pollMilliseconds: Int32 = 50

    private let plan: TorturePlan
    private let state = Mutex(State())
    private let disks: TortureDisks?
    private let cancelClient: @Sendable (Int) -> Void

    /// - Parameters:
    ///   - disks: what the servers' stores are to lie on, when it is not the file system where they are.
    ///   - cancelClient: makes the client whose number is this one, modulo their count, give up.
    init(_ plan: TorturePlan, _ disks: TortureDisks?, cancelClient: @escaping @Sendable (Int) -> Void) {
        self.plan = plan
        self.disks = disks
        self.cancelClient = cancelClient
    }

    var current: State { state.withLock { $0 } }

    /// Starts the servers that do not run, and the nemesis.
    func start() async throws(Failure) {
        Thread.detachNewThread { self.main() }
        try await reach(.tormenting)
    }

    /// Makes every server well again and keeps it so.
    func heal() async throws(Failure) { try await reach(.healed) }

    /// Ends hostile clients. Nothing harms anybody any more.
    func quieten() async throws(Failure) { try await reach(.quiet) }

    /// Leaves the servers as they were found. Does not fail when there is nothing to be left.
    func leave() async throws(Failure) { try await reach(.left) }

    private func reach(_ phase: Phase) async throws(Failure) {
        state.withLock { $0.wanted = phase }
        while true {
            let (reached, failure) = state.withLock { ($0.phase, $0.failure) }
            if reached >= phase || (reached == .left) {
                if let failure { throw failure }
                return
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    // MARK: The thread

    private func main() {
        do {
            let run = plan.location.run
            // Nothing is started or stopped: then others may do so.
            let isBystander =
                plan.nemesisSeconds == nil && plan.faulty == nil && plan.attacks == nil && disks == nil
                && plan.gateways == nil
                && (0..<plan.location.serverCount).allSatisfy { run.server($0) != nil }
            if isBystander {
                try keep()
            } else {
                if let supervisor = run.supervisor {
                    throw Failure(
                        .inputOutput,
                        "the cluster runs in the foreground of process \(supervisor.processID), which would miss the "
                            + "servers that are restarted; stop it, or start the cluster with --detach")
                }
                try run.create()
                try run.locked { try keep() }
            }
        } catch {
            let failure = Failure(ofAny: error) ?? Failure(.unexpected, "\(error)")
            state.withLock { $0.failure = failure }
        }
        state.withLock { $0.phase = .left }
    }

    private func keep() throws {
        let signals = process_control_watch_signals(true)
        guard signals >= 0 else { throw Failure(.inputOutput, "no pipe can be made: \(systemText(errno))") }
        let servers = TortureServers(plan.location)
        let stores = TortureStores(plan.location)
        stores.removeEarlier()
        defer { stores.removeEarlier() }
        var attackers: TortureAttackers?
        var gateways: TortureGateways?
        defer { gateways?.killAll() }
        do {
            if let disks {
                if let running = (0..<plan.location.serverCount).first(where: servers.isRunning) {
                    throw Failure(
                        .usage,
                        "server \(running) runs, so that its store cannot be moved onto a small disk; stop the servers "
                            + "with 'solidus cluster down'")
                }
                try disks.mount(over: (0..<plan.location.serverCount).map(servers.store))
            }
            try startAll(servers)
            if let attacks = plan.attacks {
                // Those that ran before may not know who attacks.
                servers.reloadLists()
                attackers = try TortureAttackers(attacks, plan.location)
            }
            if let wanted = plan.gateways {
                servers.reloadLists()
                gateways = try TortureGateways(wanted, logs: plan.location.run.path)
            }
            var nemesis = Nemesis(servers, stores, disks, plan)
            do {
                try torment(&nemesis, &attackers, &gateways, signals)
                try nemesis.relieveAll()
                try gateways?.startAll()
            } catch {
                try? nemesis.relieveAll()
                throw error
            }
            look(after: &nemesis, signals, in: .healed)
            nemesis.findings += stop(&attackers)
            look(after: &nemesis, signals, in: .quiet)
        } catch {
            let findings = stop(&attackers)
            state.withLock { $0.findings += findings }
            leave(servers)
            throw error
        }
        leave(servers)
    }

    /// Looks after servers that are harmed no more, until something else is wanted.
    private func look(after nemesis: inout Nemesis, _ signals: Int32, in phase: Phase) {
        state.withLock { $0.phase = phase }
        while true {
            nemesis.lookAfter()
            publish(nemesis)
            guard state.withLock({ $0.wanted <= phase }) else { return }
            wait(signals)
        }
    }

    /// Ends the attacks, and returns what is wrong with them.
    private func stop(_ attackers: inout TortureAttackers?) -> [String] {
        guard let (reports, findings) = attackers?.stop() else { return [] }
        attackers = nil
        state.withLock { $0.attacks = reports }
        return findings
    }

    private func startAll(_ servers: TortureServers) throws {
        for index in 0..<plan.location.serverCount {
            var program = TorturedProgram.correct
            if let faulty = plan.faulty, faulty.server == index {
                servers.terminate(index)
                program = .faulty(kind: faulty.kind, seed: plan.seed)
            }
            guard !servers.isRunning(index) else { continue }
            if let reason = try servers.start(index, program) {
                throw Failure(.inputOutput, "server \(index) does not start: \(reason)")
            }
        }
    }

    private func torment(
        _ nemesis: inout Nemesis, _ attackers: inout TortureAttackers?, _ gateways: inout TortureGateways?,
        _ signals: Int32
    ) throws(Failure) {
        state.withLock { $0.phase = .tormenting }
        let period = plan.nemesisSeconds.map { Duration.seconds($0) }
        var next = period.map { ContinuousClock.now + $0 }
        while state.withLock({ $0.wanted == .tormenting }) {
            publish(nemesis)
            wait(signals)
            nemesis.lookAfter()
            nemesis.findings += attackers?.complaints() ?? []
            nemesis.findings += gateways?.complaints() ?? []
            let areFelt = attackers?.areFelt() ?? true
            state.withLock { $0.areAttacksFelt = areFelt }
            guard let period, let due = next, ContinuousClock.now >= due else { continue }
            try nemesis.act { generator in cancelClient(Int.random(in: 0..<(1 << 20), using: &generator)) }
            if var harmed = gateways {
                gateways = nil
                defer { gateways = harmed }
                try nemesis.act(on: &harmed)
            }
            next = max(due + period, ContinuousClock.now)
        }
    }

    private func leave(_ servers: TortureServers) {
        if let faulty = plan.faulty { servers.terminate(faulty.server) }
        let complaints = servers.leaveAsFound() + (disks?.giveBack() ?? [])
        state.withLock { $0.findings += complaints }
    }

    private func publish(_ nemesis: Nemesis) {
        state.withLock { state in
            state.description = nemesis.description
            state.actionCounts = nemesis.actionCounts
            state.rebuilds = nemesis.rebuilds
            state.findings = nemesis.findings
        }
    }

    /// Waits for a moment or a signal; one that asks to stop ends the torture early.
    private func wait(_ signals: Int32) {
        var polled = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
        guard poll(&polled, 1, Self.pollMilliseconds) > 0 else { return }
        var numbers = [UInt8](repeating: 0, count: 64)
        let count = read(signals, &numbers, numbers.count)
        guard count > 0, numbers[0..<count].contains(where: { Int32($0) != SIGCHLD }) else { return }
        state.withLock { $0.isInterrupted = true }
    }
}
