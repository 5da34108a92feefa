// The messages by which an administrator finds out what a server lacks.

import NIOCore
import QuorumProtocol

/// LIST-WANTS asks a server what it lacks, and WANTS answers it.
package enum WantsMessage: Equatable, Sendable {
    /// Objects above this one, or from the first one on.
    case list(after: ObjectKey?)
    /// In ascending order; there may be more behind the last one.
    case wants([ListedWant], hasMore: Bool)

    /// Objects in one answer.
    package static let objectCountMax = 256

    /// Whether the frame is one of these, going by its first byte.
    package static func isOne(_ frame: ByteBuffer) -> Bool {
        let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self)
        return switch type.flatMap(MessageType.init) {
        case .listWants, .wants: true
        default: false
        }
    }

    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        switch self {
        case .list(let last):
            head.append(UInt8(last == nil ? 0 : 1))
            if let last { head.append(counted: last.bytes) }
            return EncodedMessage(type: .listWants, request: number, head: head)
        case .wants(let wants, let hasMore):
            precondition(wants.count <= Self.objectCountMax)
            head.append(UInt16(wants.count))
            for want in wants {
                head.append(counted: want.key.bytes)
                head.append(want.sinceMilliseconds)
                head.append(want.attempts)
                head.append(UInt8(want.isIrreparable ? 1 : 0))
                head.append(counted: Self.bounded(want.reason))
            }
            head.append(UInt8(hasMore ? 1 : 0))
            return EncodedMessage(type: .wants, request: number, head: head)
        }
    }

    /// As much of a text as fits, in whole characters.
    private static func bounded(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for character in text {
            guard bytes.count + character.utf8.count <= ListedWant.reasonSizeBytesMax else { break }
            bytes += character.utf8
        }
        return bytes
    }

    /// The message in a frame, and its number.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one of these.
    package static func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: WantsMessage) {
        try decoding {
            var opened = try OpenedMessage(frame)
            let message: WantsMessage
            switch opened.type {
            case .listWants:
                let isAbove = try opened.head.flag("object before")
                message = .list(after: isAbove ? try opened.head.objectKey("object before") : nil)
            case .wants: message = try wants(&opened.head)
            default: throw WireError.misdirected(opened.type)
            }
            try opened.finish()
            return (opened.request, message)
        }
    }

    private static func wants(_ head: inout CanonicalDecoder) throws(MalformedEncoding) -> WantsMessage {
        let count = try head.count("objects", as: UInt16.self, limit: objectCountMax)
        var wants: [ListedWant] = []
        for index in 0..<count {
            let key = try head.objectKey("object")
            guard wants.last.map({ $0.key < key }) ?? true else {
                throw .unknownValue(field: "object out of order", value: UInt64(index))
            }
            let since: UInt64 = try head.integer("since")
            let attempts: UInt32 = try head.integer("attempts")
            let isIrreparable = try head.flag("irreparable")
            let reason = try head.text("reason", limit: ListedWant.reasonSizeBytesMax)
            wants.append(
                ListedWant(
                    key: key, sinceMilliseconds: since, attempts: attempts, isIrreparable: isIrreparable,
                    reason: reason))
        }
        return .wants(wants, hasMore: try head.flag("more"))
    }
}
