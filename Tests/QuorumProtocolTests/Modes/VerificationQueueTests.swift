// Which object a server verifies next: urgent ones at once, others in idle time, within a budget, each at most once at
// a time.

import QuorumProtocol
import Testing

@Suite("The verification queue")
struct VerificationQueueTests {
    private func key(_ number: Int) -> ObjectKey { .of("objects/\(number)") }

    private func queue(
        bytesPerSecond: Int = 1000, processorPercent: Int = 1, patienceMilliseconds: UInt64 = 5000
    ) -> VerificationQueue {
        VerificationQueue(
            budget: VerificationBudget(bytesPerSecond: bytesPerSecond, processorPercent: processorPercent),
            patienceMilliseconds: patienceMilliseconds)
    }

    /// Everything that may be verified now.
    private func takeAll(_ queue: inout VerificationQueue, at now: UInt64, isIdle: Bool = true) -> [ObjectKey] {
        var taken: [ObjectKey] = []
        while let key = queue.next(nowMilliseconds: now, isIdle: isIdle) { taken.append(key) }
        return taken
    }

    @Test("takes objects in the order in which they came, and forgets them when they are done")
    func order() {
        var queue = queue()
        #expect(queue.isEmpty)
        for number in 0..<5 { queue.add(key(number), isUrgent: false, nowMilliseconds: 0) }
        var taken: [ObjectKey] = []
        while let next = queue.next(nowMilliseconds: 0, isIdle: true) {
            taken.append(next)
            queue.finished(next, sizeBytes: 1)
        }
        #expect(taken == (0..<5).map(key))
        #expect(queue.isEmpty)
    }

    @Test("waits for idle time, but not longer than its patience")
    func patience() {
        var queue = queue(patienceMilliseconds: 100)
        queue.add(key(0), isUrgent: false, nowMilliseconds: 50)
        #expect(takeAll(&queue, at: 50, isIdle: false).isEmpty)
        #expect(takeAll(&queue, at: 149, isIdle: false).isEmpty)
        #expect(takeAll(&queue, at: 150, isIdle: false) == [key(0)])
        queue.finished(key(0), sizeBytes: 0)
        queue.add(key(1), isUrgent: false, nowMilliseconds: 151)
        #expect(takeAll(&queue, at: 151) == [key(1)])
    }

