// LIST-SLOTS, SLOTS, LIST-SLOT and SLOT as bytes, and what can be the answer to what.

import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite struct SlotMessageTests {
    private static func timestamp(_ counter: UInt64) -> Timestamp {
        Timestamp(counter: counter, writer: ClientID(high: 1, low: 2), digest: .sha256([UInt8(counter)]))
    }

    private static func objects(_ names: [String]) throws -> [CommittedObject] {
        try names.enumerated().map {
            CommittedObject(key: try ObjectKey($1), timestamp: timestamp(UInt64($0 + 1)))
        }
    }

    private static func messages() throws -> [SlotMessage] {
        let key = try ObjectKey("bucket/a")
        let digests = [3, 4, 4095].map { SlotDigest(slot: Slot(UInt16($0)), digest: .sha256([UInt8($0 & 0xff)])) }
        return [
            .list(.digests(first: Slot(0), count: 1024), epoch: 1),
            .list(.digests(first: Slot(4095), count: 1), epoch: 2),
            .list(.objects(Slot(7), after: nil), epoch: 1), .list(.objects(key.slot, after: key), epoch: .max),
            .answer(.digests([])), .answer(.digests(digests)), .answer(.objects([], hasMore: false, keysVersion: 3)),
            .answer(.objects(try objects(["bucket/a", "bucket/b", "other/a"]), hasMore: true, keysVersion: 3)),
        ]
    }

    private static func frame(_ message: SlotMessage) -> ByteBuffer { message.encoded(request: 77).headBuffer }

    @Test("It reads back as it was written, and is told from other messages by its first byte")
    func readsBack() throws {
        for message in try Self.messages() {
            let frame = Self.frame(message)
            #expect(SlotMessage.isOne(frame) && !PendingMessage.isOne(frame) && !ListingMessage.isOne(frame))
            let decoded = try SlotMessage.decode(frame)
            #expect(decoded.number == 77 && decoded.message == message)
        }
        #expect(!SlotMessage.isOne(StatusMessage.fetch.encoded(request: 1).headBuffer))
        #expect(!SlotMessage.isOne(ByteBuffer()))
    }

    @Test("A message that is cut short or too long is refused")
    func strict() throws {
        for message in try Self.messages() {
            let bytes = Array(buffer: Self.frame(message))
            for count in 0..<bytes.count {
                #expect(throws: WireError.self) { try SlotMessage.decode(ByteBuffer(bytes: bytes.prefix(count))) }
            }
            #expect(throws: WireError.self) { try SlotMessage.decode(ByteBuffer(bytes: bytes + [0])) }
        }
    }

    @Test("Slots beyond the last one, none at all, and what is out of order are refused")
    func bounds() throws {
        for (first, count) in [(0, 0), (0, 1025), (4095, 2), (3072, 1025)] as [(UInt16, UInt16)] {
            let message = SlotMessage.list(.digests(first: Slot(first), count: count), epoch: 1)
            #expect(throws: WireError.self, "\(count) from \(first)") { try SlotMessage.decode(Self.frame(message)) }
        }
        var bytes = Array(buffer: Self.frame(.list(.objects(Slot(4095), after: nil), epoch: 1)))
        // Behind the preamble and the epoch.
        bytes[WireLimits.preambleSizeBytes + 8] = 0x10
        #expect(throws: WireError.self) { try SlotMessage.decode(ByteBuffer(bytes: bytes)) }
        for slots in [[4, 3], [4, 4]] as [[UInt16]] {
            let digests = slots.map { SlotDigest(slot: Slot($0), digest: .sha256([1])) }
            #expect(throws: WireError.self) { try SlotMessage.decode(Self.frame(.answer(.digests(digests)))) }
        }
        for names in [["bucket/b", "bucket/a"], ["bucket/a", "bucket/a"]] {
            let message = SlotMessage.answer(.objects(try Self.objects(names), hasMore: false, keysVersion: 3))
            #expect(throws: WireError.self) { try SlotMessage.decode(Self.frame(message)) }
        }
    }

    @Test("The longest list of the longest names fits into a head")
    func fits() throws {
        let objects = try (0..<SlotQuery.objectsMax).map { number in
            let digits = String(number)
            let name = String(repeating: "0", count: 4 - digits.count) + digits + String(repeating: "x", count: 1020)
            let key = try ObjectKey(String(repeating: "b", count: 63) + "/" + name)
            return CommittedObject(key: key, timestamp: Self.timestamp(1))
        }
        let frame = Self.frame(.answer(.objects(objects, hasMore: true, keysVersion: 3)))
        #expect(frame.readableBytes < WireLimits.headSizeBytesMax)
        #expect(try SlotMessage.decode(frame).message == .answer(.objects(objects, hasMore: true, keysVersion: 3)))
    }

    @Test("An answer of other slots, of what was told before, or that goes on behind nothing, is none")
    func answers() throws {
        let (a, b) = (try ObjectKey("bucket/a"), try ObjectKey("bucket/b"))
        let query = SlotQuery.objects(a.slot, after: nil)
        let entry = CommittedObject(key: a, timestamp: Self.timestamp(1))
        #expect(SlotAnswer.objects([entry], hasMore: true, keysVersion: 3).answers(query))
        #expect(SlotAnswer.objects([], hasMore: false, keysVersion: 3).answers(query))
        #expect(!SlotAnswer.objects([], hasMore: true, keysVersion: 3).answers(query))
        #expect(!SlotAnswer.objects([entry], hasMore: false, keysVersion: 3).answers(.objects(a.slot, after: a)))
        #expect(a.slot != b.slot)
        #expect(!SlotAnswer.objects([entry], hasMore: false, keysVersion: 3).answers(.objects(b.slot, after: nil)))
        #expect(!SlotAnswer.digests([]).answers(query))
        let digests = SlotQuery.digests(first: Slot(10), count: 2)
        for (slot, isOne) in [(9, false), (10, true), (11, true), (12, false)] as [(UInt16, Bool)] {
            let answer = SlotAnswer.digests([SlotDigest(slot: Slot(slot), digest: .sha256([1]))])
            #expect(answer.answers(digests) == isOne, "\(slot)")
        }
        #expect(!SlotAnswer.objects([], hasMore: false, keysVersion: 3).answers(digests))
    }

    @Test("A slot's digest tells keys, versions and their number apart, and is the same whoever makes it")
    func digest() throws {
        func digest(_ objects: [CommittedObject]) -> Digest256 {
            var digesting = SlotDigesting()
            for object in objects { digesting.take(object) }
            return digesting.digest
        }
        let objects = try Self.objects(["bucket/a", "bucket/b"])
        let other = [objects[0], CommittedObject(key: objects[1].key, timestamp: Self.timestamp(9))]
        let all = [[], [objects[0]], [objects[1]], objects, other]
        #expect(Set(all.map(digest)).count == all.count)
        #expect(digest(objects) == digest(objects))
        #expect(digest([]) == Digest256(bytes: [UInt8](repeating: 0, count: 32)))
    }
}
