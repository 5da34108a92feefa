// The way of changes onto the disk: whatever waits when the disk is free becomes one batch, with one journal append, one
// sync and one signature over all statements that it made durable (docs/architecture.md, Storage).

import DequeModule
import Logging
import NIOPosix
import QuorumProtocol
import Synchronization

/// Makes changes durable in the order in which they are given, and signs what then is true. One batch at a time.
final class StoragePipeline: Sendable {
    /// One `.store` effect.
    struct Item: Sendable {
        let token: WorkToken
        let change: ObjectChange?
        let statements: [Statement]
    }

    private struct State {
        var waiting: Deque<Item> = []
        var isDraining = false
    }

    private static let batchItemsMax = 4096
    private static let reclaimRangesPerStep = 256
    private static let batchesPerReclaim = 16

    private let store: ProtocolStore
    private let signer: StatementSigner
    private let statistics: ServerStatistics
    private let logger: Logger
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())
    private let completed: @Sendable ([ReplicaInput]) -> Void

    /// - Parameter completed: told on the storage thread, in order, what has become of a batch's items.
    init(
        store: ProtocolStore, signer: StatementSigner, statistics: ServerStatistics, logger: Logger,
        completed: @escaping @Sendable ([ReplicaInput]) -> Void
    ) {
        self.store = store
        self.signer = signer
        self.statistics = statistics
        self.logger = logger
        self.completed = completed
        thread.start()
    }

    /// Queues an item; whoever calls in an order gets its items done in that order.
    func enqueue(_ item: Item) {
        let starts = state.withLock { state in
            state.waiting.append(item)
            defer { state.isDraining = true }
            return !state.isDraining
        }
        // Once the thread is shut down, what comes too late is dropped: it was never acknowledged.
        if starts { thread.submit { state in if case .active = state { self.drain() } } }
    }

    /// Finishes what is queued and stops the thread.
    func shutdown() async {
        try? await thread.shutdownGracefully()
    }

    private func drain() {
        var batchCount = 0
        while let batch = takeBatch() {
            completed(run(batch))
            batchCount += 1
            if batchCount % Self.batchesPerReclaim == 0 || !hasWaiting { reclaim() }
        }
    }

    private var hasWaiting: Bool { state.withLock { !$0.waiting.isEmpty } }

    private func takeBatch() -> [Item]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isDraining = false
                return nil
            }
            let count = min(state.waiting.count, Self.batchItemsMax)
            let batch = Array(state.waiting.prefix(count))
            state.waiting.removeFirst(count)
            return batch
        }
    }

    private func run(_ batch: [Item]) -> [ReplicaInput] {
        let changes = batch.compactMap(\.change)
        var outcomes = store.store.apply(changes.map(ObjectMutation.init))[...]
        var results: [Result<Void, StoreFailure>] = []
        for item in batch {
            guard let change = item.change, let outcome = outcomes.popFirst() else {
                results.append(.success(()))
                continue
            }
            results.append(
                outcome.mapError { error in
                    logger.error("a change of \(change.key) could not be stored: \(error)")
                    return store.failure(for: error)
                })
        }
        let durable = zip(batch, results).filter { (try? $1.get()) != nil }.flatMap { $0.0.statements }
        var signed = sign(durable)[...]
        statistics.count { counters in
            counters.groupCommits += changes.isEmpty ? 0 : 1
            counters.storedChanges += UInt64(changes.count)
            counters.signatures += durable.isEmpty ? 0 : 1
            counters.signedStatements += UInt64(durable.count)
        }
        return zip(batch, results).map { item, result in
            switch result {
            case .failure(let failure):
                return .stored(item.token, .failure(failure))
            case .success:
                let own = Array(signed.prefix(item.statements.count))
                signed = signed.dropFirst(item.statements.count)
                guard own.count == item.statements.count else { return .stored(item.token, .failure(.failed)) }
                return .stored(item.token, .success(own))
            }
        }
    }

    /// One signature over all; nothing when the library refuses, which fails those who wait for a statement.
    private func sign(_ statements: [Statement]) -> [SignedStatement] {
        do {
            return try signer.sign(statements)
        } catch {
            logger.critical("statements cannot be signed: \(error.reason)")
            return []
        }
    }

    /// Gives some of the space back that dropped versions left: all that can be had while nothing waits, else one step.
    private func reclaim() {
        do {
            while try store.store.reclaim(limit: Self.reclaimRangesPerStep).hasMore, !hasWaiting {}
        } catch {
            logger.warning("space of dropped versions could not be given back yet: \(error)")
        }
    }
}
