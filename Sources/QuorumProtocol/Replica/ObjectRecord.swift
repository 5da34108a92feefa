// What a server durably knows of one object: which version is committed, with its certificate, and which it holds.

import Fingerprint

/// What a server has of its fragments of a version. The numbers are part of the record's format.
package enum HeldFragments: UInt8, Sendable {
    /// They never came.
    case absent = 0
    case held = 1
    /// They were held, or the version's stripes are being brought here (docs/protocol.md, Repair).
    case lost = 2
    /// There are no good ones for this server's position: the writer lied.
    case void = 3
}

/// How a server comes by its fragments of a version. The numbers are part of the record's format.
package enum FragmentDelivery: UInt8, Sendable {
    /// There are none.
    case none = 0
    /// With PREPARE, each server its own.
    case prepared = 1
    /// Staged under names of their own.
    case staged = 2
    /// With PREPARE, and not to the servers at the last f positions.
    case leavingSpares = 3

    init(_ descriptor: Descriptor) {
        self =
            descriptor.staged != nil
            ? .staged : !descriptor.hasStripes ? .none : descriptor.leavesSpares ? .leavingSpares : .prepared
    }
}

/// A version whose descriptor is in the store, and as `fragments` says, its fragments.
package struct HeldVersion: Equatable, Sendable {
    package let timestamp: Timestamp
    /// A version without stripes counts as held.
    package var fragments: HeldFragments
    package let delivery: FragmentDelivery
    /// What its descriptor says of it in listings; nil for a tombstone.
    package let head: ListedHead?
    /// Of the descriptor and the fragments that were stored.
    package let sizeBytes: UInt64
    /// When a higher version was committed, in milliseconds of the server's clock; nil while none is.
    package var supersededMilliseconds: UInt64?
    /// Whether it was the highest version here that is committed and sound, before a higher one was.
    package var wasCommitted: Bool

    package init(
        timestamp: Timestamp, fragments: HeldFragments, delivery: FragmentDelivery = .prepared,
        head: ListedHead? = nil, sizeBytes: UInt64 = 0, supersededMilliseconds: UInt64? = nil,
        wasCommitted: Bool = false
    ) {
        self.timestamp = timestamp
        self.fragments = fragments
        self.delivery = delivery
        self.head = head
        self.sizeBytes = sizeBytes
        self.supersededMilliseconds = supersededMilliseconds
        self.wasCommitted = wasCommitted
    }

    /// Of a version with this descriptor, of which so many bytes are stored.
    init(_ timestamp: Timestamp, _ descriptor: SealedDescriptor, _ fragments: HeldFragments, sizeBytes: UInt64) {
        self.init(
            timestamp: timestamp, fragments: fragments, delivery: FragmentDelivery(descriptor.descriptor),
            head: descriptor.descriptor.listedHead, sizeBytes: sizeBytes)
    }

    /// Whether its descriptor names any stripes. What has none is sound.
    package var hasStripes: Bool { delivery != .none }
    package var isStaged: Bool { delivery == .staged }

    /// Whether this server's fragments are stored with it, all of them.
    package var holdsFragments: Bool { fragments == .held }
}

/// A version that a server has committed, and the certificate by which it has.
package struct CommittedVersion: Equatable, Sendable {
    package let certificate: Certificate
    /// In the form in which claims name it.
    package let claimed: ClaimedVersion

    package init(_ certificate: Certificate) {
        self.certificate = certificate
        claimed = ClaimedVersion(certificate)
    }

    /// Kept with its digest: every read tells that, and few ever ask for the certificate.
    func encode(into encoder: inout CanonicalEncoder) {
        certificate.encode(into: &encoder)
        encoder.append(claimed.certificateDigest)
    }

    init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        certificate = try Certificate(from: &decoder)
        claimed = ClaimedVersion(
            certificate.timestamp, certificateDigest: try decoder.digest("certificate's digest"))
    }

    package var timestamp: Timestamp { certificate.timestamp }

    package static func == (left: CommittedVersion, right: CommittedVersion) -> Bool { left.claimed == right.claimed }
}

