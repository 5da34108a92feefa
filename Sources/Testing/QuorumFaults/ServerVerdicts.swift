// Servers that lie about which committed versions are sound, in the modes that verify later (docs/protocol.md,
// Verification modes).

import QuorumProtocol

/// Rewrites what a reply claims, and leaves everything else as it is.
func rewritten(_ reply: Reply, _ rewrite: (CommittedClaim) -> CommittedClaim) -> Reply {
    switch reply {
    case .timestamp(let claim): .timestamp(rewrite(claim))
    case .version(let claim, let parts): .version(rewrite(claim), parts)
    case .certificate(let claim, let certificate): .certificate(rewrite(claim), certificate)
    case .prepared, .committed, .staged, .discarded, .fetched, .held, .refused: reply
    }
}

/// Calls committed versions poisonous, with its own and its conspirators' signatures, and now and then with as many
/// more in others' names as it takes. Against Verification modes: it takes f + 1 servers' statements, each verified,
/// and one of them is correct.
struct FalselyPoisoningServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard context.generator.chance(percent: 70) else { return [reply] }
        let spared = context.generator.below(2)
        let forges = context.parameters.mode.verifiesLater && context.generator.chance(percent: 50)
        return [
            rewritten(reply) { claim in
                let named = claim.versions.dropFirst(spared)
                guard let lowest = named.first else { return claim }
                let poisonous = named.map { version in
                    PoisonousVersion(
                        timestamp: version.timestamp,
                        statements: statements(request.key, version.timestamp, forges: forges, context))
                }
                let kept = claim.versions.first { $0.timestamp < lowest.timestamp }
                return CommittedClaim(sound: kept, poisonous: poisonous)
            }
        ]
    }

    private func statements(
        _ key: ObjectKey, _ timestamp: Timestamp, forges: Bool, _ context: FaultContext
    ) -> [SignedStatement] {
        let own = context.sign(key, timestamp, .poisonous)
        let colluding = context.conspirators(key, timestamp, .poisonous).filter { $0.node != context.node }
        var statements = [own] + colluding
        guard forges else { return statements }
        let vouchers = context.parameters.quorums.vouchers
        for member in context.placement(of: key).group.members where statements.count < vouchers {
            if !statements.contains(where: { $0.node == member }) { statements.append(own.altered(node: member)) }
        }
        return statements
    }
}

/// Vouches for the highest committed version, sound or not, and hides those below it. Against Verification modes: f + 1
/// servers have to vouch for a version, and what one hides the others show.
struct FalselyVouchingServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        [rewritten(reply) { CommittedClaim(sound: $0.versions.last) }]
    }
}
