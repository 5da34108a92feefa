// Which objects a server verifies next (docs/protocol.md, Verification modes). Pure; a shell asks it for work and tells
// it the time.
//
// Objects near a bound are urgent: writers wait for them, so several are verified at once and nothing holds them back.
// The others wait until the server has nothing better to do, or until they have waited long enough, and share a budget
// of bytes and of processor time. An object is never verified twice at the same time; if it is asked for meanwhile, it
// waits again.

import DequeModule

/// What verification in idle time may take of a server.
package struct VerificationBudget: Sendable, Equatable {
    /// What it may read, in bytes of values.
    package var bytesPerSecond: Int
    /// What it may take of the processors, in hundredths of one.
    package var processorPercent: Int

    package init(bytesPerSecond: Int = 64 << 20, processorPercent: Int = 50) {
        precondition((1...1 << 40).contains(bytesPerSecond) && (1...1 << 20).contains(processorPercent))
        self.bytesPerSecond = bytesPerSecond
        self.processorPercent = processorPercent
    }
}

/// The objects that wait to be verified at one server.
package struct VerificationQueue: Sendable {
    /// How many objects are verified at once: urgent ones, and others.
    package static let urgentCountMax = 8
    package static let idleCountMax = 2
    /// How many may wait for idle time; what does not fit is found again when it is due.
    package static let waitingCountMax = 1 << 16

    private struct Waiting: Sendable {
        var isUrgent: Bool
        let sinceMilliseconds: UInt64
    }

    private let patienceMilliseconds: UInt64
    private var waiting: [ObjectKey: Waiting] = [:]
    /// In the order in which they came; an object whose turn has passed, or that has become urgent, is skipped.
    private var urgent: Deque<ObjectKey> = []
    private var idle: Deque<ObjectKey> = []
    private var running: [ObjectKey: Bool] = [:]
    private var bytes: Credit
    private var processorMicroseconds: Credit
    private var creditedMilliseconds: UInt64 = 0

    /// - Parameters:
    ///   - budget: what verification in idle time may take.
    ///   - patienceMilliseconds: how long an object waits for idle time before it is verified all the same.
    package init(budget: VerificationBudget, patienceMilliseconds: UInt64) {
        self.patienceMilliseconds = patienceMilliseconds
        bytes = Credit(perSecond: budget.bytesPerSecond)
        processorMicroseconds = Credit(perSecond: 10_000 * budget.processorPercent)
    }

    package var isEmpty: Bool { waiting.isEmpty && running.isEmpty }

    package mutating func add(_ key: ObjectKey, isUrgent: Bool, nowMilliseconds: UInt64) {
        if let known = waiting[key] {
            guard isUrgent, !known.isUrgent else { return }
            waiting[key]!.isUrgent = true
            idle.removeAll { $0 == key }
            urgent.append(key)
            return
        }
        guard isUrgent || waiting.count < Self.waitingCountMax else { return }
        waiting[key] = Waiting(isUrgent: isUrgent, sinceMilliseconds: nowMilliseconds)
        if isUrgent { urgent.append(key) } else { idle.append(key) }
    }

    /// The next object to verify now; the caller asks until there is none, and says when each is done.
    package mutating func next(nowMilliseconds: UInt64, isIdle: Bool) -> ObjectKey? {
        if running.values.count(where: { $0 }) < Self.urgentCountMax, let key = takeFirst(urgent: true) { return key }
        credit(nowMilliseconds)
        guard bytes.balance > 0, processorMicroseconds.balance > 0,
            running.values.count(where: { !$0 }) < Self.idleCountMax
        else { return nil }
        while let first = idle.first, !isWaiting(first, urgent: false) { idle.removeFirst() }
        guard let first = idle.first, let since = waiting[first]?.sinceMilliseconds,
            isIdle || since &+ patienceMilliseconds <= nowMilliseconds
        else { return nil }
        return takeFirst(urgent: false)
    }

    /// The object was verified, or could not be; so much was read for it, which urgent ones leave less of to the
    /// others.
    package mutating func finished(_ key: ObjectKey, sizeBytes: Int) {
        guard running.removeValue(forKey: key) != nil else { return }
        bytes.spend(sizeBytes)
    }

    /// Verification has taken so much of the processors since this was last told.
    package mutating func spent(processorMicroseconds: Int) { self.processorMicroseconds.spend(processorMicroseconds) }

    private func isWaiting(_ key: ObjectKey, urgent: Bool) -> Bool {
        waiting[key].map { $0.isUrgent == urgent } ?? false
    }

    /// Takes the first object of its kind that is not being verified already.
    private mutating func takeFirst(urgent isUrgent: Bool) -> ObjectKey? {
        var deferred: [ObjectKey] = []
        defer {
            if isUrgent { urgent.append(contentsOf: deferred) } else { idle.append(contentsOf: deferred) }
        }
        while let key = isUrgent ? urgent.popFirst() : idle.popFirst() {
            guard isWaiting(key, urgent: isUrgent) else { continue }
            guard running[key] == nil else {
                deferred.append(key)
                continue
            }
            waiting[key] = nil
            running[key] = isUrgent
            return key
        }
        return nil
    }

    private mutating func credit(_ nowMilliseconds: UInt64) {
        guard nowMilliseconds > creditedMilliseconds else { return }
        let elapsed = Int(clamping: min(nowMilliseconds - creditedMilliseconds, 3_600_000))
        bytes.earn(milliseconds: elapsed)
        processorMicroseconds.earn(milliseconds: elapsed)
        creditedMilliseconds = nowMilliseconds
    }
}
