// The messages by which servers of a group find out what they have missed.

import Fingerprint
import NIOCore
import QuorumProtocol

/// LIST-SLOTS and LIST-SLOT ask a server what it has committed, and SLOTS and SLOT say it.
package enum SlotMessage: Equatable, Sendable {
    case list(SlotQuery, epoch: UInt64)
    case answer(SlotAnswer)

    /// Whether the frame is one of these, going by its first byte.
    package static func isOne(_ frame: ByteBuffer) -> Bool {
        let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self)
        return switch type.flatMap(MessageType.init) {
        case .listSlots, .slots, .listSlot, .slot: true
        default: false
        }
    }

    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        switch self {
        case .list(.digests(let first, let count), let epoch):
            head.append(epoch)
            head.append(first.rawValue)
            head.append(count)
            return EncodedMessage(type: .listSlots, request: number, head: head)
        case .list(.objects(let slot, let last), let epoch):
            head.append(epoch)
            head.append(slot.rawValue)
            head.append(UInt8(last == nil ? 0 : 1))
            if let last { head.append(counted: last.bytes) }
            return EncodedMessage(type: .listSlot, request: number, head: head)
        case .answer(.digests(let digests)):
            precondition(digests.count <= SlotQuery.digestsMax)
            head.append(UInt16(digests.count))
            for digest in digests {
                head.append(digest.slot.rawValue)
                head.append(digest.digest)
            }
            return EncodedMessage(type: .slots, request: number, head: head)
        case .answer(.objects(let objects, let hasMore, let keysVersion)):
            precondition(objects.count <= SlotQuery.objectsMax)
            head.append(keysVersion)
            head.append(UInt16(objects.count))
            for object in objects {
                head.append(counted: object.key.bytes)
                head.append(object.timestamp)
            }
            head.append(UInt8(hasMore ? 1 : 0))
            return EncodedMessage(type: .slot, request: number, head: head)
        }
    }

    /// The message in a frame, and its number.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one of these.
    package static func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: SlotMessage) {
        try decoding {
            var opened = try OpenedMessage(frame)
            let message: SlotMessage
            switch opened.type {
            case .listSlots:
                let epoch: UInt64 = try opened.head.integer("epoch")
                let first = try opened.head.slot()
                let count: UInt16 = try opened.head.integer("slots")
                guard count > 0, Int(count) <= SlotQuery.digestsMax, Int(first.rawValue) + Int(count) <= Slot.count
                else { throw MalformedEncoding.unknownValue(field: "slots", value: UInt64(count)) }
                message = .list(.digests(first: first, count: count), epoch: epoch)
            case .listSlot:
                let epoch: UInt64 = try opened.head.integer("epoch")
                let slot = try opened.head.slot()
                let isAbove = try opened.head.flag("object before")
                let last = isAbove ? try opened.head.objectKey("object before") : nil
                message = .list(.objects(slot, after: last), epoch: epoch)
            case .slots: message = .answer(try digests(&opened.head))
            case .slot: message = .answer(try objects(&opened.head))
            default: throw WireError.misdirected(opened.type)
            }
            try opened.finish()
            return (opened.request, message)
        }
    }

    private static func digests(_ head: inout CanonicalDecoder) throws(MalformedEncoding) -> SlotAnswer {
        let count = try head.count("digests", as: UInt16.self, limit: SlotQuery.digestsMax)
        var digests: [SlotDigest] = []
        for index in 0..<count {
            let slot = try head.slot()
            guard digests.last.map({ $0.slot < slot }) ?? true else {
                throw .unknownValue(field: "slot out of order", value: UInt64(index))
            }
            digests.append(SlotDigest(slot: slot, digest: try head.digest("slot's digest")))
        }
        return .digests(digests)
    }

    private static func objects(_ head: inout CanonicalDecoder) throws(MalformedEncoding) -> SlotAnswer {
        let keysVersion: UInt64 = try head.integer("version of keys")
        let count = try head.count("objects", as: UInt16.self, limit: SlotQuery.objectsMax)
        var objects: [CommittedObject] = []
        for index in 0..<count {
            let key = try head.objectKey("object")
            guard objects.last.map({ $0.key < key }) ?? true else {
                throw .unknownValue(field: "object out of order", value: UInt64(index))
            }
            objects.append(CommittedObject(key: key, timestamp: try head.timestamp("committed version")))
        }
        return .objects(objects, hasMore: try head.flag("more"), keysVersion: keysVersion)
    }
}

extension CanonicalDecoder {
    fileprivate mutating func slot() throws(MalformedEncoding) -> Slot {
        let number: UInt16 = try integer("slot")
        guard Int(number) < Slot.count else { throw .unknownValue(field: "slot", value: UInt64(number)) }
        return Slot(number)
    }
}
