// Bringing servers the stripes of a large version that they lack when it is prepared, without I/O (docs/protocol.md,
// Large values): of our own, or of one that was left behind and is finished.
//
// A server that lacks stripes says which, in order. One stripe at a time is fetched from the others, decoded, encoded,
// and staged at all servers that lack it next. Who has all it named is sent PREPARE again.
//
// A liar may name what it has, or take what it is sent and name it again: a server is brought each stripe of the value
// once. One that does not answer STAGE for a whole retransmission interval is given up, and so are all when fewer than m
// servers can have a stripe.

import ErasureCode
import Fingerprint

/// Which stripes of one version are still to be brought to whom.
struct StripeFilling: Sendable {
    enum Effect {
        case send(Position, Request)
        case verify(Position, StripeIndex, CrossChecksum, SharedBytes)
        case encode(StripeIndex, CrossChecksum, [VerifiedFragment])
        /// The server has all that it named.
        case filled(Position)
        /// The server cannot be filled.
        case givenUp(Position)
    }

    /// A stripe of the value.
    private struct Place: Hashable, Comparable {
        /// The part's place in the value.
        let part: Int
        let stripe: UInt32

        static func < (left: Place, right: Place) -> Bool { (left.part, left.stripe) < (right.part, right.stripe) }
    }

    private enum Step {
        case idle
        case fetch(Place, StripeFetcher)
        case encode(Place, CrossChecksum)
        /// `reminded`: those who have had a whole interval to answer.
        case stage(Place, StripeToStage, waiting: PositionSet, reminded: PositionSet)
    }

    private let parameters: ClusterParameters
    private let key: ObjectKey
    private let stager: ClientID
    private let parts: [StagedPart]
    /// What each server lacks still, in order.
    private var missing: [Position: ArraySlice<MissingStripes>] = [:]
    /// How many stripes each server was brought.
    private var brought: [Position: UInt64] = [:]
    private var givenUp: PositionSet = []
    private var step = Step.idle
    /// Of the last fetch.
    private var tag: UInt64
    /// The last page that was fetched, and of which part.
    private var page: (part: Int, page: StripePage)?

    /// - Parameters:
    ///   - stager: this client, which stages nothing in another's name.
    ///   - number: another one for each filling of an operation.
    init(
        _ staged: StagedContents, of key: ObjectKey, by stager: ClientID, number: Int, parameters: ClusterParameters
    ) {
        tag = UInt64(number) << 32
        self.parameters = parameters
        self.key = key
        self.stager = stager
        parts = staged.parts
    }

    /// A server that was sent PREPARE names what it lacks.
    mutating func take(_ runs: [MissingStripes], of server: Position, into effects: inout [Effect]) {
        guard missing[server] == nil, !givenUp.contains(server) else { return }
        let areStripes = runs.allSatisfy { run in
            parts.indices.contains(Int(run.part)) && run.stripes.upperBound <= parts[Int(run.part)].stripeCount
                && !run.stripes.isEmpty && parts[Int(run.part)].attempt.stager == stager
        }
        let count = runs.reduce(0) { $0 + UInt64($1.stripes.count) }
        let all = parts.reduce(0) { $0 + UInt64($1.stripeCount) }
        guard areStripes, count > 0, !isPlanted(.stripesUnfilled), brought[server, default: 0] + count <= all else {
            giveUp(server, into: &effects)
            return
        }
        missing[server] = runs[...]
        if case .idle = step { next(into: &effects) }
    }

    /// An answer to FETCH or STAGE; whether anything came of it.
    mutating func take(_ reply: Reply, of server: Position, into effects: inout [Effect]) -> Bool {
        switch (step, reply) {
        case (.fetch(let place, var fetcher), .fetched), (.fetch(let place, var fetcher), .refused):
            drive(&fetcher, .reply(server, reply), place, into: &effects)
            return false
        // A stripe that a version holds is there: what was sent was a copy that came late.
        case (.stage(let place, let stripe, var waiting, let reminded), .staged),
            (.stage(let place, let stripe, var waiting, let reminded), .refused(.stripeHeld)):
            guard waiting.contains(server) else { return false }
            waiting.remove(server)
            advance(server)
            step = .stage(place, stripe, waiting: waiting, reminded: reminded)
            if missing[server]?.isEmpty == true {
                missing[server] = nil
                effects.append(.filled(server))
            }
            nextIfStaged(into: &effects)
            return true
        case (.stage(_, _, let waiting, _), .refused(let refusal)):
            guard waiting.contains(server), !refusal.isTransient else { return false }
            giveUp(server, into: &effects)
            return false
        default:
            return false
        }
    }

    mutating func verified(
        _ result: Result<VerifiedFragment, FragmentVerificationError>, of server: Position, _ stripe: StripeIndex,
        into effects: inout [Effect]
    ) {
        guard case .fetch(let place, var fetcher) = step, index(of: place) == stripe else { return }
        drive(&fetcher, .verified(server, result), place, into: &effects)
    }

