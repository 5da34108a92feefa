// LIST-WANTS and WANTS as bytes.

import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite struct WantsMessageTests {
    private static func want(
        _ name: String, attempts: UInt32 = 0, isIrreparable: Bool = false, reason: String = ""
    ) throws -> ListedWant {
        ListedWant(
            key: try ObjectKey(name), sinceMilliseconds: 1_800_000_000_000, attempts: attempts,
            isIrreparable: isIrreparable, reason: reason)
    }

    private static func messages() throws -> [WantsMessage] {
        [
            .list(after: nil), .list(after: try ObjectKey("bucket/a")), .wants([], hasMore: false),
            .wants(
                [
                    try want("bucket/a"),
                    try want("bucket/b", attempts: .max, isIrreparable: true, reason: "1 of 2 fragments"),
                ], hasMore: true),
        ]
    }

    private static func frame(_ message: WantsMessage) -> ByteBuffer { message.encoded(request: 77).headBuffer }

    @Test("It reads back as it was written, and is told from other messages by its first byte")
    func readsBack() throws {
        for message in try Self.messages() {
            let frame = Self.frame(message)
            #expect(WantsMessage.isOne(frame) && !PendingMessage.isOne(frame) && !AuditMessage.isOne(frame))
            let decoded = try WantsMessage.decode(frame)
            #expect(decoded.number == 77 && decoded.message == message)
        }
        #expect(!WantsMessage.isOne(StatusMessage.fetch.encoded(request: 1).headBuffer))
        #expect(!WantsMessage.isOne(ByteBuffer()))
    }

    @Test("A message that is cut short or too long is refused, and so are objects out of order")
    func strict() throws {
        for message in try Self.messages() {
            let bytes = Array(buffer: Self.frame(message))
            for count in 0..<bytes.count {
                #expect(throws: WireError.self) { try WantsMessage.decode(ByteBuffer(bytes: bytes.prefix(count))) }
            }
            #expect(throws: WireError.self) { try WantsMessage.decode(ByteBuffer(bytes: bytes + [0])) }
        }
        for names in [["bucket/b", "bucket/a"], ["bucket/a", "bucket/a"]] {
            let message = WantsMessage.wants(try names.map { try Self.want($0) }, hasMore: false)
            #expect(throws: WireError.self) { try WantsMessage.decode(Self.frame(message)) }
        }
    }

    @Test("A reason that is too long is cut between characters, and the longest list fits into a head")
    func fits() throws {
        let long = "x" + String(repeating: "é", count: ListedWant.reasonSizeBytesMax)
        let cut = "x" + String(repeating: "é", count: (ListedWant.reasonSizeBytesMax - 1) / 2)
        let message = WantsMessage.wants([try Self.want("bucket/a", reason: long)], hasMore: false)
        #expect(
            try WantsMessage.decode(Self.frame(message)).message
                == .wants([try Self.want("bucket/a", reason: cut)], hasMore: false))
        let wants = try (0..<WantsMessage.objectCountMax).map { number in
            let digits = String(number)
            let name = String(repeating: "0", count: 4 - digits.count) + digits + String(repeating: "x", count: 1020)
            return try Self.want(String(repeating: "b", count: 63) + "/" + name, reason: cut)
        }
        let frame = Self.frame(.wants(wants, hasMore: true))
        #expect(frame.readableBytes < WireLimits.headSizeBytesMax)
        #expect(try WantsMessage.decode(frame).message == .wants(wants, hasMore: true))
    }
}
