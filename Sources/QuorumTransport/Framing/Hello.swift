// The first frame each way: HELLO from a peer that wants to talk, or a refusal from a server that will not.
//
//   HELLO    magic "SQT2" (4) | kind 1 (1) | version UInt16 | sections
//   section  number UInt16 | size UInt16 | bytes; in ascending order, each at most once
//   refusal  magic "SQT2" (4) | kind 2 (1) | reason code UInt16 | 1 if it passes, else 0 (1) | detail UInt64 = 16
//
//   section 1   cluster id (16)
//           2   the highest epoch known, UInt64
//           3   SHA-256 of that epoch's configuration (32)
//           4   the versions known of the lists: addresses, keys, access, UInt64 each
//           5   of a server: its incarnation, UInt64
//           6   capabilities, a UInt64 of bits; none is defined yet
//           7   a UInt32 for each part of the configuration (ConfigurationPart), from its SHA-256, at most 64
//
// Integers are little-endian. The first four sections must be there; those of unknown numbers are skipped. The layouts
// are the same in every version, so that a peer of another version can read why it was refused.

import NIOCore

/// The versions of a cluster's lists; 0 for one of which nothing is known.
package struct ListVersions: Hashable, Sendable {
    package var addresses: UInt64
    package var keys: UInt64
    package var access: UInt64

    package init(addresses: UInt64 = 0, keys: UInt64 = 0, access: UInt64 = 0) {
        self.addresses = addresses
        self.keys = keys
        self.access = access
    }
}

/// Which cluster an endpoint belongs to, and what it knows of it.
package struct ClusterScope: Hashable, Sendable {
    /// Number of bytes of a cluster id.
    package static let clusterIDSizeBytes = 16
    /// Number of bytes of a configuration's digest.
    package static let digestSizeBytes = 32
    /// So many parts of a configuration have a tag at most.
    package static let partTagCountMax = 64
    /// The cluster's id, 16 bytes.
    package let clusterID: [UInt8]
    /// The highest epoch known.
    package let epoch: UInt64
    /// SHA-256 of the configuration of that epoch, 32 bytes.
    package let configurationDigest: [UInt8]
    /// A tag of each of its parts, in their order: whoever has another configuration learns in what it differs. Nothing
    /// else goes by them.
    package let partTags: [UInt32]
    /// The versions known of the lists.
    package let listVersions: ListVersions
    /// Which life of its store a server is in; nil for a client.
    package let incarnation: UInt64?
    /// Bits for what not every party of a version can do; none is defined yet.
    package let capabilities: UInt64

    /// A scope; nil unless `clusterID` has 16 bytes and `configurationDigest` 32, and the tags are at most 64.
    package init?(
        clusterID: some Collection<UInt8>, epoch: UInt64,
        configurationDigest: [UInt8] = [UInt8](repeating: 0, count: digestSizeBytes), partTags: [UInt32] = [],
        listVersions: ListVersions = ListVersions(), incarnation: UInt64? = nil, capabilities: UInt64 = 0
    ) {
        guard clusterID.count == Self.clusterIDSizeBytes, configurationDigest.count == Self.digestSizeBytes,
            partTags.count <= Self.partTagCountMax
        else { return nil }
        self.clusterID = Array(clusterID)
        self.epoch = epoch
        self.configurationDigest = configurationDigest
        self.partTags = partTags
        self.listVersions = listVersions
        self.incarnation = incarnation
        self.capabilities = capabilities
    }
}

