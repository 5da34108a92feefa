// The shell around the repair of what a server wants (docs/protocol.md, Repair): it goes through the table of wants,
// has each object's steps follow from its record, reads from the other servers what they ask for, and brings that to
// the replica. Nothing is done but for an object's next step, so that it may end at any point.

import Logging
import NIOCore
import ObjectStorage
import ProtocolStorage
import QuorumOperations
import QuorumProtocol
import Synchronization

/// Repairs what one server wants.
final class Repairer: Sendable {
    private static let pumpInterval = TimeAmount.milliseconds(100)
    /// How many bytes of fragments are brought here at a time for one object.
    private static let windowBytes = 4 << 20
    private static let windowStripes = 16
    /// Of how many large values stripes are brought here at the same time: each is in memory several times.
    private static let largeCountMax = 2
    /// How much is read for an object before others have their turn.
    private static let turnBytes = 256 << 20
    /// What a read is taken to cost that brought nothing.
    private static let failedBytes = 64 << 10
    /// How often the table is counted when it is long, and when it is short, and how many rows are short.
    private static let countInterval = TimeAmount.seconds(60)
    private static let shortCountInterval = TimeAmount.milliseconds(900)
    private static let shortCount = 10_000
    /// Blocks up to this size are decoded on the thread that has their fragments.
    private static let inlineWorkSizeBytesMax = 64 << 10
    /// How often in a row what was found may come too late, before that counts as a failure.
    private static let lateCountMax = 3

    private struct State {
        var queue: RepairQueue
        var lull = RequestLull()
        var isScanning = false
        var isPumping = false
        var isStopped = false
        var runningCount = 0
        var whenDone: CheckedContinuation<Void, Never>?
        var tally = WantsTally()
        var countedAt = NIODeadline.distantPast
        var isCounting = false
    }

    private let peers: PeerReads
    private let store: ProtocolStore
    private let threads: ServerThreads
    private let host: ReplicaHost
    private let verifier: VersionVerifier
    private let statistics: ServerStatistics
    private let logger: Logger
    private let isDrained: Wakeup
    private let large = Turns(countMax: largeCountMax)
    private let isOff: Bool
    private let state: Mutex<State>

    /// - Parameters:
    ///   - verifier: reads objects of which what is wanted is not to be had.
    ///   - isDrained: woken whenever nothing is left that could be done.
    init(
        _ configuration: ServerConfiguration, peers: PeerReads, store: ProtocolStore, threads: ServerThreads,
        host: ReplicaHost, verifier: VersionVerifier, isDrained: Wakeup, statistics: ServerStatistics, logger: Logger
    ) {
        self.isDrained = isDrained
        self.peers = peers
        self.store = store
        self.threads = threads
        self.host = host
        self.verifier = verifier
        self.statistics = statistics
        self.logger = logger
        isOff = configuration.repairBytesPerSecond == 0
        state = Mutex(
            State(
                queue: RepairQueue(
                    bytesPerSecond: max(1, configuration.repairBytesPerSecond),
                    delayMilliseconds: configuration.repairDelayMilliseconds)))
    }

    /// Looks for what is wanted. Called now and then.
    func tick(milliseconds: UInt64) {
        count()
        guard !isOff else { return }
        let scans = state.withLock { state in
            guard !state.isScanning, !state.isStopped, state.queue.wantsMore(nowMilliseconds: milliseconds) else {
                return false
            }
            state.isScanning = true
            return true
        }
        if scans { scan(milliseconds) }
    }

    /// Has wants that came up before this looked after at once: what is missing is not on its way.
    func looksAtOnce(afterWantsBefore milliseconds: UInt64) {
        state.withLock { $0.queue.looksAtOnce(afterWantsBefore: milliseconds) }
        tick(milliseconds: Server.currentMilliseconds())
    }

    /// What the table of wants had when it was last counted.
    var tally: WantsTally {
        state.withLock { state in
            var tally = state.tally
            tally.failedCount = min(tally.count, state.queue.failedCount)
            return tally
        }
    }

    /// Why the repair of an object has failed, as far as that is remembered.
    func failure(of key: ObjectKey) -> RepairFailure? { state.withLock { $0.queue.failure(of: key) } }

