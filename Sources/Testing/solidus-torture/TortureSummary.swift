// What a torture found, for people and for programs.

import CommandOutcome
import Foundation

/// A torture's outcome.
struct TortureSummary: Encodable {
    let seed: UInt64
    let clients: Int
    let objects: Int
    /// Reads and writes together.
    let completed: Int
    let reads: Completions
    /// Puts and deletions.
    let writes: Completions
    let failed: Int
    let unknown: Int
    /// Reads after every server was made well again.
    let readBack: Int
    let readBackFailed: Int
    /// What the first operation that failed by itself said.
    let firstFailure: String?
    let stallLimitSeconds: Double
    let nemesis: [String: Int]
    let liar: Liar?
    /// Servers that clients saw do what no correct server does.
    let misbehaving: [Misbehaving]
    let wasInterrupted: Bool
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

    struct Liar: Encodable {
        let server: Int
        let policy: String
    }

    struct Misbehaving: Encodable {
        let server: Int
        let operations: Int
        let first: String
    }

    init(
        seed: UInt64, clients: Int, objects: Int, counts: TortureProgress.Counts, readBack: Int, readBackFailed: Int,
        firstFailure: String?, misbehaviours: [Int: (count: Int, first: String)], stallLimitSeconds: Double,
        plan: TorturePlan, state: TortureKeeper.State
    ) {
        self.seed = seed
        self.clients = clients
        self.objects = objects
        completed = counts.completed
        reads = Completions(counts.reads)
        writes = Completions(counts.writes)
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
        findings = state.findings
    }

    /// Whether reads, or writes, did not complete for longer than the limit, or, in however short a run, never.
    private var hasStalled: Bool {
        [reads, writes].contains { $0.completed == 0 || $0.longestGapSeconds > stallLimitSeconds }
    }

    /// Whether operations completed throughout, the reading back included, and every server did what it should.
    var hasProgress: Bool { !hasStalled && readBackFailed == 0 && findings.isEmpty }

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
                + "\(told(writes, "writes and deletions")) (limit \(seconds(stallLimitSeconds)) s)")
        if readBackFailed > 0 { lines.append("STALLED: \(readBackFailed) reads failed with every server well again") }
        let actions = nemesis.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        lines.append("nemesis: \(nemesis.values.reduce(0, +)) actions\(actions.isEmpty ? "" : ": \(actions)")")
        if let liar { lines.append("server \(liar.server) was a liar: \(liar.policy)") }
        for seen in misbehaving {
            lines.append("server \(seen.server) was caught by \(seen.operations) operations, first: it \(seen.first)")
        }
        lines += findings.map { "FOUND: \($0)" }
        if let firstFailure { lines.append("the first operation that failed by itself: \(firstFailure)") }
        if wasInterrupted { lines.append("interrupted before its time was over") }
        lines.append("seed \(seed)")
        return lines.joined(separator: "\n")
    }
}
