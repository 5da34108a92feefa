// The messages by which parties get newer lists from each other.

import NIOCore
import QuorumProtocol

/// FETCH-LIST asks for a list that is newer than the one known, and LIST answers it: with nothing when there is none.
/// OFFER-LIST brings a list to somebody who has said in his HELLO that his is older; he answers with an empty LIST when
/// he has looked at it.
package enum ListMessage: Equatable, Sendable {
    /// "Send me this list if yours has a higher version than this."
    case fetch(ListKind, known: UInt64)
    /// A signed list's bytes, to be believed by its signature alone.
    case offer([UInt8])
    /// The same, or no bytes.
    case list([UInt8])

    /// Whether the frame is one of these, going by its first byte.
    package static func isOne(_ frame: ByteBuffer) -> Bool {
        let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self)
        return switch type.flatMap(MessageType.init) {
        case .fetchList, .offerList, .list: true
        default: false
        }
    }

    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        switch self {
        case .fetch(let kind, let known):
            head.append(kind.rawValue)
            head.append(known)
            return EncodedMessage(type: .fetchList, request: number, head: head)
        case .offer(let bytes):
            head.append(counted: bytes)
            return EncodedMessage(type: .offerList, request: number, head: head)
        case .list(let bytes):
            head.append(counted: bytes)
            return EncodedMessage(type: .list, request: number, head: head)
        }
    }

    /// The message in a frame, and its number.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one of these.
    package static func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: ListMessage) {
        try decoding {
            var opened = try OpenedMessage(frame)
            let message: ListMessage
            switch opened.type {
            case .fetchList:
                let kindValue: UInt8 = try opened.head.integer("kind of list")
                guard let kind = ListKind(rawValue: kindValue), kind != .configuration else {
                    throw MalformedEncoding.unknownValue(field: "kind of list", value: UInt64(kindValue))
                }
                message = .fetch(kind, known: try opened.head.integer("version"))
            case .offerList:
                message = .offer(Array(try opened.head.counted("list", limit: AnySignedList.sizeBytesMax)))
            case .list:
                message = .list(Array(try opened.head.counted("list", limit: AnySignedList.sizeBytesMax)))
            default:
                throw WireError.misdirected(opened.type)
            }
            try opened.finish()
            return (opened.request, message)
        }
    }
}
