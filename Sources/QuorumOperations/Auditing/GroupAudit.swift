// Auditing the stripes of one group, from one place to the next (docs/protocol.md, Audit): the shell around AuditPass.
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

    private let context: OperationContext
    private var pass: AuditPass
    private(set) package var tally = AuditTally()
    /// Where it goes on; nil when all has been audited.
    package var place: AuditPlace? { pass.place }

    /// - Parameters:
    ///   - place: where to begin.
    ///   - before: where to end; nil: with the group's last stripe.
    ///   - bucket: only of this one; nil: of all.
    package init(
        _ group: Group, from place: AuditPlace = AuditPlace(Slot(0)), before: AuditPlace? = nil, bucket: String? = nil,
        context: OperationContext
    ) {
        self.context = context
        pass = AuditPass(group, from: place, before: before, bucket: bucket, parameters: context.parameters)
    }

    private var group: Group { pass.group }

    private static func drawPoint() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<AuditQuery.pointSizeBytes).map { _ in generator.next() }
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
        guard pass.goOn() else { return AuditFindings() }
        var refusals: [NodeID: Refusal] = [:]
        var step = pass.begin(at: Self.drawPoint())
        while true {
            switch step {
            case .ask(let questions):
                for (node, answer) in await ask(questions) {
                    switch answer {
                    case .audit(.answer(let answer)): step = pass.take(answer, from: node)
                    case .reply(.refused(let refusal)):
                        refusals[node] = refusal
                        step = pass.take(nil, from: node)
                    default: step = pass.take(nil, from: node)
                    }
                }
                try Task.checkCancellation()
            case .wait:
                preconditionFailure("an audit waits for servers that were asked")
            case .next(let isLater):
                if isLater { try await Task.sleep(for: Self.secondLook) }
                refusals = [:]
                step = pass.begin(at: Self.drawPoint())
            case .found(let findings):
                await doubt(findings)
                tally.add(findings, of: group)
                return findings
            case .tooFewAnswers(let count):
                throw AuditFailure.tooFewAnswers(
                    group.id, answered: count, needed: context.parameters.quorums.quorum, refusals: refusals)
            }
        }
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

    /// Asks all of them at once. Once so many have answered that with the one before they are a quorum it waits for the
    /// others no longer than for these, and a little: who never answers would slow down every round.
    ///
    /// - Returns: for each of them its answer; nil where there is none.
    private func ask(_ questions: [NodeID: AuditQuery]) async -> [NodeID: PeerAnswer?] {
        let enough = context.parameters.quorums.quorum - 1
        let start = ContinuousClock.now
        let answers = await withTaskGroup(of: (NodeID, PeerAnswer?)?.self) { [context, epoch] tasks in
            for (node, query) in questions {
                tasks.addTask { (node, await PeerQuestion.ask(.ask(query, epoch: epoch), of: node, context)) }
            }
            var answers: [NodeID: PeerAnswer?] = [:]
            for await ended in tasks {
                // The time is over, or nobody is waited for any more.
                guard let (node, answer) = ended else {
                    tasks.cancelAll()
                    continue
                }
                answers[node] = .some(answer)
                if answers.count == questions.count {
                    tasks.cancelAll()
                } else if answer != nil, answers.values.count(where: { $0 != nil }) == enough {
                    let patience = (ContinuousClock.now - start) + Self.stragglersPatience
                    tasks.addTask {
                        try? await Task.sleep(for: patience)
                        return nil
                    }
                }
            }
            return answers
        }
        return questions.mapValues { _ in nil as PeerAnswer? }.merging(answers) { $1 }
    }
}
