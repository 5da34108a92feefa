// One stripe of a large value on its way from the servers, without I/O (docs/protocol.md, Large values).
//
// The fragments come from m preferred servers, and from the others once one of those asked has nothing good, or the
// hedge timer fires. Where the stripe's cross-checksum is not known yet, the page that names it is asked for with the
// first fragment; it is believed by its digest, which the version's descriptor names. So whoever sends what, nothing is
// taken that is not the version's.
//
// Who reads a version does not wait for what is gone: when fewer than m servers can have the stripe, by their own answers
// before a retransmission and after it, the fetch is over. A higher version may be committed then that the read did not
// hear of, for which servers have dropped this one; the object is to be read again, thoroughly.

import ErasureCode
import Fingerprint

/// Where a stripe lies and how its fragments are known.
package struct StripeToFetch: Sendable {
    /// How the stripe's cross-checksum is known.
    package enum Name: Sendable {
        case known(CrossChecksum)
        /// From a page of so many stripes, by its digest.
        case page(Fetch.PageRange, Digest256)
    }

    package let part: StagedPart
    package let stripe: UInt32
    package let name: Name

    package init(part: StagedPart, stripe: UInt32, name: Name) {
        self.part = part
        self.stripe = stripe
        self.name = name
    }

    /// The stripe of a part, by its name in the descriptor or else by the page that has it.
    package init(part: StagedPart, stripe: UInt32) {
        self.part = part
        self.stripe = stripe
        if part.named.isEmpty {
            let (first, count) = part.page(of: stripe)
            name = .page(
                Fetch.PageRange(first: first, count: UInt16(count)), part.pages[Int(first / StripePage.stripesMax)])
        } else {
            name = .known(part.named[Int(stripe)])
        }
    }
}

/// A stripe as it was fetched.
package struct FetchOutcome: Sendable {
    package let crossChecksum: CrossChecksum
    /// m good ones.
    package let fragments: [VerifiedFragment]
    /// The page that names the stripe, if it was fetched.
    package let page: StripePage?
    package let observations: ServerObservations
}

