// Byzantine clients that are wrong about groups, epochs and positions, or have others be (docs/protocol.md, Write, step
// 2; Statements and certificates).

import ErasureCode
import Fingerprint
import QuorumProtocol

/// Sends servers the fragments of other positions, and says so: to all of them those of one position, or to each those
/// of the next. Against Write, step 2: a server takes the fragments of its own position only, or all might hold the
/// same.
struct ForeignPositions: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        let one = context.onePosition()
        let isOne = context.generator.chance(percent: 70)
        let count = context.positions.count
        return context.positions.map { position in
            let named = isOne ? one : Position(UInt8((position.offset + 1) % count))
            return context.to(position, version.prepare(for: named, justification: campaign.base))
        }
    }
}

/// Sends the same servers different versions of an object at once, one to the group that has its slot and others to the
/// other groups that they are in; and names groups that they are not in, and epochs that are not. Against Statements
/// and certificates: a server answers for an object in one group only, whose replica alone changes its record.
struct ForeignGroups: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        let other = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        campaign.watch(other)
        return context.prepares(version, justification: campaign.base)
            + misdirected(campaign, &context) { position in
                other.prepare(for: position, justification: campaign.base)
            }
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        misdirected(campaign, &context) { _ in version.commit(certificate) }
            + context.toAll(version.commit(certificate))
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let key = campaign.key
        return misdirected(campaign, &context) { _ in .read(Read(key: key, portion: .fragments)) }
    }

    /// The request for each server in every group that it is in but the object's, or for one server in one that is not.
    private func misdirected(
        _ campaign: Campaign, _ context: inout ClientFaultContext, _ request: (Position) -> Request
    ) -> [Outgoing] {
        let configuration = context.parameters.configuration
        let placement = context.placement(of: campaign.key)
        let outgoing = configuration.groups.filter { $0.id != placement.group.id }.flatMap { group in
            group.members.map { member in
                Outgoing(
                    member, request(placement.position(of: member) ?? Position(0)),
                    route: Route(epoch: configuration.epoch, group: group.id))
            }
        }
        let nowhere = [
            Route(epoch: configuration.epoch + 1, group: placement.group.id),
            Route(epoch: configuration.epoch - 1, group: placement.group.id),
            Route(epoch: configuration.epoch, group: GroupID(.max)),
        ]
        let position = context.onePosition()
        return outgoing + [
            context.to(position, request(position), route: nowhere[context.generator.below(nowhere.count)])
        ]
    }
}

/// Commits and justifies with certificates of other epochs: genuine ones under the name of an epoch that is not known
/// or was before, and ones with as few statements as sufficed in an earlier one. Against Statements and certificates: a
/// certificate is judged by the epoch that it names, by its quorum, and by none when that is not known.
struct ForeignEpochs: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        guard let quorum = Self.earlierQuorum(context), quorum < context.parameters.quorums.quorum,
            context.generator.chance(percent: 60)
        else { return context.prepares(version, justification: campaign.base) }
        // The conspirators sign without being asked.
        let friends = context.conspirators(of: campaign.key).map(\.node)
        let placement = context.placement(of: campaign.key)
        let others = context.positions.filter { !friends.contains(placement.node(at: $0)) }
        let few = context.generator.shuffled(others).prefix(max(1, quorum - friends.count)).sorted()
        return context.prepares(version, at: few, justification: campaign.base)
    }

    /// How many statements it took before.
    private static func earlierQuorum(_ context: ClientFaultContext) -> Int? {
        context.parameters.history.configuration(of: context.parameters.configuration.epoch - 1)?.quorums.quorum
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        let epoch = context.parameters.configuration.epoch
        let epochs = [epoch + 1, epoch - 1, .max]
        let renamed = certificate.altered(epoch: epochs[context.generator.below(epochs.count)])
        let next = context.attempt(campaign.key, counter: version.timestamp.counter &+ 1)
        return context.toAll(version.commit(renamed)) + context.prepares(next, justification: renamed)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks <= 3, let tried = campaign.tried.first, tried.certificate == nil,
            let quorum = Self.earlierQuorum(context), quorum < context.parameters.quorums.quorum
        else { return [] }
        let placement = context.placement(of: campaign.key)
        let few = placement.certificate(of: tried.version.timestamp, Array(tried.statements.prefix(quorum)))
        let renamed = few.altered(epoch: few.epoch - 1)
        return context.toAll(tried.version.commit(few)) + context.toAll(tried.version.commit(renamed))
    }
}

/// Commits with statements of its conspirators' servers, also of those that are no members of the object's group, and
/// of a few correct ones; and has itself admitted with them. Against Statements and certificates: at most f of a group
/// are liars, but of all servers there may be more.
struct Strangers: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        let friends = context.conspiracy.signers.map(\.node)
        let placement = context.placement(of: campaign.key)
        let others = context.positions.filter { !friends.contains(placement.node(at: $0)) }
        let count = max(1, context.parameters.quorums.quorum - friends.count)
        return context.prepares(
            version, at: context.generator.shuffled(others).prefix(count).sorted(), justification: campaign.base)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks <= 3, let tried = campaign.tried.first, tried.certificate == nil else { return [] }
        let placement = context.placement(of: campaign.key)
        let (key, timestamp) = (campaign.key, tried.version.timestamp)
        var strangers = context.conspiracy.signers.filter { !placement.group.contains($0.node) }
            .map { $0.signing(key, timestamp, in: placement.scope) }
        if strangers.isEmpty { strangers = tried.statements.prefix(1).map { $0.altered(node: NodeID(.max)) } }
        let forgery = placement.certificate(
            of: timestamp, Array((tried.statements + strangers).prefix(context.parameters.quorums.quorum)))
        let next = context.attempt(key, counter: timestamp.counter &+ 1)
        return context.toAll(tried.version.commit(forgery))
            + context.prepares(next, justification: forgery, admission: strangers)
    }
}
