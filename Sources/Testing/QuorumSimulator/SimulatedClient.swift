// Clients of a world: honest ones, which run the writer and the reader under test one operation at a time, and scripts
// of Byzantine ones.

import QuorumFaults
import QuorumProtocol

/// An honest client's state; the world moves it.
final class SimulatedClient {
    let number: Int
    let id: ClientID
    private let parameters: ClusterParameters
    private var verificationKeys: StatementKeys
    /// The version of the list of keys that it goes by.
    var keysVersion = 0
    private(set) var verifier: StatementVerifier
    /// What it still has to do, in order; of the plan's operations, those at these positions.
    var remaining: ArraySlice<PlannedOperation>
    /// The operation under way, by its position in the history.
    var operation: Int?
    var writer: Writer?
    var reader: Reader?
    /// A large value of the operation under way on its way to or from the servers.
    var transfer: StripeTransfer?
    /// Why the version that a read found first could not be fetched, while it looks for a higher one.
    var lost: OperationFailure?
    /// A listing under way; `reader` is of what it reads.
    var listing: SimulatedListing?
    /// Counts the machines of operations: an answer to one is none to the next.
    var machineNumber = 0
    /// What is staged of each object all over the servers and was not seen committed; kept across crashes.
    var uploads: [ObjectKey: StagedUpload] = [:]
    /// When the operation under way must be over.
    var deadlineMicroseconds: UInt64 = 0
    /// Whether it crashes instead of sending its first COMMIT of the operation under way.
    var crashesBeforeCommit = false
    /// How many more PREPAREs, or COMMITs, of the operation under way leave before it crashes; nil: it does not.
    var preparesLeft: Int?
    var commitsLeft: Int?
    /// How long it is away after the crash that is planned for the operation under way.
    var awayMicroseconds: UInt64 = 0
    /// The certificates of its last writes.
    var remembered: [ObjectKey: VerifiedCertificate] = [:]
    /// Servers that claimed to it what they could not prove.
    var liars: Set<NodeID> = []

    init(
        _ number: Int, id: ClientID, parameters: ClusterParameters, verificationKeys: StatementKeys,
        operations: [PlannedOperation]
    ) {
        self.number = number
        self.id = id
        self.parameters = parameters
        self.verificationKeys = verificationKeys
        verifier = StatementVerifier(history: parameters.history, keys: verificationKeys)
        remaining = operations[...]
    }

    /// Goes by more keys.
    func learn(_ keys: StatementKeys) {
        verificationKeys = keys
        verifier.learn(history: parameters.history, keys: keys)
    }

    /// Notes that a request leaves; returns whether it is the last one before the crash that is planned.
    func crashes(sending request: Request) -> Bool {
        switch request {
        case .prepare:
            preparesLeft? -= 1
            return preparesLeft == 0
        case .commit:
            commitsLeft? -= 1
            return commitsLeft == 0
        case .readTimestamp, .read, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate:
            return false
        }
    }

    func end() {
        operation = nil
        writer = nil
        reader = nil
        transfer = nil
        lost = nil
        listing = nil
        machineNumber = 0
    }

    /// The process ends; the next one has the same identity and remembers nothing.
    func crash() {
        end()
        remembered = [:]
        liars = []
        verifier = StatementVerifier(history: parameters.history, keys: verificationKeys)
    }
}

/// A Byzantine client's script and what it may use.
final class ByzantineClient {
    let number: Int
    let kind: ClientFaultKind
    private var fault: any ClientFault
    var context: ClientFaultContext
    private(set) var hasStarted = false

    init(_ number: Int, kind: ClientFaultKind, context: ClientFaultContext) {
        self.number = number
        self.kind = kind
        self.context = context
        fault = kind.make()
    }

    var id: ClientID { context.client }

    func start() -> [Outgoing] {
        hasStarted = true
        return fault.start(&context)
    }

    func tick() -> [Outgoing] { fault.tick(&context) }

    func receive(_ reply: Reply, from node: NodeID) -> [Outgoing] {
        fault.receive(reply, from: node, &context)
    }
}
