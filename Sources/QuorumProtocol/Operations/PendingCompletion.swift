// Finishing a version that an earlier run of this client left behind at too few servers, without I/O
// (docs/protocol.md, When servers are full).
//
// m servers or more have signed that they hold the version. m ≥ f + 1, so a correct server got it from this client:
// liars alone cannot make one up. Yet up to f of the m may hold nothing, and a server with room does not say what it
// holds, so every server is asked for its fragments. m good ones give the block, and its encoding gives what the other
// servers lack; these take it by PREPARE, with f + 1 of the statements as admission, until q have signed. PREPARE of a
// large value carries no fragments: whoever answers that it lacks stripes is brought these (StripeFilling.swift).

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

    /// Servers that want to be shown that the counter below the version's was reached.
    private(set) var unconvinced: PositionSet = []
    /// Those of them that PREPARE has brought the proof.
    private(set) var shown: PositionSet = []

    private enum Step {
        /// Asking the servers for their fragments.
        case gather(Gathering)
        /// Sending each server its fragments; some refuse these for good.
        case prepare(fragments: [[SharedBytes]], refusing: PositionSet)
    }

    private struct Gathering {
        /// What is verified, or being verified, of each server's fragments.
        var parts: [Position: [StripeIndex: VerifiedFragment]] = [:]
        /// Servers whose last answer to READ had nothing good.
        var failed: PositionSet = []
        var isReencoding = false
    }

    let timestamp: Timestamp
    let descriptor: SealedDescriptor
    /// How often the retransmission timer fired meanwhile.
    var reminders = 0
    private let quorums: QuorumConfiguration
    private let placement: Placement
    private let admission: [SignedStatement]
    private var statements: SignedStatements
    /// What servers lack of a large value; nil for another.
    var filling: StripeFilling?
    private var step = Step.gather(Gathering())

    /// - Parameters:
    ///   - stored: verified *stored* statements of at least m servers.
    ///   - number: another one for each version that the operation prepares.
    init(
        timestamp: Timestamp, descriptor: SealedDescriptor, stored: SignedStatements, number: Int,
        parameters: ClusterParameters, placement: Placement
    ) {
        let quorums = parameters.quorums
        precondition(stored.count >= quorums.dataFragmentCount)
        self.timestamp = timestamp
        self.descriptor = descriptor
        self.quorums = quorums
        self.placement = placement
        statements = stored
        admission = Array(stored.inOrder.prefix(quorums.vouchers))
        filling = descriptor.descriptor.staged.map {
            StripeFilling(
                $0, of: descriptor.descriptor.key, by: timestamp.writer, number: number, parameters: parameters)
        }
        if descriptor.descriptor.stripes.isEmpty {
            step = .prepare(fragments: Array(repeating: [], count: quorums.serverCount), refusing: [])
        }
    }

    /// Whether the version's fragments are known and PREPARE is what goes out.
    var isPreparing: Bool {
        if case .prepare = step { true } else { false }
    }

    mutating func wantsProof(_ server: Position) { unconvinced.insert(server) }
    mutating func showsProof(to server: Position) { shown.insert(server) }

    /// What the server is to be asked, or asked again; nil when nothing is wanted of it.
    func request(to server: Position, justification: Certificate?) -> Request? {
        let key = descriptor.descriptor.key
        switch step {
        case .gather(let gathering):
            guard gathering.parts[server] == nil, !gathering.isReencoding else { return nil }
            return .read(Read(key: key, version: timestamp, portion: .fragments))
        case .prepare(let fragments, _):
            guard !statements.contains(server) else { return nil }
            return .prepare(
                Prepare(
                    key: key, timestamp: timestamp, position: server, descriptor: descriptor,
                    fragments: fragments[server.offset],
                    justification: justification, admission: admission))
        }
    }

    /// Takes an answer to READ; returns the fragments that are to be verified, one for each stripe.
    mutating func take(_ held: HeldParts?, of server: Position) -> [SharedBytes] {
        guard case .gather(var gathering) = step, gathering.parts[server] == nil else { return [] }
        defer { step = .gather(gathering) }
        guard let bytes = held?.fragments, bytes.count == descriptor.descriptor.stripes.count else {
            gathering.failed.insert(server)
            return []
        }
        gathering.failed.remove(server)
        gathering.parts[server] = [:]
        return bytes
    }

    mutating func verified(
        _ result: Result<VerifiedFragment, FragmentVerificationError>, of server: Position, _ stripe: StripeIndex
    ) {
        guard case .gather(var gathering) = step, gathering.parts[server] != nil else { return }
        switch result {
        case .success(let fragment):
            gathering.parts[server]![stripe] = fragment
        case .failure:
            gathering.parts[server] = nil
            gathering.failed.insert(server)
        }
        step = .gather(gathering)
    }

    /// Takes what PREPARE carries to each server; once.
    mutating func reencoded(_ fragments: [[SharedBytes]]) {
        if !isPreparing { step = .prepare(fragments: fragments, refusing: []) }
    }

    mutating func record(_ statement: VerifiedStatement, of server: Position) {
        statements.add(statement.signed, of: server)
        guard case .prepare(let fragments, var refusing) = step else { return }
        refusing.remove(server)
        step = .prepare(fragments: fragments, refusing: refusing)
    }

    /// The server will not answer what it was asked.
    mutating func refused(by server: Position) {
        switch step {
        case .gather(var gathering):
            guard gathering.parts[server] == nil else { return }
            gathering.failed.insert(server)
            step = .gather(gathering)
        case .prepare(let fragments, var refusing):
            guard !statements.contains(server) else { return }
            refusing.insert(server)
            step = .prepare(fragments: fragments, refusing: refusing)
        }
    }

    /// Where it stands; asks for the encoding once.
    mutating func standing() -> Standing {
        if statements.count >= quorums.quorum {
            let chosen = Array(statements.inOrder.prefix(quorums.quorum))
            return .certified(placement.certificate(of: timestamp, chosen))
        }
        switch step {
        case .gather(var gathering):
            if gathering.isReencoding { return .waiting }
            let stripes = descriptor.descriptor.stripes.indices.map { StripeIndex(UInt32($0)) }
            let good = quorums.positions.compactMap { gathering.parts[$0] }.filter { $0.count == stripes.count }
            guard good.count >= quorums.dataFragmentCount else {
                return gathering.failed.count > quorums.serverCount - quorums.dataFragmentCount ? .hopeless : .waiting
            }
            gathering.isReencoding = true
            step = .gather(gathering)
            return .reencode(
                stripes.map { stripe in good.prefix(quorums.dataFragmentCount).compactMap { $0[stripe] } })
        case .prepare(_, let refusing):
            return refusing.count > quorums.faults ? .hopeless : .waiting
        }
    }
}
