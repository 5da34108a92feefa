// One pass of an audit over a group's stripes, without I/O (docs/protocol.md, Audit): whom to ask what, and what that
// shows. One server names what it has, and the others answer up to where that ends. Objects change while they are
// audited, so what is not whole is asked about once more.

/// A pass; whoever drives it carries its questions, draws points, and knows what time it is.
package struct AuditPass: Sendable {
    package enum Step {
        /// These are to be asked.
        case ask([NodeID: AuditQuery])
        /// Others have yet to answer.
        case wait
        /// To be followed by `begin`, a little later if what was not whole is to be asked about once more.
        case next(isLater: Bool)
        /// The next stripes are done, to be followed by `goOn`.
        case found(AuditFindings)
        /// So few have answered. It can be tried again, by `goOn`.
        case tooFewAnswers(Int)
    }

    private struct Look {
        let from: AuditPlace
        let before: AuditPlace?
        /// How many are to name what they tell of.
        let namingCount: Int
    }

    package let group: Group
    private let parameters: ClusterParameters
    private let before: AuditPlace?
    private let bucket: String?
    /// Where the next stripes begin; nil when all are done.
    private(set) package var place: AuditPlace?
    /// Whose turn it is to name what is audited.
    private var turn = 0
    /// Who did not answer the last time.
    private var silent: Set<NodeID> = []
    /// How often each was wrong, or had not what it should.
    private var faultCounts: [NodeID: UInt64] = [:]

    private var look: Look
    private var query: AuditQuery
    private var round: AuditRound
    /// Who has yet to be asked, as long as nobody has named anything.
    private var unasked: [NodeID] = []
    private var isNamed = false
    private var open: [NodeID: AuditQuery] = [:]
    /// What the first look has found, where its round ended, and what the second one has found of that so far.
    private var first: (findings: AuditFindings, end: AuditPlace?)?
    private var again = AuditFindings()

    /// - Parameters:
    ///   - place: where to begin.
    ///   - before: where to end; nil: with the group's last stripe.
    ///   - bucket: only of this one; nil: of all.
    package init(
        _ group: Group, from place: AuditPlace = AuditPlace(Slot(0)), before: AuditPlace? = nil, bucket: String? = nil,
        parameters: ClusterParameters
    ) {
        self.group = group
        self.parameters = parameters
        self.place = place
        self.before = before
        self.bucket = bucket
        look = Look(from: place, before: before, namingCount: 0)
        query = AuditQuery(
            group: group.id, from: place, before: before, bucket: bucket,
            point: Array(repeating: 0, count: AuditQuery.pointSizeBytes), wantsNames: true)
        round = AuditRound(query, group: group, parameters: parameters)
    }

    /// Goes on with the next stripes, if there are any, to be followed by `begin`.
    package mutating func goOn() -> Bool {
        guard let place else { return false }
        first = nil
        again = AuditFindings()
        // One of f + 1 is correct, and leaves out nothing that it has.
        look = Look(from: place, before: before, namingCount: parameters.quorums.vouchers)
        return true
    }

    /// Begins a round of questions.
    ///
    /// - Parameter point: drawn anew, as `AuditQuery.point`.
    package mutating func begin(at point: [UInt8]) -> Step {
        query = AuditQuery(
            group: group.id, from: look.from, before: look.before, bucket: bucket, point: point, wantsNames: true)
        round = AuditRound(query, group: group, parameters: parameters)
        turn += 1
        let members = group.members
        let inTurn = members.indices.map { members[($0 + turn) % members.count] }
        // The others wait for the first one, so it is not one that kept silent before.
        unasked = inTurn.filter { !silent.contains($0) } + inTurn.filter(silent.contains)
        isNamed = false
        return askNext()
    }

    private mutating func askNext() -> Step {
        guard !unasked.isEmpty else { return end() }
        open = [unasked.removeFirst(): query]
        return .ask(open)
    }

    /// Takes a server's answer; nil: it gave none.
    package mutating func take(_ answer: AuditAnswer?, from node: NodeID) -> Step {
        guard let question = open.removeValue(forKey: node) else { return .wait }
        let isTaken = answer.map { round.take($0, to: question, from: node) } ?? false
        if isNamed { return open.isEmpty ? end() : .wait }
        guard isTaken, let answer else { return askNext() }
        isNamed = true
        let bound = answer.next ?? look.before
        for (place, other) in unasked.enumerated() {
            open[other] = AuditQuery(
                group: group.id, from: look.from, before: bound, bucket: bucket, point: query.point,
                wantsNames: place < look.namingCount - 1)
        }
        return open.isEmpty ? end() : .ask(open)
    }

    private mutating func end() -> Step {
        guard round.isEnough else { return .tooFewAnswers(round.answerCount) }
        silent = round.silent
        guard first != nil else {
            if round.lacksNames, look.namingCount < group.members.count {
                look = Look(from: look.from, before: look.before, namingCount: group.members.count)
                return .next(isLater: false)
            }
            let findings = round.findings(trusting: trusted)
            first = (findings, round.end)
            guard let one = findings.troubles.first, let last = findings.troubles.last else { return conclude() }
            return lookAgain(from: one.place, before: last.place.successor, isLater: true)
        }
        again.add(round.findings(trusting: trusted))
        guard let next = round.end else { return conclude() }
        return lookAgain(from: next, before: look.before, isLater: false)
    }

    /// Looks at all of it, however early answers end, and has all servers name what they have: then it shows who is
    /// ahead.
    private mutating func lookAgain(from place: AuditPlace, before end: AuditPlace?, isLater: Bool) -> Step {
        look = Look(from: place, before: end, namingCount: group.members.count)
        return .next(isLater: isLater)
    }

    private mutating func conclude() -> Step {
        guard let (found, end) = first else { preconditionFailure("an audit ends that has not begun") }
        var findings = found
        if !findings.troubles.isEmpty { findings.confirm(again) }
        for trouble in findings.troubles {
            for (node, standing) in trouble.servers where standing <= .missing { faultCounts[node, default: 0] += 1 }
        }
        place = end
        return .found(findings)
    }

    /// Those first that were right most often.
    private var trusted: [NodeID] {
        group.members.sorted { (faultCounts[$0, default: 0], $0) < (faultCounts[$1, default: 0], $1) }
    }

    /// What the first look has found of the stripes that are under way.
    package var firstFindings: AuditFindings? { first?.findings }
}
