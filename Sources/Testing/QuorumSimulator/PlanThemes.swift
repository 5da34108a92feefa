// Situations that independent draws bring about too rarely: some worlds have a theme, in which several things that have
// to come together do.

import QuorumFaults
import QuorumProtocol

extension WorldPlan {
    /// Gives some of the worlds a theme; drawn after everything else, so that the others know nothing of it.
    mutating func drawTheme(_ selection: FaultSelection, _ generator: inout SeededGenerator) {
        let theme = generator.below(100)
        var stream = generator.fork()
        switch theme {
        case 0..<8: drawPowerFailures(&stream)
        case 8..<16: drawEchoes(&stream)
        case 16..<24 where mode.verifiesLater && !selection.isInsistent: drawPoison(selection, &stream)
        case 24..<28 where selection.clients.contains(.earlierLife): byzantineClients[0] = .earlierLife
        case 28..<33: drawFullServers(&stream)
        case 33..<36: drawLockedOut(&stream)
        case 44..<46: drawHalfSuperseded(selection, &stream)
        case 46..<49: drawHastyAnswers(selection, &stream)
        case 36..<44 where mode.verifiesLater && !selection.isInsistent: drawSlowFinders(selection, &stream)
        case 49..<52 where mode.verifiesLater && !selection.isInsistent: drawPoisonedBase(selection, &stream)
        default: break
        }
    }

    /// Disks so slow that much is said and done while a change is on its way to the platter, which makes all
    /// operations slow and the faults last longer.
    private mutating func drawSlowDisks(_ generator: inout SeededGenerator) {
        diskDelayMinMicroseconds = UInt64(generator.within(5_000...30_000))
        diskDelayMaxMicroseconds = diskDelayMinMicroseconds + UInt64(generator.within(1...20_000))
        healMicroseconds += 1_000_000
        patience.deadlineMicroseconds += 1_000_000
    }

    /// Power fails just when a reader has been told something: if that rested on what no disk has, it is now lost.
    private mutating func drawPowerFailures(_ generator: inout SeededGenerator) {
        drawSlowDisks(&generator)
        let all: UInt64 = 1 << UInt64(serverCount) - 1
        for number in 0..<generator.within(1...4) {
            let single: UInt64 = 1 << UInt64(generator.below(serverCount))
            powerFailures[number] = PlannedPowerFailure(
                afterReadCount: generator.within(1...max(1, operations.count / 2)),
                servers: generator.chance(percent: 75) ? all : single,
                includesClients: generator.chance(percent: 50),
                downMicroseconds: UInt64(generator.within(500...20_000)))
        }
    }

    /// Clients leave versions behind that they must commit before they can go on, and what is answered to that is heard
    /// again when it answers something else.
    private mutating func drawEchoes(_ generator: inout SeededGenerator) {
        drawSlowDisks(&generator)
        limits.pendingVersionsPerClientMax = generator.within(1...2)
        network.echoPermille = generator.within(500...1000)
        network.echoMaxMicroseconds = diskDelayMaxMicroseconds * UInt64(generator.within(1...4))
        for position in operations.indices {
            let crashes = generator.chance(percent: 40)
            let away = UInt64(generator.within(100...20_000))
            switch operations[position].kind {
            case .read, .head, .list: break
            case .write, .delete:
                guard crashes else { continue }
                operations[position].crash = PlannedOperation.Crash(.beforeCommit, awayMicroseconds: away)
            }
        }
    }

    /// Clients crash all the time and many messages are lost, so that each server is full of another version, and
    /// little that is committed gets around; and then each client has to find its own way.
    private mutating func drawFullServers(_ generator: inout SeededGenerator) {
        limits.pendingVersionsPerClientMax = 1
        endsWithWrites = true
        serversMeetLate = generator.chance(percent: 70)
        network.lossPermille = generator.within(100...600)
        let roundTrip = Int(2 * network.delayMaxMicroseconds + diskDelayMaxMicroseconds)
        for position in operations.indices {
            operations[position].pauseMicroseconds = 0
            let after = UInt64(generator.within(roundTrip / 2...4 * roundTrip))
            let away = UInt64(generator.within(100...2_000))
            guard generator.chance(percent: 70) else { continue }
            switch operations[position].kind {
            case .read, .head, .list: break
            case .write, .delete:
                operations[position].crash = PlannedOperation.Crash(
                    .after(microseconds: after), awayMicroseconds: away)
            }
        }
    }

    /// A client crashes in the middle of sending its PREPAREs until each server is full of a version that too few have.
    /// Then another client's version is committed at one server, and nobody does anything any more: the first client
    /// has to bring that to the others by itself.
    private mutating func drawLockedOut(_ generator: inout SeededGenerator) {
        limits.pendingVersionsPerClientMax = 1
        endsWithWrites = true
        leaveOutFaults()
        let serverCount = dataFragmentCount + 2 * faultCount
        var reached = 0
        operations = []
        while reached < serverCount {
            reached = min(serverCount, reached + generator.within(1...dataFragmentCount - 1))
            addWrite(client: 0, pauseMicroseconds: 50_000, .afterPrepares(reached))
        }
        let pause = UInt64(operations.count + 2) * 300_000
        addWrite(client: clientCount - 1, pauseMicroseconds: pause, .afterCommits(1))
    }

