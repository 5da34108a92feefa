// What Byzantine clients have in common: a campaign against one object after another. A campaign learns the object's
// committed version as an honest writer does, then its script attacks; statements are collected, and whatever they
// certify is told to the script.

import Fingerprint
import QuorumProtocol

/// An attack on one object, and what came of it so far.
struct Campaign {
    /// A version that was tried.
    struct Tried {
        let version: ForgedVersion
        /// Valid statements of distinct servers.
        var statements: [SignedStatement] = []
        var certificate: Certificate?
    }

    let key: ObjectKey
    /// The certificate of the highest version that was proven; nil for an object never written.
    fileprivate(set) var base: Certificate?
    /// By position.
    fileprivate var hasAnswered: [Bool]
    fileprivate(set) var isAttacking = false
    fileprivate(set) var ageTicks = 0
    private(set) var tried: [Tried] = []

    init(key: ObjectKey, serverCount: Int) {
        self.key = key
        hasAnswered = Array(repeating: false, count: serverCount)
    }

    /// One above what is committed.
    var nextCounter: UInt64 {
        let (counter, overflow) = (base?.timestamp).counter.addingReportingOverflow(1)
        return overflow ? .max : counter
    }

    /// Collects statements for a version from now on.
    mutating func watch(_ version: ForgedVersion) { tried.append(Tried(version: version)) }

    /// Takes a valid statement; the position of the version that it completes.
    fileprivate mutating func record(
        _ signed: SignedStatement, at position: Int, _ parameters: ClusterParameters
    ) -> Bool {
        guard tried[position].certificate == nil,
            !tried[position].statements.contains(where: { $0.node == signed.node })
        else { return false }
        tried[position].statements.append(signed)
        guard tried[position].statements.count == parameters.quorums.quorum else { return false }
        tried[position].certificate = parameters.placement(of: key).certificate(
            of: tried[position].version.timestamp, tried[position].statements)
        return true
    }
}

/// What is done in a campaign.
protocol AttackScript {
    /// How many ticks the campaign is given once it attacks.
    var lifetimeTicks: Int { get }
    /// Begins the attack, the object's committed version being known.
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing]
    /// A version that is watched has its certificate.
    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing]
    /// Time passes; `campaign.ageTicks` counts from 1.
    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing]
}

extension AttackScript {
    var lifetimeTicks: Int { 4 }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] { context.toAll(version.commit(certificate)) }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] { [] }
}

extension ClientFaultContext {
    func placement(of key: ObjectKey) -> Placement { parameters.placement(of: key) }

    /// The n positions of any object.
    var positions: [Position] { parameters.quorums.positions }

    /// A request for the server at one of its object's positions.
    func to(_ position: Position, _ request: Request, route: Route? = nil) -> Outgoing {
        Outgoing(placement(of: request.key).node(at: position), request, route: route)
    }

    /// To all members of the object's group.
    func toAll(_ request: Request) -> [Outgoing] { positions.map { to($0, request) } }

    /// PREPAREs of one version for the positions named, all when nil.
    func prepares(
        _ version: ForgedVersion, at positions: [Position]? = nil, justification: Certificate? = nil,
        admission: [SignedStatement] = []
    ) -> [Outgoing] {
        (positions ?? self.positions).map {
            to($0, version.prepare(for: $0, justification: justification, admission: admission))
        }
    }

    /// At least one position and not all, in order.
    mutating func somePositions() -> [Position] {
        let count = generator.within(1...max(1, positions.count - 1))
        return generator.shuffled(positions).prefix(count).sorted()
    }

    mutating func onePosition() -> Position { positions[generator.below(positions.count)] }

    /// Bytes that no version before held: readable, and no longer than a stripe.
    mutating func freshValue() -> [UInt8] {
        let name =
            "byzantine \(String(client.low, radix: 16))-\(attempts.count)-\(String(generator.next() >> 40, radix: 16)) "
        let letters = Array("abcdefghijklmnopqrstuvwxyz".utf8)
        let paddingMax = generator.chance(percent: 20) ? 160 : 12
        let padding = (0..<generator.below(paddingMax + 1)).map { _ in letters[generator.below(letters.count)] }
        return Array((Array(name.utf8) + padding).prefix(max(1, parameters.limits.stripeSizeBytesMax)))
    }

    /// A version of this client's with a value of its own, entered among its attempts.
    mutating func attempt(
        _ key: ObjectKey, counter: UInt64, soundness: ForgedVersion.Soundness = .sound
    ) -> ForgedVersion {
        attempt(key, value: freshValue(), counter: counter, soundness: soundness)
    }

    /// A deletion of this client's, entered among its attempts.
    mutating func attemptDeletion(_ key: ObjectKey, counter: UInt64) -> ForgedVersion {
        attempt(key, value: nil, counter: counter, soundness: .sound)
    }

    private mutating func attempt(
        _ key: ObjectKey, value: [UInt8]?, counter: UInt64, soundness: ForgedVersion.Soundness
    ) -> ForgedVersion {
        let version = ForgedVersion.make(
            key: key, value: value, counter: counter, writer: client, parameters: parameters, soundness: soundness)
        enter(AttemptedWrite(key: key, value: value, timestamp: version.timestamp))
        return version
    }

    /// Enters a version among the attempts, once.
    mutating func enter(_ attempt: AttemptedWrite) {
        if !attempts.contains(attempt) { attempts.append(attempt) }
    }

