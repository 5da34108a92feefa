// Frames made by hand that say too much, too little, or nothing known, each with the field that gives it away.

import Fingerprint
import QuorumProtocol
import QuorumWire

enum Claims {
    struct OverLimit: Sendable {
        let field: String
        let value: UInt64
        let limit: UInt64
        let direction: Direction
        let frame: [UInt8]
    }

    struct Unfilled: Sendable {
        let name: String
        let direction: Direction
        let frame: [UInt8]
    }

    struct Unknown: Sendable {
        let field: String
        let value: UInt8
        let direction: Direction
        let frame: [UInt8]
    }

    struct NotCanonical: Sendable {
        let name: String
        let field: String
        let direction: Direction
        let frame: [UInt8]
    }

    static func appendFragments(sizes: [UInt32], into encoder: inout CanonicalEncoder) {
        encoder.append(UInt8(sizes.count))
        for size in sizes { encoder.append(size) }
    }

    /// What every request begins with.
    private static func appendRoute(to encoder: inout CanonicalEncoder) {
        encoder.append(Sample.route.epoch)
        encoder.append(Sample.route.group.rawValue)
    }

    /// PREPARE up to the admission, which is empty; then what `build` appends.
    static func prepareHead(_ build: (inout CanonicalEncoder) -> Void) -> [UInt8] {
        prepareHeadBeforeFragments(admission: { $0.append(UInt8(0)) }) + encoded(build)
    }

    private static func prepareHeadBeforeFragments(admission: (inout CanonicalEncoder) -> Void) -> [UInt8] {
        encoded { encoder in
            appendRoute(to: &encoder)
            encoder.append(counted: Sample.key.bytes)
            encoder.append(Sample.timestamp(1, of: Sample.value))
            encoder.append(UInt8(0))
            encoder.append(counted: Sample.value.bytes)
            encoder.append(UInt8(0))
            admission(&encoder)
        }
    }

    /// CERTIFICATE, with the claim that nothing is committed, up to the count of the certificate's statements; then
    /// what `build` appends.
    private static func certificateHead(
        kind: UInt8 = 1, _ build: (inout CanonicalEncoder) -> Void
    ) -> [UInt8] {
        encoded { encoder in
            encoder.append(raw: [0, 0, 1])
            encoder.append(kind)
            encoder.append(Sample.route.epoch)
            encoder.append(Sample.route.group.rawValue)
            encoder.append(Sample.timestamp(1, of: Sample.value))
            build(&encoder)
        }
    }

    /// A statement up to the count of its path.
    private static func statement(claim: UInt8 = 1, pathCount: UInt8) -> [UInt8] {
        encoded { encoder in
            encoder.append(UInt16(0))
            encoder.append(UInt64(1))
            encoder.append(claim)
            encoder.append(UInt32(0))
            encoder.append(UInt32(1))
            encoder.append(pathCount)
        }
    }

