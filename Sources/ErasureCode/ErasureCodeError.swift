// Why a code could not be made, or fragments not be decoded.

/// A refusal of the erasure code, with the evidence for it.
public enum ErasureCodeError: Error, Equatable, Sendable {
    /// Not 1 <= m <= n <= 255.
    case invalidParameters(dataFragmentCount: Int, fragmentCount: Int)
    /// The block's size is negative.
    case invalidBlockSize(Int)
    /// Fewer distinct fragments than the code's m.
    case tooFewFragments(have: Int, need: Int)
    /// The same position was given twice.
    case duplicateFragment(FragmentIndex)
    /// The position is not below the code's n.
    case indexOutOfRange(FragmentIndex, fragmentCount: Int)
    /// The fragment is not as long as this code's fragments of a block of that size.
    case fragmentSizeMismatch(FragmentIndex, got: Int, expected: Int)
    /// The fragment was verified against another cross-checksum than the one it is decoded with.
    case foreignFragment(FragmentIndex)
}
