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
            case .timestampReply, .preparedReply, .committedReply, .versionReply, .refusedReply, .certificateReply,
                .fetchList, .offerList, .list, .fetchStatus, .status, .listPending, .pending, .listObjects, .listing:
                throw WireError.misdirected(message.type)
            }
            try message.finish()
            return (message.request, route, request)
        }
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
