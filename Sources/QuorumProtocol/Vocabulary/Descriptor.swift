// Descriptors: all that is to know of a version but its fragments. Their digest is part of the version's timestamp.

import ErasureCode
import Fingerprint

/// What a version is: a value's or a tombstone's complete description (docs/protocol.md, Descriptors).
public struct Descriptor: Hashable, Sendable {
    public enum Kind: UInt8, Sendable {
        case value = 1
        /// The version says that the object does not exist.
        case tombstone = 2
    }

    package static let formatTag = "solidus.descriptor.3"
    /// A descriptor's largest encoding in bytes, checked before one is read.
    package static let sizeBytesMax = 768 << 10
    /// The same where the value's fragments go with it.
    package static let unstagedSizeBytesMax = 64 << 10

    public let kind: Kind
    public let key: ObjectKey
    /// The value's length; 0 for a tombstone.
    public let lengthBytes: UInt64
    /// Every stripe but the last has so many bytes; of a large value, every stripe of the first part.
    public let stripeSizeBytes: UInt32
    public let dataFragmentCount: UInt8
    public let fragmentCount: UInt8
    public let mode: VerificationMode
    /// One cross-checksum for each stripe whose fragments go with the descriptor, covering what the mode says:
    /// ⌈length / stripe size⌉ of them; none of a large value.
    public let stripes: [CrossChecksum]
    /// A large value's layout; nil where the fragments go with the descriptor.
    package let staged: StagedContents?
    /// Whether its writer left the servers at the last f positions without fragments, if all went well.
    package let leavesSpares: Bool
    /// Tells a version from others of its writer where no hashes do; nil where they do.
    package let salt: VersionSalt?
    public let metadata: ObjectMetadata

    /// How a descriptor's stripes are given. The numbers are part of the format.
    private enum Form: UInt8 {
        case whole = 0
        case staged = 1
        case leavingSpares = 2
    }

    /// A value's descriptor; the salt is used in the mode `none` only.
    package init(
        value key: ObjectKey, lengthBytes: UInt64, stripeSizeBytes: UInt32, stripes: [CrossChecksum],
        metadata: ObjectMetadata, parameters: ClusterParameters, leavesSpares: Bool = false,
        salt: VersionSalt = .random()
    ) {
        precondition(stripes.allSatisfy { $0.coverage == parameters.mode.coverage })
        kind = .value
        self.key = key
        self.lengthBytes = lengthBytes
        self.stripeSizeBytes = stripeSizeBytes
        dataFragmentCount = UInt8(parameters.quorums.dataFragmentCount)
        fragmentCount = UInt8(parameters.quorums.serverCount)
        mode = parameters.mode
        self.stripes = stripes
        staged = nil
        self.leavesSpares = leavesSpares && !stripes.isEmpty
        self.metadata = metadata
        self.salt = mode.coverage == .nothing ? salt : nil
    }

    /// A large value's descriptor, of what was staged before.
    package init(
        value key: ObjectKey, staged: StagedContents, metadata: ObjectMetadata, parameters: ClusterParameters,
        salt: VersionSalt = .random()
    ) {
        kind = .value
        self.key = key
        lengthBytes = staged.lengthBytes
        stripeSizeBytes = staged.parts[0].stripeSizeBytes
        dataFragmentCount = UInt8(parameters.quorums.dataFragmentCount)
        fragmentCount = UInt8(parameters.quorums.serverCount)
        mode = parameters.mode
        stripes = []
        self.staged = staged
        leavesSpares = false
        self.metadata = metadata
        self.salt = mode.coverage == .nothing ? salt : nil
    }

    /// A tombstone's descriptor.
    package init(tombstone key: ObjectKey, modifiedMilliseconds: UInt64, parameters: ClusterParameters) {
        kind = .tombstone
        self.key = key
        lengthBytes = 0
        stripeSizeBytes = UInt32(parameters.limits.stripeSizeBytesMax)
        dataFragmentCount = UInt8(parameters.quorums.dataFragmentCount)
        fragmentCount = UInt8(parameters.quorums.serverCount)
        mode = parameters.mode
        stripes = []
        staged = nil
        leavesSpares = false
        metadata = ObjectMetadata(modifiedMilliseconds: modifiedMilliseconds)
        salt = nil
    }

    /// Whether servers hold fragments of the version: of every value but the empty one.
    package var hasStripes: Bool { !stripes.isEmpty || staged != nil }

