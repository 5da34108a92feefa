// What a liar is, for whoever gives it a place in a cluster: the simulator, or a process behind real sockets.
//
// Everything here is deterministic: a policy's choices come from its context's generator, its knowledge from what it
// was shown, and nothing depends on a clock or on the order in which a hash table happens to be walked.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// What a server's fault may look at and use.
package struct FaultContext {
    package let parameters: ClusterParameters
    /// Whose place the liar takes.
    package let node: NodeID
    /// Its own, genuine key, with which it signs whatever it likes; nobody else's.
    package let signer: StatementSigner
    package var generator: SeededGenerator
    /// What the colluding liars saw and agreed on; a liar on its own has one to itself.
    package let conspiracy: Conspiracy
    package var nowMilliseconds: UInt64

    package init(
        parameters: ClusterParameters, node: NodeID, signer: StatementSigner, generator: SeededGenerator,
        conspiracy: Conspiracy, nowMilliseconds: UInt64 = 0
    ) {
        self.parameters = parameters
        self.node = node
        self.signer = signer
        self.generator = generator
        self.conspiracy = conspiracy
        self.nowMilliseconds = nowMilliseconds
    }
}

/// What becomes of a request that reaches a faulty server.
package enum Intake {
    /// The honest replica inside gets it.
    case pass(Request)
    /// The liar answers in its place, in this order.
    case answer([Reply])
    /// Nobody gets it.
    case swallow
}

/// A server's way of being faulty, around an honest replica; one value per faulty server.
package protocol ServerFault {
    /// How many times longer than usual the server takes for everything; at least 1.
    var delayFactor: Int { get }

    /// A request of `client` arrives.
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake

    /// The honest replica inside answers `request`; what is sent instead (empty: nothing). Called for each reply to a
    /// request that was passed; `request` is what was passed.
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply]

    /// Whether the honest replica's durable change is really made. When not, the replica is told that it was, and the
    /// store stays as it is: a later record may then name versions whose parts the store does not have.
    mutating func keeps(_ change: ObjectChange, _ context: inout FaultContext) -> Bool
}

extension ServerFault {
    package var delayFactor: Int { 1 }

    package mutating func receive(
        _ request: Request, from client: ClientID, _ context: inout FaultContext
    ) -> Intake { .pass(request) }

    package mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] { [reply] }

    package mutating func keeps(_ change: ObjectChange, _ context: inout FaultContext) -> Bool { true }
}

/// A request of a Byzantine client, and to whom.
package struct Outgoing {
    package let node: NodeID
    package let request: Request
    /// The epoch and the group that the request names; nil stands for those of its object.
    package let route: Route?

    package init(_ node: NodeID, _ request: Request, route: Route? = nil) {
        self.node = node
        self.request = request
        self.route = route
    }
}

/// A value that a Byzantine client tried to write: it may take effect at any time, or never.
package struct AttemptedWrite: Hashable, Sendable {
    package let key: ObjectKey
    /// nil for a deletion.
    package let value: [UInt8]?
    package let timestamp: Timestamp
}

/// What a Byzantine client may look at and use.
package struct ClientFaultContext {
    package let parameters: ClusterParameters
    /// Whose channel the client speaks through.
    package let client: ClientID
    /// The other clients of the cluster, whose names are no secret.
    package let others: [ClientID]
    /// The objects it goes for.
    package let keys: [ObjectKey]
    /// The cluster's public keys.
    package let verifier: StatementVerifier
    package var generator: SeededGenerator
    /// What the colluding liars saw and agreed on, servers and clients.
    package let conspiracy: Conspiracy
    /// All servers' keys as an earlier life of the cluster used them, when its mode was one in which they sign without
    /// looking, or its slots were dealt to other groups; empty when it had none.
    package let earlierLife: [StatementSigner]
    package var nowMilliseconds: UInt64
    /// All values that a correct reader may get from this client, in the order of its attempts: one for each version,
    /// a deletion's nil as often as it was tried; each value occurs once. Entered before the first request leaves.
    package internal(set) var attempts: [AttemptedWrite] = []

    package init(
        parameters: ClusterParameters, client: ClientID, others: [ClientID], keys: [ObjectKey],
        verifier: StatementVerifier, generator: SeededGenerator, conspiracy: Conspiracy,
        earlierLife: [StatementSigner] = [], nowMilliseconds: UInt64 = 0
    ) {
        precondition(!keys.isEmpty)
        self.parameters = parameters
        self.client = client
        self.others = others
        self.keys = keys
        self.verifier = verifier
        self.generator = generator
        self.conspiracy = conspiracy
        self.earlierLife = earlierLife
        self.nowMilliseconds = nowMilliseconds
    }
}

/// A Byzantine client: a script of its own that sends any requests to any servers and sees the replies.
package protocol ClientFault {
    mutating func start(_ context: inout ClientFaultContext) -> [Outgoing]
    mutating func receive(
        _ reply: Reply, from node: NodeID, _ context: inout ClientFaultContext
    ) -> [Outgoing]
    /// Called now and then, about once in a retransmission interval; what is lost is repeated or given up here.
    mutating func tick(_ context: inout ClientFaultContext) -> [Outgoing]
}
