// What run and replay have in common: the options that pin parts of a world.

import ArgumentParser
import CommandArguments
import QuorumProtocol
import QuorumSimulator

struct WorldArguments: ParsableArguments {
    @Option(name: .customLong("f"), help: "How many servers may be faulty (default: drawn, 1 or 2).")
    var faultCount: Int?

    @Option(name: .customLong("m"), help: "How many fragments make a value (default: drawn, mostly f + 1).")
    var dataFragmentCount: Int?

    @Option(help: "How many groups of servers there are: one or several (default: drawn).")
    var groups: GroupCount?

    @Option(
        help:
            "What keeps what the servers store: a real store, or a simulated disk (default: drawn, 1 world in 20 real)."
    )
    var stores: StoreKind?

    @Option(help: "How fragments are verified.")
    var mode = ModeArgument(.fingerprint)

    @Option(help: "How many honest clients there are.")
    var clients = 3

    @Option(help: "How many operations the clients do together.")
    var operations = 30

    @Option(help: "Faults, separated by commas: all, none, environment, servers, clients, or single ones by name.")
    var faults = "all"

    @Option(help: "Parts of the plan to leave out, separated by commas, such as loss,operation:3-9.")
    var without = ""

    @Option(help: "A deliberate bug to plant in the protocol or the store; only in builds with the trait PlantedFlaws.")
    var flaw: String?

    func options() throws -> WorldOptions {
        var options = WorldOptions()
        options.faultCount = faultCount
        options.dataFragmentCount = dataFragmentCount
        options.mode = mode.mode
        options.hasSeveralGroups = groups.map { $0 == .several }
        options.hasRealStores = stores.map { $0 == .real }
        options.clientCount = clients
        options.operationCount = operations
        do {
            options.faults = try FaultSelection(names: faults.split(separator: ",").map(String.init))
        } catch {
            throw ValidationError(
                "no fault is called \(error.name); there are " + FaultSelection.names.joined(separator: ", "))
        }
        do {
            for text in without.split(separator: ",") { options.removed.formUnion(try PlanPart.parse(String(text))) }
        } catch {
            throw ValidationError("no part of a plan is called \(error.text)")
        }
        return options
    }

    /// The arguments with which a seed runs again, without the parts named.
    func replayCommand(seed: UInt64, removed: Set<PlanPart> = []) throws -> String {
        let words = self.words(without: PlanPart.texts(of: removed.union(try options().removed)).joined(separator: ","))
        return (["solidus-sim", "replay", "\(seed)"] + words).joined(separator: " ")
    }

    /// These very arguments.
    var words: [String] { words(without: without) }

    private func words(without: String) -> [String] {
        var words: [String] = []
        if let faultCount { words += ["--f", "\(faultCount)"] }
        if let dataFragmentCount { words += ["--m", "\(dataFragmentCount)"] }
        if let groups { words += ["--groups", groups.rawValue] }
        if let stores { words += ["--stores", stores.rawValue] }
        if mode.mode != .fingerprint { words += ["--mode", mode.mode.description] }
        if clients != 3 { words += ["--clients", "\(clients)"] }
        if operations != 30 { words += ["--operations", "\(operations)"] }
        if let flaw { words += ["--flaw", flaw] }
        if faults != "all" { words += ["--faults", faults] }
        if !without.isEmpty { words += ["--without", without] }
        return words
    }

    /// Plants the flaw that was asked for; to be called before anything runs.
    func plantFlaw() throws {
        guard let flaw else { return }
        #if PlantedFlaws
            guard let known = PlantableFlaw(rawValue: flaw) else {
                throw ValidationError("no flaw is called \(flaw); there are \(PlantableFlaw.names)")
            }
            known.plant()
        #else
            throw ValidationError(
                "the flaw \(flaw) cannot be planted in this build: build with --traits PlantedFlaws")
        #endif
    }

    func plan(seed: UInt64) throws -> WorldPlan {
        let options = try options()
        do {
            return try WorldPlan(seed: seed, options: options)
        } catch {
            throw ValidationError(error.reason)
        }
    }
}

/// Whether the servers make one group or several.
enum GroupCount: String, ExpressibleByArgument, CaseIterable {
    case one
    case several
}

/// What keeps what the servers of a world store.
enum StoreKind: String, ExpressibleByArgument, CaseIterable {
    case real
    case simulated
}

/// A range of seeds, written `A..B`, ends included, or one seed.
struct SeedRange: ExpressibleByArgument {
    let seeds: ClosedRange<UInt64>

    init?(argument: String) {
        if let single = UInt64(argument) {
            seeds = single...single
            return
        }
        guard let dots = argument.firstRange(of: ".."),
            let first = UInt64(argument[..<dots.lowerBound]), let last = UInt64(argument[dots.upperBound...]),
            first <= last
        else { return nil }
        seeds = first...last
    }
}
