// Telling all servers of an object something that needs no quorum, without I/O: that an upload is over, or that a version
// is being read (docs/protocol.md, Large values). Whoever does not hear of it keeps something longer, or not so long.

import Fingerprint

/// Sends one request to every server, and ends when all have answered or the hedge time is over.
package struct Announcer: Sendable {
    package enum Input: Sendable {
        case start
        case reply(Position)
        case connected(Position)
        case hedge
        case deadline
    }

    package enum Effect: Sendable {
        case send(Position, Request)
        case startHedge
        case finish
    }

    package let placement: Placement
    private let request: Request
    private let positions: [Position]
    private var answered: PositionSet = []
    private var isFinished = false

    package init(parameters: ClusterParameters, request: Request) {
        placement = parameters.placement(of: request.key)
        positions = parameters.quorums.positions
        self.request = request
    }

    package mutating func handle(_ input: Input, into effects: inout [Effect]) {
        if isFinished { return }
        switch input {
        case .start:
            for server in positions { effects.append(.send(server, request)) }
            effects.append(.startHedge)
        case .reply(let server):
            answered.insert(server)
            if positions.allSatisfy(answered.contains) { finish(into: &effects) }
        case .connected(let server):
            if !answered.contains(server) { effects.append(.send(server, request)) }
        case .hedge, .deadline:
            finish(into: &effects)
        }
    }

    private mutating func finish(into effects: inout [Effect]) {
        isFinished = true
        effects.append(.finish)
    }
}

extension Announcer: OperationMachine {
    package typealias Outcome = Void

    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .hedge }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .hedge }
    package var brokenInvariant: String? { nil }

    package static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Announcer>
    {
        switch effect {
        case .send(let server, let request): .send(server, request)
        case .startHedge: .startHedge
        case .finish: .finish(.success(()))
        }
    }
}
