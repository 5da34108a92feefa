// Pages: the cross-checksums of up to 256 consecutive stripes of a part. A large value's descriptor names its pages by
// their digests, so that it stays small; whoever has a page is believed by that (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint

/// One stripe as a page names it.
package enum StripeEntry {
    /// The block's length and the cross-checksum, in canonical form.
    package static func encode(_ crossChecksum: CrossChecksum, into encoder: inout CanonicalEncoder) {
        encoder.append(UInt32(crossChecksum.blockSizeBytes))
        for hash in crossChecksum.hashes { encoder.append(hash) }
        for fingerprint in crossChecksum.fingerprints { encoder.append(raw: fingerprint.bytes) }
    }

    package static func bytes(_ crossChecksum: CrossChecksum) -> [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 512)
        encode(crossChecksum, into: &encoder)
        return encoder.bytes
    }

    /// - Throws: when the bytes are no entry of this cluster's code and mode; a block is never empty.
    package static func decode(
        _ decoder: inout CanonicalDecoder, parameters: ClusterParameters
    ) throws(MalformedEncoding) -> CrossChecksum {
        let size: UInt32 = try decoder.integer("block size")
        guard size > 0, size <= UInt32(parameters.limits.stripeSizeBytesMax) else {
            throw .overLimit(
                field: "block size", value: UInt64(size), limit: UInt64(parameters.limits.stripeSizeBytesMax))
        }
        return try decoder.crossChecksum(blockSizeBytes: Int(size), parameters: parameters)
    }
}

extension CanonicalDecoder {
    /// The hashes and fingerprints that the cluster's mode has.
    mutating func crossChecksum(
        blockSizeBytes: Int, parameters: ClusterParameters
    ) throws(MalformedEncoding) -> CrossChecksum {
        let code = parameters.quorums.code
        let coverage = parameters.mode.coverage
        var hashes: [Digest256] = []
        if coverage != .nothing {
            for _ in 0..<code.fragmentCount { hashes.append(try digest("fragment hash")) }
        }
        var fingerprints: [Fingerprint] = []
        if coverage == .hashesAndFingerprints {
            for _ in 0..<code.dataFragmentCount {
                guard let fingerprint = Fingerprint(bytes: try raw(16, "fingerprint")) else {
                    throw .truncated(field: "fingerprint")
                }
                fingerprints.append(fingerprint)
            }
        }
        do {
            return try CrossChecksum(
                code: code, blockSizeBytes: blockSizeBytes, hashes: hashes, fingerprints: fingerprints)
        } catch {
            throw .notCanonical(field: "cross-checksum")
        }
    }
}

/// Consecutive stripes of a part.
package struct StripePage: Equatable, Sendable {
    package static let formatTag = "solidus.page.1"
    /// Pages begin at multiples of this, and all but a part's last are so long.
    package static let stripesMax: UInt32 = 256

    /// The number of its first stripe in the part.
    package let first: UInt32
    package let stripes: [CrossChecksum]

    package init(first: UInt32, stripes: [CrossChecksum]) {
        precondition(first % Self.stripesMax == 0 && (1...Int(Self.stripesMax)).contains(stripes.count))
        self.first = first
        self.stripes = stripes
    }

    package static func header(first: UInt32, count: Int, parameters: ClusterParameters) -> [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 32)
        encoder.append(tag: formatTag)
        encoder.append(UInt8(parameters.quorums.dataFragmentCount))
        encoder.append(UInt8(parameters.quorums.serverCount))
        encoder.append(ReedSolomonCode.matrixID)
        encoder.append(parameters.mode.rawValue)
        encoder.append(first)
        encoder.append(UInt16(count))
        return encoder.bytes
    }

    package func bytes(_ parameters: ClusterParameters) -> [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 64 + stripes.count * 512)
        encoder.append(raw: Self.header(first: first, count: stripes.count, parameters: parameters))
        for stripe in stripes { StripeEntry.encode(stripe, into: &encoder) }
        return encoder.bytes
    }

    /// The largest page of a cluster, in bytes.
    package static func sizeBytesMax(_ parameters: ClusterParameters) -> Int {
        let code = parameters.quorums.code
        return 64 + Int(stripesMax) * (4 + 32 * code.fragmentCount + 16 * code.dataFragmentCount)
    }

    /// - Throws: when the bytes are no page that begins there.
    package init(decoding bytes: [UInt8], first: UInt32, parameters: ClusterParameters) throws(MalformedEncoding) {
        var decoder = CanonicalDecoder(bytes)
        let header = Self.header(first: first, count: 0, parameters: parameters).dropLast(2)
        guard try decoder.raw(header.count, "page header").elementsEqual(header) else {
            throw .notCanonical(field: "page header")
        }
        let count = try decoder.count("stripes", as: UInt16.self, limit: Int(Self.stripesMax))
        guard count > 0 else { throw .notCanonical(field: "stripes") }
        var stripes: [CrossChecksum] = []
        stripes.reserveCapacity(count)
        for _ in 0..<count { stripes.append(try StripeEntry.decode(&decoder, parameters: parameters)) }
        try decoder.finish()
        self.first = first
        self.stripes = stripes
    }
}
