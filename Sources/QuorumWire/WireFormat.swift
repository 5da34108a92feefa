// A message's bytes within a frame:
//
//   type u8 | request number u64 | head size u32 | head | fragment bytes
//
// A request's number is never 0, and its reply repeats it. Number 0 marks a one-way message between nodes, which is
// never answered; there is none of these yet.
//
// The head is canonical (big-endian, counted, nothing left over) and small; it states the size of each fragment, and
// the fragments follow it without gaps to the frame's end. So the head is copied and parsed, and fragments stay where
// the network put them (docs/protocol.md, Messages).

import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol

/// The kinds of message; the value is the first byte of a frame.
package enum MessageType: UInt8, Sendable {
    case readTimestamp = 1
    case prepare = 2
    case commit = 3
    case read = 4
    case fetchList = 5
    case offerList = 6
    case fetchCertificate = 7
    case descriptor = 8
    case stage = 9
    case fetch = 10
    case discard = 11
    case listHeld = 12
    case restate = 13
    case fetchStatus = 16
    case listPending = 17
    case listObjects = 18
    case listSlots = 19
    case listSlot = 20
    case audit = 21
    case doubt = 22
    case listWants = 23
    case timestampReply = 129
    case preparedReply = 130
    case committedReply = 131
    case versionReply = 132
    case refusedReply = 133
    case list = 134
    case certificateReply = 135
    case stagedReply = 136
    case fetchedReply = 137
    case discardedReply = 138
    case heldReply = 139
    case status = 144
    case pending = 145
    case listing = 146
    case slots = 147
    case slot = 148
    case audited = 149
    case noted = 150
    case wants = 151

    /// Whether it is a request about an object, which a route leads to its group.
    var isRequest: Bool {
        switch self {
        case .readTimestamp, .prepare, .commit, .read, .fetchCertificate, .descriptor, .stage, .fetch, .discard,
            .listHeld, .restate:
            true
        case .timestampReply, .preparedReply, .committedReply, .versionReply, .refusedReply, .certificateReply,
            .stagedReply, .fetchedReply, .discardedReply, .heldReply, .fetchList, .offerList, .list, .fetchStatus,
            .status, .listPending, .pending, .listObjects, .listing, .listSlots, .slots, .listSlot, .slot, .audit,
            .audited, .doubt, .noted, .listWants, .wants:
            false
        }
    }
}

/// Bounds of the wire, checked before anything is allocated for what they bound.
package enum WireLimits {
    /// Type, request number and head size.
    package static let preambleSizeBytes = 1 + 8 + 4
    /// The largest head; a refusal lists only as many pending versions with their descriptors as fit.
    package static let headSizeBytesMax = 2 << 20
    /// Fragments in one message.
    package static let fragmentCountMax = 1

    /// What follows a claim in a head at most: the count of the listed versions, a held version's descriptor and what
    /// goes with it, or a certificate.
    static let claimFollowerSizeBytesMax = 1 << 20
    /// What the poisonous versions of a claim may take of a head.
    static let poisonousSizeBytesMax = headSizeBytesMax / 4
    /// The most poisonous versions that a claim may name.
    static let claimedVersionsMax = 1 << 12

    /// The largest frame of a cluster: preamble, head and one stripe's fragment, or its block where PREPARE carries
    /// that.
    package static func frameSizeBytesMax(_ parameters: ClusterParameters) -> Int {
        let blockSizeBytes = parameters.limits.stripeSizeBytesMax
        return preambleSizeBytes + headSizeBytesMax
            + (parameters.mode.sendsBlocks
                ? blockSizeBytes : parameters.quorums.code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes))
    }
}

/// A message ready to be framed: the small part, and the fragments to send after it.
package struct EncodedMessage: Sendable {
    /// Preamble and head.
    package let head: [UInt8]
    package let fragments: [SharedBytes]

    package var sizeBytes: Int { fragments.reduce(head.count) { $0 + $1.count } }

    init(type: MessageType, request: UInt64, head: CanonicalEncoder, fragments: [SharedBytes] = []) {
        precondition(request > 0, "requests are numbered from 1")
        var encoder = CanonicalEncoder(reservingBytes: WireLimits.preambleSizeBytes + head.bytes.count)
        encoder.append(type.rawValue)
        encoder.append(request)
        encoder.append(UInt32(head.bytes.count))
        encoder.append(raw: head.bytes)
        self.head = encoder.bytes
        self.fragments = fragments
    }
}