    /// Takes what `.encode` asked for: each server's fragment.
    mutating func encoded(_ stripe: StripeIndex, _ fragments: [SharedBytes], into effects: inout [Effect]) {
        guard case .encode(let place, let crossChecksum) = step, index(of: place) == stripe else { return }
        let part = parts[place.part]
        let whole = StripeToStage(
            attempt: part.attempt, stripeSizeBytes: part.stripeSizeBytes, stripe: place.stripe,
            crossChecksum: crossChecksum, fragments: fragments, fills: true)
        let waiting = PositionSet(missing.keys.filter { first(of: $0) == place })
        step = .stage(place, whole, waiting: waiting, reminded: [])
        for server in waiting.sorted() { effects.append(.send(server, whole.request(of: key, to: server))) }
        nextIfStaged(into: &effects)
    }

    /// What the server is to be asked again; its channel is there again.
    mutating func connected(_ server: Position, into effects: inout [Effect]) {
        switch step {
        case .fetch(let place, var fetcher): drive(&fetcher, .connected(server), place, into: &effects)
        case .stage(_, let stripe, let waiting, _):
            if waiting.contains(server) { effects.append(.send(server, stripe.request(of: key, to: server))) }
        case .idle, .encode: break
        }
    }

    /// An interval is over.
    mutating func retransmit(into effects: inout [Effect]) {
        switch step {
        case .fetch(let place, var fetcher): drive(&fetcher, .retransmit, place, into: &effects)
        case .stage(let place, let stripe, let waiting, let reminded):
            step = .stage(place, stripe, waiting: waiting, reminded: waiting)
            for server in waiting.sorted() {
                if reminded.contains(server) {
                    giveUp(server, into: &effects)
                } else {
                    effects.append(.send(server, stripe.request(of: key, to: server)))
                }
            }
        case .idle, .encode: break
        }
    }

    // MARK: One stripe after the other

    private func first(of server: Position) -> Place? {
        missing[server]?.first.map { Place(part: Int($0.part), stripe: $0.stripes.lowerBound) }
    }

    /// The server has the first of what it lacked.
    private mutating func advance(_ server: Position) {
        guard var runs = missing[server], let run = runs.popFirst() else { return }
        brought[server, default: 0] += 1
        if run.stripes.count > 1 {
            let rest = MissingStripes(part: run.part, stripes: (run.stripes.lowerBound + 1)..<run.stripes.upperBound)
            runs = [rest] + runs
        }
        missing[server] = runs
    }

    private mutating func giveUp(_ server: Position, into effects: inout [Effect]) {
        givenUp.insert(server)
        missing[server] = nil
        effects.append(.givenUp(server))
        if case .stage(let place, let stripe, var waiting, let reminded) = step {
            waiting.remove(server)
            step = .stage(place, stripe, waiting: waiting, reminded: reminded)
        }
        nextIfStaged(into: &effects)
    }

    private mutating func nextIfStaged(into effects: inout [Effect]) {
        if case .stage(_, _, let waiting, _) = step, waiting.isEmpty { next(into: &effects) }
    }

    private mutating func next(into effects: inout [Effect]) {
        step = .idle
        guard let place = missing.keys.compactMap(first).min() else { return }
        let part = parts[place.part]
        var wanted = StripeToFetch(part: part, stripe: place.stripe)
        if let page, page.part == place.part, place.stripe >= page.page.first,
            place.stripe - page.page.first < UInt32(page.page.stripes.count)
        {
            let known = page.page.stripes[Int(place.stripe - page.page.first)]
            wanted = StripeToFetch(part: part, stripe: place.stripe, name: .known(known))
        }
        tag += 1
        var fetcher = StripeFetcher(
            parameters: parameters, key: key, timestamp: nil, wanted: wanted,
            preference: parameters.quorums.positions, tag: tag)
        drive(&fetcher, .start, place, into: &effects)
        // Some of those that are asked first may be those that lack it: all are asked.
        guard case .fetch(place, var started) = step else { return }
        drive(&started, .hedge, place, into: &effects)
    }

    private mutating func drive(
        _ fetcher: inout StripeFetcher, _ input: StripeFetcher.Input, _ place: Place, into effects: inout [Effect]
    ) {
        var asked: [StripeFetcher.Effect] = []
        fetcher.handle(input, into: &asked)
        step = .fetch(place, fetcher)
        for effect in asked {
            switch effect {
            case .send(let server, let request): effects.append(.send(server, request))
            case .verify(let server, let crossChecksum, let bytes):
                effects.append(.verify(server, index(of: place), crossChecksum, bytes))
            case .startHedge: break
            case .finish(.success(let outcome)):
                if let fetched = outcome.page { page = (place.part, fetched) }
                step = .encode(place, outcome.crossChecksum)
                effects.append(.encode(index(of: place), outcome.crossChecksum, outcome.fragments))
            case .finish(.failure): preconditionFailure("a fetcher fails at its deadline, of which it is not told")
            }
        }
        guard case .fetch = step, fetcher.isHopeless else { return }
        step = .idle
        for server in missing.keys.sorted() { giveUp(server, into: &effects) }
    }

    /// A number that no other stripe of the value has.
    private func index(of place: Place) -> StripeIndex {
        StripeIndex(parts[..<place.part].reduce(place.stripe) { $0 + $1.stripeCount })
    }
}
