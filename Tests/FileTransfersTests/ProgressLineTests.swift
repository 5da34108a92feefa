// The line that says how far a command is.

import FileTransfers
import Testing

@Suite("The line of progress") struct ProgressLineTests {
    private static func counts(
        _ done: (items: Int, bytes: UInt64), of planned: (items: Int, bytes: UInt64), isComplete: Bool = true,
        failed: Int = 0
    ) -> ProgressCounts {
        var counts = ProgressCounts()
        (counts.doneItems, counts.doneBytes) = done
        (counts.plannedItems, counts.plannedBytes) = planned
        counts.isPlanComplete = isComplete
        counts.failedItems = failed
        return counts
    }

    @Test("says count, bytes, percent, rate and the time that is left")
    func complete() {
        let counts = Self.counts((3, 1 << 20), of: (12, 4 << 20))
        #expect(
            counts.line(name: nil, rate: 524_288, columns: 80)
                == "3 of 12  1.0 MiB of 4.0 MiB  25 %  512.0 KiB/s  0:06 left")
    }

    @Test("says neither percent nor time while more may be found, and no time without a rate")
    func incomplete() {
        let finding = Self.counts((3, 1 << 20), of: (12, 4 << 20), isComplete: false)
        #expect(finding.line(name: nil, rate: 100, columns: 80) == "3 of 12+  1.0 MiB of 4.0 MiB+  100 B/s")
        let found = Self.counts((0, 0), of: (2, 10))
        #expect(found.line(name: nil, rate: nil, columns: 80) == "0 of 2  0 B of 10 B  0 %")
        #expect(found.line(name: nil, rate: 0, columns: 80) == "0 of 2  0 B of 10 B  0 %  0 B/s")
    }

    @Test("is never over 100 percent, and 100 only when all is done")
    func bounded() {
        let again = Self.counts((1, 625), of: (2, 100))
        #expect(again.line(name: nil, rate: nil, columns: 80) == "1 of 2  625 B of 625 B  99 %")
        let over = Self.counts((2, 625), of: (2, 100), failed: 1)
        #expect(over.line(name: nil, rate: nil, columns: 80) == "2 of 2  625 B of 625 B  100 %  1 FAILED")
    }

    @Test("moves also when the objects are empty")
    func empty() {
        #expect(Self.counts((1, 0), of: (4, 0)).line(name: nil, rate: nil, columns: 80) == "1 of 4  0 B of 0 B  25 %")
    }

    @Test("of one object names it, also where nobody knows its size")
    func one() {
        let known = Self.counts((0, 50), of: (1, 100))
        #expect(known.line(name: "a/b", rate: 10, columns: 80) == "a/b  50 B of 100 B  50 %  10 B/s  0:05 left")
        let unknown = Self.counts((0, 50), of: (0, 0), isComplete: false)
        #expect(unknown.line(name: "a/b", rate: 10, columns: 80) == "a/b  50 B  10 B/s")
    }

    @Test("stays below the terminal's width, wide letters counted twice", arguments: [0, 1, 2, 10, 20, 79])
    func width(columns: Int) {
        let counts = Self.counts((3, 1 << 20), of: (12, 4 << 20))
        let line = counts.line(name: "\u{732B}\u{732B}/\u{E9}e\u{301}", rate: 524_288, columns: columns)
        let width = line.unicodeScalars.reduce(0) { $0 + ($1.value > 0x3000 ? 2 : $1.value == 0x301 ? 0 : 1) }
        #expect(width <= max(0, columns - 1), "\(line)")
        #expect(columns < 79 || line.hasSuffix("left"))
    }

    @Test("the rate is that of the last seconds")
    func rate() {
        var rate = ProgressRate()
        #expect(rate.bytesPerSecond == nil)
        rate.add(0, at: 0)
        rate.add(10, at: 0.1)
        #expect(rate.bytesPerSecond == nil)
        for second in 1...100 { rate.add(UInt64(min(second, 50)) * 100, at: Double(second)) }
        #expect(rate.bytesPerSecond == 0)
        rate.add(6000, at: 101)
        #expect(rate.bytesPerSecond.map { (90...100).contains($0) } == true)
    }

    @Test("sizes and times are written for people")
    func units() {
        let sizes: [(UInt64, String)] = [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (1 << 20, "1.0 MiB"),
            (.max, "16.0 EiB"),
        ]
        for (bytes, text) in sizes { #expect(byteText(bytes) == text) }
        let times: [(UInt64, String)] = [
            (0, "0:00"), (59, "0:59"), (60, "1:00"), (3600, "1:00:00"), (86_461, "24:01:01"),
        ]
        for (seconds, text) in times { #expect(durationText(seconds: seconds) == text) }
    }
}
