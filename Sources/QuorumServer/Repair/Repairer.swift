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
    /// How many of these are brought here one after the other before the record is looked at again.
    private static let windowsAtOnce = 8
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
    private let evidence: RepairEvidence
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
        host: ReplicaHost, verifier: VersionVerifier, evidence: EvidenceRecorder, isDrained: Wakeup,
        statistics: ServerStatistics, logger: Logger
    ) {
        self.isDrained = isDrained
        self.peers = peers
        self.store = store
        self.threads = threads
        self.host = host
        self.verifier = verifier
        self.evidence = RepairEvidence(
            parameters: peers.context.parameters, store: store, threads: threads, recorder: evidence)
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

    /// A reader has missed something of an object, which is lost here.
    func prefer(_ key: ObjectKey) {
        state.withLock { $0.queue.prefer(key, nowMilliseconds: Server.currentMilliseconds()) }
    }

    /// Whether clients leave this server alone, as far as it has looked: it looks while there is something to repair.
    var isIdle: Bool { state.withLock { $0.lull.isIdle || !$0.isPumping } }

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
            self.tellOfPass()
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
        let failure =
            end == .failed
            ? RepairFailure(repair.reason, isShortage: repair.isShortage, cause: repair.cause) : nil
        if end == .full { statistics.count { $0.repairFailures["no space", default: 0] += 1 } }
        if let failure {
            statistics.count { counters in
                counters.failedRepairs += 1
                counters.repairFailures[failure.cause.rawValue, default: 0] += 1
            }
            logger.debug("\(key) could not be repaired: \(failure.reason)")
        }
        let now = Server.currentMilliseconds()
        let (whenDone, drains) = state.withLock { state -> (CheckedContinuation<Void, Never>?, Bool) in
            state.queue.finished(
                key, end, failure, isVoid: repair.isVoid, sizeBytes: repair.readBytes, nowMilliseconds: now)
            state.runningCount -= 1
            guard state.runningCount == 0 else { return (nil, false) }
            defer { state.whenDone = nil }
            return (state.whenDone, state.queue.isEmpty)
        }
        whenDone?.resume()
        if drains { isDrained.wake() }
        tellOfPass()
        pump()
        tick(milliseconds: now)
    }

    private func tellOfPass() {
        guard let pass = state.withLock({ $0.queue.takeEndedPass() }) else { return }
        statistics.count { counters in
            counters.repairPasses += 1
            counters.repairPassMilliseconds = pass.milliseconds
        }
        logger.info("\(pass.description)")
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
            case .version(let timestamp)?: ended = await version(timestamp, &repair)
            case .take(let parts)?: ended = await take([parts], &repair)
            case .stripes(let timestamp, let stripes)?: ended = await bring(stripes, of: timestamp, &repair)
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
                key, node: self.peers.node, skipping: skipped, in: store,
                stripesMax: Self.windowStripes * Self.windowsAtOnce,
                self.peers.context.parameters)
        }
    }

    private func inBackground<Result: Sendable>(_ work: @escaping @Sendable (ProtocolStore) -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            threads.backgroundTurns.submit(for: nil) { continuation.resume(returning: work(self.store)) }
        }
    }

    /// Reads a version of one stripe, or the descriptor of one of which nothing is here.
    private func version(_ timestamp: Timestamp, _ repair: inout ObjectRepair) async -> RepairEnd? {
        let (own, others) = peers.positions(of: repair.key)
        let fetcher = VersionFetcher(
            parameters: peers.context.parameters, key: repair.key, timestamp: timestamp, preference: others + [own],
            isKnownSound: true)
        switch await peers.operation(fetcher, key: repair.key).run() {
        case .failure(let failure):
            repair.readBytes += Self.failedBytes
            repair.skip(timestamp, failure, peers.context.parameters)
            return nil
        case .success(let fetched):
            let sizeBytes = fetched.stripes.joined().reduce(0) { $0 + $1.bytes.count }
            repair.readBytes += sizeBytes
            let parts = await onWorker(costBytes: sizeBytes) { RepairedParts(fetched, of: timestamp, at: own) }
            guard let parts else {
                await evidence.look(at: fetched, of: repair.key, timestamp)
                repair.skip(timestamp, "others' fragments make no block")
                return nil
            }
            if case .void = parts.parts {
                repair.isVoid = true
                tellOfVoid(repair.key, timestamp)
                await evidence.look(at: fetched, of: repair.key, timestamp)
            }
            if let ended = await take([parts], &repair) { return ended }
            // Of most objects that was all. What else is wanted is in the table still, and comes again.
            if case .fragments = parts.parts, repair.lateCount == 0, repair.skipped.isEmpty { return .done }
            return nil
        }
    }

    /// Brings the lowest lost stripes here: those that the server turns out to have, and the others from others. While
    /// some are stored the next ones are fetched.
    private func bring(
        _ stripes: [StripeToFetch], of timestamp: Timestamp, _ repair: inout ObjectRepair
    ) async -> RepairEnd? {
        guard let first = stripes.first else { return repair.fail("no stripe is lost of a version that lacks some") }
        let (key, own, attempt) = (repair.key, peers.positions(of: repair.key).own, first.part.attempt)
        // Of another page, or part, with the next step.
        let wanted = stripes.filter { stripe in
            stripe.part.attempt == attempt && stripe.part.page(of: stripe.stripe) == first.part.page(of: first.stripe)
        }.map { RepairedStripe($0, of: timestamp, at: own) }
        let fragmentBytes = max(
            1, Int(first.part.stripeSizeBytes) / peers.context.parameters.quorums.dataFragmentCount)
        let windowCount = min(Self.windowStripes, max(1, Self.windowBytes / fragmentBytes))
        let windows = stride(from: 0, to: wanted.count, by: windowCount).map {
            Array(wanted[$0..<min($0 + windowCount, wanted.count)])
        }
        await large.enter()
        defer { large.leave() }
        let known = repair.page.flatMap { $0.attempt == attempt ? $0.page : nil }
        var fetched = await fetch(windows[0], of: key, page: known)
        for number in windows.indices {
            let (page, isWhole) = (fetched.page, fetched.found.count == windows[number].count)
            if let page { repair.page = (attempt, page) }
            repair.readBytes += fetched.readBytes
            // Not behind a stripe that is missing: a record tells few gaps apart.
            let goesOn = isWhole && number + 1 < windows.count
            async let next = goesOn ? fetch(windows[number + 1], of: key, page: page) : FetchedStripes()
            for case .voidStripes in fetched.found.map(\.parts) {
                repair.isVoid = true
                tellOfVoid(key, timestamp)
            }
            // What was found is good, whatever else was not.
            let ended = fetched.found.isEmpty ? nil : await take(fetched.found, &repair)
            let following = await next
            if let ended { return ended }
            switch fetched.failure {
            case .notFetched(let failure)?:
                repair.readBytes += fragmentBytes
                repair.skip(timestamp, failure, peers.context.parameters)
                return nil
            case .noBlock?:
                repair.skip(timestamp, "others' fragments make no block")
                return nil
            case nil: break
            }
            guard goesOn, repair.lateCount == 0 else { return nil }
            fetched = following
        }
        return nil
    }

    /// Looks for some stripes of one page.
    private func fetch(_ stripes: [RepairedStripe], of key: ObjectKey, page known: StripePage?) async -> FetchedStripes
    {
        let parameters = peers.context.parameters
        let (ownPage, held) = await inBackground { store in
            let page = known ?? stripes[0].ownPage(of: key, in: store, parameters)
            return (page, stripes.map { $0.ownParts(of: key, in: store, page: page, parameters) })
        }
        var fetched = FetchedStripes(found: held.compactMap { $0 }, page: ownPage)
        var missing = zip(stripes, held).filter { $1 == nil }.map(\.0)[...]
        // With the lowest one comes the page that names the others, where it is not known yet. Without it there is no
        // going on.
        guard let lowest = missing.popFirst() else { return fetched }
        fetched.take(await fetch(lowest, of: key, page: ownPage))
        guard fetched.failure == nil else { return fetched }
        let page = fetched.page
        let others = await withTaskGroup(of: FetchedStripe.self) { group in
            for stripe in missing { group.addTask { await self.fetch(stripe, of: key, page: page) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for other in others where other.failure == nil { fetched.take(other) }
        return fetched
    }

    private func fetch(_ stripe: RepairedStripe, of key: ObjectKey, page: StripePage?) async -> FetchedStripe {
        let (own, others) = peers.positions(of: key)
        let fetcher = StripeFetcher(
            parameters: peers.context.parameters, key: key, timestamp: stripe.timestamp, wanted: stripe.toFetch(page),
            preference: others + [own], endsWhenLost: true)
        switch await peers.operation(fetcher, key: key).run() {
        case .failure(let failure): return FetchedStripe(failure: .notFetched(failure))
        case .success(let outcome):
            let readBytes = outcome.fragments.reduce(0) { $0 + $1.bytes.count }
            let parts = await onWorker { stripe.parts(outcome) }
            await evidence.look(at: parts, stripe, outcome, page: outcome.page ?? page, of: key)
            return FetchedStripe(
                parts: parts, page: outcome.page, readBytes: readBytes, failure: parts == nil ? .noBlock : nil)
        }
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

/// What a table of wants has.
struct WantsTally: Equatable {
    /// When counting began: what was wanted before is among it.
    var begunAt = NIODeadline.distantPast
    var count = 0
    var oldestMilliseconds: UInt64?
    /// Of these, what has failed and waits, as far as that is remembered.
    var failedCount = 0
}
