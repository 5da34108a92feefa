// When a server looks for what is due.

import ObjectStorage
import Testing

@testable import QuorumServer

@Suite("Looking for due objects")
struct DueScanTests {
    @Test("one scan runs at a time, however often the clock ticks")
    func one() {
        var scan = DueScan()
        var begun = 0
        for _ in 0..<600 where scan.begins(doneCount: 0) { begun += 1 }
        #expect(begun == 1)
        scan.end(last: nil, queuedCount: 0)
        let begins = scan.begins(doneCount: 0)
        #expect(begins)
    }

    @Test("none begins while the disk has not done what the last one led to")
    func disk() {
        var scan = DueScan()
        var begun = 0
        for _ in 0..<600 where scan.begins(doneCount: 10) {
            begun += 1
            scan.end(last: nil, queuedCount: 12)
        }
        #expect(begun == 1)
        let tooEarly = scan.begins(doneCount: 11)
        let inTime = scan.begins(doneCount: 12)
        #expect(!tooEarly && inTime)
    }

    @Test("the next one goes on where the last one ended")
    func cursor() {
        var scan = DueScan()
        let last = ExpiredObject(key: [1], expiry: 5)
        _ = scan.begins(doneCount: 0)
        scan.end(last: last, queuedCount: 0)
        #expect(scan.last == last)
        _ = scan.begins(doneCount: 0)
        #expect(scan.last == last)
        scan.end(last: nil, queuedCount: 0)
        #expect(scan.last == nil)
    }
}
