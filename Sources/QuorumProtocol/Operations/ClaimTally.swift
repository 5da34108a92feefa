// Which committed version do the servers prove? Used by writer and reader alike.
//
// A claim is what one server says is the object's committed version; in the modes that verify later, every one from the
// highest verified version up. A version is *valid* when its certificate was verified or when f + 1 servers name its
// timestamp (one of them is correct, and has verified it). A server's reply counts towards q only when it claims
// nothing above the highest valid version: an unproven higher claim is no reply at all. Claims are compared from the
// top: the highest is proven, or thrown out, before the next one matters; a version that turned out to be poisonous is
// passed over.
//
// No certificate is checked before q servers have answered: in the common case f + 1 of them agree, which spares it.

import Fingerprint

/// The claims of the servers on one object.
struct ClaimTally: Sendable {
    private let quorums: QuorumConfiguration
    private var claims: [CommittedClaim?]
    private var proven: [Timestamp: VerifiedCertificate] = [:]
    private var verifying: Position?
    /// Servers whose certificate proved nothing: a correct one never sends such a thing, and one that sends higher ones
    /// faster than they are disproven would keep the tally from ever standing still.
    private var exposed: PositionSet = []
    /// Versions that are committed and poisonous.
    private var excluded: Set<Timestamp> = []

    init(quorums: QuorumConfiguration) {
        self.quorums = quorums
        claims = quorums.positions.map { _ in nil }
    }

    /// Takes a server's claim; a correct server's never go down, so a lower one than it made before is ignored.
    mutating func record(_ claim: CommittedClaim, of server: Position) {
        guard !exposed.contains(server) else { return }
        if let earlier = claims[server.offset],
            claim.verified.precedes(earlier.verified) || claim.highest.precedes(earlier.highest)
        {
            return
        }
        if server == verifying, claims[server.offset] != claim { verifying = nil }
        claims[server.offset] = claim
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

    /// The highest claim of all, nil when nobody claims a version.
    private var highestClaim: Timestamp? {
        var highest: Timestamp?
        for position in claims.indices {
            if let timestamp = claims[position]?.highest(except: excluded), highest.precedes(timestamp) {
                highest = timestamp
            }
        }
        return highest
    }

    private func isValid(_ timestamp: Timestamp) -> Bool {
        namerCount(of: timestamp) >= quorums.vouchers || proven[timestamp] != nil || isPlanted(.anyClaimBelieved)
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
    enum Standing: Equatable {
        /// The highest claim is neither proven nor vouched for: verify this certificate of this server.
        case verify(Position, Certificate)
        /// Such a verification is under way, or f + 1 of the servers that have not answered yet may spare it.
        case waiting
        /// The highest valid version (nil: none was ever committed), and how many replies count.
        case valid(Timestamp?, countedReplies: Int)
    }

    /// Asks for a verification at most once until its result is in, and not before q servers have answered.
    mutating func standing() -> Standing {
        guard let highest = highestClaim, !isValid(highest) else {
            return .valid(highestClaim, countedReplies: claims.count { $0 != nil })
        }
        guard claims.count(where: { $0 != nil }) >= quorums.quorum else { return .waiting }
        return askProof(of: highest) ?? .waiting
    }

    /// Takes a certificate that was verified before.
    mutating func prove(_ certificate: VerifiedCertificate) { proven[certificate.timestamp] = certificate }

    /// A verified certificate of a version, if there is one yet.
    func certificate(of timestamp: Timestamp) -> VerifiedCertificate? { proven[timestamp] }

    /// The next certificate to check in order to prove `timestamp`; nil when one is being checked or nobody has any.
    mutating func askProof(of timestamp: Timestamp) -> Standing? {
        guard verifying == nil, proven[timestamp] == nil, let server = namers(of: timestamp).first,
            let certificate = claims[server.offset]?.certificates.first(where: { $0.timestamp == timestamp })
        else { return nil }
        verifying = server
        return .verify(server, certificate)
    }

    /// Takes the result of a verification; a server whose certificate failed is thrown out, as if it did not answer.
    mutating func verified(
        of server: Position, _ result: Result<VerifiedCertificate, CertificateError>
    ) {
        if verifying == server { verifying = nil }
        switch result {
        case .success(let certificate):
            proven[certificate.timestamp] = certificate
        case .failure:
            claims[server.offset] = nil
            exposed.insert(server)
        }
    }
}
