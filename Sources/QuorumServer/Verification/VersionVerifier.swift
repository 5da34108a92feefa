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

    private struct State {
        var queue: VerificationQueue
        var lull = RequestLull()
        /// Most servers of the modes that verify at once never have anything to read.
        var isStarted = false
        var isStopped = false
        /// How many objects are being read, and who waits for there to be none.
        var runningCount = 0
        var whenDone: CheckedContinuation<Void, Never>?
        /// Of the processor time that verification has taken, what was charged to the queue.
        var chargedMicroseconds = 0
    }

    private let peers: PeerReads
    private let threads: VerificationThreads
    private let evidence: EvidenceRecorder
    private let statistics: ServerStatistics
    private let logger: Logger
    private let state: Mutex<State>
    private let found: @Sendable (ObjectKey, VersionFindings) -> Void

    /// Reads at once in the modes that verify later, in others when there is first something to read.
    ///
    /// - Parameter found: told what was found of an object, on any thread.
    init(
        _ configuration: ServerConfiguration, peers: PeerReads, threads: VerificationThreads,
        evidence: EvidenceRecorder,
        statistics: ServerStatistics, logger: Logger,
        found: @escaping @Sendable (ObjectKey, VersionFindings) -> Void
    ) {
        self.peers = peers
        self.threads = threads
        self.evidence = evidence
        self.statistics = statistics
        self.logger = logger
        self.found = found
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
        peers.start()
        schedule()
    }

    /// Has an object verified: when there is time, or at once.
    func verify(_ key: ObjectKey, isUrgent: Bool) {
        state.withLock { $0.queue.add(key, isUrgent: isUrgent, nowMilliseconds: Self.nowMilliseconds) }
        start()
        if isUrgent { pump() }
    }

    /// Begins nothing any more.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Waits for what is under way to end.
    func shutdown() async {
        stop()
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.runningCount > 0 { state.whenDone = continuation }
                return state.runningCount == 0
            }
            if isDone { continuation.resume() }
        }
    }

    private func schedule() {
        peers.context.eventLoop.scheduleTask(in: Self.pumpInterval) {
            let isStopped = self.state.withLock { state in
                let spent = self.threads.processorMicroseconds
                state.queue.spent(processorMicroseconds: max(0, spent - state.chargedMicroseconds))
                state.chargedMicroseconds = max(spent, state.chargedMicroseconds)
                state.lull.look(self.statistics.snapshot)
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
                let key = state.queue.next(nowMilliseconds: Self.nowMilliseconds, isIdle: state.lull.isIdle)
            else { return nil }
            state.runningCount += 1
            return key
        }
    }

    private func run(_ key: ObjectKey) async {
        let parameters = peers.context.parameters
        // Our own fragment costs the least.
        let (own, others) = peers.positions(of: key)
        let reader = Reader(
            parameters: parameters, key: key, wantsValue: parameters.mode.verifiesLater, preference: [own] + others,
            forVerification: true)
        let operation = peers.operation(reader, key: key)
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
            found(key, VersionFindings(outcome, by: peers.node))
            await accuse(operation.machine, outcome, key)
        case .failure(let failure):
            sizeBytes += parameters.limits.stripeSizeBytesMax
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

    /// Whoever calls poisonous what turned out to be sound, or says that where nobody does, has lied.
    private func accuse(_ reader: Reader, _ outcome: ReadOutcome, _ key: ObjectKey) async {
        guard case .version(let timestamp, let descriptor, let stripes) = outcome.found else { return }
        let statements = reader.poisonStatements(on: timestamp)
        guard !statements.isEmpty else { return }
        let finder = EvidenceFinder(peers.context.parameters, key, timestamp, descriptor)
        let evidence = evidence
        await withCheckedContinuation { continuation in
            peers.context.workers.submit { _ in
                evidence.record(finder.poisonous(stripes, statements))
                continuation.resume()
            }
        }
    }

    private static var nowMilliseconds: UInt64 { NIODeadline.now().uptimeNanoseconds / 1_000_000 }
}
