// The proof that the simulator sees: every deliberate bug of the protocol and of the store is planted in turn and has
// to be found.

import ArgumentParser
import CommandArguments
import Foundation
import ObjectStorage
import QuorumSimulator
import StorageSimulator

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

    @Option(help: "A flaw that is left out, for want of time; may be given again.")
    var except: [String] = []

    @Argument(help: "The flaws (default: all).")
    var flaws: [String] = []

    func validate() throws {
        guard seeds >= 1 else { throw ValidationError("--seeds is at least 1") }
    }

    func run() throws {
        #if PlantedFlaws
            let left = try except.map { try Self.flaw($0).rawValue }
            let seen = PlantableFlaw.all.filter { !PlantableFlaw.unseenInWorlds.contains($0.rawValue) }
            let chosen = try (flaws.isEmpty ? seen : flaws.map(Self.flaw))
                .filter { !left.contains($0.rawValue) }
            var searchCount = 0
            var missed: [String] = []
            for flaw in chosen {
                if case .store(let ofStore) = flaw {
                    searchCount += 1
                    if !findInStore(ofStore) { missed.append(flaw.rawValue) }
                    guard PlantableFlaw.ofStoreInWorlds.contains(ofStore) else { continue }
                }
                searchCount += 1
                if !(try find(flaw)) { missed.append("\(flaw.rawValue) in a world") }
            }
            print("\(searchCount - missed.count) of \(searchCount) flaws found within \(seeds) seeds each")
            guard missed.isEmpty else {
                print("not found: " + missed.joined(separator: ", "))
                throw ExitCode(1)
            }
        #else
            throw ValidationError("there are no flaws in this build: build with --traits PlantedFlaws")
        #endif
    }

    #if PlantedFlaws
        private static func flaw(_ name: String) throws -> PlantableFlaw {
            guard let flaw = PlantableFlaw(rawValue: name) else {
                throw ValidationError("no flaw is called \(name); there are \(PlantableFlaw.names)")
            }
            return flaw
        }

        private static func column(_ name: String) -> String {
            name.padding(toLength: 34, withPad: " ", startingAt: 0)
        }

        /// Whether some seed's world shows the flaw.
        private func find(_ flaw: PlantableFlaw) throws -> Bool {
            flaw.plant()
            defer { PlantableFlaw.uproot() }
            var world = try WorldArguments.parse([])
            world.mode = ModeArgument(flaw.mode)
            if flaw.needsStores { world.stores = .real }
            world.flaw = flaw.rawValue
            let start = ContinuousClock().now
            let tally = try WorkerPool(count: workers, world: world).run(1...seeds)
            let seconds = (ContinuousClock().now - start) / .seconds(1)
            let name = Self.column(flaw.rawValue)
            guard let seed = tally.violatingSeed else {
                print("\(name)NOT FOUND in \(tally.seedCount) seeds, \(Int(seconds)) s")
                return false
            }
            let failure = World(try world.plan(seed: seed)).run()
            print(
                "\(name)seed \(seed), \(failure.eventCount) events, \(String(format: "%.1f", seconds)) s: "
                    + (failure.violation?.description ?? "not in this process"))
            print("    \(try world.replayCommand(seed: seed))")
            return true
        }

        /// Whether a seed of the store's own campaign shows the flaw.
        private func findInStore(_ flaw: StorageFlaw) -> Bool {
            PlantableFlaw.store(flaw).plant()
            defer { PlantableFlaw.uproot() }
            let name = Self.column(flaw.rawValue)
            for seed in 1...seeds {
                var world = StorageWorld(seed: seed)
                guard let violation = world.run().violation else { continue }
                print("\(name)seed \(seed): \(violation)")
                print("    solidus-sim storage --seeds \(seed) --tell --flaw \(flaw.rawValue)")
                return true
            }
            print("\(name)NOT FOUND in \(seeds) seeds")
            return false
        }
    #endif
}
