// How a server reads from the servers of its groups, itself among them, as a client does: to verify what is committed,
// and to get back what it lacks. Connections are made when there is first something to read.

import ClusterFiles
import Logging
import NIOCore
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import Synchronization

/// Runs a server's own operations.
final class PeerReads: Sendable {
    private static let patience = OperationPatience(timeoutMilliseconds: 15_000, retransmitMilliseconds: 1000)
    /// Large values take as long as they take: fifteen seconds without progress end it.
    private static let progress = ProgressPatience(time: .seconds(15))

    let node: NodeID
    let context: OperationContext
    private let threads: VerificationThreads
    private let hedge = HedgeTime(leastMilliseconds: 200)
    private let isStarted = Mutex(false)
    /// How often a list of keys that is newer elsewhere is asked for again.
    private static let keysIntervalMilliseconds: UInt64 = 5000
    private let keysAskedMilliseconds = Mutex<UInt64>(0)

    /// - Parameters:
    ///   - incarnation: of this server's store.
    ///   - offered: given newer lists that other servers have, and who has them.
    /// - Throws: when TLS refuses the server's key or certificate.
    init(
        _ configuration: ServerConfiguration, incarnation: Incarnation, verifier: StatementVerifier,
        threads: VerificationThreads, logger: Logger,
        offered: @escaping @Sendable (AnySignedList, _ sender: String) -> Void
    ) throws(TransportError) {
        node = configuration.node
        self.threads = threads
        let connections = try ServerConnections(
            cluster: configuration.cluster, incarnation: incarnation, identity: configuration.identity,
            group: threads.group, logger: logger, offered: offered)
        context = OperationContext(
            parameters: configuration.parameters, patience: Self.patience, connections: connections,
            verifier: verifier, eventLoop: threads.group.any(), workers: threads.workers)
    }

    /// Connects to the servers of the node's groups; does nothing when that was done before.
    func start() {
        let isFirst = isStarted.withLock { isStarted in
            defer { isStarted = true }
            return !isStarted
        }
        guard isFirst else { return }
        let groups = context.parameters.configuration.groups(of: node)
        context.connections.start(Set(groups.flatMap(\.members)))
    }

    /// Goes by newer lists.
    func follow(_ cluster: ClusterDescription) { context.connections.follow(cluster) }

    /// Connects with another key and certificate from now on.
    func show(_ identity: TransportIdentity) { context.connections.show(identity) }

    /// Does what is due.
    func tick(milliseconds: UInt64) {
        let isDue = keysAskedMilliseconds.withLock { last in
            guard milliseconds >= last &+ Self.keysIntervalMilliseconds || milliseconds < last else { return false }
            last = milliseconds
            return true
        }
        if isDue { context.connections.fetchKeysAgain() }
    }

    var trafficBytes: (sent: UInt64, received: UInt64) { context.connections.trafficBytes }

    /// This server's position of an object, and all others, those first that are asked in the common case.
    func positions(of key: ObjectKey) -> (own: Position, others: [Position]) {
        let placement = context.parameters.placement(of: key)
        guard let own = placement.position(of: node) else {
            preconditionFailure("\(node) reads an object of a group that it is not in")
        }
        return (own, context.connections.preference(placement).filter { $0 != own })
    }

    /// An operation on an object, to be run.
    func operation<Machine: OperationMachine>(_ machine: Machine, key: ObjectKey) -> Operation<Machine> {
        Operation(
            machine, key: key, deadline: context.deadline, progress: Self.progress, hedge: hedge, context: context)
    }

    /// Ends what is under way.
    func close() { context.connections.close() }

    /// Ends the threads, too.
    func shutdown() async { await threads.shutdown() }
}

/// Whether clients leave a server alone: it got no more requests of theirs than a few between two looks.
struct RequestLull {
    private static let idleRequestsMax: UInt64 = 5

    private var seenRequests: UInt64 = 0
    private(set) var isIdle = false

    mutating func look(_ counters: ServerCounters) {
        let requests = counters.requests - counters.serverRequests
        isIdle = requests - seenRequests <= Self.idleRequestsMax
        seenRequests = requests
    }
}
