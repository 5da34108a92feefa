// Checking fragments against a cross-checksum: size, then hash, then fingerprint, cheapest first.

import CFragmentCore
import ErasureCode

/// Why a fragment was refused.
public enum FragmentVerificationError: Error, Equatable, Sendable {
    /// The position is not below the code's n.
    case indexOutOfRange(FragmentIndex, fragmentCount: Int)
    /// The fragment is not as long as the stripe's fragments are.
    case wrongSize(FragmentIndex, got: Int, expected: Int)
    /// The bytes are not those the cross-checksum's hash names.
    case hashMismatch(FragmentIndex)
    /// The bytes match their hash but are not the encoding of the block that the fingerprints commit to: the writer of
    /// the cross-checksum is faulty.
    case fingerprintMismatch(FragmentIndex)
    /// The hashes are not those of the block's encoding.
    case encodingMismatch
}

/// A fragment that passed what its cross-checksum covers: size, hash, fingerprint. Only this module makes one, so
/// holding one is the proof.
package struct VerifiedFragment: Sendable {
    /// Its position in the stripe.
    package let index: FragmentIndex
    /// Its bytes.
    package let bytes: SharedBytes
    /// What it was verified against.
    package let crossChecksum: CrossChecksum

    fileprivate init(index: FragmentIndex, bytes: SharedBytes, crossChecksum: CrossChecksum) {
        self.index = index
        self.bytes = bytes
        self.crossChecksum = crossChecksum
    }
}

extension CrossChecksum {
    /// Checks one fragment as far as the cross-checksum goes: size, then hash, then fingerprint under the key derived
    /// from the hashes.
    package func verify(
        _ bytes: SharedBytes, at index: FragmentIndex
    ) throws(FragmentVerificationError) -> VerifiedFragment {
        guard coverage == .hashesAndFingerprints else {
            if coverage == .hashes { try verifyHash(bytes, at: index) } else { try checkShape(bytes, at: index) }
            return VerifiedFragment(index: index, bytes: bytes, crossChecksum: self)
        }
        try checkShape(bytes, at: index)
        var verdict = UInt8(SFC_FRAGMENT_HASH_MISMATCH.rawValue)
        bytes.withUnsafeBytes { source in
            var start = source.baseAddress?.assumingMemoryBound(to: UInt8.self)
            var position = index.rawValue
            verify(&start, at: &position, count: 1, into: &verdict)
        }
        return try judged(bytes, at: index, verdict: verdict)
    }

    /// Checks several fragments of the stripe at once, at most n, which fills more of a processor's lanes and prepares
    /// the key once. The results are in the fragments' order.
    package func verify(
        _ fragments: [(index: FragmentIndex, bytes: SharedBytes)]
    ) -> [Result<VerifiedFragment, FragmentVerificationError>] {
        precondition(fragments.count <= code.fragmentCount)
        guard coverage == .hashesAndFingerprints,
            fragments.allSatisfy({ (try? checkShape($0.bytes, at: $0.index)) != nil })
        else {
            return fragments.map { index, bytes in
                Result { () throws(FragmentVerificationError) in try verify(bytes, at: index) }
            }
        }
        let count = fragments.count
        defer { withExtendedLifetime(fragments) {} }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * count) { scratch in
            scratch.initialize(repeating: UInt8(SFC_FRAGMENT_HASH_MISMATCH.rawValue))
            withUnsafeTemporaryAllocation(of: UnsafePointer<UInt8>?.self, capacity: count) { pointers in
                for (position, fragment) in fragments.enumerated() {
                    pointers.initializeElement(at: position, to: fragment.bytes.start)
                    scratch[count + position] = fragment.index.rawValue
                }
                guard let verdicts = scratch.baseAddress else { return }
                verify(pointers.baseAddress, at: verdicts + count, count: count, into: verdicts)
            }
            return fragments.enumerated().map { position, fragment in
                Result { () throws(FragmentVerificationError) in
                    try judged(fragment.bytes, at: fragment.index, verdict: scratch[position])
                }
            }
        }
    }

    /// The fragment at `index` of a block that is handed over whole, once its encoding has all n hashes (Cachin &
    /// Tessaro, DSN 2006). Throws `.encodingMismatch` if it has not.
    package func verify(
        block: SharedBytes, for index: FragmentIndex
    ) throws(FragmentVerificationError) -> VerifiedFragment {
        guard index.offset < code.fragmentCount else {
            throw .indexOutOfRange(index, fragmentCount: code.fragmentCount)
        }
        guard let fragments = fragments(ifEncodingOf: block) else { throw .encodingMismatch }
        return VerifiedFragment(index: index, bytes: fragments[index.offset], crossChecksum: self)
    }

    /// Checks a fragment's size and hash only, which says nothing about its consistency with other fragments.
    package func verifyHash(_ bytes: SharedBytes, at index: FragmentIndex) throws(FragmentVerificationError) {
        try checkShape(bytes, at: index)
        guard Digest256.fragmentHash(of: bytes) == hashes[index.offset] else { throw .hashMismatch(index) }
    }

    private func checkShape(_ bytes: SharedBytes, at index: FragmentIndex) throws(FragmentVerificationError) {
        guard index.offset < code.fragmentCount else {
            throw .indexOutOfRange(index, fragmentCount: code.fragmentCount)
        }
        guard bytes.count == fragmentSizeBytes else {
            throw .wrongSize(index, got: bytes.count, expected: fragmentSizeBytes)
        }
    }

    /// The core's verdicts on `count` fragments of the right size at positions below n.
    private func verify(
        _ fragments: UnsafePointer<UnsafePointer<UInt8>?>?, at indices: UnsafePointer<UInt8>, count: Int,
        into verdicts: UnsafeMutablePointer<UInt8>
    ) {
        withStripe { stripe in
            hashes.withUnsafeBytes { hashes in
                fingerprints.withUnsafeBytes { fingerprints in
                    sfc_fragments_verify(
                        stripe, hashes.baseAddress!, fingerprints.baseAddress!, indices, fragments, count, verdicts)
                }
            }
        }
    }

    private func judged(
        _ bytes: SharedBytes, at index: FragmentIndex, verdict: UInt8
    ) throws(FragmentVerificationError) -> VerifiedFragment {
        switch sfc_verdict(UInt32(verdict)) {
        case SFC_FRAGMENT_GOOD: return VerifiedFragment(index: index, bytes: bytes, crossChecksum: self)
        case SFC_FRAGMENT_FINGERPRINT_MISMATCH: throw .fingerprintMismatch(index)
        default: throw .hashMismatch(index)
        }
    }
}

#if PlantedFlaws
    extension CrossChecksum {
        /// A fragment taken for verified without having been: what a flawed protocol does.
        package func believed(_ bytes: SharedBytes, at index: FragmentIndex) -> VerifiedFragment {
            VerifiedFragment(index: index, bytes: bytes, crossChecksum: self)
        }
    }
#endif
