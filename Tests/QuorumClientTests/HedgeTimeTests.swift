// How the hedge time follows what operations take.

import NIOCore
import QuorumOperations
import Testing

@Suite("The hedge time")
struct HedgeTimeTests {
    private func time(after milliseconds: [Int64], least: Int = 100) -> Int64 {
        let hedge = HedgeTime(leastMilliseconds: least)
        for time in milliseconds { hedge.record(.milliseconds(time)) }
        return hedge.current.nanoseconds / 1_000_000
    }

    @Test("is the least at first, and as long as operations are faster")
    func least() {
        #expect(time(after: []) == 100)
        #expect(time(after: Array(repeating: 5, count: 50)) == 100)
    }

    @Test("is longer than what operations take when all of them take long, and comes back")
    func following() {
        #expect(time(after: Array(repeating: 300, count: 50)) >= 300)
        #expect(time(after: (0..<50).map { $0 % 2 == 0 ? 200 : 400 }) > 400)
        #expect(time(after: Array(repeating: 300, count: 50) + Array(repeating: 5, count: 80)) == 100)
    }

    @Test("is never more than ten times the least, whatever it is told")
    func most() {
        #expect(time(after: Array(repeating: 60_000, count: 50)) == 1000)
        #expect(time(after: [.max / 2_000_000], least: .max) > 0)
        #expect(time(after: [5], least: .min) == 0)
    }
}