    /// How many bytes of the value the stripe holds.
    package func blockSizeBytes(of stripe: StripeIndex) -> Int {
        Self.blockSizeBytes(of: stripe.offset, lengthBytes: lengthBytes, stripeSizeBytes: stripeSizeBytes)
    }

    /// How many stripes' cross-checksums fit into so many bytes; where they take none, how many a descriptor may have.
    private static func stripeCountMax(
        in sizeBytes: Int, code: ReedSolomonCode, coverage: CrossChecksumCoverage
    ) -> Int {
        switch coverage {
        case .hashesAndFingerprints: sizeBytes / (code.fragmentCount * 32 + code.dataFragmentCount * 16)
        case .hashes: sizeBytes / (code.fragmentCount * 32)
        case .nothing: 1024
        }
    }

    private static func blockSizeBytes(of stripe: Int, lengthBytes: UInt64, stripeSizeBytes: UInt32) -> Int {
        let start = UInt64(stripe) * UInt64(stripeSizeBytes)
        return Int(min(UInt64(stripeSizeBytes), lengthBytes - start))
    }

    fileprivate func encode() -> [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 512)
        encoder.append(tag: Self.formatTag)
        encoder.append(kind.rawValue)
        encoder.append(counted: key.bytes)
        encoder.append(lengthBytes)
        encoder.append(stripeSizeBytes)
        encoder.append(dataFragmentCount)
        encoder.append(fragmentCount)
        encoder.append(ReedSolomonCode.matrixID)
        encoder.append(mode.rawValue)
        metadata.encode(into: &encoder)
        if let salt { encoder.append(raw: salt.bytes) }
        let form: Form = staged == nil ? leavesSpares ? .leavingSpares : .whole : .staged
        encoder.append(form.rawValue)
        if let staged {
            staged.encode(into: &encoder)
            return encoder.bytes
        }
        for stripe in stripes {
            for hash in stripe.hashes { encoder.append(hash) }
            for fingerprint in stripe.fingerprints { encoder.append(raw: fingerprint.bytes) }
        }
        return encoder.bytes
    }

    fileprivate init(decoding bytes: [UInt8], parameters: ClusterParameters) throws(DescriptorError) {
        do {
            try self.init(strictly: bytes, parameters: parameters)
        } catch let error as DescriptorError {
            throw error
        } catch let error as MalformedEncoding {
            throw .malformed(error)
        } catch {
            throw .malformed(.notCanonical(field: "descriptor"))
        }
    }

    private init(strictly bytes: [UInt8], parameters: ClusterParameters) throws {
        guard bytes.count <= Self.sizeBytesMax else {
            throw MalformedEncoding.overLimit(
                field: "descriptor", value: UInt64(bytes.count), limit: UInt64(Self.sizeBytesMax))
        }
        var decoder = CanonicalDecoder(bytes)
        try decoder.expect(tag: Self.formatTag, "descriptor format")
        let kindValue: UInt8 = try decoder.integer("kind")
        guard let kind = Kind(rawValue: kindValue) else {
            throw MalformedEncoding.unknownValue(field: "kind", value: UInt64(kindValue))
        }
        self.kind = kind
        key = try decoder.objectKey("object key")
        lengthBytes = try decoder.integer("length")
        stripeSizeBytes = try decoder.integer("stripe size")
        dataFragmentCount = try decoder.integer("data fragments")
        fragmentCount = try decoder.integer("fragments")
        let matrix: UInt8 = try decoder.integer("generator matrix")
        let modeValue: UInt8 = try decoder.integer("mode")
        metadata = try ObjectMetadata(from: &decoder)

        let code = parameters.quorums.code
        guard Int(dataFragmentCount) == code.dataFragmentCount, Int(fragmentCount) == code.fragmentCount,
            matrix == ReedSolomonCode.matrixID
        else { throw DescriptorError.wrongCode(dataFragments: dataFragmentCount, fragments: fragmentCount) }
        guard let mode = VerificationMode(rawValue: modeValue), mode == parameters.mode else {
            throw DescriptorError.wrongMode(modeValue)
        }
        self.mode = mode
        guard (1...UInt32(parameters.limits.stripeSizeBytesMax)).contains(stripeSizeBytes) else {
            throw DescriptorError.stripeTooLarge(stripeSizeBytes, limit: parameters.limits.stripeSizeBytesMax)
        }
        guard kind == .value || lengthBytes == 0 else { throw DescriptorError.tombstoneWithValue }

        let coverage = mode.coverage
        salt =
            coverage == .nothing && kind == .value ? VersionSalt(bytes: try decoder.raw(16, "salt")) : nil
        let formValue: UInt8 = try decoder.integer("form")
        guard let form = Form(rawValue: formValue) else {
            throw MalformedEncoding.unknownValue(field: "form", value: UInt64(formValue))
        }
        leavesSpares = form == .leavingSpares
        if form == .staged {
            let staged = try StagedContents(from: &decoder, parameters: parameters)
            try decoder.finish()
            guard kind == .value, staged.lengthBytes == lengthBytes,
                !mode.verifiesLater || staged.stripeCount <= UInt64(StagedLimits.namedStripesMax),
                staged.parts[0].stripeSizeBytes == stripeSizeBytes
            else { throw MalformedEncoding.notCanonical(field: "staged") }
            self.staged = staged
            stripes = []
            return
        }
        guard bytes.count <= Self.unstagedSizeBytesMax else {
            throw MalformedEncoding.overLimit(
                field: "descriptor", value: UInt64(bytes.count), limit: UInt64(Self.unstagedSizeBytesMax))
        }
        staged = nil
        let fullStripes = lengthBytes / UInt64(stripeSizeBytes)
        let stripeCount = fullStripes + (lengthBytes % UInt64(stripeSizeBytes) == 0 ? 0 : 1)
        guard stripeCount <= UInt64(Self.stripeCountMax(in: decoder.remaining, code: code, coverage: coverage)) else {
            throw MalformedEncoding.truncated(field: "cross-checksums")
        }
        var stripes: [CrossChecksum] = []
        stripes.reserveCapacity(Int(stripeCount))
        for stripe in 0..<Int(stripeCount) {
            let size = Self.blockSizeBytes(of: stripe, lengthBytes: lengthBytes, stripeSizeBytes: stripeSizeBytes)
            stripes.append(try decoder.crossChecksum(blockSizeBytes: size, parameters: parameters))
        }
        self.stripes = stripes
        guard !leavesSpares || !stripes.isEmpty else { throw MalformedEncoding.notCanonical(field: "form") }
        try decoder.finish()
    }
}

