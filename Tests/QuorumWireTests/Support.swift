// What the tests of the wire share: the cluster, frames as bytes, both decoders under one name, seeded randomness.

import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

/// SplitMix64: small, seeded, the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// The cluster of the tests: 2-of-4, stripes of at most 4 KiB.
let cluster = parameters(faults: 1, stripeSizeBytesMax: 4096)

func parameters(faults: Int, stripeSizeBytesMax: Int) -> ClusterParameters {
    var limits = ProtocolLimits()
    limits.stripeSizeBytesMax = stripeSizeBytesMax
    let quorums: QuorumConfiguration
    do {
        quorums = try QuorumConfiguration(faults: faults)
    } catch {
        preconditionFailure("\(error)")
    }
    return parameters(quorums: quorums, limits: limits)
}

/// One group, number 7, in epoch 3.
func parameters(
    quorums: QuorumConfiguration = cluster.quorums, mode: VerificationMode = .fingerprint,
    limits: ProtocolLimits = cluster.limits
) -> ClusterParameters {
    ClusterParameters(
        Configuration(
            cluster: ClusterID(high: 0xc1, low: 0x05), epoch: 3, mode: mode, quorums: quorums, group: GroupID(7)),
        limits: limits)
}

/// A request or a reply.
enum Message: Equatable, Sendable {
    case request(Request, to: Route = Sample.route)
    case reply(Reply)

    var direction: Direction {
        switch self {
        case .request: .request
        case .reply: .reply
        }
    }

    /// The whole frame as it goes over the wire.
    func frame(number: UInt64) -> [UInt8] {
        let message =
            switch self {
            case .request(let request, let route): request.encoded(request: number, to: route)
            case .reply(let reply): reply.encoded(request: number)
            }
        let bytes = message.head + message.fragments.flatMap(\.array)
        precondition(bytes.count == message.sizeBytes)
        return bytes
    }

    /// Every descriptor in the message.
    var descriptors: [SealedDescriptor] {
        switch self {
        case .request(.prepare(let prepare), _): [prepare.descriptor]
        case .request(.describe(let describe), _): [describe.descriptor]
        case .request: []
        case .reply(.version(_, let parts)): parts.map { [$0.descriptor] } ?? []
        case .reply(.refused(.tooManyPending(let versions))): versions.map(\.descriptor)
        case .reply: []
        }
    }
}

/// Which decoder reads a frame.
enum Direction: CaseIterable, Sendable {
    case request, reply

    var opposite: Direction { self == .request ? .reply : .request }

    func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: Message) {
        switch self {
        case .request:
            let (number, route, request) = try Request.decode(frame, parameters: cluster)
            return (number, .request(request, to: route))
        case .reply:
            let (number, reply) = try Reply.decode(frame, parameters: cluster)
            return (number, .reply(reply))
        }
    }

    func decode(_ frame: [UInt8]) throws(WireError) -> (number: UInt64, message: Message) {
        try decode(ByteBuffer(bytes: frame))
    }

    /// Why the frame is refused; nil when it is accepted.
    func error(of frame: [UInt8]) -> WireError? {
        do {
            _ = try decode(frame)
            return nil
        } catch {
            return error
        }
    }
}

/// A frame made by hand, its head's size stated truthfully unless told otherwise.
func frame(
    _ type: MessageType, head: [UInt8], headSizeBytes: UInt32? = nil, fragments: [UInt8] = [], number: UInt64 = 9
) -> [UInt8] {
    var encoder = CanonicalEncoder()
    encoder.append(type.rawValue)
    encoder.append(number)
    encoder.append(headSizeBytes ?? UInt32(head.count))
    return encoder.bytes + head + fragments
}

/// What `build` appends.
func encoded(_ build: (inout CanonicalEncoder) -> Void) -> [UInt8] {
    var encoder = CanonicalEncoder()
    build(&encoder)
    return encoder.bytes
}

/// The size of the head that a frame states.
func headSize(of frame: [UInt8]) -> Int {
    frame[9..<13].reduce(0) { $0 << 8 | Int($1) }
}

/// The frame with another head, the head's size set to fit.
func replacingHead(of frame: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
    let end = WireLimits.preambleSizeBytes + headSize(of: frame)
    var head = Array(frame[WireLimits.preambleSizeBytes..<end])
    change(&head)
    return frame[..<9] + encoded { $0.append(UInt32(head.count)) } + head + frame[end...]
}

/// Lower-case hexadecimal digits of the bytes.
func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
    }.joined()
}
