// Many seeds: a line of progress, and on the first violation the smallest plan that still shows it.

import ArgumentParser
import Foundation
import QuorumSimulator

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a range of seeds.",
        discussion: "Exits with 1 when a run violates a promise, after shrinking its plan.")

    @Option(help: "The seeds, A..B, ends included.")
    var seeds: SeedRange

    @OptionGroup var world: WorldArguments

    @Option(help: "How many seeds run at a time (default: as many as there are cores).")
    var workers: Int?

    @Flag(help: "Print the outcome as one line of JSON.")
    var json = false

    func run() async throws {
        let options = try world.options()
        _ = try world.plan(seed: seeds.seeds.lowerBound)
        let campaign = Campaign(seeds: seeds.seeds, options: options)
        CrashReport.install()
        let clock = ContinuousClock()
        let start = clock.now
        let reporter = json ? nil : Task { await report(campaign, since: start) }
        try await campaign.run(workerCount: workers ?? ProcessInfo.processInfo.activeProcessorCount) { worker, seed in
            CrashReport.note(seed, of: worker)
        }
        reporter?.cancel()
        let seconds = Self.seconds(clock.now - start)
        let shrunk = try campaign.failure.flatMap { failure in
            try failure.violation.map { shrink(try world.plan(seed: failure.seed), violation: $0) }
        }
        if json {
            try printJSON(campaign, shrunk, seconds: seconds)
        } else {
            Self.erase()
            print(Self.line(campaign.progress, seconds: seconds))
            if let shrunk { try printFailure(campaign, shrunk) }
        }
        if shrunk != nil { throw ExitCode(1) }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    private static func line(_ progress: CampaignProgress, seconds: Double) -> String {
        let rate = seconds > 0 ? Double(progress.seedCount) / seconds : 0
        let events = progress.seedCount > 0 ? progress.eventCount / progress.seedCount : 0
        return "\(progress.seedCount) seeds, \(Int(rate)) a second, \(events) events each; operations: "
            + "\(progress.succeededCount) succeeded, \(progress.failedCount) failed, \(progress.crashedCount) crashed; "
            + "trace sum " + String(progress.traceSum, radix: 16)
    }

    /// A line that is written over again on a terminal, once a second; once a minute elsewhere.
    private func report(_ campaign: Campaign, since start: ContinuousClock.Instant) async {
        let isTerminal = isatty(STDERR_FILENO) == 1
        while !Task.isCancelled {
            try? await Task.sleep(for: isTerminal ? .seconds(1) : .seconds(60))
            if Task.isCancelled { return }
            let line = Self.line(campaign.progress, seconds: Self.seconds(ContinuousClock().now - start))
            let text = isTerminal ? "\r\u{1b}[K" + line : line + "\n"
            FileHandle.standardError.write(Data(text.utf8))
        }
    }

    private static func erase() {
        if isatty(STDERR_FILENO) == 1 { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }

    private func printFailure(_ campaign: Campaign, _ shrunk: ShrunkFailure) throws {
        guard let failure = campaign.failure, let violation = failure.violation else { return }
        print("SEED \(failure.seed): violation of \(violation)")
        print("replay: \(try world.replayCommand(seed: failure.seed, removed: []))")
        print("shrunk in \(shrunk.runCount) runs to:")
        for line in shrunk.plan.summary { print("  " + line) }
        print("which gives: \(shrunk.report.violation.map { "violation of \($0)" } ?? "no violation")")
        print("replay: \(try world.replayCommand(seed: failure.seed, removed: shrunk.removed))")
    }

    private struct Outcome: Encodable {
        let seeds: Int
        let seconds: Double
        let events: Int
        let succeeded: Int
        let failed: Int
        let crashed: Int
        let traceSum: String
        let failedSeed: UInt64?
        let violation: String?
        let replay: String?
        let shrunkPlan: [String]?
    }

    private func printJSON(_ campaign: Campaign, _ shrunk: ShrunkFailure?, seconds: Double) throws {
        let progress = campaign.progress
        let failure = campaign.failure
        let outcome = Outcome(
            seeds: progress.seedCount, seconds: seconds, events: progress.eventCount,
            succeeded: progress.succeededCount, failed: progress.failedCount, crashed: progress.crashedCount,
            traceSum: String(progress.traceSum, radix: 16), failedSeed: failure?.seed,
            violation: failure?.violation?.description,
            replay: try shrunk.map { try world.replayCommand(seed: $0.plan.seed, removed: $0.removed) },
            shrunkPlan: shrunk?.plan.summary)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(outcome), as: UTF8.self))
    }
}
