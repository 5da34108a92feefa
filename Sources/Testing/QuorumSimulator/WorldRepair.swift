// Servers that repair what they want, through the network, as Repairer does it behind sockets: an object's steps follow
// from its record, one after the other.

import QuorumFaults
import QuorumProtocol

/// One server's repair of one object, under the number of what it waits for.
struct RunningRepair {
    enum Waiting {
        case version(VersionFetcher, Timestamp)
        case stripe(StripeFetcher, RepairedStripe)
        /// For its replica.
        case replica([RepairedParts])
    }

    let key: ObjectKey
    var waiting = Waiting.replica([])
    /// How often in a row what was found was not taken.
    var lateCount = 0
    var hasTaken = false
    var page: (attempt: AttemptName, page: StripePage)?
    /// Versions that could not be had.
    var skipped: Set<Timestamp> = []
}

extension World {
    /// What a server's repair is told, beside replies and what its replica says.
    enum RepairEvent {
        indirect case version(VersionFetcher.Input)
        indirect case stripe(StripeFetcher.Input)
        case retransmission(intervalMicroseconds: UInt64)
        case deadline
    }

    /// How old a want is before it is looked after, in milliseconds.
    static func repairDelayMilliseconds(_ plan: WorldPlan) -> UInt64 {
        var generator = SeededGenerator(seed: plan.seed &* 0x9e37_79b9_7f4a_7c15 &+ 11)
        return [0, 5, 50, 1000][generator.below(4)]
    }

    /// How often in a row what was found may come too late.
    private static let lateCountMax = 3

    func beginRepairs(_ server: SimulatedServer) {
        guard server.liar == nil else { return }
        let now = nowMicroseconds / 1000
        if server.repairQueue.wantsMore(nowMilliseconds: now) {
            server.repairQueue.bring(server.disk.wants(), isLast: true, nowMilliseconds: now)
        }
        guard !server.repairQueue.isEmpty else { return }
        let isIdle = generator.chance(percent: 70)
        while let key = server.repairQueue.next(nowMilliseconds: now, isIdle: isIdle) {
            note("\(server.node) repairs \(key)")
            step(server, RunningRepair(key: key))
        }
    }

    /// Does what the object's record says is next.
    private func step(_ server: SimulatedServer, _ repair: RunningRepair) {
        let key = repair.key
        guard case .held(let record) = server.disk.record(key),
            let position = parameters.placement(of: key).position(of: server.node)
        else {
            finish(server, repair, .failed)
            return
        }
        let step = record.repairStep(
            key, node: server.node, skipping: repair.skipped, in: server, stripesMax: 1, parameters)
        switch step {
        case .done where !repair.skipped.isEmpty: finish(server, repair, .failed)
        case .done:
            if !repair.hasTaken { give([], of: key, to: server, number: 0) }
            finish(server, repair, .done)
        case .verify, .unreadable:
            finish(server, repair, .failed)
        case .lost(let parts):
            if let replica = replica(of: server, for: key) {
                feed(server, replica, .lost(key, [parts], answering: nil))
            }
            finish(server, repair, .failed)
        case .take(let parts):
            take([parts], server, repair)
        case .version(let timestamp):
            let others = parameters.quorums.positions.filter { $0 != position }
            let fetcher = VersionFetcher(
                parameters: parameters, key: key, timestamp: timestamp, preference: others + [position],
                isKnownSound: true)
            wait(
                server, repair, for: .version(fetcher, timestamp), start: .version(.start))
        case .stripes(let timestamp, let stripes):
            guard let wanted = stripes.first.map({ RepairedStripe($0, of: timestamp, at: position) }) else {
                finish(server, repair, .failed)
                return
            }
            let page = repair.page.flatMap { $0.attempt == wanted.wanted.part.attempt ? $0.page : nil }
            let ownPage = page ?? wanted.ownPage(of: key, in: server, parameters)
            if let own = wanted.ownParts(of: key, in: server, page: ownPage, parameters) {
                take([own], server, repair)
                return
            }
            let others = parameters.quorums.positions.filter { $0 != position }
            let fetcher = StripeFetcher(
                parameters: parameters, key: key, timestamp: timestamp, wanted: wanted.toFetch(page),
                preference: others + [position], endsWhenLost: true)
            wait(server, repair, for: .stripe(fetcher, wanted), start: .stripe(.start))
        }
    }

