// The first frame each way: HELLO from a peer that wants to talk, or a refusal from a server that will not.
//
//   HELLO    magic "SQT1" (4) | kind 1 (1) | version UInt16 | cluster id (16) | epoch UInt64      = 31 bytes
//   refusal  magic "SQT1" (4) | kind 2 (1) | reason code UInt16 | 1 if it passes, else 0 (1) | detail UInt64 = 16
//
// Integers are little-endian. The refusal's layout is the same in every version, so that a peer of another version can
// read why it was refused.

import NIOCore

/// Which cluster, in which epoch of its configuration, an endpoint belongs to.
package struct ClusterScope: Hashable, Sendable {
    /// Number of bytes of a cluster id.
    package static let clusterIDSizeBytes = 16
    /// The cluster's id, 16 bytes.
    package let clusterID: [UInt8]
    /// The configuration's epoch.
    package let epoch: UInt64

    /// A scope; nil unless `clusterID` has 16 bytes.
    package init?(clusterID: some Collection<UInt8>, epoch: UInt64) {
        guard clusterID.count == Self.clusterIDSizeBytes else { return nil }
        self.clusterID = Array(clusterID)
        self.epoch = epoch
    }
}

/// The first frame of either side.
package enum Greeting: Equatable, Sendable {
    /// "I speak this version and belong to this scope."
    case hello(version: UInt16, ClusterScope)
    /// "I do not talk to you, because …"
    case refusal(ConnectionRefusal)

    /// The transport protocol's version that this code speaks.
    package static let currentVersion: UInt16 = 1

    private static let magic: [UInt8] = Array("SQT1".utf8)
    private static let helloKind: UInt8 = 1
    private static let refusalKind: UInt8 = 2

    /// The frame's payload.
    package func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeBytes(Self.magic)
        switch self {
        case .hello(let version, let scope):
            buffer.writeInteger(Self.helloKind)
            buffer.writeInteger(version, endianness: .little)
            buffer.writeBytes(scope.clusterID)
            buffer.writeInteger(scope.epoch, endianness: .little)
        case .refusal(let reason):
            buffer.writeInteger(Self.refusalKind)
            buffer.writeInteger(reason.code, endianness: .little)
            buffer.writeInteger(UInt8(reason.isTransient ? 1 : 0))
            buffer.writeInteger(reason.detail, endianness: .little)
        }
        return buffer
    }

    /// Reads a frame's payload; nil when it is neither a HELLO nor a refusal, to the last byte.
    package init?(decoding payload: ByteBuffer) {
        var payload = payload
        guard payload.readBytes(length: Self.magic.count) == Self.magic,
            let kind = payload.readInteger(as: UInt8.self)
        else { return nil }
        switch kind {
        case Self.helloKind:
            guard let version = payload.readInteger(endianness: .little, as: UInt16.self),
                let clusterID = payload.readBytes(length: ClusterScope.clusterIDSizeBytes),
                let epoch = payload.readInteger(endianness: .little, as: UInt64.self),
                let scope = ClusterScope(clusterID: clusterID, epoch: epoch)
            else { return nil }
            guard payload.readableBytes == 0 || version != Self.currentVersion else { return nil }
            self = .hello(version: version, scope)
        case Self.refusalKind:
            guard let code = payload.readInteger(endianness: .little, as: UInt16.self),
                let isTransient = payload.readInteger(as: UInt8.self), isTransient <= 1,
                let detail = payload.readInteger(endianness: .little, as: UInt64.self), payload.readableBytes == 0,
                let reason = ConnectionRefusal(code: code, isTransient: isTransient == 1, detail: detail)
            else { return nil }
            self = .refusal(reason)
        default:
            return nil
        }
    }

    /// Why a peer's HELLO does not fit an endpoint of `scope`; nil when it does. The version is judged first, since
    /// another version may mean something else by the other fields.
    static func objection(toVersion version: UInt16, peerScope: ClusterScope, scope: ClusterScope) -> ConnectionRefusal?
    {
        if version != currentVersion { return .unsupportedVersion(supported: currentVersion) }
        if peerScope.clusterID != scope.clusterID { return .wrongCluster }
        if peerScope.epoch != scope.epoch { return .wrongEpoch(expected: scope.epoch) }
        return nil
    }
}
