// Requests as bytes, and back.

import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol

extension Request {
    /// The request's message to the group, under the number by which its reply will name it.
    package func encoded(request number: UInt64, to route: Route) -> EncodedMessage {
        var head = CanonicalEncoder()
        head.append(route.epoch)
        head.append(route.group.rawValue)
        head.append(counted: key.bytes)
        switch self {
        case .readTimestamp:
            return EncodedMessage(type: .readTimestamp, request: number, head: head)
        case .prepare(let prepare):
            head.append(prepare.timestamp)
            head.append(prepare.position.rawValue)
            head.append(counted: prepare.descriptor.bytes)
            head.append(prepare.justification)
            head.append(UInt8(prepare.admission.count))
            for statement in prepare.admission { statement.encode(into: &head) }
            head.appendSizes(of: prepare.fragments)
            return EncodedMessage(type: .prepare, request: number, head: head, fragments: prepare.fragments)
        case .commit(let commit):
            commit.certificate.encode(into: &head)
            return EncodedMessage(type: .commit, request: number, head: head)
        case .certificate(_, let timestamp):
            head.append(timestamp)
            return EncodedMessage(type: .fetchCertificate, request: number, head: head)
        case .describe(let describe):
            head.append(describe.timestamp)
            head.append(counted: describe.descriptor.bytes)
            return EncodedMessage(type: .descriptor, request: number, head: head)
        case .stage(let stage):
            stage.attempt.encode(into: &head)
            head.append(stage.position.rawValue)
            head.append(stage.stripeSizeBytes)
            head.append(stage.stripe)
            head.append(UInt8(stage.fills ? 1 : 0))
            StripeEntry.encode(stage.crossChecksum, into: &head)
            head.appendSizes(of: [stage.fragment])
            return EncodedMessage(type: .stage, request: number, head: head, fragments: [stage.fragment])
        case .discard(let discard):
            head.append(discard.stager)
            head.append(discard.upload)
            head.append(UInt8(discard.attempt == nil ? 0 : 1))
            if let attempt = discard.attempt {
                head.append(attempt.part)
                head.append(attempt.number)
            }
            return EncodedMessage(type: .discard, request: number, head: head)
        case .fetch(let fetch):
            fetch.attempt.encode(into: &head)
            head.append(UInt8(fetch.stripe == nil ? 0 : 1))
            if let stripe = fetch.stripe { head.append(stripe) }
            head.append(UInt8(fetch.page == nil ? 0 : 1))
            if let page = fetch.page {
                head.append(page.first)
                head.append(page.count)
            }
            head.append(fetch.pin)
            head.append(fetch.tag)
            return EncodedMessage(type: .fetch, request: number, head: head)
        case .listHeld(let list):
            switch list.kind {
            case .versions: head.append(UInt8(1))
            case .upload(let upload):
                head.append(UInt8(2))
                head.append(upload)
            case .uploads(let stager):
                head.append(UInt8(3))
                head.append(stager)
            }
            return EncodedMessage(type: .listHeld, request: number, head: head)
        case .restate(let restate):
            restate.certificate.encode(into: &head)
            head.append(UInt8(restate.descriptor == nil ? 0 : 1))
            if let descriptor = restate.descriptor { head.append(counted: descriptor.bytes) }
            head.append(UInt8(restate.statements.count))
            for statement in restate.statements { statement.encode(into: &head) }
            return EncodedMessage(type: .restate, request: number, head: head)
        case .read(let read):
            head.append(read.version)
            head.append(read.portion.rawValue)
            return EncodedMessage(type: .read, request: number, head: head)
        }
    }

