// Reading all that a server has stored, again and again, so that what rots is found before it is needed
// (docs/protocol.md, Scrub). What cannot be shown, or is not what its hash says, is lost, and repair brings it back.
//
// Objects are looked at beside everything else that happens to them, so a trouble may be of a change that came in
// between: only what is seen twice counts.

import Foundation
import Logging
import NIOCore
import ObjectStorage
import ProtocolStorage
import QuorumProtocol
import Synchronization

/// Reads one server's store from end to end.
final class Scrubber: Sendable {
    /// Objects that are looked at in one go.
    private static let batchCount = 16
    /// What looking at an object costs beside its fragments.
    private static let objectCostBytes: UInt64 = 4096
    private static let leastBytesPerSecond: UInt64 = 1 << 20
    private static let mostBytesPerSecond: UInt64 = 64 << 20
    private static let firstWaitSecondsMax: UInt64 = 3600
    private static let savingInterval = Duration.seconds(60)
    private static let secondLook = Duration.seconds(1)
    /// How many damaged parts of a batch are looked at again. More than `LossReport` believes at a time, so that a batch
    /// with more of them is not done.
    private static let troublesMax = 32
    private static let pauseSecondsMax = 0.25

    private let store: ObjectStore
    private let node: NodeID
    private let parameters: ClusterParameters
    private let host: ReplicaHost
    private let losses: LossReport
    private let statistics: ServerStatistics
    private let logger: Logger
    private let intervalMilliseconds: UInt64
    private let file: String?
    private let needed = Atomic<UInt64>(0)
    private let isStopped = Atomic(false)
    private let task = Mutex<Task<Void, Never>?>(nil)
    private let mark: Mutex<ScrubMark>

    init(
        _ configuration: ServerConfiguration, store: ObjectStore, host: ReplicaHost, losses: LossReport,
        statistics: ServerStatistics, logger: Logger
    ) {
        self.store = store
        node = configuration.node
        parameters = configuration.parameters
        self.host = host
        self.losses = losses
        self.statistics = statistics
        self.logger = logger
        intervalMilliseconds = configuration.scrubMilliseconds
        file = configuration.scrubFile
        mark = Mutex(configuration.scrubFile.map { ScrubMark(path: $0) } ?? ScrubMark())
    }

    /// When the store was last read from end to end, in milliseconds since 1970; 0 for never.
    var endedMilliseconds: UInt64 { mark.withLock { $0.endedMilliseconds } }

    /// How long it takes to read everything when the store's budget is used up, if that is longer than `scrub_seconds`;
    /// otherwise 0. By what was stored a minute ago.
    var neededMilliseconds: UInt64 { needed.load(ordering: .relaxed) }

    /// Where it may wait for the disk: who asks for counters must not.
    private func lookAhead() async {
        let bytes = await host.inBackground { _ in self.store.condition.usedBytes }
        needed.store(Self.needed(bytes, intervalMilliseconds: intervalMilliseconds), ordering: .relaxed)
    }

    /// - Parameter intervalMilliseconds: in what time so many bytes are to be read; 0: never.
    static func needed(_ bytes: UInt64, intervalMilliseconds: UInt64) -> UInt64 {
        guard intervalMilliseconds > 0 else { return 0 }
        let needed = bytes / (mostBytesPerSecond / 1000)
        return needed > intervalMilliseconds ? needed : 0
    }

    private func tellOfBegin() {
        let needed = neededMilliseconds
        guard needed > 0 else { return }
        logger.warning(
            """
            to read everything needs \(Self.days(needed)) at \(Self.mostBytesPerSecond >> 20) MiB/s, and scrub_seconds \
            asks for \(Self.days(intervalMilliseconds)): it takes as long as it needs
            """)
    }

    private static func days(_ milliseconds: UInt64) -> String {
        let tenths = milliseconds / 8_640_000
        return "\(tenths / 10).\(tenths % 10) days"
    }

    /// Begins, or goes on with what was begun.
    func start() {
        guard intervalMilliseconds > 0 else { return }
        task.withLock { $0 = Task { await self.run() } }
    }

    func stop() {
        isStopped.store(true, ordering: .relaxed)
        task.withLock { $0?.cancel() }
    }

    func shutdown() async { await task.withLock { $0 }?.value }

    private func run() async {
        var savedAt = ContinuousClock.now
        await lookAhead()
        if mark.withLock({ $0.beganMilliseconds == 0 }) {
            // Not all servers of a cluster at the same time, which were all started together; and what they have missed
            // meanwhile comes first.
            let most = min(Self.firstWaitSecondsMax, intervalMilliseconds / 1000)
            guard await sleep(.milliseconds(Int64.random(in: Int64(1000 * most / 12)...Int64(1000 * most)))) else {
                return
            }
        }
        while !Task.isCancelled {
            let now = Server.currentMilliseconds()
            let wait = mark.withLock { mark -> UInt64 in
                guard mark.lastKey == nil, mark.endedMilliseconds > 0, mark.beganMilliseconds <= now else { return 0 }
                let next = mark.beganMilliseconds &+ intervalMilliseconds
                return next > now ? next - now : 0
            }
            guard await sleep(.milliseconds(Int64(clamping: wait))) else { break }
            if await readOn(&savedAt) { save() }
        }
        save()
    }

