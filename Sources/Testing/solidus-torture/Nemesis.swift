// Who harms the servers: at most f of each group are not correct at any time, and which ones changes all the time.
//
// A server is not correct from the moment it is harmed until it is well again: until a killed one, started again, says
// that it is ready; until a stopped one goes on; until every turned byte of its disk is turned back, which makes its
// store exactly what it was, so that it is then no server that lost anything. One that a liar replaced never gets well,
// whether the liar still runs or not.

import CommandOutcome

/// Harms servers and relieves them.
struct Nemesis {
    private enum Condition {
        case correct
        case down
        case stopped
        /// Its journal has rotten; it may run or not.
        case rotten(JournalDamage)
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
        case relieve
        case cancelClient = "cancel_client"
    }

    /// Each as often as it occurs here.
    private static let attacks: [Action] = [
        .kill, .kill, .kill, .restart, .restart, .cleanRestart, .stop, .stop, .stop, .rotFragments, .rotFragments,
        .rotJournal, .rotJournal,
    ]

    private let servers: TortureServers
    private let groups: [[Int]]
    private let faultsMax: Int
    private var conditions: [Condition]
    private var generator: TortureGenerator
    private(set) var actionCounts: [Action: Int] = [:]
    /// What went wrong that nobody meant to: servers, the liar among them, that ended by themselves or did not come
    /// back. Nobody promises anything for a liar, but without it the run shows less than it was to show.
    private(set) var findings: [String] = []

    /// - Parameters:
    ///   - groups: the members of each group, of which at most `faultsMax` are harmed at a time.
    ///   - replaced: the server in whose place a liar runs, if there is one.
    init(
        _ servers: TortureServers, serverCount: Int, groups: [[Int]], faultsMax: Int, replaced: Int?, seed: UInt64
    ) {
        self.servers = servers
        self.groups = groups
        self.faultsMax = faultsMax
        conditions = (0..<serverCount).map { $0 == replaced ? .replaced : .correct }
        generator = TortureGenerator(seed: seed, purpose: "nemesis")
    }

    /// Which servers are not correct, and how, for people.
    var description: String {
        let harmed = conditions.enumerated().filter { !$1.isCorrect }.map { "server \($0) \($1.name)" }
        return harmed.isEmpty ? "all servers correct" : harmed.joined(separator: ", ")
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
            case .correct, .replaced, .deserted: false
            case .down, .stopped, .rotten: true
            }
        }
    }

    /// Does one thing or two; `cancelClient` is for clients that give up.
    mutating func act(cancelClient: (inout TortureGenerator) -> Void) throws(Failure) {
        var hasRelieved = false
        if let index = relievable.randomElement(using: &generator),
            harmable.isEmpty || generator.chance(percent: 50)
        {
            try relieve(index)
            hasRelieved = true
        }
        // Often the fault moves at once from one server to the next.
        if !hasRelieved || generator.chance(percent: 60), let index = harmable.randomElement(using: &generator),
            let attack = Self.attacks.randomElement(using: &generator)
        {
            try harm(index, attack)
        }
        if generator.chance(percent: 30) {
            count(.cancelClient)
            cancelClient(&generator)
        }
    }

    /// Makes every server well that can be.
    mutating func relieveAll() throws(Failure) {
        for index in relievable { try relieve(index) }
    }

    /// Lets rot spread, and finds servers that ended although nobody made them.
    mutating func lookAfter() {
        for index in conditions.indices {
            switch conditions[index] {
            case .replaced:
                guard !servers.isRunning(index) else { continue }
                findings.append("the liar in the place of server \(index) ended by itself: \(servers.end(index))")
                conditions[index] = .deserted
            case .correct, .stopped:
                guard !servers.isRunning(index) else { continue }
                findings.append("server \(index) (\(conditions[index].name)) ended by itself: \(servers.end(index))")
                conditions[index] = .down
            case .rotten(var damage):
                damage.spread(using: &generator)
                conditions[index] = .rotten(damage)
            case .down, .deserted:
                continue
            }
        }
    }

    private mutating func count(_ action: Action) { actionCounts[action, default: 0] += 1 }

    private mutating func harm(_ index: Int, _ action: Action) throws(Failure) {
        var done = action
        conditions[index] = .down
        switch action {
        case .kill:
            servers.kill(index)
        case .restart:
            servers.kill(index)
            try startAgain(index)
        case .cleanRestart:
            servers.terminate(index)
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
        case .relieve, .cancelClient:
            preconditionFailure("no attack on a server")
        }
        count(done)
    }

    private mutating func relieve(_ index: Int) throws(Failure) {
        count(.relieve)
        switch conditions[index] {
        case .correct, .replaced, .deserted:
            preconditionFailure("a server that needs no relief")
        case .down:
            try startAgain(index)
        case .stopped:
            servers.goOn(index)
            conditions[index] = .correct
        case .rotten(let damage):
            damage.undo()
            conditions[index] = .down
            if servers.isRunning(index) { conditions[index] = .correct } else { try startAgain(index) }
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
