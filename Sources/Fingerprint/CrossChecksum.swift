// Fingerprinted cross-checksums: what a writer commits to for one stripe, and what every fragment is checked against.
//
// The hashes bind each fragment's bytes; the fingerprints of the m data fragments bind the fragments to one another:
// because fingerprints are linear over the code's field, all n fragments pass only if they are the encoding of one
// block, except with probability about 2^-100. The fingerprint key is derived from all hashes, so it is fixed only
// after the fragments are, and a verifier always derives it anew.

import CFragmentCore
import ErasureCode

/// Why a cross-checksum could not be made of its parts.
public enum CrossChecksumError: Error, Equatable, Sendable {
    /// The block's size is negative.
    case invalidBlockSize(Int)
    /// Not one hash per fragment.
    case wrongHashCount(got: Int, expected: Int)
    /// Not one fingerprint per data fragment.
    case wrongFingerprintCount(got: Int, expected: Int)
}

/// One stripe's fingerprinted cross-checksum: n fragment hashes and m fingerprints, with the code and the block's size
/// that they are bound to.
public struct CrossChecksum: Hashable, Sendable {
    /// The code whose fragments these are.
    package let code: ReedSolomonCode
    /// Size of the stripe's block in bytes, before padding.
    package let blockSizeBytes: Int
    /// The hash of each of the n fragments.
    package let hashes: [Digest256]
    /// The fingerprint of each of the m data fragments.
    package let fingerprints: [Fingerprint]

    /// A cross-checksum from its parts; nothing is claimed yet about their truth. Throws unless there are n hashes, m
    /// fingerprints and a block size of at least 0.
    package init(
        code: ReedSolomonCode, blockSizeBytes: Int, hashes: [Digest256], fingerprints: [Fingerprint]
    ) throws(CrossChecksumError) {
        guard blockSizeBytes >= 0 else { throw .invalidBlockSize(blockSizeBytes) }
        guard hashes.count == code.fragmentCount else {
            throw .wrongHashCount(got: hashes.count, expected: code.fragmentCount)
        }
        guard fingerprints.count == code.dataFragmentCount else {
            throw .wrongFingerprintCount(got: fingerprints.count, expected: code.dataFragmentCount)
        }
        self.code = code
        self.blockSizeBytes = blockSizeBytes
        self.hashes = hashes
        self.fingerprints = fingerprints
    }

    private init(encodedBy code: ReedSolomonCode, blockSizeBytes: Int, fragments: [SharedBytes]) {
        self.code = code
        self.blockSizeBytes = blockSizeBytes
        hashes = Digest256.fragmentHashes(of: fragments)
        let key = Self.deriveKey(code: code, blockSizeBytes: blockSizeBytes, hashes: hashes)
        fingerprints = fragments.prefix(code.dataFragmentCount).map { key.fingerprint(of: $0) }
    }

    /// The block's n fragments and their cross-checksum, as an honest writer makes them.
    package static func encode(
        block: SharedBytes, code: ReedSolomonCode
    ) -> (fragments: [SharedBytes], crossChecksum: CrossChecksum) {
        let fragments = code.encode(block: block)
        return (fragments, CrossChecksum(encodedBy: code, blockSizeBytes: block.count, fragments: fragments))
    }

    /// Size of each of the stripe's fragments in bytes.
    package var fragmentSizeBytes: Int { code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes) }

    /// The key r of this stripe: the first 16 bytes of SHA-256 over the domain tag, n, m, matrix id, fragment size,
    /// block size and all hashes, in the byte layout of `sfc_derive_key`.
    package func deriveKey() -> FingerprintKey {
        Self.deriveKey(code: code, blockSizeBytes: blockSizeBytes, hashes: hashes)
    }

    private static func deriveKey(code: ReedSolomonCode, blockSizeBytes: Int, hashes: [Digest256]) -> FingerprintKey {
        var shape = sfc_stripe_shape(
            fragment_count: UInt16(code.fragmentCount), data_fragment_count: UInt16(code.dataFragmentCount),
            matrix_id: ReedSolomonCode.matrixID,
            fragment_size_bytes: UInt64(code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes)),
            block_size_bytes: UInt64(blockSizeBytes))
        var packed: [UInt8] = []
        packed.reserveCapacity(Digest256.sizeBytes * hashes.count)
        for hash in hashes { hash.withUnsafeBytes { packed.append(contentsOf: $0) } }
        var key = [UInt8](repeating: 0, count: Fingerprint.sizeBytes)
        sfc_derive_key(sfc_active_level(), &shape, packed, &key)
        return FingerprintKey(sixteenBytes: key)
    }

    /// The block that verified fragments encode: any m distinct ones, all verified against this very cross-checksum.
    ///
    /// Throws `.foreignFragment` for a fragment verified against another one, and what `ReedSolomonCode.decode` throws.
    package func decode(_ fragments: [VerifiedFragment]) throws(ErasureCodeError) -> SharedBytes {
        for fragment in fragments where fragment.crossChecksum != self { throw .foreignFragment(fragment.index) }
        return try code.decode(fragments.map { ($0.index, $0.bytes) }, blockSizeBytes: blockSizeBytes)
    }
}
