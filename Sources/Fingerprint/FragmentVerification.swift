// Checking fragments against a cross-checksum: size, then hash, then fingerprint, cheapest first.

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
}

/// A fragment that passed size, hash and fingerprint. Only this module makes one, so holding one is the proof.
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

/// A cross-checksum with its key prepared, for checking several fragments of one stripe.
package struct FragmentVerifier: Sendable {
    /// What fragments are checked against.
    package let crossChecksum: CrossChecksum
    private let key: FingerprintKey

    /// Derives the key from the cross-checksum's hashes; it is never taken from outside.
    package init(_ crossChecksum: CrossChecksum) {
        self.crossChecksum = crossChecksum
        key = crossChecksum.deriveKey()
    }

    /// The fragment as verified, or the reason why not: size, then hash, then fingerprint.
    package func verify(
        _ bytes: SharedBytes, at index: FragmentIndex
    ) throws(FragmentVerificationError) -> VerifiedFragment {
        try crossChecksum.verifyHash(bytes, at: index)
        return try verifyFingerprint(bytes, at: index)
    }

    /// The part of `verify` after the hash matched.
    fileprivate func verifyFingerprint(
        _ bytes: SharedBytes, at index: FragmentIndex
    ) throws(FragmentVerificationError) -> VerifiedFragment {
        let expected = Fingerprint.combining(
            crossChecksum.fingerprints, coefficients: crossChecksum.code.generatorRow(index))
        guard key.fingerprint(of: bytes) == expected else { throw .fingerprintMismatch(index) }
        return VerifiedFragment(index: index, bytes: bytes, crossChecksum: crossChecksum)
    }
}

extension CrossChecksum {
    /// Checks one fragment fully: size, then hash, then fingerprint. For several fragments of a stripe, make a
    /// `FragmentVerifier` and save the preparation of the key.
    package func verify(
        _ bytes: SharedBytes, at index: FragmentIndex
    ) throws(FragmentVerificationError) -> VerifiedFragment {
        // A wrong hash is found before the key is prepared.
        try verifyHash(bytes, at: index)
        return try FragmentVerifier(self).verifyFingerprint(bytes, at: index)
    }

    /// Checks a fragment's size and hash only, which says nothing about its consistency with other fragments: for the
    /// verification modes that establish that by other means.
    package func verifyHash(_ bytes: SharedBytes, at index: FragmentIndex) throws(FragmentVerificationError) {
        guard index.offset < code.fragmentCount else {
            throw .indexOutOfRange(index, fragmentCount: code.fragmentCount)
        }
        guard bytes.count == fragmentSizeBytes else {
            throw .wrongSize(index, got: bytes.count, expected: fragmentSizeBytes)
        }
        guard Digest256.fragmentHash(of: bytes) == hashes[index.offset] else { throw .hashMismatch(index) }
    }
}