    @Test("lets nothing hold up urgent objects: neither a busy server nor a spent budget nor others before them")
    func urgency() {
        var queue = queue(bytesPerSecond: 10)
        for number in 0..<3 { queue.add(key(number), isUrgent: false, nowMilliseconds: 0) }
        let first = takeAll(&queue, at: 0)
        for key in first { queue.finished(key, sizeBytes: 1 << 30) }
        queue.add(key(7), isUrgent: true, nowMilliseconds: 0)
        queue.add(key(2), isUrgent: true, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0, isIdle: false) == [key(7), key(2)], "also one that waited without urgency")
        queue.finished(key(7), sizeBytes: 1 << 30)
        queue.finished(key(2), sizeBytes: 1 << 30)
        #expect(queue.isEmpty)
    }

    @Test("does not take back the urgency of an object, and adds it once")
    func urgentOnce() {
        var queue = queue()
        queue.add(key(0), isUrgent: true, nowMilliseconds: 0)
        queue.add(key(0), isUrgent: false, nowMilliseconds: 0)
        queue.add(key(0), isUrgent: true, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0, isIdle: false) == [key(0)])
        queue.finished(key(0), sizeBytes: 0)
        #expect(queue.isEmpty && queue.next(nowMilliseconds: 1 << 40, isIdle: true) == nil)
    }

    @Test("spends no more than its budget in idle time, and saves no more than one second's")
    func budget() {
        var queue = queue(bytesPerSecond: 1000)
        for number in 0..<400 { queue.add(key(number), isUrgent: false, nowMilliseconds: 0) }
        var spentBytes = 0
        for now in stride(from: UInt64(0), through: 10_000, by: 10) {
            for next in takeAll(&queue, at: now) {
                queue.finished(next, sizeBytes: 100)
                spentBytes += 100
            }
            #expect(spentBytes <= 1000 + Int(now) + 200, "at \(now)")
        }
        #expect(spentBytes >= 10_000)
        // What was overspent is owed.
        for next in takeAll(&queue, at: 1 << 30) { queue.finished(next, sizeBytes: 50_500) }
        #expect(takeAll(&queue, at: (1 << 30) + 100_000).isEmpty)
        for next in takeAll(&queue, at: (1 << 30) + 100_001) { queue.finished(next, sizeBytes: 1) }
        for next in takeAll(&queue, at: 1 << 31) { queue.finished(next, sizeBytes: 600) }
        spentBytes = 0
        while let next = queue.next(nowMilliseconds: (1 << 31) + 1, isIdle: true) {
            queue.finished(next, sizeBytes: 100)
            spentBytes += 100
        }
        #expect(spentBytes <= 1000)
    }

    @Test("spends no more processor time than its budget in idle time, however little there is to read")
    func processorBudget() {
        // 10 ms of each second.
        var queue = queue(bytesPerSecond: 1 << 30, processorPercent: 1)
        for number in 0..<400 { queue.add(key(number), isUrgent: false, nowMilliseconds: 0) }
        var spentMicroseconds = 0
        for now in stride(from: UInt64(0), through: 10_000, by: 10) {
            for next in takeAll(&queue, at: now) {
                queue.finished(next, sizeBytes: 1)
                queue.spent(processorMicroseconds: 500)
                spentMicroseconds += 500
            }
            #expect(spentMicroseconds <= 10_000 + 10 * Int(now) + 1000, "at \(now)")
        }
        #expect(spentMicroseconds >= 100_000)
        queue.add(key(500), isUrgent: true, nowMilliseconds: 10_000)
        #expect(takeAll(&queue, at: 10_000, isIdle: false).contains(key(500)), "urgent ones wait for no budget")
    }

    @Test(
        "never gives an object out twice at a time, and gives it out again when it was asked for meanwhile",
        arguments: [true, false])
    func notTwice(isUrgent: Bool) {
        var queue = queue()
        queue.add(key(0), isUrgent: isUrgent, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0) == [key(0)])
        for urgency in [false, true, false] {
            queue.add(key(0), isUrgent: urgency, nowMilliseconds: 1)
            #expect(takeAll(&queue, at: 1 << 20).isEmpty)
        }
        queue.finished(key(0), sizeBytes: 0)
        #expect(takeAll(&queue, at: 1 << 20) == [key(0)])
        queue.finished(key(0), sizeBytes: 0)
        #expect(takeAll(&queue, at: 1 << 21).isEmpty && queue.isEmpty)
    }

    @Test("is not held up by an object that is being verified and waits again")
    func notHeldUp() {
        var queue = queue()
        queue.add(key(0), isUrgent: true, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0) == [key(0)])
        queue.add(key(0), isUrgent: true, nowMilliseconds: 0)
        queue.add(key(1), isUrgent: true, nowMilliseconds: 0)
        queue.add(key(2), isUrgent: false, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0) == [key(1), key(2)])
    }

    @Test("verifies only so many objects at once, and keeps only so many waiting but for urgent ones")
    func bounds() {
        var queue = queue()
        for number in 0..<VerificationQueue.waitingCountMax + 10 {
            queue.add(key(number), isUrgent: number % 2 == 0, nowMilliseconds: 0)
        }
        let first = takeAll(&queue, at: 0)
        #expect(first.count == VerificationQueue.urgentCountMax + VerificationQueue.idleCountMax)
        #expect(Set(first).count == first.count)
        var total = 0
        var running = first
        while !running.isEmpty {
            total += running.count
            for key in running { queue.finished(key, sizeBytes: 0) }
            running = takeAll(&queue, at: 0)
        }
        #expect(total == VerificationQueue.waitingCountMax + 5 && queue.isEmpty)
    }

    @Test("agrees with a plain model of it whatever is asked of it", arguments: 0..<30 as Range<UInt64>)
    func model(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var queue = queue(bytesPerSecond: 1 << 30)
        var waiting: Set<ObjectKey> = []
        var running: Set<ObjectKey> = []
        for step in 0..<400 {
            let key = key(Int.random(in: 0..<12, using: &generator))
            switch Int.random(in: 0..<4, using: &generator) {
            case 0, 1:
                queue.add(key, isUrgent: generator.chance(percent: 30), nowMilliseconds: UInt64(step))
                waiting.insert(key)
            case 2:
                guard let next = queue.next(nowMilliseconds: UInt64(step), isIdle: generator.chance(percent: 80)) else {
                    break
                }
                #expect(waiting.remove(next) != nil && running.insert(next).inserted, "seed \(seed), step \(step)")
            default:
                guard let done = running.sorted().randomElement(using: &generator) else { break }
                running.remove(done)
                queue.finished(done, sizeBytes: 0)
            }
            #expect(queue.isEmpty == (waiting.isEmpty && running.isEmpty), "seed \(seed), step \(step)")
        }
        var left = running
        while !left.isEmpty || !waiting.isEmpty {
            for key in left { queue.finished(key, sizeBytes: 0) }
            left = Set(takeAll(&queue, at: 1 << 30))
            guard !left.isEmpty || waiting.isEmpty else {
                Issue.record("seed \(seed): \(waiting) are never verified")
                return
            }
            waiting.subtract(left)
        }
        #expect(queue.isEmpty)
    }
}
