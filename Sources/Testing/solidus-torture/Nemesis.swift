// Who harms the servers: at most f of each group are not correct at any time, and which ones changes all the time.
//
// A server is not correct from the moment it is harmed until it is well again: until a killed one, started again, says
// that it is ready; until a stopped one goes on; until every turned byte of its disk is turned back, which makes its
// store exactly what it was, so that it is then no server that lost anything, and, where others may lose their stores,
// what it has itself taken for lost meanwhile is back; until a disk that was taken to its last byte has room again; until
// one that has lost its store, or got an earlier state of it back, has begun anew and has all that the others have. One
// that a liar replaced never gets well, whether the liar still runs or not. Servers whose disks are full but for what
// puts leave are correct.

import CommandOutcome

/// Harms servers and relieves them.
struct Nemesis {
    enum Condition {
        case correct
        case down
        case stopped
        /// Its journal has rotten; it may run or not.
        case rotten(JournalDamage)
        /// Its journal is what it was since then; what it has taken for lost may not be back yet.
        case mending(since: ContinuousClock.Instant)
        /// Not a byte is free on its disk.
        case outOfDisk
        /// Its store is gone; it does not run.
        case wiped
        /// An earlier state of its store is in the store's place.
        case rolledBack(isRunning: Bool)
        /// It has begun anew, and lacks something yet.
        case rebuilding(Rebuild)
        /// A liar runs in its place.
        case replaced
        /// The liar in its place has ended by itself.
        case deserted

        var isCorrect: Bool { if case .correct = self { true } else { false } }

        var name: String {
            switch self {
            case .correct: "correct"
            case .down: "down"
            case .stopped: "stopped"
            case .rotten: "rotten"
            case .mending: "mending"
            case .outOfDisk: "out of disk"
            case .wiped: "wiped"
            case .rolledBack: "rolled back"
            case .rebuilding(let rebuild): rebuild.isDown ? "down, being rebuilt" : "being rebuilt"
            case .replaced: "lying"
            case .deserted: "deserted by its liar"
            }
        }
    }

    /// What it does to a server or a client, as it is counted.
    enum Action: String, CaseIterable {
        case kill, restart
        case cleanRestart = "clean_restart"
        case stop
        case rotFragments = "rot_fragments"
        case rotJournal = "rot_journal"
        case fillDisk = "fill_disk"
        case fillAllDisks = "fill_all_disks"
        case wipe
        case rollBack = "roll_back"
        /// The store of a server is begun anew; the command that does it is killed, or the server on its way.
        case rebuild
        case killRebuild = "kill_rebuild"
        case killListing = "kill_listing"
        case killHealing = "kill_healing"
        case relieve
        case cancelClient = "cancel_client"
        case killGateway = "kill_gateway"
        case startGateway = "start_gateway"
    }

    /// Each as often as it occurs here.
    private static let attacks: [Action] = [
        .kill, .kill, .kill, .restart, .restart, .cleanRestart, .stop, .stop, .stop, .rotFragments, .rotFragments,
        .rotJournal, .rotJournal,
    ]
    private static let attacksOnDisks: [Action] = [.fillDisk, .fillDisk]
    /// While all disks are full, before they get room again.
    private static let fullActions = 3...6
    /// How long it may take until a server has found what it lacks, and counted it.
    private static let mendingMin = Duration.seconds(3)
    /// How long filling may take.
    private static let fillingMax = Duration.seconds(60)

    let servers: TortureServers
    let stores: TortureStores
    /// In which ways servers lose their stores.
    let losses: [StoreLoss]
    private let disks: TortureDisks?
    private let groups: [[Int]]
    private let faultsMax: Int
    var conditions: [Condition]
    var generator: TortureGenerator
    private(set) var actionCounts: [Action: Int] = [:]
    /// What went wrong that nobody meant to: servers, the liar among them, that ended by themselves or did not come
    /// back. Nobody promises anything for a liar, but without it the run shows less than it was to show.
    var findings: [String] = []
    var rebuilds = Rebuilds()
    private var fillingUntil: ContinuousClock.Instant?
    private var fullActionsLeft = 0

