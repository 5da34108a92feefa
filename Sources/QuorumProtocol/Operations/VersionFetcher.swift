// Reading one version of an object by its timestamp, without I/O (docs/protocol.md, Versions). That it was committed is
// for the caller to know: f + 1 servers say so. Its descriptor is believed by its digest, which the timestamp names, and
// fragments by the descriptor.

import ErasureCode
import Fingerprint

/// A version as it was fetched.
package struct FetchedVersion: Sendable {
    package let sealed: SealedDescriptor
    /// Of each stripe m good fragments; none of a large value, which is fetched stripe by stripe.
    package let stripes: [[VerifiedFragment]]
    package let observations: ServerObservations

    package var descriptor: Descriptor { sealed.descriptor }
}

/// Fetches one version.
package struct VersionFetcher: Sendable {
    package enum Input: Sendable {
        case start
        indirect case reply(Position, Reply)
        indirect case verified(Position, StripeIndex, Result<VerifiedFragment, FragmentVerificationError>)
        /// Whether the stripes are sound.
        case checked(stripe: UInt64, isSound: Bool)
        case connected(Position)
        case hedge
        case retransmit
        case deadline
    }

    package enum Effect: Sendable {
        case send(Position, Request)
        indirect case verify(Position, StripeIndex, CrossChecksum, SharedBytes)
        /// Find out whether these stripes are sound: all it has, or of a large version the next.
        indirect case check([GatheredStripe])
        case startHedge
        indirect case finish(Result<FetchedVersion, OperationFailure>)
    }

    package let placement: Placement
    private let parameters: ClusterParameters
    private let key: ObjectKey
    private let timestamp: Timestamp
    private let preference: [Position]
    /// Whether stripes have to be looked at.
    private let isDoubted: Bool
    private var descriptor: SealedDescriptor?
    private var parts: [Position: [StripeIndex: VerifiedFragment]] = [:]
    private var asked: PositionSet = []
    private var failed: PositionSet = []
    private var observations: ServerObservations
    private var isHedging = false
    private var isChecking = false
    /// A large version's stripes, while they are looked at.
    private var stripes: StripesCheck?
    /// Hedge times that are not over: only the last one is that of the stripe which is fetched.
    private var hedgesUnderWay = 1
    /// Whether a stripe was not to be had when it was last asked for again.
    private var wasHopeless = false
    private var isFinished = false

    /// - Parameter isKnownSound: whether the caller knows that the version is no poisonous one.
    package init(
        parameters: ClusterParameters, key: ObjectKey, timestamp: Timestamp, preference: [Position],
        isKnownSound: Bool = false
    ) {
        isDoubted = parameters.mode.verifiesLater && !isKnownSound
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
            if stripes != nil {
                check(into: &effects) { $0.take(reply, of: server, into: &$1) }
                return
            }
            guard asked.contains(server), parts[server] == nil else { return }
            receive(reply, of: server, into: &effects)
            advance(into: &effects)
        case .verified(let server, let stripe, let result):
            if stripes != nil {
                if case .failure(let error) = result { observations.misbehaviours[server] = .invalidFragment(error) }
                check(into: &effects) { $0.verified(result, of: server, stripe, into: &$1) }
                return
            }
            guard parts[server] != nil else { return }
            switch result {
            case .success(let fragment): parts[server]?[stripe] = fragment
            case .failure(let error):
                observations.misbehaviours[server] = .invalidFragment(error)
                parts[server] = nil
                failed.insert(server)
            }
            advance(into: &effects)
        case .checked(let stripe, let isSound):
            guard let descriptor else { return }
            // A verdict on a stripe that is not looked at any more says nothing.
            guard stripe == 0 || isAwaited(stripe, into: &effects) else { return }
            if isSound, check(into: &effects, { $0.goOn(into: &$1) }) == false { return }
            finish(isSound ? .success(fetched(descriptor)) : .failure(shortfall), into: &effects)
        case .connected(let server):
            if asked.contains(server), parts[server] == nil { ask(server, into: &effects) }
            check(into: &effects) { $0.handle(.connected(server), into: &$1) }
        case .hedge:
            isHedging = true
            hedgesUnderWay -= 1
            if hedgesUnderWay <= 0 { check(into: &effects) { $0.handle(.hedge, into: &$1) } }
            advance(into: &effects)
        case .retransmit:
            isHedging = true
            if let stripes {
                if stripes.isHopeless, wasHopeless {
                    finish(.failure(shortfall), into: &effects)
                    return
                }
                wasHopeless = stripes.isHopeless
                check(into: &effects) { $0.handle(.retransmit, into: &$1) }
                return
            }
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
        return FetchedVersion(sealed: descriptor, stripes: stripes, observations: observations)
    }

    private mutating func advance(into effects: inout [Effect]) {
        if let descriptor, !isChecking {
            // A large value's stripes, and nothing's, are not among these.
            if descriptor.descriptor.stripes.isEmpty {
                if isDoubted, let staged = descriptor.descriptor.staged {
                    isChecking = true
                    stripes = StripesCheck(
                        staged, of: key, pin: timestamp, preference: preference, number: 1, parameters: parameters)
                    _ = check(into: &effects) { $0.start(into: &$1) }
                    return
                }
                finish(.success(fetched(descriptor)), into: &effects)
                return
            }
            if good(descriptor).count >= need {
                guard isDoubted else {
                    finish(.success(fetched(descriptor)), into: &effects)
                    return
                }
                isChecking = true
                let gathered = zip(descriptor.descriptor.stripes, fetched(descriptor).stripes).map {
                    GatheredStripe(crossChecksum: $0, fragments: $1)
                }
                effects.append(.check(gathered))
                return
            }
        }
        guard stripes == nil else { return }
        if failed.count > parameters.quorums.serverCount - need {
            finish(.failure(shortfall), into: &effects)
            return
        }
        guard isHedging || !failed.isEmpty else { return }
        for server in parameters.quorums.positions where !asked.contains(server) { ask(server, into: &effects) }
    }

    private mutating func isAwaited(_ stripe: UInt64, into effects: inout [Effect]) -> Bool {
        let judged = check(into: &effects) { check, _ in check.judged(stripe) }
        return (judged ?? nil) != nil
    }

    /// Runs a step of what looks at a large version's stripes, and does what follows.
    @discardableResult
    private mutating func check<Result>(
        into effects: inout [Effect], _ step: (inout StripesCheck, inout [StripesCheck.Effect]) -> Result
    ) -> Result? {
        guard var running = stripes else { return nil }
        var asked: [StripesCheck.Effect] = []
        let result = step(&running, &asked)
        stripes = running
        for effect in asked {
            switch effect {
            case .send(let server, let request): effects.append(.send(server, request))
            case .verify(let server, let stripe, let crossChecksum, let bytes):
                effects.append(.verify(server, stripe, crossChecksum, bytes))
            case .check(let stripe): effects.append(.check([stripe]))
            case .startHedge:
                hedgesUnderWay += 1
                effects.append(.startHedge)
            case .lacks: break
            }
        }
        return result
    }

    private var shortfall: OperationFailure {
        if let stripes, !stripes.isHopeless {
            // It is there; only that one of its stripes has not come.
            return .unavailable(.read, answered: [], need: need, observations: observations)
        }
        var observations = observations
        observations.lackingCount = failed.count { observations.refusals[$0] == nil }
        return .tooFewFragments(
            timestamp, have: stripes?.goodCount ?? descriptor.map { good($0).count } ?? 0, need: need,
            observations: observations)
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
        case .check(let stripes):
            .work(costBytes: stripes.reduce(0) { $0 + $1.crossChecksum.blockSizeBytes }) {
                .checked(stripe: stripes.first?.number ?? 0, isSound: stripes.allSatisfy(\.isSound))
            }
        case .startHedge: .startHedge
        case .finish(let result): .finish(result)
        }
    }
}