    /// Counts the table, unless that takes long and was done lately.
    private func count() {
        let begins = state.withLock { state in
            let interval = state.tally.count < Self.shortCount ? Self.shortCountInterval : Self.countInterval
            let isDue = NIODeadline.now() - state.countedAt > interval
            guard isDue, !state.isCounting, !state.isStopped else { return false }
            state.isCounting = true
            return true
        }
        guard begins else { return }
        threads.backgroundTurns.submit(for: nil) {
            var tally = WantsTally()
            tally.begunAt = .now()
            var last: ObjectKey?
            var counted: WantsTally?
            while let wants = try? self.store.wants(after: last, limit: Self.shortCount) {
                tally.count += wants.count
                for want in wants {
                    tally.oldestMilliseconds = min(tally.oldestMilliseconds ?? .max, want.sinceMilliseconds)
                }
                last = wants.last?.key
                guard wants.count == Self.shortCount, !self.state.withLock({ $0.isStopped }) else {
                    counted = tally
                    break
                }
            }
            // When the table cannot be read, what was counted last is better than nothing.
            self.state.withLock { [counted] state in
                state.tally = counted ?? state.tally
                state.countedAt = .now()
                state.isCounting = false
            }
        }
    }

    private func scan(_ milliseconds: UInt64) {
        threads.backgroundTurns.submit(for: nil) {
            let cursor = self.state.withLock { $0.queue.cursor }
            let wants: [(key: ObjectKey, sinceMilliseconds: UInt64)]
            do throws(StorageError) {
                wants = try self.store.wants(after: cursor, limit: RepairQueue.readyCountMax)
            } catch {
                self.logger.warning("what is wanted cannot be listed: \(error)")
                self.state.withLock { $0.isScanning = false }
                return
            }
            let begins = self.state.withLock { state in
                state.isScanning = false
                state.queue.bring(
                    wants, isLast: wants.count < RepairQueue.readyCountMax, nowMilliseconds: milliseconds)
                guard !state.queue.isEmpty, !state.isPumping, !state.isStopped else { return false }
                state.isPumping = true
                return true
            }
            guard begins else { return }
            self.peers.start()
            self.schedule()
            self.pump()
        }
    }

    /// Goes on as long as there is something to repair.
    private func schedule() {
        peers.context.eventLoop.scheduleTask(in: Self.pumpInterval) {
            let goesOn = self.state.withLock { state in
                state.lull.look(self.statistics.snapshot)
                state.isPumping = !state.isStopped && !state.queue.isEmpty
                return state.isPumping
            }
            guard goesOn else { return }
            self.schedule()
            self.pump()
        }
    }

    private func pump() {
        while let key = takeNext() { Task { await run(key) } }
    }

    private func takeNext() -> ObjectKey? {
        state.withLock { state in
            guard !state.isStopped,
                let key = state.queue.next(
                    nowMilliseconds: Server.currentMilliseconds(), isIdle: state.lull.isIdle)
            else { return nil }
            state.runningCount += 1
            return key
        }
    }

    private func run(_ key: ObjectKey) async {
        var repair = ObjectRepair(key: key)
        let isOwn = peers.context.parameters.placement(of: key).position(of: peers.node) != nil
        let end = isOwn ? await finish(&repair) : repair.fail("the table of wants names it, and its group is another")
        if end == .failed, isOwn {
            // What is not to be had may have been overwritten without this server having heard of it.
            verifier.verify(key, isUrgent: false)
        }
        let failure = end == .failed ? RepairFailure(repair.reason, isShortage: repair.isShortage) : nil
        if let failure {
            statistics.count { $0.failedRepairs += 1 }
            logger.debug("\(key) could not be repaired: \(failure.reason)")
        }
        let now = Server.currentMilliseconds()
        let (whenDone, drains) = state.withLock { state -> (CheckedContinuation<Void, Never>?, Bool) in
            state.queue.finished(key, end, failure, sizeBytes: repair.readBytes, nowMilliseconds: now)
            state.runningCount -= 1
            guard state.runningCount == 0 else { return (nil, false) }
            defer { state.whenDone = nil }
            return (state.whenDone, state.queue.isEmpty)
        }
        whenDone?.resume()
        if drains { isDrained.wake() }
        pump()
        tick(milliseconds: now)
    }