    /// The request in a frame, its number, and the group that it is for.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one request of this cluster.
    package static func decode(
        _ frame: ByteBuffer, parameters: ClusterParameters
    ) throws(WireError) -> (number: UInt64, route: Route, request: Request) {
        try decoding {
            var message = try OpenedMessage(frame)
            // First, so that what is no request is refused by its type.
            guard message.type.isRequest else { throw WireError.misdirected(message.type) }
            let route = try Route(
                epoch: message.head.integer("epoch"), group: GroupID(message.head.integer("group")))
            let key: ObjectKey
            let request: Request
            switch message.type {
            case .readTimestamp:
                request = .readTimestamp(try message.head.objectKey("object key"))
            case .prepare:
                key = try message.head.objectKey("object key")
                request = .prepare(try Prepare(key: key, from: &message, parameters: parameters))
            case .commit:
                key = try message.head.objectKey("object key")
                request = .commit(Commit(key: key, certificate: try Certificate(from: &message.head)))
            case .fetchCertificate:
                key = try message.head.objectKey("object key")
                request = .certificate(key, try message.head.timestamp("timestamp"))
            case .descriptor:
                key = try message.head.objectKey("object key")
                let timestamp = try message.head.timestamp("timestamp")
                let descriptor = try message.head.descriptor(parameters)
                request = .describe(Describe(key: key, timestamp: timestamp, descriptor: descriptor))
            case .read:
                key = try message.head.objectKey("object key")
                let version = try message.head.optionalTimestamp("version")
                let portionValue: UInt8 = try message.head.integer("portion")
                guard let portion = Read.Portion(rawValue: portionValue) else {
                    throw MalformedEncoding.unknownValue(field: "portion", value: UInt64(portionValue))
                }
                request = .read(Read(key: key, version: version, portion: portion))
            case .stage:
                key = try message.head.objectKey("object key")
                request = .stage(try Stage(key: key, from: &message, parameters: parameters))
            case .discard:
                key = try message.head.objectKey("object key")
                let stager: ClientID = try message.head.name("stager")
                let upload: UploadID = try message.head.name("upload")
                var attempt: Discard.Attempt?
                if try message.head.flag("attempt") {
                    let part: UInt16 = try message.head.integer("part")
                    guard (1...StagedLimits.partsMax).contains(Int(part)) else {
                        throw MalformedEncoding.notCanonical(field: "part")
                    }
                    attempt = Discard.Attempt(part: part, number: try message.head.integer("attempt's number"))
                }
                request = .discard(Discard(key: key, stager: stager, upload: upload, attempt: attempt))
            case .fetch:
                key = try message.head.objectKey("object key")
                request = .fetch(try Fetch(key: key, from: &message.head))
            case .listHeld:
                key = try message.head.objectKey("object key")
                let kind: UInt8 = try message.head.integer("kind of list")
                switch kind {
                case 1: request = .listHeld(ListHeld(key: key, kind: .versions))
                case 2: request = .listHeld(ListHeld(key: key, kind: .upload(try message.head.name("upload"))))
                case 3:
                    let stager: ClientID = try message.head.name("stager")
                    request = .listHeld(ListHeld(key: key, kind: .uploads(of: stager)))
                default: throw MalformedEncoding.unknownValue(field: "kind of list", value: UInt64(kind))
                }
            case .restate:
                key = try message.head.objectKey("object key")
                request = .restate(try Restate(key: key, from: &message, parameters: parameters))
            case .timestampReply, .preparedReply, .committedReply, .versionReply, .refusedReply, .certificateReply,
                .stagedReply, .fetchedReply, .discardedReply, .heldReply, .fetchList, .offerList, .list, .fetchStatus,
                .status, .listPending, .pending, .listObjects, .listing, .listSlots, .slots, .listSlot, .slot, .audit,
                .audited, .doubt, .noted, .listWants, .wants:
                throw WireError.misdirected(message.type)
            }
            try message.finish()
            return (message.request, route, request)
        }
    }
}