    static let overLimit: [OverLimit] = {
        let word = UInt64(UInt32.max)
        let keyLimit = UInt64(ObjectKey.sizeBytesMax)
        let descriptorLimit = UInt64(Descriptor.sizeBytesMax)
        func keyOf(_ size: UInt32) -> [UInt8] {
            encoded { encoder in
                appendRoute(to: &encoder)
                encoder.append(size)
            }
        }
        func descriptorOf(_ size: UInt32) -> [UInt8] {
            encoded { encoder in
                appendRoute(to: &encoder)
                encoder.append(counted: Sample.key.bytes)
                encoder.append(Sample.timestamp(1, of: Sample.value))
                encoder.append(size)
            }
        }
        return [
            OverLimit(
                field: "object key", value: word, limit: keyLimit, direction: .request,
                frame: frame(.readTimestamp, head: keyOf(.max))),
            OverLimit(
                field: "object key", value: keyLimit + 1, limit: keyLimit, direction: .request,
                frame: frame(.read, head: keyOf(UInt32(keyLimit) + 1))),
            OverLimit(
                field: "descriptor", value: word, limit: descriptorLimit, direction: .request,
                frame: frame(.descriptor, head: descriptorOf(.max))),
            OverLimit(
                field: "descriptor", value: descriptorLimit + 1, limit: descriptorLimit, direction: .request,
                frame: frame(.descriptor, head: descriptorOf(UInt32(descriptorLimit) + 1))),
            OverLimit(
                field: "admission", value: 255, limit: 4, direction: .request,
                frame: frame(.prepare, head: prepareHeadBeforeFragments(admission: { $0.append(UInt8(255)) }))),
            OverLimit(
                field: "admission", value: 5, limit: 4, direction: .request,
                frame: frame(.prepare, head: prepareHeadBeforeFragments(admission: { $0.append(UInt8(5)) }))),
            OverLimit(
                field: "fragments", value: 255, limit: 1, direction: .request,
                frame: frame(.prepare, head: prepareHead { $0.append(UInt8(255)) })),
            OverLimit(
                field: "fragments", value: 2, limit: 1, direction: .request,
                frame: frame(
                    .prepare, head: prepareHead { appendFragments(sizes: [1, 1], into: &$0) }, fragments: [1, 2])),
            OverLimit(
                field: "path", value: 255, limit: 16, direction: .reply,
                frame: frame(.preparedReply, head: statement(pathCount: 255))),
            OverLimit(
                field: "path", value: 17, limit: 16, direction: .reply,
                frame: frame(.preparedReply, head: statement(pathCount: 17))),
            OverLimit(
                field: "evidence", value: 257, limit: 256, direction: .reply,
                frame: frame(.refusedReply, head: [3, 231, 0] + [UInt8](repeating: 1, count: 257))),
        ]
    }()

    static let unfilled: [Unfilled] = [
        Unfilled(
            name: "255 statements", direction: .reply,
            frame: frame(.certificateReply, head: certificateHead { $0.append(UInt8(255)) })),
        Unfilled(
            name: "4 admissions", direction: .request,
            frame: frame(.prepare, head: prepareHeadBeforeFragments(admission: { $0.append(UInt8(4)) }))),
        Unfilled(
            name: "a path of 16", direction: .reply, frame: frame(.preparedReply, head: statement(pathCount: 16))),
        Unfilled(name: "255 pending versions", direction: .reply, frame: frame(.refusedReply, head: [0, 12, 2, 255])),
        Unfilled(
            name: "the longest key", direction: .request,
            frame: frame(
                .readTimestamp,
                head: encoded { encoder in
                    appendRoute(to: &encoder)
                    encoder.append(UInt32(ObjectKey.sizeBytesMax))
                })),
        Unfilled(
            name: "a fragment of 4 GiB", direction: .request,
            frame: frame(.prepare, head: prepareHead { appendFragments(sizes: [.max], into: &$0) })),
    ]

    static let unknown: [Unknown] = {
        let key = encoded { encoder in
            appendRoute(to: &encoder)
            encoder.append(counted: Sample.key.bytes)
        }
        let parts = encoded { encoder in
            encoder.append(UInt8(0))
            encoder.append(UInt8(0))
            encoder.append(UInt8(1))
            encoder.append(Sample.timestamp(1, of: Sample.value))
            encoder.append(UInt8(0))
            encoder.append(counted: Sample.value.bytes)
        }
        return [
            Unknown(field: "portion", value: 3, direction: .request, frame: frame(.read, head: key + [0, 3])),
            Unknown(field: "version", value: 2, direction: .request, frame: frame(.read, head: key + [2, 0])),
            Unknown(field: "sound version", value: 2, direction: .reply, frame: frame(.timestampReply, head: [2])),
            Unknown(
                field: "certificate", value: 2, direction: .reply, frame: frame(.certificateReply, head: [0, 0, 2])),
            Unknown(
                field: "needs descriptor", value: 2, direction: .reply,
                frame: frame(
                    .committedReply,
                    head: encoded { encoder in
                        encoder.append(Sample.timestamp(1, of: Sample.value))
                        encoder.append(UInt8(2))
                    })),
            Unknown(
                field: "held parts", value: 255, direction: .reply, frame: frame(.versionReply, head: [0, 0, 255])),
            Unknown(field: "more versions", value: 2, direction: .reply, frame: frame(.timestampReply, head: [0, 2])),
            Unknown(
                field: "signed", value: 2, direction: .reply,
                frame: frame(.preparedReply, head: statement(pathCount: 0) + [2])),
            Unknown(
                field: "held fragments", value: 2, direction: .reply,
                frame: frame(.versionReply, head: parts + [2, 0])),
            Unknown(
                field: "claim", value: 4, direction: .reply,
                frame: frame(.preparedReply, head: statement(claim: 4, pathCount: 0))),
            Unknown(
                field: "principal", value: 2, direction: .reply,
                frame: frame(.refusedReply, head: [0, 1, 0, 0, 2, 0])),
            Unknown(
                field: "rights", value: 16, direction: .reply,
                frame: frame(.refusedReply, head: [0, 1, 0, 16, 0, 0])),
            Unknown(
                field: "fragment error", value: 6, direction: .reply,
                frame: frame(.refusedReply, head: [0, 7, 2, 0, 0, 0, 0, 6, 0])),
            Unknown(
                field: "certificate error", value: 11, direction: .reply,
                frame: frame(.refusedReply, head: [0, 10, 0, 11, 0])),
            Unknown(
                field: "certificate's kind", value: 0, direction: .reply,
                frame: frame(.certificateReply, head: certificateHead(kind: 0) { $0.append(UInt8(0)) })),
            Unknown(
                field: "certificate's kind", value: 2, direction: .reply,
                frame: frame(.certificateReply, head: certificateHead(kind: 2) { $0.append(UInt8(0)) })),
        ]
    }()

