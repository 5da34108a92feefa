// Auditing the stripes of one group, from one place to the next (docs/protocol.md, Audit): the shell around AuditRound.
//
// Objects change while they are audited: servers are behind, or ahead, for a moment. So what is not as it should be is
// asked about again a little later, and counts only if it is still so.

import QuorumProtocol
import QuorumWire

/// What an audit has found so far.
package struct AuditTally: Sendable {
    /// Troubles that are remembered one by one.
    package static let troublesMax = 1000

    /// Stripes that more than f servers told of.
    package var stripeCount: UInt64 = 0
    /// Of these, those that are not whole everywhere, and those of which nobody can say which fragments are right.
    package var troubleCount: UInt64 = 0
    package var inconclusiveCount: UInt64 = 0
    /// Of how many of them a server has a fragment to show.
    package var askedCounts: [NodeID: UInt64] = [:]
    /// For how many it stands otherwise than well.
    package var standings: [NodeID: [AuditStanding: UInt64]] = [:]
    /// The first ones.
    package var troubles: [AuditTrouble] = []

    package init() {}

    mutating func add(_ findings: AuditFindings, of group: Group) {
        stripeCount += findings.stripeCount
        for node in group.members { askedCounts[node, default: 0] += findings.stripeCount }
        standings.merge(findings.untroubled) { $0.merging($1) { $0 + $1 } }
        troubleCount += UInt64(findings.troubles.count)
        for trouble in findings.troubles {
            if !trouble.isConclusive { inconclusiveCount += 1 }
            for (node, standing) in trouble.servers where standing.isTrouble {
                standings[node, default: [:]][standing, default: 0] += 1
            }
            if troubles.count < Self.troublesMax { troubles.append(trouble) }
        }
    }

    package mutating func add(_ other: AuditTally) {
        stripeCount += other.stripeCount
        troubleCount += other.troubleCount
        inconclusiveCount += other.inconclusiveCount
        askedCounts.merge(other.askedCounts) { $0 + $1 }
        for (node, counts) in other.standings {
            standings[node, default: [:]].merge(counts) { $0 + $1 }
        }
        troubles += other.troubles.prefix(max(0, Self.troublesMax - troubles.count))
    }

    /// How many good fragments a server has shown, where it can be told.
    package func goodCount(of node: NodeID) -> UInt64 {
        let others = (standings[node] ?? [:]).values.reduce(0, +)
        return askedCounts[node, default: 0] - min(others, askedCounts[node, default: 0])
    }

    /// How often a server was wrong, or had not what it should.
    func faultCount(of node: NodeID) -> UInt64 {
        let counts = standings[node] ?? [:]
        return counts[.wrong, default: 0] + counts[.missing, default: 0]
    }
}

/// Why an audit cannot go on.
package enum AuditFailure: Error, Sendable {
    /// Too few of the group's servers answer; why the others do not, as far as they say.
    case tooFewAnswers(GroupID, answered: Int, needed: Int, refusals: [NodeID: Refusal])
}

