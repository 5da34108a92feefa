// One stripe of a large value on its way to the servers, without I/O (docs/protocol.md, Large values).
//
// STAGE goes to all that are given. The stripe is safe once q servers have it; the others are given the hedge time, so
// that a stream runs at the pace of the q fastest and a server that is a little slower is not left behind. Who has not
// answered by then may have it or not: whoever drives this finds out, or stages it again.

import ErasureCode
import Fingerprint

/// What goes to the servers of one stripe.
package struct StripeToStage: Sendable {
    package let attempt: AttemptName
    package let stripeSizeBytes: UInt32
    package let stripe: UInt32
    package let crossChecksum: CrossChecksum
    /// For each position its fragment or, in the mode `full`, the block.
    package let fragments: [SharedBytes]
    /// Whether it goes to servers that lack it of a version which others have.
    package let fills: Bool

    package init(
        attempt: AttemptName, stripeSizeBytes: UInt32, stripe: UInt32, crossChecksum: CrossChecksum,
        fragments: [SharedBytes], fills: Bool = false
    ) {
        self.attempt = attempt
        self.stripeSizeBytes = stripeSizeBytes
        self.stripe = stripe
        self.crossChecksum = crossChecksum
        self.fragments = fragments
        self.fills = fills
    }

    /// A block encoded as the cluster's mode wants it.
    package init(
        block: SharedBytes, attempt: AttemptName, stripeSizeBytes: UInt32, stripe: UInt32,
        parameters: ClusterParameters
    ) {
        let encoded = CrossChecksum.encode(
            block: block, code: parameters.quorums.code, coverage: parameters.mode.coverage)
        self.init(
            attempt: attempt, stripeSizeBytes: stripeSizeBytes, stripe: stripe, crossChecksum: encoded.crossChecksum,
            fragments: parameters.mode.sendsBlocks
                ? Array(repeating: block, count: parameters.quorums.serverCount) : encoded.fragments)
    }

    /// The STAGE for a server.
    func request(of key: ObjectKey, to server: Position) -> Request {
        .stage(
            Stage(
                key: key, attempt: attempt, position: server, stripeSizeBytes: stripeSizeBytes, stripe: stripe,
                crossChecksum: crossChecksum, fragment: fragments[server.offset], fills: fills))
    }
}

/// What became of staging one stripe.
package struct StageOutcome: Sendable {
    /// Who has it durably.
    package var staged: PositionSet = []
    package var observations: ServerObservations
}

/// Stages one stripe at some servers.
package struct StripeStager: Sendable {
    package enum Input: Sendable {
        case start
        case reply(Position, Reply)
        case connected(Position)
        case hedge
        case retransmit
        case deadline
    }

    package enum Effect: Sendable {
        case send(Position, Request)
        case startHedge
        indirect case finish(Result<StageOutcome, OperationFailure>)
    }

    package let placement: Placement
    private let key: ObjectKey
    private let stripe: StripeToStage
    private let targets: PositionSet
    private let need: Int
    private let quorums: QuorumConfiguration
    private var outcome: StageOutcome
    private var isHedging = false
    private var isFinished = false

    /// - Parameters:
    ///   - targets: who is sent the stripe.
    ///   - need: how many of them have to have it for this to succeed.
    package init(
        parameters: ClusterParameters, key: ObjectKey, stripe: StripeToStage, targets: PositionSet, need: Int
    ) {
        placement = parameters.placement(of: key)
        quorums = parameters.quorums
        self.key = key
        self.stripe = stripe
        self.targets = targets
        self.need = need
        outcome = StageOutcome(observations: ServerObservations(placement))
    }

    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if isFinished { return }
        switch consume input {
        case .start:
            for server in positions { send(to: server, into: &effects) }
            effects.append(.startHedge)
        case .reply(let server, let reply):
            guard targets.contains(server) else { return }
            switch reply {
            case .staged:
                outcome.staged.insert(server)
                outcome.observations.withdrawRefusal(of: server)
            case .refused(let refusal):
                if !outcome.staged.contains(server) { outcome.observations.refusals[server] = refusal }
            default:
                outcome.observations.misbehaviours[server] = .unexpectedReply
            }
            advance(into: &effects)
        case .connected(let server):
            if targets.contains(server), !outcome.staged.contains(server) { send(to: server, into: &effects) }
        case .hedge:
            isHedging = true
            advance(into: &effects)
        case .retransmit:
            for server in positions where !outcome.staged.contains(server) { send(to: server, into: &effects) }
        case .deadline:
            finish(failure, into: &effects)
        }
    }

    private var positions: [Position] { quorums.positions.filter(targets.contains) }

    private func send(to server: Position, into effects: inout [Effect]) {
        effects.append(.send(server, stripe.request(of: key, to: server)))
    }

    private mutating func advance(into effects: inout [Effect]) {
        let refusing = positions.filter { server in
            outcome.observations.refusals[server].map { !$0.isTransient } ?? false
        }
        if outcome.staged.count >= need {
            let isAnswered = positions.allSatisfy {
                outcome.staged.contains($0) || outcome.observations.refusals[$0] != nil
            }
            if isHedging || isAnswered {
                outcome.observations.slow = positions.filter {
                    !outcome.staged.contains($0) && outcome.observations.refusals[$0] == nil
                }.map(placement.node(at:))
                finish(.success(outcome), into: &effects)
            }
        } else if positions.count - refusing.count < need {
            finish(.failure(.refused(.stage, observations: outcome.observations)), into: &effects)
        }
    }

    private var failure: Result<StageOutcome, OperationFailure> {
        .failure(
            .unavailable(
                .stage, answered: positions.filter(outcome.staged.contains).map(placement.node(at:)), need: need,
                observations: outcome.observations))
    }

    private mutating func finish(_ result: Result<StageOutcome, OperationFailure>, into effects: inout [Effect]) {
        isFinished = true
        effects.append(.finish(result))
    }
}

extension StripeStager: OperationMachine {
    package typealias Outcome = StageOutcome

    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server, reply) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .retransmit }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .hedge }
    package var brokenInvariant: String? { nil }

    package static func step(
        _ effect: Effect, key: ObjectKey, verifier: StatementVerifier
    ) -> OperationStep<StripeStager> {
        switch effect {
        case .send(let server, let request): .send(server, request)
        case .startHedge: .startHedge
        case .finish(let result): .finish(result)
        }
    }
}
