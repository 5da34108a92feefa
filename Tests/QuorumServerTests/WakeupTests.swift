// Sleep that ends when something happens.

import Synchronization
import Testing

@testable import QuorumServer

@Suite("Waiting for something to happen")
struct WakeupTests {
    /// So long that a test which waited for it would not end.
    private static let forever = Duration.seconds(1_000_000)

    private final class Count: Sendable {
        let value = Atomic(0)
    }

    @Test("what happens ends the sleep of all who wait", .timeLimit(.minutes(1)))
    func wakes() async {
        let wakeup = Wakeup()
        let count = wakeup.count
        let ended = Count()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    #expect(await wakeup.wait(after: count, atMost: Self.forever))
                    ended.value.add(1, ordering: .relaxed)
                }
            }
            group.addTask {
                await Task.yield()
                #expect(ended.value.load(ordering: .relaxed) == 0)
                wakeup.wake()
            }
        }
        #expect(ended.value.load(ordering: .relaxed) == 20 && wakeup.count == count + 1)
    }

    @Test("what has happened since the last look is not missed, and waited for only once", .timeLimit(.minutes(1)))
    func earlier() async {
        let wakeup = Wakeup()
        let count = wakeup.count
        wakeup.wake()
        #expect(await wakeup.wait(after: count, atMost: Self.forever))
        // Nothing has happened since this look.
        #expect(await wakeup.wait(after: wakeup.count, atMost: .milliseconds(1)))
        #expect(wakeup.count == count + 1)
    }

    @Test("a task that is cancelled does not sleep on", .timeLimit(.minutes(1)), arguments: [true, false])
    func cancelled(isBefore: Bool) async {
        let wakeup = Wakeup()
        let sleeper = Task {
            if isBefore { while !Task.isCancelled { await Task.yield() } }
            return await wakeup.wait(after: wakeup.count, atMost: Self.forever)
        }
        sleeper.cancel()
        #expect(await sleeper.value == false)
    }
}
