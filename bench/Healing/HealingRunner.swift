// The measurements of `solidus-bench heal`, one after the other.

import BenchmarkResults
import Glibc
import QuorumProtocol
import StoreSeeding

/// What is measured by itself.
enum HealingSection: String, CaseIterable, Sendable {
    /// Rebuilding a server of large objects.
    case large
    /// The same of many small ones.
    case small
    /// GETs beside repair.
    case beside
    /// What audits move, and what they find.
    case audit
    /// Processor time of servers at rest.
    case idle
}

/// How much of everything there is.
struct HealingSizes: Sendable {
    var largeBytes: Int
    var largeObjectBytes: Int
    var smallCount: Int
    var smallBytes: Int
    var besideCount: Int
    var besideBytes: Int
    var loopCount: Int
    var seconds: Double
    var rounds: Int
    var idleSeconds: Double
    var plantedCount: Int
}

struct HealingRunner {
    /// The server that loses its store.
    static let lost = 3

    let sizes: HealingSizes
    let mode: VerificationMode
    let program: String
    let directory: String
    let leftovers: Leftovers.Removals
    private var figures: [PromisedFigure] = []

    init(
        sizes: HealingSizes, mode: VerificationMode, program: String, directory: String, leftovers: Leftovers.Removals
    ) {
        self.sizes = sizes
        self.mode = mode
        self.program = program
        self.directory = directory
        self.leftovers = leftovers
    }

    /// Measures what is asked for, and removes each cluster when it has served.
    mutating func run(_ sections: Set<HealingSection>) throws -> [PromisedFigure] {
        if sections.contains(.large) || sections.contains(.audit) { try measureLarge(sections) }
        if !sections.isDisjoint(with: [.small, .idle, .audit]) { try measureSmall(sections) }
        if sections.contains(.beside) { try measureBeside() }
        return figures
    }

    private mutating func add(_ name: String, _ value: Double, _ unit: String, _ bound: ModeTarget.Bound? = nil) {
        figures.append(PromisedFigure(name, value, unit, bound: bound))
        Progress.say("\(name): \(brief(value)) \(unit)")
    }

    private func cluster(_ name: String, seeding plan: SeedPlan? = nil) throws -> HealingCluster {
        let cluster = try HealingCluster(
            name, mode: mode, program: program, directory: directory, leftovers: leftovers
        ) { path in
            guard let plan else { return }
            Progress.say("seeding \(plan.objectCount) objects into \(plan.bucket)/")
            try StoreSeeder(plan, clusterDirectory: path).run()
        }
        return cluster
    }

    // MARK: Large objects

    private mutating func measureLarge(_ sections: Set<HealingSection>) throws {
        let count = max(1, sizes.largeBytes / sizes.largeObjectBytes)
        let objects = LargeObjects(count: count, sizeBytes: UInt64(sizes.largeObjectBytes))
        let cluster = try cluster("large")
        defer { cluster.remove() }
        let clients = cluster.clients
        Progress.say("storing \(count) objects of \(ByteSize(bytes: sizes.largeObjectBytes))")
        let seconds = try waiting { try await objects.put(by: clients) }
        add("large objects in", mebibytes(objects.valueBytes) / seconds, "MiB/s")
        if sections.contains(.large) { try rebuildLarge(objects, cluster) }
        if sections.contains(.audit) {
            try audit(
                AuditRun(cluster: cluster, bucket: LargeObjects.bucket, objectCount: count, key: objects.key),
                valueBytes: Double(objects.valueBytes), shareMax: 0.1)
        }
    }

    private mutating func rebuildLarge(_ objects: LargeObjects, _ cluster: HealingCluster) throws {
        let clients = cluster.clients
        try cluster.awaitRest()
        let seconds = try waiting { try await objects.get(by: clients) }
        let gets = mebibytes(objects.valueBytes) / seconds
        add("GETs of large objects", gets, "MiB/s")
        try cluster.awaitRest()
        let well = try rebuild("large objects", cluster, perWhat: "GiB of values", Double(objects.valueBytes) / 0x1p30)
        let fragmentCount = Double(HealingCluster.dataFragmentCount)
        let rate = mebibytes(objects.valueBytes) / fragmentCount / well
        add("the same, its fragments", rate, "MiB/s")
        add("the same / (GETs of large objects / m)", rate / (gets / fragmentCount), "", .atLeast(0.5))
    }

    /// Rebuilds a server; the seconds until it was well.
    ///
    /// - Parameters:
    ///   - perWhat: what processor time is told of, and how many of that there are.
    private mutating func rebuild(
        _ what: String, _ cluster: HealingCluster, perWhat: String, _ count: Double
    ) throws -> Double {
        let others = cluster.servers.indices.filter { $0 != Self.lost }.map { cluster.servers[$0].processID }
        let before = try others.map(ProcessorTime.seconds)
        let rebuilding = try Rebuilding(Self.lost, of: cluster)
        add("server rebuilt with \(what), until it answers", try rebuilding.untilAnswering(), "s")
        let well = try rebuilding.untilWell()
        add("the same, until it is well", well, "s")
        let own = try ProcessorTime.seconds(of: cluster.servers[Self.lost].processID)
        let used = zip(try others.map(ProcessorTime.seconds), before).map { $0 - $1 }
        add("the same, processor time of the server for \(perWhat)", own / count, "s")
        add("the same, of all others together", used.reduce(0, +) / count, "s")
        return well
    }