/// The durable state of one object at one server.
///
/// A held version is *retained* when its timestamp is below the committed one and *current* when equal; above, it is
/// *pending* unless it is named as unverified or poisonous. Its role follows from the order and the lists, so that no
/// flag can contradict them.
///
/// A record passes through many hands, and few of them change it: a copy is one reference, and the first change of a
/// record that others hold, too, makes a new one.
package struct ObjectRecord: Equatable, Sendable {
    /// Changed by nobody but the only record that refers to it.
    final class Contents: @unchecked Sendable {
        var committed: CommittedVersion?
        var unverified: [CommittedVersion] = []
        /// The highest poisonous version that was committed here: its certificate justifies what was prepared above it,
        /// or above a lower one.
        var condemned: CommittedVersion?
        /// In the form in which every answer carries it: of the versions above, and the poisonous ones.
        var claim: CommittedClaim
        var verificationDueMilliseconds: UInt64?
        var held: [HeldVersion]
        var staged: [StagedAttempt] = []

        init() {
            claim = CommittedClaim(sound: nil)
            held = []
        }

        init(copying other: Contents) {
            committed = other.committed
            unverified = other.unverified
            condemned = other.condemned
            claim = other.claim
            verificationDueMilliseconds = other.verificationDueMilliseconds
            held = other.held
            staged = other.staged
        }

        func equals(_ other: Contents) -> Bool {
            held == other.held && condemned == other.condemned
                && verificationDueMilliseconds == other.verificationDueMilliseconds
                && claim == other.claim && staged == other.staged
        }
    }

    /// What every record begins with. It is held here, too, so no record is ever the only one that refers to it.
    private static let nothing = Contents()

    var contents: Contents

    package init() {
        contents = Self.nothing
    }

    private mutating func makeOwn() {
        if !isKnownUniquelyReferenced(&contents) { contents = Contents(copying: contents) }
    }

    /// What the server tells of it.
    package var claim: CommittedClaim { contents.claim }

    mutating func set(
        _ committed: CommittedVersion?, unverified: [CommittedVersion], poisonous: [PoisonousVersion]
    ) {
        makeOwn()
        if !poisonous.isEmpty || contents.condemned != nil {
            let known = contents.unverified + (contents.condemned.map { [$0] } ?? [])
            contents.condemned = known.filter { version in
                poisonous.contains { $0.timestamp == version.timestamp } && !isPlanted(.condemnedForgotten)
            }.max { $0.timestamp < $1.timestamp }
        }
        contents.committed = committed
        contents.unverified = unverified
        contents.claim = CommittedClaim(
            sound: committed?.claimed, unverified: unverified.map(\.claimed), poisonous: poisonous)
    }

    /// The highest version known to be committed and sound, as its certificate proves; in the modes that verify at
    /// PREPARE every committed version is sound.
    package var committed: CommittedVersion? {
        get { contents.committed }
        set { set(newValue, unverified: unverified, poisonous: poisonous) }
    }

    /// In the modes that verify later: what is committed above it, in ascending order.
    package var unverified: [CommittedVersion] {
        get { contents.unverified }
        set { set(committed, unverified: newValue, poisonous: poisonous) }
    }

    /// What is above it and poisonous, in ascending order, with the statements collected so far: this server's own once
    /// it is signed, and others' as they come.
    package var poisonous: [PoisonousVersion] {
        get { claim.poisonous }
        set { set(committed, unverified: unverified, poisonous: newValue) }
    }

    /// Whether something below a version takes space that nothing has superseded yet: a value held here, or one
    /// committed of which only others have more than the certificate.
    func mayHoldValue(below timestamp: Timestamp) -> Bool {
        if held.contains(where: { $0.timestamp < timestamp && $0.hasStripes && $0.supersededMilliseconds == nil }) {
            return true
        }
        guard let committed = highestCommitted, committed < timestamp else { return false }
        return version(committed) == nil
    }

    /// The certificate of a version that is committed here takes the place of one that counts no more.
    mutating func replaceFenced(by certificate: Certificate, _ fences: Fences) {
        let timestamp = certificate.timestamp
        if let committed, committed.timestamp == timestamp {
            if fences.fencedServer(in: committed.certificate) != nil { self.committed = CommittedVersion(certificate) }
        } else if let place = unverified.firstIndex(where: { $0.timestamp == timestamp }),
            fences.fencedServer(in: unverified[place].certificate) != nil
        {
            unverified[place] = CommittedVersion(certificate)
        }
    }

    /// The certificate that answers FETCH-CERTIFICATE: of this version or, if it is not named as committed any more, of
    /// the highest one that is or has been and turned out to be poisonous.
    func certificate(of timestamp: Timestamp) -> Certificate? {
        let named =
            committed?.timestamp == timestamp ? committed : unverified.first { $0.timestamp == timestamp }
        if let named { return named.certificate }
        let all = [committed, unverified.last, contents.condemned].compactMap { $0 }
        return all.max { $0.timestamp < $1.timestamp }?.certificate
    }

    /// When, in milliseconds of the server's clock, there is next something to find out about the versions above the
    /// committed one; nil when all is known.
    package var verificationDueMilliseconds: UInt64? {
        get { contents.verificationDueMilliseconds }
        set {
            makeOwn()
            contents.verificationDueMilliseconds = newValue
        }
    }

    /// In ascending order of timestamps.
    package var held: [HeldVersion] {
        _read { yield contents.held }
        _modify {
            makeOwn()
            yield &contents.held
        }
    }

    /// In ascending order of their names.
    package var staged: [StagedAttempt] {
        _read { yield contents.staged }
        _modify {
            makeOwn()
            yield &contents.staged
        }
    }

    package static func == (left: ObjectRecord, right: ObjectRecord) -> Bool {
        left.contents === right.contents || left.contents.equals(right.contents)
    }

    /// The version of `committed`.
    package var committedTimestamp: Timestamp? { claim.verified }

    /// The highest committed version, verified or not.
    package var highestCommitted: Timestamp? { claim.timestamp }

    package func isPoisonous(_ timestamp: Timestamp) -> Bool { poisonous.contains { $0.timestamp == timestamp } }
    func isUnverified(_ timestamp: Timestamp) -> Bool { unverified.contains { $0.timestamp == timestamp } }

    /// Whether this version or a higher one was committed here. One that is poisonous was.
    package func hasReached(_ timestamp: Timestamp) -> Bool {
        [highestCommitted, poisonous.last?.timestamp].contains { $0.map { $0 >= timestamp } ?? false }
    }

    /// Whether this version was committed here, or a higher one that is sound. A higher one that may be poisonous says
    /// nothing of those below it.
    package func hasTaken(_ timestamp: Timestamp) -> Bool {
        !committedTimestamp.precedes(timestamp) || isUnverified(timestamp) || isPoisonous(timestamp)
    }

    /// What a listing tells of the object; nil when it does not exist as far as this server knows.
    package var live: LiveVersion? {
        guard let timestamp = highestCommitted else { return nil }
        let isSound = timestamp == committedTimestamp
        guard let version = version(timestamp) else {
            return LiveVersion(timestamp: timestamp, isSound: isSound, head: nil)
        }
        return version.head.map { LiveVersion(timestamp: timestamp, isSound: isSound, head: $0) }
    }

    /// How listings change when this record becomes `next`.
    func liveChange(becoming next: ObjectRecord) -> LiveChange {
        let live = next.live
        if live == self.live { return .keep }
        return live.map { .set($0) } ?? .clear
    }

    /// Whether the version is committed here and its descriptor is missing.
    func lacksDescriptor(of timestamp: Timestamp) -> Bool {
        (timestamp == committedTimestamp || isUnverified(timestamp)) && version(timestamp) == nil
    }

    package func version(_ timestamp: Timestamp) -> HeldVersion? {
        held.first { $0.timestamp == timestamp }
    }

    /// What of a client's is pending here and held: what is lost is in nobody's way, and nothing is signed on it.
    package func pending(of client: ClientID) -> [HeldVersion] {
        held.filter {
            $0.timestamp.writer == client && $0.holdsFragments && committedTimestamp.precedes($0.timestamp)
                && !isUnverified($0.timestamp) && !isPoisonous($0.timestamp)
        }
    }

    /// How many versions of the client were committed and are not known to be sound, or are poisonous.
    func unsoundCount(of client: ClientID) -> Int {
        unverified.count { $0.timestamp.writer == client } + poisonous.count { $0.timestamp.writer == client }
    }

    /// The oldest first.
    package var retained: ArraySlice<HeldVersion> {
        guard let committed = committedTimestamp else { return [] }
        return held.prefix { $0.timestamp < committed }
    }

    mutating func hold(_ version: HeldVersion) {
        held.removeAll { $0.timestamp == version.timestamp }
        let position = held.firstIndex { $0.timestamp > version.timestamp } ?? held.endIndex
        held.insert(version, at: position)
    }

    /// When the server next has to look at the object: to drop a retained version, or to verify.
    package func nextDueMilliseconds(_ parameters: ClusterParameters) -> UInt64? {
        var expiry: UInt64?
        for version in held {
            guard let superseded = version.supersededMilliseconds else { continue }
            expiry = min(expiry ?? .max, superseded)
        }
        expiry = expiry.map { $0 &+ parameters.limits.retentionMilliseconds }
        for (_, due) in unheldAttempts(parameters.limits) { expiry = min(expiry ?? .max, due) }
        let verification = parameters.mode == .lazy ? verificationDueMilliseconds : nil
        guard let expiry, let verification else { return expiry ?? verification }
        return min(expiry, verification)
    }
}

