// Fingerprinted cross-checksums: what a writer commits to for one stripe, and what every fragment is checked against.
//
// The hashes bind each fragment's bytes; the fingerprints of the m data fragments bind the fragments to one another:
// because fingerprints are linear over the code's field, all n fragments pass only if they are the encoding of one
// block, except with a probability that QuorumConfiguration bounds (docs/protocol.md, Values). The fingerprint key is
// derived from all hashes, so it is fixed only after the fragments are, and a verifier always derives it anew.

import CFragmentCore
import ErasureCode

/// What a cross-checksum commits to, which depends on when a cluster verifies (docs/protocol.md, Verification modes).
package enum CrossChecksumCoverage: Hashable, Sendable {
    /// The n fragment hashes, and the m fingerprints that bind the fragments to one another.
    case hashesAndFingerprints
    /// The n fragment hashes: that the fragments are one block's is shown by encoding the block anew.
    case hashes
    /// Nothing but the size: for clusters whose servers and clients only crash.
    case nothing
}

/// Why a cross-checksum could not be made of its parts.
public enum CrossChecksumError: Error, Equatable, Sendable {
    /// The block's size is negative.
    case invalidBlockSize(Int)
    /// Neither one hash per fragment nor none at all.
    case wrongHashCount(got: Int, expected: Int)
    /// Neither one fingerprint per data fragment nor none at all; or fingerprints without hashes to take their key
    /// from.
    case wrongFingerprintCount(got: Int, expected: Int)
}

/// One stripe's cross-checksum, in full n fragment hashes and m fingerprints, with the code and the block's size that
/// they are bound to. One reference, since every verified fragment carries what it was verified against.
public struct CrossChecksum: Hashable, Sendable {
    private final class Contents: Hashable, Sendable {
        let code: ReedSolomonCode
        let blockSizeBytes: Int
        let hashes: [Digest256]
        let fingerprints: [Fingerprint]

        init(code: ReedSolomonCode, blockSizeBytes: Int, hashes: [Digest256], fingerprints: [Fingerprint] = []) {
            self.code = code
            self.blockSizeBytes = blockSizeBytes
            self.hashes = hashes
            self.fingerprints = fingerprints
        }

        static func == (left: Contents, right: Contents) -> Bool {
            left === right
                || left.hashes == right.hashes && left.fingerprints == right.fingerprints && left.code == right.code
                    && left.blockSizeBytes == right.blockSizeBytes
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(code)
            hasher.combine(blockSizeBytes)
            hasher.combine(hashes)
            hasher.combine(fingerprints)
        }
    }

    private let contents: Contents

    /// The code whose fragments these are.
    package var code: ReedSolomonCode { contents.code }
    /// Size of the stripe's block in bytes, before padding.
    package var blockSizeBytes: Int { contents.blockSizeBytes }
    /// The hash of each of the n fragments, or none.
    package var hashes: [Digest256] { contents.hashes }
    /// The fingerprint of each of the m data fragments, or none.
    package var fingerprints: [Fingerprint] { contents.fingerprints }

    /// A cross-checksum from its parts; nothing is claimed yet about their truth. Throws unless there are n hashes or
    /// none, m fingerprints or none, and a block size of at least 0.
    package init(
        code: ReedSolomonCode, blockSizeBytes: Int, hashes: [Digest256], fingerprints: [Fingerprint]
    ) throws(CrossChecksumError) {
        guard blockSizeBytes >= 0 else { throw .invalidBlockSize(blockSizeBytes) }
        guard hashes.count == code.fragmentCount || hashes.isEmpty else {
            throw .wrongHashCount(got: hashes.count, expected: code.fragmentCount)
        }
        guard fingerprints.count == (hashes.isEmpty ? 0 : code.dataFragmentCount) || fingerprints.isEmpty else {
            throw .wrongFingerprintCount(got: fingerprints.count, expected: code.dataFragmentCount)
        }
        contents = Contents(code: code, blockSizeBytes: blockSizeBytes, hashes: hashes, fingerprints: fingerprints)
    }

