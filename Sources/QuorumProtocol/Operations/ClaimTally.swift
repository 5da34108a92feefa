// Which committed version do the servers prove? Used by writer and reader alike.
//
// A claim is what one server says is the object's committed version; in the modes that verify later, every one from the
// highest verified version up. A version is *valid* when its certificate was verified or when f + 1 servers name its
// timestamp (one of them is correct, and has verified it). V is the highest valid version that is not known to be
// poisonous. A server's reply counts towards q only when it claims nothing above V (docs/protocol.md, Claims).
//
// Claims come without certificates. These are asked for when too few replies count, or when somebody else has to be
// convinced. A server that shows no certificate of what it names, or one that proves nothing, is thrown out.

import Fingerprint

/// The claims of the servers on one object.
struct ClaimTally: Sendable {
    private let quorums: QuorumConfiguration
    private var claims: [CommittedClaim?]
    private var proven: [Timestamp: VerifiedCertificate] = [:]
    /// Versions that f + 1 servers have named. They stay valid when one of these names something higher, or is exposed.
    private var vouchedFor: Set<Timestamp> = []
    /// Versions of which a certificate is being verified, with those that others have shown meanwhile.
    private var verifying: [Timestamp: [(server: Position, certificate: Certificate)]] = [:]
    /// Certificates that are genuine and count no more, since one of their servers has lost its memory.
    private var fenced: [Timestamp: Certificate] = [:]
    /// What each server was last asked to prove.
    private var askedFor: [Timestamp?]
    /// Servers that are not to be asked for another certificate yet: their answer is awaited, or it was neither what
    /// they were asked for nor anything new, so that asking again at once might go on for ever.
    private var asked: PositionSet = []
    private var awaited: PositionSet = []
    private var isAskingAgain = false
    /// Servers that could not prove what they claim. One that makes higher claims faster than they are disproven would
    /// keep the tally from ever standing still.
    private var exposed: PositionSet = []
    /// Versions that are committed and poisonous.
    private var excluded: Set<Timestamp> = []

    init(quorums: QuorumConfiguration) {
        self.quorums = quorums
        claims = quorums.positions.map { _ in nil }
        askedFor = quorums.positions.map { _ in nil }
    }

    /// Takes a server's claim; a correct server's never go down, so a lower one than it made before is ignored.
    mutating func record(_ claim: CommittedClaim, of server: Position) {
        guard !exposed.contains(server) else { return }
        if let earlier = claims[server.offset],
            claim.verified.precedes(earlier.verified) || claim.highest.precedes(earlier.highest)
        {
            return
        }
        claims[server.offset] = claim
    }

    /// What the server has named it may know nothing of any more.
    mutating func forget(_ server: Position) {
        claims[server.offset] = nil
        forgetAsked(of: server)
        awaited.remove(server)
    }

    func hasClaim(of server: Position) -> Bool { claims[server.offset] != nil }

    /// The servers that name `timestamp` as committed.
    func namers(of timestamp: Timestamp?) -> [Position] {
        quorums.positions.filter { claims[$0.offset]?.names(timestamp) ?? false }
    }

    /// Whether the server names `timestamp` as committed.
    func names(_ timestamp: Timestamp, by server: Position) -> Bool {
        claims[server.offset]?.names(timestamp) ?? false
    }

    /// How many servers vouch for the version as the highest sound one.
    func verifierCount(of timestamp: Timestamp) -> Int {
        claims.count { $0?.verified == timestamp }
    }

    private mutating func isValid(_ timestamp: Timestamp) -> Bool {
        if proven[timestamp] != nil || vouchedFor.contains(timestamp) || isPlanted(.anyClaimBelieved) { return true }
        guard namerCount(of: timestamp) >= quorums.vouchers else { return false }
        vouchedFor.insert(timestamp)
        return true
    }

    private func namerCount(of timestamp: Timestamp) -> Int {
        var count = 0
        for position in claims.indices where claims[position]?.names(timestamp) ?? false { count += 1 }
        return count
    }

    /// Passes the version over from now on: it is poisonous.
    mutating func exclude(_ timestamp: Timestamp) { excluded.insert(timestamp) }

    func isExcluded(_ timestamp: Timestamp) -> Bool { excluded.contains(timestamp) }

    /// Whether the server calls the version poisonous.
    func callsPoisonous(_ timestamp: Timestamp, by server: Position) -> Bool {
        claims[server.offset]?.poisonous.contains { $0.timestamp == timestamp } ?? false
    }