extension Stage {
    fileprivate convenience init(key: ObjectKey, from message: inout OpenedMessage, parameters: ClusterParameters)
        throws
    {
        let attempt = try AttemptName(from: &message.head)
        let position = Position(try message.head.integer("position"))
        let stripeSizeBytes: UInt32 = try message.head.integer("stripe size")
        let stripe: UInt32 = try message.head.integer("stripe")
        guard stripe < StagedLimits.stripesMax else {
            throw MalformedEncoding.overLimit(
                field: "stripe", value: UInt64(stripe), limit: UInt64(StagedLimits.stripesMax - 1))
        }
        let fills = try message.head.flag("fills")
        let limit = UInt32(parameters.limits.stripeSizeBytesMax)
        guard StagedContents.isStripeSize(stripeSizeBytes, limit: limit) else {
            throw MalformedEncoding.notCanonical(field: "stripe size")
        }
        let crossChecksum = try StripeEntry.decode(&message.head, parameters: parameters)
        guard crossChecksum.blockSizeBytes <= Int(stripeSizeBytes) else {
            throw MalformedEncoding.overLimit(
                field: "block size", value: UInt64(crossChecksum.blockSizeBytes), limit: UInt64(stripeSizeBytes))
        }
        let fragments = try message.fragments()
        guard fragments.count == 1 else { throw MalformedEncoding.notCanonical(field: "fragments") }
        self.init(
            key: key, attempt: attempt, position: position, stripeSizeBytes: stripeSizeBytes, stripe: stripe,
            crossChecksum: crossChecksum, fragment: fragments[0], fills: fills)
    }
}

extension Fetch {
    fileprivate convenience init(key: ObjectKey, from head: inout CanonicalDecoder) throws(MalformedEncoding) {
        let attempt = try AttemptName(from: &head)
        let stripe: UInt32? = try head.flag("stripe") ? try head.integer("stripe") : nil
        var page: PageRange?
        if try head.flag("page") {
            let first: UInt32 = try head.integer("page's first stripe")
            let count: UInt16 = try head.integer("page's stripes")
            guard first % StripePage.stripesMax == 0, (1...StripePage.stripesMax).contains(UInt32(count)),
                first < StagedLimits.stripesMax
            else { throw .notCanonical(field: "page") }
            page = PageRange(first: first, count: count)
        }
        guard (stripe ?? 0) < StagedLimits.stripesMax else { throw .notCanonical(field: "stripe") }
        self.init(
            key: key, attempt: attempt, stripe: stripe, page: page, pin: try head.optionalTimestamp("pinned version"),
            tag: try head.integer("tag"))
    }
}

extension Restate {
    fileprivate convenience init(key: ObjectKey, from message: inout OpenedMessage, parameters: ClusterParameters)
        throws
    {
        let certificate = try Certificate(from: &message.head)
        let descriptor = try message.head.flag("descriptor") ? try message.head.descriptor(parameters) : nil
        let count = try message.head.count("statements", as: UInt8.self, limit: parameters.quorums.serverCount)
        var statements: [SignedStatement] = []
        for _ in 0..<count { statements.append(try SignedStatement(from: &message.head)) }
        self.init(key: key, certificate: certificate, descriptor: descriptor, statements: statements)
    }
}

extension Prepare {
    fileprivate convenience init(key: ObjectKey, from message: inout OpenedMessage, parameters: ClusterParameters)
        throws
    {
        let timestamp = try message.head.timestamp("timestamp")
        let position = Position(try message.head.integer("position"))
        let descriptor = try message.head.descriptor(parameters)
        let justification = try message.head.optionalCertificate()
        let admissionCount = try message.head.count(
            "admission", as: UInt8.self, limit: parameters.quorums.serverCount)
        var admission: [SignedStatement] = []
        for _ in 0..<admissionCount { admission.append(try SignedStatement(from: &message.head)) }
        self.init(
            key: key, timestamp: timestamp, position: position, descriptor: descriptor,
            fragments: try message.fragments(),
            justification: justification, admission: admission)
    }
}
