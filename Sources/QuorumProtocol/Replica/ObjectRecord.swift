// What a server durably knows of one object: which version is committed, with its certificate, and which it holds.

import Fingerprint

/// A version whose descriptor (and, as `holdsFragments` says, whose fragments) are in the store.
package struct HeldVersion: Equatable, Sendable {
    package let timestamp: Timestamp
    /// Whether this server's fragments were stored with it; a version without stripes counts as held.
    package var holdsFragments: Bool
    /// Whether its descriptor names any stripes. What has none is sound.
    package let hasStripes: Bool
    /// What its descriptor says of it in listings; nil for a tombstone.
    package let head: ListedHead?
    /// Of the descriptor and the fragments that were stored.
    package let sizeBytes: UInt64
    /// When a higher version was committed, in milliseconds of the server's clock; nil while none is.
    package var supersededMilliseconds: UInt64?
    /// Whether it was the highest version here that is committed and sound, before a higher one was.
    package var wasCommitted: Bool

    package init(
        timestamp: Timestamp, holdsFragments: Bool, hasStripes: Bool = true, head: ListedHead? = nil,
        sizeBytes: UInt64 = 0, supersededMilliseconds: UInt64? = nil, wasCommitted: Bool = false
    ) {
        self.timestamp = timestamp
        self.holdsFragments = holdsFragments
        self.hasStripes = hasStripes
        self.head = head
        self.sizeBytes = sizeBytes
        self.supersededMilliseconds = supersededMilliseconds
        self.wasCommitted = wasCommitted
    }
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
    fileprivate func encode(into encoder: inout CanonicalEncoder) {
        certificate.encode(into: &encoder)
        encoder.append(claimed.certificateDigest)
    }

    fileprivate init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
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
    fileprivate final class Contents: @unchecked Sendable {
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

    private var contents: Contents

    package init() {
        contents = Self.nothing
    }

    private mutating func makeOwn() {
        if !isKnownUniquelyReferenced(&contents) { contents = Contents(copying: contents) }
    }

    /// What the server tells of it.
    package var claim: CommittedClaim { contents.claim }

    private mutating func set(
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
    var committedTimestamp: Timestamp? { claim.verified }

    /// The highest committed version, verified or not.
    package var highestCommitted: Timestamp? { claim.timestamp }

    package func isPoisonous(_ timestamp: Timestamp) -> Bool { poisonous.contains { $0.timestamp == timestamp } }
    func isUnverified(_ timestamp: Timestamp) -> Bool { unverified.contains { $0.timestamp == timestamp } }

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

    package func pending(of client: ClientID) -> [HeldVersion] {
        held.filter {
            $0.timestamp.writer == client && committedTimestamp.precedes($0.timestamp)
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
    private static let heldCountMax = 1 << 16

    /// The canonical bytes in which the store keeps the record.
    package var bytes: [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 1024)
        encoder.append(tag: "solidus.object.8")
        encoder.append(UInt8(committed == nil ? 0 : 1))
        committed?.encode(into: &encoder)
        encoder.append(UInt32(unverified.count))
        for version in unverified { version.encode(into: &encoder) }
        encoder.append(UInt32(poisonous.count))
        for version in poisonous { version.encode(into: &encoder) }
        encoder.append(UInt8(contents.condemned == nil ? 0 : 1))
        contents.condemned?.encode(into: &encoder)
        encoder.append(UInt8(verificationDueMilliseconds == nil ? 0 : 1))
        encoder.append(verificationDueMilliseconds ?? 0)
        encoder.append(UInt32(held.count))
        for version in held {
            encoder.append(version.timestamp)
            encoder.append(UInt8(version.holdsFragments ? 1 : 0))
            encoder.append(UInt8(version.hasStripes ? 1 : 0))
            encoder.append(UInt8(version.head == nil ? 0 : 1))
            version.head?.encode(into: &encoder)
            encoder.append(version.sizeBytes)
            encoder.append(UInt8(version.supersededMilliseconds == nil ? 0 : 1))
            encoder.append(version.supersededMilliseconds ?? 0)
            encoder.append(UInt8(version.wasCommitted ? 1 : 0))
        }
        encodeStaged(into: &encoder)
        return encoder.bytes
    }

    /// - Throws: when the store's bytes are no record; the disk may have changed them.
    package init(decoding bytes: [UInt8]) throws(MalformedEncoding) {
        contents = Contents()
        var decoder = CanonicalDecoder(bytes)
        try decoder.expect(tag: "solidus.object.8", "record format")
        let committed = try decoder.flag("committed") ? try CommittedVersion(from: &decoder) : nil
        let unverified = try decoder.committedVersions(above: committed?.timestamp, countMax: Self.heldCountMax)
        let poisonous = try decoder.poisonousVersions(above: committed?.timestamp, countMax: Self.heldCountMax)
        if try decoder.flag("condemned") {
            let condemned = try CommittedVersion(from: &decoder)
            guard poisonous.contains(where: { $0.timestamp == condemned.timestamp }) else {
                throw .notCanonical(field: "condemned version")
            }
            contents.condemned = condemned
        }
        set(committed, unverified: unverified, poisonous: poisonous)
        let isDue = try decoder.flag("verification due")
        let due: UInt64 = try decoder.integer("verification due at")
        guard isDue || due == 0 else { throw .notCanonical(field: "verification due at") }
        verificationDueMilliseconds = isDue ? due : nil
        let heldCount = try decoder.count("held versions", as: UInt32.self, limit: Self.heldCountMax)
        for _ in 0..<heldCount {
            let timestamp = try decoder.timestamp("held version")
            if let last = held.last, last.timestamp >= timestamp { throw .notCanonical(field: "held versions' order") }
            let holdsFragments = try decoder.flag("holds fragments")
            let hasStripes = try decoder.flag("has stripes")
            guard hasStripes || holdsFragments else { throw .notCanonical(field: "has stripes") }
            let head = try decoder.flag("head") ? try ListedHead(from: &decoder) : nil
            let sizeBytes: UInt64 = try decoder.integer("size")
            let isSuperseded = try decoder.flag("superseded")
            let milliseconds: UInt64 = try decoder.integer("superseded at")
            guard isSuperseded || milliseconds == 0 else { throw .notCanonical(field: "superseded at") }
            let wasCommitted = try decoder.flag("was committed")
            guard isSuperseded || !wasCommitted else { throw .notCanonical(field: "was committed") }
            held.append(
                HeldVersion(
                    timestamp: timestamp, holdsFragments: holdsFragments, hasStripes: hasStripes, head: head,
                    sizeBytes: sizeBytes, supersededMilliseconds: isSuperseded ? milliseconds : nil,
                    wasCommitted: wasCommitted))
        }
        try decodeStaged(from: &decoder, countMax: Self.heldCountMax)
        try decoder.finish()
    }
}

extension PoisonousVersion {
    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(timestamp)
        encoder.append(UInt8(statements.count))
        for statement in statements { statement.encode(into: &encoder) }
    }

    fileprivate init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        let timestamp = try decoder.timestamp("poisonous version")
        let statements = try decoder.statements()
        self.init(timestamp: timestamp, statements: statements)
    }
}

extension CanonicalDecoder {
    /// Ascending versions above the given one, with their certificates.
    fileprivate mutating func committedVersions(
        above lowest: Timestamp?, countMax: Int
    ) throws(MalformedEncoding) -> [CommittedVersion] {
        let count = try count("unverified versions", as: UInt32.self, limit: countMax)
        var versions: [CommittedVersion] = []
        for _ in 0..<count {
            let version = try CommittedVersion(from: &self)
            guard (versions.last?.timestamp ?? lowest).precedes(version.timestamp) else {
                throw .notCanonical(field: "unverified versions' order")
            }
            versions.append(version)
        }
        return versions
    }

    /// Ascending poisonous versions above the given one.
    package mutating func poisonousVersions(
        above lowest: Timestamp?, countMax: Int
    ) throws(MalformedEncoding) -> [PoisonousVersion] {
        let count = try count("poisonous versions", as: UInt32.self, limit: countMax)
        var versions: [PoisonousVersion] = []
        for _ in 0..<count {
            let version = try PoisonousVersion(from: &self)
            guard (versions.last?.timestamp ?? lowest).precedes(version.timestamp) else {
                throw .notCanonical(field: "poisonous versions' order")
            }
            versions.append(version)
        }
        return versions
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
            if !held[position].holdsFragments, committed.precedes(timestamp),
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
            for holder in attempt.holders {
                guard let version = held.first(where: { $0.timestamp == holder.timestamp }), version.holdsFragments
                else {
                    return "\(attempt.name) is held by \(holder.timestamp), which is not here"
                }
                if !attempt.stripes.covers(upTo: holder.stripeCount) { return "\(attempt.name) lacks held stripes" }
            }
        }
        return nil
    }
}