    /// - Parameters:
    ///   - stores: of these servers.
    ///   - disks: the servers' file systems, if they are small enough to be filled.
    ///   - plan: whom to harm in which ways: of each group at most so many at a time as may fail, a liar among them.
    init(_ servers: TortureServers, _ stores: TortureStores, _ disks: TortureDisks?, _ plan: TorturePlan) {
        self.servers = servers
        self.stores = stores
        self.disks = disks
        groups = plan.groups
        faultsMax = plan.faultsMax
        losses = plan.losses
        conditions = (0..<plan.location.serverCount).map { index in
            if index == plan.faulty?.server { return .replaced }
            // One that somebody else has begun anew, and that runs by now.
            return stores.phase(index) == nil ? .correct : .rebuilding(Rebuild(began: .now, isDown: false))
        }
        generator = TortureGenerator(seed: plan.seed, purpose: "nemesis")
    }

    /// Which servers are not correct, and how, for people.
    var description: String {
        let harmed = conditions.enumerated().filter { !$1.isCorrect }.map { "server \($0) \($1.name)" }
        let full = disks.map { $0.phase == .roomy ? [] : ["all disks full"] } ?? []
        return ((harmed.isEmpty ? ["all servers correct"] : harmed) + full).joined(separator: ", ")
    }

    /// The correct servers of which one more may be harmed: none of their groups has lost f already.
    private var harmable: [Int] {
        conditions.indices.filter { index in
            conditions[index].isCorrect
                && groups.allSatisfy { members in
                    !members.contains(index) || members.count { !conditions[$0].isCorrect } < faultsMax
                }
        }
    }

    private var relievable: [Int] {
        conditions.indices.filter { index in
            switch conditions[index] {
            case .correct, .mending, .replaced, .deserted: false
            case .down, .stopped, .rotten, .outOfDisk, .wiped, .rolledBack: true
            case .rebuilding(let rebuild): rebuild.isDown
            }
        }
    }

    /// Does one thing or two; `cancelClient` is for clients that give up.
    mutating func act(cancelClient: (inout TortureGenerator) -> Void) throws(Failure) {
        guard try !actOnAllDisks() else { return }
        var hasRelieved = false
        if let index = relievable.randomElement(using: &generator),
            harmable.isEmpty || generator.chance(percent: 50)
        {
            try relieve(index)
            hasRelieved = true
        }
        if !losses.isEmpty { try harmOnTheWay() }
        // Often the fault moves at once from one server to the next.
        if !hasRelieved || generator.chance(percent: 60), let index = harmable.randomElement(using: &generator) {
            if let loss = nextLoss() {
                servers.kill(index)
                conditions[index] = .down
                try lose(index, loss)
            } else if let attack = attacks.randomElement(using: &generator) {
                try harm(index, attack)
            }
        }
        if generator.chance(percent: 30) {
            count(.cancelClient)
            cancelClient(&generator)
        }
    }

    private var attacks: [Action] {
        // What is taken of one disk is told from what is taken of all only while those have room.
        disks?.phase == .roomy ? Self.attacks + Self.attacksOnDisks : Self.attacks
    }

    /// Brings the disks nearer to their next phase.
    ///
    /// - Returns: whether no server may be harmed now: while the disks fill up a put has to reach all that is free.
    private mutating func actOnAllDisks() throws(Failure) -> Bool {
        guard let disks else { return false }
        switch disks.phase {
        case .roomy:
            let wasFilled = actionCounts[.fillAllDisks] != nil
            guard !wasFilled || generator.chance(percent: 25) else { return false }
            for index in relievable { try relieve(index) }
            guard disks.haveRoom else { return false }
            count(.fillAllDisks)
            disks.fillAll(using: &generator)
            fullActionsLeft = Int.random(in: Self.fullActions, using: &generator)
            fillingUntil = .now + Self.fillingMax
            return true
        case .filling:
            if let fillingUntil, .now > fillingUntil { disks.empty() }
            return true
        case .full:
            fullActionsLeft -= 1
            if fullActionsLeft <= 0 { disks.empty() }
            return false
        case .emptying, .emptied:
            return false
        }
    }

    /// Makes every server well that can be, and gives all disks room.
    mutating func relieveAll() throws(Failure) {
        disks?.release()
        for index in relievable { try relieve(index, calmly: true) }
    }

