// Servers that lie about groups, epochs and positions (docs/protocol.md, Statements and certificates).

import ErasureCode
import QuorumProtocol

/// Shows certificates of another group: genuine ones under that group's name, and statements that it and its
/// conspirators have signed as members of that group, under its name or under that of the object's. Against Statements
/// and certificates: groups may have a quorum in common, and yet only the one that has the object's slot speaks for it.
struct ForeignGroupServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        let placement = context.placement(of: key)
        let others = context.parameters.configuration.groups.filter { $0.id != placement.group.id }
        let other = context.generator.pick(others)
        let otherID = other?.id ?? GroupID(placement.group.id.rawValue &+ 1)
        if let certificate = context.newestCertificate(genuine, key), context.generator.chance(percent: 40) {
            return FalseClaim(certificate: certificate.altered(group: otherID))
        }
        let version = context.fabricate(key, above: genuine.timestamp)
        let members = other?.members ?? placement.group.members
        let scope = placement.scope.altered(group: otherID)
        let signed = context.conspiracy.signers.filter { members.contains($0.node) }
            .map { $0.signing(key, version.timestamp, in: scope) }
        let isNamed = context.generator.chance(percent: 50)
        // Under the name of the object's group none may be missing there.
        let possible = isNamed ? members : members.filter(placement.group.contains) + placement.nodes
        return FalseClaim(
            certificate: context.filled(
                signed.filter { possible.contains($0.node) }, of: possible, count: context.parameters.quorums.quorum,
                version.timestamp
            ).altered(group: isNamed ? otherID : placement.group.id),
            parts: context.parts(of: version))
    }
}

/// Shows certificates of another epoch: genuine ones under the name of one that is unknown or was before, and
/// statements that it and its conspirators have signed in that epoch, as many as it took there. Against Statements and
/// certificates: a certificate is judged by the epoch that it names, and by none when that is not known.
struct ForeignEpochServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        let configuration = context.parameters.configuration
        let epochs = [configuration.epoch + 1, configuration.epoch - 1, .max]
        let epoch = epochs[context.generator.below(epochs.count)]
        if let certificate = context.newestCertificate(genuine, key), context.generator.chance(percent: 50) {
            return FalseClaim(certificate: certificate.altered(epoch: epoch))
        }
        let version = context.fabricate(key, above: genuine.timestamp)
        let placement = Placement(
            key, in: context.parameters.history.configuration(of: epoch) ?? configuration)
        let scope = placement.scope.altered(epoch: epoch)
        let signed = context.conspiracy.signers.filter { placement.group.contains($0.node) }
            .map { $0.signing(key, version.timestamp, in: scope) }
        let quorum = placement.configuration.quorums.quorum
        return FalseClaim(
            certificate: context.filled(signed, of: placement.nodes, count: quorum, version.timestamp)
                .altered(epoch: epoch, group: placement.group.id),
            parts: context.parts(of: version))
    }
}

extension FaultContext {
    /// The statements given, and the liar's own on nothing in the names of as many other members as are missing.
    fileprivate func filled(
        _ signed: [SignedStatement], of members: [NodeID], count: Int, _ timestamp: Timestamp
    ) -> Certificate {
        var statements = Array(signed.prefix(count))
        guard let model = statements.last else {
            return Certificate(
                epoch: parameters.configuration.epoch, group: GroupID(0), timestamp: timestamp, statements: [])
        }
        for member in members where statements.count < count {
            guard !statements.contains(where: { $0.node == member }) else { continue }
            statements.append(model.altered(node: member))
        }
        return Certificate(
            epoch: parameters.configuration.epoch, group: GroupID(0), timestamp: timestamp, statements: statements)
    }
}

/// Has all conspirators sign, also those that are no members of the object's group: for versions that nobody wrote, for
/// pending ones, and to call sound ones poisonous. Against Statements and certificates: at most f of a group are liars,
/// but of all servers there may be more.
struct StrangersServer: ServerFault {
    private var claims = Claims()

    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        if case .prepared(_, let committed) = reply, case .prepare(let prepare) = request {
            let signed = Self.signed(prepare.key, prepare.timestamp, .stored, context)
            return [.prepared(context.generator.pick(signed) ?? signed[0], committed: committed)]
        }
        guard context.parameters.mode.verifiesLater, context.generator.chance(percent: 50) else {
            return claims.send(reply, to: client, answering: request, &context)
        }
        return [
            rewritten(reply) { claim in
                guard let named = claim.versions.last else { return claim }
                return CommittedClaim(
                    sound: claim.versions.dropLast().last,
                    poisonous: [
                        PoisonousVersion(
                            timestamp: named.timestamp,
                            statements: Self.signed(request.key, named.timestamp, .poisonous, context))
                    ])
            }
        ]
    }

    /// Those of all conspirators; without a stranger among them, the liar's own under the name of one.
    static func signed(
        _ key: ObjectKey, _ timestamp: Timestamp, _ claim: Claim, _ context: FaultContext
    ) -> [SignedStatement] {
        let placement = context.placement(of: key)
        let signed = context.conspiracy.signers.map { $0.signing(key, timestamp, claim, in: placement.scope) }
        if signed.contains(where: { !placement.group.contains($0.node) }) { return signed }
        return signed + [context.sign(key, timestamp, claim).altered(node: NodeID(.max))]
    }

    private struct Claims: ClaimLiar {
        mutating func claim(
            inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
        ) -> FalseClaim? {
            let pending = context.conspiracy.parts.filter { $0.key == key && genuine.timestamp.precedes($0.timestamp) }
            let seen = context.generator.pick(pending)
            let isPending = context.generator.chance(percent: 60)
            let invented = context.fabricate(key, above: genuine.timestamp)
            let timestamp = isPending ? seen?.timestamp ?? invented.timestamp : invented.timestamp
            let known = context.conspiracy.statements(on: timestamp, of: key)
            return FalseClaim(
                certificate: context.forgedCertificate(
                    key, timestamp, with: StrangersServer.signed(key, timestamp, .stored, context) + known),
                parts: isPending && seen != nil
                    ? context.seenParts(key, timestamp) : context.parts(of: invented))
        }
    }
}

/// Serves its fragments as another position's, and those of another position, which a conspirator holds, as its own or
/// as what they are. Against Read, step 2: an answer says which position's fragments it carries, and each server holds
/// one.
struct ForeignPositionServer: PartsLiar {
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts? {
        let count = context.parameters.quorums.serverCount
        let step = context.generator.within(1...max(1, count - 1))
        let foreign = Position(UInt8((genuine.position.offset + step) % count))
        let placement = context.placement(of: key)
        let seen = context.conspiracy.parts(of: genuine.timestamp, at: placement.node(at: foreign))
        if let seen, genuine.fragments != nil, seen.fragments != genuine.fragments {
            return HeldParts(
                timestamp: genuine.timestamp,
                position: context.generator.chance(percent: 50) ? foreign : genuine.position,
                descriptor: genuine.descriptor, fragments: seen.fragments)
        }
        return HeldParts(
            timestamp: genuine.timestamp, position: foreign, descriptor: genuine.descriptor,
            fragments: genuine.fragments)
    }
}
