// How a server that has lost its memory learns again what it has to know (docs/protocol.md, Rebuilding). Slot by slot
// the others list what they have committed. Once q of them have listed every slot, each after it had promised to count
// this server's earlier life no more, the server answers again. It is well when all of them have, when all that they
// listed is committed here or outranked, and when it lacks nothing of it.

import Logging
import NIOCore
import ProtocolStorage
import QuorumOperations
import QuorumProtocol
import Synchronization

/// Rebuilds one server.
final class Rebuilder: Sendable {
    private static let slotsAtOnce = 8
    /// More than that cannot be had is another trouble.
    private static let irreparableMax = 1000
    private static let savingInterval = Duration.seconds(5)
    /// How long it waits at first, and at most, for something to happen that it can go on with: who keeps it waiting may
    /// have taken the newer list meanwhile, or may be there again.
    private static let firstPause = Duration.milliseconds(50)
    private static let listingPause = Duration.seconds(1)
    private static let healingPause = Duration.seconds(5)

    private struct State {
        var mark: RebuildMark
        var progress = RebuildProgress()
        var isWell = false
        var isTakingOver = true
    }

    private let files: RebuildFiles
    private let incarnation: Incarnation
    private let node: NodeID
    private let reads: PeerReads
    private let host: ReplicaHost
    private let lists: ListService
    private let store: ProtocolStore
    private let repairer: Repairer
    private let repairs: Wakeup
    private let arrivals = Wakeup()
    private let logger: Logger
    private let slots: [Slot]
    private let peers: Set<NodeID>
    private let state: Mutex<State>
    private let task = Mutex<Task<Void, Never>?>(nil)

    /// - Parameters:
    ///   - files: where it is noted how far the server is.
    ///   - incarnation: of its store.
    ///   - repairs: woken whenever `repairer` has nothing left that it could do.
    init(
        _ mark: RebuildMark, files: RebuildFiles, incarnation: Incarnation, reads: PeerReads, host: ReplicaHost,
        lists: ListService,
        store: ProtocolStore, repairer: Repairer, repairs: Wakeup, logger: Logger
    ) {
        self.files = files
        self.incarnation = incarnation
        self.reads = reads
        self.host = host
        self.lists = lists
        self.store = store
        self.repairer = repairer
        self.repairs = repairs
        self.logger = logger
        node = reads.node
        let configuration = reads.context.parameters.configuration
        slots = Slot.all.filter { configuration.group(of: $0).contains(reads.node) }
        peers = Set(configuration.groups(of: reads.node).flatMap(\.members)).subtracting([reads.node])
        state = Mutex(State(mark: mark))
        note { $0.progress.slotsAll = self.slots.count }
    }

    var progress: RebuildProgress {
        state.withLock { state in
            var progress = state.progress
            progress.phase = state.isWell ? nil : state.mark.phase
            return progress
        }
    }

    /// Whether the others have yet to be gone through once, which finds all that a meeting with one of them would.
    var isTakingOver: Bool { state.withLock { $0.isTakingOver } }

    func start() {
        // The mark may have been lost: whoever looks whether the server is well looks for it.
        save()
        reads.context.connections.register(self)
        reads.start()
        task.withLock { $0 = Task { await self.run() } }
    }

    func stop() { task.withLock { $0?.cancel() } }

    func shutdown() async {
        await task.withLock { $0 }?.value
        reads.context.connections.unregister(self, requests: [])
    }

