// The store's own campaign: the real journal, replay and reclaiming over files and an index in memory.

import ArgumentParser
import Foundation
import ObjectStorage
import StorageSimulator

struct Storage: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a server's store through crashes and bad disks.",
        discussion: "Exits with 1 at the first seed that breaks a promise, and tells its story.")

    @Option(help: "The seeds, A..B, ends included (default: --count of them from a random start).")
    var seeds: SeedRange?

    @Option(help: "How many seeds to run from a random start.")
    var count: UInt64 = 2000

    @Option(help: "A deliberate bug to plant in the store; only in builds with the trait PlantedFlaws.")
    var flaw: String?

    @Flag(help: "Tell what happens in each seed.")
    var tell = false

    func validate() throws {
        guard count >= 1 else { throw ValidationError("--count is at least 1") }
    }

    func run() throws {
        if let flaw {
            #if PlantedFlaws
                guard case .store(let known)? = PlantableFlaw(rawValue: flaw) else {
                    throw ValidationError(
                        "no flaw of the store is called \(flaw); there are "
                            + StorageFlaw.allCases.map(\.rawValue).joined(separator: ", "))
                }
                StorageFlaw.planted = known
            #else
                throw ValidationError(
                    "the flaw \(flaw) cannot be planted in this build: build with --traits PlantedFlaws")
            #endif
        }
        let start = UInt64.random(in: 1..<1 << 40)
        let range = seeds?.seeds ?? start...start + count - 1
        print("storage seeds \(range.lowerBound)..\(range.upperBound)")
        let clock = ContinuousClock()
        let begin = clock.now
        var openingCount = 0
        var batchCount = 0
        var removedCount = 0
        var movedCount = 0
        var rebuiltCount = 0
        for seed in range {
            var world = StorageWorld(seed: seed, tells: tell)
            let report = world.run()
            for line in report.story { print("  \(line)") }
            openingCount += report.openingCount
            batchCount += report.batchCount
            removedCount += report.removedSegmentCount
            movedCount += report.movedPartCount
            rebuiltCount += report.rebuiltIndexCount
            guard let violation = report.violation else { continue }
            if !tell {
                var again = StorageWorld(seed: seed, tells: true)
                for line in again.run().story { print("  \(line)") }
            }
            print("SEED \(seed): \(violation)")
            print("replay: solidus-sim storage --seeds \(seed) --tell" + (flaw.map { " --flaw \($0)" } ?? ""))
            throw ExitCode(1)
        }
        let seconds = (clock.now - begin) / .seconds(1)
        print(
            "\(range.count) seeds, \(Int(Double(range.count) / max(seconds, 0.001))) a second; \(batchCount) batches, "
                + "\(openingCount) openings, \(removedCount) segments removed, \(movedCount) parts moved, "
                + "\(rebuiltCount) indexes made anew: "
                + "nothing was lost or invented")
    }
}
