// Reading one version of an object by its timestamp, without I/O (docs/protocol.md, Versions). That it was committed is
// for the caller to know: f + 1 servers say so. Its descriptor is believed by its digest, which the timestamp names, and
// fragments by the descriptor.

import ErasureCode
import Fingerprint

/// A version as it was fetched.
package struct FetchedVersion: Sendable {
    package let descriptor: Descriptor
    /// Of each stripe m good fragments; none of a large value, which is fetched stripe by stripe.
    package let stripes: [[VerifiedFragment]]
    package let observations: ServerObservations
}

/// Fetches one version.
package struct VersionFetcher: Sendable {
    package enum Input: Sendable {
        case start
        indirect case reply(Position, Reply)
        indirect case verified(Position, StripeIndex, Result<VerifiedFragment, FragmentVerificationError>)
        /// Whether the fragments are a block's encoding.
        case checked(isSound: Bool)
        case connected(Position)
        case hedge
        case retransmit
        case deadline
    }

    package enum Effect: Sendable {
        case send(Position, Request)
        indirect case verify(Position, StripeIndex, CrossChecksum, SharedBytes)
        indirect case check(SealedDescriptor, stripes: [[VerifiedFragment]])
        case startHedge
        indirect case finish(Result<FetchedVersion, OperationFailure>)
    }

    package let placement: Placement
    private let parameters: ClusterParameters
    private let key: ObjectKey
    private let timestamp: Timestamp
    private let preference: [Position]
    private var descriptor: SealedDescriptor?
    private var parts: [Position: [StripeIndex: VerifiedFragment]] = [:]
    private var asked: PositionSet = []
    private var failed: PositionSet = []
    private var observations: ServerObservations
    private var isHedging = false
    private var isChecking = false
    private var isFinished = false

    package init(parameters: ClusterParameters, key: ObjectKey, timestamp: Timestamp, preference: [Position]) {
        placement = parameters.placement(of: key)
        self.parameters = parameters
        self.key = key
        self.timestamp = timestamp
        self.preference = preference
        observations = ServerObservations(placement)
    }

    private var need: Int { parameters.quorums.dataFragmentCount }

    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if isFinished { return }
        switch consume input {
        case .start:
            for server in preference.prefix(need) { ask(server, into: &effects) }
            effects.append(.startHedge)
        case .reply(let server, let reply):
            guard asked.contains(server), parts[server] == nil else { return }
            receive(reply, of: server, into: &effects)
            advance(into: &effects)
        case .verified(let server, let stripe, let result):
            guard parts[server] != nil else { return }
            switch result {
            case .success(let fragment): parts[server]?[stripe] = fragment
            case .failure(let error):
                observations.misbehaviours[server] = .invalidFragment(error)
                parts[server] = nil
                failed.insert(server)
            }
            advance(into: &effects)
        case .checked(let isSound):
            guard let descriptor else { return }
            finish(isSound ? .success(fetched(descriptor)) : .failure(shortfall), into: &effects)
        case .connected(let server):
            if asked.contains(server), parts[server] == nil { ask(server, into: &effects) }
        case .hedge:
            isHedging = true
            advance(into: &effects)
        case .retransmit:
            isHedging = true
            for server in parameters.quorums.positions where parts[server] == nil { ask(server, into: &effects) }
        case .deadline:
            finish(.failure(shortfall), into: &effects)
        }
    }

    private mutating func ask(_ server: Position, into effects: inout [Effect]) {
        asked.insert(server)
        failed.remove(server)
        effects.append(.send(server, .read(Read(key: key, version: timestamp, portion: .fragments))))
    }

    private mutating func receive(_ reply: Reply, of server: Position, into effects: inout [Effect]) {
        switch reply {
        case .version(_, let held):
            observations.withdrawRefusal(of: server)
            guard let held else {
                failed.insert(server)
                return
            }
            guard held.timestamp == timestamp, held.position == server, held.descriptor.digest == timestamp.digest,
                held.descriptor.descriptor.key == key
            else {
                observations.misbehaviours[server] = .foreignParts
                failed.insert(server)
                return
            }
            descriptor = held.descriptor
            let stripes = held.descriptor.descriptor.stripes
            guard let fragments = held.fragments, fragments.count == stripes.count else {
                failed.insert(server)
                return
            }
            parts[server] = [:]
            for (stripe, bytes) in fragments.enumerated() {
                effects.append(.verify(server, StripeIndex(UInt32(stripe)), stripes[stripe], bytes))
            }
        case .refused(let refusal):
            observations.refusals[server] = refusal
            failed.insert(server)
        default:
            observations.misbehaviours[server] = .unexpectedReply
        }
    }

    /// Those whose fragments are all good.
    private func good(_ descriptor: SealedDescriptor) -> [[StripeIndex: VerifiedFragment]] {
        let count = descriptor.descriptor.stripes.count
        return parameters.quorums.positions.compactMap { parts[$0] }.filter { $0.count == count }
    }

    private func fetched(_ descriptor: SealedDescriptor) -> FetchedVersion {
        let good = good(descriptor).prefix(need)
        let stripes = descriptor.descriptor.stripes.indices.map { stripe in
            good.compactMap { $0[StripeIndex(UInt32(stripe))] }
        }
        return FetchedVersion(descriptor: descriptor.descriptor, stripes: stripes, observations: observations)
    }

    private mutating func advance(into effects: inout [Effect]) {
        if let descriptor, !isChecking {
            // A large value's stripes, and nothing's, are not among these.
            if descriptor.descriptor.stripes.isEmpty {
                finish(.success(fetched(descriptor)), into: &effects)
                return
            }
            if good(descriptor).count >= need {
                guard parameters.mode.verifiesLater else {
                    finish(.success(fetched(descriptor)), into: &effects)
                    return
                }
                isChecking = true
                effects.append(.check(descriptor, stripes: fetched(descriptor).stripes))
                return
            }
        }
        if failed.count > parameters.quorums.serverCount - need {
            finish(.failure(shortfall), into: &effects)
            return
        }
        guard isHedging || !failed.isEmpty else { return }
        for server in parameters.quorums.positions where !asked.contains(server) { ask(server, into: &effects) }
    }

    private var shortfall: OperationFailure {
        .tooFewFragments(
            timestamp, have: descriptor.map { good($0).count } ?? 0, need: need, observations: observations)
    }

    private mutating func finish(_ result: Result<FetchedVersion, OperationFailure>, into effects: inout [Effect]) {
        isFinished = true
        effects.append(.finish(result))
    }
}

extension VersionFetcher: OperationMachine {
    package typealias Outcome = FetchedVersion

    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server, reply) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .retransmit }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .hedge }
    package var brokenInvariant: String? { nil }

    package static func step(
        _ effect: Effect, key: ObjectKey, verifier: StatementVerifier
    ) -> OperationStep<VersionFetcher> {
        switch effect {
        case .send(let server, let request): .send(server, request)
        case .verify(let server, let stripe, let crossChecksum, let bytes):
            .work(costBytes: bytes.count) {
                .verified(
                    server, stripe,
                    Result { () throws(FragmentVerificationError) in
                        try crossChecksum.verify(bytes, at: FragmentIndex(server.rawValue))
                    })
            }
        case .check(let descriptor, let stripes):
            .work(costBytes: Int(clamping: descriptor.descriptor.lengthBytes)) {
                .checked(isSound: Reader.isSound(stripes, of: descriptor))
            }
        case .startHedge: .startHedge
        case .finish(let result): .finish(result)
        }
    }
}
