// The way of changes onto the disk: whatever waits when the disk is free becomes one batch, with one journal append,
// one sync and one signature over all statements that it made durable (docs/architecture.md, Storage).

import DequeModule
import Logging
import NIOPosix
import ObjectStorage
import ProtocolStorage
import QuorumProtocol
import Synchronization

/// Makes changes durable in the order in which they are given, and signs what then is true. One batch at a time.
final class StoragePipeline: Sendable {
    /// One `.store` effect.
    struct Item: Sendable {
        /// The group whose replica has asked for it.
        let group: GroupID
        let token: WorkToken
        let change: ObjectChange?
        let statements: [Statement]

        var partSizeBytes: Int {
            guard let change else { return 0 }
            let staged = change.stagedPuts.reduce(0) { $0 + $1.entry.count + $1.fragment.bytes.count }
            return change.puts.reduce(staged) {
                $1.fragments.reduce($0 + $1.descriptor.bytes.count) { $0 + $1.bytes.count }
            }
        }
    }

    private struct State {
        var waiting: Deque<Item> = []
        var isDraining = false
        /// Items since the start.
        var queuedCount: UInt64 = 0
        var doneCount: UInt64 = 0
        var maintenanceIsDue = false
    }

    private enum Work {
        case batch([Item])
        case maintenance
    }

    private static let batchItemsMax = 4096
    /// So few that a batch which comes meanwhile waits for milliseconds at most.
    private static let reclaimRangesPerStep = 64

    /// What compaction may write in a second, and in one step, which a batch that comes meanwhile waits for.
    private static let compactionBytesPerSecond = 32 << 20
    private static let compactionBytesPerStep = 512 << 10