/// Fetches one stripe.
package struct StripeFetcher: Sendable {
    package enum Input: Sendable {
        case start
        case reply(Position, Reply)
        indirect case verified(Position, Result<VerifiedFragment, FragmentVerificationError>)
        case connected(Position)
        case hedge
        case retransmit
        case deadline
    }

    package enum Effect: Sendable {
        case send(Position, Request)
        indirect case verify(Position, CrossChecksum, SharedBytes)
        case startHedge
        indirect case finish(Result<FetchOutcome, OperationFailure>)
    }

    package let placement: Placement
    private let key: ObjectKey
    private let timestamp: Timestamp?
    private let wanted: StripeToFetch
    private let parameters: ClusterParameters
    private let preference: [Position]
    private let tag: UInt64
    /// Those who had nothing good.
    private var failed: PositionSet = []
    /// Those who said that they have no fragment, or sent a bad one, since all were asked again.
    private(set) var lacking: PositionSet = []
    private var asked: PositionSet = []
    /// Those who were asked for the page, too.
    private var askedPage: PositionSet = []
    private var crossChecksum: CrossChecksum?
    private var page: StripePage?
    /// Fragments that came before it was known what they are to be.
    private var early: [(server: Position, bytes: SharedBytes)] = []
    private var verifying: PositionSet = []
    private var good: [(server: Position, fragment: VerifiedFragment)] = []
    private var observations: ServerObservations
    private let endsWhenLost: Bool
    /// Whether fewer than m servers could have the stripe when it was last asked for again.
    private var wasHopeless = false
    private var isHedging = false
    private var isFinished = false

    /// - Parameters:
    ///   - timestamp: the version that is read, which is kept meanwhile; nil where there is none yet.
    ///   - preference: all positions, those first that are asked in the common case.
    ///   - tag: what tells its answers from those to another fetcher of the same operation.
    ///   - endsWhenLost: whether it fails once the stripe is not to be had, and not only at its deadline.
    package init(
        parameters: ClusterParameters, key: ObjectKey, timestamp: Timestamp?, wanted: StripeToFetch,
        preference: [Position], tag: UInt64 = 0, endsWhenLost: Bool = false
    ) {
        placement = parameters.placement(of: key)
        self.parameters = parameters
        self.key = key
        self.timestamp = timestamp
        self.wanted = wanted
        self.preference = preference
        self.tag = tag
        self.endsWhenLost = endsWhenLost
        observations = ServerObservations(placement)
        if case .known(let known) = wanted.name { crossChecksum = known }
    }

    private var need: Int { parameters.quorums.dataFragmentCount }

    package mutating func handle(_ input: consuming Input, into effects: inout [Effect]) {
        if isFinished { return }
        switch consume input {
        case .start:
            for server in preference.prefix(need) { ask(server, into: &effects) }
            effects.append(.startHedge)
        case .reply(let server, let reply):
            guard asked.contains(server), !isLate(reply) else { return }
            receive(reply, from: server, into: &effects)
            advance(into: &effects)
        case .verified(let server, let result):
            guard verifying.contains(server) else { return }
            verifying.remove(server)
            switch result {
            case .success(let fragment):
                good.append((server, fragment))
                lacking.remove(server)
            case .failure(let error):
                observations.misbehaviours[server] = .invalidFragment(error)
                failed.insert(server)
                lacking.insert(server)
            }
            advance(into: &effects)
        case .connected(let server):
            if asked.contains(server), !hasSent(server) { ask(server, into: &effects) }
        case .hedge:
            isHedging = true
            advance(into: &effects)
        case .retransmit:
            if endsWhenLost, isHopeless, wasHopeless {
                isFinished = true
                effects.append(.finish(.failure(shortfall)))
                return
            }
            wasHopeless = isHopeless
            lacking = []
            isHedging = true
            failed = []
            for server in parameters.quorums.positions where !hasSent(server) { ask(server, into: &effects) }
        case .deadline:
            isFinished = true
            effects.append(.finish(.failure(shortfall)))
        }
    }

    private func isLate(_ reply: Reply) -> Bool {
        if case .fetched(let parts) = reply { parts.tag != tag } else { false }
    }

    var goodCount: Int { good.count }

    /// Whether it waits although everybody was asked.
    var isStarving: Bool { !isFinished && isHedging }

    /// Whether fewer than m servers can have the stripe.
    var isHopeless: Bool { lacking.count > parameters.quorums.serverCount - need }

    private func has(_ server: Position) -> Bool {
        good.contains { $0.server == server } || verifying.contains(server)
            || early.contains { $0.server == server }
    }

    /// Whether the server has sent all that is wanted of it: a fragment without the page that names it may have come of
    /// a server whose answer with the page was lost.
    private func hasSent(_ server: Position) -> Bool { has(server) && !isPageWanted(of: server) }

    /// The page comes from whoever is asked first, and from all others once that one has not sent it.
    private mutating func ask(_ server: Position, into effects: inout [Effect]) {
        asked.insert(server)
        var range: Fetch.PageRange?
        if case .page(let wanted, _) = wanted.name, isPageWanted(of: server) {
            range = wanted
            askedPage.insert(server)
        }
        effects.append(
            .send(
                server,
                .fetch(
                    Fetch(
                        key: key, attempt: wanted.part.attempt, stripe: wanted.stripe, page: range, pin: timestamp,
                        tag: tag))))
    }

    private mutating func receive(_ reply: Reply, from server: Position, into effects: inout [Effect]) {
        switch reply {
        case .fetched(let parts):
            observations.withdrawRefusal(of: server)
            guard parts.position == server else {
                observations.misbehaviours[server] = .foreignParts
                failed.insert(server)
                return
            }
            take(parts.page, of: server, into: &effects)
            guard !has(server) else { return }
            guard let bytes = parts.fragment else {
                failed.insert(server)
                lacking.insert(server)
                return
            }
            if let crossChecksum {
                verify(bytes, of: server, crossChecksum, into: &effects)
            } else {
                early.append((server, bytes))
            }
        case .refused(let refusal):
            observations.refusals[server] = refusal
            failed.insert(server)
        default:
            observations.misbehaviours[server] = .unexpectedReply
        }
    }

    private mutating func take(_ bytes: [UInt8]?, of server: Position, into effects: inout [Effect]) {
        guard crossChecksum == nil, case .page(let range, let digest) = wanted.name, askedPage.contains(server) else {
            return
        }
        guard let bytes, Digest256.sha256(bytes) == digest,
            let page = try? StripePage(decoding: bytes, first: range.first, parameters: parameters),
            page.stripes.count == Int(range.count), wanted.part.fits(page)
        else {
            // A liar's, or one that has not all of its stripes. What it sends of the stripe may be good.
            failed.insert(server)
            return
        }
        self.page = page
        let known = page.stripes[Int(wanted.stripe - range.first)]
        crossChecksum = known
        for (server, bytes) in early { verify(bytes, of: server, known, into: &effects) }
        early = []
    }

    private mutating func verify(
        _ bytes: SharedBytes, of server: Position, _ crossChecksum: CrossChecksum, into effects: inout [Effect]
    ) {
        verifying.insert(server)
        effects.append(.verify(server, crossChecksum, bytes))
    }

    private mutating func advance(into effects: inout [Effect]) {
        if let crossChecksum, good.count >= need {
            isFinished = true
            observations.slow =
                isHedging ? preference.prefix(need).filter { !has($0) }.map(placement.node(at:)) : []
            let chosen = good.prefix(need).map(\.fragment)
            effects.append(
                .finish(
                    .success(
                        FetchOutcome(
                            crossChecksum: crossChecksum, fragments: chosen, page: page, observations: observations))))
            return
        }
        guard isHedging || !failed.isEmpty else { return }
        for server in parameters.quorums.positions
        where !asked.contains(server) || isPageWanted(of: server) && !askedPage.contains(server) {
            ask(server, into: &effects)
        }
    }

    /// Whether the page is to come from this server, too, or again.
    private func isPageWanted(of server: Position) -> Bool {
        crossChecksum == nil && (isHedging || askedPage.contains(server) || askedPage.allSatisfy(failed.contains))
    }

    private var shortfall: OperationFailure {
        let have = good.count
        var observations = observations
        observations.lackingCount = lacking.count
        guard let timestamp else {
            return .unavailable(
                .read, answered: good.map { placement.node(at: $0.server) }, need: need, observations: observations)
        }
        return .tooFewFragments(timestamp, have: have, need: need, observations: observations)
    }
}

extension StripeFetcher: OperationMachine {
    package typealias Outcome = FetchOutcome

    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server, reply) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .retransmit }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .hedge }
    package var brokenInvariant: String? { nil }

    package static func step(
        _ effect: Effect, key: ObjectKey, verifier: StatementVerifier
    ) -> OperationStep<StripeFetcher> {
        switch effect {
        case .send(let server, let request): .send(server, request)
        case .verify(let server, let crossChecksum, let bytes):
            .work(costBytes: bytes.count) {
                .verified(
                    server,
                    Result { () throws(FragmentVerificationError) in
                        try crossChecksum.verify(bytes, at: FragmentIndex(server.rawValue))
                    })
            }
        case .startHedge: .startHedge
        case .finish(let result): .finish(result)
        }
    }
}
