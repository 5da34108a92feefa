// The answers to one LIST that went to several servers, as they come in, without I/O.

/// What came of asking servers for the same part of a bucket.
package struct ListingOutcome: Sendable {
    package fileprivate(set) var answers: [NodeID: ListingAnswer] = [:]
    package fileprivate(set) var refusals: [NodeID: Refusal] = [:]
    /// Servers whose answer is none to what was asked.
    package fileprivate(set) var liars: Set<NodeID> = []

    package init() {}

    /// Whether nothing more is expected of the server.
    package func hasHeard(of node: NodeID) -> Bool {
        answers[node] != nil || refusals[node] != nil || liars.contains(node)
    }
}

/// Takes answers until there are enough, and then for as long as somebody waits for the rest.
package struct ListingCollector: Sendable {
    /// What follows from an answer.
    package enum Step: Equatable, Sendable {
        case wait
        /// Every group has answers enough, for the first time: the others are given the hedge time.
        case enough
        /// Nothing more is expected of anybody.
        case complete
    }

    package let query: ListingQuery
    /// Who is asked.
    package let nodes: [NodeID]
    package private(set) var outcome = ListingOutcome()
    private let parameters: ClusterParameters
    private var hasEnough = false

    package init(_ query: ListingQuery, nodes: [NodeID], _ parameters: ClusterParameters) {
        self.query = query
        self.nodes = nodes
        self.parameters = parameters
    }

    /// Who is to be asked again, since there is nothing of them.
    package var silent: [NodeID] { nodes.filter { !outcome.hasHeard(of: $0) } }

    package mutating func take(_ answer: ListingAnswer, from server: NodeID) -> Step {
        guard nodes.contains(server), outcome.answers[server] == nil, !outcome.liars.contains(server) else {
            return .wait
        }
        // A server has a witness for each of its groups: what is more would but fill the answer.
        let groupCount = parameters.configuration.groups.count
        if answer.answers(query), answer.prefixes.allSatisfy({ $0.witnesses.count <= groupCount }) {
            outcome.answers[server] = answer
            outcome.refusals[server] = nil
        } else {
            outcome.liars.insert(server)
        }
        return step()
    }

    package mutating func take(_ refusal: Refusal, from server: NodeID) -> Step {
        guard nodes.contains(server), !outcome.hasHeard(of: server) else { return .wait }
        outcome.refusals[server] = refusal
        return step()
    }

    private mutating func step() -> Step {
        if nodes.allSatisfy(outcome.hasHeard) { return .complete }
        guard !hasEnough else { return .wait }
        let need = ListingJudge.answersNeeded(parameters)
        hasEnough = parameters.configuration.groups.allSatisfy { group in
            group.members.count { outcome.answers[$0] != nil } >= need
        }
        return hasEnough ? .enough : .wait
    }
}