/// A descriptor with its canonical bytes and their digest, each computed once.
public struct SealedDescriptor: Hashable, Sendable {
    /// Shared by all copies: messages, effects and records hand a descriptor on far more often than anybody looks into
    /// it, and it has many fields to copy.
    private final class Contents: Sendable {
        let descriptor: Descriptor
        let bytes: [UInt8]
        let digest: Digest256

        init(_ descriptor: Descriptor, bytes: [UInt8]) {
            self.descriptor = descriptor
            self.bytes = bytes
            digest = Digest256.sha256(bytes)
        }
    }

    private let contents: Contents

    public var descriptor: Descriptor { contents.descriptor }
    package var bytes: [UInt8] { contents.bytes }
    public var digest: Digest256 { contents.digest }

    /// Encodes and digests a descriptor of our own making.
    package init(_ descriptor: Descriptor) {
        contents = Contents(descriptor, bytes: descriptor.encode())
    }

    /// Decodes what somebody sent or stored, and checks it against the cluster's code, mode and limits.
    package init(decoding bytes: [UInt8], parameters: ClusterParameters) throws(DescriptorError) {
        contents = Contents(try Descriptor(decoding: bytes, parameters: parameters), bytes: bytes)
    }

    public static func == (left: SealedDescriptor, right: SealedDescriptor) -> Bool {
        left.contents === right.contents || left.digest == right.digest
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}

/// Why bytes are no descriptor of this cluster.
public enum DescriptorError: Error, Equatable, Sendable, CustomStringConvertible {
    case malformed(MalformedEncoding)
    case wrongCode(dataFragments: UInt8, fragments: UInt8)
    case wrongMode(UInt8)
    case stripeTooLarge(UInt32, limit: Int)
    case tombstoneWithValue

    public var description: String {
        switch self {
        case .malformed(let error): "malformed descriptor: \(error)"
        case .wrongCode(let m, let n): "the descriptor's code (\(m) of \(n)) is not the cluster's"
        case .wrongMode(let mode): "the descriptor's verification mode (\(mode)) is not the cluster's"
        case .stripeTooLarge(let size, let limit): "the stripe size of \(size) bytes is not between 1 and \(limit)"
        case .tombstoneWithValue: "a tombstone with a length"
        }
    }
}
