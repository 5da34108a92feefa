// A server that lies at random, as well as it can: with its own key, what it saw go by, and nobody's help.

import ErasureCode
import Fingerprint
import QuorumProtocol

enum Liar {
    /// Puts `server` under a liar's control; it behaves itself every other time.
    static func install(on server: Position, of simulation: Simulation) {
        var seen: [Reply] = []
        simulation.lies[server] = { simulation, _, request in
            guard simulation.generator.chance(percent: 40) else { return nil }
            return answer(of: server, to: request, seen: seen, simulation)
        }
        simulation.rewrites[server] = { simulation, _, reply in
            if seen.count < 32 { seen.append(reply) }
            guard simulation.generator.chance(percent: 30) else { return [reply] }
            return [rewritten(reply, of: server, simulation)]
        }
    }

    private static func answer(
        of server: Position, to request: Request, seen: [Reply], _ simulation: Simulation
    ) -> [Reply] {
        let group = simulation.group
        switch Int.random(in: 0..<6, using: &simulation.generator) {
        case 0: return []
        case 1: return [.refused(refusals.randomElement(using: &simulation.generator)!)]
        case 2:
            // Anything it ever said, to whomever.
            return seen.randomElement(using: &simulation.generator).map { [$0, $0] } ?? []
        default: break
        }
        switch request {
        case .readTimestamp(let key):
            return [.timestamp(claim(key, of: server, simulation))]
        case .read(let read):
            let garbage = group.version(read.key, "garbage", counter: 9, writer: .mallory)
            let parts = HeldParts(
                timestamp: read.version ?? garbage.timestamp, position: server, descriptor: garbage.descriptor,
                fragments: garbage.fragments[server.offset])
            return [.version(claim(read.key, of: server, simulation), parts)]
        case .prepare(let prepare):
            // It signs without storing; sometimes for itself in another's name, or another version.
            let claim: Claim = simulation.generator.chance(percent: 50) ? .stored : .superseded
            let signer =
                simulation.generator.chance(percent: 70)
                ? server : group.servers.randomElement(using: &simulation.generator)!
            let key = simulation.generator.chance(percent: 80) ? prepare.key : .other
            let own = group.statement(of: server, key, prepare.timestamp, claim)
            let statement = SignedStatement(
                node: group.node(signer), incarnation: own.incarnation, claim: own.claim, leafIndex: 0, leafCount: 1,
                path: [],
                signature: own.signature)
            return [.prepared(statement, committed: nil)]
        case .certificate(let key, let timestamp):
            // A version that it does not claim, one that it does, or nothing of the kind.
            let claimed = claim(key, of: server, simulation)
            guard simulation.generator.chance(percent: 70) else { return [.certificate(claimed, nil)] }
            return [group.proof(of: claimed, asked: timestamp)]
        case .commit(let commit):
            let needsDescriptor = simulation.generator.chance(percent: 50)
            return [.committed(commit.certificate.timestamp, needsDescriptor: needsDescriptor)]
        case .describe(let describe):
            let needsDescriptor = simulation.generator.chance(percent: 50)
            return [.committed(describe.timestamp, needsDescriptor: needsDescriptor)]
        case .stage: return [.staged]
        case .discard: return [.discarded]
        case .listHeld: return [.held(.versions([])), .held(.staged([]))]
        case .restate: return [.refused(.notHeld), .staged]
        case .fetch: return [.fetched(FetchedParts(position: server, fragment: nil, page: nil))]
        }
    }

    /// Nothing at all, or a huge timestamp with a forged certificate.
    private static func claim(_ key: ObjectKey, of server: Position, _ simulation: Simulation) -> CommittedClaim {
        guard simulation.generator.chance(percent: 60) else { return CommittedClaim(certificate: nil) }
        let version = simulation.group.version(
            key, "garbage", counter: UInt64.random(in: 1...9, using: &simulation.generator), writer: .mallory)
        return CommittedClaim(
            certificate: simulation.group.forgedCertificate(key, version.timestamp, liar: server))
    }

    private static func rewritten(_ reply: Reply, of server: Position, _ simulation: Simulation) -> Reply {
        switch reply {
        case .version(let claim, let parts?):
            let garbage = parts.fragments?.map { SharedBytes($0.array.map { $0 ^ 0x55 }) }
            return .version(
                claim,
                HeldParts(
                    timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                    fragments: garbage))
        case .version(let claim, nil), .timestamp(let claim):
            guard let sound = claim.sound else { return reply }
            // A certificate that it has, of a version that there is not.
            let forged = CommittedClaim(
                sound: ClaimedVersion(inflated(sound.timestamp), certificateDigest: sound.certificateDigest))
            if case .timestamp = reply { return .timestamp(forged) }
            return .version(forged, nil)
        case .certificate(let claim, let certificate?):
            // The certificate that goes with that claim, or a true one under an inflated timestamp.
            let altered = simulation.group.certificate(inflated(certificate.timestamp), certificate.statements)
            guard simulation.generator.chance(percent: 50) else { return .certificate(claim, altered) }
            return .certificate(CommittedClaim(certificate: altered), altered)
        case .certificate(_, nil):
            return reply
        case .fetched(let parts):
            let garbage = parts.fragment.map { SharedBytes($0.array.map { $0 ^ 0x55 }) }
            return .fetched(
                FetchedParts(
                    position: parts.position, fragment: garbage, page: parts.page.map { [1] + $0 }, tag: parts.tag))
        case .prepared, .committed, .staged, .discarded, .held, .refused:
            return .refused(.storageFull)
        }
    }

    private static func inflated(_ timestamp: Timestamp) -> Timestamp {
        Timestamp(counter: timestamp.counter + 1, writer: timestamp.writer, digest: timestamp.digest)
    }

    private static let refusals: [Refusal] = [
        .busy, .storageFull, .storageFailed, .justificationRequired(committedCounter: 0), .tooManyPending([]),
        .counterSkipped(got: 1, highestAllowed: 0), .digestMismatch,
    ]
}
