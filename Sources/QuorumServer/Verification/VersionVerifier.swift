// The shell around what a server reads from its cluster as a client does, to tell its replica what it found: in the
// modes that verify later whether a committed version is sound, in all modes what was committed that it does not know
// of.

import ClusterFiles
import Logging
import NIOCore
import NIOPosix
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import Synchronization

/// Verifies what one server's replica wants verified.
final class VersionVerifier: Sendable {
    private static let pumpInterval = TimeAmount.milliseconds(100)
    /// A server that got no more requests of clients than these between two looks has nothing better to do.
    private static let idleRequestsMax: UInt64 = 5
    private static let patience = OperationPatience(
        timeoutMilliseconds: 15_000, retransmitMilliseconds: 1000)

    /// Large values take as long as they take: fifteen seconds without progress end it.
    private static let progress = ProgressPatience(time: .seconds(15))

    private let hedge = HedgeTime(leastMilliseconds: 200)

    private struct State {
        var queue: VerificationQueue
        var seenRequests: UInt64 = 0
        var isIdle = false
        /// Most servers of the modes that verify at once never have anything to read.
        var isStarted = false
        var isStopped = false
        /// How many objects are being read, and who waits for there to be none.
        var runningCount = 0
        var whenDone: CheckedContinuation<Void, Never>?
        /// Of the processor time that verification has taken, what was charged to the queue.
        var chargedMicroseconds = 0
    }

    private let node: NodeID
    private let context: OperationContext
    private let threads: VerificationThreads
    private let statistics: ServerStatistics
    private let logger: Logger
    private let state: Mutex<State>
    private let found: @Sendable (ObjectKey, VersionFindings) -> Void

    /// Connects to the servers of its groups, this one among them: at once in the modes that verify later, in others
    /// when there is first something to read.
    ///
    /// - Parameters:
    ///   - incarnation: of this server's store.
    ///   - offered: given newer lists that other servers have, and who has them.
    ///   - found: told what was found of an object, on any thread.
    /// - Throws: when TLS refuses the server's key or certificate.
    init(
        _ configuration: ServerConfiguration, incarnation: Incarnation, verifier: StatementVerifier,
        threads: VerificationThreads, statistics: ServerStatistics, logger: Logger,
        offered: @escaping @Sendable (AnySignedList, _ sender: String) -> Void,
        found: @escaping @Sendable (ObjectKey, VersionFindings) -> Void
    ) throws(TransportError) {
        node = configuration.node
        self.threads = threads
        self.statistics = statistics
        self.logger = logger
        self.found = found
        let connections = try ServerConnections(
            cluster: configuration.cluster, incarnation: incarnation, identity: configuration.identity,
            group: threads.group, logger: logger, offered: offered)
        context = OperationContext(
            parameters: configuration.parameters, patience: Self.patience, connections: connections,
            verifier: verifier, eventLoop: threads.group.any(), workers: threads.workers)
        state = Mutex(
            State(
                queue: VerificationQueue(
                    budget: configuration.verificationBudget,
                    patienceMilliseconds: configuration.verificationPatienceMilliseconds)))
        if configuration.parameters.mode.verifiesLater { start() }
    }

    /// Does nothing when it was done before.
    private func start() {
        let isFirst = state.withLock { state in
            defer { state.isStarted = true }
            return !state.isStarted && !state.isStopped
        }
        guard isFirst else { return }
        let groups = context.parameters.configuration.groups(of: node)
        context.connections.start(Set(groups.flatMap(\.members)))
        schedule()
    }

    /// Goes by newer lists.
    func follow(_ cluster: ClusterDescription) { context.connections.follow(cluster) }

    var trafficBytes: (sent: UInt64, received: UInt64) { context.connections.trafficBytes }

    /// Has an object verified: when there is time, or at once.
    func verify(_ key: ObjectKey, isUrgent: Bool) {
        state.withLock { $0.queue.add(key, isUrgent: isUrgent, nowMilliseconds: Self.nowMilliseconds) }
        start()
        if isUrgent { pump() }
    }

    /// Begins nothing any more and ends what is under way.
    func stop() {
        state.withLock { $0.isStopped = true }
        context.connections.close()
    }

    /// Waits for what is under way to end, and ends its threads, too.
    func shutdown() async {
        stop()
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.runningCount > 0 { state.whenDone = continuation }
                return state.runningCount == 0
            }
            if isDone { continuation.resume() }
        }
        await threads.shutdown()
    }

    private func schedule() {
        context.eventLoop.scheduleTask(in: Self.pumpInterval) {
            let isStopped = self.state.withLock { state in
                let spent = self.threads.processorMicroseconds
                state.queue.spent(processorMicroseconds: max(0, spent - state.chargedMicroseconds))
                state.chargedMicroseconds = max(spent, state.chargedMicroseconds)
                let counters = self.statistics.snapshot
                let requests = counters.requests - counters.serverRequests
                state.isIdle = requests - state.seenRequests <= Self.idleRequestsMax
                state.seenRequests = requests
                return state.isStopped
            }
            guard !isStopped else { return }
            self.pump()
            self.schedule()
        }
    }

    private func pump() {
        while let key = takeNext() { Task { await run(key) } }
    }

    private func takeNext() -> ObjectKey? {
        state.withLock { state in
            guard !state.isStopped,
                let key = state.queue.next(nowMilliseconds: Self.nowMilliseconds, isIdle: state.isIdle)
            else { return nil }
            state.runningCount += 1
            return key
        }
    }

    private func run(_ key: ObjectKey) async {
        // Our own fragment costs the least.
        let placement = context.parameters.placement(of: key)
        guard let own = placement.position(of: node) else {
            preconditionFailure("\(node) verifies an object of a group that it is not in")
        }
        let others = context.connections.preference(placement).filter { $0 != own }
        let reader = Reader(
            parameters: context.parameters, key: key, wantsValue: context.parameters.mode.verifiesLater,
            preference: [own] + others,
            forVerification: true)
        let operation = Operation(
            reader, key: key, deadline: context.deadline, progress: Self.progress, hedge: hedge, context: context)
        let result = await operation.run()
        // What was looked at in vain counts, too.
        var sizeBytes = operation.machine.checkedBytes
        switch result {
        case .success(let outcome):
            sizeBytes = max(sizeBytes, Int(clamping: outcome.descriptor?.descriptor.lengthBytes ?? 0))
            statistics.count { counters in
                counters.verifiedObjects += 1
                counters.poisonousVersions += UInt64(outcome.poisonous.count)
            }
            for timestamp in outcome.poisonous { logger.warning("\(key) at \(timestamp) is poisonous") }
            found(key, VersionFindings(outcome, by: node))
        case .failure(let failure):
            sizeBytes += context.parameters.limits.stripeSizeBytesMax
            logger.debug("\(key) could not be verified: \(failure)")
        }
        let whenDone = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.queue.finished(key, sizeBytes: sizeBytes)
            state.runningCount -= 1
            guard state.runningCount == 0 else { return nil }
            defer { state.whenDone = nil }
            return state.whenDone
        }
        whenDone?.resume()
        pump()
    }

    private static var nowMilliseconds: UInt64 { NIODeadline.now().uptimeNanoseconds / 1_000_000 }
}
