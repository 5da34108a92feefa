// Byzantine writers whose versions are not what a version should be (docs/protocol.md, Values, descriptors, timestamps;
// Write, step 2).

import ErasureCode
import Fingerprint
import QuorumProtocol

/// Sends some servers fragments that are not the cross-checksum's: other bytes, sizes, positions. Against Write, step 2
/// ("every fragment is good").
struct InconsistentFragments: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version = context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        // Now and then few enough servers get a bad one that the version finds its quorum without them.
        let spoiledMax =
            context.generator.chance(percent: 50) ? context.parameters.quorums.faults : context.positions.count
        let spoiled = context.generator.shuffled(context.positions).prefix(
            context.generator.within(1...max(1, spoiledMax)))
        return context.positions.map { position in
            guard spoiled.contains(position) else {
                return context.to(position, version.prepare(for: position, justification: campaign.base))
            }
            let fragments = Self.spoiled(version.fragments, of: position, &context.generator)
            return context.to(
                position,
                .prepare(
                    Prepare(
                        key: version.key, timestamp: version.timestamp, position: position,
                        descriptor: version.descriptor, fragments: fragments, justification: campaign.base)))
        }
    }

    /// Other fragments than the position's own.
    static func spoiled(
        _ fragments: [[SharedBytes]], of position: Position, _ generator: inout SeededGenerator
    ) -> [SharedBytes] {
        let own = fragments[position.offset]
        switch generator.below(4) {
        case 0:
            let other = fragments[(position.offset + 1 + generator.below(fragments.count - 1)) % fragments.count]
            return other == own ? own.map(\.inverted) : other
        case 1:
            return own.map { $0.count > 0 ? $0[0..<($0.count - 1)] : SharedBytes([0]) }
        case 2:
            return own.map { fragment in
                var bytes = fragment.array
                if bytes.isEmpty { return SharedBytes([0]) }
                bytes[generator.below(bytes.count)] ^= 1
                return SharedBytes(bytes)
            }
        default:
            return own.map(\.inverted)
        }
    }
}

/// Commits to garbage at one server, with the right hash; a conspirator's server knows, signs and serves it. Against
/// Values, "all good fragments of one cross-checksum encode the same block" (scenario 1). Where PREPARE checks no more
/// than hashes, every server takes it, and so it does garbage everywhere: against Verification modes (scenarios 2 and
/// 4).
struct PoisonedCrossChecksums: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard context.parameters.mode == .fingerprint else {
            // No attempt of the client's: nobody may ever return it.
            let victim = context.onePosition()
            let version = ForgedVersion.make(
                key: campaign.key, value: context.freshValue(), counter: campaign.nextCounter, writer: context.client,
                parameters: context.parameters,
                soundness: context.generator.chance(percent: 50) ? .garbage(at: victim) : .unrelated)
            campaign.watch(version)
            // At no more servers than certify it, every correct one of those is needed to see that it is poisonous.
            let few = context.generator.shuffled(context.positions).prefix(context.parameters.quorums.quorum)
            let isEverywhere = context.generator.chance(percent: 50)
            return context.prepares(version, at: isEverywhere ? nil : few.sorted(), justification: campaign.base)
        }
        let friend = context.generator.pick(context.conspirators(of: campaign.key))?.node
        let victim = friend.flatMap { context.placement(of: campaign.key).position(of: $0) } ?? context.onePosition()
        let version = context.attempt(campaign.key, counter: campaign.nextCounter, soundness: .garbage(at: victim))
        if let friend { context.conspiracy.agree(on: version, garbageAt: friend) }
        campaign.watch(version)
        return context.prepares(version, justification: campaign.base)
    }
}

/// Commits to fingerprints that have nothing to do with the hashes, and then claims a certificate all the same. Against
/// Values (fingerprints under the key derived from the hashes): no correct server may sign, so that no reader may ever
/// return such a value, which is why it is not among the client's attempts. Where there are no fingerprints, a sound
/// version.
struct ArbitraryFingerprints: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let version =
            context.parameters.mode == .fingerprint
            ? ForgedVersion.make(
                key: campaign.key, value: context.freshValue(), counter: campaign.nextCounter, writer: context.client,
                parameters: context.parameters, soundness: .arbitraryFingerprints)
            : context.attempt(campaign.key, counter: campaign.nextCounter)
        campaign.watch(version)
        return context.prepares(version, justification: campaign.base)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks == 2, let tried = campaign.tried.first else { return [] }
        let certificate = context.forgedCertificate(campaign.key, tried.version.timestamp, with: tried.statements)
        return context.toAll(tried.version.commit(certificate))
    }
}

