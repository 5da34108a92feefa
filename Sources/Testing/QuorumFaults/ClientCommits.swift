// Byzantine writers that stop halfway, or commit what, where and when they should not (docs/protocol.md, Write, step 3;
// Scenarios 6, 10, 12, 13).

import Fingerprint
import QuorumProtocol

/// Sends PREPARE to some servers and goes away. Against Promises (bounded leftovers) and Retention: a pending version
/// stays, for its certificate may exist.
struct PartialPrepare: AttackScript {
    var lifetimeTicks: Int { 1 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        return context.prepares(version, at: context.somePositions(), justification: campaign.base)
    }
}

/// Commits at one server only. Against Read, step 3: whoever returns such a version writes it back first (scenario 10).
struct PartialCommit: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version =
            context.generator.chance(percent: 25)
            ? context.attemptDeletion(campaign.key, counter: campaign.nextCounter)
            : context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        return context.prepares(version, justification: campaign.base)
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] { [context.to(context.onePosition(), version.commit(certificate))] }
}

/// Gets a genuine certificate, hides it while others write, and commits late, at one server or at all. Against
/// Retention (a pending version never leaves by time) and Read (a version may surface long after it was made).
struct HiddenCertificates: AttackScript {
    private var delayTicks: Int?

    var lifetimeTicks: Int { (delayTicks ?? 0) + 2 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        delayTicks = context.generator.within(2...8)
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        let positions =
            context.generator.chance(percent: 50)
            ? context.positions
            : Array(context.generator.shuffled(context.positions).prefix(context.parameters.quorums.quorum)).sorted()
        return context.prepares(version, at: positions, justification: campaign.base)
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] { [] }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks == delayTicks, let tried = campaign.tried.first, let certificate = tried.certificate
        else { return [] }
        let commit = tried.version.commit(certificate)
        return context.generator.chance(percent: 50)
            ? context.toAll(commit) : [context.to(context.onePosition(), commit)]
    }
}

/// Stacks versions on one another, each justified by the hidden certificate of the one below, none ever committed by
/// COMMIT; shows the last one late. Against Write, step 2: a justification is processed as a COMMIT first (scenario
/// 12).
struct HiddenChain: AttackScript {
    private static let lengthMax = 4

    var lifetimeTicks: Int { 8 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        return context.prepares(version, justification: campaign.base)
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        guard campaign.tried.count < Self.lengthMax else { return [] }
        let next = context.attempt(campaign.key, counter: version.timestamp.counter &+ 1)
        campaign.watch(next)
        return context.prepares(next, justification: certificate)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks == 7,
            let last = campaign.tried.last(where: { $0.certificate != nil }), let certificate = last.certificate
        else { return [] }
        return [context.to(context.onePosition(), last.version.commit(certificate))]
    }
}

/// Has too few statements, and commits all the same: with too few, repeated, renamed, altered ones, or those of another
/// version; and justifies a counter ahead with them. Against Statements and certificates.
struct ForgedCertificates: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        let count = max(1, context.parameters.quorums.quorum - 1 - context.conspirators(of: campaign.key).count)
        let few = context.generator.shuffled(context.positions).prefix(count).sorted()
        return context.prepares(version, at: few, justification: campaign.base)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks <= 3, let tried = campaign.tried.first, tried.certificate == nil else { return [] }
        let version = tried.version
        let placement = context.placement(of: version.key)
        var forgeries = [
            context.forgedCertificate(version.key, version.timestamp, with: tried.statements),
            placement.certificate(of: version.timestamp, tried.statements),
            placement.certificate(
                of: version.timestamp,
                Array(
                    Array(repeating: tried.statements, count: context.positions.count).joined()
                        .prefix(context.parameters.quorums.quorum))),
        ]
        if let base = campaign.base {
            forgeries.append(placement.certificate(of: version.timestamp, base.statements))
            let alterations = CertificateAlteration.allCases
            forgeries.append(
                alterations[context.generator.below(alterations.count)].apply(to: base, &context.generator))
        }
        let ahead = context.attempt(campaign.key, counter: version.timestamp.counter &+ 1)
        let forgery = forgeries[context.generator.below(forgeries.count)]
        return context.toAll(version.commit(forgery)) + context.prepares(ahead, justification: forgery)
    }
}

/// Writes, deletes, and then brings out every certificate from before the deletion, by COMMIT and by justification.
/// Against Write, "a tombstone's certificate is kept for ever" (scenario 13).
struct Resurrection: AttackScript {
    var lifetimeTicks: Int { 8 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        return context.prepares(version, justification: campaign.base)
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        let commits = context.toAll(version.commit(certificate))
        guard campaign.tried.count == 1 else {
            // Somebody misses the deletion.
            return Array(commits.dropLast(context.parameters.quorums.faults))
        }
        let deletion = context.attemptDeletion(campaign.key, counter: version.timestamp.counter &+ 1)
        campaign.watch(deletion)
        return commits + context.prepares(deletion, justification: certificate)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard let written = campaign.tried.first, let certificate = written.certificate,
            campaign.tried.count > 1, campaign.tried[1].certificate != nil, campaign.ageTicks % 2 == 0
        else { return [] }
        let deletion = campaign.tried[1].version.timestamp
        let older = context.conspiracy.certificates(of: campaign.key).compactMap { seen -> Request? in
            guard seen.certificate.timestamp < deletion else { return nil }
            return .commit(Commit(key: seen.key, certificate: seen.certificate))
        }
        let again = context.attempt(campaign.key, counter: written.version.timestamp.counter &+ 1)
        return older.prefix(6).flatMap { context.toAll($0) } + context.toAll(written.version.commit(certificate))
            + context.prepares(written.version, justification: campaign.base)
            + context.prepares(again, justification: certificate)
    }
}

/// Tells servers of descriptors that are not theirs to keep: of versions that nobody has committed, and other versions'
/// under the timestamp of one that it has. Against Write, step 4: a descriptor is believed by its digest, and kept of a
/// committed version only.
struct FalseDescriptions: AttackScript {
    var lifetimeTicks: Int { 6 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        // Some servers will commit it without having its descriptor.
        let quorum = context.parameters.quorums.quorum
        let few = Array(context.generator.shuffled(context.positions).prefix(quorum)).sorted()
        return context.prepares(version, at: few, justification: campaign.base)
            + context.toAll(.describe(Self.descriptor(of: version)))
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        let other = context.attempt(campaign.key, counter: version.timestamp.counter &+ 1)
        let swapped = Describe(key: version.key, timestamp: version.timestamp, descriptor: other.descriptor)
        return context.toAll(version.commit(certificate)) + context.toAll(.describe(swapped))
            + context.toAll(.describe(Self.descriptor(of: other)))
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard let tried = campaign.tried.first, let certificate = tried.certificate else { return [] }
        let strange = context.attempt(campaign.key, counter: tried.version.timestamp.counter &+ 1)
        let described = Describe(
            key: tried.version.key, timestamp: tried.version.timestamp,
            descriptor: campaign.ageTicks % 2 == 0 ? tried.version.descriptor : strange.descriptor)
        return context.toAll(tried.version.commit(certificate)) + context.toAll(.describe(described))
    }

    private static func descriptor(of version: ForgedVersion) -> Describe {
        Describe(key: version.key, timestamp: version.timestamp, descriptor: version.descriptor)
    }
}
