// The systematic m-of-n Reed-Solomon code: one block becomes n fragments, any m of which give it back.

import CISAL

/// An m-of-n code over GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1.
///
/// The generator matrix is the identity over a Cauchy matrix (`gf_gen_cauchy1_matrix`): row i >= m has the coefficients
/// 1 / (i xor j). Every square submatrix of a Cauchy matrix is invertible, so any m rows are, for every m <= n <= 255.
/// Copying a value is cheap; the tables are shared and immutable.
public struct ReedSolomonCode: Sendable, Hashable {
    /// Number of data fragments m: as many fragments as it takes to decode.
    public let dataFragmentCount: Int
    /// Number of fragments n.
    public let fragmentCount: Int

    let tables: CodeTables

    /// The code with 1 <= m <= n <= 255; throws `.invalidParameters` otherwise.
    public init(dataFragmentCount: Int, fragmentCount: Int) throws(ErasureCodeError) {
        guard 1 <= dataFragmentCount, dataFragmentCount <= fragmentCount, fragmentCount <= 255 else {
            throw .invalidParameters(dataFragmentCount: dataFragmentCount, fragmentCount: fragmentCount)
        }
        self.dataFragmentCount = dataFragmentCount
        self.fragmentCount = fragmentCount
        tables = CodeTables(dataFragmentCount: dataFragmentCount, fragmentCount: fragmentCount)
    }

    /// Names the family of generator matrices; bound into fingerprint keys so that fragments of another family never
    /// pass for this one's.
    package static let matrixID: UInt8 = 1

    /// Number of fragments beyond the data.
    package var parityFragmentCount: Int { fragmentCount - dataFragmentCount }

    /// Size of each of a block's fragments in bytes: the block's m-th part, rounded up; 0 for an empty block.
    package func fragmentSizeBytes(blockSizeBytes: Int) -> Int {
        precondition(blockSizeBytes >= 0)
        let (quotient, remainder) = blockSizeBytes.quotientAndRemainder(dividingBy: dataFragmentCount)
        return quotient + (remainder > 0 ? 1 : 0)
    }

    /// The m coefficients with which fragment `index` combines the data fragments.
    package func generatorRow(_ index: FragmentIndex) -> ArraySlice<UInt8> {
        precondition(index.offset < fragmentCount)
        let start = index.offset * dataFragmentCount
        return generator[start..<start + dataFragmentCount]
    }

    /// The generator matrix: n rows of m coefficients.
    package var generator: [UInt8] { tables.generator }

    /// The block's n fragments, each `fragmentSizeBytes(blockSizeBytes:)` long.
    ///
    /// Data fragments are slices of the block, without a copy, except those that reach past its end: they are padded
    /// with zeros, and share one new storage with the parity fragments.
    package func encode(block: SharedBytes) -> [SharedBytes] {
        let sizeBytes = fragmentSizeBytes(blockSizeBytes: block.count)
        guard sizeBytes > 0 else { return Array(repeating: SharedBytes(), count: fragmentCount) }

        let unpaddedCount = block.count / sizeBytes
        let paddedCount = dataFragmentCount - unpaddedCount

        // Padded data, then parity, each on a cache line of its own.
        let strideBytes = (sizeBytes + 63) & ~63
        let storage = SharedBytes(uninitializedCount: (fragmentCount - unpaddedCount) * strideBytes) { target in
            let bytes = target.baseAddress!.assumingMemoryBound(to: UInt8.self)
            let tail = block[unpaddedCount * sizeBytes..<block.count]
            for position in 0..<paddedCount {
                tail.copyPadded(
                    from: position * sizeBytes,
                    into: UnsafeMutableRawBufferPointer(start: bytes + position * strideBytes, count: sizeBytes))
            }
            withUnsafeTemporaryAllocation(of: UnsafePointer<UInt8>?.self, capacity: dataFragmentCount) { inputs in
                for offset in 0..<unpaddedCount {
                    inputs.initializeElement(at: offset, to: block.start! + offset * sizeBytes)
                }
                for position in 0..<paddedCount {
                    inputs.initializeElement(at: unpaddedCount + position, to: bytes + position * strideBytes)
                }
                withUnsafeTemporaryAllocation(
                    of: UnsafeMutablePointer<UInt8>?.self, capacity: parityFragmentCount
                ) { outputs in
                    for row in 0..<parityFragmentCount {
                        outputs.initializeElement(at: row, to: bytes + (paddedCount + row) * strideBytes)
                    }
                    tables.parity.apply(to: inputs, into: outputs, sizeBytes: sizeBytes)
                }
            }
        }
        return (0..<fragmentCount).map { offset in
            let start = offset < unpaddedCount ? offset * sizeBytes : (offset - unpaddedCount) * strideBytes
            return (offset < unpaddedCount ? block : storage)[start..<start + sizeBytes]
        }
    }

    public static func == (left: ReedSolomonCode, right: ReedSolomonCode) -> Bool {
        left.dataFragmentCount == right.dataFragmentCount && left.fragmentCount == right.fragmentCount
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(dataFragmentCount)
        hasher.combine(fragmentCount)
    }
}

extension SharedBytes {
    /// Fills the target with the bytes from `offset` on and, when they are too few, with zeros.
    fileprivate func copyPadded(from offset: Int, into target: UnsafeMutableRawBufferPointer) {
        let start = min(offset, count)
        let copied = self[start..<min(start + target.count, count)]
        copied.withUnsafeBytes { target.copyMemory(from: $0) }
        UnsafeMutableRawBufferPointer(rebasing: target[copied.count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
}
