// Which objects a server repairs next (docs/protocol.md, Repair). Pure; a shell brings it pieces of the table of wants,
// one after the other, asks it for work and tells it the time.
//
// The table is gone through again and again, and only the next few objects of it are here. What could not be repaired
// waits for a time that doubles; that is remembered of so many objects as there is room for, and of others forgotten,
// so that they are tried too often rather than never.

import DequeModule

/// How the repair of an object ended.
package enum RepairEnd: Equatable, Sendable {
    /// Nothing is wanted of it any more.
    case done
    /// It is not done, and others come first.
    case later
    /// It has to be tried again: with others there is less of it than it takes, or they did not answer.
    case failed
    /// There is no room on the disk.
    case full
}

/// Why an object could not be repaired, when that was last tried.
package struct RepairFailure: Equatable, Sendable {
    /// What kind of reason it is.
    package enum Cause: String, Hashable, Sendable, CaseIterable {
        /// Too few others answered.
        case unreachable = "others unreachable"
        /// Too few of them had anything good.
        case lacking = "others lack it"
        /// It was this server.
        case own = "not possible here"
    }

    /// For people.
    package let reason: String
    /// Whether all others had been asked, and too few of them had anything good.
    package let isShortage: Bool
    package let cause: Cause
    /// How often in a row it has failed.
    package fileprivate(set) var count = 0
    fileprivate var nextMilliseconds: UInt64 = 0
    /// How often in a row there was a shortage.
    fileprivate var shortages = 0

    /// After so many shortages in a row nobody is waited for any more: who was just repairing it has had the time.
    private static let shortagesMin = 3

    /// Whether it is to be expected that it stays so.
    package var isIrreparable: Bool { shortages >= Self.shortagesMin }

    package init(_ reason: String, isShortage: Bool, cause: Cause = .own) {
        self.reason = reason
        self.isShortage = isShortage
        self.cause = isShortage ? .lacking : cause
    }
}

/// What became of the objects of the table of wants when it was gone through once.
package struct RepairPass: Equatable, Sendable {
    package fileprivate(set) var beganMilliseconds: UInt64
    package fileprivate(set) var endedMilliseconds: UInt64 = 0
    /// Repairs that ended, and those of them after which nothing is wanted any more.
    package fileprivate(set) var examinedCount = 0
    package fileprivate(set) var repairedCount = 0
    /// Those that failed, by reason, and those for which there was no room.
    package fileprivate(set) var failedCounts: [RepairFailure.Cause: Int] = [:]
    package fileprivate(set) var fullCount = 0
    /// Objects of which something is void: their writer lied, and there is no good fragment for this server.
    package fileprivate(set) var voidCount = 0
    /// Objects whose turn comes later: they were wanted too lately, have failed lately, or are large.
    package fileprivate(set) var deferredCount = 0

    /// How long it took; 0 where the clock was set back.
    package var milliseconds: UInt64 {
        endedMilliseconds > beganMilliseconds ? endedMilliseconds - beganMilliseconds : 0
    }

    package var description: String {
        let failed = RepairFailure.Cause.allCases.map { "\($0.rawValue) \(failedCounts[$0] ?? 0)" }
        return """
            went through what is wanted: \(examinedCount) examined, \(repairedCount) repaired, failed (\
            \(failed.joined(separator: ", ")), void \(voidCount), no space \(fullCount)), \(deferredCount) deferred, in \
            \(milliseconds) ms
            """
    }
}

