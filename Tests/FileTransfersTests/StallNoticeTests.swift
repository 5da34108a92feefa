// When a command says that it waits, and for whom.

import FileTransfers
import QuorumClient
import QuorumProtocol
import Testing

@Suite("A notice that nothing moves") struct StallNoticeTests {
    private static func counts(_ bytes: UInt64, items: Int = 0) -> ProgressCounts {
        var counts = ProgressCounts()
        counts.doneBytes = bytes
        counts.doneItems = items
        return counts
    }

    @Test("comes after ten seconds, then each minute, and once more when something moves")
    func silence() {
        var notice = StallNotice()
        var events: [Int: StallNotice.Event] = [:]
        for second in 0...100 {
            events[second] = notice.look(
                Self.counts(second < 5 ? UInt64(second) : second < 95 ? 5 : 6), at: Double(second))
        }
        // It moved last when it was seen at 5.
        #expect(events == [15: .silent(seconds: 10), 75: .silent(seconds: 70), 95: .moves])
    }

    @Test("does not come while objects are done, however small they are")
    func items() {
        var notice = StallNotice()
        for second in 0..<60 {
            #expect(notice.look(Self.counts(0, items: second / 9), at: Double(second)) == nil)
        }
    }

    @Test("names the servers, or who else is waited for")
    func text() {
        let servers = [
            ServerTrouble(server: NodeID(2), what: "gone"), ServerTrouble(server: NodeID(3), what: "silent"),
        ]
        #expect(
            StallNotice.text(.silent(seconds: 10), servers: servers, other: "x")
                == "no progress for 10 s, waiting for server 2 (gone), server 3 (silent)")
        #expect(
            StallNotice.text(.silent(seconds: 70), servers: [], other: "standard input")
                == "no progress for 70 s, waiting for standard input")
        #expect(StallNotice.text(.moves, servers: servers, other: "x") == "it goes on")
    }
}
