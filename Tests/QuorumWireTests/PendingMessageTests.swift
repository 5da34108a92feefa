// LIST-PENDING and PENDING as bytes.

import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite struct PendingMessageTests {
    private static func messages() throws -> [PendingMessage] {
        let client = ClientID(high: 1, low: 2)
        let keys = try ["bucket/a", "bucket/b", "other/a"].map { try ObjectKey($0) }
        return [
            .list(.versions, of: client, after: nil), .list(.uploads, of: client, after: keys[0]),
            .objects([], hasMore: false), .objects(keys, hasMore: true),
        ]
    }

    private static func frame(_ message: PendingMessage) -> ByteBuffer { message.encoded(request: 77).headBuffer }

    @Test("It reads back as it was written, and is told from other messages by its first byte")
    func readsBack() throws {
        for message in try Self.messages() {
            let frame = Self.frame(message)
            #expect(PendingMessage.isOne(frame) && !StatusMessage.isOne(frame) && !ListMessage.isOne(frame))
            let decoded = try PendingMessage.decode(frame)
            #expect(decoded.number == 77 && decoded.message == message)
        }
        #expect(!PendingMessage.isOne(StatusMessage.fetch.encoded(request: 1).headBuffer))
        #expect(!PendingMessage.isOne(ByteBuffer()))
    }

    @Test("A message that is cut short or too long is refused, and so are objects out of order")
    func strict() throws {
        for message in try Self.messages() {
            let bytes = Array(buffer: Self.frame(message))
            for count in 0..<bytes.count {
                #expect(throws: WireError.self) { try PendingMessage.decode(ByteBuffer(bytes: bytes.prefix(count))) }
            }
            #expect(throws: WireError.self) { try PendingMessage.decode(ByteBuffer(bytes: bytes + [0])) }
        }
        for keys in [["bucket/b", "bucket/a"], ["bucket/a", "bucket/a"]] {
            let message = PendingMessage.objects(try keys.map { try ObjectKey($0) }, hasMore: false)
            #expect(throws: WireError.self) { try PendingMessage.decode(Self.frame(message)) }
        }
    }

    @Test("The longest list of the longest names fits into a head")
    func fits() throws {
        let keys = try (0..<PendingMessage.objectCountMax).map { number in
            let digits = String(number)
            let name = String(repeating: "0", count: 4 - digits.count) + digits + String(repeating: "x", count: 1020)
            return try ObjectKey(String(repeating: "b", count: 63) + "/" + name)
        }
        let frame = Self.frame(.objects(keys, hasMore: true))
        #expect(frame.readableBytes < WireLimits.headSizeBytesMax)
        #expect(try PendingMessage.decode(frame).message == .objects(keys, hasMore: true))
    }
}
