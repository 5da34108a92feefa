// Many seeds on many cores: each seed runs on one thread, and threads take the next seed when they are done with one.

import Synchronization

/// Where a campaign stands.
package struct CampaignProgress: Sendable {
    package var seedCount = 0
    package var eventCount = 0
    package var succeededCount = 0
    package var failedCount = 0
    package var crashedCount = 0
    /// An order-independent digest of all runs.
    package var traceSum: UInt64 = 0
}

/// Runs a range of seeds under the same options.
package final class Campaign: Sendable {
    private struct State {
        var next: UInt64?
        var progress = CampaignProgress()
        var failure: WorldReport?
    }

    private let seeds: ClosedRange<UInt64>
    private let options: WorldOptions
    private let state: Mutex<State>

    package init(seeds: ClosedRange<UInt64>, options: WorldOptions) {
        self.seeds = seeds
        self.options = options
        state = Mutex(State(next: seeds.lowerBound))
    }

    package var progress: CampaignProgress { state.withLock { $0.progress } }

    /// The first failure that was found, in the order of seeds.
    package var failure: WorldReport? { state.withLock { $0.failure } }

    /// Runs seeds until all were run or one has failed.
    ///
    /// - Parameter willRun: told of each seed before it runs, with the number of the worker that runs it.
    /// - Throws: when the options ask for a world that cannot be.
    package func run(workerCount: Int, willRun: @escaping @Sendable (_ worker: Int, _ seed: UInt64) -> Void = { _, _ in }) async throws {
        _ = try WorldPlan(seed: seeds.lowerBound, options: options)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<max(1, workerCount) {
                group.addTask {
                    while let seed = self.take() {
                        willRun(worker, seed)
                        self.finish(World(try WorldPlan(seed: seed, options: self.options)).run())
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func take() -> UInt64? {
        state.withLock { state in
            guard state.failure == nil, let seed = state.next else { return nil }
            state.next = seed < seeds.upperBound ? seed + 1 : nil
            return seed
        }
    }

    private func finish(_ report: WorldReport) {
        state.withLock { state in
            state.progress.seedCount += 1
            state.progress.eventCount += report.eventCount
            state.progress.succeededCount += report.succeededCount
            state.progress.failedCount += report.failedCount
            state.progress.crashedCount += report.crashedCount
            state.progress.traceSum &+= report.traceHash
            guard report.violation != nil else { return }
            if let known = state.failure, known.seed < report.seed { return }
            state.failure = report
        }
    }
}
