// Erasure decoding: from any m fragments back to the block.
//
// Write D for the set of data fragments given, M for those missing, and P for the parity fragments given; choose P with
// as many members as M. For a row p of the generator matrix C,
//   fragment_p - sum over j in D of C[p][j] d_j = sum over k in M of C[p][k] d_k,
// so the missing data follow from the inverse of the small matrix S = C[P][M], a submatrix of a Cauchy matrix and
// therefore invertible. Only the missing fragments are computed; present ones are copied.

import CISAL

extension ReedSolomonCode {
    /// The block of `blockSizeBytes` bytes that the fragments encode. Needs any m distinct fragments; given more, it
    /// uses the m of lowest index and looks at no other. Does not check that fragments belong together.
    ///
    /// Throws `.invalidBlockSize`, `.indexOutOfRange`, `.duplicateFragment`, `.fragmentSizeMismatch` or
    /// `.tooFewFragments`.
    package func decode(
        _ fragments: [(index: FragmentIndex, bytes: SharedBytes)], blockSizeBytes: Int
    ) throws(ErasureCodeError) -> SharedBytes {
        try decode(count: fragments.count, blockSizeBytes: blockSizeBytes) { fragments[$0] }
    }

    /// The same for `count` fragments that are kept in some other shape: `fragment` gives each by its position.
    package func decode(
        count: Int, blockSizeBytes: Int, _ fragment: (Int) -> (index: FragmentIndex, bytes: SharedBytes)
    ) throws(ErasureCodeError) -> SharedBytes {
        let chosen = try choose(from: count, blockSizeBytes: blockSizeBytes, fragment)
        let sizeBytes = fragmentSizeBytes(blockSizeBytes: blockSizeBytes)
        guard sizeBytes > 0 else { return SharedBytes() }
        if dataFragmentCount == 1, chosen.contains(FragmentIndex(0)) {
            for position in 0..<count where fragment(position).index.offset == 0 { return fragment(position).bytes }
        }

        let (paddedSizeBytes, overflow) = sizeBytes.multipliedReportingOverflow(by: dataFragmentCount)
        guard !overflow else { throw .invalidBlockSize(blockSizeBytes) }
        let padded = SharedBytes(uninitializedCount: paddedSizeBytes) { target in
            let block = target.baseAddress!.assumingMemoryBound(to: UInt8.self)
            withUnsafeTemporaryAllocation(of: UnsafePointer<UInt8>?.self, capacity: dataFragmentCount) { inputs in
                for position in 0..<count {
                    let (index, bytes) = fragment(position)
                    guard chosen.contains(index) else { continue }
                    inputs.initializeElement(at: chosen.rank(of: index.offset), to: bytes.start)
                    if index.offset < dataFragmentCount {
                        (block + index.offset * sizeBytes).update(from: bytes.start!, count: sizeBytes)
                    }
                }
                recover(into: block, from: inputs, of: chosen, sizeBytes: sizeBytes)
            }
        }
        return padded[0..<blockSizeBytes]
    }

    /// Computes the block's data fragments that are not among the chosen ones, of which `inputs` points to the bytes.
    private func recover(
        into block: UnsafeMutablePointer<UInt8>, from inputs: UnsafeMutableBufferPointer<UnsafePointer<UInt8>?>,
        of chosen: FragmentSet, sizeBytes: Int
    ) {
        let missingCount = dataFragmentCount - chosen.rank(of: dataFragmentCount)
        guard missingCount > 0 else { return }
        let recovery = tables.recovery(from: chosen) {
            LinearCombinations(coefficients: recoveryMatrix(from: chosen)[...], inputCount: dataFragmentCount)
        }
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<UInt8>?.self, capacity: missingCount) { outputs in
            var row = 0
            for offset in 0..<dataFragmentCount where !chosen.contains(FragmentIndex(UInt8(offset))) {
                outputs.initializeElement(at: row, to: block + offset * sizeBytes)
                row += 1
            }
            recovery.apply(to: inputs, into: outputs, sizeBytes: sizeBytes)
        }
    }

    /// The m fragments of lowest index, after checking all of them.
    private func choose(
        from count: Int, blockSizeBytes: Int, _ fragment: (Int) -> (index: FragmentIndex, bytes: SharedBytes)
    ) throws(ErasureCodeError) -> FragmentSet {
        guard blockSizeBytes >= 0 else { throw .invalidBlockSize(blockSizeBytes) }
        let expected = fragmentSizeBytes(blockSizeBytes: blockSizeBytes)
        var given = FragmentSet()
        for position in 0..<count {
            let (index, bytes) = fragment(position)
            guard index.offset < fragmentCount else {
                throw .indexOutOfRange(index, fragmentCount: fragmentCount)
            }
            guard given.insert(index) else { throw .duplicateFragment(index) }
            guard bytes.count == expected else {
                throw .fragmentSizeMismatch(index, got: bytes.count, expected: expected)
            }
        }
        guard count >= dataFragmentCount else { throw .tooFewFragments(have: count, need: dataFragmentCount) }
        return given.lowest(dataFragmentCount)
    }

    /// For each data fragment that is not among these m distinct ones its m coefficients over them, in the order of their
    /// indices.
    package func recoveryRows(from given: [FragmentIndex]) -> [FragmentIndex: ArraySlice<UInt8>] {
        var chosen = FragmentSet()
        for index in given {
            let isNew = chosen.insert(index)
            precondition(isNew && index.offset < fragmentCount)
        }
        precondition(chosen.count == dataFragmentCount)
        let matrix = recoveryMatrix(from: chosen)
        let missing = (0..<dataFragmentCount).map { FragmentIndex(UInt8($0)) }.filter { !chosen.contains($0) }
        return Dictionary(
            uniqueKeysWithValues: missing.enumerated().map { row, index in
                (index, matrix[row * dataFragmentCount..<(row + 1) * dataFragmentCount])
            })
    }

    /// For each missing data fragment a row of m coefficients over the chosen fragments, which must be m in number.
    private func recoveryMatrix(from chosen: FragmentSet) -> [UInt8] {
        let given = chosen.indices
        let missing = (0..<dataFragmentCount).filter { !chosen.contains(FragmentIndex(UInt8($0))) }
        let unknownCount = missing.count
        let dataGiven = given.prefix(dataFragmentCount - unknownCount)
        let parityGiven = given.suffix(unknownCount).map { Array(generatorRow($0)) }

        var square = parityGiven.flatMap { row in missing.map { row[$0] } }
        var inverse = [UInt8](repeating: 0, count: unknownCount * unknownCount)
        let status = gf_invert_matrix(&square, &inverse, Int32(unknownCount))
        precondition(status == 0, "a square submatrix of a Cauchy matrix is invertible")

        var recovery: [UInt8] = []
        recovery.reserveCapacity(unknownCount * dataFragmentCount)
        for row in 0..<unknownCount {
            let weights = inverse[row * unknownCount..<(row + 1) * unknownCount]
            // Subtraction is addition: the data's share of each parity fragment is taken out with the same weights.
            for index in dataGiven {
                var coefficient: UInt8 = 0
                for (weight, parity) in zip(weights, parityGiven) {
                    coefficient ^= gf_mul(weight, parity[index.offset])
                }
                recovery.append(coefficient)
            }
            recovery.append(contentsOf: weights)
        }
        return recovery
    }
}
