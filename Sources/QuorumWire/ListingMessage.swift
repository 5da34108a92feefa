// The messages by which a client lists a bucket, and a server tells what it has of it.

import NIOCore
import QuorumProtocol

/// LIST and LISTING (docs/protocol.md, Listing).
package enum ListingMessage: Equatable, Sendable {
    case list(ListingQuery)
    case listing(ListingAnswer)

    /// Whether the frame is one of these, going by its first byte.
    package static func isOne(_ frame: ByteBuffer) -> Bool {
        let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self)
        return switch type.flatMap(MessageType.init) {
        case .listObjects, .listing: true
        default: false
        }
    }

    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        switch self {
        case .list(let query):
            head.append(counted: query.prefix)
            head.append(counted: query.delimiter)
            head.append(counted: query.start)
            head.append(UInt16(query.limit))
            return EncodedMessage(type: .listObjects, request: number, head: head)
        case .listing(let answer):
            answer.encode(into: &head)
            return EncodedMessage(type: .listing, request: number, head: head)
        }
    }

    /// The message in a frame, and its number.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one of these.
    package static func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: ListingMessage) {
        try decoding {
            var opened = try OpenedMessage(frame)
            let message: ListingMessage
            switch opened.type {
            case .listObjects:
                let prefix = Array(try opened.head.counted("prefix", limit: ObjectKey.sizeBytesMax))
                let delimiter = Array(
                    try opened.head.counted("delimiter", limit: ListingQuery.delimiterSizeBytesMax))
                let start = Array(try opened.head.counted("start", limit: ObjectKey.sizeBytesMax + 1))
                let limit: UInt16 = try opened.head.integer("limit")
                guard
                    let query = ListingQuery(prefix: prefix, delimiter: delimiter, start: start, limit: Int(limit))
                else { throw MalformedEncoding.notCanonical(field: "listing") }
                message = .list(query)
            case .listing:
                message = .listing(try ListingAnswer(from: &opened.head))
            default:
                throw WireError.misdirected(opened.type)
            }
            try opened.finish()
            return (opened.request, message)
        }
    }
}