    /// The versions above this one that servers call poisonous, in ascending order.
    func poisonousVersions(above timestamp: Timestamp?) -> [Timestamp] {
        let named = claims.flatMap { $0?.poisonous.map(\.timestamp) ?? [] }
        return Set(named.filter { timestamp.precedes($0) }).sorted()
    }

    /// What each server hands out to prove that the version is poisonous.
    func poisonStatements(on timestamp: Timestamp) -> [(source: Position, statement: SignedStatement)] {
        quorums.positions.flatMap { server in
            let version = claims[server.offset]?.poisonous.first { $0.timestamp == timestamp }
            return (version?.statements ?? []).map { (source: server, statement: $0) }
        }
    }

    /// Where the tally stands.
    struct Standing: Equatable {
        /// V, the highest valid version; nil: none was ever committed.
        let highest: Timestamp?
        /// How many servers have answered, and how many of them name nothing above V.
        let answerCount: Int
        let countedReplies: Int
        /// Those of them that do.
        let doubted: PositionSet
    }

    mutating func standing() -> Standing {
        var highest: Timestamp?
        for timestamp in vouchedFor { raise(&highest, to: timestamp) }
        for timestamp in proven.keys { raise(&highest, to: timestamp) }
        for position in claims.indices {
            guard let claim = claims[position] else { continue }
            // From the top: what a server names below a valid version does not matter.
            for version in claim.unverified.reversed() where highest.precedes(version.timestamp) {
                raise(&highest, to: version.timestamp)
            }
            if let sound = claim.sound { raise(&highest, to: sound.timestamp) }
        }
        var (answerCount, countedReplies) = (0, 0)
        var doubted: PositionSet = []
        for position in quorums.positions {
            guard let claim = claims[position.offset] else { continue }
            answerCount += 1
            if let named = claim.highest(except: excluded), highest.precedes(named), !isPlanted(.unprovenCounted) {
                doubted.insert(position)
            } else {
                countedReplies += 1
            }
        }
        return Standing(
            highest: highest, answerCount: answerCount, countedReplies: countedReplies, doubted: doubted)
    }

    /// Whether every server has answered, or cannot answer any more.
    var isComplete: Bool { quorums.positions.allSatisfy { hasClaim(of: $0) || exposed.contains($0) } }

    private mutating func raise(_ highest: inout Timestamp?, to timestamp: Timestamp) {
        if highest.precedes(timestamp), !excluded.contains(timestamp), isValid(timestamp) { highest = timestamp }
    }

    // MARK: Certificates

    /// Takes a certificate that was verified before.
    mutating func prove(_ certificate: VerifiedCertificate) { proven[certificate.timestamp] = certificate }

    /// A verified certificate of a version, if there is one yet.
    func certificate(of timestamp: Timestamp) -> VerifiedCertificate? { proven[timestamp] }

    /// The verified certificate of the lowest version that is not below this one.
    func certificate(atOrAbove timestamp: Timestamp) -> VerifiedCertificate? {
        // The lowest: one above what is written would have its server call that superseded, and keep no fragment.
        proven.filter { $0.key >= timestamp }.min { $0.key < $1.key }?.value
    }

    /// A certificate of the lowest version that is not below this one, which counts no more.
    func fencedCertificate(atOrAbove timestamp: Timestamp) -> Certificate? {
        fenced.filter { $0.key >= timestamp }.min { $0.key < $1.key }?.value
    }

    /// The verified certificate of the lowest version that shows that the counter below this one's was reached.
    func certificate(justifying timestamp: Timestamp) -> VerifiedCertificate? {
        proven.filter { Self.justifies($0.key, timestamp) }.min { $0.key < $1.key }?.value
    }

    /// Poisonous versions whose certificate would show that, in ascending order. Nobody names them as committed.
    func poisonousVersions(justifying timestamp: Timestamp) -> [Timestamp] {
        poisonousVersions(above: nil).filter { Self.justifies($0, timestamp) }
    }

    /// Whether there is such a certificate, or somebody who may have one.
    func mayJustify(_ timestamp: Timestamp) -> Bool {
        certificate(justifying: timestamp) != nil || !poisonousVersions(justifying: timestamp).isEmpty
    }

    private static func justifies(_ other: Timestamp, _ timestamp: Timestamp) -> Bool {
        other != timestamp && other.counter >= timestamp.counter - 1
    }

