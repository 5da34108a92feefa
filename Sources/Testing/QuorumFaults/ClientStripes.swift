// Byzantine writers of large values, whose stripes are not the same everywhere (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint
import QuorumProtocol

/// Stages other stripes at some servers, or none, prepares a version of the one or the other, and stages what is held
/// anew, before and after its COMMIT. Against Large values: a server answers *stored* only if it has just what the
/// version names, and keeps it. Where STAGE checks no more than hashes one of the stripes may be garbage under the right
/// hash everywhere: nobody may ever return such a value.
struct OtherStripes: AttackScript {
    private var prepares: [Outgoing] = []
    private var stages: [Outgoing] = []
    private var spoils: [Outgoing] = []
    private var commit: Request?

    var lifetimeTicks: Int { 6 }

    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        (prepares, stages, spoils, commit) = ([], [], [], nil)
        let parameters = context.parameters
        let size = Self.stripeSizeBytes(parameters)
        let count = context.generator.within(1...3)
        let length = (count - 1) * size + context.generator.within(1...size)
        let attempt = AttemptName(
            stager: context.client, upload: UploadID(high: context.generator.next(), low: 0), part: 1, number: 1)
        let value = context.generator.bytes(count: length)
        let isPoisonous = parameters.mode.verifiesLater && context.generator.chance(percent: 60)
        var honest = Self.stripes(value, attempt, parameters)
        if isPoisonous {
            let victim = context.generator.below(honest.count)
            honest[victim] = ForgedVersion.poisoned(honest[victim], at: context.onePosition())
        }
        let other = Self.stripes(context.generator.bytes(count: length), attempt, parameters)
        let deceived = context.somePositions()
        var outgoing: [Outgoing] = []
        for position in context.positions {
            let stripes = deceived.contains(position) ? other : honest
            for stripe in stripes {
                // Now and then one is missing.
                if deceived.contains(position), context.generator.chance(percent: 30) { continue }
                outgoing.append(context.to(position, Self.stage(stripe, campaign.key, position)))
            }
        }
        let descriptor = SealedDescriptor(
            Descriptor(
                value: campaign.key,
                staged: StagedContents(parts: [
                    StagedPart(
                        attempt: attempt, lengthBytes: UInt64(length), stripeSizeBytes: UInt32(size),
                        named: honest.map(\.crossChecksum))
                ]), metadata: ObjectMetadata(etag: "\(attempt.upload)"), parameters: parameters))
        let version = ForgedVersion(
            timestamp: Timestamp(
                counter: campaign.nextCounter, writer: context.client, digest: descriptor.digest),
            descriptor: descriptor, fragments: context.positions.map { _ in [] })
        if !isPoisonous {
            context.enter(AttemptedWrite(key: campaign.key, value: value, timestamp: version.timestamp))
        }
        campaign.watch(version)
        // The right stripes for the others come later, if at all, and the wrong ones for those that have the version.
        let late = context.generator.chance(percent: 60) ? honest : other
        for position in context.positions {
            for stripe in late { stages.append(context.to(position, Self.stage(stripe, campaign.key, position))) }
        }
        prepares = context.prepares(version, justification: campaign.base)
        spoils = context.positions.flatMap { position in
            other.map { context.to(position, Self.stage($0, campaign.key, position)) }
        }
        return outgoing
    }

    mutating func certified(
        _ version: ForgedVersion, _ certificate: Certificate, _ campaign: inout Campaign,
        _ context: inout ClientFaultContext
    ) -> [Outgoing] {
        commit = version.commit(certificate)
        return spoils
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        switch campaign.ageTicks {
        case 1: return prepares
        case 2: return stages
        case 3: return prepares
        case 4: return spoils
        case 5: return commit.map { context.toAll($0) } ?? []
        default: return spoils
        }
    }

    /// The least that there is.
    private static func stripeSizeBytes(_ parameters: ClusterParameters) -> Int {
        min(Int(StagedLimits.stripeSizeBytesMin), parameters.limits.stripeSizeBytesMax)
    }

    private static func stripes(
        _ value: [UInt8], _ attempt: AttemptName, _ parameters: ClusterParameters
    ) -> [StripeToStage] {
        let size = stripeSizeBytes(parameters)
        return stride(from: 0, to: value.count, by: size).enumerated().map { stripe, start in
            StripeToStage(
                block: SharedBytes(value[start..<min(start + size, value.count)]), attempt: attempt,
                stripeSizeBytes: UInt32(size), stripe: UInt32(stripe), parameters: parameters)
        }
    }

    private static func stage(_ stripe: StripeToStage, _ key: ObjectKey, _ position: Position) -> Request {
        .stage(
            Stage(
                key: key, attempt: stripe.attempt, position: position, stripeSizeBytes: stripe.stripeSizeBytes,
                stripe: stripe.stripe, crossChecksum: stripe.crossChecksum,
                fragment: stripe.fragments[position.offset]))
    }
}
