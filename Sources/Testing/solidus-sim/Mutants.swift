// The proof that the simulator sees: every deliberate bug of the protocol and of the store is planted in turn and has to
// be found.

import ArgumentParser
import CommandArguments
import Foundation
import ObjectStorage
import QuorumProtocol
import QuorumSimulator

struct Mutants: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plants each deliberate bug and looks for it, in the mode in which the rule matters.",
        discussion: """
            Prints for each the first seed that shows it, after how many events, and the command that replays it. \
            Exits with 1 when one is not found: a hole in the simulator. Needs a build with --traits PlantedFlaws.
            """)

    @Option(help: "How many seeds may be run for each.")
    var seeds: UInt64 = 20_000

    @Option(help: "How many seeds run at a time (default: as many as there are cores).")
    var workers: Int?

    @Argument(help: "The flaws (default: all).")
    var flaws: [String] = []

    func validate() throws {
        guard seeds >= 1 else { throw ValidationError("--seeds is at least 1") }
    }

    func run() throws {
        #if PlantedFlaws
            let ofStore = flaws.isEmpty ? StorageFlaw.allCases : flaws.compactMap(StorageFlaw.init)
            let chosen =
                try flaws.isEmpty ? Flaw.allCases : flaws.filter { StorageFlaw(rawValue: $0) == nil }.map(Self.flaw)
            var missed = ofStore.filter { !$0.isFound(within: seeds) }.map(\.rawValue)
            for flaw in chosen where !(try find(flaw)) { missed.append(flaw.rawValue) }
            let count = chosen.count + ofStore.count
            print("\(count - missed.count) of \(count) flaws found within \(seeds) seeds each")
            guard missed.isEmpty else {
                print("not found: " + missed.joined(separator: ", "))
                throw ExitCode(1)
            }
        #else
            throw ValidationError("there are no flaws in this build: build with --traits PlantedFlaws")
        #endif
    }

    #if PlantedFlaws
        private static func flaw(_ name: String) throws -> Flaw {
            guard let flaw = Flaw(rawValue: name) else {
                throw ValidationError(
                    "no flaw is called \(name); there are "
                        + (Flaw.allCases.map(\.rawValue) + StorageFlaw.allCases.map(\.rawValue)).joined(separator: ", ")
                )
            }
            return flaw
        }

        /// Whether some seed shows the flaw.
        private func find(_ flaw: Flaw) throws -> Bool {
            Flaw.planted = flaw
            defer { Flaw.planted = nil }
            var world = try WorldArguments.parse([])
            world.mode = ModeArgument(flaw.mode)
            world.flaw = flaw.rawValue
            let start = ContinuousClock().now
            let tally = try WorkerPool(count: workers, world: world).run(1...seeds)
            let seconds = (ContinuousClock().now - start) / .seconds(1)
            let name = flaw.rawValue.padding(toLength: 34, withPad: " ", startingAt: 0)
            guard let seed = tally.violatingSeed else {
                print("\(name)NOT FOUND in \(tally.seedCount) seeds, \(Int(seconds)) s")
                return false
            }
            let failure = World(try world.plan(seed: seed)).run()
            print(
                "\(name)seed \(seed), \(failure.eventCount) events, \(String(format: "%.1f", seconds)) s: "
                    + (failure.violation?.description ?? "not in this process"))
            print("    solidus-sim replay \(seed) --mode \(flaw.mode) --flaw \(flaw.rawValue)")
            return true
        }
    #endif
}