    /// Begins nothing any more.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Waits for what is under way to end.
    func shutdown() async {
        stop()
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.runningCount > 0 { state.whenDone = continuation }
                return state.runningCount == 0
            }
            if isDone { continuation.resume() }
        }
    }
}

// MARK: - One object

/// One object's repair, as far as it has come.
private struct ObjectRepair {
    let key: ObjectKey
    var readBytes = 0
    /// How often in a row what was found was not taken.
    var lateCount = 0
    var hasTaken = false
    /// Why it fails, and whether that is since all others were there and had too little.
    var reason = ""
    var isShortage = false
    /// The page of the stripes that are brought here, and whose part's it is.
    var page: (attempt: AttemptName, page: StripePage)?

    /// Versions that are pending and could not be had.
    var skipped: Set<Timestamp> = []

    /// - Parameter timestamp: a version that is pending, behind which others may be had.
    /// - Returns: nil when there is more to try.
    mutating func fail(_ reason: String, skipping timestamp: Timestamp?, isShortage: Bool = false) -> RepairEnd? {
        self.reason = reason
        self.isShortage = isShortage
        guard let timestamp else { return .failed }
        skipped.insert(timestamp)
        return nil
    }

    /// The same where it was others who did not have it, or did not say.
    mutating func fail(
        _ failure: OperationFailure, skipping timestamp: Timestamp?, _ parameters: ClusterParameters
    ) -> RepairEnd? {
        let quorums = parameters.quorums
        let isShortage = failure.observations.lackingCount > quorums.serverCount - quorums.dataFragmentCount
        return fail(failure.repairText, skipping: timestamp, isShortage: isShortage)
    }

    mutating func fail(_ reason: String) -> RepairEnd {
        self.reason = reason
        isShortage = false
        return .failed
    }
}

extension Repairer {
    /// Step by step, until nothing is wanted any more or a step fails.
    private func finish(_ repair: inout ObjectRepair) async -> RepairEnd {
        while !state.withLock({ $0.isStopped }) {
            guard repair.readBytes < Self.turnBytes else { return .later }
            let ended: RepairEnd?
            switch await step(repair) {
            case nil: return repair.fail("its record cannot be read")
            case .done? where !repair.skipped.isEmpty: return .failed
            case .done?:
                // The row goes with the last change, unless it was written under other settings.
                if repair.lateCount == 0, !repair.hasTaken { _ = await host.repair(repair.key, []) }
                return .done
            case .verify?:
                return repair.fail("it is not verified yet")
            case .unreadable?: return repair.fail("its descriptor cannot be read")
            case .lost(let parts)?:
                host.lost(repair.key, [parts])
                repair.lateCount += 1
                ended = repair.lateCount > Self.lateCountMax ? repair.fail("its descriptor is lost") : nil
            case .version(let timestamp, let isPending)?:
                ended = await version(timestamp, isPending: isPending, &repair)
            case .take(let parts)?: ended = await take([parts], &repair)
            case .stripes(let timestamp, let stripes, let isPending)?:
                ended = await bring(stripes, of: timestamp, isPending: isPending, &repair)
            }
            if let ended { return ended }
        }
        return repair.fail("the server stops")
    }

    /// What the object's durable record says is next; nil when it cannot be read.
    private func step(_ repair: ObjectRepair) async -> RepairStep? {
        let (key, skipped) = (repair.key, repair.skipped)
        return await inBackground { store in
            let record: ObjectRecord
            switch store.record(of: key) {
            case .held(let held): record = held
            case .absent: return .done
            case .lost, .unreadable, .notInMemory: return nil
            }
            return record.repairStep(
                key, node: self.peers.node, skipping: skipped, in: store, stripesMax: Self.windowStripes,
                self.peers.context.parameters)
        }
    }

