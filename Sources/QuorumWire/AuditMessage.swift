// The messages by which an auditor asks for fingerprints, and a server tells them; and by which somebody has a server
// look at what it should have.

import Fingerprint
import NIOCore
import QuorumProtocol

/// AUDIT and AUDITED, DOUBT and NOTED (docs/protocol.md, Audit).
package enum AuditMessage: Equatable, Sendable {
    case ask(AuditQuery, epoch: UInt64)
    case answer(AuditAnswer)
    case doubt(AuditDoubt, epoch: UInt64)
    /// It may look, or have looked already.
    case noted

    /// Whether the frame is one of these, going by its first byte.
    package static func isOne(_ frame: ByteBuffer) -> Bool {
        let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self)
        return switch type.flatMap(MessageType.init) {
        case .audit, .audited, .doubt, .noted: true
        default: false
        }
    }

    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        switch self {
        case .ask(let query, let epoch):
            head.append(epoch)
            head.append(query.group.rawValue)
            head.append(query.from)
            head.append(UInt8(query.before == nil ? 0 : 1))
            if let before = query.before { head.append(before) }
            head.append(counted: Array((query.bucket ?? "").utf8))
            head.append(raw: query.point)
            head.append(UInt8(query.wantsNames ? 1 : 0))
            return EncodedMessage(type: .audit, request: number, head: head)
        case .answer(let answer):
            precondition(answer.versions.reduce(0) { $0 + $1.fragments.count } <= AuditQuery.stripesMax)
            head.append(UInt16(answer.versions.count))
            for version in answer.versions { head.append(version) }
            head.append(UInt8(answer.next == nil ? 0 : 1))
            if let next = answer.next { head.append(next) }
            return EncodedMessage(type: .audited, request: number, head: head)
        case .doubt(let doubt, let epoch):
            head.append(epoch)
            head.append(counted: doubt.key.bytes)
            switch doubt.stripe {
            case .ofVersion(let timestamp, let stripe):
                head.append(UInt8(0))
                head.append(timestamp)
                head.append(stripe)
            case .staged(let attempt, let stripe):
                head.append(UInt8(1))
                attempt.encode(into: &head)
                head.append(stripe)
            }
            return EncodedMessage(type: .doubt, request: number, head: head)
        case .noted: return EncodedMessage(type: .noted, request: number, head: head)
        }
    }

    /// The message in a frame, and its number.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one of these.
    package static func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: AuditMessage) {
        try decoding {
            var opened = try OpenedMessage(frame)
            let message: AuditMessage
            switch opened.type {
            case .audit:
                let epoch: UInt64 = try opened.head.integer("epoch")
                let group: UInt32 = try opened.head.integer("group")
                let from = try opened.head.auditPlace()
                let isBounded = try opened.head.flag("bound")
                let before = isBounded ? try opened.head.auditPlace() : nil
                let bucket = try opened.head.text("bucket", limit: ObjectKey.bucketSizeBytesMax)
                guard bucket.isEmpty || ObjectKey.isBucket(bucket) else {
                    throw MalformedEncoding.notCanonical(field: "bucket")
                }
                let point = Array(try opened.head.raw(AuditQuery.pointSizeBytes, "point"))
                let wantsNames = try opened.head.flag("names")
                message = .ask(
                    AuditQuery(
                        group: GroupID(group), from: from, before: before, bucket: bucket.isEmpty ? nil : bucket,
                        point: point, wantsNames: wantsNames), epoch: epoch)
            case .audited: message = .answer(try answer(&opened.head))
            case .doubt:
                let epoch: UInt64 = try opened.head.integer("epoch")
                let key = try opened.head.objectKey("object")
                let stripe: AuditDoubt.Stripe
                if try opened.head.flag("staged") {
                    stripe = .staged(try AttemptName(from: &opened.head), try opened.head.integer("stripe"))
                } else {
                    stripe = .ofVersion(try opened.head.timestamp("version"), try opened.head.integer("stripe"))
                }
                message = .doubt(AuditDoubt(key: key, stripe), epoch: epoch)
            case .noted: message = .noted
            default: throw WireError.misdirected(opened.type)
            }
            try opened.finish()
            return (opened.request, message)
        }
    }

    private static func answer(_ head: inout CanonicalDecoder) throws(MalformedEncoding) -> AuditAnswer {
        let count = try head.count("versions", as: UInt16.self, limit: AuditQuery.stripesMax)
        var versions: [AuditedStripes] = []
        var left = AuditQuery.stripesMax
        for _ in 0..<count {
            let version = try head.auditedStripes(limit: left)
            left -= version.fragments.count
            versions.append(version)
        }
        let next = try head.flag("more") ? try head.auditPlace() : nil
        return AuditAnswer(versions: versions, next: next)
    }
}

extension CanonicalEncoder {
    fileprivate mutating func append(_ place: AuditPlace) {
        append(place.slot.rawValue)
        append(UInt8(place.key == nil ? 0 : 1))
        if let key = place.key {
            append(counted: key.bytes)
            append(place.stripe)
        }
    }

    fileprivate mutating func append(_ version: AuditedStripes) {
        switch version.name {
        case .named(let key, let timestamp):
            append(UInt8(1))
            append(counted: key.bytes)
            append(timestamp)
        case .numbered(let number):
            append(UInt8(0))
            append(number)
        }
        append(UInt8(version.leavesSpares ? 1 : 0))
        append(version.first)
        append(UInt16(version.fragments.count))
        for fragment in version.fragments {
            switch fragment {
            case .held(let fingerprint):
                append(UInt8(0))
                append(raw: fingerprint.bytes)
            case .missing: append(UInt8(1))
            case .void: append(UInt8(2))
            case .unreadable: append(UInt8(3))
            }
        }
    }
}

extension CanonicalDecoder {
    fileprivate mutating func auditPlace() throws(MalformedEncoding) -> AuditPlace {
        let slot: UInt16 = try integer("slot")
        guard Int(slot) < Slot.count else { throw .unknownValue(field: "slot", value: UInt64(slot)) }
        guard try flag("object") else { return AuditPlace(Slot(slot)) }
        let key = try objectKey("object")
        guard key.slot.rawValue == slot else { throw .notCanonical(field: "slot of object") }
        return AuditPlace(key, stripe: try integer("stripe"))
    }

    fileprivate mutating func auditedStripes(limit: Int) throws(MalformedEncoding) -> AuditedStripes {
        let name: AuditedName
        if try flag("name") {
            let key = try objectKey("object")
            name = .named(key, try timestamp("version"))
        } else {
            name = .numbered(try integer("number of version"))
        }
        let leavesSpares = try flag("spares")
        let first: UInt64 = try integer("first stripe")
        let count = try count("stripes", as: UInt16.self, limit: limit)
        guard count > 0, first <= UInt64.max - UInt64(count) else { throw .notCanonical(field: "stripes") }
        var fragments: [AuditedFragment] = []
        for _ in 0..<count {
            let state: UInt8 = try integer("fragment")
            switch state {
            case 0:
                guard let fingerprint = Fingerprint(bytes: try raw(Fingerprint.sizeBytes, "fingerprint")) else {
                    throw .truncated(field: "fingerprint")
                }
                fragments.append(.held(fingerprint))
            case 1: fragments.append(.missing)
            case 2: fragments.append(.void)
            case 3: fragments.append(.unreadable)
            default: throw .unknownValue(field: "fragment", value: UInt64(state))
            }
        }
        return AuditedStripes(name, first: first, fragments: fragments, leavesSpares: leavesSpares)
    }
}