/// Why a frame is no message of this cluster.
package enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The frame is well-formed, but this release knows no message of its type.
    case unsupported(type: UInt8, request: UInt64)
    /// A reply where a request is due, or a request where a reply is due.
    case misdirected(MessageType)
    case malformed(MalformedEncoding)
    case invalidDescriptor(DescriptorError)

    package var description: String {
        switch self {
        case .unsupported(let type, _): "unknown message type \(type)"
        case .misdirected(let type): "a message of type \(type.rawValue), which goes the other way"
        case .malformed(let error): "malformed message: \(error)"
        case .invalidDescriptor(let error): "\(error)"
        }
    }
}

/// A frame taken apart: its type, its request number, its head to be decoded, and its fragments as slices of the frame.
struct OpenedMessage {
    let type: MessageType
    let request: UInt64
    var head: CanonicalDecoder
    private var tail: ByteBuffer

    init(_ frame: ByteBuffer) throws(WireError) {
        var frame = frame
        guard let typeValue = frame.readInteger(as: UInt8.self), let request = frame.readInteger(as: UInt64.self),
            let headSize = frame.readInteger(as: UInt32.self)
        else { throw .malformed(.truncated(field: "preamble")) }
        guard headSize <= WireLimits.headSizeBytesMax else {
            throw .malformed(
                .overLimit(field: "head", value: UInt64(headSize), limit: UInt64(WireLimits.headSizeBytesMax)))
        }
        guard let head = frame.readBytes(length: Int(headSize)) else { throw .malformed(.truncated(field: "head")) }
        guard let type = MessageType(rawValue: typeValue) else { throw .unsupported(type: typeValue, request: request) }
        // No message that this release knows is a one-way message.
        guard request > 0 else { throw .malformed(.unknownValue(field: "request number", value: 0)) }
        self.type = type
        self.request = request
        self.head = CanonicalDecoder(head)
        tail = frame
    }

    /// The fragments whose sizes the head states next.
    mutating func fragments() throws(MalformedEncoding) -> [SharedBytes] {
        let count = try head.count("fragments", as: UInt8.self, limit: WireLimits.fragmentCountMax)
        var fragments: [SharedBytes] = []
        for _ in 0..<count {
            let size: UInt32 = try head.integer("fragment size")
            guard size <= tail.readableBytes, let slice = tail.readSlice(length: Int(size)) else {
                throw .truncated(field: "fragment")
            }
            fragments.append(SharedBytes(sharing: slice))
        }
        return fragments
    }

    /// Checks that head and frame are used up.
    func finish() throws(MalformedEncoding) {
        try head.finish()
        guard tail.readableBytes == 0 else { throw .trailingBytes(count: tail.readableBytes) }
    }
}

extension SharedBytes {
    /// The readable bytes of a buffer, without copying them: the buffer's storage is kept alive, and since it is shared
    /// from then on, whoever writes to the buffer later writes to a copy.
    package init(sharing buffer: ByteBuffer) {
        self = buffer.withUnsafeReadableBytesWithStorageManagement { bytes, storage in
            SharedBytes(owner: storage.takeUnretainedValue(), bytes: bytes)
        }
    }
}

extension CanonicalEncoder {
    mutating func appendSizes(of fragments: [SharedBytes]) {
        append(UInt8(fragments.count))
        for fragment in fragments { append(UInt32(fragment.count)) }
    }

    mutating func append(_ certificate: Certificate?) {
        append(UInt8(certificate == nil ? 0 : 1))
        certificate?.encode(into: &self)
    }
}

extension CanonicalDecoder {
    mutating func optionalCertificate() throws(MalformedEncoding) -> Certificate? {
        try flag("certificate") ? try Certificate(from: &self) : nil
    }

    mutating func descriptor(_ parameters: ClusterParameters) throws(WireError) -> SealedDescriptor {
        let bytes: [UInt8]
        do {
            bytes = Array(try counted("descriptor", limit: Descriptor.sizeBytesMax))
        } catch {
            throw .malformed(error)
        }
        do {
            return try SealedDescriptor(decoding: bytes, parameters: parameters)
        } catch {
            throw .invalidDescriptor(error)
        }
    }
}

/// Runs a decoder's body, naming errors as the wire does.
func decoding<R>(_ body: () throws -> R) throws(WireError) -> R {
    do {
        return try body()
    } catch let error as WireError {
        throw error
    } catch let error as MalformedEncoding {
        throw .malformed(error)
    } catch {
        preconditionFailure("a decoder threw \(error)")
    }
}
