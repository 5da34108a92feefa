// solidus torture

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import Foundation
import HistoryChecker
import HostileClients
import QuorumClient
import QuorumProtocol

struct Torture: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have clients work while servers are killed, stopped and damaged, and judge what they saw.",
        discussion: """
            At most f servers are not correct at any time, so every operation must go on, the history must be \
            linearizable, and at the end every server must heal. The servers must be of this machine. With --faulty, one server lies all the time; as its \
            store then lacks what it promised, use a cluster made for that and throw it away afterwards.
            """)

    @Option(help: "The cluster's directory. Servers that do not run are started, and stopped at the end.")
    var cluster: String
    @Option(help: "How many clients work at the same time, each on one operation after the other.")
    var clients = 8
    @Option(help: "How many objects they work on.")
    var objects = 5
    @Option(help: "How many seconds they work; what comes after takes a few seconds more.")
    var seconds: Double = 60
    @Option(help: "Where the history is written, one JSON object a line.")
    var history: FileArgument
    @Option(help: "What the choices of clients and nemesis are drawn from; a random one when not given.")
    var seed: UInt64?
    @Option(help: "How many seconds lie between two actions of the nemesis; 0 for none.")
    var nemesis: Double = 2
    @Option(help: "Replace one server by a liar with this policy (solidus-faulty-server --help lists them).")
    var faulty: String?
    @Option(help: "Which server the liar replaces; one of the seed's choice when not given.")
    var faultyServer: Int?
    @Option(
        help: """
            How many stripes a value may have. With more than one, clients put such values too, and read ranges and \
            listings; a cluster with small stripes (cluster init --stripe-bytes) makes many of little.
            """)
    var stripes = 1
    @Option(
        help: """
            Have the nemesis fill the servers' disks, too: their stores are moved onto file systems in memory, of so \
            many MiB each, and back at the end. As root; otherwise the summary says that it was skipped.
            """)
    var smallDisks: Int?
    @Option(
        name: .customLong("lose"),
        help: """
            Have the nemesis make servers lose their store in this way, too, and rebuild them; may be repeated: wipe has \
            the store gone, roll-back an earlier state of it put back. The operator's key has to be there.
            """)
    var losses: [StoreLoss] = []
    @Option(
        name: .customLong("hostile"),
        help: """
            Have a client attack in this way throughout; may be repeated. Its identity, hostile-KIND, is added to the \
            cluster if need be, for which the operator's key has to be there.
            """)
    var attacks: [AttackKind] = []
    @Option(
        help: """
            How many requests and connections together each attack of --hostile makes to a server a second, once it is \
            prepared; as many as it can unless given.
            """)
    var attackRate: Double?
    @Option(
        help: """
            Have clients speak S3 to so many gateways, any of which the nemesis kills and starts again at any time. Their \
            identities, torture-gateway-N, are added to the cluster if need be, for which the operator's key has to be \
            there; conditional writes are off in them.
            """)
    var gateways = 0
    @Flag(help: "Have clients write partially, as 'solidus put --partial' does.")
    var partial = false
    @Option(help: "How many seconds an operation may take.")
    var timeout: Double = 15
    @Option(help: "How many seconds without a completed get, or without a put or deletion, are a failure.")
    var stall: Double = 10
    @Option(
        help: """
            How many seconds servers may take, once nothing harms them any more, until each serves, lacks nothing, and, \
            without a liar, is well.
            """)
    var heal: Double = 300
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        for (name, value) in [("seconds", seconds), ("timeout", timeout), ("stall", stall), ("heal", heal)] {
            guard value > 0, value <= 1_000_000 else {
                throw ValidationError("--\(name) must be more than 0 and at most 1000000 seconds.")
            }
        }
        guard nemesis >= 0, nemesis <= 86_400 else {
            throw ValidationError("--nemesis must be 0 to 86400 seconds.")
        }
        guard (1...1024).contains(clients) else { throw ValidationError("--clients must be 1 to 1024.") }
        guard (1...100_000).contains(objects) else { throw ValidationError("--objects must be 1 to 100000.") }
        guard (1...64).contains(stripes) else { throw ValidationError("--stripes must be 1 to 64.") }
        guard (0...16).contains(gateways) else { throw ValidationError("--gateways must be 0 to 16.") }
        guard gateways == 0 || (stripes == 1 && smallDisks == nil && !partial) else {
            throw ValidationError("--gateways does not go together with --stripes, --small-disks and --partial.")
        }
        guard stripes == 1 || smallDisks == nil else {
            throw ValidationError("--stripes and --small-disks do not go together: small disks take small values.")
        }
        guard faulty != nil || faultyServer == nil else {
            throw ValidationError("--faulty-server says which server; say with --faulty how it lies.")
        }
        guard Set(attacks).count == attacks.count else {
            throw ValidationError("--hostile names a kind of attack twice; each has one client.")
        }
        guard attackRate.map({ $0 > 0 && $0 <= 1_000_000 }) ?? true else {
            throw ValidationError("--attack-rate must be more than 0 and at most 1000000 a second.")
        }
        guard Set(losses).count == losses.count else {
            throw ValidationError("--lose names a way twice.")
        }
        guard losses.isEmpty || nemesis > 0 else {
            throw ValidationError("It is the nemesis that has servers --lose their stores; --nemesis must not be 0.")
        }
        if let smallDisks {
            guard losses.isEmpty else {
                throw ValidationError("--small-disks and --lose do not go together: a lost store takes its disk along.")
            }
            let allowed = TortureDisks.sizeMebibytesMin...(1 << 20)
            guard allowed.contains(smallDisks) else {
                throw ValidationError("--small-disks must be \(allowed.lowerBound) to \(allowed.upperBound) MiB.")
            }
            guard nemesis > 0 else {
                throw ValidationError("The nemesis fills --small-disks; --nemesis must not be 0.")
            }
            guard faulty == nil else {
                throw ValidationError(
                    "--small-disks and --faulty do not go together: puts have to reach all servers to fill them.")
            }
            guard clients > 1 else { throw ValidationError("--small-disks takes at least two --clients.") }
        }
    }

    /// How long operations under way may take when the time is over.
    private static let finishing = Duration.seconds(1)
    /// How much longer clients work if the run has not shown what it is to show.
    private static let extensionMax = Duration.seconds(120)
    /// So many of the objects are attacked.
    private static let attackedObjectsMax = 8
    /// How long the last reads may take, and as long the deletion of what was made.
    private static let closing = Duration.seconds(5)

    func run() async throws {
        let configuration = try ClusterDescription(contentsOf: cluster + "/" + ClusterConfiguration.fileName)
        let seed = seed ?? UInt64.random(in: .min ... .max)
        let prefix = Self.newPrefix()
        var plan = try plan(configuration, seed: seed, objectPrefix: prefix)
        if gateways > 0 { plan.gateways = try GatewayPlan(clusterDirectory: cluster, count: gateways) }
        try addHostileClients(configuration)
        let recorder = try HistoryRecorder(history)
        let stores = try openClients(configuration)
        let progress = TortureProgress()
        let obstacle = try obstacleToSmallDisks(identityCount: stores.count)
        let hasSmallDisks = smallDisks != nil && obstacle == nil
        let keys = try (0..<objects).map { try ObjectKey("\(prefix)/\($0)") }
        let workload: any TortureWork
        let credential = try plan.gateways.map { try GatewayAccess.credential($0, by: stores[0]) }
        if let gateways = plan.gateways, let credential {
            workload = GatewayWorkload(
                ports: gateways.ports, identity: GatewayAccess.identity(credential), timeoutSeconds: timeout,
                clientCount: clients, keys: keys, recorder: recorder, progress: progress, seed: seed)
        } else {
            workload = TortureWorkload(
                clients: stores, clientCount: clients, keys: keys, recorder: recorder, progress: progress, seed: seed,
                stripeCountMax: stripes, hasSmallDisks: hasSmallDisks)
        }
        let disks = smallDisks.flatMap { size in
            guard hasSmallDisks else { return nil as TortureDisks? }
            return TortureDisks(sizeMebibytes: size) { change in
                progress.disksChanged(change)
                // What has waited for servers that were full would wait for its whole time.
                if case .roomAgain = change { workload.giveUpAll() }
            }
        }
        let keeper = TortureKeeper(plan, disks) { workload.giveUp($0 % workload.clientCount) }
        let ballast = disks.map { TortureBallast(stores[0], $0, prefix: prefix + "/ballast") }
        let healing = TortureHealing(
            clusterDirectory: cluster, client: try correctClients(configuration)[0].name, liar: plan.faulty?.server)

        Standard.complain("torture: seed \(seed), \(clients) clients as \(stores.count) identities")
        let outcome: Result<TortureSummary, any Error>
        do {
            try await keeper.start()
            if let gateways = plan.gateways, let credential {
                try await GatewayAccess.open(gateways, credential, by: stores[0], bucket: Self.bucket)
            }
            outcome = .success(
                try await torment(
                    workload, keeper, recorder, plan, disks, ballast, healing,
                    skipped: obstacle.map { ["--small-disks: \($0)"] } ?? []))
        } catch {
            outcome = .failure(error)
        }
        ballast?.end()
        for store in stores { await store.close() }
        try await keeper.leave()
        var summary = try outcome.get()
        try recorder.finish()
        summary.attacks = keeper.current.attacks.map(TortureSummary.Attack.init)
        summary.findings = keeper.current.findings + (ballast?.counts.findings ?? [])
        if let disks = summary.disks {
            if disks.timesFull == 0 {
                summary.findings.append("the disks were never so full that puts were refused")
            } else if disks.putsAfterFull == 0 {
                summary.findings.append("no put completed after the disks had room again")
            }
        }
        for loss in losses where summary.nemesis[loss.action.rawValue] == nil {
            summary.findings.append("no server lost its store by --lose \(loss.rawValue)")
        }
        if gateways > 0, nemesis > 0, summary.nemesis[Nemesis.Action.killGateway.rawValue] == nil {
            summary.findings.append("no gateway was killed")
        }
        for seen in summary.misbehaving where seen.server != plan.faulty?.server {
            summary.findings.append("server \(seen.server) was accused, and is no liar: it \(seen.first)")
        }
        Standard.complain("torture: judging the history")
        summary.judgement = try Judgement(ofHistory: history)
        try Report.finish(report, summary, text: summary.text)
        if let status = summary.failure { throw ReportedVerdict(status: status) }
    }

    /// Runs the clients for their time, heals the servers, has everything read once more, and waits until every server
    /// has all that it should.
    private func torment(
        _ workload: any TortureWork, _ keeper: TortureKeeper, _ recorder: HistoryRecorder, _ plan: TorturePlan,
        _ disks: TortureDisks?, _ ballast: TortureBallast?, _ healing: TortureHealing, skipped: [String]
    ) async throws -> TortureSummary {
        let start = ContinuousClock.now
        let end = start + .seconds(seconds)
        let (losses, hasGateways) = (losses, gateways > 0 && nemesis > 0)
        let isOver: @Sendable () -> Bool = {
            let state = keeper.current
            guard !state.isInterrupted, state.failure == nil else { return true }
            // Disks that were to be filled must have been, and puts must have gone on; attacks must have come through;
            // stores must have been lost.
            let hasShown =
                state.areAttacksFelt && (disks == nil || workload.progress.counts.putsAfterFull > 0)
                && losses.allSatisfy { state.actionCounts[$0.action] != nil }
                && (!hasGateways || state.actionCounts[.killGateway] != nil)
            return ContinuousClock.now >= (hasShown ? end : end + Self.extensionMax)
        }
        workload.progress.begin()
        let reporter = Task { await reportProgress(workload.progress, keeper, recorder) }
        defer { reporter.cancel() }
        // What waits for servers that do not answer would go on for its whole time.
        let finisher = Task {
            while !isOver() { try await Task.sleep(for: .milliseconds(50)) }
            try await Task.sleep(for: Self.finishing)
            workload.giveUpAll()
        }
        defer { finisher.cancel() }
        let filling = Task { await ballast?.run() }
        await workload.run(until: isOver)
        // Or it would give up what is read back.
        finisher.cancel()
        let ran = ContinuousClock.now - start
        // What the servers' healing takes is no time in which operations should have completed.
        let counts = workload.progress.counts
        try await keeper.heal()
        ballast?.end()
        await filling.value
        let before = workload.progress.counts
        // A read that takes longer than the limit has failed, however patient its client is.
        await Self.bounded(Self.closing + .seconds(stall)) { await workload.readBack(until: .now + Self.closing) }
        let after = workload.progress.counts
        try await keeper.quieten()
        let healed = await healing.wait(.seconds(heal))
        await Self.bounded(Self.closing + Self.finishing) { await workload.clearUp(until: .now + Self.closing) }
        let state = keeper.current
        return TortureSummary(
            seed: plan.seed, clients: clients, objects: objects, ranSeconds: ran / .seconds(1), counts: counts,
            readBack: after.completed - before.completed, readBackFailed: after.failed - before.failed,
            firstFailure: after.firstFailure, misbehaviours: after.misbehaviours, stallLimitSeconds: stall, plan: plan,
            state: state, healedAfter: healed.took, open: healed.open,
            disks: disks.flatMap { disks in
                ballast.map { TortureSummary.Disks(disks, $0.counts, counts) }
            },
            skipped: skipped)
    }

    /// Has `body` give up after so long.
    private static func bounded(_ patience: Duration, _ body: @escaping @Sendable () async -> Void) async {
        let work = Task { await body() }
        let timer = Task {
            try await Task.sleep(for: patience)
            work.cancel()
        }
        await work.value
        timer.cancel()
    }

    private func reportProgress(
        _ progress: TortureProgress, _ keeper: TortureKeeper, _ recorder: HistoryRecorder
    ) async {
        let start = ContinuousClock.now
        var before = TortureProgress.Counts()
        while true {
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
            let counts = progress.counts
            let state = keeper.current
            let actions = state.actionCounts.values.reduce(0, +)
            let passed = (ContinuousClock.now - start).components.seconds
            Standard.complain(
                "\(passed) s: \(counts.reads.count - before.reads.count) reads/s, "
                    + "\(counts.writes.count - before.writes.count) writes/s, \(counts.completed) completed, "
                    + "\(counts.failed) failed, \(counts.unknown) unknown; nemesis \(actions): \(state.description)")
            before = counts
            // What cannot be written is reported at the end.
            try? recorder.flush()
        }
    }

    // MARK: Preparing

    private func plan(
        _ configuration: ClusterDescription, seed: UInt64, objectPrefix: String
    ) throws -> TorturePlan {
        let serverCount = configuration.servers.count
        var plan = TorturePlan(
            location: ClusterLocation(directory: cluster, serverCount: serverCount),
            groups: configuration.parameters.configuration.groups.map { $0.members.map { Int($0.rawValue) } },
            faultsMax: configuration.parameters.quorums.faults, seed: seed)
        if nemesis > 0 { plan.nemesisSeconds = nemesis }
        if let faulty {
            var generator = TortureGenerator(seed: seed, purpose: "liar")
            let server = faultyServer ?? Int.random(in: 0..<serverCount, using: &generator)
            guard (0..<serverCount).contains(server) else {
                throw ValidationError("There is no server \(server); the cluster has servers 0 to \(serverCount - 1).")
            }
            plan.faulty = (server, faulty)
        }
        if !losses.isEmpty {
            guard plan.faultsMax > (faulty == nil ? 0 : 1) else {
                throw ValidationError("--faulty takes up the one fault that is allowed, and leaves none for --lose.")
            }
            guard OperatorHome.isThere(clusterDirectory: cluster) else {
                throw Failure(.configuration, "\(cluster) has no operator/key.pem, which --lose needs")
            }
            plan.losses = losses
        }
        if !attacks.isEmpty {
            guard configuration.parameters.mode.isSigned else {
                throw ValidationError("A cluster of the mode none does not stand up to --hostile clients.")
            }
            let attacked = (0..<min(objects, Self.attackedObjectsMax)).map { "\(objectPrefix)/\($0)" }
            plan.attacks = AttackPlan(kinds: attacks, objects: attacked, perSecond: attackRate)
        }
        return plan
    }

    /// Adds those that the cluster does not have yet.
    private func addHostileClients(_ configuration: ClusterDescription) throws {
        for kind in attacks {
            let name = AttackCommand.clientPrefix + kind.rawValue
            guard !configuration.clients.contains(where: { $0.name == name }) else { continue }
            _ = try OperatorHome(clusterDirectory: cluster).add(NewClient(name: name))
        }
    }

    /// One client for each identity, of which no more than needed are used.
    private func openClients(_ configuration: ClusterDescription) throws -> [ObjectClient] {
        var options = ClientOptions()
        options.timeoutMilliseconds = max(1, Int(timeout * 1000))
        options.workerCount = 1
        options.writesPartially = partial
        return try correctClients(configuration).prefix(clients).map { entry in
            try ObjectClient(home: ClientHome(clusterDirectory: cluster, client: entry.name), options: options)
        }
    }

    private func correctClients(_ configuration: ClusterDescription) throws(Failure) -> [AccessEntry] {
        let others = Set(GatewayHome.names(in: cluster))
        let correct = configuration.clients.filter {
            !$0.name.hasPrefix(AttackCommand.clientPrefix) && !others.contains($0.name)
        }
        guard !correct.isEmpty else {
            throw Failure(
                .configuration, "\(cluster) has hostile clients only; add another one with 'solidus client add'")
        }
        return correct
    }

    /// Why the disks that are to be filled cannot be; nil when they can, or none is to be.
    private func obstacleToSmallDisks(identityCount: Int) throws -> String? {
        guard smallDisks != nil else { return nil }
        guard identityCount > 1 else {
            throw ValidationError("--small-disks takes a cluster with at least two clients.")
        }
        let obstacle = TortureDisks.obstacle
        if let obstacle { Standard.complain("torture: SKIPPED --small-disks: \(obstacle)") }
        return obstacle
    }

    private static let bucket = "torture"

    /// What begins keys that nobody wrote before: histories begin with nothing there.
    private static func newPrefix() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return "\(bucket)/" + String(UInt64(time.tv_sec) << 20 | UInt64(time.tv_nsec) >> 10, radix: 36)
    }
}
