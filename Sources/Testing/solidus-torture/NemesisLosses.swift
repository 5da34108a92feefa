// How the nemesis has servers lose their stores, and begins them anew. One that has lost its store is not correct before
// it is well: before it has all that the others have.

import CommandOutcome
import Glibc
import QuorumServer

extension Nemesis {
    /// A server that begins anew.
    struct Rebuild {
        let began: ContinuousClock.Instant
        var isDown = true
        /// How often it may be harmed on the way. It would never get there otherwise.
        var harmsLeft = 2
    }

    /// What became of those that began anew.
    struct Rebuilds {
        var begun = 0
        var well = 0
        var longest = Duration.zero
        /// How often an earlier life's store was put back, and refused.
        var refusedOldLives = 0
    }

    /// How long the command that begins a store anew may run before it is killed, and the server before it is.
    private static let commandMilliseconds = 0...80
    private static let listingMilliseconds = 0...700

    /// What was asked for and has not been done yet.
    private var untriedLoss: StoreLoss? { losses.first { actionCounts[$0.action] == nil } }

    /// How a correct server is to lose its store now; nil: it is not.
    mutating func nextLoss() -> StoreLoss? {
        untriedLoss ?? (generator.chance(percent: 30) ? losses.randomElement(using: &generator) : nil)
    }

    /// Has a server that is down, and has its store still, lose it.
    mutating func lose(_ index: Int, _ loss: StoreLoss) throws(Failure) {
        switch loss {
        case .wipe: try wipe(index)
        case .rollBack: try rollBack(index)
        }
    }

    private mutating func wipe(_ index: Int) throws(Failure) {
        if losses.contains(.rollBack), !stores.hasEarlier(index) {
            try stores.setAside(index)
        } else {
            try stores.wipe(index)
        }
        conditions[index] = .wiped
        count(.wipe)
        if try servers.start(index) == nil {
            findings.append("server \(index) serves without a store")
            servers.kill(index)
        }
    }

    /// Without an earlier state of its store it stays down, and there is one then.
    private mutating func rollBack(_ index: Int) throws(Failure) {
        guard stores.hasEarlier(index) else {
            try stores.copy(index)
            count(.kill)
            return
        }
        let isOutlived = try stores.putBack(index)
        conditions[index] = .rolledBack(isRunning: false)
        count(.rollBack)
        let reason = try servers.start(index)
        switch reason {
        case nil where isOutlived:
            findings.append("server \(index) serves a store whose place another one has taken")
            servers.kill(index)
        case nil:
            // It does not know. It is one of the faulty servers all the same.
            conditions[index] = .rolledBack(isRunning: true)
        case let reason? where isOutlived:
            guard reason.contains("another store has taken") else {
                findings.append("server \(index) does not say that its store is of an earlier life: \(reason)")
                return
            }
            rebuilds.refusedOldLives += 1
        case let reason?:
            findings.append("server \(index) does not start with an earlier state of its store: \(reason)")
        }
    }

    /// Keeps the store of a server that is down, and exactly as it should be.
    mutating func keepEarlier(_ index: Int) throws(Failure) {
        guard losses.contains(.rollBack), !stores.hasEarlier(index) || generator.chance(percent: 60) else { return }
        try stores.copy(index)
    }

    /// What an operator does about a store that is there and remembers too little.
    mutating func replaceStore(_ index: Int, calmly: Bool) throws(Failure) {
        servers.kill(index)
        let refused = try stores.rebuild(index)
        if case .exited(let code) = refused.end, code != ExitStatus.success.rawValue {
            try stores.setAside(index)
        } else {
            findings.append("server \(index) began anew over a store that was there: \(refused.text)")
        }
        conditions[index] = .wiped
        try beginAnew(index, calmly: calmly)
    }

    /// Begins the store anew, has the others know, and starts the server.
    ///
    /// - Parameter calmly: whether nothing is killed on the way.
    mutating func beginAnew(_ index: Int, calmly: Bool) throws(Failure) {
        if !calmly, generator.chance(percent: 30) {
            let patience = Int.random(in: Self.commandMilliseconds, using: &generator)
            let killed = try stores.rebuild(index, killedAfter: patience)
            if case .killed = killed.end { count(.killRebuild) }
        }
        let rebuilt = try stores.rebuild(index)
        guard rebuilt.end == .exited(ExitStatus.success.rawValue) else {
            findings.append("server \(index) cannot begin anew (\(rebuilt.end)): \(rebuilt.text)")
            return
        }
        count(.rebuild)
        rebuilds.begun += 1
        conditions[index] = .rebuilding(Rebuild(began: .now))
        let areToldBefore = generator.chance(percent: 50)
        if areToldBefore { servers.reloadLists() }
        if !calmly, generator.chance(percent: 50) {
            try goOn(index)
            usleep(UInt32(Int.random(in: Self.listingMilliseconds, using: &generator)) * 1000)
            killOnTheWay(index)
        }
        try goOn(index)
        if !areToldBefore { servers.reloadLists() }
    }

    /// Starts a server that has begun anew.
    mutating func goOn(_ index: Int) throws(Failure) {
        guard case .rebuilding(var rebuild) = conditions[index] else { return }
        if let reason = try servers.start(index) {
            findings.append("server \(index) does not start anew: \(reason)")
        } else {
            rebuild.isDown = false
            conditions[index] = .rebuilding(rebuild)
        }
    }

    private mutating func killOnTheWay(_ index: Int) {
        guard case .rebuilding(var rebuild) = conditions[index] else { return }
        let phase = stores.phase(index)
        servers.kill(index)
        rebuild.isDown = true
        rebuild.harmsLeft -= 1
        conditions[index] = .rebuilding(rebuild)
        switch phase {
        case .listing?: count(.killListing)
        case .healing?: count(.killHealing)
        case nil: count(.kill)
        }
    }

    /// Harms one that has begun anew once more.
    mutating func harmOnTheWay() throws(Failure) {
        let running = conditions.indices.filter { index in
            if case .rebuilding(let rebuild) = conditions[index] { !rebuild.isDown } else { false }
        }
        guard generator.chance(percent: 20), let index = running.randomElement(using: &generator),
            case .rebuilding(let rebuild) = conditions[index]
        else { return }
        let untried = untriedLoss.flatMap { $0 == .wipe || stores.hasEarlier(index) ? $0 : nil }
        guard untried != nil || rebuild.harmsLeft > 0 else { return }
        killOnTheWay(index)
        if let untried {
            try lose(index, untried)
        } else if generator.chance(percent: 10), let loss = losses.randomElement(using: &generator),
            loss == .wipe || stores.hasEarlier(index)
        {
            try lose(index, loss)
        } else if generator.chance(percent: 50) {
            try goOn(index)
        }
    }

    /// Finds out whether one that has begun anew is well.
    mutating func look(at rebuild: Rebuild, of index: Int) {
        guard !rebuild.isDown else { return }
        if !servers.isRunning(index) {
            findings.append("server \(index) (being rebuilt) ended by itself: \(servers.end(index))")
            conditions[index] = .rebuilding(Rebuild(began: rebuild.began, harmsLeft: rebuild.harmsLeft))
        } else if stores.phase(index) == nil {
            rebuilds.well += 1
            rebuilds.longest = max(rebuilds.longest, .now - rebuild.began)
            conditions[index] = .correct
        }
    }
}

extension StoreLoss {
    /// As it is counted.
    var action: Nemesis.Action {
        switch self {
        case .wipe: .wipe
        case .rollBack: .rollBack
        }
    }
}