    static let notCanonical: [NotCanonical] = {
        let invalidKeys: [(String, [UInt8])] = [
            ("an empty key", []), ("no bucket", Array("cat".utf8)), ("an empty bucket", Array("/cat".utf8)),
            ("an empty name", Array("photos/".utf8)), ("a bucket in capitals", Array("Photos/cat".utf8)),
            ("a name that is not UTF-8", Array("photos/".utf8) + [0xc0, 0x80]),
        ]
        func certificate(_ servers: [UInt16]) -> [UInt8] {
            certificateHead { encoder in
                encoder.append(UInt8(servers.count))
                for server in servers { Sample.statement(server).encode(into: &encoder) }
            }
        }
        let counterless = Timestamp(counter: 0, writer: Sample.writer, digest: Sample.value.digest)
        let parts = encoded { encoder in
            encoder.append(UInt8(0))
            encoder.append(UInt8(0))
            encoder.append(UInt8(1))
            encoder.append(Sample.timestamp(1, of: Sample.value))
            encoder.append(UInt8(0))
            encoder.append(counted: Sample.value.bytes)
            encoder.append(UInt8(0))
            appendFragments(sizes: [0], into: &encoder)
        }
        return invalidKeys.map { name, bytes in
            NotCanonical(
                name: name, field: "object key", direction: .request,
                frame: frame(
                    .readTimestamp,
                    head: encoded { encoder in
                        appendRoute(to: &encoder)
                        encoder.append(counted: bytes)
                    }))
        } + [
            NotCanonical(
                name: "a server twice", field: "statements' order", direction: .reply,
                frame: frame(.certificateReply, head: certificate([0, 0x0100, 0x0100]))),
            NotCanonical(
                name: "servers out of order", field: "statements' order", direction: .reply,
                frame: frame(.certificateReply, head: certificate([0, 0x0100, 0xff]))),
            NotCanonical(
                name: "counter 0", field: "timestamp", direction: .reply,
                frame: frame(.committedReply, head: encoded { $0.append(counterless) })),
            NotCanonical(
                name: "unverified versions in a mode that has none", field: "more versions", direction: .reply,
                frame: frame(.timestampReply, head: [0, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
            NotCanonical(
                name: "BUSY that is not transient", field: "refusal's traits", direction: .reply,
                frame: frame(.refusedReply, head: [0, 13, 0])),
            NotCanonical(
                name: "a refusal with a trait that it has not", field: "refusal's traits", direction: .reply,
                frame: frame(.refusedReply, head: [0, 16, 1])),
            NotCanonical(
                name: "a fragment although none is held", field: "held fragments", direction: .reply,
                frame: frame(.versionReply, head: parts)),
        ]
    }()
}