/// The first frame of either side.
package enum Greeting: Equatable, Sendable {
    /// "I speak this version, belong to this cluster, and know this much of it."
    case hello(version: UInt16, ClusterScope)
    /// "I do not talk to you, because …"
    case refusal(ConnectionRefusal)

    /// The transport protocol's version that this code speaks.
    package static let currentVersion: UInt16 = 2

    private static let magic: [UInt8] = Array("SQT2".utf8)
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
            scope.encode(into: &buffer)
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
                let scope = ClusterScope(decoding: payload)
            else { return nil }
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
    /// another version may mean something else by the other fields. Another epoch is no objection: requests name
    /// theirs. But two configurations of one epoch are two clusters under one name.
    static func objection(toVersion version: UInt16, peerScope: ClusterScope, scope: ClusterScope) -> ConnectionRefusal?
    {
        if version != currentVersion { return .unsupportedVersion(supported: currentVersion) }
        if peerScope.clusterID != scope.clusterID { return .wrongCluster }
        guard peerScope.epoch != scope.epoch || peerScope.configurationDigest == scope.configurationDigest else {
            return .otherConfiguration(ConfigurationDifferences(peerScope.partTags, scope.partTags))
        }
        return nil
    }
}

extension ClusterScope {
    private enum Section: UInt16 {
        case cluster = 1
        case epoch = 2
        case configuration = 3
        case lists = 4
        case incarnation = 5
        case capabilities = 6
        case parts = 7
    }

    fileprivate func encode(into buffer: inout ByteBuffer) {
        func section(_ section: Section, _ write: (inout ByteBuffer) -> Void) {
            var contents = ByteBuffer()
            write(&contents)
            buffer.writeInteger(section.rawValue, endianness: .little)
            buffer.writeInteger(UInt16(contents.readableBytes), endianness: .little)
            buffer.writeImmutableBuffer(contents)
        }
        section(.cluster) { $0.writeBytes(clusterID) }
        section(.epoch) { $0.writeInteger(epoch, endianness: .little) }
        section(.configuration) { $0.writeBytes(configurationDigest) }
        section(.lists) { contents in
            for version in [listVersions.addresses, listVersions.keys, listVersions.access] {
                contents.writeInteger(version, endianness: .little)
            }
        }
        if let incarnation { section(.incarnation) { $0.writeInteger(incarnation, endianness: .little) } }
        if capabilities != 0 { section(.capabilities) { $0.writeInteger(capabilities, endianness: .little) } }
        if !partTags.isEmpty {
            section(.parts) { contents in for tag in partTags { contents.writeInteger(tag, endianness: .little) } }
        }
    }

    /// Nil unless the bytes are sections in ascending order, to the last byte, with the first four among them.
    fileprivate init?(decoding payload: ByteBuffer) {
        var payload = payload
        var previous: UInt16?
        var clusterID: [UInt8]?
        var epoch: UInt64?
        var digest: [UInt8]?
        var versions: ListVersions?
        var incarnation: UInt64?
        var capabilities: UInt64 = 0
        var tags: [UInt32] = []
        while payload.readableBytes > 0 {
            guard let number = payload.readInteger(endianness: .little, as: UInt16.self), number > previous ?? 0,
                let size = payload.readInteger(endianness: .little, as: UInt16.self),
                var contents = payload.readSlice(length: Int(size))
            else { return nil }
            previous = number
            func integer() -> UInt64? { contents.readInteger(endianness: .little, as: UInt64.self) }
            switch Section(rawValue: number) {
            case .cluster:
                clusterID = contents.readBytes(length: contents.readableBytes)
            case .epoch:
                epoch = integer()
            case .configuration:
                digest = contents.readBytes(length: contents.readableBytes)
            case .lists:
                guard let addresses = integer(), let keys = integer(), let access = integer() else { return nil }
                versions = ListVersions(addresses: addresses, keys: keys, access: access)
            case .incarnation:
                guard let value = integer() else { return nil }
                incarnation = value
            case .capabilities:
                guard let value = integer(), value != 0 else { return nil }
                capabilities = value
            case .parts:
                while let tag = contents.readInteger(endianness: .little, as: UInt32.self) { tags.append(tag) }
                guard !tags.isEmpty else { return nil }
            case nil:
                continue
            }
            guard contents.readableBytes == 0 else { return nil }
        }
        guard let clusterID, let epoch, let digest, let versions else { return nil }
        self.init(
            clusterID: clusterID, epoch: epoch, configurationDigest: digest, partTags: tags, listVersions: versions,
            incarnation: incarnation, capabilities: capabilities)
    }
}