    /// Which certificates to ask for so that servers count which name something above V: each that is not asked yet,
    /// for that of the highest version that it names.
    mutating func askProofs(of doubted: PositionSet) -> [(server: Position, timestamp: Timestamp)] {
        var requests: [(server: Position, timestamp: Timestamp)] = []
        if isPlanted(.doubtedNeverAsked) { return [] }
        for server in quorums.positions where doubted.contains(server) && !asked.contains(server) {
            guard let named = claims[server.offset]?.highest(except: excluded), verifying[named] == nil else {
                continue
            }
            ask(server, for: named)
            requests.append((server, named))
        }
        return requests
    }

    /// Which servers to ask for a certificate of a valid version: so many of those that name it that one is correct,
    /// and when that has led to nothing, all of them.
    mutating func askProof(of timestamp: Timestamp) -> [Position] {
        guard proven[timestamp] == nil, verifying[timestamp] == nil else { return [] }
        // Those that call it poisonous by now keep its certificate if they had it committed.
        let namers = quorums.positions.filter { names(timestamp, by: $0) || callsPoisonous(timestamp, by: $0) }
        let enough = isAskingAgain ? namers.count : quorums.vouchers
        let missing = enough - namers.count { asked.contains($0) && awaited.contains($0) }
        guard missing > 0 else { return [] }
        let candidates = isPlanted(.oneProofAsked) ? Array(namers.prefix(1)) : namers
        let chosen = Array(candidates.filter { !asked.contains($0) }.prefix(missing))
        for server in chosen { ask(server, for: timestamp) }
        return chosen
    }

    private mutating func ask(_ server: Position, for timestamp: Timestamp) {
        asked.insert(server)
        awaited.insert(server)
        askedFor[server.offset] = timestamp
    }

    /// What was asked, or what came of it, may be lost: it may be asked again.
    mutating func forgetAsked() {
        asked = []
        // The result of a verification may have come while somebody else was listening.
        verifying = [:]
        isAskingAgain = true
    }

    mutating func forgetAsked(of server: Position) { asked.remove(server) }

    /// What a CERTIFICATE answer leads to.
    enum Showing {
        case verify(Certificate)
        /// The server showed nothing of what it names.
        case exposed
        case nothing
    }

    /// Takes an answer to FETCH-CERTIFICATE.
    mutating func record(_ claim: CommittedClaim, showing certificate: Certificate?, of server: Position) -> Showing {
        guard awaited.contains(server), !exposed.contains(server) else { return .nothing }
        awaited.remove(server)
        guard let certificate else {
            // A version may have turned out to be poisonous meanwhile, and there may be no other.
            guard claim.timestamp != nil else {
                record(claim, of: server)
                return .nothing
            }
            expose(server)
            return .exposed
        }
        let timestamp = certificate.timestamp
        // Of many poisonous versions a claim does not name the lowest.
        let isAskedFor = askedFor[server.offset] == timestamp && !claim.names(timestamp)
        guard claim.names(certificate) || isAskedFor else {
            expose(server)
            return .exposed
        }
        record(claim, of: server)
        // What is lower proves nothing of what was asked for.
        guard let lowest = askedFor[server.offset], lowest <= timestamp else { return .nothing }
        let isNew = proven[timestamp] == nil
        if lowest == timestamp || isNew && verifying[timestamp] == nil { asked.remove(server) }
        guard isNew else { return .nothing }
        guard verifying[timestamp] == nil else {
            verifying[timestamp]?.append((server, certificate))
            return .nothing
        }
        verifying[timestamp] = []
        return .verify(certificate)
    }

    /// Takes the result of a verification; a server whose certificate failed is thrown out, as if it did not answer. One
    /// whose certificate counts no more has not answered yet.
    /// Returns the next one of the version that is to be verified.
    mutating func verified(
        _ shown: Certificate, of server: Position, _ result: Result<VerifiedCertificate, CertificateError>
    ) -> (server: Position, certificate: Certificate)? {
        let timestamp = shown.timestamp
        switch result {
        case .success(let certificate):
            proven[timestamp] = certificate
        case .failure(let error):
            // One that counts no more says nothing against its server, which may soon have another.
            if case .fenced = error {
                fenced[timestamp] = shown
                forget(server)
            } else {
                expose(server)
            }
            if var others = verifying[timestamp], !others.isEmpty {
                let next = others.removeFirst()
                verifying[timestamp] = others
                return next
            }
        }
        verifying[timestamp] = nil
        return nil
    }

    private mutating func expose(_ server: Position) {
        claims[server.offset] = nil
        exposed.insert(server)
        asked.remove(server)
        awaited.remove(server)
    }
}
