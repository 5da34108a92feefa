// Servers that say nothing, not everything, or too late.

import QuorumProtocol

/// Answers nothing and stores nothing: a crashed server. Against Promises (liveness): q = n − f must be enough.
struct SilentServer: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        .swallow
    }
}

/// Does everything and answers nothing: a version may have its quorum without anybody knowing. Against Promises
/// (liveness) and Write, "a server with K pending versions".
struct MuteServer: ServerFault {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] { [] }
}

/// Serves some clients and is dead to others. Against Read, step 3: who was served saw a version that others must be
/// able to see.
struct SelectiveServer: ServerFault {
    private var isServed: [ClientID: Bool] = [:]

    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        if isServed[client] == nil { isServed[client] = !isServed.isEmpty && context.generator.chance(percent: 60) }
        return isServed[client] == true ? .pass(request) : .swallow
    }
}

/// Is honest, and very slow. Against Read, step 2 (hedging), and every rule that ignores late replies.
struct SlowServer: ServerFault {
    var delayFactor: Int { 50 }
}

/// Never learns that anything is committed, neither by COMMIT nor by justification: it asks for the justification for
/// ever. Against Write, steps 2 and 3.
struct CommitDeafServer: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        switch request {
        case .commit:
            return .swallow
        case .prepare(let prepare) where prepare.justification != nil:
            return .pass(
                .prepare(
                    Prepare(
                        key: prepare.key, timestamp: prepare.timestamp, position: prepare.position,
                        descriptor: prepare.descriptor, fragments: prepare.fragments, admission: prepare.admission)))
        case .prepare, .read, .readTimestamp, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate:
            return .pass(request)
        }
    }
}

/// Keeps replies back and gives them out later, out of order, with others. Against Write and Read: a reply of an
/// earlier phase or operation must count for nothing (COMMITTED names its timestamp for that reason).
struct WithholdingServer: ServerFault {
    private static let heldRepliesMax = 8
    private var held: [ClientID: [Reply]] = [:]

    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        var replies = held.removeValue(forKey: client) ?? []
        replies.append(reply)
        if replies.count < Self.heldRepliesMax, context.generator.chance(percent: 60) {
            held[client] = replies
            return []
        }
        return context.generator.shuffled(replies)
    }
}
