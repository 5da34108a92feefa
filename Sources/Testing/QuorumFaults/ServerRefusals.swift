// Servers that refuse what they should grant, and answer what was not asked (docs/protocol.md, When servers are full;
// What bad input gets).

import ErasureCode
import Fingerprint
import QuorumProtocol

/// Refuses most requests, each time for another reason, and never for a true one. Against Write and Read: f refusals
/// are neither hopeless nor a reason to change anything.
struct RefusingServer: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard context.generator.chance(percent: 75) else { return .pass(request) }
        return .answer([.refused(Self.refusal(of: request, from: client, &context))])
    }

    static func refusal(of request: Request, from client: ClientID, _ context: inout FaultContext) -> Refusal {
        let refusals: [Refusal] = [
            .busy, .storageFull, .storageFailed, .notEntitled(.client(client)), .digestMismatch, .foreignDescriptor,
            .foreignTimestamp(writer: client, sender: ClientID(high: 0, low: 0)),
            .justificationRequired(committedCounter: 0), .justificationRequired(committedCounter: .max),
            .counterSkipped(got: .max, highestAllowed: 0), .invalidAdmission(have: 0, need: .max),
            .invalidCertificate(.invalidSignature(context.node)), .tooManyPending([]),
            .foreignGroup(GroupID(.max), expected: GroupID(0)), .unknownEpoch(.max, newest: 0),
            .foreignPosition(Position(.max), expected: Position(0)),
            .wrongFragmentCount(got: .min, expected: .max), .tooManyStripes(got: .max, limit: 0),
            .invalidFragment(StripeIndex(.max), .hashMismatch(FragmentIndex(.max))),
        ]
        return refusals[context.generator.below(refusals.count)]
    }
}

/// Says it is full of this writer's versions and names some that the writer never wrote, signed with its own key.
/// Against When servers are full: a version counts when m servers have signed it, so liars cannot have a client finish
/// what it never wrote.
struct PendingFabricator: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard case .prepare(let prepare) = request else { return .pass(request) }
        // The same inventions for one PREPARE however often it is sent, and at every conspirator.
        var inventions = SeededGenerator(seed: prepare.timestamp.counter &+ prepare.timestamp.writer.low)
        let count =
            context.parameters.limits.pendingVersionsPerClientMax + (context.generator.chance(percent: 30) ? 9 : 0)
        let versions = (0..<count).map { position -> PendingVersion in
            let value = Array("never written \(position): ".utf8) + inventions.bytes(count: 8)
            let version = ForgedVersion.make(
                key: prepare.key, value: value, counter: prepare.timestamp.counter, writer: prepare.timestamp.writer,
                parameters: context.parameters)
            return PendingVersion(
                timestamp: version.timestamp, descriptor: version.descriptor,
                statement: context.sign(prepare.key, version.timestamp))
        }
        return .answer([.refused(.tooManyPending(versions))])
    }
}

/// Stores every version, and when it is full hides, distorts or swaps those that it holds; asked for their fragments it
/// has none. Against When servers are full (recovery by admission, by committing, by finishing).
struct PendingHider: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        switch reply {
        case .refused(.tooManyPending(let versions)):
            return [.refused(.tooManyPending(distorted(versions, &context)))]
        case .version(let claim, .some):
            guard case .read(let read) = request, let asked = read.version, claim.timestamp.precedes(asked) else {
                return [reply]
            }
            return [.version(claim, nil)]
        case .timestamp, .version, .certificate, .prepared, .committed, .staged, .discarded, .fetched, .held, .refused:
            return [reply]
        }
    }

    private func distorted(_ versions: [PendingVersion], _ context: inout FaultContext) -> [PendingVersion] {
        switch context.generator.below(4) {
        case 0:
            return []
        case 1:
            return Array(versions.prefix(1))
        case 2:
            return versions.indices.map { position in
                PendingVersion(
                    timestamp: versions[position].timestamp, descriptor: versions[position].descriptor,
                    statement: versions[(position + 1) % versions.count].statement
                        .withFlippedSignatureBit(&context.generator))
            }
        default:
            return versions.indices.map { position in
                PendingVersion(
                    timestamp: versions[position].timestamp,
                    descriptor: versions[(position + 1) % versions.count].descriptor,
                    statement: context.sign(
                        versions[position].descriptor.descriptor.key, versions[position].timestamp, .superseded))
            }
        }
    }
}

/// Repeats anything that it ever said, to whomever it said it. Against Write and Read: replies of other phases,
/// operations and objects count for nothing.
struct RepeatingServer: ServerFault {
    private static let rememberedRepliesMax = 48
    private var said: [Reply] = []

    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        if said.count >= Self.rememberedRepliesMax { said.removeFirst() }
        said.append(reply)
        let echoes = (0..<context.generator.within(1...3)).compactMap { _ in context.generator.pick(said) }
        return context.generator.chance(percent: 50) ? echoes + [reply] : [reply, reply] + echoes
    }
}

/// Answers with replies of every type but the right one. Against What bad input gets: an answer to no question.
struct ContraryServer: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        let key = request.key
        let nobodys = context.inflatedTimestamp(above: nil)
        let claim = CommittedClaim(sound: nil)
        let acknowledgement = Reply.committed(nobodys, needsDescriptor: true)
        switch request {
        case .readTimestamp:
            return .answer([.version(claim, nil), acknowledgement, .certificate(claim, nil)])
        case .read:
            return .answer([.timestamp(claim), .prepared(context.sign(key, nobodys), committed: nobodys)])
        case .certificate:
            return .answer([.version(claim, nil), .timestamp(claim)])
        case .describe:
            return .answer([.certificate(claim, nil), .timestamp(claim)])
        case .stage, .discard:
            return .answer([.fetched(FetchedParts(position: Position(0), fragment: nil, page: nil)), acknowledgement])
        case .listHeld, .restate:
            return .answer([.staged, .timestamp(claim)])
        case .fetch:
            return .answer([.staged, .discarded, .version(claim, nil)])
        case .prepare(let prepare):
            return .answer([
                .version(claim, nil), .committed(prepare.timestamp, needsDescriptor: true), .timestamp(claim),
            ])
        case .commit(let commit):
            let timestamp = commit.certificate.timestamp
            return .answer([.prepared(context.sign(key, timestamp), committed: timestamp), .version(claim, nil)])
        }
    }
}
