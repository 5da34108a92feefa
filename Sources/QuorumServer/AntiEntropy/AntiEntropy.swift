// How a server finds out what it has missed (docs/protocol.md, Anti-entropy). It meets each server of its groups now and
// then, one at a time, and at once when a connection is there again: compares digests of slots, lists the slots in which
// they differ, and asks for the certificates of what is higher there. A peer is believed in nothing but those.

import Fingerprint
import Logging
import NIOCore
import QuorumOperations
import QuorumProtocol
import Synchronization

/// Keeps one server from staying behind.
final class AntiEntropy: ReplyReceiver {
    /// How soon after a connection is there a peer is met: what is under way then arrives by itself.
    private static let settlingMilliseconds: UInt64 = 2000
    /// How many certificates are asked for at a time.
    private static let certificatesAtOnce = 16
    /// How many versions a peer may name in one meeting, and not prove, or refuse to say more about.
    private static let unprovenMax = 16
    /// How long a meeting may take. It goes on where it ended, when others have had theirs.
    private static let meetingMilliseconds: UInt64 = 60_000
    private static let longestMilliseconds: UInt64 = 3_600_000

    private struct Peer {
        /// By a clock that nobody sets.
        var nextMilliseconds: UInt64
        /// How often in a row it has named what it did not prove, or has refused to answer.
        var failures = 0
        /// The slot to go on with.
        var slot: UInt16 = 0
        /// When it was first met from the first slot to the last.
        var metAt: NIODeadline?
    }

    private struct State {
        var peers: [NodeID: Peer] = [:]
        var isMeeting = false
        var isStopped = false
        var whenDone: CheckedContinuation<Void, Never>?
    }

    /// What came of a meeting.
    private struct Meeting {
        var differingSlots = 0
        var learned = 0
        var unproven = 0
        /// Questions that it answered with something else.
        var refused = 0
        /// It has not answered at all, as one that is down does not.
        var isBrokenOff = false
        /// Where it goes on; nil: it went to its end.
        var nextSlot: UInt16?
        let firstSlot: UInt16
        let endMilliseconds: UInt64

        /// What is committed at the peer is known here, as far as it tells.
        var isWhole: Bool { firstSlot == 0 && nextSlot == nil }

        var isOver: Bool {
            isBrokenOff || unproven + refused >= AntiEntropy.unprovenMax
                || AntiEntropy.nowMilliseconds >= endMilliseconds
        }
    }

    private static var nowMilliseconds: UInt64 { NIODeadline.now().uptimeNanoseconds / 1_000_000 }

    private let reads: PeerReads
    private let host: ReplicaHost
    private let statistics: ServerStatistics
    private let logger: Logger
    private let intervalMilliseconds: UInt64
    private let state: Mutex<State>

    /// - Parameter intervalMilliseconds: how often each peer is met; 0: never.
    init(
        intervalMilliseconds: UInt64, reads: PeerReads, host: ReplicaHost, statistics: ServerStatistics,
        logger: Logger
    ) {
        self.reads = reads
        self.host = host
        self.statistics = statistics
        self.logger = logger
        self.intervalMilliseconds = intervalMilliseconds
        let configuration = reads.context.parameters.configuration
        let others = Set(configuration.groups(of: reads.node).flatMap(\.members)).subtracting([reads.node])
        state = Mutex(State(peers: Dictionary(uniqueKeysWithValues: others.map { ($0, Peer(nextMilliseconds: .max)) })))
    }

    /// Connects to the peers. They are met once they are there.
    func start() {
        guard intervalMilliseconds > 0 else { return }
        reads.context.connections.register(self)
        reads.start()
    }

    func receive(_ reply: Reply, from server: NodeID) {}

    func connected(to server: NodeID) {
        let now = Self.nowMilliseconds
        state.withLock { state in
            guard let peer = state.peers[server] else { return }
            // One that has wasted our time before does not get more of it by connecting anew.
            guard peer.failures == 0 || peer.nextMilliseconds == .max else { return }
            state.peers[server]?.nextMilliseconds = now &+ Self.settlingMilliseconds
        }
    }