    /// q statements on a version: valid ones as far as they go, then one of them again and again under other names.
    func forgedCertificate(
        _ key: ObjectKey, _ timestamp: Timestamp, with atHand: [SignedStatement]
    ) -> Certificate {
        let placement = placement(of: key)
        let quorum = parameters.quorums.quorum
        var statements = Array(atHand.prefix(quorum))
        guard let model = statements.last else { return placement.certificate(of: timestamp, []) }
        for member in placement.nodes where statements.count < quorum {
            guard !statements.contains(where: { $0.node == member }) else { continue }
            statements.append(model.altered(node: member))
        }
        return placement.certificate(of: timestamp, statements)
    }

    /// The keys of the conspirators' servers that are members of the object's group: they sign anything for their
    /// friend.
    func conspirators(of key: ObjectKey) -> [StatementSigner] {
        let group = placement(of: key).group
        return conspiracy.signers.filter { group.contains($0.node) }
    }
}

/// A Byzantine client that leads one campaign after another.
struct CampaigningClient: ClientFault {
    /// After so many it rests: what it may leave behind is bounded per object, and so is what a history has to explain.
    static let campaignCountMax = 6

    private let kind: ClientFaultKind
    private var script: any AttackScript
    private var campaign: Campaign?
    private var campaignCount = 0

    init(_ kind: ClientFaultKind) {
        self.kind = kind
        script = kind.script()
    }

    mutating func start(_ context: inout ClientFaultContext) -> [Outgoing] { begin(&context) }

    private mutating func begin(_ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaignCount < Self.campaignCountMax else { return [] }
        campaignCount += 1
        // An earlier life is the whole cluster's, and most have none.
        let kinds = ClientFaultKind.allCases.filter { $0 != .mixture && $0 != .earlierLife && $0 != .otherStripes }
        script = (kind == .mixture ? kinds[context.generator.below(kinds.count)] : kind).script()
        let key = context.keys[context.generator.below(context.keys.count)]
        campaign = Campaign(key: key, serverCount: context.positions.count)
        // The answers to the second question show descriptors and fragments, which are worth having.
        return context.toAll(.readTimestamp(key)) + context.toAll(.read(Read(key: key, portion: .fragments)))
    }

    mutating func tick(_ context: inout ClientFaultContext) -> [Outgoing] {
        guard var campaign else { return begin(&context) }
        defer { self.campaign = campaign.ageTicks > script.lifetimeTicks ? nil : campaign }
        if !campaign.isAttacking { return attack(&campaign, &context) }
        campaign.ageTicks += 1
        return script.aged(&campaign, &context) + complete(&campaign, &context)
    }

    private mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        campaign.isAttacking = true
        return script.attack(&campaign, &context) + complete(&campaign, &context)
    }

    /// Adds the conspirators' statements, for which nobody has to be asked.
    private mutating func complete(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        var outgoing: [Outgoing] = []
        for position in campaign.tried.indices where campaign.tried[position].certificate == nil {
            let known = campaign.tried[position].statements.map(\.node)
            let version = campaign.tried[position].version
            let scope = context.placement(of: version.key).scope
            for signer in context.conspirators(of: version.key) where !known.contains(signer.node) {
                let signed = signer.signing(version.key, version.timestamp, in: scope)
                outgoing += record(signed, at: position, &campaign, &context)
            }
        }
        return outgoing
    }

    private mutating func record(
        _ signed: SignedStatement, at position: Int, _ campaign: inout Campaign, _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        guard campaign.record(signed, at: position, context.parameters),
            let certificate = campaign.tried[position].certificate
        else { return [] }
        let version = campaign.tried[position].version
        context.conspiracy.note(certificate, of: version.key, isGenuine: true)
        return script.certified(version, certificate, &campaign, &context)
    }

    mutating func receive(
        _ reply: Reply, from node: NodeID, _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        guard var campaign, let position = context.placement(of: campaign.key).position(of: node) else { return [] }
        defer { self.campaign = campaign }
        switch reply {
        case .timestamp(let claim):
            if let newest = claim.timestamp, !campaign.isAttacking {
                return [context.to(position, .certificate(campaign.key, newest))]
            }
            return answered(position, &campaign, &context)
        case .certificate(_, let certificate):
            if let certificate { learn(certificate, &campaign, context) }
            return answered(position, &campaign, &context)
        case .version(_, let parts):
            if let parts, let fragments = parts.fragments {
                context.conspiracy.note(
                    Conspiracy.SeenParts(
                        key: parts.descriptor.descriptor.key, timestamp: parts.timestamp,
                        descriptor: parts.descriptor, node: node, fragments: fragments))
            }
            return []
        case .prepared(let signed, _):
            // The reply does not name its version.
            for position in campaign.tried.indices where signed.node == node {
                let version = campaign.tried[position].version
                guard
                    (try? context.verifier.verify(signed, key: version.key, timestamp: version.timestamp)) != nil
                else { continue }
                context.conspiracy.note(signed, of: version.key, version.timestamp)
                return record(signed, at: position, &campaign, &context)
            }
            return []
        case .committed, .staged, .discarded, .fetched, .held, .refused:
            return []
        }
    }

    /// A server has told what is committed, and proven it.
    private mutating func answered(
        _ position: Position, _ campaign: inout Campaign, _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        campaign.hasAnswered[position.offset] = true
        let answerCount = campaign.hasAnswered.count { $0 }
        guard !campaign.isAttacking, answerCount >= context.parameters.quorums.quorum else { return [] }
        return attack(&campaign, &context)
    }

    /// Takes a certificate that proves something; a late one about another object, or a liar's, does not.
    private func learn(_ certificate: Certificate, _ campaign: inout Campaign, _ context: ClientFaultContext) {
        guard (try? context.verifier.verify(certificate, key: campaign.key)) != nil else { return }
        context.conspiracy.note(certificate, of: campaign.key, isGenuine: true)
        if !campaign.isAttacking, (campaign.base?.timestamp).precedes(certificate.timestamp) {
            campaign.base = certificate
        }
    }
}