    /// Under a number of its own, so that late answers are none to this.
    private func wait(
        _ server: SimulatedServer, _ repair: RunningRepair, for waiting: RunningRepair.Waiting,
        start: RepairEvent? = nil
    ) {
        verificationCount += 1
        let number = verificationCount
        var repair = repair
        repair.waiting = waiting
        server.repairs[number] = repair
        guard let start else { return }
        let interval = plan.patience.retransmitMicroseconds
        add(.deadline, server, number, afterMicroseconds: Self.verificationMicroseconds)
        add(.retransmission(intervalMicroseconds: interval), server, number, afterMicroseconds: interval)
        happen(start, server, number)
    }

    private func add(
        _ event: RepairEvent, _ server: SimulatedServer, _ number: Int, afterMicroseconds delay: UInt64
    ) {
        heap.add(.repair(server.node, life: server.life, number: number, event), at: nowMicroseconds + delay)
    }

    func happen(_ event: RepairEvent, _ server: SimulatedServer, _ number: Int) {
        guard let repair = server.repairs[number] else { return }
        switch (event, repair.waiting) {
        case (.version(let input), .version(var fetcher, let timestamp)):
            var effects: [VersionFetcher.Effect] = []
            fetcher.handle(input, into: &effects)
            server.repairs[number]?.waiting = .version(fetcher, timestamp)
            for effect in effects { perform(effect, server, number) }
        case (.stripe(let input), .stripe(var fetcher, let stripe)):
            var effects: [StripeFetcher.Effect] = []
            fetcher.handle(input, into: &effects)
            server.repairs[number]?.waiting = .stripe(fetcher, stripe)
            for effect in effects { perform(effect, server, number) }
        case (.retransmission(let interval), let waiting):
            let next = min(2 * interval, Self.retransmitMaxMicroseconds)
            add(.retransmission(intervalMicroseconds: next), server, number, afterMicroseconds: next)
            switch waiting {
            case .version: happen(.version(.retransmit), server, number)
            case .stripe: happen(.stripe(.retransmit), server, number)
            case .replica: break
            }
        case (.deadline, .version): happen(.version(.deadline), server, number)
        case (.deadline, .stripe): happen(.stripe(.deadline), server, number)
        default: break
        }
    }

    /// A server has answered.
    func receive(_ reply: Reply, from position: Position, _ server: SimulatedServer, repair number: Int) {
        switch server.repairs[number]?.waiting {
        case .version?: happen(.version(.reply(position, reply)), server, number)
        case .stripe?: happen(.stripe(.reply(position, reply)), server, number)
        case .replica?, nil: break
        }
    }

    private func perform(_ effect: VersionFetcher.Effect, _ server: SimulatedServer, _ number: Int) {
        guard let repair = server.repairs[number] else { return }
        let key = repair.key
        switch VersionFetcher.step(effect, key: key, verifier: server.verifier) {
        case .send(let position, let request): send(request, to: position, for: server, key, number)
        case .work(_, let work), .encode(let work):
            if let deferral = deferral() {
                add(.version(work()), server, number, afterMicroseconds: deferral)
            } else {
                happen(.version(work()), server, number)
            }
        case .startHedge:
            add(.version(.hedge), server, number, afterMicroseconds: plan.patience.hedgeMicroseconds)
        case .finish(let result):
            server.repairs[number] = nil
            guard case .version(_, let timestamp) = repair.waiting,
                let position = parameters.placement(of: key).position(of: server.node)
            else { return }
            switch result {
            case .success(let fetched):
                if let parts = RepairedParts(fetched, of: timestamp, at: position) {
                    take([parts], server, repair)
                } else {
                    fail(server, repair, skipping: timestamp)
                }
            case .failure: fail(server, repair, skipping: timestamp)
            }
        }
    }

