// How a seed becomes a plan. Every choice is drawn whether it is used or not, so that pinning one thing changes as
// little as possible of the rest.

import QuorumFaults
import QuorumProtocol

extension WorldPlan {
    /// The most servers and honest clients that a world may have: partitions are sets of 64 bits, and the last reader
    /// and Byzantine clients need some, too.
    static let nodeCountMax = 60
    static let faultCounts = 0...8
    /// Each has to have a number by which it can be left out.
    static let operationCounts = 0...PlanPart.numberLimit

    /// Whether there can be worlds with so many faults and what else the options ask for.
    private static func isPossible(faults: Int, _ options: WorldOptions) -> Bool {
        guard (1...nodeCountMax - 3 * faults - 1).contains(options.clientCount) else { return false }
        guard let m = options.dataFragmentCount else { return true }
        return (faults + 1...nodeCountMax - options.clientCount - 2 * faults).contains(m)
    }

    /// The plan of a seed.
    ///
    /// - Throws: when the options ask for a world that cannot be.
    package init(seed: UInt64, options: WorldOptions) throws(ImpossibleWorld) {
        var generator = SeededGenerator(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ 1)
        let drawnFaults = generator.chance(percent: 85) ? 1 : 2
        let drawnExcess = generator.chance(percent: 70) ? 0 : generator.within(1...3)
        let faults = options.faultCount ?? (Self.isPossible(faults: drawnFaults, options) ? drawnFaults : 1)
        guard Self.faultCounts.contains(faults) else {
            throw ImpossibleWorld(reason: "f must be \(Self.faultCounts)")
        }
        let clientCounts = 1...Self.nodeCountMax - (3 * faults + 1)
        guard clientCounts.contains(options.clientCount) else {
            throw ImpossibleWorld(reason: "with f = \(faults) the clients must be \(clientCounts)")
        }
        guard Self.operationCounts.contains(options.operationCount) else {
            throw ImpossibleWorld(reason: "the operations must be \(Self.operationCounts)")
        }
        let possible = faults + 1...Self.nodeCountMax - options.clientCount - 2 * faults
        let m = options.dataFragmentCount ?? min(faults + 1 + drawnExcess, possible.upperBound)
        guard possible.contains(m) else {
            throw ImpossibleWorld(
                reason: "with f = \(faults) and \(options.clientCount) clients m must be \(possible)")
        }
        if options.dataFragmentCount != nil {
            do {
                _ = try QuorumConfiguration(faults: faults, dataFragmentCount: m)
            } catch {
                throw ImpossibleWorld(reason: "\(error)")
            }
        }
        var placing = SeededGenerator(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ 2)
        groups = PlannedGroups.draw(
            size: m + 2 * faults, faults: faults, nodeCountMax: Self.nodeCountMax - options.clientCount,
            hasSeveral: options.hasSeveralGroups, &placing)
        keySalt = UInt16(truncatingIfNeeded: placing.next())
        let serverCount = groups.nodeCount

        self.seed = seed
        faultCount = faults
        dataFragmentCount = m
        mode = options.mode
        clientCount = options.clientCount
        let objectCounts = groups.members.count > 1 ? [1, 2, 2, 3, 3, 4] : [1, 1, 1, 2, 2, 3]
        objectCount = objectCounts[generator.below(6)]
        limits = Self.drawLimits(&generator)
        let horizon = UInt64(generator.within(100_000...1_000_000))
        healMicroseconds = horizon
        operations = Self.drawOperations(options, objectCount: objectCount, horizon: horizon, &generator)
        network = Self.drawNetwork(&generator)
        patience = PlannedPatience(
            hedgeMicroseconds: UInt64(generator.within(2_000...80_000)),
            retransmitMicroseconds: UInt64(generator.within(20_000...300_000)),
            deadlineMicroseconds: UInt64(generator.within(200_000...3_000_000)))
        diskDelayMinMicroseconds = UInt64(generator.within(10...200))
        diskDelayMaxMicroseconds = diskDelayMinMicroseconds + UInt64(generator.within(1...5_000))
        deferredWorkPercent = generator.chance(percent: 50) ? 0 : generator.within(1...60)
        let nodeCount = serverCount + options.clientCount
        partitions = Self.drawPartitions(nodeCount: nodeCount, horizon: horizon, &generator)
        serverCrashes = Self.drawCrashes(serverCount: serverCount, horizon: horizon, &generator)
        slowServers = Self.drawSlowServers(serverCount: serverCount, &generator)
        badServers = Self.drawBadServers(options.faults, faults: faults, groups, horizon: horizon, &generator)
        byzantineClients = Self.drawByzantineClients(options.faults, &generator)
        planted = options.planted
        drawVerification(&generator)
        clientsRemember = generator.chance(percent: 50)
        writesArePartial = generator.chance(percent: 35)
        endsWithWrites = generator.chance(percent: 50)
        drawTheme(options.faults, &generator)
        drawEarlierEpoch(&placing)
        stores = Self.drawStores(seed, options)
        drawLargeValues(options.faults)
        drawListings(options.faults)
        drawWipes(options.faults)
        clear(options.faults)
        if !mode.isSigned { leaveOutLiars() }
        self = without(options.removed)
    }

