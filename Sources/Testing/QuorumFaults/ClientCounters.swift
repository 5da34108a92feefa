// Byzantine writers that count as they like, in whose name they like, as often as they like (docs/protocol.md,
// Promises: no exhaustion, bounded leftovers; Write, step 2).

import Fingerprint
import QuorumProtocol

/// Skips counters, with the base's certificate, without any, and with that certificate under a higher timestamp.
/// Against Promises (no exhaustion): the counter is at most one above what is committed.
struct SkippedCounters: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let next = campaign.nextCounter
        var outgoing: [Outgoing] = []
        for step in [1, 2, 1 << 40, UInt64.max] {
            let (ahead, overflow) = next.addingReportingOverflow(step)
            let version = context.attempt(campaign.key, counter: overflow ? .max : ahead)
            campaign.watch(version)
            let inflated = campaign.base.map { base in
                base.altered(timestamp: base.timestamp.altered(counter: version.timestamp.counter - 1))
            }
            let justifications = [nil, campaign.base, inflated]
            let justification = justifications[context.generator.below(justifications.count)]
            outgoing += context.prepares(version, justification: justification)
        }
        return outgoing
    }
}

/// Uses counters again: the committed one, those below it, and one twice at once, each time for another value. Against
/// Values ("one timestamp never names two values") and Write, step 2 (*superseded*).
struct ReusedCounters: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let next = campaign.nextCounter
        let counters = [next, next, max(1, next - 1), 1]
        return counters.flatMap { counter in
            let version = context.attempt(campaign.key, counter: counter)
            campaign.watch(version)
            return context.prepares(version, justification: campaign.base)
        }
    }
}

/// Writes in another client's name. Against Write, step 2: the channel's client is the timestamp's writer. No correct
/// server may sign, so no reader may ever return such a value, which is why it is not among the client's attempts.
struct ForeignIdentity: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let name = context.generator.pick(context.others) ?? ClientID(high: .max, low: context.client.low)
        let value = context.generator.chance(percent: 80) ? context.freshValue() : nil
        let version = ForgedVersion.make(
            key: campaign.key, value: value, counter: campaign.nextCounter, writer: name,
            parameters: context.parameters)
        campaign.watch(version)
        return context.prepares(version, justification: campaign.base)
    }

    mutating func aged(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        guard campaign.ageTicks == 2, let tried = campaign.tried.first else { return [] }
        return context.toAll(
            tried.version.commit(
                context.forgedCertificate(campaign.key, tried.version.timestamp, with: tried.statements)))
    }
}

/// Leaves more than K versions pending, at changing servers, and forces its way in with admissions that are none.
/// Against Promises (bounded leftovers) and Write, step 2 (K pending versions, admission).
struct PendingAbuse: AttackScript {
    mutating func attack(_ campaign: inout Campaign, _ context: inout ClientFaultContext) -> [Outgoing] {
        let count = context.parameters.limits.pendingVersionsPerClientMax + 3
        return (0..<count).flatMap { _ in
            let version = context.attempt(campaign.key, counter: campaign.nextCounter)
            let isEverywhere = context.generator.chance(percent: 50)
            return context.prepares(
                version, at: isEverywhere ? nil : context.somePositions(), justification: campaign.base,
                admission: context.generator.chance(percent: 50) ? admission(version, context) : [])
        }
    }

    /// f + 1 statements of too few servers: the conspirators', again and again, under their own and under other names.
    private func admission(_ version: ForgedVersion, _ context: ClientFaultContext) -> [SignedStatement] {
        let placement = context.placement(of: version.key)
        let genuine = context.conspirators(of: version.key).map {
            $0.signing(version.key, version.timestamp, in: placement.scope)
        }
        let seen = context.conspiracy.statements.last { $0.key == version.key }.map { [$0.signed] } ?? []
        let model = genuine.last ?? seen.last
        let renamed = model.map { model in placement.nodes.map { model.altered(node: $0) } } ?? []
        return Array((genuine + genuine + renamed).prefix(2 * context.parameters.quorums.vouchers))
    }
}