    private func inBackground<Result: Sendable>(_ work: @escaping @Sendable (ProtocolStore) -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            threads.backgroundTurns.submit(for: nil) { continuation.resume(returning: work(self.store)) }
        }
    }

    /// Reads a version of one stripe, or the descriptor of one of which nothing is here.
    private func version(
        _ timestamp: Timestamp, isPending: Bool, _ repair: inout ObjectRepair
    ) async -> RepairEnd? {
        let (own, others) = peers.positions(of: repair.key)
        let fetcher = VersionFetcher(
            parameters: peers.context.parameters, key: repair.key, timestamp: timestamp, preference: others + [own],
            isKnownSound: true)
        switch await peers.operation(fetcher, key: repair.key).run() {
        case .failure(let failure):
            repair.readBytes += Self.failedBytes
            return repair.fail(failure, skipping: isPending ? timestamp : nil, peers.context.parameters)
        case .success(let fetched):
            let sizeBytes = fetched.stripes.joined().reduce(0) { $0 + $1.bytes.count }
            repair.readBytes += sizeBytes
            let parts = await onWorker(costBytes: sizeBytes) { RepairedParts(fetched, of: timestamp, at: own) }
            guard let parts else {
                return repair.fail("others' fragments make no block", skipping: isPending ? timestamp : nil)
            }
            if case .void = parts.parts { tellOfVoid(repair.key, timestamp) }
            if let ended = await take([parts], &repair) { return ended }
            // Of most objects that was all. What else is wanted is in the table still, and comes again.
            if case .fragments = parts.parts, repair.lateCount == 0, repair.skipped.isEmpty { return .done }
            return nil
        }
    }

    /// Brings the lowest lost stripes here: those that the server turns out to have, and the others from others.
    private func bring(
        _ stripes: [StripeToFetch], of timestamp: Timestamp, isPending: Bool, _ repair: inout ObjectRepair
    ) async -> RepairEnd? {
        guard let first = stripes.first else { return repair.fail("no stripe is lost of a version that lacks some") }
        let (own, others) = peers.positions(of: repair.key)
        let (key, parameters, attempt) = (repair.key, peers.context.parameters, first.part.attempt)
        let known = repair.page.flatMap { $0.attempt == attempt ? $0.page : nil }
        let fragmentBytes = max(1, Int(first.part.stripeSizeBytes) / parameters.quorums.dataFragmentCount)
        let window = stripes.prefix(max(1, Self.windowBytes / fragmentBytes)).filter { stripe in
            // Of another page, or part, with the next step.
            stripe.part.attempt == attempt && stripe.part.page(of: stripe.stripe) == first.part.page(of: first.stripe)
        }.map { RepairedStripe($0, of: timestamp, at: own) }
        let (ownPage, held) = await inBackground { store in
            let page = known ?? window[0].ownPage(of: key, in: store, parameters)
            return (page, window.map { $0.ownParts(of: key, in: store, page: page, parameters) })
        }
        if let ownPage { repair.page = (attempt, ownPage) }
        let page = ownPage
        var found = held.compactMap { $0 }
        let missing = zip(window, held).filter { $1 == nil }.map(\.0)
        if let lowest = missing.first {
            await large.enter()
            defer { large.leave() }
            switch await fetch(lowest, page: page, preference: others + [own], &repair) {
            case .failure(let failure):
                repair.readBytes += fragmentBytes
                // What was found is good all the same, but there is no going on without this one.
                if !found.isEmpty, let ended = await take(found, &repair) { return ended }
                return repair.fail(failure, skipping: isPending ? timestamp : nil, peers.context.parameters)
            case .success(let outcome):
                if let page = outcome.page { repair.page = (attempt, page) }
                guard let parts = await onWorker({ lowest.parts(outcome) }) else {
                    return repair.fail("others' fragments make no block", skipping: isPending ? timestamp : nil)
                }
                found.append(parts)
                // The others, which the page names that came with this one.
                let known = outcome.page ?? page
                found += await withTaskGroup(of: (parts: RepairedParts?, readBytes: Int).self) { group in
                    for stripe in missing.dropFirst() {
                        group.addTask {
                            var one = ObjectRepair(key: key)
                            guard
                                case .success(let outcome) = await self.fetch(
                                    stripe, page: known, preference: others + [own], &one)
                            else { return (nil, 0) }
                            return (await self.onWorker { stripe.parts(outcome) }, one.readBytes)
                        }
                    }
                    return await group.reduce(into: []) { fetched, next in
                        repair.readBytes += next.readBytes
                        if let parts = next.parts { fetched.append(parts) }
                    }
                }
            }
        }
        for case .voidStripes in found.map(\.parts) { tellOfVoid(key, timestamp) }
        return await take(found, &repair)
    }

    private func fetch(
        _ stripe: RepairedStripe, page: StripePage?, preference: [Position], _ repair: inout ObjectRepair
    ) async -> Result<FetchOutcome, OperationFailure> {
        let fetcher = StripeFetcher(
            parameters: peers.context.parameters, key: repair.key, timestamp: stripe.timestamp,
            wanted: stripe.toFetch(page),
            preference: preference, endsWhenLost: true)
        let result = await peers.operation(fetcher, key: repair.key).run()
        if case .success(let outcome) = result {
            for fragment in outcome.fragments { repair.readBytes += fragment.bytes.count }
        }
        return result
    }

    /// What is small is done at once: waking another thread costs more.
    private func onWorker<Result: Sendable>(
        costBytes: Int = .max, _ work: @escaping @Sendable () -> Result
    ) async -> Result {
        guard costBytes > Self.inlineWorkSizeBytesMax else { return work() }
        return await withCheckedContinuation { continuation in
            peers.context.workers.submit { _ in continuation.resume(returning: work()) }
        }
    }

    /// Brings what was found to the replica, and waits until it is durable.
    private func take(_ found: [RepairedParts], _ repair: inout ObjectRepair) async -> RepairEnd? {
        switch await host.repair(repair.key, found) {
        case .success:
            repair.lateCount = 0
            repair.hasTaken = true
            statistics.count { counters in
                for parts in found { counters.count(parts.parts) }
            }
            return nil
        case .failure(.storage(.full)): return .full
        case .failure(.otherStripes):
            // They are brought here one by one, as if none were there.
            guard case .staged(let descriptor)? = found.first?.parts, let timestamp = found.first?.timestamp else {
                return repair.fail("what is staged here is not what the version names")
            }
            return await take([RepairedParts(.adoption(descriptor), of: timestamp)], &repair)
        case .failure(.noPlace): return repair.fail("another version holds what it names")
        case .failure(.notWanted):
            repair.lateCount += 1
            return repair.lateCount > Self.lateCountMax ? repair.fail("it changes all the time") : nil
        case .failure(.storage(let failure)): return repair.fail("the store has failed: \(failure)")
        }
    }

    private func tellOfVoid(_ key: ObjectKey, _ timestamp: Timestamp) {
        logger.warning(
            "\(key) at \(timestamp) has no good fragment for this server: \(timestamp.writer), who wrote it, lied")
    }
}