    private func run() async {
        var told: Set<NodeID> = []
        while state.withLock({ $0.mark.phase }) == .listing {
            guard let listed = await listAll() else { return }
            told = listed
        }
        var fences = reads.context.verifier.fences
        var pause = Self.firstPause
        while true {
            let (repaired, arrived) = (repairs.count, arrivals.count)
            let now = reads.context.verifier.fences
            told = told.filter { now.incarnation(of: $0) == fences.incarnation(of: $0) }
            fences = now
            let missing = peers.subtracting(told)
            note { state in
                state.progress.serversMissing = missing.count
                if missing.isEmpty { state.isTakingOver = false }
            }
            if missing.isEmpty, await lacksNothing() { break }
            if !missing.isEmpty {
                guard let listed = await hear(missing) else { return }
                told.formUnion(listed)
                note { $0.isTakingOver = false }
                // What they have committed until now is known here, and nothing of it is on its way.
                repairer.looksAtOnce(afterWantsBefore: Server.currentMilliseconds())
                if listed == missing { continue }
                // A pass takes all servers' time, and who is not there yet may stay away for long.
                guard await arrivals.wait(after: arrived, atMost: Self.drawn(pause)) else { return }
                pause = listed.isEmpty ? min(pause * 2, Self.healingPause) : Self.firstPause
            }
            guard await repairs.wait(after: repaired, atMost: Self.drawn(Self.healingPause)) else { return }
        }
        do {
            try files.conclude(incarnation)
            note { $0.isWell = true }
            logger.info("this server is well again: it has all that the others have committed")
        } catch {
            logger.error("it cannot be noted in \(files.well) that this server is well: \(error)")
        }
    }

    // MARK: Until requests are answered

    /// Goes through all slots until q others have listed each. Returns who has listed all of them, and all of that is
    /// committed here; nil when the server ends.
    private func listAll() async -> Set<NodeID>? {
        let fences = reads.context.verifier.fences
        let keysVersion = lists.current.lists.keys.version
        var first = state.withLock { state in
            if state.mark.keysVersion != keysVersion { state.mark.nextSlot = 0 }
            state.mark.keysVersion = keysVersion
            return state.mark.nextSlot
        }
        logger.info("rebuilding: the others are asked what they have committed, from slot \(first) on")
        var told = first == 0 ? peers : []
        // Who keeps this server waiting is asked for the rest when it answers again.
        var prompt = peers
        var savedAt = ContinuousClock.now
        while first < slots.count {
            let some = Array(slots[first..<min(first + Self.slotsAtOnce, slots.count)])
            let asked = prompt
            let outcomes = await withTaskGroup(of: RebuiltSlot.Outcome?.self) { group in
                for slot in some {
                    group.addTask { await self.list(slot, asking: asked, keysVersion: keysVersion) }
                }
                return await group.reduce(into: [RebuiltSlot.Outcome?]()) { $0.append($1) }
            }
            for outcome in outcomes {
                guard let outcome else { return nil }
                let members = members(of: outcome.slot)
                told = told.filter { !members.contains($0) || outcome.settled.contains($0) }
                prompt = prompt.filter { !members.contains($0) || outcome.listed.contains($0) }
            }
            first += some.count
            state.withLock { state in
                state.mark.nextSlot = first
                state.progress.slotsDone = first
            }
            if .now - savedAt > Self.savingInterval {
                save()
                savedAt = .now
            }
        }
        // What a server said in a life that it has forgotten meanwhile is no promise of its present one.
        let now = reads.context.verifier.fences
        guard peers.allSatisfy({ now.incarnation(of: $0) == fences.incarnation(of: $0) }) else {
            state.withLock { $0.mark.nextSlot = 0 }
            return []
        }
        state.withLock { state in
            state.mark.phase = .healing
            state.mark.servedMilliseconds = Server.currentMilliseconds()
        }
        guard save() else {
            state.withLock { $0.mark.phase = .listing }
            return await sleep(Self.healingPause) ? [] : nil
        }
        host.live(.serving)
        repairer.looksAtOnce(afterWantsBefore: Server.currentMilliseconds())
        logger.info("rebuilding: requests are answered again; what is missing is repaired")
        return told
    }

