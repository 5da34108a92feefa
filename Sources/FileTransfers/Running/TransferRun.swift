// Many transfers at a time: each has an outcome of its own, and one that fails stops no other. Deletions come last, and
// only where the source was seen in full.

import CommandOutcome
import Synchronization

/// What a run moves between.
package protocol TransferEnds: Sendable {
    /// What a transfer is called.
    var action: ItemAction { get }
    func transfer(_ item: TransferItem, progress: @escaping FileTransfer.Progress) async throws(Failure)
        -> TransferredItem
    /// Whether the source's content is that of the item which is there.
    func isSame(_ item: TransferItem, as other: TransferItem) async throws(Failure) -> Bool
    /// Whether such a failure means that the source could not be read: nobody knows then what it has.
    func isOfSource(_ failure: ExitStatus) -> Bool
    /// Deletes what only the target has.
    func delete(_ item: TransferItem) async throws(Failure) -> TransferredItem
}

/// Told what a run does.
package protocol TransferObserver: Sendable {
    /// One more is to be transferred.
    func planned(_ item: TransferItem)
    /// Nothing more is found.
    func planIsComplete()
    /// More bytes of an item are done.
    func progressed(_ moreBytes: UInt64)
    /// One is done, in one way or another.
    func ended(_ outcome: ItemOutcome)
}

/// How a run is done.
package struct RunOptions: Sendable {
    /// How many items at a time.
    package var transferCount = 8
    package var isDryRun = false
    package var comparison = Comparison.none
    /// Deletes at the target what the source does not have.
    package var deletes = false
    /// Nothing is transferred or deleted: it is told how the ends differ. The source has files, the target objects.
    package var isComparison = false
    /// The target takes names that differ in case or composition only for the same.
    package var foldsNames = false

    package init() {}
}

