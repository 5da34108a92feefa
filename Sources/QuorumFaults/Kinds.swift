// The names of all policies, for command lines, plans and transcripts.

import QuorumProtocol

/// Every way in which a server can be faulty.
package enum ServerFaultKind: String, CaseIterable, Sendable {
    case silent

    package func make() -> any ServerFault { Silent() }
}

/// Every way in which a client can be Byzantine.
package enum ClientFaultKind: String, CaseIterable, Sendable {
    case idle

    package func make() -> any ClientFault { Idle() }
}

/// What colluding liars know together.
package final class Conspiracy {
    package let signers: [StatementSigner]

    package init(signers: [StatementSigner]) { self.signers = signers }
}

struct Silent: ServerFault {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        .swallow
    }
}

struct Idle: ClientFault {
    mutating func start(_ context: inout ClientFaultContext) -> [Outgoing] { [] }
    mutating func receive(
        _ reply: Reply, from server: ServerIndex, _ context: inout ClientFaultContext
    ) -> [Outgoing] { [] }
    mutating func tick(_ context: inout ClientFaultContext) -> [Outgoing] { [] }
}
