// Byzantine clients that send again what was sent before, or simply too much (docs/protocol.md, Statements and
// certificates; Limits).

import Fingerprint
import QuorumProtocol

/// Sends again whatever it or a conspirator ever saw: certificates, versions and statements, at their own object and at
/// others. Against Statements and certificates (what binds a statement) and Write ("a retransmission").
struct Replays: AttackScript {
    var lifetimeTicks: Int { 6 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        // An honest write, so that there is something to repeat.
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        return context.prepares(version, justification: campaign.base)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        (0..<4).flatMap { _ in replay(campaign, &context) }
    }

    private func replay(_ campaign: Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let key = context.keys[context.generator.below(context.keys.count)]
        let conspiracy = context.conspiracy
        switch context.generator.below(4) {
        case 0:
            guard let seen = context.generator.pick(conspiracy.certificates) else { return [] }
            // At its own object, or under another's name.
            let place = context.generator.chance(percent: 60) ? seen.key : key
            return context.toAll(.commit(Commit(key: place, certificate: seen.certificate)))
        case 1:
            guard let tried = campaign.tried.first else { return [] }
            let justification = context.generator.pick(conspiracy.certificates)?.certificate
            return context.prepares(tried.version, justification: justification)
        case 2:
            guard let tried = campaign.tried.first else { return [] }
            let admission = conspiracy.statements.suffix(context.parameters.quorums.vouchers).map(\.signed)
            return context.prepares(tried.version, justification: campaign.base, admission: admission)
        default:
            // A PREPARE that somebody else sent, or that this client sent to another server.
            guard let seen = context.generator.pick(conspiracy.parts) else { return [] }
            let position = context.onePosition()
            return [
                context.to(
                    position,
                    .prepare(
                        Prepare(
                            key: context.generator.chance(percent: 60) ? seen.key : key, timestamp: seen.timestamp,
                            position: position, descriptor: seen.descriptor, fragments: seen.fragments,
                            justification: campaign.base)))
            ]
        }
    }
}

/// Sends one server more requests for one object than may wait there. Against Limits: the others' requests are refused
/// as *busy* at worst, and tried again.
struct Flood: AttackScript {
    static let requestCount = 200

    var lifetimeTicks: Int { 1 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        let victim = context.onePosition()
        return (0..<Self.requestCount).map { _ in
            switch context.generator.below(4) {
            case 0: context.to(victim, .readTimestamp(campaign.key))
            case 1: context.to(victim, .read(Read(key: campaign.key, portion: .fragments)))
            case 2: context.to(victim, .read(Read(key: campaign.key, version: version.timestamp, portion: .fragments)))
            default: context.to(victim, version.prepare(for: victim, justification: campaign.base))
            }
        }
    }
}

/// Commits a version that no server holds, with statements that servers signed in an earlier life of the cluster, under
/// the same keys: when its mode was one in which servers look at less, or when another group had the object's slot.
/// Against Statements and certificates: a statement is bound to the mode and to the group, and a certificate is of the
/// group that has the object's slot.
struct EarlierLife: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        // No attempt of the client's: nobody may ever return it.
        let version = ForgedVersion.make(
            key: campaign.key, value: context.freshValue(), counter: campaign.nextCounter, writer: context.client,
            parameters: context.parameters, soundness: .unrelated)
        let placement = context.placement(of: campaign.key)
        let others = context.parameters.configuration.groups.filter { $0.id != placement.group.id }
        let other = context.generator.pick(others)
        let otherID = other?.id ?? GroupID(placement.group.id.rawValue &+ 1)
        let scope: StatementScope
        var (named, members) = (placement.group.id, placement.group.members)
        switch context.generator.below(other == nil ? 2 : 3) {
        case 0:
            scope = placement.scope.altered(mode: placement.scope.mode == .readTime ? .lazy : .readTime)
        case 1:
            scope = placement.scope.altered(group: otherID)
        default:
            scope = placement.scope.altered(group: otherID)
            (named, members) = (otherID, other?.members ?? members)
        }
        let signers = context.earlierLife.filter { members.contains($0.node) }
        let certificate = Certificate(
            epoch: scope.epoch, group: named, timestamp: version.timestamp,
            statements: signers.prefix(context.parameters.quorums.quorum).map {
                $0.signing(version.key, version.timestamp, in: scope)
            })
        let next = context.attempt(campaign.key, counter: campaign.nextCounter + 1)
        return context.toAll(version.commit(certificate)) + context.prepares(next, justification: certificate)
    }
}