    /// From a stream of its own, so that worlds without are what they would be if there were none with.
    private static func drawStores(_ seed: UInt64, _ options: WorldOptions) -> PlannedStores? {
        var generator = SeededGenerator(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ 4)
        let isDrawn = generator.below(20) == 0
        let stores = PlannedStores(
            segmentSizeBytes: [16, 32, 64, 128][generator.below(4)] << 10,
            inlinePartSizeBytesMax: [0, 64, 1024][generator.below(3)],
            reservedFreeBytes: [0, 64 << 10][generator.below(2)],
            flushIntervalBytes: [20 << 10, 200 << 10, 1 << 30][generator.below(3)],
            reclaimFlushBytes: [10 << 10, 100 << 10][generator.below(2)])
        return options.hasRealStores ?? isDrawn ? stores : nil
    }

    /// From a stream of its own, too. Where one more server may fail, some lose everything.
    private mutating func drawWipes(_ selection: FaultSelection) {
        var generator = SeededGenerator(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ 17)
        guard generator.chance(percent: 15), mode.isSigned, faultCount > 0, !serversMeetLate,
            selection.environment.contains(.wipes)
        else { return }
        // Liars that were asked for by name stay, and leave room for none.
        let leftOut = selection.isInsistent ? 0 : faultCount == 1 ? badServers.count : 1
        for number in badServers.keys.sorted().suffix(leftOut) {
            badServers[number] = nil
            listingLies[number] = nil
        }
        for number in 0..<generator.within(1...4) {
            wipes[number] = PlannedWipe(
                atMicroseconds: UInt64(generator.below(Int(healMicroseconds))),
                downMicroseconds: UInt64(generator.within(500...100_000)))
        }
        guard generator.chance(percent: 60), !selection.isInsistent else { return }
        // Certificates that are used long after they were made, while their servers lose their memory.
        if selection.clients.contains(.hiddenCertificates) { byzantineClients[0] = .hiddenCertificates }
        network.echoPermille = generator.within(100...600)
        network.echoMaxMicroseconds = UInt64(generator.within(50_000...900_000))
        healMicroseconds += 800_000
        for position in operations.indices where generator.chance(percent: 40) {
            switch operations[position].kind {
            case .read, .head, .list: break
            case .write, .delete:
                let commits = generator.within(0...2)
                operations[position].crash = PlannedOperation.Crash(
                    commits == 0 ? .beforeCommit : .afterCommits(commits),
                    awayMicroseconds: UInt64(generator.within(100...200_000)))
            }
        }
    }

    private static func drawLimits(_ generator: inout SeededGenerator) -> ProtocolLimits {
        var limits = ProtocolLimits()
        limits.stripeSizeBytesMax = 512
        limits.pendingVersionsPerClientMax = [1, 2, 8, 8][generator.below(4)]
        limits.retainedVersionsMax = [1, 2, 8, 8][generator.below(4)]
        limits.retentionMilliseconds = [0, 20, 200, 30_000][generator.below(4)]
        limits.requestsPerObjectMax = [4, 1024, 1024, 1024][generator.below(4)]
        // Below all retransmission intervals, as it is outside.
        limits.listIntervalMilliseconds = 10
        return limits
    }

