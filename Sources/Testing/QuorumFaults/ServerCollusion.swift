// Servers that lie together, with each other and with Byzantine clients.

import ErasureCode
import QuorumProtocol

/// Signs for, and serves, the garbage that a Byzantine writer gave it under the right hash. Against Read, "why both
/// hash and fingerprint at read time" (scenario 1).
struct ColludingGarbageServer: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard case .prepare(let prepare) = request,
            context.conspiracy.pact(on: prepare.timestamp, with: context.node) != nil
        else { return .pass(request) }
        let signed = context.sign(prepare.key, prepare.timestamp)
        context.conspiracy.note(signed, of: prepare.key, prepare.timestamp)
        return .answer([.prepared(signed, committed: nil)])
    }

    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .version(let claim, _) = reply, case .read(let read) = request,
            let timestamp = read.version ?? claim.timestamp,
            let pact = context.conspiracy.pact(on: timestamp, with: context.node)
        else { return [reply] }
        return [.version(claim, context.parts(of: pact.version).limited(to: read.portion))]
    }
}

/// Claims versions under certificates made of the conspirators' genuine statements, those of correct servers that were
/// seen, and forgeries for the rest. Against Statements and certificates: q *distinct* servers, of which f may be
/// liars, and against claiming a version that is merely pending.
struct ColludingForger: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        // A version that some correct servers have signed is the most credible.
        let quorum = context.parameters.quorums.quorum
        let signed = context.conspiracy.parts.filter { seen in
            seen.key == key && genuine.timestamp.precedes(seen.timestamp)
                && context.conspiracy.signerCount(on: seen.timestamp, of: key) < quorum
        }
        if let version = context.generator.pick(signed), context.generator.chance(percent: 70) {
            return FalseClaim(
                certificate: context.colludingCertificate(key, version.timestamp),
                parts: HeldParts(
                    timestamp: version.timestamp, position: context.position(of: key), descriptor: version.descriptor,
                    fragments: version.fragments))
        }
        let invented = context.fabricate(key, above: genuine.timestamp)
        return FalseClaim(
            certificate: context.colludingCertificate(key, invented.timestamp),
            parts: context.parts(of: invented))
    }
}

/// Names, like all other conspirators, one and the same version that nobody wrote. Against Write, step 1: f + 1 equal
/// claims are proof, f are not.
struct AgreedFabricator: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        let agreed = context.conspiracy.fabrications.last { $0.key == key && genuine.timestamp.precedes($0.timestamp) }
        let version: ForgedVersion
        if let agreed {
            version = agreed
        } else {
            version = context.fabricate(key, above: genuine.timestamp)
            // The last counter there is cannot be gone above: it would be the last thing agreed on.
            if !genuine.timestamp.precedes(version.timestamp) { return nil }
            context.conspiracy.agree(onFabrication: version)
        }
        return FalseClaim(
            certificate: context.colludingCertificate(key, version.timestamp), parts: context.parts(of: version))
    }
}