    private func perform(_ effect: StripeFetcher.Effect, _ server: SimulatedServer, _ number: Int) {
        guard var repair = server.repairs[number] else { return }
        switch StripeFetcher.step(effect, key: repair.key, verifier: server.verifier) {
        case .send(let position, let request): send(request, to: position, for: server, repair.key, number)
        case .work(_, let work), .encode(let work):
            if let deferral = deferral() {
                add(.stripe(work()), server, number, afterMicroseconds: deferral)
            } else {
                happen(.stripe(work()), server, number)
            }
        case .startHedge:
            add(.stripe(.hedge), server, number, afterMicroseconds: plan.patience.hedgeMicroseconds)
        case .finish(let result):
            server.repairs[number] = nil
            guard case .stripe(_, let stripe) = repair.waiting else { return }
            guard case .success(let outcome) = result, let parts = stripe.parts(outcome) else {
                fail(server, repair, skipping: stripe.timestamp)
                return
            }
            if let page = outcome.page { repair.page = (stripe.wanted.part.attempt, page) }
            take([parts], server, repair)
        }
    }

    private func send(
        _ request: Request, to position: Position, for server: SimulatedServer, _ key: ObjectKey, _ number: Int
    ) {
        send(
            request, to: parameters.placement(of: key).node(at: position), route: routeNumber(of: key),
            client: Self.asker(server.node), operation: number)
    }

    private func take(_ found: [RepairedParts], _ server: SimulatedServer, _ repair: RunningRepair) {
        wait(server, repair, for: .replica(found))
        give(found, of: repair.key, to: server, number: UInt64(verificationCount))
    }

    private func give(_ found: [RepairedParts], of key: ObjectKey, to server: SimulatedServer, number: UInt64) {
        guard let replica = replica(of: server, for: key) else { return }
        feed(server, replica, .repaired(key, found, number: number))
    }

    /// What was found is durable, or not taken.
    func ended(_ result: Result<Void, RepairRefusal>, _ server: SimulatedServer, number: UInt64) {
        guard var repair = server.repairs.removeValue(forKey: Int(number)), case .replica(let found) = repair.waiting
        else { return }
        switch result {
        case .success:
            repair.lateCount = 0
            repair.hasTaken = true
            step(server, repair)
        case .failure(.otherStripes):
            guard case .staged(let descriptor)? = found.first?.parts, let timestamp = found.first?.timestamp else {
                finish(server, repair, .failed)
                return
            }
            take([RepairedParts(.adoption(descriptor), of: timestamp)], server, repair)
        case .failure(.notWanted):
            repair.lateCount += 1
            if repair.lateCount > Self.lateCountMax {
                finish(server, repair, .failed)
            } else {
                step(server, repair)
            }
        case .failure(.storage(.full)): finish(server, repair, .full)
        case .failure(.noPlace), .failure(.storage): finish(server, repair, .failed)
        }
    }

    /// What could not be had: another version may be.
    private func fail(_ server: SimulatedServer, _ repair: RunningRepair, skipping timestamp: Timestamp) {
        var repair = repair
        repair.skipped.insert(timestamp)
        step(server, repair)
    }

    private func finish(_ server: SimulatedServer, _ repair: RunningRepair, _ end: RepairEnd) {
        note("\(server.node)'s repair of \(repair.key): \(end)")
        // What is not to be had may have been overwritten without this server having heard of it.
        if end == .failed { verify(repair.key, isUrgent: false, by: server) }
        server.repairQueue.finished(repair.key, end, sizeBytes: 0, nowMilliseconds: nowMicroseconds / 1000)
    }