    /// Bounds near enough to be reached.
    private mutating func drawVerification(_ generator: inout SeededGenerator) {
        limits.unverifiedVersionsPerClientMax = [2, 4, 16, 16][generator.below(4)]
        limits.unverifiedVersionsMax = [3, 8, 64, 64][generator.below(4)]
        limits.verificationDelayMilliseconds = [0, 10, 100, 1000][generator.below(4)]
    }

    /// The mode `none` promises nothing among liars, nor when a disk gives back other bytes than it was given.
    private mutating func leaveOutLiars() {
        byzantineClients = [:]
        listingLies = [:]
        badServers = badServers.filter { if case .byzantine = $0.value.kind { false } else { true } }
    }

    private static func drawOperations(
        _ options: WorldOptions, objectCount: Int, horizon: UInt64, _ generator: inout SeededGenerator
    ) -> [PlannedOperation] {
        let writePercent = [20, 50, 50, 80][generator.below(4)]
        let pauseMax = [0, 2_000, 20_000, 60_000][generator.below(4)]
        let crashPercent = [0, 0, 5, 15][generator.below(4)]
        return (0..<options.operationCount).map { number in
            let isWrite = generator.chance(percent: writePercent)
            let variant = generator.below(10)
            let size = generator.chance(percent: 80) ? generator.within(1...64) : generator.within(65...512)
            let kind: PlannedOperation.Kind =
                switch (isWrite, variant) {
                case (true, 0): .delete
                case (true, 1): .write(sizeBytes: 0)
                case (true, _): .write(sizeBytes: size)
                case (false, 0): .head
                case (false, _): .read
                }
            let crash = PlannedOperation.Crash(
                .after(microseconds: UInt64(generator.within(1...20_000))),
                awayMicroseconds: UInt64(generator.within(100...100_000)))
            let crashes = generator.chance(percent: crashPercent)
            return PlannedOperation(
                number: number, client: generator.below(options.clientCount), object: generator.below(objectCount),
                kind: kind, pauseMicroseconds: UInt64(generator.within(0...pauseMax)), crash: crashes ? crash : nil)
        }
    }

    private static func drawNetwork(_ generator: inout SeededGenerator) -> NetworkPlan {
        let delayMin = generator.within(10...500)
        func permille(_ quiet: Int, _ range: ClosedRange<Int>) -> Int {
            let drawn = generator.within(range)
            return generator.chance(percent: quiet) ? 0 : drawn
        }
        return NetworkPlan(
            delayMinMicroseconds: UInt64(delayMin),
            delayMaxMicroseconds: UInt64(delayMin + generator.within(10...5_000)),
            lossPermille: permille(40, 1...100), duplicationPermille: permille(40, 1...150),
            slowdownPermille: permille(40, 1...80), slowdownMax: generator.within(2...100))
    }

    private static func drawPartitions(
        nodeCount: Int, horizon: UInt64, _ generator: inout SeededGenerator
    ) -> [Int: PlannedPartition] {
        let count = [0, 0, 0, 1, 1, 2][generator.below(6)]
        var partitions: [Int: PlannedPartition] = [:]
        for number in 0..<count {
            let side = generator.next() & (1 << UInt64(nodeCount) - 1)
            partitions[number] = PlannedPartition(
                startMicroseconds: UInt64(generator.below(Int(horizon))),
                durationMicroseconds: UInt64(generator.within(1_000...Int(horizon))), side: side)
        }
        return partitions
    }

    private static func drawCrashes(
        serverCount: Int, horizon: UInt64, _ generator: inout SeededGenerator
    ) -> [Int: PlannedServerCrash] {
        let count = [0, 0, 0, 1, 2, 3, 6][generator.below(7)]
        var crashes: [Int: PlannedServerCrash] = [:]
        for number in 0..<count {
            crashes[number] = PlannedServerCrash(
                server: NodeID(UInt16(generator.below(serverCount))),
                atMicroseconds: UInt64(generator.below(Int(horizon))),
                downMicroseconds: UInt64(generator.within(500...Int(horizon / 2))))
        }
        // Power failures: all servers at once, so that nobody remembers what no disk has.
        for _ in 0..<[0, 0, 0, 1, 2][generator.below(5)] {
            let time = UInt64(generator.below(Int(horizon)))
            for server in 0..<serverCount {
                crashes[crashes.count] = PlannedServerCrash(
                    server: NodeID(UInt16(server)), atMicroseconds: time,
                    downMicroseconds: UInt64(generator.within(500...20_000)))
            }
        }
        return crashes
    }

