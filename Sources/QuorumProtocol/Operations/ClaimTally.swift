// Which committed version do the servers prove? Used by writer and reader alike.
//
// A claim is what one server says is the object's committed version. It is *valid* when its certificate was verified or
// when f + 1 servers name the same timestamp (one of them is correct, and has verified it). A server's reply counts
// towards q only when its claim is no higher than the highest valid one: an unproven higher claim is no reply at all.
// Claims are compared from the top: the highest is proven, or thrown out, before the next one matters.

import Fingerprint

/// The claims of the servers on one object.
struct ClaimTally: Sendable {
    private let quorums: QuorumConfiguration
    private var claims: [CommittedClaim?]
    private var proven: [Timestamp: VerifiedCertificate] = [:]
    private var verifying: ServerIndex?
    /// Servers whose certificate proved nothing: a correct one never sends such a thing, and one that sends higher ones
    /// faster than they are disproven would keep the tally from ever standing still.
    private var exposed: Set<ServerIndex> = []

    init(quorums: QuorumConfiguration) {
        self.quorums = quorums
        claims = Array(repeating: nil, count: quorums.serverCount)
    }

    /// Takes a server's claim; a correct server's never go down, so a lower one than it made before is ignored.
    mutating func record(_ claim: CommittedClaim, of server: ServerIndex) {
        guard !exposed.contains(server) else { return }
        if let earlier = claims[server.offset], claim.timestamp.precedes(earlier.timestamp) { return }
        if server == verifying, claims[server.offset] != claim { verifying = nil }
        claims[server.offset] = claim
    }

    func hasClaim(of server: ServerIndex) -> Bool { claims[server.offset] != nil }

    /// The servers that name `timestamp` as committed.
    func namers(of timestamp: Timestamp?) -> [ServerIndex] {
        quorums.servers.filter { server in
            claims[server.offset].map { $0.timestamp == timestamp } ?? false
        }
    }

    /// The highest claim of all, nil when nobody claims a version.
    private var highestClaim: Timestamp? {
        var highest: Timestamp?
        for position in claims.indices {
            if let timestamp = claims[position]?.timestamp, highest.precedes(timestamp) { highest = timestamp }
        }
        return highest
    }

    private func isValid(_ timestamp: Timestamp) -> Bool {
        namerCount(of: timestamp) >= quorums.vouchers || proven[timestamp] != nil || isPlanted(.anyClaimBelieved)
    }

    private func namerCount(of timestamp: Timestamp) -> Int {
        var count = 0
        for position in claims.indices where claims[position]?.timestamp == timestamp { count += 1 }
        return count
    }

    /// Where the tally stands.
    enum Standing: Equatable {
        /// The highest claim is neither proven nor vouched for: verify this certificate of this server.
        case verify(ServerIndex, Certificate)
        /// Such a verification is under way.
        case verifying
        /// The highest valid version (nil: none was ever committed), and how many replies count.
        case valid(Timestamp?, countedReplies: Int)
    }

    /// Asks for a verification at most once until its result is in.
    mutating func standing() -> Standing {
        guard let highest = highestClaim, !isValid(highest) else {
            return .valid(highestClaim, countedReplies: claims.count { $0 != nil })
        }
        if verifying != nil { return .verifying }
        return askProof(of: highest) ?? .verifying
    }

    /// A verified certificate of a version, if there is one yet.
    func certificate(of timestamp: Timestamp) -> VerifiedCertificate? { proven[timestamp] }

    /// The next certificate to check in order to prove `timestamp`; nil when one is being checked or nobody has any.
    mutating func askProof(of timestamp: Timestamp) -> Standing? {
        guard verifying == nil, proven[timestamp] == nil, let server = namers(of: timestamp).first,
            let certificate = claims[server.offset]?.certificate
        else { return nil }
        verifying = server
        return .verify(server, certificate)
    }

    /// Takes the result of a verification; a server whose certificate failed is thrown out, as if it did not answer.
    mutating func verified(
        of server: ServerIndex, _ result: Result<VerifiedCertificate, CertificateError>
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
