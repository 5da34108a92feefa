// The messages by which a client finds what it, or a client that is gone, has left unfinished.

import NIOCore
import QuorumProtocol

/// LIST-PENDING asks for objects at which a client has something unfinished, and PENDING answers it.
package enum PendingMessage: Equatable, Sendable {
    /// Those above an object, or from the first one on.
    case list(UnfinishedKind, of: ClientID, after: ObjectKey?)
    /// In ascending order; there may be more behind the last one.
    case objects([ObjectKey], hasMore: Bool)

    /// Objects in one answer.
    package static let objectCountMax = 256

    /// Whether the frame is one of these, going by its first byte.
    package static func isOne(_ frame: ByteBuffer) -> Bool {
        let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self)
        return switch type.flatMap(MessageType.init) {
        case .listPending, .pending: true
        default: false
        }
    }

    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        switch self {
        case .list(let kind, let client, let last):
            head.append(kind.rawValue)
            head.append(client)
            head.append(UInt8(last == nil ? 0 : 1))
            if let last { head.append(counted: last.bytes) }
            return EncodedMessage(type: .listPending, request: number, head: head)
        case .objects(let keys, let hasMore):
            precondition(keys.count <= Self.objectCountMax)
            head.append(UInt16(keys.count))
            for key in keys { head.append(counted: key.bytes) }
            head.append(UInt8(hasMore ? 1 : 0))
            return EncodedMessage(type: .pending, request: number, head: head)
        }
    }

    /// The message in a frame, and its number.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one of these.
    package static func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: PendingMessage) {
        try decoding {
            var opened = try OpenedMessage(frame)
            let message: PendingMessage
            switch opened.type {
            case .listPending:
                let kindValue: UInt8 = try opened.head.integer("kind")
                guard let kind = UnfinishedKind(rawValue: kindValue) else {
                    throw MalformedEncoding.unknownValue(field: "kind", value: UInt64(kindValue))
                }
                let client = try opened.head.name("client", as: ClientID.self)
                let isAbove = try opened.head.flag("object before")
                message = .list(
                    kind, of: client, after: isAbove ? try opened.head.objectKey("object before") : nil)
            case .pending:
                message = try objects(&opened.head)
            default:
                throw WireError.misdirected(opened.type)
            }
            try opened.finish()
            return (opened.request, message)
        }
    }

    private static func objects(_ head: inout CanonicalDecoder) throws(MalformedEncoding) -> PendingMessage {
        let count = try head.count("objects", as: UInt16.self, limit: objectCountMax)
        var keys: [ObjectKey] = []
        for index in 0..<count {
            let key = try head.objectKey("object")
            guard keys.last.map({ $0 < key }) ?? true else {
                throw .unknownValue(field: "object out of order", value: UInt64(index))
            }
            keys.append(key)
        }
        return .objects(keys, hasMore: try head.flag("more"))
    }
}