/// One run; made for it, and used once.
package final class TransferRun<Ends: TransferEnds>: Sendable {
    /// How far the plan may be ahead.
    private static var plannedMax: Int { 100_000 }

    private enum Work: Sendable {
        case transfer(TransferItem)
        case compare(TransferItem, with: TransferItem)
        case delete(TransferItem)

        var item: TransferItem {
            switch self {
            case .transfer(let item), .compare(let item, _), .delete(let item): item
            }
        }
    }

    private struct State {
        var tally = RunTally()
        /// What the source does not have.
        var extras: [TransferItem] = []
        /// Where the source was not seen, or read, in full.
        var gaps = SourceGaps()
        /// What the source has, where the target folds names.
        var sourceNames = FoldedNames()
    }

    private let ends: Ends
    private let options: RunOptions
    private let observer: any TransferObserver
    private let state = Mutex(State())

    package init(_ ends: Ends, _ options: RunOptions, observer: any TransferObserver) {
        self.ends = ends
        self.options = options
        self.observer = observer
    }

    /// Transfers all that the source has, as the options say. A cancelled task ends it early: what is under way is
    /// given up, and what is done stays.
    ///
    /// - Parameters:
    ///   - source: makes the entries of the source.
    ///   - target: makes those of the target; asked for only when it matters what is there.
    package func run<Source: TransferEntries, Target: TransferEntries>(
        source: @escaping @Sendable () throws(Failure) -> Source,
        target: @escaping @Sendable () throws(Failure) -> Target
    ) async -> RunTally {
        await work { queue in
            await self.plan(source, target, queue)
            self.observer.planIsComplete()
        }
        await deleteExtras()
        return state.withLock { state in
            state.tally.isInterrupted = Task.isCancelled
            state.tally.isComparison = options.isComparison
            return state.tally
        }
    }

    /// Does what is planned, several steps at a time, while the plan is made.
    private func work(_ plan: @escaping @Sendable (StepQueue<Work>) async -> Void) async {
        let queue = StepQueue<Work>(countMax: Self.plannedMax)
        await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await plan(queue)
                    queue.finish()
                }
                for _ in 0..<options.transferCount {
                    group.addTask {
                        while !Task.isCancelled, let work = await queue.next() { await self.perform(work) }
                    }
                }
            }
        } onCancel: {
            queue.finish(dropping: true)
        }
    }

    private func plan<Source: TransferEntries, Target: TransferEntries>(
        _ source: () throws(Failure) -> Source, _ target: () throws(Failure) -> Target, _ queue: StepQueue<Work>
    ) async {
        do throws(Failure) {
            let needsTarget = options.deletes || options.comparison != .none || options.isComparison
            var plan = SyncPlan(
                source: try source(), target: needsTarget ? try target() : nil,
                comparison: options.isComparison ? .all : options.comparison,
                deletes: options.deletes || options.isComparison)
            while !Task.isCancelled, let step = try await plan.next() {
                if options.deletes, options.foldsNames { note(step) }
                switch step {
                case .transfer(let item):
                    observer.planned(item)
                    await queue.add(.transfer(item))
                case .compare(let item, let other):
                    observer.planned(item)
                    await queue.add(.compare(item, with: other))
                case .same(let item): end(item.path, .same)
                case .delete(let item): state.withLock { $0.extras.append(item) }
                case .leave(let entry): leave(entry)
                }
            }
        } catch {
            guard !Task.isCancelled else { return }
            // Where the list breaks off, all that would have followed is unknown.
            state.withLock { $0.gaps.add([], "not all could be listed") }
            end([], .failed(error))
        }
    }

    private func leave(_ entry: TransferEntry) {
        switch entry {
        case .item, .folder(_, isEmpty: false): break
        case .folder(let path, isEmpty: true): end(path, .leftOut("an empty folder"))
        case .leftOut(let path, let what): end(path, .leftOut(what))
        case .unusable(let path, let failure): end(path, .failed(failure))
        case .gap(let path, let failure):
            state.withLock { $0.gaps.add(path, "not all could be looked at") }
            end(path, .failed(failure))
        }
    }

    private func perform(_ work: Work) async {
        let item = work.item
        do throws(Failure) {
            switch work {
            case .compare(let item, let other):
                if try await ends.isSame(item, as: other) {
                    observer.progressed(item.sizeBytes)
                    return end(item.path, .same)
                }
                if options.isComparison {
                    observer.progressed(item.sizeBytes)
                    return end(item.path, .differs(.content))
                }
                try await transfer(item)
            case .transfer(let item): try await transfer(item)
            case .delete(let item):
                guard !options.isDryRun else { return end(item.path, .planned(.deleted, sizeBytes: item.sizeBytes)) }
                end(item.path, .done(.deleted, try await ends.delete(item)))
            }
        } catch {
            // What was given up is no failure of its own.
            guard !Task.isCancelled else { return }
            if ends.isOfSource(error.status) {
                state.withLock { $0.gaps.add(folderOf: item.path, "not all could be read") }
            }
            end(item.path, .failed(error))
        }
    }

    private func transfer(_ item: TransferItem) async throws(Failure) {
        guard !options.isComparison else {
            observer.progressed(item.sizeBytes)
            return end(item.path, .differs(.onlyFile))
        }
        guard !options.isDryRun else {
            observer.progressed(item.sizeBytes)
            return end(item.path, .planned(ends.action, sizeBytes: item.sizeBytes))
        }
        end(item.path, .done(ends.action, try await ends.transfer(item, progress: observer.progressed)))
    }

    /// Remembers what the source has, by a name that others may have at the target.
    private func note(_ step: PlannedStep) {
        let path: [UInt8]
        switch step {
        case .transfer(let item), .compare(let item, _), .same(let item): path = item.path
        case .leave(let entry): path = entry.path
        case .delete: return
        }
        state.withLock { _ = $0.sourceNames.earlier(path) }
    }

    private func deleteExtras() async {
        guard !Task.isCancelled else { return }
        if options.isComparison { return tellExtras() }
        let (extras, gaps) = state.withLock { state in
            // Its file may just have been written under the name that is there.
            let extras = state.extras.filter { !state.sourceNames.contains($0.path) }
            let kept = extras.count { state.gaps.covers($0.path) }
            if kept > 0 {
                state.tally.notDeletedCount = kept
                state.tally.deletionsSuppressed =
                    "of the source \(state.gaps.reason ?? "")" + (state.gaps.places.map { " (\($0))" } ?? "")
            }
            return (extras, state.gaps)
        }
        let known = extras.filter { !gaps.covers($0.path) }
        guard !known.isEmpty else { return }
        await work { queue in
            for item in known { await queue.add(.delete(item)) }
        }
    }

    private func tellExtras() {
        let (extras, gaps) = state.withLock { ($0.extras, $0.gaps) }
        for item in extras {
            guard gaps.covers(item.path) else {
                end(item.path, .differs(.onlyObject))
                continue
            }
            let shown = item.path.readablePath.printable
            end(
                item.path,
                .failed(Failure(.inputOutput, "\(shown): of the folder \(gaps.reason ?? "not all could be looked at")"))
            )
        }
    }

    private func end(_ path: [UInt8], _ kind: ItemOutcome.Kind) {
        let outcome = ItemOutcome(path: path, kind: kind)
        state.withLock { $0.tally.add(outcome) }
        observer.ended(outcome)
    }
}
