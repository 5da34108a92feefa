// Finding out whether a large version is sound in the modes that verify later, without I/O (docs/protocol.md, Modes that
// verify later, Large values). Its stripes are fetched one after the other, each from m servers, and what they decode to
// is encoded anew. None is kept. The first poisonous one decides.

import ErasureCode
import Fingerprint

/// A stripe with the fragments that were found of it.
package struct GatheredStripe: Sendable {
    package let crossChecksum: CrossChecksum
    /// m good ones.
    package let fragments: [VerifiedFragment]
    /// Which stripe it is of all that one operation looks at one by one; 0 among those of a whole version.
    package let number: UInt64

    package init(crossChecksum: CrossChecksum, fragments: [VerifiedFragment], number: UInt64 = 0) {
        self.crossChecksum = crossChecksum
        self.fragments = fragments
        self.number = number
    }

    /// Whether what the fragments decode to encodes to all the hashes: pure work for the shell. If one choice of m
    /// fragments does, every other does too (docs/protocol.md, Verification modes).
    package var isSound: Bool {
        guard let block = try? crossChecksum.decode(fragments) else { return false }
        return crossChecksum.matchesEncoding(of: block)
    }
}

/// Which of one version's stripes are still to be looked at.
struct StripesCheck: Sendable {
    enum Effect {
        case send(Position, Request)
        case verify(Position, StripeIndex, CrossChecksum, SharedBytes)
        /// Answered by `judged`, and by `goOn` as long as it is sound.
        case check(GatheredStripe)
        case startHedge
        /// The server has not the stripe any more, never had it, or sent something else; once between retransmissions.
        case lacks(Position)
    }

    /// Tells its answers from those to others who fetch for the same operation.
    private static let tagBit = UInt64(1) << 63

    private let parameters: ClusterParameters
    private let key: ObjectKey
    private let pin: Timestamp?
    private var preference: [Position]
    private let tag: UInt64
    private var left: ArraySlice<StripeToFetch>
    private var fetcher: StripeFetcher?
    /// The stripe whose verdict is waited for.
    private var gathered: GatheredStripe?

    /// - Parameters:
    ///   - pin: the version, when it is to be kept meanwhile.
    ///   - preference: all positions, those first that are asked in the common case.
    ///   - number: another one for each check of an operation.
    ///   - verdicts: what is known of stripes that other versions name, too. Poisonous ones are looked at first, and
    ///     sound ones not again.
    init(
        _ staged: StagedContents, of key: ObjectKey, pin: Timestamp?, preference: [Position], number: Int,
        verdicts: [CrossChecksum: Bool] = [:], parameters: ClusterParameters
    ) {
        self.parameters = parameters
        self.key = key
        self.pin = pin
        self.preference = preference
        tag = Self.tagBit | UInt64(number) << 32
        let stripes = staged.parts.flatMap { part in
            part.named.indices.map { (part.named[$0], StripeToFetch(part: part, stripe: UInt32($0))) }
        }
        left =
            ([false, nil] as [Bool?]).flatMap { verdict in
                stripes.filter { verdicts[$0.0] == verdict }.map(\.1)
            }[...]
    }

    /// Whether a check has asked for what is answered.
    static func hasAsked(for parts: FetchedParts) -> Bool { parts.tag & tagBit != 0 }

    /// The place of the stripe that is looked at.
    private var index: Int { left.startIndex }

    /// How many good fragments there are of the stripe that is looked at.
    var goodCount: Int { fetcher?.goodCount ?? parameters.quorums.dataFragmentCount }
    /// Whether a stripe is waited for although everybody was asked.
    var isStarving: Bool { fetcher?.isStarving ?? false }
    /// Whether fewer than m servers can have it.
    var isHopeless: Bool { fetcher?.isHopeless ?? false }

    /// Begins with the next stripe. Whether there is one.
    mutating func start(into effects: inout [Effect]) -> Bool {
        guard let wanted = left.first else { return false }
        fetcher = StripeFetcher(
            parameters: parameters, key: key, timestamp: pin, wanted: wanted, preference: preference,
            tag: tag + UInt64(index))
        handle(.start, into: &effects)
        return true
    }

    mutating func take(_ reply: Reply, of server: Position, into effects: inout [Effect]) {
        handle(.reply(server, reply), into: &effects)
    }

    mutating func verified(
        _ result: Result<VerifiedFragment, FragmentVerificationError>, of server: Position, _ stripe: StripeIndex,
        into effects: inout [Effect]
    ) {
        guard stripe.offset == index else { return }
        handle(.verified(server, result), into: &effects)
    }

    /// What is known now of the stripe that was gathered, if it is this one.
    mutating func judged(_ number: UInt64) -> CrossChecksum? {
        guard let gathered, gathered.number == number else { return nil }
        self.gathered = nil
        return gathered.crossChecksum
    }

    /// The stripe that was gathered is sound. Whether it was the last one.
    mutating func goOn(into effects: inout [Effect]) -> Bool {
        left.removeFirst()
        return isPlanted(.firstStripeChecked) || !start(into: &effects)
    }

    /// Hedge, retransmission, and a channel that is there again.
    mutating func handle(_ input: StripeFetcher.Input, into effects: inout [Effect]) {
        guard var running = fetcher else { return }
        let before = running.lacking
        var asked: [StripeFetcher.Effect] = []
        running.handle(input, into: &asked)
        fetcher = running
        for server in running.lacking.subtracting(before).sorted() { effects.append(.lacks(server)) }
        for effect in asked {
            switch effect {
            case .send(let server, let request): effects.append(.send(server, request))
            case .verify(let server, let crossChecksum, let bytes):
                effects.append(.verify(server, StripeIndex(UInt32(index)), crossChecksum, bytes))
            case .startHedge: effects.append(.startHedge)
            case .finish(.success(let outcome)):
                fetcher = nil
                // Who was too slow, or had nothing good, is asked last for the next one.
                let slow = PositionSet(outcome.observations.slow.compactMap(running.placement.position))
                let last = preference.filter { slow.contains($0) || running.lacking.contains($0) }
                preference = preference.filter { !last.contains($0) } + last
                let whole = GatheredStripe(
                    crossChecksum: outcome.crossChecksum, fragments: outcome.fragments, number: tag + UInt64(index))
                gathered = whole
                effects.append(.check(whole))
            case .finish(.failure): preconditionFailure("a fetcher fails at its deadline, of which it is not told")
            }
        }
    }
}
