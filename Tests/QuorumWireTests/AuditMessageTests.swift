// AUDIT and AUDITED as bytes.

import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite struct AuditMessageTests {
    private static let point = Array(1...16) as [UInt8]

    private static func timestamp(_ counter: UInt64) -> Timestamp {
        Timestamp(counter: counter, writer: ClientID(high: 1, low: 2), digest: .sha256([UInt8(counter & 0xff)]))
    }

    private static func held(_ seed: UInt8) -> AuditedFragment {
        .held(Fingerprint(bytes: [UInt8](repeating: seed, count: 16))!)
    }

    private static func ask(
        from: AuditPlace = AuditPlace(Slot(0)), before: AuditPlace? = nil, bucket: String? = nil,
        wantsNames: Bool = true
    ) -> AuditMessage {
        .ask(
            AuditQuery(
                group: GroupID(7), from: from, before: before, bucket: bucket, point: point, wantsNames: wantsNames),
            epoch: 3)
    }

    private static func answer(_ versions: [AuditedStripes], next: AuditPlace? = nil) -> AuditMessage {
        .answer(AuditAnswer(versions: versions, next: next))
    }

    private static func messages() throws -> [AuditMessage] {
        let (a, b) = (try ObjectKey("bucket/a"), try ObjectKey("other/b"))
        return [
            ask(), ask(from: AuditPlace(Slot(4095)), before: AuditPlace(a), bucket: "bucket", wantsNames: false),
            ask(from: AuditPlace(a, stripe: .max), before: AuditPlace(b, stripe: 9), bucket: "b-2.c"),
            .doubt(AuditDoubt(key: a, .ofVersion(timestamp(7), .max)), epoch: 3),
            .doubt(
                AuditDoubt(
                    key: b,
                    .staged(
                        AttemptName(
                            stager: ClientID(high: 3, low: 4), upload: UploadID(high: 5, low: 6), part: 9, number: 10),
                        .max)),
                epoch: .max),
            .noted, answer([]), answer([], next: AuditPlace(Slot(17))),
            answer(
                [
                    AuditedStripes(.named(a, timestamp(1)), first: 0, fragments: [held(3), .missing]),
                    AuditedStripes(
                        .named(b, timestamp(.max)), first: 77, fragments: [.void, .unreadable, held(0)],
                        leavesSpares: true),
                ], next: AuditPlace(b, stripe: 80)),
            answer([
                AuditedStripes(.numbered(5), first: .max - 1, fragments: [held(255)]),
                AuditedStripes(.numbered(.max), first: 0, fragments: [.missing]),
            ]),
        ]
    }

    private static func frame(_ message: AuditMessage) -> ByteBuffer { message.encoded(request: 77).headBuffer }

    private static func bytes(_ message: AuditMessage) -> [UInt8] { Array(buffer: frame(message)) }

    private static func isRefused(_ bytes: [UInt8]) -> Bool {
        (try? AuditMessage.decode(ByteBuffer(bytes: bytes))) == nil
    }

    @Test("It reads back as it was written, and is told from other messages by its first byte")
    func readsBack() throws {
        for message in try Self.messages() {
            let frame = Self.frame(message)
            #expect(AuditMessage.isOne(frame) && !SlotMessage.isOne(frame) && !ListingMessage.isOne(frame))
            let decoded = try AuditMessage.decode(frame)
            #expect(decoded.number == 77 && decoded.message == message)
        }
        #expect(!AuditMessage.isOne(StatusMessage.fetch.encoded(request: 1).headBuffer))
        #expect(!AuditMessage.isOne(ByteBuffer()))
    }

    @Test("A message that is cut short, too long, or not numbered is refused")
    func strict() throws {
        for message in try Self.messages() {
            let bytes = Self.bytes(message)
            for count in 0..<bytes.count { #expect(Self.isRefused(Array(bytes.prefix(count)))) }
            #expect(Self.isRefused(bytes + [0]))
            var unnumbered = bytes
            unnumbered.replaceSubrange(1..<9, with: [UInt8](repeating: 0, count: 8))
            #expect(Self.isRefused(unnumbered))
        }
    }

    @Test("What is read back from any changed byte is its one encoding")
    func canonical() throws {
        var (readCount, refusedCount) = (0, 0)
        for message in try Self.messages() {
            let bytes = Self.bytes(message)
            for place in bytes.indices {
                for change in [1, 2, 0x10, 0x80, 0xff] as [UInt8] {
                    var changed = bytes
                    changed[place] ^= change
                    guard let (number, read) = try? AuditMessage.decode(ByteBuffer(bytes: changed)) else {
                        refusedCount += 1
                        continue
                    }
                    readCount += 1
                    #expect(Array(buffer: read.encoded(request: number).headBuffer) == changed)
                    #expect(read != message || number != 77)
                }
            }
        }
        #expect(readCount > 100 && refusedCount > 100)
    }

    @Test("A slot that is none, a key of another slot, and what is no bucket are refused")
    func places() throws {
        let key = try ObjectKey("bucket/a")
        // Behind the preamble, the epoch and the group.
        let slot = WireLimits.preambleSizeBytes + 8 + 4
        var beyond = Self.bytes(Self.ask())
        beyond[slot] = 0x10
        #expect(Self.isRefused(beyond))
        var other = Self.bytes(Self.ask(from: AuditPlace(key)))
        other[slot + 1] ^= 1
        #expect(Self.isRefused(other))
        for bucket in ["a/b", "UPPER", "_buckets", "-a", String(repeating: "b", count: 64)] {
            #expect(Self.isRefused(Self.bytes(Self.ask(bucket: bucket))), "\(bucket)")
        }
        #expect(!Self.isRefused(Self.bytes(Self.ask(bucket: String(repeating: "b", count: 63)))))
    }

    @Test("Stripes beyond the last number are refused, as are more of them than one answer has")
    func bounds() throws {
        let key = try ObjectKey("bucket/a")
        let missing = { (count: Int) in [AuditedFragment](repeating: .missing, count: count) }
        let name = AuditedName.named(key, Self.timestamp(1))
        #expect(
            !Self.isRefused(Self.bytes(Self.answer([AuditedStripes(name, first: .max - 2, fragments: missing(2))]))))
        #expect(Self.isRefused(Self.bytes(Self.answer([AuditedStripes(name, first: .max - 1, fragments: missing(2))]))))

        let most = AuditQuery.stripesMax
        let full = Self.answer([
            AuditedStripes(.numbered(1), first: 0, fragments: missing(most - 1)),
            AuditedStripes(.numbered(2), first: 0, fragments: missing(1)),
        ])
        #expect(!Self.isRefused(Self.bytes(full)))
        // The last version's stripes: two of them, and the second one's state.
        var more = Self.bytes(full)
        let place = more.count - 1 - 1 - 2
        #expect(Array(more[place..<more.count]) == [0, 1, 1, 0])
        more.replaceSubrange(place..<more.count, with: [0, 2, 1, 1, 0])
        Self.fitHead(&more)
        #expect(Self.isRefused(more))
        var none = Self.bytes(full)
        none.replaceSubrange(place..<none.count, with: [0, 0, 0])
        Self.fitHead(&none)
        #expect(Self.isRefused(none))
        // Fewer, in the same way, are taken.
        var fewer = Self.bytes(
            Self.answer([
                AuditedStripes(.numbered(1), first: 0, fragments: missing(most - 2)),
                AuditedStripes(.numbered(2), first: 0, fragments: missing(1)),
            ]))
        fewer.replaceSubrange(fewer.count - 4..<fewer.count, with: [0, 2, 1, 1, 0])
        Self.fitHead(&fewer)
        #expect(!Self.isRefused(fewer))
    }

    /// Has the preamble state the size of the head that is there.
    private static func fitHead(_ bytes: inout [UInt8]) {
        let size = UInt32(bytes.count - WireLimits.preambleSizeBytes)
        let place = WireLimits.preambleSizeBytes - 4
        bytes.replaceSubrange(place..<place + 4, with: (0..<4).map { UInt8(truncatingIfNeeded: size >> (24 - 8 * $0)) })
    }

    @Test("The longest answer of the longest names fits into a head")
    func fits() throws {
        let versions = try (0..<AuditQuery.stripesMax).map { number in
            let name = "\(10_000 + number)" + String(repeating: "x", count: ObjectKey.nameSizeBytesMax - 5)
            let key = try ObjectKey(String(repeating: "b", count: ObjectKey.bucketSizeBytesMax) + "/" + name)
            return AuditedStripes(.named(key, Self.timestamp(.max)), first: .max - 1, fragments: [Self.held(1)])
        }
        guard case .named(let last, _) = versions.last?.name else { return }
        let message = Self.answer(versions, next: AuditPlace(last, stripe: 1))
        let frame = Self.frame(message)
        #expect(frame.readableBytes < WireLimits.headSizeBytesMax)
        #expect(try AuditMessage.decode(frame).message == message)
    }
}
