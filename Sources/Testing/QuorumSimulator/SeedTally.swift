// Many seeds: each runs by itself, and of those in which nothing is wrong sums are all that is kept.

/// What became of a number of seeds.
package struct SeedTally: Equatable, Sendable {
    package private(set) var seedCount = 0
    package private(set) var eventCount = 0
    package private(set) var succeededCount = 0
    package private(set) var failedCount = 0
    package private(set) var crashedCount = 0
    /// A digest of all runs, whatever their order.
    package private(set) var traceSum: UInt64 = 0
    /// The lowest seed whose run violates a promise.
    package private(set) var violatingSeed: UInt64?

    package init() {}

    package mutating func add(_ report: WorldReport) {
        seedCount += 1
        eventCount += report.eventCount
        succeededCount += report.succeededCount
        failedCount += report.failedCount
        crashedCount += report.crashedCount
        traceSum &+= report.traceHash
        if report.violation != nil { violatingSeed = min(violatingSeed ?? .max, report.seed) }
    }

    package mutating func add(_ other: SeedTally) {
        seedCount += other.seedCount
        eventCount += other.eventCount
        succeededCount += other.succeededCount
        failedCount += other.failedCount
        crashedCount += other.crashedCount
        traceSum &+= other.traceSum
        if let seed = other.violatingSeed { violatingSeed = min(violatingSeed ?? .max, seed) }
    }
}

extension SeedTally {
    /// All of it as one line, with which a process tells another.
    package var line: String {
        "\(seedCount) \(eventCount) \(succeededCount) \(failedCount) \(crashedCount) \(traceSum) "
            + (violatingSeed.map { "\($0)" } ?? "-")
    }

    /// Nil for anything but such a line.
    package init?(line: some StringProtocol) {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 7, let seeds = Int(words[0]), let events = Int(words[1]), let succeeded = Int(words[2]),
            let failed = Int(words[3]), let crashed = Int(words[4]), let trace = UInt64(words[5])
        else { return nil }
        if words[6] != "-" {
            guard let seed = UInt64(words[6]) else { return nil }
            violatingSeed = seed
        }
        (seedCount, eventCount, traceSum) = (seeds, events, trace)
        (succeededCount, failedCount, crashedCount) = (succeeded, failed, crashed)
    }
}

/// Runs seeds one after the other, and ends with the first whose run violates a promise.
///
/// - Parameter willRun: told of each seed before it runs.
/// - Throws: when the options ask for a world that cannot be.
package func runSeeds(
    _ seeds: ClosedRange<UInt64>, options: WorldOptions, willRun: (UInt64) -> Void = { _ in }
) throws(ImpossibleWorld) -> SeedTally {
    var tally = SeedTally()
    for seed in seeds where tally.violatingSeed == nil {
        willRun(seed)
        tally.add(World(try WorldPlan(seed: seed, options: options)).run())
    }
    return tally
}