    /// Lets rot spread, keeps full disks full, and finds servers that ended although nobody made them.
    mutating func lookAfter() {
        if let disks {
            if disks.phase == .emptied { disks.release() } else { disks.keepFull() }
        }
        for index in conditions.indices {
            switch conditions[index] {
            case .replaced:
                guard !servers.isRunning(index) else { continue }
                findings.append("the liar in the place of server \(index) ended by itself: \(servers.end(index))")
                conditions[index] = .deserted
            case .correct, .stopped, .outOfDisk, .mending:
                if case .outOfDisk = conditions[index] { disks?.exhaust(index) }
                guard !servers.isRunning(index) else {
                    if case .mending(let since) = conditions[index], .now - since > Self.mendingMin,
                        servers.wants(index) == 0
                    {
                        conditions[index] = .correct
                    }
                    continue
                }
                findings.append("server \(index) (\(conditions[index].name)) ended by itself: \(servers.end(index))")
                conditions[index] = .down
            case .rotten(var damage):
                damage.spread(using: &generator)
                conditions[index] = .rotten(damage)
            case .rolledBack(isRunning: true):
                guard !servers.isRunning(index) else { continue }
                findings.append("server \(index) (rolled back) ended by itself: \(servers.end(index))")
                conditions[index] = .rolledBack(isRunning: false)
            case .rebuilding(let rebuild):
                look(at: rebuild, of: index)
            case .down, .deserted, .wiped, .rolledBack(isRunning: false):
                continue
            }
        }
    }

    mutating func count(_ action: Action) { actionCounts[action, default: 0] += 1 }

    /// Kills gateways and starts them again.
    mutating func act(on gateways: inout TortureGateways) throws(Failure) {
        let done = try gateways.act(&generator)
        for _ in 0..<done.killed { count(.killGateway) }
        for _ in 0..<done.started { count(.startGateway) }
    }

    private mutating func harm(_ index: Int, _ action: Action) throws(Failure) {
        var done = action
        conditions[index] = .down
        switch action {
        case .kill:
            servers.kill(index)
            try keepEarlier(index)
        case .restart:
            servers.kill(index)
            try keepEarlier(index)
            try startAgain(index)
        case .cleanRestart:
            servers.terminate(index)
            try keepEarlier(index)
            try startAgain(index)
        case .stop:
            servers.stop(index)
            conditions[index] = .stopped
        case .rotFragments:
            guard let damage = JournalDamage(.fragments, store: servers.store(index), using: &generator) else {
                conditions[index] = .correct
                return
            }
            conditions[index] = .rotten(damage)
        case .rotJournal:
            servers.kill(index)
            if let damage = JournalDamage(.facts, store: servers.store(index), using: &generator) {
                conditions[index] = .rotten(damage)
                // It refuses to start on what it can tell is lost; what it does not need to look at does no harm.
                _ = try servers.start(index)
            } else {
                done = .kill
            }
        case .fillDisk:
            disks?.exhaust(index)
            conditions[index] = .outOfDisk
        case .fillAllDisks, .wipe, .rollBack, .rebuild, .killRebuild, .killListing, .killHealing, .relieve,
            .cancelClient, .killGateway, .startGateway:
            preconditionFailure("no attack on a server that has its store")
        }
        count(done)
    }

    private mutating func relieve(_ index: Int, calmly: Bool = false) throws(Failure) {
        count(.relieve)
        switch conditions[index] {
        case .correct, .mending, .replaced, .deserted:
            preconditionFailure("a server that needs no relief")
        case .down:
            try startAgain(index)
        case .stopped:
            servers.goOn(index)
            conditions[index] = .correct
        case .outOfDisk:
            disks?.relieve(index)
            conditions[index] = .correct
        case .wiped:
            try beginAnew(index, calmly: calmly)
        case .rolledBack:
            try replaceStore(index, calmly: calmly)
        case .rebuilding:
            try goOn(index)
        case .rotten(let damage):
            damage.undo()
            conditions[index] = .down
            if servers.isRunning(index) { conditions[index] = .correct } else { try startAgain(index) }
            if !losses.isEmpty, case .correct = conditions[index] { conditions[index] = .mending(since: .now) }
        }
    }

    private mutating func startAgain(_ index: Int) throws(Failure) {
        if let reason = try servers.start(index) {
            findings.append("server \(index) does not start again: \(reason)")
        } else {
            conditions[index] = .correct
        }
    }
}