    private func list(
        _ slot: Slot, asking prompt: Set<NodeID>, keysVersion: UInt64
    ) async -> RebuiltSlot.Outcome? {
        let quorum = reads.context.parameters.quorums.quorum
        var asked = prompt
        var pause = Self.firstPause
        while !Task.isCancelled {
            let arrived = arrivals.count
            let outcome = await rebuilt(slot, asking: asked, keysVersion, restates: false).adopt()
            if outcome.listed.count >= quorum { return outcome }
            asked = peers
            note { $0.progress.serversMissing = self.peers.count - outcome.listed.count }
            guard await arrivals.wait(after: arrived, atMost: Self.drawn(pause)) else { return nil }
            pause = min(pause * 2, Self.listingPause)
        }
        return nil
    }

    private func rebuilt(
        _ slot: Slot, asking servers: Set<NodeID>, _ keysVersion: UInt64, restates: Bool
    ) -> RebuiltSlot {
        RebuiltSlot(
            slot, asking: servers.intersection(members(of: slot)), keysVersion: keysVersion, restates: restates,
            reads: reads, host: host, store: store, isBusy: { [repairer] in restates && !repairer.isIdle })
    }

    private func members(of slot: Slot) -> Set<NodeID> {
        Set(reads.context.parameters.configuration.group(of: slot).members)
    }

    // MARK: Until all is well

    /// Has these list all slots; returns those that have and of whose versions none is open here. Nil when the server
    /// ends.
    private func hear(_ servers: Set<NodeID>) async -> Set<NodeID>? {
        let keysVersion = lists.current.lists.keys.version
        var told = servers
        // Who does not list a slot begins anew with the next pass. Versions that are open keep nobody from the next slot.
        var listening = servers
        var open = 0
        for start in stride(from: 0, to: slots.count, by: Self.slotsAtOnce) {
            let some = slots[start..<min(start + Self.slotsAtOnce, slots.count)]
            let asked = listening
            let outcomes = await withTaskGroup(of: RebuiltSlot.Outcome.self) { group in
                for slot in some {
                    group.addTask { await self.rebuilt(slot, asking: asked, keysVersion, restates: true).adopt() }
                }
                return await group.reduce(into: [RebuiltSlot.Outcome]()) { $0.append($1) }
            }
            guard !Task.isCancelled else { return nil }
            for outcome in outcomes {
                let members = members(of: outcome.slot)
                told = told.filter { !members.contains($0) || outcome.settled.contains($0) }
                listening = listening.filter { !members.contains($0) || outcome.listed.contains($0) }
                open += outcome.openCount
            }
            if listening.isEmpty { break }
        }
        note { $0.progress.openVersions = open }
        return told
    }

    /// Whether it wants nothing any more but what cannot be had, with all others there. Nobody is the better for waiting
    /// for that.
    private func lacksNothing() async -> Bool {
        let (store, repairer) = (store, repairer)
        return await host.inBackground { _ in
            // The first that may yet come decides.
            guard let wants = try? store.wants(after: nil, limit: Self.irreparableMax + 1) else { return false }
            return wants.count <= Self.irreparableMax
                && wants.allSatisfy { repairer.failure(of: $0.key)?.isIrreparable ?? false }
        }
    }

    private func note(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    @discardableResult
    private func save() -> Bool {
        do {
            try state.withLock { $0.mark }.write(to: files.mark)
            return true
        } catch {
            logger.warning("\(files.mark) cannot be written: \(error)")
            return false
        }
    }

    /// Not all servers of a cluster look at the same time.
    private static func drawn(_ pause: Duration) -> Duration { pause * Double.random(in: 0.75...1) }

    private func sleep(_ time: Duration) async -> Bool { (try? await Task.sleep(for: time)) != nil }
}

/// Whoever can be asked again is asked at once.
extension Rebuilder: ReplyReceiver {
    func receive(_ reply: Reply, from server: NodeID) {}
    func connected(to server: NodeID) {
        arrivals.wake()
        repairs.wake()
    }
    func abandon() {}
}