    private func mebibytes(_ bytes: UInt64) -> Double { Double(bytes) / Double(1 << 20) }

    // MARK: Small objects

    private mutating func measureSmall(_ sections: Set<HealingSection>) throws {
        let plan = SeedPlan(bucket: "small", objectCount: sizes.smallCount, valueSizeBytes: sizes.smallBytes)
        let cluster = try cluster("small", seeding: plan)
        defer { cluster.remove() }
        if sections.contains(.idle) { try rest(cluster) }
        if sections.contains(.small) {
            try cluster.awaitRest()
            let thousands = Double(plan.objectCount) / 1000
            let well = try rebuild("small objects", cluster, perWhat: "1,000 objects", thousands)
            add("the same, objects", thousands * 1000 / well, "1/s", .atLeast(3000))
        }
        if sections.contains(.audit) {
            try audit(
                AuditRun(cluster: cluster, bucket: plan.bucket, objectCount: plan.objectCount) { try plan.key($0) },
                valueBytes: Double(plan.objectCount) * Double(plan.valueSizeBytes), shareMax: 10)
        }
    }

    /// Processor time of each server while nobody asks for anything.
    private mutating func rest(_ cluster: HealingCluster) throws {
        try cluster.awaitRest()
        Progress.say("resting for \(brief(sizes.idleSeconds)) s")
        let before = try cluster.servers.map { try ProcessorTime.seconds(of: $0.processID) }
        let start = ContinuousClock.now
        usleep(useconds_t(sizes.idleSeconds * 1e6))
        let spent = (ContinuousClock.now - start).inSeconds
        let used = try zip(cluster.servers, before).map { (try ProcessorTime.seconds(of: $0.processID) - $1) / spent }
        add("processor time of a server at rest, the most of any", (used.max() ?? 0) * 100, "%", .atMost(2))
        add("the same, mean of all servers", used.reduce(0, +) / Double(used.count) * 100, "%")
    }

    // MARK: Audits

    private mutating func audit(_ run: AuditRun, valueBytes: Double, shareMax: Double) throws {
        let what = "audit of \(run.bucket)/"
        let clean = try run.clean()
        add("\(what), bytes of a stripe", valueBytes / Double(max(1, clean.stripeCount)) / 1024, "KiB")
        let share = Double(clean.movedBytes) / valueBytes * 100
        add("\(what), bytes moved / bytes of values", share, "%", .atMost(shareMax))
        add(what, clean.seconds, "s")
        add("\(what), fragments that are not right", Double(clean.faultCount(besides: nil)), "", .atMost(0))
        let planted = min(sizes.plantedCount, Int(clean.stripeCount) / 2)
        let corrupted = try run.corrupted(planted)
        add("\(what), of \(planted) corrupted fragments found", Double(corrupted.found), "", .atLeast(Double(planted)))
        add("the same, of other servers", Double(corrupted.elsewhere), "", .atMost(0))
        let discarded = try run.discarded()
        add(
            "\(what), of \(discarded.discarded) discarded fragments found", Double(discarded.found), "",
            .atLeast(Double(discarded.discarded)))
        add("the same, of other servers", Double(discarded.elsewhere), "", .atMost(0))
    }

    // MARK: Beside GETs

    private mutating func measureBeside() throws {
        let plan = SeedPlan(bucket: "beside", objectCount: sizes.besideCount, valueSizeBytes: sizes.besideBytes)
        let cluster = try cluster("beside", seeding: plan)
        defer { cluster.remove() }
        let run = BesideRun(
            cluster: cluster, plan: plan, loopCount: sizes.loopCount, seconds: sizes.seconds, rounds: sizes.rounds)
        let found = try run.run()
        add("GETs of \(ByteSize(bytes: plan.valueSizeBytes)), at most", found.peak, "1/s")
        add("half of that, without repair, p50", median(found.well.map(\.p50Milliseconds)), "ms")
        add("the same, p99", median(found.well.map(\.p99Milliseconds)), "ms")
        if let restating = found.restating {
            add("half of that, beside repair and restating, p50", restating.p50Milliseconds, "ms")
            add("the same, p99", restating.p99Milliseconds, "ms")
        }
        add("half of that, beside repair, p50", median(found.repairing.map(\.p50Milliseconds)), "ms")
        add("the same, p99", median(found.repairing.map(\.p99Milliseconds)), "ms")
        add("the same, objects repaired", median(found.repairedPerSecond), "1/s")
        add("p99 beside repair / without, median of the rounds", found.p99Ratio, "", .atMost(2))
    }
}
