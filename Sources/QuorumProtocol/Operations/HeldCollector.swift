// Asking the servers of an object what they hold, without I/O (docs/protocol.md, Versions and Going on with an upload).
// Each answer is what one server says; what is to be believed of them is for whoever asked.

/// What servers say they hold.
package struct HeldAnswers: Sendable {
    package var lists: [Position: HeldList] = [:]
    package var observations: ServerObservations
}

extension HeldAnswers {
    /// The versions below one, the newest first, that so many servers name with the same particulars.
    package static func versions(
        in lists: [Position: HeldList], vouchedForBy vouchers: Int, below current: Timestamp?
    ) -> [KeptVersion] {
        var counts: [KeptVersion: Int] = [:]
        for case .versions(let versions) in lists.values {
            for version in Set(versions) { counts[version, default: 0] += 1 }
        }
        return counts.filter { $1 >= vouchers && $0.timestamp.precedes(current) }.keys
            .sorted { $0.timestamp > $1.timestamp }
    }
}

/// Asks all servers of an object, and ends when all have answered, or q have and the others have had the hedge time.
package struct HeldCollector: Sendable {
    package enum Input: Sendable {
        case start
        indirect case reply(Position, Reply)
        case connected(Position)
        case hedge
        case retransmit
        case deadline
    }

    package enum Effect: Sendable {
        case send(Position, Request)
        case startHedge
        indirect case finish(Result<HeldAnswers, OperationFailure>)
    }

    package let placement: Placement
    private let quorums: QuorumConfiguration
    private let request: ListHeld
    private var answers: HeldAnswers
    private var isHedging = false
    private var isFinished = false

    package init(parameters: ClusterParameters, request: ListHeld) {
        placement = parameters.placement(of: request.key)
        quorums = parameters.quorums
        self.request = request
        answers = HeldAnswers(observations: ServerObservations(placement))
    }

    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if isFinished { return }
        switch consume input {
        case .start:
            for server in quorums.positions { send(to: server, into: &effects) }
            effects.append(.startHedge)
        case .reply(let server, let reply):
            guard quorums.contains(server) else { return }
            receive(reply, of: server)
            advance(into: &effects)
        case .connected(let server):
            if answers.lists[server] == nil { send(to: server, into: &effects) }
        case .hedge:
            isHedging = true
            advance(into: &effects)
        case .retransmit:
            isHedging = true
            for server in quorums.positions where answers.lists[server] == nil { send(to: server, into: &effects) }
        case .deadline:
            finish(
                .failure(
                    .unavailable(
                        .read, answered: answers.lists.keys.sorted().map(placement.node(at:)), need: quorums.quorum,
                        observations: answers.observations)), into: &effects)
        }
    }

    private func send(to server: Position, into effects: inout [Effect]) {
        effects.append(.send(server, .listHeld(request)))
    }

    private mutating func receive(_ reply: Reply, of server: Position) {
        switch (reply, request.kind) {
        case (.held(.versions(let versions)), .versions):
            answers.lists[server] = .versions(versions)
        case (.held(.staged(let attempts)), .upload(let upload)):
            answers.lists[server] = .staged(attempts.filter { $0.attempt.upload == upload })
        case (.held(.uploads(let uploads)), .uploads):
            answers.lists[server] = .uploads(uploads)
        case (.refused(let refusal), _):
            answers.observations.refusals[server] = refusal
            return
        default:
            answers.observations.misbehaviours[server] = .unexpectedReply
            return
        }
        answers.observations.withdrawRefusal(of: server)
    }

    private mutating func advance(into effects: inout [Effect]) {
        let refusing = quorums.positions.filter { server in
            answers.observations.refusals[server].map { !$0.isTransient } ?? false
        }
        if answers.lists.count == quorums.serverCount || isHedging && answers.lists.count >= quorums.quorum {
            finish(.success(answers), into: &effects)
        } else if refusing.count > quorums.faults {
            finish(.failure(.refused(.read, observations: answers.observations)), into: &effects)
        }
    }

    private mutating func finish(_ result: Result<HeldAnswers, OperationFailure>, into effects: inout [Effect]) {
        isFinished = true
        effects.append(.finish(result))
    }
}

extension HeldCollector: OperationMachine {
    package typealias Outcome = HeldAnswers

    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server, reply) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .retransmit }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .hedge }
    package var brokenInvariant: String? { nil }

    package static func step(
        _ effect: Effect, key: ObjectKey, verifier: StatementVerifier
    ) -> OperationStep<HeldCollector> {
        switch effect {
        case .send(let server, let request): .send(server, request)
        case .startHedge: .startHedge
        case .finish(let result): .finish(result)
        }
    }
}