    /// Looks at some more objects. Whether a pass has ended with them.
    private func readOn(_ savedAt: inout ContinuousClock.Instant) async -> Bool {
        let started = ContinuousClock.now
        let last = mark.withLock { mark in
            if mark.lastKey == nil { mark.begin(milliseconds: Server.currentMilliseconds()) }
            return mark.lastKey
        }
        if last == nil {
            await lookAhead()
            tellOfBegin()
        }
        let (keys, findings, troubles) = await host.inBackground { _ in self.look(after: last) }
        // Nothing can be said when the index cannot be read, or while so much is lost that the machine is suspect.
        guard let keys, !Task.isCancelled, let damaged = await lookAgain(troubles) else {
            _ = await sleep(.seconds(60))
            return false
        }
        let hasEnded = keys.isEmpty
        mark.withLock { mark in
            mark.lastKey = keys.last
            mark.objects &+= UInt64(keys.count)
            mark.damaged &+= UInt64(damaged)
            if hasEnded { mark.endedMilliseconds = Server.currentMilliseconds() }
        }
        statistics.count { counters in
            counters.scrubbedObjects += UInt64(keys.count)
            counters.scrubbedBytes += findings.fragmentBytes
            counters.scrubFindings += UInt64(damaged)
        }
        if hasEnded {
            let (objects, damaged) = mark.withLock { ($0.objects, $0.damaged) }
            logger.info("read all of \(objects) objects: \(damaged) parts or records were damaged")
            return true
        }
        if .now - savedAt >= Self.savingInterval {
            await lookAhead()
            save()
            savedAt = .now
        }
        // Fragments have taken their time already (`pace`).
        let due = started + .milliseconds(Int64(1000 * UInt64(keys.count) * Self.objectCostBytes / bytesPerSecond))
        if due > .now { _ = await sleep(due - .now) }
        return false
    }

    /// So that a pass takes half of its interval.
    private var bytesPerSecond: UInt64 {
        let needed = 2000 * (store.condition.usedBytes / max(1, intervalMilliseconds))
        return min(Self.mostBytesPerSecond, max(Self.leastBytesPerSecond, needed))
    }

    private func look(after last: [UInt8]?) -> (keys: [[UInt8]]?, StoreFindings, [Trouble]) {
        do throws(StorageError) {
            let keys = try check { _ in }.keys(after: last, limit: Self.batchCount)
            let (findings, troubles) = look(at: keys)
            return (keys, findings, troubles)
        } catch {
            logger.warning("what is stored cannot be listed: \(error)")
            return (nil, StoreFindings(), [])
        }
    }

    private struct Trouble {
        let key: ObjectKey
        /// Nil for the object's record: what that knew can only be told by the journal, with the next start.
        let parts: LostParts?
        let loss: StoreLoss

        init?(_ trouble: StoreTrouble) {
            if let lost = trouble.lost {
                (key, parts, loss) = (lost.key, lost.parts, .found("\(trouble)"))
            } else if case .lost(.record(let key, let error)) = trouble {
                (self.key, parts, loss) = (key, nil, .record(key, error))
            } else {
                return nil
            }
        }
    }

    private func look(at keys: [[UInt8]]) -> (StoreFindings, [Trouble]) {
        let troubles = Mutex<[Trouble]>([])
        let findings = check { trouble in
            guard let trouble = Trouble(trouble) else { return }
            troubles.withLock { troubles in
                guard troubles.count < Self.troublesMax else { return }
                troubles.append(trouble)
            }
        }.check(keys)
        return (findings, troubles.withLock { $0 })
    }

    private func check(_ found: @escaping @Sendable (StoreTrouble) -> Void) -> StoreCheck {
        StoreCheck(store, of: node, parameters: parameters, pace: pace, found: found)
    }

    /// Has the reading take the time that there is for it, on the thread that does it.
    private func pace(_ readBytes: Int) -> Bool {
        guard !isStopped.load(ordering: .relaxed) else { return false }
        let seconds = Double(readBytes) / Double(bytesPerSecond)
        Thread.sleep(forTimeInterval: min(seconds, Self.pauseSecondsMax))
        return !isStopped.load(ordering: .relaxed)
    }

    /// What is damaged a second time is lost. How many parts were; nil when that is not to be believed, or the server
    /// ends.
    private func lookAgain(_ troubles: [Trouble]) async -> Int? {
        guard !troubles.isEmpty else { return 0 }
        guard await sleep(Self.secondLook) else { return nil }
        let keys = Set(troubles.map(\.key)).sorted()
        let (_, again) = await host.inBackground { _ in self.look(at: keys.map(\.bytes)) }
        let lost = again.filter { found in troubles.contains { $0.key == found.key && $0.parts == found.parts } }
        for trouble in lost {
            guard losses.take(trouble.loss) else { return nil }
            if let parts = trouble.parts { host.lost(trouble.key, [parts]) }
        }
        return lost.count
    }

    private func save() {
        guard let file else { return }
        do {
            try mark.withLock { $0 }.write(to: file)
        } catch {
            logger.warning("\(file) cannot be written: \(error)")
        }
    }

    /// Whether the server still runs then.
    private func sleep(_ time: Duration) async -> Bool {
        (try? await Task.sleep(for: time)) != nil
    }
}

extension ScrubMark {
    fileprivate mutating func begin(milliseconds: UInt64) {
        beganMilliseconds = milliseconds
        objects = 0
        damaged = 0
    }
}