    private let store: ProtocolStore
    private let signer: StatementSigner
    private let verifier: StatementVerifier
    private let itemsPerBatchMax: Int
    private let signsBatches: Bool
    private let statistics: ServerStatistics
    private let logger: Logger
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())
    private let reported = Mutex(ReportedFailures())
    /// What the log was last told of giving space back; nil when that went well since.
    private let reclaimReported = Mutex<String?>(nil)
    private let changed: @Sendable (Slot) -> Void
    private let completed: @Sendable ([(group: GroupID, input: ReplicaInput)]) -> Void

    /// - Parameters:
    ///   - without: what of `.groupCommit` and `.batchedSignatures` is left out.
    ///   - changed: told, before `completed` is, in which slots something may have changed.
    ///   - completed: told on the storage thread, in order, what has become of a batch's items.
    init(
        store: ProtocolStore, signer: StatementSigner, verifier: StatementVerifier, statistics: ServerStatistics,
        logger: Logger, without: Set<Optimisation>, changed: @escaping @Sendable (Slot) -> Void,
        completed: @escaping @Sendable ([(group: GroupID, input: ReplicaInput)]) -> Void
    ) {
        self.store = store
        self.signer = signer
        self.verifier = verifier
        itemsPerBatchMax = without.contains(.groupCommit) ? 1 : Self.batchItemsMax
        signsBatches = !without.contains(.batchedSignatures)
        self.statistics = statistics
        self.logger = logger
        self.changed = changed
        self.completed = completed
        thread.start()
    }

    /// Queues an item; whoever calls in an order gets its items done in that order.
    func enqueue(_ item: Item) {
        let starts = state.withLock { state in
            state.waiting.append(item)
            state.queuedCount += 1
            defer { state.isDraining = true }
            return !state.isDraining
        }
        // Once the thread is shut down, what comes too late is dropped: it was never acknowledged.
        if starts { thread.submit { state in if case .active = state { self.drain() } } }
    }

    /// Finishes the batches that are under way and stops the thread. What it has not begun on is dropped: nobody was
    /// told that it is durable.
    func shutdown() async {
        try? await thread.shutdownGracefully()
    }

    /// Has the store do what is to be done now and then; nobody waits for it.
    func maintain() {
        let starts = state.withLock { state in
            state.maintenanceIsDue = true
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if starts { thread.submit { state in if case .active = state { self.drain() } } }
    }

    private func drain() {
        while let work = takeWork() {
            switch work {
            case .batch(let batch):
                let outcomes = run(batch)
                for item in batch { if let change = item.change { changed(change.key.slot) } }
                completed(outcomes)
                state.withLock { $0.doneCount += UInt64(batch.count) }
                reclaim { () throws(StorageError) in try store.store.reclaimShare() }
            case .maintenance:
                reclaim { () throws(StorageError) in try store.store.maintain(limit: Self.reclaimRangesPerStep) }
                compact()
            }
        }
    }

    /// How many items have been given since the start, and how many of them, in that order, are done with.
    var progress: (queued: UInt64, done: UInt64) { state.withLock { ($0.queuedCount, $0.doneCount) } }

    private var hasWaiting: Bool { state.withLock { !$0.waiting.isEmpty } }

    private func takeWork() -> Work? {
        state.withLock { state in
            guard !state.maintenanceIsDue else {
                state.maintenanceIsDue = false
                return .maintenance
            }
            guard !state.waiting.isEmpty else {
                state.isDraining = false
                return nil
            }
            var batch: [Item] = []
            var limits = BatchLimits(itemsMax: itemsPerBatchMax)
            while let item = state.waiting.first,
                limits.take(sizeBytes: item.partSizeBytes, statementCount: item.statements.count)
            {
                batch.append(state.waiting.removeFirst())
            }
            return .batch(batch)
        }
    }

    private func run(_ batch: [Item]) -> [(group: GroupID, input: ReplicaInput)] {
        let changes = batch.compactMap(\.change)
        let outcomes = store.store.apply(changes.map(StoreMutation.init))
        precondition(outcomes.count == changes.count, "each change has its outcome")
        report(changes, outcomes)
        var rest = outcomes[...]
        let results = batch.map { item -> Result<Void, StoreFailure> in
            item.change == nil ? .success(()) : rest.removeFirst().mapError { StoreFailure($0) }
        }
        let durable = zip(batch, results).filter { (try? $1.get()) != nil }.flatMap { $0.0.statements }
        var signed = sign(durable)[...]
        statistics.count { counters in
            counters.groupCommits += changes.isEmpty ? 0 : 1
            counters.storedChanges += UInt64(changes.count)
            guard signer.isSigning else { return }
            counters.signatures += signsBatches ? (durable.isEmpty ? 0 : 1) : UInt64(durable.count)
            counters.signedStatements += UInt64(durable.count)
        }
        return zip(batch, results).map { item, result in
            switch result {
            case .failure(let failure):
                return (item.group, .stored(item.token, .failure(failure)))
            case .success:
                let own = Array(signed.prefix(item.statements.count))
                signed = signed.dropFirst(item.statements.count)
                guard own.count == item.statements.count else {
                    return (item.group, .stored(item.token, .failure(.failed)))
                }
                return (item.group, .stored(item.token, .success(own)))
            }
        }
    }

    /// Logs when changes begin to fail for a reason and when that ends, not for each change: on a full disk every one
    /// that stores something fails, as often as clients care to ask.
    private func report(_ changes: [ObjectChange], _ outcomes: [Result<Void, StorageError>]) {
        var hasStored = false
        var hasFailed = false
        for (change, outcome) in zip(changes, outcomes) {
            switch outcome {
            case .failure(let error):
                hasFailed = true
                if reported.withLock({ $0.insert(error) }) {
                    logger.error("changes cannot be stored, the first one of \(change.key): \(error)")
                }
            case .success:
                hasStored = hasStored || !change.freesSpace
            }
        }
        guard hasStored, !hasFailed, reported.withLock({ $0.canEnd }) else { return }
        let condition = store.store.condition
        if reported.withLock({ $0.end(condition) }) { logger.notice("changes are stored again") }
    }

    /// One signature over all, or one for each where batches are not signed; nothing when the library refuses, which
    /// fails those who wait for a statement.
    private func sign(_ statements: [Statement]) -> [SignedStatement] {
        do {
            if signsBatches { return try signer.sign(statements, knownTo: verifier) }
            var signed: [SignedStatement] = []
            for statement in statements { signed += try signer.sign([statement], knownTo: verifier) }
            return signed
        } catch {
            logger.critical("statements cannot be signed: \(error.reason)")
            return []
        }
    }

    /// Gives space back that dropped versions left: all that can be had while nothing waits, else so much that it keeps
    /// up with what is dropped.
    ///
    /// - Parameter start: the first step.
    private func reclaim(_ start: () throws(StorageError) -> ReclaimProgress) {
        do {
            var progress = try start()
            while progress.hasMore, !hasWaiting {
                progress = try store.store.reclaim(limit: Self.reclaimRangesPerStep)
            }
            _ = reclaimReported.withLock { $0.exchange(with: nil) }
        } catch {
            reclaimFailed(error)
        }
    }

    /// Once for each reason, not after every batch.
    private func reclaimFailed(_ error: StorageError) {
        let reason = "\(error)"
        guard reclaimReported.withLock({ $0.exchange(with: reason) }) != reason else { return }
        logger.warning("space of dropped versions could not be given back yet: \(reason)")
    }

    /// Moves living parts out of mostly dead segments, and says in the journal again what is true: one step a second
    /// however much waits, and while nothing does as many as the budget of a second allows. A server that is never idle
    /// makes more steps the further it is behind.
    private func compact() {
        do throws(StorageError) {
            var left = Self.compactionBytesPerSecond
            var stepCount = 0
            while true {
                let moving = try store.store.compact(sizeBytesMax: Self.compactionBytesPerStep)
                let restating = try store.store.restate(sizeBytesMax: Self.compactionBytesPerStep)
                left -= Int(clamping: moving.movedSizeBytes) + Self.compactionBytesPerStep
                stepCount += 1
                guard moving.hasMore || restating.hasMore, left > 0, !hasWaiting || stepCount < restating.pressure
                else { return }
            }
        } catch {
            reclaimFailed(error)
        }
    }
}

/// The failures that the log was told of and that have not ended.
private struct ReportedFailures {
    private var failures: Set<StoreFailure> = []
    /// The largest change that there was no room for. That a small one still finds some does not end it: the log would
    /// tell of both with every put.
    private var refusedSizeBytes: UInt64 = 0

    /// Whether there are any that success may end. A lost record does not come back, whatever becomes of other objects.
    var canEnd: Bool { failures.contains { $0 != .recordLost } }

    /// Notes a failure.
    ///
    /// - Returns: whether the log is to be told.
    mutating func insert(_ error: StorageError) -> Bool {
        if case .noSpace(let needed, _) = error { refusedSizeBytes = max(refusedSizeBytes, UInt64(needed)) }
        return failures.insert(StoreFailure(error)).inserted
    }

    /// Takes back what has ended now that something was stored.
    ///
    /// - Returns: whether anything has.
    mutating func end(_ condition: StoreCondition) -> Bool {
        var hasEnded = failures.remove(.failed) != nil
        if condition.state == .writable, condition.freeBytes - condition.reservedBytes > refusedSizeBytes {
            hasEnded = failures.remove(.full) != nil || hasEnded
            refusedSizeBytes = 0
        }
        return hasEnded
    }
}

extension Optional {
    /// Puts in another value and returns the one before.
    fileprivate mutating func exchange(with value: Wrapped?) -> Wrapped? {
        defer { self = value }
        return self
    }
}
