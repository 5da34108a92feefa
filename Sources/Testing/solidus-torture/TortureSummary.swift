// What a torture found, for people and for programs.

import CommandOutcome
import Foundation

/// A torture's outcome.
struct TortureSummary: Encodable {
    let seed: UInt64
    let clients: Int
    let objects: Int
    /// How long clients put, got and deleted.
    let ranSeconds: Double
    /// Reads and writes together.
    let completed: Int
    let reads: Completions
    /// Those of the reads that were of ranges, and those that were listings of all objects.
    let ranges: Int
    let listings: Int
    /// Through how many gateways clients went; 0 for none. Of what they stored, uploads in parts.
    let gateways: Int
    let uploads: Int
    /// Puts and deletions.
    let writes: Completions
    /// Puts alone, and the longest time without one in which the disks had room.
    let puts: Completions
    let failed: Int
    let unknown: Int
    /// Reads after every server was made well again.
    let readBack: Int
    let readBackFailed: Int
    /// What the first operation that failed by itself said.
    let firstFailure: String?
    let stallLimitSeconds: Double
    let nemesis: [String: Int]
    /// nil when no server was to lose its store.
    let rebuilds: Rebuilds?
    /// How long it took, once nothing harmed the servers any more, until nothing was open; nil when it lasted too long.
    let healedAfterSeconds: Double?
    /// nil when no disks were filled.
    let disks: Disks?
    /// What was asked for and not done, and why.
    let skipped: [String]
    let liar: Liar?
    /// What hostile clients did; told once the servers are left.
    var attacks: [Attack] = []
    /// Servers that clients saw do what no correct server does.
    let misbehaving: [Misbehaving]
    let wasInterrupted: Bool
    /// What servers had open when their time to heal was over.
    let open: [String]
    /// Servers, the liar among them, that ended by themselves or did not come back.
    var findings: [String]
    /// nil until the history was judged.
    var judgement: Judgement?

    /// Operations of one kind that completed, and the longest time without one.
    struct Completions: Encodable {
        let completed: Int
        let longestGapSeconds: Double
        let longestGapBeganSeconds: Double

        init(_ completions: TortureProgress.Completions) {
            completed = completions.count
            longestGapSeconds = Double(completions.longestGapNanoseconds) / 1e9
            longestGapBeganSeconds = Double(completions.longestGapBeganNanoseconds) / 1e9
        }
    }

    /// All disks at once, full but for what puts leave.
    struct Disks: Encodable {
        let sizeMebibytes: Int
        /// How often they were so full that puts were refused, and for how long together.
        let timesFull: Int
        let secondsFull: Double
        /// Puts of clients that were refused for want of room.
        let putsRefused: Int
        /// Those that completed when there was room again.
        let putsAfterFull: Int
        /// Objects that filled them; read and deleted while puts were refused.
        let ballastStored: Int
        let ballastRead: Int
        let ballastDeleted: Int

        init(_ disks: TortureDisks, _ ballast: TortureBallast.Counts, _ counts: TortureProgress.Counts) {
            sizeMebibytes = disks.sizeMebibytes
            let full = disks.full
            timesFull = full.count
            secondsFull = full.duration / .seconds(1)
            putsRefused = counts.refusedAsFull
            putsAfterFull = counts.putsAfterFull
            ballastStored = ballast.stored
            ballastRead = ballast.read
            ballastDeleted = ballast.deleted
        }

        var text: String {
            let seconds = String(format: "%.1f", secondsFull)
            return
                "disks of \(sizeMebibytes) MiB: all full \(timesFull) times, for \(seconds) s; \(putsRefused) puts of "
                + "clients refused, \(putsAfterFull) completed afterwards; to fill them \(ballastStored) objects stored, "
                + "\(ballastRead) read while they were full, \(ballastDeleted) deleted"
        }
    }

    /// Servers that began anew, and how many of them were well again before the servers were left.
    struct Rebuilds: Encodable {
        let begun: Int
        let well: Int
        let longestSeconds: Double
        /// Stores of earlier lives that were put back, and that no server served.
        let oldLivesRefused: Int

        init(_ rebuilds: Nemesis.Rebuilds) {
            begun = rebuilds.begun
            well = rebuilds.well
            longestSeconds = rebuilds.longest / .seconds(1)
            oldLivesRefused = rebuilds.refusedOldLives
        }

        var text: String {
            "rebuilt \(begun) servers: \(well) got well, the slowest in \(String(format: "%.1f", longestSeconds)) s; "
                + "\(oldLivesRefused) stores of earlier lives refused"
        }
    }

    struct Liar: Encodable {
        let server: Int
        let policy: String
    }

    /// One hostile client.
    struct Attack: Encodable {
        let kind: String
        let connections: UInt64
        let sessions: UInt64
        /// Connections that servers ended.
        let endedByServer: UInt64
        let requests: UInt64
        let sentBytes: UInt64
        /// Answers that were no refusals.
        let answered: UInt64
        /// Refusals, by reason.
        let refused: [String: UInt64]
        let problem: String?

        init(_ report: AttackReport) {
            let counters = report.counters
            kind = report.kind
            connections = counters.connections
            sessions = counters.sessions
            endedByServer = counters.endedByServer
            requests = counters.requests
            sentBytes = counters.sentBytes
            refused = counters.refusals
            answered = counters.answerCount - refused.values.reduce(0, +)
            problem = report.problem
        }