/// Sends each server one of several versions under one counter, and mixes their statements. Against Values ("one
/// timestamp never names two values") and Statements and certificates.
struct SplitDescriptors: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let versions = (0..<context.generator.within(2...3)).map { _ in
            context.attempt(campaign.key, counter: campaign.nextCounter)
        }
        for version in versions { campaign.watch(version) }
        return context.positions.map { position in
            let version = versions[context.generator.below(versions.count)]
            return context.to(position, version.prepare(for: position, justification: campaign.base))
        }
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks == 2, campaign.tried.allSatisfy({ $0.certificate == nil }) else { return [] }
        let mixed = campaign.tried.flatMap(\.statements)
        return campaign.tried.flatMap { tried in
            context.toAll(
                tried.version.commit(
                    context.forgedCertificate(campaign.key, tried.version.timestamp, with: tried.statements)))
                + context.toAll(
                    tried.version.commit(
                        context.placement(of: campaign.key).certificate(
                            of: tried.version.timestamp, Array(mixed.prefix(context.parameters.quorums.quorum)))))
        }
    }
}

/// Breaks the shape of requests: digests, descriptors, counts and stripes that do not fit each other. Against What bad
/// input gets: a typed refusal, and no state changed.
struct MalformedRequests: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let (key, counter) = (campaign.key, campaign.nextCounter)
        let version = context.attempt(key, counter: counter)
        let other = context.attempt(key, counter: counter)
        let deletion = context.attemptDeletion(key, counter: counter)
        let elsewhere = (try? ObjectKey(bytes: key.bytes + Array("~".utf8))) ?? key
        let placement = context.placement(of: key)
        let own = { (position: Position) in version.fragments[position.offset] }
        let doubled = Self.doubled(version, &context)
        var outgoing: [Outgoing] = []
        for position in context.positions {
            let server = placement.node(at: position)
            let malformed: [(Timestamp, SealedDescriptor, [SharedBytes], ObjectKey)] = [
                (version.timestamp, other.descriptor, own(position), key),
                (version.timestamp, version.descriptor, own(position), elsewhere),
                (version.timestamp, version.descriptor, [], key),
                (version.timestamp, version.descriptor, own(position) + own(position), key),
                (version.timestamp, version.descriptor, Array(repeating: SharedBytes(), count: 300), key),
                (deletion.timestamp, deletion.descriptor, [SharedBytes([1])], key),
            ]
            let chosen = malformed[context.generator.below(malformed.count)]
            outgoing.append(
                Outgoing(
                    server,
                    .prepare(
                        Prepare(
                            key: chosen.3, timestamp: chosen.0, position: position, descriptor: chosen.1,
                            fragments: chosen.2, justification: campaign.base)),
                    route: placement.route))
            outgoing.append(Outgoing(server, doubled.prepare(for: position, justification: campaign.base)))
            if let base = campaign.base {
                let commits = [
                    Commit(key: elsewhere, certificate: base),
                    Commit(key: key, certificate: placement.certificate(of: version.timestamp, [])),
                    Commit(key: key, certificate: base.altered(timestamp: version.timestamp)),
                ]
                outgoing.append(
                    Outgoing(
                        server, .commit(commits[context.generator.below(commits.count)]), route: placement.route))
            }
            outgoing.append(Outgoing(server, .certificate(key, version.timestamp)))
            outgoing.append(
                Outgoing(
                    server,
                    .describe(Describe(key: elsewhere, timestamp: version.timestamp, descriptor: version.descriptor)),
                    route: placement.route))
            outgoing.append(
                Outgoing(
                    server,
                    .read(Read(key: key, version: version.timestamp.altered(counter: .max), portion: .fragments))))
        }
        return outgoing
    }

    /// The version's value twice in two stripes: more than one PREPARE may carry today.
    private static func doubled(_ version: ForgedVersion, _ context: inout ClientFaultContext) -> ForgedVersion {
        let descriptor = version.descriptor.descriptor
        let sealed = SealedDescriptor(
            Descriptor(
                value: version.key, lengthBytes: 2 * descriptor.lengthBytes,
                stripeSizeBytes: UInt32(descriptor.lengthBytes), stripes: descriptor.stripes + descriptor.stripes,
                metadata: ObjectMetadata(), parameters: context.parameters))
        let timestamp = version.timestamp.altered(digest: sealed.digest)
        if let value = context.attempts.first(where: { $0.timestamp == version.timestamp })?.value {
            context.enter(AttemptedWrite(key: version.key, value: value + value, timestamp: timestamp))
        }
        return ForgedVersion(
            timestamp: timestamp, descriptor: sealed, fragments: version.fragments.map { $0 + $0 })
    }
}