// MARK: - Versions that wait to be verified

extension ObjectRecord {
    /// Whether so many versions wait to be verified that a limit is near: then they are verified before it is reached.
    func isCrowded(_ parameters: ClusterParameters) -> Bool {
        let limits = parameters.limits
        guard 2 * unverified.count < parameters.unverifiedVersionsMax else { return !unverified.isEmpty }
        guard 2 * unverified.count >= limits.unverifiedVersionsPerClientMax else { return false }
        return Dictionary(grouping: unverified, by: \.timestamp.writer).values
            .contains { 2 * $0.count >= limits.unverifiedVersionsPerClientMax }
    }

    mutating func add(unverified certificate: Certificate) {
        let position = unverified.firstIndex { $0.timestamp > certificate.timestamp } ?? unverified.endIndex
        unverified.insert(CommittedVersion(certificate), at: position)
    }

    /// The certified version is sound; what is below it no longer waits, poisonous or not.
    mutating func settle(_ certificate: Certificate) {
        set(
            CommittedVersion(certificate), unverified: unverified.filter { $0.timestamp > certificate.timestamp },
            poisonous: poisonous.filter { $0.timestamp > certificate.timestamp })
    }

    /// The version is no longer among the committed ones; statements that say so are added to those there are.
    /// More than `countMax` are not kept: so many prove it.
    mutating func markPoisonous(
        _ timestamp: Timestamp, statements: [SignedStatement] = [], countMax: Int = 0
    ) {
        let known = poisonous.first { $0.timestamp == timestamp }?.statements ?? []
        let added = statements.filter { new in !known.contains { $0.node == new.node } }
        var versions = poisonous.filter { $0.timestamp != timestamp }
        let position = versions.firstIndex { $0.timestamp > timestamp } ?? versions.endIndex
        versions.insert(
            PoisonousVersion(
                timestamp: timestamp, statements: Array((known + added).prefix(max(known.count, countMax)))),
            at: position)
        set(committed, unverified: unverified.filter { $0.timestamp != timestamp }, poisonous: versions)
    }