extension ServerCounters {
    fileprivate mutating func count(_ parts: RepairedParts.Parts) {
        switch parts {
        case .descriptor: repairedDescriptors += 1
        case .fragments: repairedFragments += 1
        case .stripe, .goodStripe: repairedStripes += 1
        case .void, .voidStripes: voidFragments += 1
        case .staged, .adoption: break
        }
    }
}

extension OperationFailure {
    /// For people, in a line.
    fileprivate var repairText: String {
        switch self {
        case .unavailable(_, let answered, let need, _):
            return "\(answered.count) servers answered, \(need) are needed"
        case .refused: return "others refuse to show it"
        case .timestampExhausted: return "its counter is at its end"
        case .tooFewFragments(_, let have, let need, let observations):
            let bad = observations.misbehaving.map { "\($0.server) \($0.what)" }
            let refusals = observations.refusing.map { "\($0.server) refused: \($0.why)" }
            return (["\(have) good fragments were found, \(need) are needed"] + bad + refusals).joined(separator: "; ")
        }
    }
}

/// What a table of wants has.
struct WantsTally: Equatable {
    /// When counting began: what was wanted before is among it.
    var begunAt = NIODeadline.distantPast
    var count = 0
    var oldestMilliseconds: UInt64?
    /// Of these, what has failed and waits, as far as that is remembered.
    var failedCount = 0
}

/// So many at a time, in the order in which they come.
private final class Turns: Sendable {
    private struct State {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    init(countMax: Int) { state = Mutex(State(free: countMax)) }

    func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.free > 0 {
                    state.free -= 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
