// What a server remembers of its own accord: digests of slots, and how far it has read what it has.

import Fingerprint
import Foundation
import QuorumProtocol
import Testing

@testable import QuorumServer

@Suite("What healing remembers")
struct HealingStateTests {
    @Test("a digest is made once, anew after a change, and not kept when the slot changed while it was made")
    func digests() {
        let digests = SlotDigests()
        let (slot, other) = (Slot(7), Slot(8))
        var made = 0
        func digest(_ bytes: [UInt8], during change: (() -> Void)? = nil) -> Digest256 {
            digests.digest(of: slot) { asked in
                #expect(asked == slot)
                made += 1
                change?()
                return .sha256(bytes)
            }
        }
        #expect(digest([1]) == .sha256([1]) && made == 1)
        #expect(digest([2]) == .sha256([1]) && made == 1)
        digests.change(other)
        #expect(digest([2]) == .sha256([1]) && made == 1)
        digests.change(slot)
        // It tells what was seen, which may be of before the change; the next one looks again.
        #expect(digest([2], during: { digests.change(slot) }) == .sha256([2]) && made == 2)
        #expect(digest([3]) == .sha256([3]) && made == 3)
        #expect(digest([4]) == .sha256([3]) && made == 3)
    }

    @Test("a digest that could not be made is none")
    func failure() {
        struct Failure: Error {}
        let digests = SlotDigests()
        #expect(throws: Failure.self) { try digests.digest(of: Slot(1)) { _ in throw Failure() } }
        #expect(digests.digest(of: Slot(1)) { _ in .sha256([1]) } == .sha256([1]))
    }

    @Test("how far a scrub has come is read back as it was noted; a file that makes no sense is none")
    func mark() throws {
        let directory = NSTemporaryDirectory() + "/scrub-\(UUID())"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/scrub.json"
        #expect(ScrubMark(path: path) == ScrubMark())
        var mark = ScrubMark()
        for key in [nil, [], [0], [0x0f, 0xf0, 0xff], Array("bucket/key".utf8)] as [[UInt8]?] {
            mark.lastKey = key
            mark.beganMilliseconds += 5
            mark.endedMilliseconds += 7
            mark.damaged += 1
            try mark.write(to: path)
            let read = ScrubMark(path: path)
            #expect(read == mark && read.lastKey == (key?.isEmpty ?? true ? nil : key))
        }
        for text in ["", "{}", "no JSON"] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            #expect(ScrubMark(path: path) == ScrubMark())
        }
        for last in ["0", "0x", "zz", "0123456"] {
            mark.last = last
            #expect(mark.lastKey == nil, "\(last)")
        }
    }

    @Test("says how long reading everything takes only when that is longer than it is to take")
    func scrubNeeds() {
        let day: UInt64 = 86_400_000
        // 64 MiB a second are 5.8 TB a day.
        #expect(Scrubber.needed(50_000_000_000_000, intervalMilliseconds: 14 * day) == 0)
        let needed = Scrubber.needed(180_000_000_000_000, intervalMilliseconds: 14 * day)
        #expect(needed > 31 * day && needed < 32 * day)
        #expect(Scrubber.needed(.max, intervalMilliseconds: 0) == 0)
        #expect(Scrubber.needed(0, intervalMilliseconds: day) == 0)
    }
}
