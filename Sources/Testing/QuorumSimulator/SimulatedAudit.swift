// One pass of an audit over a group, question by question, as GroupAudit makes it behind sockets: one server names what
// it has, the others answer up to where that ends, and what is not whole is asked about once more.

import QuorumFaults
import QuorumProtocol

/// Whoever audits; the world carries its questions.
struct SimulatedAudit {
    enum Step {
        /// These are to be asked.
        case ask([NodeID: AuditQuery])
        /// Others have yet to answer.
        case wait
        /// What is not whole is to be asked about a little later, by `lookAgain`.
        case pause
        /// The next stripes are done, to be followed by `goOn`.
        case found(AuditFindings)
        case tooFewAnswers
    }

    private struct Look {
        let from: AuditPlace
        let before: AuditPlace?
        let namingCount: Int
    }

    let group: Group
    private let parameters: ClusterParameters
    private var generator: SeededGenerator
    /// Where the next stripes begin; nil when all are done.
    private(set) var place: AuditPlace? = AuditPlace(Slot(0))
    private var turn = 0
    private var silent: Set<NodeID> = []
    private var faultCounts: [NodeID: Int] = [:]

    private var look: Look
    private var query: AuditQuery
    private var round: AuditRound
    /// Who has yet to be asked for names, as long as nobody has told any.
    private var unnamed: [NodeID] = []
    private var isNamed = false
    private var open: [NodeID: AuditQuery] = [:]
    /// What was found at the first look, and, as long as there is a second one, of that.
    private var first: (findings: AuditFindings, end: AuditPlace?)?
    private var again = AuditFindings()

    init(_ group: Group, parameters: ClusterParameters, generator: SeededGenerator) {
        self.group = group
        self.parameters = parameters
        self.generator = generator
        look = Look(from: AuditPlace(Slot(0)), before: nil, namingCount: 0)
        query = Self.query(group, look, point: Array(repeating: 0, count: AuditQuery.pointSizeBytes))
        round = AuditRound(query, group: group, parameters: parameters)
    }

    private static func query(_ group: Group, _ look: Look, point: [UInt8]) -> AuditQuery {
        AuditQuery(group: group.id, from: look.from, before: look.before, point: point, wantsNames: true)
    }

    /// Asks about the next stripes; nil when there are none.
    mutating func goOn() -> Step? {
        first = nil
        again = AuditFindings()
        return place.map { begin(Look(from: $0, before: nil, namingCount: parameters.quorums.vouchers)) }
    }

    /// Asks once more about what was not whole.
    mutating func lookAgain() -> Step {
        guard let troubles = first?.findings.troubles, let one = troubles.first, let last = troubles.last else {
            preconditionFailure("nothing is to be looked at again")
        }
        return begin(Look(from: one.place, before: last.place.successor, namingCount: group.members.count))
    }

    private mutating func begin(_ look: Look) -> Step {
        self.look = look
        let point = (0..<AuditQuery.pointSizeBytes).map { _ in UInt8(generator.below(256)) }
        query = Self.query(group, look, point: point)
        round = AuditRound(query, group: group, parameters: parameters)
        turn += 1
        let members = group.members
        let inTurn = members.indices.map { members[($0 + turn) % members.count] }
        unnamed = inTurn.filter { !silent.contains($0) } + inTurn.filter(silent.contains)
        isNamed = false
        return askNext()
    }

    private mutating func askNext() -> Step {
        guard !unnamed.isEmpty else { return end() }
        let node = unnamed.removeFirst()
        open = [node: query]
        return .ask(open)
    }

    /// Takes a server's answer; nil: it gave none.
    mutating func take(_ answer: AuditAnswer?, from node: NodeID) -> Step {
        guard let question = open.removeValue(forKey: node) else { return .wait }
        let isTaken = answer.map { round.take($0, to: question, from: node) } ?? false
        if isNamed { return open.isEmpty ? end() : .wait }
        guard isTaken, let answer else { return askNext() }
        isNamed = true
        let bound = answer.next ?? look.before
        for (place, other) in unnamed.enumerated() {
            open[other] = AuditQuery(
                group: group.id, from: look.from, before: bound, point: query.point,
                wantsNames: place < look.namingCount - 1)
        }
        return open.isEmpty ? end() : .ask(open)
    }

    private mutating func end() -> Step {
        guard round.isEnough else { return .tooFewAnswers }
        silent = round.silent
        if first == nil {
            if round.lacksNames, look.namingCount < group.members.count {
                return begin(Look(from: look.from, before: nil, namingCount: group.members.count))
            }
            let findings = round.findings(trusting: trusted)
            first = (findings, round.end)
            return findings.troubles.isEmpty ? conclude() : .pause
        }
        again.add(round.findings(trusting: trusted))
        guard let next = round.end else { return conclude() }
        return begin(Look(from: next, before: look.before, namingCount: group.members.count))
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

    /// What was found before anything was asked about once more.
    var firstFindings: AuditFindings? { first?.findings }
}