/// Audits one group; one task at a time.
package struct GroupAudit: Sendable {
    private static let doubtsMax = 100
    private static let secondLook = Duration.seconds(1)
    private static let stragglersPatience = Duration.seconds(3)
    private static let connectingMilliseconds = 5000

    private let group: Group
    private let before: AuditPlace?
    private let bucket: String?
    private let context: OperationContext
    private let drawPoint: @Sendable () -> [UInt8]
    /// Whose turn it is to name what is audited.
    private var turn = 0
    /// Who did not answer the last time.
    private var silent: Set<NodeID> = []
    private(set) package var tally = AuditTally()
    /// Where it goes on; nil when all has been audited.
    private(set) package var place: AuditPlace?

    /// - Parameters:
    ///   - place: where to begin.
    ///   - before: where to end; nil: with the group's last stripe.
    ///   - bucket: only of this one; nil: of all.
    package init(
        _ group: Group, from place: AuditPlace = AuditPlace(Slot(0)), before: AuditPlace? = nil, bucket: String? = nil,
        context: OperationContext
    ) {
        self.group = group
        self.place = place
        self.before = before
        self.bucket = bucket
        self.context = context
        drawPoint = {
            var generator = SystemRandomNumberGenerator()
            return (0..<AuditQuery.pointSizeBytes).map { _ in generator.next() }
        }
    }

    /// Waits until the group's servers can be asked, or a few seconds are over.
    package func connect() async {
        context.connections.start(group.members)
        for _ in 0..<(Self.connectingMilliseconds / 20) {
            if group.members.allSatisfy(context.connections.isUsable) { return }
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }

    /// Audits some more stripes: as many as one answer tells of.
    ///
    /// - Returns: what was found this time.
    /// - Throws: `AuditFailure` when too few servers answer; it can be tried again. `CancellationError`.
    package mutating func goOn() async throws -> AuditFindings {
        guard let from = place else { return AuditFindings() }
        // One of f + 1 is correct, and leaves out nothing that it has.
        var round = try await ask(from: from, before: before, namingCount: context.parameters.quorums.vouchers)
        if round.lacksNames { round = try await ask(from: from, before: before, namingCount: group.members.count) }
        var findings = round.findings(trusting: trusted)
        if let first = findings.troubles.first, let last = findings.troubles.last {
            try await Task.sleep(for: Self.secondLook)
            findings.confirm(try await lookAgain(from: first.place, before: last.place.successor))
        }
        await doubt(findings)
        tally.add(findings, of: group)
        place = round.end
        return findings
    }

    private var epoch: UInt64 { context.parameters.configuration.epoch }

    /// Has those look who have not shown what they should. A few at a time: who has much that is not right looks at all
    /// of it by itself.
    private func doubt(_ findings: AuditFindings) async {
        await withTaskGroup(of: Void.self) { tasks in
            for trouble in findings.troubles.prefix(Self.doubtsMax) {
                let doubt = AuditDoubt(key: trouble.key, .ofVersion(trouble.timestamp, trouble.stripe))
                for (node, standing) in trouble.servers where standing <= .missing {
                    tasks.addTask { [context, epoch] in
                        _ = await PeerQuestion.ask(.doubt(doubt, epoch: epoch), of: node, context)
                    }
                }
            }
        }
    }

    /// Looks at all of it, however early answers end, and has all servers name what they have: then it shows who is
    /// ahead.
    private mutating func lookAgain(from first: AuditPlace, before end: AuditPlace) async throws -> AuditFindings {
        var findings = AuditFindings()
        var place: AuditPlace? = first
        while let from = place {
            let round = try await ask(from: from, before: end, namingCount: group.members.count)
            findings.add(round.findings(trusting: trusted))
            place = round.end
        }
        return findings
    }

    /// Those first that were right most often.
    private var trusted: [NodeID] {
        group.members.map { (faults: tally.faultCount(of: $0), node: $0) }
            .sorted { ($0.faults, $0.node) < ($1.faults, $1.node) }.map(\.node)
    }

    /// - Parameter namingCount: how many are to name what they tell of.
    private mutating func ask(from: AuditPlace, before: AuditPlace?, namingCount: Int) async throws -> AuditRound {
        let query = AuditQuery(
            group: group.id, from: from, before: before, bucket: bucket, point: drawPoint(), wantsNames: true)
        var round = AuditRound(query, group: group, parameters: context.parameters)
        var refusals: [NodeID: Refusal] = [:]
        turn += 1
        let inTurn = group.members.indices.map { group.members[($0 + turn) % group.members.count] }
        // The others wait for the first one, so it is not one that kept silent before.
        let order = inTurn.filter { !silent.contains($0) } + inTurn.filter(silent.contains)
        var asked = 0
        var bound: AuditPlace?
        for node in order {
            asked += 1
            guard let answer = await ask(query, node, &refusals), round.take(answer, to: query, from: node) else {
                continue
            }
            bound = answer.next ?? before
            break
        }
        let others = order.dropFirst(asked).enumerated().map { place, node in
            let question = AuditQuery(
                group: group.id, from: from, before: bound, bucket: bucket, point: query.point,
                wantsNames: place < namingCount - 1)
            return (node, question)
        }
        for (node, question, answer) in await ask(others, enough: context.parameters.quorums.quorum - 1) {
            switch answer {
            case .audit(.answer(let answer)): _ = round.take(answer, to: question, from: node)
            case .reply(.refused(let refusal)): refusals[node] = refusal
            default: break
            }
        }
        try Task.checkCancellation()
        guard round.isEnough else {
            throw AuditFailure.tooFewAnswers(
                group.id, answered: round.answerCount, needed: context.parameters.quorums.quorum, refusals: refusals)
        }
        silent = round.silent
        return round
    }

    /// Asks all of them at once. Once enough have answered it waits for the others no longer than for these, and a
    /// little: who never answers would slow down every round.
    private func ask(
        _ questions: [(NodeID, AuditQuery)], enough: Int
    ) async -> [(NodeID, AuditQuery, PeerAnswer?)] {
        let start = ContinuousClock.now
        return await withTaskGroup(of: (NodeID, AuditQuery, PeerAnswer?)?.self) { [context, epoch] tasks in
            for (node, query) in questions {
                tasks.addTask { (node, query, await PeerQuestion.ask(.ask(query, epoch: epoch), of: node, context)) }
            }
            var answers: [(NodeID, AuditQuery, PeerAnswer?)] = []
            for await ended in tasks {
                // The time is over, or nobody is waited for any more.
                guard let ended else {
                    tasks.cancelAll()
                    continue
                }
                answers.append(ended)
                if answers.count == questions.count {
                    tasks.cancelAll()
                } else if ended.2 != nil, answers.count(where: { $0.2 != nil }) == enough {
                    let patience = (ContinuousClock.now - start) + Self.stragglersPatience
                    tasks.addTask {
                        try? await Task.sleep(for: patience)
                        return nil
                    }
                }
            }
            return answers
        }
    }

    private func ask(_ query: AuditQuery, _ node: NodeID, _ refusals: inout [NodeID: Refusal]) async -> AuditAnswer? {
        switch await PeerQuestion.ask(.ask(query, epoch: epoch), of: node, context) {
        case .audit(.answer(let answer)): return answer
        case .reply(.refused(let refusal)):
            refusals[node] = refusal
            return nil
        default: return nil
        }
    }
}