    /// A version is committed at one server, which therefore signs a lower one as *superseded*; that is written
    /// partially, and of those that have its fragments one withholds them. Too few are left, and whoever reads has to
    /// find the higher version.
    private mutating func drawHalfSuperseded(_ selection: FaultSelection, _ generator: inout SeededGenerator) {
        guard selection.servers.contains(.withheldFragments), !selection.isInsistent else { return }
        endsWithWrites = false
        writesArePartial = true
        leaveOutFaults()
        let servers = groups.faulty(of: generator.shuffled(0..<self.serverCount), faults: faultCount)
        for (number, server) in servers.enumerated() {
            badServers[number] = PlannedBadServer(
                server: NodeID(UInt16(server)), kind: .byzantine(.withheldFragments))
        }
        operations = []
        addWrite(client: clientCount - 1, pauseMicroseconds: 0, .afterCommits(1))
        addWrite(client: 0, pauseMicroseconds: 500_000, nil)
    }

    /// Who tells of the past answers first: the liars, and whoever has missed what was written. The others take their
    /// time.
    private mutating func drawHastyAnswers(_ selection: FaultSelection, _ generator: inout SeededGenerator) {
        guard selection.servers.contains(.stale), !selection.isInsistent else { return }
        leaveOutFaults()
        network.lossPermille = generator.within(50...250)
        let shuffled = generator.shuffled(0..<serverCount)
        let liars = groups.faulty(of: shuffled, faults: faultCount)
        for (number, server) in liars.enumerated() {
            badServers[number] = PlannedBadServer(server: NodeID(UInt16(server)), kind: .byzantine(.stale))
        }
        for (number, server) in shuffled.filter({ !liars.contains($0) }).prefix(dataFragmentCount).enumerated() {
            slowServers[number] = PlannedSlowServer(
                server: NodeID(UInt16(server)), factor: generator.within(5...20))
        }
    }

    /// Nothing goes wrong but what is planned, and nobody but the clients mends it.
    private mutating func leaveOutFaults() {
        (network.lossPermille, network.duplicationPermille) = (0, 0)
        (network.slowdownPermille, network.echoPermille) = (0, 0)
        (partitions, serverCrashes, slowServers, powerFailures) = ([:], [:], [:], [:])
        (badServers, byzantineClients) = ([:], [:])
        serversMeetLate = true
    }

    /// Adds a write of the first object.
    private mutating func addWrite(client: Int, pauseMicroseconds: UInt64, _ crash: PlannedOperation.Crash.Moment?) {
        operations.append(
            PlannedOperation(
                number: operations.count, client: client, object: 0, kind: .write(sizeBytes: 32),
                pauseMicroseconds: pauseMicroseconds,
                crash: crash.map { PlannedOperation.Crash($0, awayMicroseconds: 1_000) }))
    }

    /// A client poisons objects, of which few servers are told, and some are always the last to answer, also when the
    /// faults have ended. Hardly anybody writes anything sound above it.
    private mutating func drawSlowFinders(_ selection: FaultSelection, _ generator: inout SeededGenerator) {
        guard selection.clients.contains(.poisonedCrossChecksums) else { return }
        byzantineClients[0] = .poisonedCrossChecksums
        badServers = [:]
        network.lossPermille = generator.within(100...400)
        network.delayMinMicroseconds = 1_500
        network.delayMaxMicroseconds = 2_500
        patience.hedgeMicroseconds = UInt64(generator.within(6_000...9_000))
        for position in operations.indices.dropFirst(generator.within(0...3)) { operations[position].kind = .read }
        slowServers = [:]
        for (number, server) in generator.shuffled(0..<serverCount).prefix(faultCount + 1).enumerated() {
            slowServers[number] = PlannedSlowServer(
                server: NodeID(UInt16(server)), factor: generator.within(10...40))
        }
    }

    /// A client leaves versions behind that rest on a poisonous one. Once that is found out, nobody can show any more that
    /// their counter was reached; and among the servers that do not have them is one that takes nothing.
    private mutating func drawPoisonedBase(_ selection: FaultSelection, _ generator: inout SeededGenerator) {
        guard selection.clients.contains(.poisonedCrossChecksums), selection.servers.contains(.silent) else { return }
        limits.pendingVersionsPerClientMax = 1
        endsWithWrites = true
        leaveOutFaults()
        byzantineClients[0] = .poisonedCrossChecksums
        let servers = groups.faulty(of: generator.shuffled(0..<self.serverCount), faults: faultCount)
        for (number, server) in servers.enumerated() {
            badServers[number] = PlannedBadServer(server: NodeID(UInt16(server)), kind: .byzantine(.silent))
        }
        operations = []
        for _ in 0..<generator.within(2...8) {
            addWrite(
                client: 0, pauseMicroseconds: UInt64(generator.within(0...30_000)),
                .afterPrepares(generator.within(faultCount + 1...dataFragmentCount + 2 * faultCount)))
        }
    }

    /// A client poisons objects, and either the liars keep from those who verify what it takes to see it, or power
    /// fails while those who have seen it sign.
    private mutating func drawPoison(_ selection: FaultSelection, _ generator: inout SeededGenerator) {
        guard selection.clients.contains(.poisonedCrossChecksums), selection.servers.contains(.withheldFragments) else {
            return
        }
        byzantineClients[0] = .poisonedCrossChecksums
        if generator.chance(percent: 40) {
            drawPowerFailures(&generator)
            badServers = [:]
            return
        }
        let servers = groups.faulty(of: generator.shuffled(0..<serverCount), faults: faultCount)
        badServers = [:]
        for (number, server) in servers.enumerated() {
            badServers[number] = PlannedBadServer(
                server: NodeID(UInt16(server)), kind: .byzantine(.withheldFragments))
        }
    }
}
