// Servers whose statements and acknowledgements are not what they seem (docs/protocol.md, Statements and certificates;
// Write, steps 2 and 3).

import ErasureCode
import Fingerprint
import QuorumProtocol

/// Signs that it has stored whatever it is sent, acknowledges every COMMIT, and does neither. Against Promises
/// (durability): of q signers f may hold nothing, so m correct ones must.
struct UnstoringServer: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        switch request {
        case .prepare(let prepare):
            .answer([.prepared(context.sign(prepare.key, prepare.timestamp), committed: nil)])
        case .commit(let commit):
            .answer([.committed(commit.certificate.timestamp, needsDescriptor: false)])
        case .describe(let describe):
            .answer([.committed(describe.timestamp, needsDescriptor: false)])
        case .stage:
            .answer([.staged])
        case .discard:
            .answer([.discarded])
        case .restate(let restate):
            .answer([.prepared(context.sign(restate.key, restate.certificate.timestamp), committed: nil)])
        case .read, .readTimestamp, .certificate, .fetch, .listHeld:
            .pass(request)
        }
    }
}

/// Acknowledges changes of which every other one never reaches its disk. Against Promises (durability); a server that
/// lost durable state counts towards f.
struct ForgetfulServer: ServerFault {
    mutating func keeps(_ change: ObjectChange, _ context: inout FaultContext) -> Bool {
        context.generator.chance(percent: 50)
    }
}

/// Makes a few changes durable and none after them: a disk rolled back to a snapshot, again and again. Against Promises
/// (durability) and Read, step 1.
struct FrozenServer: ServerFault {
    private var remaining: Int?

    mutating func keeps(_ change: ObjectChange, _ context: inout FaultContext) -> Bool {
        let before = remaining ?? context.generator.within(1...4)
        remaining = max(0, before - 1)
        return before > 0
    }
}

/// Claims to hold a higher committed version for every PREPARE, and stores none. Against Write, step 2: a certificate
/// may consist of *superseded* statements, of which f may be false.
struct SupersededLiar: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard case .prepare(let prepare) = request else { return .pass(request) }
        let alleged = context.inflatedTimestamp(above: prepare.timestamp)
        return .answer([
            .prepared(
                context.sign(prepare.key, prepare.timestamp, .superseded),
                committed: context.generator.chance(percent: 50) ? alleged : nil)
        ])
    }
}

/// Answers PREPARE with statements that nobody can verify: altered after signing, with trees of the wrong shape, in
/// others' names. Against Statements and certificates, and What bad input gets.
struct UnsoundStatementsServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .prepared(let own, let committed) = reply, case .prepare(let prepare) = request else {
            return [reply]
        }
        return [.prepared(Self.unsound(own, on: prepare, &context), committed: committed)]
    }

    /// A statement that does not verify for the version.
    static func unsound(
        _ own: SignedStatement, on prepare: Prepare, _ context: inout FaultContext
    ) -> SignedStatement {
        let (key, timestamp) = (prepare.key, prepare.timestamp)
        switch context.generator.below(10) {
        case 0: return own.altered(signature: [UInt8](repeating: 0, count: SignedStatement.signatureSizeBytes))
        case 1: return own.withFlippedSignatureBit(&context.generator)
        case 2: return own.altered(node: context.otherServer(of: key))
        case 3: return own.altered(node: NodeID(.max))
        case 4: return own.altered(claim: own.claim == .stored ? .superseded : .stored)
        case 5: return own.altered(incarnation: Incarnation(own.incarnation.rawValue &+ 1))
        case 6: return own.altered(leafIndex: .max, leafCount: .max)
        case 7: return own.altered(path: own.path + own.path + [context.randomDigest()])
        case 8: return own.altered(leafCount: 0)
        default:
            // Two leaves, of which the last is passed off as a third: an odd leaf that was paired with itself.
            let other = timestamp.altered(digest: context.randomDigest())
            let pair = context.signer.signing(
                [(key, other, .stored), (key, timestamp, .stored)], in: context.placement(of: key).scope)
            return pair[1].altered(leafIndex: 2, leafCount: 3, path: pair[1].path + pair[1].path)
        }
    }
}

