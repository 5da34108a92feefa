// solidus audit

import ArgumentParser
import CommandOutcome
import QuorumClient
import QuorumOperations
import QuorumProtocol

struct Audit: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have every server prove that it holds its fragments, without sending them.",
        discussion: """
            Each server reads its fragment of each stripe and sends 16 bytes that nobody can know beforehand or without \
            the fragment; those of all servers fit together if every fragment is the right one. What does not is asked \
            about again a second later. A server that finds its own fragment damaged notes that it has lost it, and \
            repairs it. It takes the right to administer the bucket, or all of them. Fails with exit code 11 when a \
            fragment is wrong or missing somewhere, and with 4 when too few servers of a group answer.

            Examples:
              solidus audit
              solidus audit photos --json
            """)

    @Argument(help: "Only what is in this bucket.")
    var bucket: String?
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    /// Stripes that are told of one by one.
    private static let listedMax = 20

    mutating func validate() throws {
        if let bucket, !ObjectKey.isBucket(bucket) {
            throw ValidationError("'\(bucket)' cannot be a bucket's name.")
        }
    }

    private struct Outcome: Encodable {
        struct Server: Encodable {
            let server: Int
            let good: UInt64
            let wrong: UInt64
            let missing: UInt64
            let ahead: UInt64
            let void: UInt64
            let unreadable: UInt64
            let silent: UInt64
            let spare: UInt64
        }
        struct Stripe: Encodable {
            let object: String
            let version: String
            let stripe: UInt64
            let isConclusive: Bool
            let servers: [String: String]
        }
        struct Unfinished: Encodable {
            let group: Int
            let why: String
        }
        let bucket: String?
        let stripes: UInt64
        let inconclusive: UInt64
        let servers: [Server]
        let troubles: [Stripe]
        let unfinished: [Unfinished]
    }

    func run() async throws {
        let home = try access.home()
        var progress = ProgressLine(isShown: !report.json)
        let found = try await access.withClient(home) { client throws(ClientError) in
            await client.audit(bucket: bucket) { tally, share in
                progress.show(
                    "\(Int(100 * share)) %  \(tally.stripeCount) stripes, \(tally.troubleCount) not whole")
            }
        }
        progress.end()
        let faults = home.cluster.parameters.quorums.faults
        if let refused = found.failures.first(where: { $0.failure.isRefused(faults: faults) }) {
            throw Failure(.refused, "the audit was refused: \(Self.text(refused.failure))")
        }
        let outcome = outcome(found, home.cluster.servers.map(\.node))
        try Report.finish(report, outcome, text: Self.text(outcome))
        if !found.failures.isEmpty { throw ReportedVerdict(status: .unavailable) }
        let isWhole = found.tally.standings.values.allSatisfy { counts in
            counts.allSatisfy { !$0.key.isTrouble || $0.value == 0 }
        }
        if !isWhole || found.tally.inconclusiveCount > 0 { throw ReportedVerdict(status: .partial) }
    }

    private func outcome(_ found: ClusterAudit, _ nodes: [NodeID]) -> Outcome {
        let tally = found.tally
        let servers = nodes.map { node in
            let counts = tally.standings[node] ?? [:]
            return Outcome.Server(
                server: Int(node.rawValue),
                good: tally.goodCount(of: node),
                wrong: counts[.wrong] ?? 0, missing: counts[.missing] ?? 0, ahead: counts[.ahead] ?? 0,
                void: counts[.void] ?? 0, unreadable: counts[.unreadable] ?? 0, silent: counts[.silent] ?? 0,
                spare: counts[.spare] ?? 0)
        }
        let troubles = tally.troubles.map { trouble in
            Outcome.Stripe(
                object: trouble.key.text, version: trouble.timestamp.fullName, stripe: trouble.stripe,
                isConclusive: trouble.isConclusive,
                servers: Dictionary(
                    uniqueKeysWithValues: trouble.servers.map { ("\($0.key.rawValue)", Self.text($0.value)) }))
        }
        return Outcome(
            bucket: bucket, stripes: tally.stripeCount, inconclusive: tally.inconclusiveCount, servers: servers,
            troubles: troubles,
            unfinished: found.failures.map { .init(group: Int($0.group.rawValue), why: Self.text($0.failure)) })
    }

    private static func text(_ standing: AuditStanding) -> String {
        switch standing {
        case .wrong: "wrong"
        case .missing: "missing"
        case .ahead: "ahead"
        case .void: "void"
        case .unreadable: "unreadable"
        case .silent: "silent"
        case .spare: "spare"
        }
    }

    private static func text(_ failure: AuditFailure) -> String {
        switch failure {
        case .tooFewAnswers(_, let answered, let needed, let refusals):
            (["\(answered) of its servers answer, \(needed) are needed"]
                + refusals.sorted { $0.key < $1.key }.map { "\($0) refused: \($1)" }).joined(separator: "; ")
        }
    }

    private static func text(_ outcome: Outcome) -> String {
        var lines = ["audited \(outcome.stripes) stripes" + (outcome.bucket.map { " of \($0.printable)" } ?? "")]
        for server in outcome.servers {
            let counts = [
                (server.good, "good"), (server.wrong, "WRONG"), (server.missing, "missing"),
                (server.ahead, "of which it has a newer version"),
                (server.void, "without a good fragment (the writer lied)"), (server.unreadable, "unreadable just now"),
                (server.silent, "not answered"), (server.spare, "left out by the writer"),
            ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
            lines.append("server \(server.server)  \(counts.isEmpty ? "nothing" : counts.joined(separator: ", "))")
        }
        for stripe in outcome.troubles.prefix(listedMax) {
            let servers = stripe.servers.sorted { $0.key < $1.key }.map { "server \($0): \($1)" }
            lines.append(
                "\(stripe.object.printable), stripe \(stripe.stripe): \(servers.joined(separator: ", "))"
                    + (stripe.isConclusive ? "" : "; too many to tell which of the others are right"))
        }
        if outcome.troubles.count > listedMax { lines.append("… and more, which --json tells of") }
        for group in outcome.unfinished {
            lines.append("group \(group.group) was not audited to its end: \(group.why)")
        }
        let isWhole = outcome.troubles.isEmpty && outcome.unfinished.isEmpty
        if isWhole { lines.append("every fragment that servers told of is right") }
        return lines.joined(separator: "\n")
    }
}