    // MARK: At the end

    /// What a server still wants, or does not want although it lacks it; nil when it is whole.
    func incompleteness(of server: SimulatedServer) -> String? {
        for want in server.disk.wants() where !isBlocked(want.key, at: server) {
            guard let record = server.disk.lastRecord(want.key), isBeyondHelp(record, want.key) else {
                return "\(server.node) still wants something of \(want.key)"
            }
        }
        for key in keys {
            guard let placement = parameters.placement(of: key).position(of: server.node),
                let record = server.disk.lastRecord(key), let committed = record.committed, !isBlocked(key, at: server)
            else { continue }
            let isSpare = placement.offset >= parameters.quorums.serverCount - parameters.quorums.faults
            guard let version = record.version(committed.timestamp) else {
                return "\(server.node) lacks the descriptor of \(committed.timestamp) of \(key)"
            }
            switch version.fragments {
            case .held, .void: continue
            case .absent where isSpare && version.delivery == .leavingSpares: continue
            case .absent, .lost: return "\(server.node) lacks its fragments of \(committed.timestamp) of \(key)"
            }
        }
        return nil
    }

    /// Whether nothing is wanted but versions that are pending and that too few servers hold, or that are poisonous. In
    /// `read-time`, where nobody looks again unasked, some correct server may know that and have crashed before it could
    /// sign it.
    private func isBeyondHelp(_ record: ObjectRecord, _ key: ObjectKey) -> Bool {
        let lost = record.held.filter { version in
            version.fragments == .lost && record.committed.map { $0.timestamp < version.timestamp } ?? true
                && !record.isPoisonous(version.timestamp)
        }
        guard !lost.isEmpty, record.committed.map({ record.version($0.timestamp)?.fragments != .lost }) ?? true
        else {
            return false
        }
        let sources = sources(of: key)
        return lost.allSatisfy { version in
            let timestamp = version.timestamp
            if record.unverified.contains(where: { $0.timestamp == timestamp }) {
                let isCalledPoisonous = sources.contains {
                    $0.disk.lastRecord(key)?.isPoisonous(timestamp) ?? false
                }
                guard parameters.mode == .readTime, isCalledPoisonous else { return isPoisonous(timestamp, key) }
            }
            let holders = sources.count {
                $0.disk.lastRecord(key)?.version(timestamp)?.holdsFragments ?? false
            }
            return holders < parameters.quorums.dataFragmentCount || isPoisonous(timestamp, key)
        }
    }

    /// Who may have good fragments: a server whose disk has rotted as others.
    private func sources(of key: ObjectKey) -> [SimulatedServer] {
        let members = parameters.configuration.group(of: key.slot).members
        return servers.filter { server in
            server.liar == nil && server.isUp && members.contains(server.node) && server.disk.record(key).isReadable
        }
    }

    /// Whether all that is left of a version shows that it is poisonous.
    func isPoisonous(_ timestamp: Timestamp, _ key: ObjectKey) -> Bool {
        judgement(of: key, at: timestamp, isSettled: false, sources(of: key)).isPoisonous
    }

    /// Whether a version that may never be finished holds what the committed one names here.
    func isBlocked(_ key: ObjectKey, at server: SimulatedServer) -> Bool {
        guard let record = server.disk.lastRecord(key), let committed = record.committed?.timestamp else {
            return false
        }
        guard let staged = server.disk.descriptor(key, committed).value?.descriptor.staged else { return false }
        return staged.parts.contains { part in
            guard let attempt = record.attempt(part.attempt),
                !attempt.holders.contains(where: { $0.timestamp == committed })
            else { return false }
            let isOthers = attempt.name.stager != committed.writer && attempt.holders.isEmpty
            return isOthers || attempt.holders.contains { $0.timestamp != committed }
        }
    }
}