/// Answers PREPARE with valid signatures of its own for something else: another version, object, epoch, group or
/// verification mode. Against Statements and certificates: the context binds a statement, not what its sender says.
struct ForeignStatementsServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .prepared(_, let committed) = reply, case .prepare(let prepare) = request else { return [reply] }
        return [.prepared(Self.foreign(prepare, &context), committed: committed)]
    }

    /// A statement on something other than the version.
    static func foreign(_ prepare: Prepare, _ context: inout FaultContext) -> SignedStatement {
        let (key, timestamp) = (prepare.key, prepare.timestamp)
        switch context.generator.below(4) {
        case 0:
            let scope = context.placement(of: key).scope
            let foreign = [
                scope.altered(epoch: scope.epoch + 1), scope.altered(epoch: scope.epoch - 1),
                scope.altered(group: GroupID(scope.group.rawValue &+ 1)),
                scope.altered(mode: scope.mode == .readTime ? .full : .readTime),
            ]
            return context.signer.signing(key, timestamp, in: foreign[context.generator.below(foreign.count)])
        case 1:
            return context.sign(key, timestamp.altered(digest: context.randomDigest()))
        case 2:
            guard let other = try? ObjectKey(bytes: key.bytes + Array("~".utf8)) else {
                return context.sign(key, timestamp.altered(writer: ClientID(high: .max, low: .max)))
            }
            return context.sign(other, timestamp)
        default:
            let earlier = context.conspiracy.statements.filter {
                $0.signed.node == context.node && ($0.timestamp != timestamp || $0.key != key)
            }
            return context.generator.pick(earlier)?.signed
                ?? context.sign(key, timestamp.altered(writer: ClientID(high: .max, low: .max)))
        }
    }
}

/// Signs truthfully and says beside it that something far higher is committed. Against Write, step 2: the committed
/// timestamp in a PREPARE's answer proves nothing.
struct AlarmingServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .prepared(let own, let committed) = reply, case .prepare(let prepare) = request else {
            return [reply]
        }
        return [
            .prepared(
                own, committed: context.inflatedTimestamp(above: max(committed ?? prepare.timestamp, prepare.timestamp))
            )
        ]
    }
}

/// Acknowledges COMMITs before they are sent, in place of making them, and for other versions. Against Write, step 3:
/// q answers are q servers' word on this very version.
struct FalselyAcknowledgingServer: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard case .commit(let commit) = request else { return .pass(request) }
        let timestamp = commit.certificate.timestamp
        let acknowledged: [Timestamp]
        switch context.generator.below(3) {
        case 0: acknowledged = [timestamp, timestamp]
        case 1: acknowledged = [context.inflatedTimestamp(above: timestamp)]
        default: acknowledged = [timestamp.altered(digest: context.randomDigest()), timestamp]
        }
        return .answer(acknowledged.map { .committed($0, needsDescriptor: false) })
    }

    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .prepare(let prepare) = request else { return [reply] }
        let acknowledgement = Reply.committed(prepare.timestamp, needsDescriptor: false)
        return [acknowledgement, reply, acknowledgement]
    }
}

/// Says with every acknowledgement that it needs the descriptor, and with every answer to DESCRIPTOR that it still
/// does, or that it refuses. Against Write, step 4: nobody waits for a descriptor's arrival, or sends it twice.
struct NeedyServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard case .committed(let timestamp, _) = reply else { return [reply] }
        if case .describe = request, context.generator.chance(percent: 50) {
            return [.refused(context.generator.chance(percent: 50) ? .storageFull : .notCommitted)]
        }
        return [.committed(timestamp, needsDescriptor: true), .committed(timestamp, needsDescriptor: true)]
    }
}