    /// A cross-checksum with these n hashes and, under the key derived from them, the fingerprints of the m data
    /// fragments: what a writer with these hashes commits to. Whether the two belong together is not looked at.
    package init(code: ReedSolomonCode, blockSizeBytes: Int, hashes: [Digest256], data: ArraySlice<SharedBytes>) {
        let sizeBytes = code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes)
        precondition(hashes.count == code.fragmentCount && data.count == code.dataFragmentCount)
        precondition(data.allSatisfy { $0.count == sizeBytes })
        let fingerprints = Array<Fingerprint>(unsafeUninitializedCapacity: data.count) { fingerprints, count in
            withUnsafePointers(to: data) { pointers in
                Self.withStripe(code: code, blockSizeBytes: blockSizeBytes) { stripe in
                    hashes.withUnsafeBytes { hashes in
                        sfc_stripe_fingerprints(
                            stripe, hashes.baseAddress!, pointers.baseAddress,
                            UnsafeMutableRawPointer(fingerprints.baseAddress!))
                    }
                }
            }
            count = data.count
        }
        contents = Contents(code: code, blockSizeBytes: blockSizeBytes, hashes: hashes, fingerprints: fingerprints)
    }

    private init(code: ReedSolomonCode, blockSizeBytes: Int, hashes: [Digest256]) {
        contents = Contents(code: code, blockSizeBytes: blockSizeBytes, hashes: hashes)
    }

    /// What the cross-checksum commits to.
    package var coverage: CrossChecksumCoverage {
        hashes.isEmpty ? .nothing : fingerprints.isEmpty ? .hashes : .hashesAndFingerprints
    }

    /// The block's n fragments and their cross-checksum, as an honest writer makes them.
    package static func encode(
        block: SharedBytes, code: ReedSolomonCode, coverage: CrossChecksumCoverage = .hashesAndFingerprints
    ) -> (fragments: [SharedBytes], crossChecksum: CrossChecksum) {
        let fragments = code.encode(block: block)
        let crossChecksum =
            switch coverage {
            case .hashesAndFingerprints:
                CrossChecksum(
                    code: code, blockSizeBytes: block.count, hashes: Digest256.fragmentHashes(of: fragments),
                    data: fragments.prefix(code.dataFragmentCount))
            case .hashes:
                CrossChecksum(
                    code: code, blockSizeBytes: block.count, hashes: Digest256.fragmentHashes(of: fragments))
            case .nothing:
                CrossChecksum(code: code, blockSizeBytes: block.count, hashes: [])
            }
        return (fragments, crossChecksum)
    }

    /// Whether the hashes are those of the block's encoding: the block is encoded anew and all n fragments are hashed.
    /// This alone, without fingerprints, proves that any m fragments that match their hashes decode to this block.
    package func matchesEncoding(of block: SharedBytes) -> Bool {
        fragments(ifEncodingOf: block) != nil
    }

    /// The block's n fragments if the hashes are theirs, else nil.
    func fragments(ifEncodingOf block: SharedBytes) -> [SharedBytes]? {
        guard block.count == blockSizeBytes else { return nil }
        let fragments = code.encode(block: block)
        return Digest256.fragmentHashes(of: fragments) == hashes ? fragments : nil
    }

    /// Size of each of the stripe's fragments in bytes.
    package var fragmentSizeBytes: Int { code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes) }

    /// The block that verified fragments encode: any m distinct ones, all verified against this very cross-checksum.
    ///
    /// Throws `.foreignFragment` for a fragment verified against another one, and what `ReedSolomonCode.decode` throws.
    package func decode(_ fragments: [VerifiedFragment]) throws(ErasureCodeError) -> SharedBytes {
        for fragment in fragments where fragment.crossChecksum != self { throw .foreignFragment(fragment.index) }
        return try code.decode(count: fragments.count, blockSizeBytes: blockSizeBytes) { position in
            (fragments[position].index, fragments[position].bytes)
        }
    }

    /// Calls `body` with the stripe's sizes and code as the core takes them, valid only during the call.
    func withStripe(_ body: (UnsafePointer<sfc_stripe>) -> Void) {
        Self.withStripe(code: code, blockSizeBytes: blockSizeBytes, body)
    }

    private static func withStripe(
        code: ReedSolomonCode, blockSizeBytes: Int, _ body: (UnsafePointer<sfc_stripe>) -> Void
    ) {
        let shape = sfc_stripe_shape(
            fragment_count: UInt16(code.fragmentCount), data_fragment_count: UInt16(code.dataFragmentCount),
            matrix_id: ReedSolomonCode.matrixID,
            fragment_size_bytes: UInt64(code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes)),
            block_size_bytes: UInt64(blockSizeBytes))
        code.generator.withUnsafeBufferPointer { generator in
            var stripe = sfc_stripe(level: sfc_active_level(), shape: shape, generator: generator.baseAddress!)
            body(&stripe)
        }
    }
}
