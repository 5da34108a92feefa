// Which objects a server repairs next: those that have waited, within a budget, and what fails less and less often.

import Testing

@testable import QuorumProtocol

@Suite("The repair queue")
struct RepairQueueTests {
    private func key(_ number: Int) -> ObjectKey { .of("objects/\(number)") }

    private func queue(bytesPerSecond: Int = 1000, delayMilliseconds: UInt64 = 0) -> RepairQueue {
        RepairQueue(bytesPerSecond: bytesPerSecond, delayMilliseconds: delayMilliseconds)
    }

    private func rows(_ numbers: Range<Int>, since: UInt64 = 0) -> [(key: ObjectKey, sinceMilliseconds: UInt64)] {
        numbers.map { (key($0), since) }
    }

    private func takeAll(_ queue: inout RepairQueue, at now: UInt64, isIdle: Bool = true) -> [ObjectKey] {
        var taken: [ObjectKey] = []
        while let key = queue.next(nowMilliseconds: now, isIdle: isIdle) { taken.append(key) }
        return taken
    }

    /// Brings one row and says whether it is taken up.
    private func isTaken(_ queue: inout RepairQueue, _ number: Int = 0, since: UInt64 = 0, at now: UInt64) -> Bool {
        queue.bring(rows(number..<(number + 1), since: since), isLast: true, nowMilliseconds: now)
        return queue.next(nowMilliseconds: now, isIdle: true) == key(number)
    }

    // MARK: Order and number

