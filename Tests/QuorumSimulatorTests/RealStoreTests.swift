// Worlds whose servers have real stores.

import QuorumProtocol
import QuorumSimulator
import Testing

@Suite("A world with real stores")
struct RealStoreTests {
    private func plan(
        _ seed: UInt64, _ names: [String], stores hasRealStores: Bool?, mode: VerificationMode = .fingerprint
    ) throws -> WorldPlan {
        var options = WorldOptions()
        options.faults = try FaultSelection(names: names)
        options.hasRealStores = hasRealStores
        options.mode = mode
        return try WorldPlan(seed: seed, options: options)
    }

    @Test("is one in twenty, and the others are what they would be without")
    func drawn() throws {
        let seeds = 1...1000 as ClosedRange<UInt64>
        let real = try seeds.filter {
            try plan($0, ["all"], stores: nil).summary.contains { $0.hasPrefix("real stores") }
        }
        #expect((30...70).contains(real.count), "\(real.count) of \(seeds.count)")
        for seed in 1...20 as ClosedRange<UInt64> {
            let simulated = try plan(seed, ["all"], stores: false)
            #expect(try real.contains(seed) || plan(seed, ["all"], stores: nil) == simulated)
            let with = try plan(seed, ["all"], stores: true)
            #expect(with != simulated && with.without([.stores]) == simulated)
            #expect(with.parts.contains(.stores) && !simulated.parts.contains(.stores))
        }
    }

    @Test("gives the identical transcript every time", arguments: [1, 2, 3, 5] as [UInt64])
    func transcript(seed: UInt64) throws {
        let plan = try plan(seed, ["all"], stores: true)
        let first = World(plan, isTranscribed: true).run()
        #expect(first.violation == nil)
        #expect(first.transcript == World(plan, isTranscribed: true).run().transcript)
    }

    /// At the end all servers are restarted. From then on a batch that was under way may be in one world only.
    @Test(
        "is the world with simulated disks as long as no disk loses anything",
        arguments: [
            (["none"], .fingerprint), (["servers", "loss", "duplication"], .fingerprint),
            (["clients", "delays", "client-crashes"], .lazy), (["servers", "partitions"], .full),
            (["loss", "slow-servers"], .none),
        ] as [([String], VerificationMode)])
    func same(names: [String], mode: VerificationMode) throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            let stories = try [true, false].map { hasRealStores in
                let world = World(try plan(seed, names, stores: hasRealStores, mode: mode), isTranscribed: true)
                let lines = world.run().transcript
                return lines.prefix { !$0.contains("everything is read back") }
            }
            #expect(stories[0].count > 100)
            #expect(stories[0] == stories[1], "seed \(seed)")
        }
    }

    @Test(
        "keeps its promises on bad disks, and its stores fail there, refuse to open, and lose parts",
        arguments: ["failing-disk", "full-disk", "rot", "lost-disk"])
    func badDisks(fault: String) throws {
        var told: [String: Int] = [:]
        for seed in 1...12 as ClosedRange<UInt64> {
            let plan = try plan(seed, [fault, "crashes", "power-failures"], stores: true)
            let report = World(plan, isTranscribed: true).run()
            #expect(report.violation == nil, "seed \(seed)")
            for event in ["store has failed", "cannot start", "can no longer read", "is full", "loses its disk"] {
                told[event, default: 0] += report.transcript.count { $0.contains(event) }
            }
        }
        switch fault {
        case "failing-disk": #expect(told["store has failed"]! > 0 && told["cannot start"]! > 0)
        case "full-disk": #expect(told["is full"]! > 0)
        case "rot": #expect(told["can no longer read"]! > 0 && told["cannot start"]! > 0)
        default: #expect(told["loses its disk"]! > 0)
        }
    }

    @Test(
        "is judged by what its stores hold",
        arguments: [
            (PlantedError.lostFragments, ["none"]),
            (.lostPending, ["leaked-certificates", "hidden-certificates", "partial-commit"]),
        ])
    func planted(error: PlantedError, names: [String]) throws {
        var options = WorldOptions()
        options.planted = error
        options.faults = try FaultSelection(names: names)
        options.faultCount = 1
        options.hasSeveralGroups = false
        func violation(_ seed: UInt64, stores hasRealStores: Bool) throws -> Violation? {
            options.hasRealStores = hasRealStores
            return World(try WorldPlan(seed: seed, options: options)).run().violation
        }
        // Simulated disks are faster, and most worlds do not miss what is lost.
        let seed = try #require(try (1...400 as ClosedRange<UInt64>).first { try violation($0, stores: false) != nil })
        #expect(try violation(seed, stores: true)?.kind == error.expected)
    }
}
