// One request to one server of an object, without I/O: for what only that server can say, and need not be believed.

/// Asks one server one thing, again when the channel comes back, until it answers.
package struct Question: Sendable {
    package enum Input: Sendable {
        case start
        indirect case reply(Position, Reply)
        case connected(Position)
        case retransmit
        case deadline
    }

    package enum Effect: Sendable {
        case send(Position, Request)
        indirect case finish(Result<Reply, OperationFailure>)
    }

    package let placement: Placement
    private let server: Position
    private let request: Request
    private var isFinished = false

    package init(parameters: ClusterParameters, _ request: Request, to server: Position) {
        placement = parameters.placement(of: request.key)
        self.server = server
        self.request = request
    }

    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if isFinished { return }
        switch consume input {
        case .start, .retransmit: effects.append(.send(server, request))
        case .connected(let other): if other == server { effects.append(.send(server, request)) }
        case .reply(let other, let reply): if other == server { finish(.success(reply), into: &effects) }
        case .deadline:
            finish(
                .failure(
                    .unavailable(.read, answered: [], need: 1, observations: ServerObservations(placement))),
                into: &effects)
        }
    }

    private mutating func finish(_ result: Result<Reply, OperationFailure>, into effects: inout [Effect]) {
        isFinished = true
        effects.append(.finish(result))
    }
}

extension Question: OperationMachine {
    package typealias Outcome = Reply

    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server, reply) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .retransmit }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .retransmit }
    package var brokenInvariant: String? { nil }

    package static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Question> {
        switch effect {
        case .send(let server, let request): .send(server, request)
        case .finish(let result): .finish(result)
        }
    }
}
