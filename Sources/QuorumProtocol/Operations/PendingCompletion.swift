// Finishing a version that an earlier run of this client left behind at too few servers, without I/O
// (docs/protocol.md, When servers are full).
//
// m servers or more have signed that they hold the version. m ≥ f + 1, so a correct server got it from this client:
// liars alone cannot make one up. Yet up to f of the m may hold nothing, and a server with room does not say what it
// holds, so every server is asked for its fragments. m good ones give the block, and its encoding gives what the other
// servers lack; these take it by PREPARE, with f + 1 of the statements as admission, until q have signed.

import ErasureCode
import Fingerprint

/// One left-behind version on its way to a certificate.
struct PendingCompletion: Sendable {
    enum Standing {
        case waiting
        /// For each stripe m good fragments.
        case reencode([[VerifiedFragment]])
        case certified(Certificate)
        /// Too few servers have good fragments, or too many refuse to take theirs.
        case hopeless
    }

    let timestamp: Timestamp
    let descriptor: SealedDescriptor
    /// How often the retransmission timer fired meanwhile.
    var reminders = 0
    private let quorums: QuorumConfiguration
    private let admission: [SignedStatement]
    private var statements: SignedStatements
    /// What is verified, or being verified, of each server's fragments.
    private var parts: [Position: [StripeIndex: VerifiedFragment]] = [:]
    /// Servers whose last answer to READ had nothing good.
    private var failed: PositionSet = []
    /// Servers that refuse PREPARE for good.
    private var refusing: PositionSet = []
    private var isReencoding = false
    /// Each server's fragments, once they are known.
    private var fragments: [[SharedBytes]]?

    /// - Parameter stored: verified *stored* statements of at least m servers.
    init(
        timestamp: Timestamp, descriptor: SealedDescriptor, stored: SignedStatements, quorums: QuorumConfiguration
    ) {
        precondition(stored.count >= quorums.dataFragmentCount)
        self.timestamp = timestamp
        self.descriptor = descriptor
        self.quorums = quorums
        statements = stored
        admission = Array(stored.inOrder.prefix(quorums.vouchers))
        if descriptor.descriptor.stripes.isEmpty { fragments = Array(repeating: [], count: quorums.serverCount) }
    }

    /// Whether the version's fragments are known and PREPARE is what goes out.
    var isPreparing: Bool { fragments != nil }

    /// What the server is to be asked, or asked again; nil when nothing is wanted of it.
    func request(to server: Position, justification: Certificate?) -> Request? {
        let key = descriptor.descriptor.key
        guard let fragments else {
            guard parts[server] == nil, !isReencoding else { return nil }
            return .read(Read(key: key, version: timestamp, portion: .fragments))
        }
        guard !statements.contains(server) else { return nil }
        return .prepare(
            Prepare(
                key: key, timestamp: timestamp, descriptor: descriptor, fragments: fragments[server.offset],
                justification: justification, admission: admission))
    }

    /// Takes an answer to READ; returns the fragments that are to be verified, one for each stripe.
    mutating func take(_ held: HeldParts?, of server: Position) -> [SharedBytes] {
        guard fragments == nil, parts[server] == nil else { return [] }
        guard let bytes = held?.fragments, bytes.count == descriptor.descriptor.stripes.count else {
            failed.insert(server)
            return []
        }
        failed.remove(server)
        parts[server] = [:]
        return bytes
    }

    mutating func verified(
        _ result: Result<VerifiedFragment, FragmentVerificationError>, of server: Position, _ stripe: StripeIndex
    ) {
        guard fragments == nil, parts[server] != nil else { return }
        switch result {
        case .success(let fragment):
            parts[server]![stripe] = fragment
        case .failure:
            parts[server] = nil
            failed.insert(server)
        }
    }

    mutating func reencoded(_ fragments: [[SharedBytes]]) {
        if self.fragments == nil { self.fragments = fragments }
        parts = [:]
    }

    mutating func record(_ statement: VerifiedStatement) {
        statements.add(statement.signed)
        refusing.remove(statement.signed.server)
    }

    /// The server will not answer what it was asked.
    mutating func refused(by server: Position) {
        if isPreparing {
            if !statements.contains(server) { refusing.insert(server) }
        } else if parts[server] == nil {
            failed.insert(server)
        }
    }

    /// Where it stands; asks for the encoding once.
    mutating func standing() -> Standing {
        if statements.count >= quorums.quorum {
            let chosen = Array(statements.inOrder.prefix(quorums.quorum))
            return .certified(Certificate(timestamp: timestamp, statements: chosen))
        }
        if isPreparing { return refusing.count > quorums.faults ? .hopeless : .waiting }
        if isReencoding { return .waiting }
        let stripes = descriptor.descriptor.stripes.indices.map { StripeIndex(UInt32($0)) }
        let good = quorums.positions.compactMap { parts[$0] }.filter { $0.count == stripes.count }
        if good.count >= quorums.dataFragmentCount {
            isReencoding = true
            return .reencode(
                stripes.map { stripe in good.prefix(quorums.dataFragmentCount).compactMap { $0[stripe] } })
        }
        return failed.count > quorums.serverCount - quorums.dataFragmentCount ? .hopeless : .waiting
    }
}