    private static func drawSlowServers(
        serverCount: Int, _ generator: inout SeededGenerator
    ) -> [Int: PlannedSlowServer] {
        let count = generator.chance(percent: 65) ? 0 : generator.within(1...max(1, serverCount - 1))
        var slow: [Int: PlannedSlowServer] = [:]
        for (number, server) in generator.shuffled(0..<serverCount).prefix(count).enumerated() {
            slow[number] = PlannedSlowServer(
                server: NodeID(UInt16(server)), factor: generator.within(2...40))
        }
        return slow
    }

    private static func drawBadServers(
        _ selection: FaultSelection, faults: Int, _ groups: PlannedGroups, horizon: UInt64,
        _ generator: inout SeededGenerator
    ) -> [Int: PlannedBadServer] {
        let times = (0..<6).map { _ in UInt64(generator.below(Int(horizon))) }
        let disks: [(fault: EnvironmentFault, kind: PlannedBadServer.Kind)] = [
            (.rot, .rot(atMicroseconds: Array(times.prefix(generator.within(1...6))))),
            (.lostDisk, .lostDisk(atMicroseconds: times[0])),
            (.fullDisk, .fullDisk(fromMicroseconds: times[0])),
            (.failingDisk, .failingDisk(percent: generator.within(5...100))),
        ]
        let selected = disks.filter { selection.environment.contains($0.fault) }.map(\.kind)
        let isQuiet = generator.chance(percent: 15) && !selection.isInsistent
        let drawnCount = faults == 0 ? 0 : generator.within(1...faults)
        let count = isQuiet ? 0 : selection.isInsistent ? faults : drawnCount
        var bad: [Int: PlannedBadServer] = [:]
        let servers = groups.faulty(of: generator.shuffled(0..<groups.nodeCount), faults: count)
        for (number, server) in servers.enumerated() {
            let isDisk = generator.chance(percent: 25)
            let liar = generator.pick(selection.servers).map { PlannedBadServer.Kind.byzantine($0) }
            let disk = generator.pick(selected)
            guard let kind = isDisk ? disk ?? liar : liar ?? disk else { continue }
            bad[number] = PlannedBadServer(server: NodeID(UInt16(server)), kind: kind)
        }
        return bad
    }

    private static func drawByzantineClients(
        _ selection: FaultSelection, _ generator: inout SeededGenerator
    ) -> [Int: ClientFaultKind] {
        let drawnCount = [0, 0, 0, 1, 1, 2][generator.below(6)]
        let count = selection.isInsistent ? 1 : drawnCount
        var clients: [Int: ClientFaultKind] = [:]
        // An earlier life comes as a theme, other stripes with large values, or both by name.
        let kinds =
            selection.isInsistent
            ? selection.clients : selection.clients.filter { $0 != .earlierLife && $0 != .otherStripes }
        for number in 0..<count {
            if let kind = generator.pick(kinds) { clients[number] = kind }
        }
        return clients
    }

    /// Takes out what is not selected.
    private mutating func clear(_ selection: FaultSelection) {
        let selected = Set(selection.environment)
        if !selected.contains(.loss) { network.lossPermille = 0 }
        if !selected.contains(.duplication) { network.duplicationPermille = 0 }
        if !selected.contains(.delays) { network.slowdownPermille = 0 }
        if !selected.contains(.echoes) { network.echoPermille = 0 }
        if !selected.contains(.powerFailures) { powerFailures = [:] }
        if !selected.contains(.slowServers) { slowServers = [:] }
        if !selected.contains(.partitions) { partitions = [:] }
        if !selected.contains(.crashes) { serverCrashes = [:] }
        if !selected.contains(.clientCrashes) {
            for position in operations.indices { operations[position].crash = nil }
        }
    }
}

/// Options that no world fulfils.
package struct ImpossibleWorld: Error, Equatable {
    package let reason: String
}
