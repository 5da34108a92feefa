// Many seeds: a line of progress, and on the first violation the smallest plan that still shows it.

import ArgumentParser
import Foundation
import QuorumSimulator

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a range of seeds.",
        discussion: "Exits with 1 when a run violates a promise, after shrinking its plan, or ends its process.")

    @Option(help: "The seeds, A..B, ends included.")
    var seeds: SeedRange

    @OptionGroup var world: WorldArguments

    @Option(help: "How many seeds run at a time (default: as many as there are cores).")
    var workers: Int?

    @Flag(help: "Print the outcome as one line of JSON.")
    var json = false

    func run() throws {
        try world.plantFlaw()
        _ = try world.plan(seed: seeds.seeds.lowerBound)
        let clock = ContinuousClock()
        let start = clock.now
        let interval = isatty(STDERR_FILENO) == 1 ? Duration.seconds(1) : .seconds(60)
        var nextReport = start + interval
        let tally: SeedTally
        do {
            tally = try WorkerPool(count: workers, world: world).run(seeds.seeds) { tally in
                guard !json, clock.now >= nextReport else { return }
                nextReport += interval
                Self.report(tally, seconds: Self.seconds(clock.now - start))
            }
        } catch {
            Self.erase()
            try fail(error)
        }
        let seconds = Self.seconds(clock.now - start)
        let failure = try tally.violatingSeed.map { World(try world.plan(seed: $0)).run() }
        let shrunk = try failure.flatMap { failure in
            try failure.violation.map { shrink(try world.plan(seed: failure.seed), violation: $0) }
        }
        if json {
            try printJSON(tally, failure, shrunk, seconds: seconds)
        } else {
            Self.erase()
            print(Self.line(tally, seconds: seconds))
            if let failure, let shrunk {
                try printFailure(failure, shrunk)
            } else if let seed = tally.violatingSeed {
                print("SEED \(seed): a worker saw a violation that does not show in a process of its own")
                print("replay: \(try world.replayCommand(seed: seed))")
            }
        }
        if tally.violatingSeed != nil { throw ExitCode(1) }
    }

    /// A worker ended where it should not: with the seed's command, if it is known, for a look at it.
    private func fail(_ failure: WorkerFailure) throws -> Never {
        FileHandle.standardError.write(Data("solidus-sim: \(failure)\n".utf8))
        if case .ended(_, let seed?) = failure { print("replay: \(try world.replayCommand(seed: seed))") }
        throw ExitCode(1)
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    private static func line(_ tally: SeedTally, seconds: Double) -> String {
        let rate = seconds > 0 ? Double(tally.seedCount) / seconds : 0
        let events = tally.seedCount > 0 ? tally.eventCount / tally.seedCount : 0
        return "\(tally.seedCount) seeds, \(Int(rate)) a second, \(events) events each; operations: "
            + "\(tally.succeededCount) succeeded, \(tally.failedCount) failed, \(tally.crashedCount) crashed; "
            + "trace sum " + String(tally.traceSum, radix: 16)
    }

    /// A line that is written over again on a terminal.
    private static func report(_ tally: SeedTally, seconds: Double) {
        let text =
            isatty(STDERR_FILENO) == 1
            ? "\r\u{1b}[K" + line(tally, seconds: seconds) : line(tally, seconds: seconds) + "\n"
        FileHandle.standardError.write(Data(text.utf8))
    }

    private static func erase() {
        if isatty(STDERR_FILENO) == 1 { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }

    private func printFailure(_ failure: WorldReport, _ shrunk: ShrunkFailure) throws {
        guard let violation = failure.violation else { return }
        print("SEED \(failure.seed): violation of \(violation)")
        print("replay: \(try world.replayCommand(seed: failure.seed))")
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

    private func printJSON(
        _ tally: SeedTally, _ failure: WorldReport?, _ shrunk: ShrunkFailure?, seconds: Double
    ) throws {
        let outcome = Outcome(
            seeds: tally.seedCount, seconds: seconds, events: tally.eventCount,
            succeeded: tally.succeededCount, failed: tally.failedCount, crashed: tally.crashedCount,
            traceSum: String(tally.traceSum, radix: 16), failedSeed: failure?.seed,
            violation: failure?.violation?.description,
            replay: try shrunk.map { try world.replayCommand(seed: $0.plan.seed, removed: $0.removed) },
            shrunkPlan: shrunk?.plan.summary)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(outcome), as: UTF8.self))
    }
}