        var text: String {
            let reasons = refused.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            return
                "hostile \(kind): \(connections) connections, \(sessions) sessions, \(endedByServer) ended by servers; "
                + "\(requests) requests, \(answered) answered, \(refused.values.reduce(0, +)) refused"
                + (reasons.isEmpty ? "" : " (\(reasons))")
        }
    }

    struct Misbehaving: Encodable {
        let server: Int
        let operations: Int
        let first: String
    }

    init(
        seed: UInt64, clients: Int, objects: Int, ranSeconds: Double, counts: TortureProgress.Counts, readBack: Int,
        readBackFailed: Int, firstFailure: String?, misbehaviours: [Int: (count: Int, first: String)],
        stallLimitSeconds: Double, plan: TorturePlan, state: TortureKeeper.State, healedAfter: Duration?,
        open: [String],
        disks: Disks?, skipped: [String]
    ) {
        self.seed = seed
        self.clients = clients
        self.objects = objects
        self.ranSeconds = ranSeconds
        completed = counts.completed
        reads = Completions(counts.reads)
        ranges = counts.ranges
        listings = counts.listings
        gateways = plan.gateways?.names.count ?? 0
        uploads = counts.uploads
        writes = Completions(counts.writes)
        puts = Completions(counts.puts)
        self.disks = disks
        self.skipped = skipped
        failed = counts.failed
        unknown = counts.unknown
        self.readBack = readBack
        self.readBackFailed = readBackFailed
        self.firstFailure = firstFailure
        self.stallLimitSeconds = stallLimitSeconds
        nemesis = Dictionary(uniqueKeysWithValues: state.actionCounts.map { ($0.rawValue, $1) })
        misbehaving = misbehaviours.sorted { $0.key < $1.key }.map { server, seen in
            Misbehaving(server: server, operations: seen.count, first: seen.first)
        }
        liar = plan.faulty.map { Liar(server: $0.server, policy: $0.kind) }
        wasInterrupted = state.isInterrupted
        rebuilds = plan.losses.isEmpty ? nil : Rebuilds(state.rebuilds)
        healedAfterSeconds = healedAfter.map { $0 / .seconds(1) }
        self.open = open
        findings = state.findings
    }

    /// Whether reads, or writes, did not complete for longer than the limit, or, in however short a run, never.
    private var hasStalled: Bool {
        [reads, writes, puts].contains { $0.completed == 0 || $0.longestGapSeconds > stallLimitSeconds }
    }

    /// Whether operations completed throughout, the reading back included, and every server did what it should.
    var hasProgress: Bool {
        !hasStalled && readBackFailed == 0 && healedAfterSeconds != nil && findings.isEmpty
    }

    /// What the exit code has to say; nil when all was well.
    var failure: ExitStatus? {
        if let failure = judgement?.failure, failure == .notLinearizable { return failure }
        if !hasProgress { return .stalled }
        return judgement?.failure
    }

    /// The summary for people.
    var text: String {
        func seconds(_ value: Double) -> String { String(format: "%.1f", value) }
        var lines = judgement.map { [$0.text] } ?? []
        func told(_ completions: Completions, _ name: String) -> String {
            let (gap, start) = (seconds(completions.longestGapSeconds), seconds(completions.longestGapBeganSeconds))
            return "\(completions.completed) \(name), the longest time without one \(gap) s, from \(start) s on"
        }
        lines.append(
            "\(hasStalled ? "STALLED" : "progress throughout"): \(told(reads, "reads")); "
                + "\(told(writes, "writes and deletions"))"
                + (disks == nil ? "" : "; while disks had room, \(told(puts, "puts"))")
                + " (limit \(seconds(stallLimitSeconds)) s)")
        if readBackFailed > 0 { lines.append("STALLED: \(readBackFailed) reads failed with every server well again") }
        let actions = nemesis.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        lines.append("nemesis: \(nemesis.values.reduce(0, +)) actions\(actions.isEmpty ? "" : ": \(actions)")")
        if ranges + listings > 0 { lines.append("\(ranges) of the reads were of ranges, \(listings) were listings") }
        if gateways > 0 { lines.append("all went through \(gateways) gateways; \(uploads) uploads came in parts") }
        if let rebuilds { lines.append(rebuilds.text) }
        if let disks { lines.append(disks.text) }
        lines.append(
            healedAfterSeconds.map { "every server had all that it should \(seconds($0)) s after it was harmed last" }
                ?? "NOT HEALED in time")
        lines += open.map { "NOT HEALED: \($0)" }
        lines += skipped.map { "SKIPPED \($0)" }
        if let liar { lines.append("server \(liar.server) was a liar: \(liar.policy)") }
        lines += attacks.map(\.text)
        for seen in misbehaving {
            lines.append("server \(seen.server) was caught by \(seen.operations) operations, first: it \(seen.first)")
        }
        lines += findings.map { "FOUND: \($0)" }
        if let firstFailure { lines.append("the first operation that failed by itself: \(firstFailure)") }
        if wasInterrupted { lines.append("interrupted before its time was over") }
        lines.append("clients were at work for \(seconds(ranSeconds)) s, seed \(seed)")
        return lines.joined(separator: "\n")
    }
}