/// The objects that are repaired, or soon will be.
package struct RepairQueue: Sendable {
    /// How many objects are repaired at once: when clients ask for nothing, and otherwise. While those that were
    /// repaired last were small, more of them, as far as these bytes go.
    package static let idleCountMax = 8
    package static let smallCountMax = 64
    package static let busyCountMax = 1
    private static let smallBytesAtOnce = 4 << 20
    /// How many objects of the table are here at a time.
    package static let readyCountMax = 1024
    /// Of how many objects it is remembered that they failed.
    private static let failedCountMax = 4096
    private static let firstRetryMilliseconds: UInt64 = 5000
    private static let lastRetryMilliseconds: UInt64 = 600_000
    /// After so many failures in a row everything waits a while.
    private static let failureStreakMax = 64
    /// A clock that goes back so far was set back. What is less are two who looked at it at the same time.
    private static let setBackMilliseconds: UInt64 = 5000
    /// How many objects are remembered that readers miss something of, and how long it takes until it is noted what.
    private static let missedCountMax = 256
    private static let notedMilliseconds: UInt64 = 500
    /// How long everything waits when the disk is full.
    private static let fullMilliseconds: UInt64 = 30_000
    /// What repair may have of its budget while clients ask for something.
    private static let busyShare = 10

    private let delayMilliseconds: UInt64
    /// Wants from before this wait for nothing.
    private var promptMilliseconds: UInt64 = 0
    private var ready: Deque<ObjectKey> = []
    /// What readers have missed something of, and when it may begin: before all that the table has.
    private var missed: Deque<(key: ObjectKey, fromMilliseconds: UInt64)> = []
    private var running: Set<ObjectKey> = []
    private var failures: [ObjectKey: RepairFailure] = [:]
    private var idleBytes: Credit
    private var busyBytes: Credit
    /// What was read for one of the objects that were repaired last: hardly ever less.
    private var typicalBytes = Self.smallBytesAtOnce
    private var creditedMilliseconds: UInt64 = 0
    private var pausedUntilMilliseconds: UInt64 = 0
    /// How many repairs have failed in a row.
    private var failureStreak = 0
    /// The last object that was brought; nil when the table's beginning is next.
    package private(set) var cursor: ObjectKey?
    private var pass: RepairPass?
    /// Whether the table's end was brought in this pass.
    private var isAtEnd = false
    private var endedPass: RepairPass?

    /// - Parameters:
    ///   - bytesPerSecond: what repair may read of others when clients ask for nothing.
    ///   - delayMilliseconds: how old a want is at least.
    package init(bytesPerSecond: Int, delayMilliseconds: UInt64) {
        self.delayMilliseconds = delayMilliseconds
        idleBytes = Credit(perSecond: bytesPerSecond)
        busyBytes = Credit(perSecond: max(1, bytesPerSecond / Self.busyShare))
    }

    /// Of what was wanted before this nothing is on its way: such wants are due, however young.
    package mutating func looksAtOnce(afterWantsBefore milliseconds: UInt64) {
        promptMilliseconds = milliseconds
        // The table's beginning may have been passed over.
        cursor = nil
    }

    package var isEmpty: Bool { ready.isEmpty && running.isEmpty && missed.isEmpty }

    /// A reader has missed something of an object, and it is lost here: it comes before the others.
    package mutating func prefer(_ key: ObjectKey, nowMilliseconds: UInt64) {
        guard missed.count < Self.missedCountMax, !missed.contains(where: { $0.key == key }) else { return }
        missed.append((key, nowMilliseconds &+ Self.notedMilliseconds))
    }

    /// Whether a further piece of the table is wanted.
    package func wantsMore(nowMilliseconds: UInt64) -> Bool {
        let isPaused = nowMilliseconds < pausedUntilMilliseconds && !isSetBack(nowMilliseconds)
        return ready.isEmpty && !isPaused
    }

    /// Takes the piece of the table behind `cursor`.
    ///
    /// - Parameter isLast: whether the table ends with it.
    package mutating func bring(
        _ wants: [(key: ObjectKey, sinceMilliseconds: UInt64)], isLast: Bool, nowMilliseconds: UInt64
    ) {
        credit(nowMilliseconds)
        // What is still under way then counts in the next one.
        if isAtEnd { endPass(nowMilliseconds) }
        var current = pass ?? RepairPass(beganMilliseconds: nowMilliseconds)
        for (key, since) in wants {
            if let failure = failures[key], failure.nextMilliseconds > nowMilliseconds {
                current.deferredCount += 1
                continue
            }
            // A clock that was set back must not keep it waiting.
            let isDue =
                since > nowMilliseconds || nowMilliseconds - since >= delayMilliseconds || since < promptMilliseconds
            guard !running.contains(key) else { continue }
            if isDue { ready.append(key) } else { current.deferredCount += 1 }
        }
        cursor = isLast ? nil : wants.last?.key ?? cursor
        pass = current
        isAtEnd = isLast
        if isAtEnd, isEmpty { endPass(nowMilliseconds) }
    }

    private mutating func endPass(_ nowMilliseconds: UInt64) {
        isAtEnd = false
        guard var ended = pass else { return }
        pass = nil
        guard ended.examinedCount > 0 else { return }
        ended.endedMilliseconds = nowMilliseconds
        endedPass = ended
    }

    /// The pass that has ended since this was last asked, if anything was tried in it; the latest of several.
    package mutating func takeEndedPass() -> RepairPass? {
        defer { endedPass = nil }
        return endedPass
    }

    /// Of how many objects it is known that they failed and wait.
    package var failedCount: Int { failures.count }

    /// Why an object's repair has failed, as far as that is remembered.
    package func failure(of key: ObjectKey) -> RepairFailure? { failures[key] }

    private var idleCount: Int {
        min(Self.smallCountMax, max(Self.idleCountMax, Self.smallBytesAtOnce / max(1, typicalBytes)))
    }

    /// The next object to repair now; the caller asks until there is none, and says when each is done.
    package mutating func next(nowMilliseconds: UInt64, isIdle: Bool) -> ObjectKey? {
        credit(nowMilliseconds)
        guard nowMilliseconds >= pausedUntilMilliseconds,
            running.count < (isIdle ? idleCount : Self.busyCountMax),
            (isIdle ? idleBytes : busyBytes).balance > 0
        else { return nil }
        while let first = missed.first, first.fromMilliseconds <= nowMilliseconds || isSetBack(nowMilliseconds) {
            missed.removeFirst()
            if running.insert(first.key).inserted { return first.key }
        }
        while let key = ready.popFirst() {
            guard running.insert(key).inserted else { continue }
            return key
        }
        return nil
    }

    /// The object's repair has ended; so much was read of others for it.
    ///
    /// - Parameters:
    ///   - failure: why, if it has failed.
    ///   - isVoid: whether there is no good fragment of some of it for this server.
    package mutating func finished(
        _ key: ObjectKey, _ end: RepairEnd, _ failure: RepairFailure? = nil, isVoid: Bool = false, sizeBytes: Int,
        nowMilliseconds: UInt64
    ) {
        guard running.remove(key) != nil else { return }
        count(end, failure, isVoid: isVoid, nowMilliseconds)
        defer { if isAtEnd, isEmpty { endPass(nowMilliseconds) } }
        // It rises at once, and falls a little with each smaller one.
        if end == .done { typicalBytes = max(sizeBytes, typicalBytes - typicalBytes / 8 - 1) }
        idleBytes.spend(sizeBytes)
        busyBytes.spend(sizeBytes)
        switch end {
        case .done, .later:
            failures[key] = nil
            failureStreak = 0
        case .full: pausedUntilMilliseconds = nowMilliseconds &+ Self.fullMilliseconds
        case .failed:
            let count = (failures[key]?.count ?? 0) + 1
            let wait = min(Self.lastRetryMilliseconds, Self.firstRetryMilliseconds << UInt64(min(count - 1, 20)))
            if failures.count >= Self.failedCountMax, failures[key] == nil,
                let next = failures.min(by: { $0.value.nextMilliseconds < $1.value.nextMilliseconds })?.key
            {
                failures[next] = nil
            }
            var latest = failure ?? RepairFailure("", isShortage: false)
            latest.count = count
            latest.nextMilliseconds = nowMilliseconds &+ wait
            latest.shortages = latest.isShortage ? (failures[key]?.shortages ?? 0) + 1 : 0
            failures[key] = latest
            failureStreak += 1
            // Nothing can be had, of however many objects: they are not all tried one after the other.
            if failureStreak >= Self.failureStreakMax {
                failureStreak = 0
                pausedUntilMilliseconds = max(pausedUntilMilliseconds, nowMilliseconds &+ Self.firstRetryMilliseconds)
            }
        }
    }

    private mutating func count(
        _ end: RepairEnd, _ failure: RepairFailure?, isVoid: Bool, _ nowMilliseconds: UInt64
    ) {
        var current = pass ?? RepairPass(beganMilliseconds: nowMilliseconds)
        current.examinedCount += 1
        if isVoid { current.voidCount += 1 }
        switch end {
        case .done: current.repairedCount += 1
        case .later: current.deferredCount += 1
        case .failed: current.failedCounts[failure?.cause ?? .own, default: 0] += 1
        case .full: current.fullCount += 1
        }
        pass = current
    }

    private func isSetBack(_ nowMilliseconds: UInt64) -> Bool {
        nowMilliseconds &+ Self.setBackMilliseconds < creditedMilliseconds
    }

    private mutating func credit(_ nowMilliseconds: UInt64) {
        if isSetBack(nowMilliseconds) {
            // What was to happen at some time does so now.
            creditedMilliseconds = nowMilliseconds
            pausedUntilMilliseconds = 0
            failures = [:]
        }
        guard nowMilliseconds > creditedMilliseconds else { return }
        let elapsed = Int(clamping: min(nowMilliseconds - creditedMilliseconds, 3_600_000))
        idleBytes.earn(milliseconds: elapsed)
        busyBytes.earn(milliseconds: elapsed)
        creditedMilliseconds = nowMilliseconds
    }
}
