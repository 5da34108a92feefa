// FETCH-LIST and LIST as bytes.

import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite struct ListMessageTests {
    private static let messages: [ListMessage] = [
        .fetch(.addresses, known: 0), .fetch(.keys, known: .max), .fetch(.access, known: 7), .list([]),
        .offer([]), .offer([4, 5]),
        .list([1, 2, 3]), .list([UInt8](repeating: 5, count: AnySignedList.sizeBytesMax)),
    ]

    private static func frame(_ message: ListMessage) -> ByteBuffer { message.encoded(request: 77).headBuffer }

    @Test("A message about lists reads back as it was written, and is told from others by its first byte")
    func readsBack() throws {
        for message in Self.messages {
            let frame = Self.frame(message)
            #expect(ListMessage.isOne(frame))
            let decoded = try ListMessage.decode(frame)
            #expect(decoded.number == 77 && decoded.message == message)
        }
        for type: UInt8 in [0, 1, 2, 3, 4, 129, 130, 131, 132, 133] {
            #expect(!ListMessage.isOne(ByteBuffer(bytes: [type])))
        }
        #expect(!ListMessage.isOne(ByteBuffer()))
    }

    @Test("A message about lists that is cut short or too long is refused, and so is a kind that nobody fetches")
    func strict() {
        for message in Self.messages.dropLast() {
            let bytes = Array(buffer: Self.frame(message))
            for count in 0..<bytes.count {
                #expect(throws: WireError.self) { try ListMessage.decode(ByteBuffer(bytes: bytes.prefix(count))) }
            }
            #expect(throws: WireError.self) { try ListMessage.decode(ByteBuffer(bytes: bytes + [0])) }
        }
        #expect(throws: WireError.self) { try ListMessage.decode(Self.frame(.fetch(.configuration, known: 1))) }
        let tooLong = ListMessage.list([UInt8](repeating: 5, count: AnySignedList.sizeBytesMax + 1))
        #expect(throws: WireError.self) { try ListMessage.decode(Self.frame(tooLong)) }
    }

    @Test("No request and no reply is read from a message about lists")
    func isNoOther() throws {
        let parameters = ClusterParameters(
            Configuration(cluster: ClusterID(high: 1, low: 2), quorums: try QuorumConfiguration(faults: 1)))
        for message in Self.messages {
            #expect(throws: WireError.self) { try Request.decode(Self.frame(message), parameters: parameters) }
            #expect(throws: WireError.self) { try Reply.decode(Self.frame(message), parameters: parameters) }
        }
    }
}