    @Test("takes objects in the table's order, each once at a time")
    func order() {
        var queue = queue()
        #expect(queue.isEmpty && queue.wantsMore(nowMilliseconds: 0))
        queue.bring(rows(0..<3), isLast: true, nowMilliseconds: 0)
        #expect(!queue.isEmpty && !queue.wantsMore(nowMilliseconds: 0))
        #expect(takeAll(&queue, at: 0) == (0..<3).map(key))
        #expect(!queue.isEmpty && queue.wantsMore(nowMilliseconds: 0))
        queue.bring(rows(0..<4), isLast: true, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0) == [key(3)])
        for number in 0..<4 { queue.finished(key(number), .done, sizeBytes: 0, nowMilliseconds: 0) }
        #expect(queue.isEmpty)
        // A row that is there twice is one object.
        queue.bring(rows(0..<1) + rows(0..<1), isLast: true, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0) == [key(0)])
    }

    @Test("takes first what readers have missed, once it is noted")
    func missed() {
        var queue = queue()
        queue.bring(rows(0..<3), isLast: true, nowMilliseconds: 0)
        queue.prefer(key(7), nowMilliseconds: 0)
        queue.prefer(key(7), nowMilliseconds: 0)
        queue.prefer(key(2), nowMilliseconds: 0)
        #expect(queue.next(nowMilliseconds: 0, isIdle: true) == key(0))
        #expect(takeAll(&queue, at: 500) == [key(7), key(2), key(1)])
        for number in [0, 1, 2, 7] { queue.finished(key(number), .done, sizeBytes: 0, nowMilliseconds: 500) }
        #expect(queue.isEmpty)
        // With nothing in the table there is something to do all the same.
        queue.prefer(key(8), nowMilliseconds: 500)
        #expect(!queue.isEmpty && takeAll(&queue, at: 500).isEmpty && takeAll(&queue, at: 1000) == [key(8)])
        queue.finished(key(8), .done, sizeBytes: 0, nowMilliseconds: 1000)
        // No more of them than there is room for.
        for number in 0..<1000 { queue.prefer(key(number), nowMilliseconds: 1000) }
        var count = 0
        while let next = queue.next(nowMilliseconds: 2000, isIdle: true) {
            queue.finished(next, .done, sizeBytes: 0, nowMilliseconds: 2000)
            count += 1
        }
        #expect(count == 256)
    }

    @Test("has many at once while nobody asks for anything, and else one")
    func counts() {
        var queue = queue()
        queue.bring(rows(0..<40), isLast: true, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0, isIdle: false) == [key(0)])
        let all = RepairQueue.idleCountMax
        #expect(takeAll(&queue, at: 0).count == all - 1 && all > 1)
        #expect(takeAll(&queue, at: 0, isIdle: false).isEmpty && takeAll(&queue, at: 0).isEmpty)
        // All but one have to end before a busy server begins another.
        for number in 0..<(all - 1) { queue.finished(key(number), .done, sizeBytes: 0, nowMilliseconds: 0) }
        #expect(takeAll(&queue, at: 0, isIdle: false).isEmpty)
        queue.finished(key(all - 1), .done, sizeBytes: 0, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0, isIdle: false) == [key(all)])
    }

    @Test("has more of them at once while they are small, and few again as soon as one is not")
    func smallOnes() {
        var queue = queue(bytesPerSecond: 1 << 30)
        queue.bring(rows(0..<1000), isLast: true, nowMilliseconds: 0)
        var running = takeAll(&queue, at: 0)
        #expect(running.count == RepairQueue.idleCountMax)
        func finishAll(sizeBytes: Int, _ end: RepairEnd = .done) {
            for key in running { queue.finished(key, end, sizeBytes: sizeBytes, nowMilliseconds: 0) }
            running = takeAll(&queue, at: 0)
        }
        // What brought nothing tells nothing.
        finishAll(sizeBytes: 0, .later)
        #expect(running.count == RepairQueue.idleCountMax)
        for _ in 0..<10 { finishAll(sizeBytes: 4096) }
        #expect(running.count == RepairQueue.smallCountMax)
        finishAll(sizeBytes: 256 << 10)
        #expect(running.count == 16)
        finishAll(sizeBytes: 8 << 20)
        #expect(running.count == RepairQueue.idleCountMax)
        #expect(takeAll(&queue, at: 0, isIdle: false).isEmpty)
    }

    @Test("leaves what is missing its time to come by itself")
    func delay() {
        var queue = queue(delayMilliseconds: 10_000)
        #expect(!isTaken(&queue, since: 500, at: 500))
        #expect(!isTaken(&queue, since: 500, at: 10_499))
        #expect(isTaken(&queue, since: 500, at: 10_500))
        // A clock that was set back: the row says that it is of times to come.
        #expect(isTaken(&queue, 1, since: 1 << 40, at: 10_500))
    }

    @Test("looks at once after what is not on its way, and after nothing that came up later")
    func prompt() {
        var queue = queue(delayMilliseconds: 10_000)
        queue.bring(rows(0..<3, since: 500), isLast: false, nowMilliseconds: 600)
        #expect(takeAll(&queue, at: 600).isEmpty && queue.cursor == key(2))
        queue.looksAtOnce(afterWantsBefore: 600)
        // Those that were passed over come again.
        #expect(queue.cursor == nil && queue.wantsMore(nowMilliseconds: 600))
        queue.bring(rows(0..<3, since: 599) + rows(3..<5, since: 600), isLast: true, nowMilliseconds: 600)
        #expect(takeAll(&queue, at: 600) == (0..<3).map(key))
        #expect(isTaken(&queue, 3, since: 600, at: 10_600))
    }

    // MARK: Budget

    @Test("reads no more than its budget, and a busy server a tenth of it", arguments: [true, false])
    func budget(isIdle: Bool) {
        var queue = queue(bytesPerSecond: 100_000)
        var (taken, now) = (0, 0 as UInt64)
        while now < 10_000 {
            if queue.wantsMore(nowMilliseconds: now) {
                queue.bring(rows(taken..<(taken + 50)), isLast: false, nowMilliseconds: now)
            }
            while let key = queue.next(nowMilliseconds: now, isIdle: isIdle) {
                taken += 1
                queue.finished(key, .done, sizeBytes: 1000, nowMilliseconds: now)
            }
            now += 10
        }
        // A second's worth may have been saved.
        let expected = isIdle ? 1000 : 100
        #expect((expected...(expected * 11 / 10 + 2)).contains(taken), "\(taken)")
    }

    @Test("owes what it took, an hour's worth at most, and saves a second's worth at most")
    func debt() {
        var queue = queue(bytesPerSecond: 1000)
        #expect(isTaken(&queue, at: 0))
        queue.finished(key(0), .done, sizeBytes: .max, nowMilliseconds: 0)
        #expect(!isTaken(&queue, 1, at: 3_600_000))
        #expect(queue.next(nowMilliseconds: 3_600_001, isIdle: true) == key(1))
        queue.finished(key(1), .done, sizeBytes: 0, nowMilliseconds: 3_600_001)
        var taken = 0
        let now: UInt64 = 1 << 40
        queue.bring(rows(0..<100), isLast: true, nowMilliseconds: now)
        while let key = queue.next(nowMilliseconds: now, isIdle: true) {
            taken += 1
            queue.finished(key, .done, sizeBytes: 100, nowMilliseconds: now)
        }
        #expect(taken == 10)
    }

    // MARK: Failure

    @Test("tries again what failed after a time that doubles, up to its bound")
    func backoff() {
        var queue = queue()
        var now: UInt64 = 0
        for wait in [5, 10, 20, 40, 80, 160, 320, 600, 600, 600] as [UInt64] {
            #expect(isTaken(&queue, at: now))
            queue.finished(key(0), .failed, sizeBytes: 0, nowMilliseconds: now)
            #expect(!isTaken(&queue, at: now))
            now += wait * 1000
            #expect(!isTaken(&queue, at: now - 1), "after \(wait) s")
        }
        #expect(isTaken(&queue, at: now))
        // What was repaired begins anew, and what only has to wait its turn never failed.
        for end in [RepairEnd.done, .later] {
            queue.finished(key(0), end, sizeBytes: 0, nowMilliseconds: now)
            #expect(isTaken(&queue, at: now))
            queue.finished(key(0), .failed, sizeBytes: 0, nowMilliseconds: now)
            #expect(!isTaken(&queue, at: now + 4999))
            now += 5000
            #expect(isTaken(&queue, at: now))
        }
    }

    @Test("is irreparable once too few had it three times in a row, and no more when something else was the matter")
    func irreparable() {
        var queue = queue()
        var now: UInt64 = 0
        func fail(_ failure: RepairFailure?) {
            #expect(isTaken(&queue, at: now))
            queue.finished(key(0), .failed, failure, sizeBytes: 0, nowMilliseconds: now)
            now += 600_000
        }
        #expect(queue.failure(of: key(0)) == nil)
        let shortage = RepairFailure("1 of 2", isShortage: true)
        for count in 1...3 {
            fail(shortage)
            let known = queue.failure(of: key(0))
            #expect(known?.count == count && known?.reason == "1 of 2" && known?.isIrreparable == (count == 3))
        }
        // Somebody did not answer: he may have it.
        fail(RepairFailure("silence", isShortage: false))
        #expect(queue.failure(of: key(0))?.isIrreparable == false && queue.failure(of: key(0))?.count == 4)
        fail(shortage)
        fail(nil)
        fail(shortage)
        fail(shortage)
        #expect(queue.failure(of: key(0))?.isIrreparable == false)
        fail(shortage)
        #expect(queue.failure(of: key(0))?.isIrreparable == true)
        // It is tried all the same, and forgotten when it succeeds.
        #expect(isTaken(&queue, at: now))
        queue.finished(key(0), .done, sizeBytes: 0, nowMilliseconds: now)
        #expect(queue.failure(of: key(0)) == nil)
    }

    @Test("fails ever again without overflow")
    func manyFailures() {
        var queue = queue()
        var now: UInt64 = 0
        for _ in 0..<100 {
            #expect(isTaken(&queue, at: now))
            queue.finished(key(0), .failed, sizeBytes: 0, nowMilliseconds: now)
            now += 600_000
        }
    }

    @Test("lets nothing that failed stand in others' way")
    func others() {
        var queue = queue()
        queue.bring(rows(0..<(2 * RepairQueue.idleCountMax)), isLast: true, nowMilliseconds: 0)
        for key in takeAll(&queue, at: 0) { queue.finished(key, .failed, sizeBytes: 0, nowMilliseconds: 0) }
        #expect(takeAll(&queue, at: 0) == (RepairQueue.idleCountMax..<(2 * RepairQueue.idleCountMax)).map(key))
    }

    @Test("waits with everything while the disk is full")
    func full() {
        var queue = queue()
        queue.bring(rows(0..<3), isLast: true, nowMilliseconds: 100)
        #expect(queue.next(nowMilliseconds: 100, isIdle: true) == key(0))
        #expect(queue.next(nowMilliseconds: 100, isIdle: true) == key(1))
        queue.finished(key(0), .full, sizeBytes: 0, nowMilliseconds: 100)
        queue.finished(key(1), .done, sizeBytes: 0, nowMilliseconds: 101)
        #expect(takeAll(&queue, at: 30_099).isEmpty)
        #expect(!queue.wantsMore(nowMilliseconds: 30_099))
        #expect(takeAll(&queue, at: 30_100) == [key(2)])
        // It has not failed: there was no room.
        #expect(queue.wantsMore(nowMilliseconds: 30_100))
        #expect(isTaken(&queue, 0, at: 30_100))
    }

    @Test("remembers a bounded number of failures, and forgets first what would be tried next")
    func boundedFailures() {
        var queue = queue(bytesPerSecond: 1 << 30)
        var now: UInt64 = 0
        for number in 0..<5000 {
            if number > 0, number % 64 == 0 { now += 5000 }
            #expect(isTaken(&queue, number, at: now))
            queue.finished(key(number), .failed, sizeBytes: 0, nowMilliseconds: now)
        }
        #expect(queue.failedCount == 4096)
        #expect(!isTaken(&queue, 4999, at: now + 4999))
    }

    @Test("waits with everything when nothing can be had, and not when something can")
    func streak() {
        for succeeds in [false, true] {
            var queue = queue(bytesPerSecond: 1 << 30)
            for number in 0..<64 {
                #expect(isTaken(&queue, number, at: 7))
                let end = succeeds && number == 40 ? RepairEnd.done : .failed
                queue.finished(key(number), end, sizeBytes: 0, nowMilliseconds: 7)
            }
            #expect(queue.wantsMore(nowMilliseconds: 5006) == succeeds)
            #expect(isTaken(&queue, 64, at: 5006) == succeeds)
            if !succeeds { #expect(takeAll(&queue, at: 5007) == [key(64)]) }
        }
    }

    @Test("goes on when its clock is set back")
    func clockSetBack() {
        var queue = queue(delayMilliseconds: 1000)
        let day: UInt64 = 86_400_000
        #expect(isTaken(&queue, since: 0, at: day))
        queue.finished(key(0), .failed, sizeBytes: 0, nowMilliseconds: day)
        #expect(isTaken(&queue, 1, since: 0, at: day))
        queue.finished(key(1), .full, sizeBytes: 5000, nowMilliseconds: day)
        // Half an hour passes by any other clock, which is longer than anything waits.
        for now in [day - 3_600_000, day - 1_800_000] { _ = queue.next(nowMilliseconds: now, isIdle: true) }
        #expect(queue.wantsMore(nowMilliseconds: day - 1_800_000), "everything waits for the disk")
        #expect(isTaken(&queue, 2, since: 0, at: day - 1_800_000), "nothing is earned")
        #expect(isTaken(&queue, 0, since: 0, at: day - 1_800_000), "what failed waits")
    }

    // MARK: The table

    @Test("goes through the table with a cursor")
    func cursor() {
        var queue = queue()
        #expect(queue.cursor == nil)
        queue.bring(rows(0..<3, since: 9), isLast: false, nowMilliseconds: 10)
        #expect(queue.cursor == key(2))
        queue.bring(rows(3..<5, since: 4), isLast: false, nowMilliseconds: 10)
        queue.bring(rows(5..<6, since: 7), isLast: true, nowMilliseconds: 10)
        #expect(queue.cursor == nil && queue.failedCount == 0)
        for key in takeAll(&queue, at: 10) { queue.finished(key, .failed, sizeBytes: 0, nowMilliseconds: 10) }
        #expect(queue.failedCount == 6)
        queue.bring([], isLast: true, nowMilliseconds: 10)
        #expect(queue.cursor == nil)
    }

    @Test(
        "is as fast in the end as it was in the beginning, and has all its places then, whatever came of each object",
        arguments: 1...3 as ClosedRange<UInt64>)
    func steady(seed: UInt64) {
        let keys = (0..<50_000).map(key)
        let numbers = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1, $0) })
        var generator = SplitMix64(seed: seed)
        var queue = queue(bytesPerSecond: 1 << 30)
        var table = Array(keys.indices)
        var done: Set<Int> = []
        var running: [(number: Int, endMilliseconds: UInt64)] = []
        // When each tenth of all was done.
        var times: [UInt64] = []
        var (place, now) = (0, 0 as UInt64)
        while times.count < 10, now < 10_000_000 {
            if queue.wantsMore(nowMilliseconds: now) {
                let piece = table[place...].prefix(RepairQueue.readyCountMax)
                let isLast = piece.endIndex == table.endIndex
                queue.bring(
                    piece.map { (key: keys[$0], sinceMilliseconds: 0) }, isLast: isLast, nowMilliseconds: now)
                if isLast { table.removeAll { done.contains($0) } }
                place = isLast ? 0 : piece.endIndex
            }
            while let key = queue.next(nowMilliseconds: now, isIdle: true), let number = numbers[key] {
                running.append((number, now + UInt64.random(in: 1...20, using: &generator)))
            }
            now += 5
            for (number, time) in running where time <= now {
                let end: RepairEnd =
                    generator.chance(percent: 1) ? .failed : generator.chance(percent: 2) ? .later : .done
                queue.finished(keys[number], end, sizeBytes: 1000, nowMilliseconds: now)
                guard end == .done, done.insert(number).inserted else { continue }
                if done.count % (keys.count / 10) == 0 { times.append(now) }
            }
            running.removeAll { $0.endMilliseconds <= now }
        }
        guard times.count == 10 else {
            Issue.record("only \(done.count) are done")
            return
        }
        // At the very end only what failed is left, and waits.
        #expect(times[8] - times[7] <= times[0] * 11 / 10, "\(times)")
        for (number, _) in running { queue.finished(keys[number], .done, sizeBytes: 0, nowMilliseconds: now) }
        queue.bring(rows(0..<100), isLast: true, nowMilliseconds: now)
        #expect(takeAll(&queue, at: now).count == RepairQueue.smallCountMax)
    }

    @Test("takes two who looked at the clock at the same time for no clock that was set back")
    func clockRace() {
        var queue = queue()
        #expect(isTaken(&queue, at: 10_000))
        queue.finished(key(0), .failed, sizeBytes: 0, nowMilliseconds: 10_000)
        queue.bring(rows(0..<1), isLast: true, nowMilliseconds: 9999)
        #expect(takeAll(&queue, at: 9000).isEmpty && queue.failedCount == 1)
    }

    @Test("goes on behind the cursor when a piece has nothing that is due")
    func emptyPieces() {
        var queue = queue(delayMilliseconds: 100)
        queue.bring(rows(0..<3, since: 50), isLast: false, nowMilliseconds: 60)
        #expect(queue.cursor == key(2) && queue.wantsMore(nowMilliseconds: 60))
        queue.bring([], isLast: false, nowMilliseconds: 60)
        #expect(queue.cursor == key(2))
        queue.bring(rows(3..<4, since: 0), isLast: true, nowMilliseconds: 160)
        #expect(takeAll(&queue, at: 160) == [key(3)])
    }

    @Test("is not confused by ends that nobody waits for")
    func strayEnds() {
        var queue = queue()
        queue.finished(key(0), .full, sizeBytes: 1 << 40, nowMilliseconds: 0)
        queue.finished(key(0), .failed, sizeBytes: 1 << 40, nowMilliseconds: 0)
        #expect(isTaken(&queue, at: 0))
    }

    // MARK: Passes

    @Test("sums up each pass in which something was tried, and says what became of all")
    func passes() throws {
        var queue = queue(bytesPerSecond: 1 << 30, delayMilliseconds: 100)
        queue.bring(rows(0..<7) + rows(7..<8, since: 950), isLast: true, nowMilliseconds: 1000)
        #expect(takeAll(&queue, at: 1000).count == 7 && queue.takeEndedPass() == nil)
        queue.finished(key(0), .done, sizeBytes: 0, nowMilliseconds: 1100)
        queue.finished(key(1), .done, isVoid: true, sizeBytes: 0, nowMilliseconds: 1100)
        let silent = RepairFailure("silence", isShortage: false, cause: .unreachable)
        queue.finished(key(2), .failed, silent, sizeBytes: 0, nowMilliseconds: 1100)
        queue.finished(key(3), .failed, RepairFailure("1 of 2", isShortage: true), sizeBytes: 0, nowMilliseconds: 1100)
        queue.finished(key(4), .failed, sizeBytes: 0, nowMilliseconds: 1100)
        queue.finished(key(5), .later, sizeBytes: 0, nowMilliseconds: 1100)
        #expect(queue.takeEndedPass() == nil)
        queue.finished(key(6), .full, sizeBytes: 0, nowMilliseconds: 1200)
        let ended = queue.takeEndedPass()
        let pass = try #require(ended)
        #expect(pass.examinedCount == 7 && pass.repairedCount == 2 && pass.voidCount == 1 && pass.fullCount == 1)
        #expect(pass.failedCounts == [.unreachable: 1, .lacking: 1, .own: 1])
        // One that was wanted too lately, and one whose turn was over.
        #expect(pass.deferredCount == 2 && pass.milliseconds == 200)
        #expect(queue.takeEndedPass() == nil)
        #expect(
            pass.description == """
                went through what is wanted: 7 examined, 2 repaired, failed (others unreachable 1, others lack it 1, \
                not possible here 1, void 1, no space 1), 2 deferred, in 200 ms
                """)
    }

    @Test("says nothing of a pass in which nothing was tried, and ends one beside repairs that go on")
    func quietPasses() {
        var queue = queue()
        queue.bring([], isLast: true, nowMilliseconds: 0)
        #expect(queue.takeEndedPass() == nil)
        queue.bring(rows(0..<2), isLast: true, nowMilliseconds: 0)
        #expect(takeAll(&queue, at: 0).count == 2)
        queue.finished(key(0), .done, sizeBytes: 0, nowMilliseconds: 10)
        #expect(queue.takeEndedPass() == nil)
        // The other one takes longer than it takes to go through the table again.
        queue.bring(rows(1..<2), isLast: true, nowMilliseconds: 20)
        #expect(queue.takeEndedPass()?.examinedCount == 1)
        queue.finished(key(1), .done, sizeBytes: 0, nowMilliseconds: 30)
        #expect(queue.takeEndedPass()?.examinedCount == 1)
    }
}