    func abandon() {}

    /// Meets who is due. Called now and then.
    func tick() {
        let now = Self.nowMilliseconds
        let due = state.withLock { state -> NodeID? in
            guard !state.isMeeting, !state.isStopped else { return nil }
            let due = state.peers.filter { $0.value.nextMilliseconds <= now }
                .min { ($0.value.nextMilliseconds, $0.key) < ($1.value.nextMilliseconds, $1.key) }
            state.isMeeting = due != nil
            return due?.key
        }
        guard let due else { return }
        Task { await meet(due) }
    }

    private func meet(_ peer: NodeID) async {
        let meeting = await compare(with: peer)
        // Silence is not held against it: it is met again as soon as it is there.
        let failed = meeting.unproven > 0 || meeting.nextSlot != nil && meeting.learned == 0 && meeting.refused > 0
        statistics.count { counters in
            counters.peerMeetings += 1
            counters.differingSlots += UInt64(meeting.differingSlots)
            counters.learnedVersions += UInt64(meeting.learned)
            counters.unprovenVersions += UInt64(meeting.unproven)
        }
        if meeting.learned > 0 { logger.info("learned of \(meeting.learned) versions from \(peer)") }
        if meeting.unproven > 0 {
            logger.warning("\(peer) names \(meeting.unproven) versions as committed and does not prove it")
        }
        let now = Self.nowMilliseconds
        let whenDone = state.withLock { state -> CheckedContinuation<Void, Never>? in
            let failures = failed ? (state.peers[peer]?.failures ?? 0) + 1 : 0
            var wait = min(
                max(Self.longestMilliseconds, intervalMilliseconds),
                intervalMilliseconds << UInt64(min(failures, 10)))
            // There is more to learn; who has waited meanwhile comes first.
            if !failed, meeting.nextSlot != nil, meeting.learned > 0 { wait = 0 }
            let metAt = state.peers[peer]?.metAt ?? (meeting.isWhole ? .now() : nil)
            // It was left alone in the middle of a slot before, of which there may be more.
            if !failed, meeting.nextSlot == nil, metAt == nil { wait = 0 }
            state.peers[peer] = Peer(
                nextMilliseconds: now &+ wait, failures: failures, slot: meeting.nextSlot ?? 0, metAt: metAt)
            state.isMeeting = false
            defer { state.whenDone = nil }
            return state.whenDone
        }
        whenDone?.resume()
        tick()
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func compare(with peer: NodeID) async -> Meeting {
        var first = state.withLock { $0.peers[peer]?.slot ?? 0 }
        var meeting = Meeting(firstSlot: first, endMilliseconds: Self.nowMilliseconds &+ Self.meetingMilliseconds)
        while first < UInt16(Slot.count) {
            let count = min(UInt16(SlotQuery.digestsMax), UInt16(Slot.count) - first)
            let query = SlotQuery.digests(first: Slot(first), count: count)
            guard case .digests(let digests)? = await ask(query, of: peer, &meeting),
                case .success(.digests(let own)) = await ownSlots(query, peer)
            else {
                meeting.nextSlot = first
                return meeting
            }
            let known = Dictionary(uniqueKeysWithValues: own.map { ($0.slot, $0.digest) })
            for digest in digests where known[digest.slot].map({ $0 != digest.digest }) ?? false {
                meeting.differingSlots += 1
                await compare(digest.slot, with: peer, &meeting)
                if isStopped || meeting.isOver {
                    // The next one: this one may be what takes the time.
                    meeting.nextSlot = (digest.slot.rawValue + 1) % UInt16(Slot.count)
                    return meeting
                }
            }
            first += count
        }
        return meeting
    }

    /// Goes through the objects of a slot, as long as that is worth it.
    private func compare(_ slot: Slot, with peer: NodeID, _ meeting: inout Meeting) async {
        var last: ObjectKey?
        while true {
            let query = SlotQuery.objects(slot, after: last)
            guard case .objects(let objects, let hasMore, _)? = await ask(query, of: peer, &meeting) else { return }
            let behind = await ownLag(objects)
            for start in stride(from: 0, to: behind.count, by: Self.certificatesAtOnce) {
                let some = behind[start..<min(start + Self.certificatesAtOnce, behind.count)]
                let lessons = await withTaskGroup(of: Lesson.self) { group in
                    for object in some { group.addTask { await self.learn(object, from: peer) } }
                    return await group.reduce(into: [Lesson]()) { $0.append($1) }
                }
                meeting.learned += lessons.count { $0 == .learned }
                meeting.unproven += lessons.count { $0 == .unproven }
                meeting.refused += lessons.count { $0 == .refused }
                if lessons.contains(.unanswered) { meeting.isBrokenOff = true }
                guard !meeting.isOver, !isStopped else { return }
            }
            guard hasMore else { return }
            last = objects.last?.key
        }
    }

    /// What the peer answers; nil when it does not, or something else.
    private func ask(_ query: SlotQuery, of peer: NodeID, _ meeting: inout Meeting) async -> SlotAnswer? {
        guard !isStopped, let answer = await PeerQuestion.ask(query, of: peer, reads.context) else {
            meeting.isBrokenOff = true
            return nil
        }
        guard case .slots(let slots) = answer, slots.answers(query) else {
            meeting.refused += 1
            return nil
        }
        return slots
    }

    private func ownSlots(_ query: SlotQuery, _ peer: NodeID) async -> Result<SlotAnswer, Refusal> {
        await host.inBackground { $0.slots(query, with: peer) }
    }

    /// Those of which a lower version is committed here, or none.
    private func ownLag(_ objects: [CommittedObject]) async -> [CommittedObject] {
        await host.inBackground { host in objects.filter(host.isBehind) }
    }

    private enum Lesson {
        case learned
        case unproven
        case refused
        case unanswered
        /// It is not taken here, for whatever reason: that says nothing of the peer.
        case notTaken
    }

    /// Commits what a peer has committed.
    private func learn(_ object: CommittedObject, from peer: NodeID) async -> Lesson {
        let request = Request.certificate(object.key, object.timestamp)
        guard let answer = await PeerQuestion.ask(request, of: peer, reads.context) else { return .unanswered }
        guard case .reply(.certificate(_, let shown)) = answer else { return .refused }
        guard let shown, shown.timestamp >= object.timestamp else { return .unproven }
        let verifier = reads.context.verifier
        let verified = await withCheckedContinuation { continuation in
            reads.context.workers.submit { _ in
                continuation.resume(returning: try? verifier.verify(shown, key: object.key))
            }
        }
        guard let verified else { return .unproven }
        if case .success = await host.learn(object.key, verified) { return .learned }
        return .notTaken
    }

    /// How many servers had to be met yet at a moment, in the group where that is most, before everything is known here
    /// that was completely written before this server started. Of a group, f may be left out: a write is complete once
    /// q have committed it, and of those that are met at least m ≥ f + 1 are among them then. 0 where nobody is ever met.
    func countToMeet(by moment: NIODeadline) -> Int {
        guard intervalMilliseconds > 0 else { return 0 }
        let met = state.withLock { state in
            Set(state.peers.filter { $0.value.metAt.map { $0 <= moment } ?? false }.keys)
        }
        let parameters = reads.context.parameters
        let counts = parameters.configuration.groups(of: reads.node).map { group in
            group.members.count { $0 != reads.node && !met.contains($0) } - parameters.quorums.faults
        }
        return max(0, counts.max() ?? 0)
    }

    /// Begins nothing any more.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Waits for what is under way to end.
    func shutdown() async {
        stop()
        reads.context.connections.unregister(self, requests: [])
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.isMeeting { state.whenDone = continuation }
                return !state.isMeeting
            }
            if isDone { continuation.resume() }
        }
    }
}
