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
        let chosen = try choose(from: fragments, blockSizeBytes: blockSizeBytes)
        let sizeBytes = fragmentSizeBytes(blockSizeBytes: blockSizeBytes)
        guard sizeBytes > 0 else { return SharedBytes() }
        if dataFragmentCount == 1, chosen[0].index.offset == 0 { return chosen[0].bytes }

        let (paddedSizeBytes, overflow) = sizeBytes.multipliedReportingOverflow(by: dataFragmentCount)
        guard !overflow else { throw .invalidBlockSize(blockSizeBytes) }
        let data = chosen.prefix { $0.index.offset < dataFragmentCount }
        let padded = SharedBytes(uninitializedCount: paddedSizeBytes) { target in
            for fragment in data {
                fragment.bytes.withUnsafeBytes { bytes in
                    UnsafeMutableRawBufferPointer(rebasing: target[(fragment.index.offset * sizeBytes)...])
                        .copyMemory(from: bytes)
                }
            }
            guard data.count < dataFragmentCount else { return }
            let present = Set(data.map(\.index.offset))
            let missing = (0..<dataFragmentCount).filter { !present.contains($0) }
            let given = chosen.map(\.index)
            let recovery = tables.recovery(from: given) {
                LinearCombinations(
                    coefficients: recoveryMatrix(missing: missing, given: given)[...], inputCount: dataFragmentCount)
            }
            let outputs = missing.map { offset in
                target.baseAddress!.advanced(by: offset * sizeBytes).assumingMemoryBound(to: UInt8.self)
            }
            withUnsafePointers(to: chosen.map(\.bytes)) { inputs in
                recovery.apply(to: inputs.map { $0! }, into: outputs, sizeBytes: sizeBytes)
            }
        }
        return padded[0..<blockSizeBytes]
    }

    /// The m fragments of lowest index, in order, after checking all of them.
    private func choose(
        from fragments: [(index: FragmentIndex, bytes: SharedBytes)], blockSizeBytes: Int
    ) throws(ErasureCodeError) -> [(index: FragmentIndex, bytes: SharedBytes)] {
        guard blockSizeBytes >= 0 else { throw .invalidBlockSize(blockSizeBytes) }
        let expected = fragmentSizeBytes(blockSizeBytes: blockSizeBytes)
        var byIndex = [SharedBytes?](repeating: nil, count: fragmentCount)
        for fragment in fragments {
            guard fragment.index.offset < fragmentCount else {
                throw .indexOutOfRange(fragment.index, fragmentCount: fragmentCount)
            }
            guard byIndex[fragment.index.offset] == nil else { throw .duplicateFragment(fragment.index) }
            guard fragment.bytes.count == expected else {
                throw .fragmentSizeMismatch(fragment.index, got: fragment.bytes.count, expected: expected)
            }
            byIndex[fragment.index.offset] = fragment.bytes
        }
        guard fragments.count >= dataFragmentCount else {
            throw .tooFewFragments(have: fragments.count, need: dataFragmentCount)
        }
        var chosen: [(index: FragmentIndex, bytes: SharedBytes)] = []
        for (offset, bytes) in byIndex.enumerated() where chosen.count < dataFragmentCount {
            if let bytes { chosen.append((FragmentIndex(UInt8(offset)), bytes)) }
        }
        return chosen
    }

    /// For each missing data fragment a row of m coefficients over the given fragments, which must be m in number, in
    /// ascending order, and without the missing ones.
    private func recoveryMatrix(missing: [Int], given: [FragmentIndex]) -> [UInt8] {
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
