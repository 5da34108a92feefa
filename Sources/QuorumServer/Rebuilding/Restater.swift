// How a server has a certificate count again that has a statement of a life which its server has forgotten
// (docs/protocol.md, Rebuilding): those sign who have not yet, and those who lack the version get it before.

import Logging
import NIOCore
import ProtocolStorage
import QuorumOperations
import QuorumProtocol
import Synchronization

/// Restates what is found to be fenced, some objects at a time.
final class Restater: Sendable {
    /// What waits beyond this is forgotten, and found again by whoever needs it.
    private static let waitingMax = 1024
    private static let objectsAtOnce = 4
    private static let firstWaitMilliseconds: UInt64 = 500
    private static let longestWaitMilliseconds: UInt64 = 60_000
    private static let attemptsMax = 32

    private struct Fenced {
        var certificate: Certificate
        var attempts = 0
        var nextMilliseconds: UInt64 = 0
        var isRunning = false
    }

    private struct State {
        var waiting: [ObjectKey: Fenced] = [:]
        var running = 0
        var isStopped = false
        var whenDone: CheckedContinuation<Void, Never>?
    }

    private let reads: PeerReads
    private let host: ReplicaHost
    private let store: ProtocolStore
    private let statistics: ServerStatistics
    private let logger: Logger
    private let state = Mutex(State())

    init(reads: PeerReads, host: ReplicaHost, store: ProtocolStore, statistics: ServerStatistics, logger: Logger) {
        self.reads = reads
        self.host = host
        self.store = store
        self.statistics = statistics
        self.logger = logger
    }

    /// Remembers what does not count; the highest version of an object is the one that matters.
    func add(_ key: ObjectKey, _ certificate: Certificate) {
        state.withLock { state in
            if let known = state.waiting[key] {
                guard known.certificate.timestamp < certificate.timestamp else { return }
                state.waiting[key]?.certificate = certificate
                state.waiting[key]?.attempts = 0
                state.waiting[key]?.nextMilliseconds = 0
            } else if state.waiting.count < Self.waitingMax, !state.isStopped {
                state.waiting[key] = Fenced(certificate: certificate)
            }
        }
        tick()
    }

    /// How many objects wait.
    var count: Int { state.withLock { $0.waiting.count } }

    /// Begins with what is due.
    func tick() {
        let now = NIODeadline.now().uptimeNanoseconds / 1_000_000
        let due = state.withLock { state -> [(ObjectKey, Certificate)] in
            let free = Self.objectsAtOnce - state.running
            guard !state.isStopped, free > 0 else { return [] }
            // Many may wait, and this is asked with each of them: no more is looked at than it takes.
            let due = Array(
                state.waiting.lazy.filter { !$0.value.isRunning && $0.value.nextMilliseconds <= now }
                    .prefix(free).map { ($0.key, $0.value.certificate) })
            for (key, _) in due { state.waiting[key]?.isRunning = true }
            state.running += due.count
            return due
        }
        if !due.isEmpty { reads.start() }
        for (key, certificate) in due { Task { await restate(key, certificate) } }
    }

    private func restate(_ key: ObjectKey, _ certificate: Certificate) async {
        let isDone = await FencedVersion(key, certificate, reads: reads, host: host, store: store).restate()
        if isDone { statistics.count { $0.restatedVersions += 1 } }
        let now = NIODeadline.now().uptimeNanoseconds / 1_000_000
        let whenDone = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.running -= 1
            if var fenced = state.waiting[key], fenced.isRunning {
                fenced.isRunning = false
                fenced.attempts += 1
                let wait = min(
                    Self.longestWaitMilliseconds, Self.firstWaitMilliseconds << UInt64(min(fenced.attempts, 10)))
                fenced.nextMilliseconds = now &+ wait
                let isSame = fenced.certificate.timestamp == certificate.timestamp
                state.waiting[key] = isSame && isDone || fenced.attempts >= Self.attemptsMax ? nil : fenced
            }
            guard state.running == 0 else { return nil }
            defer { state.whenDone = nil }
            return state.whenDone
        }
        whenDone?.resume()
        tick()
    }

    /// Begins nothing any more.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Waits for what is under way to end.
    func shutdown() async {
        stop()
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.running > 0 { state.whenDone = continuation }
                return state.running == 0
            }
            if isDone { continuation.resume() }
        }
    }
}
