// Servers that name committed versions and do not prove them as they should (docs/protocol.md, Claims).

import Fingerprint
import QuorumProtocol

/// Names, above what is true, a version by the digest of a certificate that does not exist; asked for it, it says
/// nothing, that it has none, or shows a genuine one of another version. Against Claims: what names something above
/// the highest valid version does not count, and never keeps the others from being enough.
struct InventingServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        if case .certificate(let genuine, let certificate) = reply {
            let invented = Self.claim(above: genuine, of: request.key, &context)
            switch context.generator.below(4) {
            case 0: return []
            case 1: return [.certificate(invented, nil)]
            case 2: return [.certificate(invented, certificate)]
            default: return [.refused(.busy)]
            }
        }
        guard context.generator.chance(percent: 70) else { return [reply] }
        switch reply {
        case .timestamp(let genuine): return [.timestamp(Self.claim(above: genuine, of: request.key, &context))]
        case .version(let genuine, let parts):
            return [.version(Self.claim(above: genuine, of: request.key, &context), parts)]
        case .certificate, .prepared, .committed, .staged, .discarded, .fetched, .held, .refused: return [reply]
        }
    }

    /// Of a version that is invented, or one that is merely pending, so that some correct servers know it.
    private static func claim(
        above genuine: CommittedClaim, of key: ObjectKey, _ context: inout FaultContext
    ) -> CommittedClaim {
        let pending = context.conspiracy.parts.filter { $0.key == key && genuine.timestamp.precedes($0.timestamp) }
        let timestamp =
            context.generator.pick(pending)?.timestamp ?? context.inflatedTimestamp(above: genuine.timestamp)
        guard genuine.timestamp.precedes(timestamp) else { return genuine }
        let invented = ClaimedVersion(timestamp, certificateDigest: context.randomDigest())
        guard context.parameters.mode.verifiesLater else { return CommittedClaim(sound: invented) }
        return CommittedClaim(
            sound: genuine.sound, unverified: genuine.unverified + [invented],
            poisonous: genuine.poisonous.filter { $0.timestamp != timestamp })
    }
}

/// Names what is true, and keeps the certificate to itself. Against Claims: of f + 1 servers that are asked one is
/// correct, and who asks again asks others.
struct WithholdingProofServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .certificate(let genuine, _) = reply else { return [reply] }
        switch context.generator.below(3) {
        case 0: return []
        case 1: return [.certificate(genuine, nil)]
        default: return [.refused(context.generator.chance(percent: 50) ? .busy : .storageFailed)]
        }
    }
}

/// Answers with another certificate than its claim beside it names, or with an altered one that it does name. Against
/// Claims: a certificate is believed by its signatures, and shows its server up when it is not what was named.
struct SwappingProofServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .certificate(let genuine, let certificate?) = reply else { return [reply] }
        let others = context.conspiracy.certificates.filter { $0.certificate != certificate }
        if let other = context.generator.pick(others), context.generator.chance(percent: 50) {
            return [.certificate(genuine, other.certificate)]
        }
        let alterations = CertificateAlteration.allCases
        let alteration = alterations[context.generator.below(alterations.count)]
        let altered = alteration.apply(to: certificate, &context.generator)
        return [
            .certificate(
                context.generator.chance(percent: 50) ? CommittedClaim(certificate: altered) : genuine, altered)
        ]
    }
}