    func hasStatement(of node: NodeID, on timestamp: Timestamp) -> Bool {
        poisonous.contains { $0.timestamp == timestamp && $0.statements.contains { $0.node == node } }
    }

    func isProvenPoisonous(_ timestamp: Timestamp, vouchers: Int) -> Bool {
        poisonous.contains { $0.timestamp == timestamp && $0.statements.count >= vouchers }
    }
}

extension ObjectRecord {
    /// Which of the record's invariants is broken, or nil. Looked at after each input of a million runs: nothing is
    /// copied.
    package var brokenInvariant: String? { contents.brokenInvariant }
}

extension ObjectRecord.Contents {
    fileprivate var brokenInvariant: String? {
        let committed = claim.verified
        for position in claim.unverified.indices {
            let isHigher =
                position == 0
                ? committed.precedes(claim.unverified[0].timestamp)
                : claim.unverified[position - 1].timestamp < claim.unverified[position].timestamp
            if !isHigher { return "unverified versions are not in ascending order above the committed one" }
        }
        for version in claim.poisonous
        where !committed.precedes(version.timestamp)
            || claim.unverified.contains(where: { $0.timestamp == version.timestamp })
        {
            return "a poisonous version is committed"
        }
        if verificationDueMilliseconds == nil, !claim.unverified.isEmpty {
            return "unverified versions wait for nothing"
        }
        for position in held.indices {
            if position > 0, held[position - 1].timestamp >= held[position].timestamp {
                return "held versions are not in ascending order"
            }
            let timestamp = held[position].timestamp
            if held[position].fragments != .held, held[position].fragments != .lost, committed.precedes(timestamp),
                !claim.unverified.contains(where: { $0.timestamp == timestamp }),
                !claim.poisonous.contains(where: { $0.timestamp == timestamp })
            {
                return "version \(timestamp) is pending without its fragments"
            }
            let isSuperseded = timestamp.precedes(committed)
            if isSuperseded != (held[position].supersededMilliseconds != nil) {
                return "version \(held[position].timestamp) is marked superseded exactly when it is not"
            }
        }
        for attempt in staged {
            let isGoing = attempt.holders.isEmpty && attempt.isOver
            if attempt.lost.end > attempt.heldCount, !isGoing { return "\(attempt.name) lost unheld stripes" }
            for holder in attempt.holders {
                guard let version = held.first(where: { $0.timestamp == holder.timestamp }), version.isStaged else {
                    return "\(attempt.name) is held by \(holder.timestamp), which is not here"
                }
                if !attempt.stripes.covers(upTo: holder.stripeCount) { return "\(attempt.name) lacks held stripes" }
                if attempt.lost.hasAny(below: holder.stripeCount), version.fragments == .held,
                    !isPlanted(.firstStripeRepaired)
                {
                    return "\(holder.timestamp) has lost stripes of \(attempt.name) and does not say so"
                }
                if version.fragments == .absent { return "\(holder.timestamp) holds stripes and does not say so" }
            }
        }
        return nil
    }
}
