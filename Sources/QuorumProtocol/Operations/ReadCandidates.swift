// What a reader knows of the versions that are, or may yet turn out to be, its answer.

import Fingerprint

/// What is known of one version.
struct ReadCandidate: Sendable {
    enum Encoding: Sendable {
        case unchecked
        case checking
        case sound
    }

    /// One server's fragments.
    struct Fragments: Sendable {
        /// The verified ones, by stripe.
        fileprivate var good: [VerifiedFragment?]
        fileprivate var missingCount: Int

        fileprivate func fragment(of stripe: Int) -> VerifiedFragment? {
            good.indices.contains(stripe) ? good[stripe] : nil
        }
    }

    var descriptor: SealedDescriptor?
    /// By server; nil: it has sent none, or bad ones.
    private var fragments: [Fragments?]
    /// Servers whose fragments are being verified.
    var verifying: PositionSet = []
    /// Servers that were asked for this version, and those of them that answered without anything good.
    var asked: PositionSet = []
    var failed: PositionSet = []
    var encoding = Encoding.unchecked
    /// A large version's stripes, while they are looked at.
    var stripes: StripesCheck?
    /// Statements that it is poisonous: those looked at, by who handed them out, and the good ones of each signer.
    var examined: [Position: PositionSet] = [:]
    var poisonStatements: [Position: VerifiedStatement] = [:]

    init(positions: [Position]) {
        fragments = positions.map { _ in nil }
    }

    func hasFragments(of server: Position) -> Bool { fragments[server.offset] != nil }

    /// The server's fragment of the stripe, once it is verified.
    func fragment(of stripe: Int, from server: Position) -> VerifiedFragment? {
        fragments[server.offset]?.fragment(of: stripe)
    }

    /// How many good fragments there are of the stripe.
    func goodCount(of stripe: Int) -> Int {
        var count = 0
        for position in fragments.indices where fragments[position]?.fragment(of: stripe) != nil { count += 1 }
        return count
    }

    /// How many servers have sent a good fragment of some stripe.
    var sourceCount: Int { fragments.count { $0.map { $0.missingCount < $0.good.count } ?? false } }

    /// The server has sent fragments, which are being verified.
    mutating func expectFragments(of server: Position, stripeCount: Int) {
        verifying.insert(server)
        fragments[server.offset] = Fragments(
            good: (0..<stripeCount).map { _ in nil }, missingCount: stripeCount)
    }

    mutating func add(_ fragment: VerifiedFragment, of stripe: Int, from server: Position) {
        guard var added = fragments[server.offset].take() else { return }
        defer { fragments[server.offset] = added }
        guard added.good.indices.contains(stripe) else { return }
        if added.good[stripe] == nil { added.missingCount -= 1 }
        added.good[stripe] = fragment
        if added.missingCount == 0 { verifying.remove(server) }
    }

    /// The server's fragments are of no use.
    mutating func reject(_ server: Position) {
        verifying.remove(server)
        fragments[server.offset] = nil
        failed.insert(server)
    }
}

/// The candidates, which are few, in the order of their timestamps; changed where they lie.
struct ReadCandidates: Sendable {
    typealias Place = Int

    private(set) var timestamps: [Timestamp] = []
    var at: [ReadCandidate] = []
    private let positions: [Position]

    init(positions: [Position]) {
        self.positions = positions
    }

    /// The version's place until another one is added or removed; nil when nothing is known of it.
    func place(of timestamp: Timestamp) -> Place? {
        for position in timestamps.indices where timestamps[position] == timestamp { return position }
        return nil
    }

    /// The version's place, made if it has none.
    mutating func placeMade(for timestamp: Timestamp) -> Place {
        if let known = place(of: timestamp) { return known }
        let place = timestamps.firstIndex { timestamp < $0 } ?? timestamps.endIndex
        timestamps.insert(timestamp, at: place)
        at.insert(ReadCandidate(positions: positions), at: place)
        return place
    }

    mutating func remove(_ timestamp: Timestamp) {
        guard let place = place(of: timestamp) else { return }
        timestamps.remove(at: place)
        at.remove(at: place)
    }

    func descriptor(of timestamp: Timestamp) -> SealedDescriptor? { place(of: timestamp).flatMap { at[$0].descriptor } }
}
