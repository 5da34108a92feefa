// One seed again, with its story.

import ArgumentParser
import QuorumSimulator

struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs one seed and tells what happens.",
        discussion: "Exits with 1 when the run violates a promise.")

    @Argument(help: "The seed.")
    var seed: UInt64

    @OptionGroup var world: WorldArguments

    @Flag(help: "Tell only the plan and the outcome.")
    var quiet = false

    func run() throws {
        try world.plantFlaw()
        let plan = try world.plan(seed: seed)
        for line in plan.summary { print(line) }
        let report = World(plan, isTranscribed: !quiet).run()
        for line in report.transcript { print(line) }
        print(
            "\(report.succeededCount) operations succeeded, \(report.failedCount) failed, "
                + "\(report.crashedCount) crashed; \(report.eventCount) events; trace "
                + String(report.traceHash, radix: 16))
        if let violation = report.violation {
            print("VIOLATION of \(violation)")
            throw ExitCode(1)
        }
    }
}
