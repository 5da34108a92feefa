// The code's promises: fragments are what the Cauchy matrix says, and any m of n of them give the block back.

import ErasureCode
import Testing

@Suite("A Reed-Solomon code")
struct ReedSolomonCodeTests {
    /// Decodes from the fragments at the positions, in that order.
    private func decode(
        _ fragments: [SharedBytes], at positions: some Sequence<Int>, code: ReedSolomonCode, blockSizeBytes: Int
    ) throws -> SharedBytes {
        try code.decode(
            positions.map { (FragmentIndex(UInt8($0)), fragments[$0]) }, blockSizeBytes: blockSizeBytes)
    }

    @Test(
        "gives the block back from every choice of m fragments",
        arguments: (1...8).flatMap { n in (1...n).map { (m: $0, n: n) } })
    func everyErasurePattern(m: Int, n: Int) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        var generator = SeededGenerator(seed: UInt64(100 * m + n))
        for sizeBytes in [1, m, 3 * m + 1, 67 * m - m / 2] {
            let block = SharedBytes(generator.bytes(sizeBytes))
            let fragments = code.encode(block: block)
            for pattern in 0..<(1 << n) where pattern.nonzeroBitCount == m {
                let positions = (0..<n).filter { pattern >> $0 & 1 == 1 }
                let decoded = try decode(fragments, at: positions.reversed(), code: code, blockSizeBytes: sizeBytes)
                #expect(decoded == block, "positions \(positions), \(sizeBytes) bytes")
            }
        }
    }

    @Test(
        "gives the block back from random choices when n is large",
        arguments: [(7, 19), (10, 30), (1, 255), (128, 255), (200, 255), (254, 255), (255, 255)])
    func randomErasurePatterns(m: Int, n: Int) throws {
        let seed = UInt64(1000 * m + n)
        var generator = SeededGenerator(seed: seed)
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        for _ in 0..<3 {
            let block = SharedBytes(generator.bytes(Int.random(in: 1...4000, using: &generator)))
            let fragments = code.encode(block: block)
            let positions = (0..<n).shuffled(using: &generator).prefix(m)
            let decoded = try decode(fragments, at: positions, code: code, blockSizeBytes: block.count)
            #expect(decoded == block, "seed \(seed), positions \(positions), \(block.count) bytes")
        }
    }

    @Test(
        "makes the fragments that slow arithmetic with the Cauchy matrix makes",
        arguments: [(1, 1), (1, 4), (2, 4), (3, 7), (4, 8), (8, 10), (7, 19), (5, 5), (20, 60)])
    func fragmentsMatchDefinition(m: Int, n: Int) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        var generator = SeededGenerator(seed: UInt64(m * n))
        for sizeBytes in [1, 2, m, m + 1, 31, 32, 33, 64 * m, 64 * m + 17, 1001] {
            let block = generator.bytes(sizeBytes)
            let fragments = code.encode(block: SharedBytes(block)).map(\.array)
            let expected = ReferenceByteField.encode(block, dataFragmentCount: m, fragmentCount: n)
            #expect(fragments == expected, "\(sizeBytes) bytes")
        }
    }

    @Test(
        "makes the parity of known blocks",
        arguments: [
            (2, 4, Array("0123456789abcdef".utf8), ["fb81cd423b4338b7", "0c765b205821aed5"]),
            (3, 7, Array("solidus!".utf8), ["133690", "a51e53", "239546", "c47e6a"]),
            (4, 8, Array(1...20), ["a40be6bd75", "b179209c33", "a8f3822d91", "1aa6fe366d"]),
            (1, 3, [1], ["01", "8e"]),
        ] as [(Int, Int, [UInt8], [String])])
    func knownParity(m: Int, n: Int, block: [UInt8], parity: [String]) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        let fragments = code.encode(block: SharedBytes(block))
        let digits = Array("0123456789abcdef")
        let hex = fragments.suffix(n - m).map { fragment in
            fragment.array.map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined()
        }
        #expect(hex == parity)
    }

    @Test("tells the coefficients of every fragment", arguments: [(1, 3), (4, 8), (7, 19), (128, 255)])
    func generatorRows(m: Int, n: Int) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        for index in 0..<n {
            let row = Array(code.generatorRow(FragmentIndex(UInt8(index))))
            #expect(row == ReferenceByteField.generatorRow(index, dataFragmentCount: m))
        }
    }

    @Test(
        "tells how the missing data follow from any m fragments",
        arguments: [(1, 3), (2, 4), (4, 6), (3, 7), (4, 10)])
    func recoveryRows(m: Int, n: Int) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        var generator = SeededGenerator(seed: UInt64(10 * m + n))
        let fragments = code.encode(block: SharedBytes(generator.bytes(5 * m))).map(\.array)
        for pattern in 0..<(1 << n) where pattern.nonzeroBitCount == m {
            let given = (0..<n).filter { pattern >> $0 & 1 == 1 }
            let rows = code.recoveryRows(from: given.shuffled(using: &generator).map { FragmentIndex(UInt8($0)) })
            #expect(Set(rows.keys.map(\.offset)) == Set(0..<m).subtracting(given))
            for (index, row) in rows {
                var combined = [UInt8](repeating: 0, count: 5)
                for (coefficient, place) in zip(row, given) {
                    for offset in combined.indices {
                        combined[offset] ^= ReferenceByteField.multiply(coefficient, fragments[place][offset])
                    }
                }
                #expect(row.count == m && combined == fragments[index.offset], "\(index) from \(given)")
            }
        }
    }

    @Test(
        "rounds the fragment's size up", arguments: [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (10, 8, 2), (7, 1, 7)])
    func fragmentSize(blockSizeBytes: Int, m: Int, expected: Int) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: 9)
        #expect(code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes) == expected)
        let block = SharedBytes([UInt8](repeating: 7, count: blockSizeBytes))
        #expect(code.encode(block: block).allSatisfy { $0.count == expected })
    }

    @Test("computes the fragment's size of the largest block without overflow")
    func largestFragmentSize() throws {
        let code = try ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 4)
        #expect(code.fragmentSizeBytes(blockSizeBytes: .max) == 1 << 62)
    }

    @Test("encodes an empty block into empty fragments and decodes them")
    func emptyBlock() throws {
        let code = try ReedSolomonCode(dataFragmentCount: 3, fragmentCount: 7)
        let fragments = code.encode(block: SharedBytes())
        #expect(fragments.count == 7)
        #expect(fragments.allSatisfy { $0.count == 0 })
        #expect(try decode(fragments, at: [6, 1, 4], code: code, blockSizeBytes: 0) == SharedBytes())
    }

    @Test("leaves whole data fragments where they are in the block's memory")
    func dataFragmentsAreSlices() throws {
        let code = try ReedSolomonCode(dataFragmentCount: 4, fragmentCount: 8)
        // Fragments of 26 bytes: three whole ones, then 23 bytes and padding.
        let block = SharedBytes(Array(0..<101))
        let fragments = code.encode(block: block)
        let start = block.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        let offsets = fragments.map { fragment in
            fragment.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) &- start }
        }
        #expect(Array(offsets.prefix(3)) == [0, 26, 52])
        #expect(offsets.dropFirst(3).allSatisfy { $0 >= 101 })
        #expect(fragments[3].array == Array(78..<101) + [0, 0, 0])
    }

    @Test("uses the m fragments of lowest index when given more")
    func lowestIndicesAreUsed() throws {
        let code = try ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 5)
        let block = SharedBytes(Array(0..<64))
        var fragments = code.encode(block: block)
        fragments[4] = SharedBytes([UInt8](repeating: 0xff, count: 32))
        #expect(try decode(fragments, at: [4, 3, 1], code: code, blockSizeBytes: 64) == block)
        #expect(try decode(fragments, at: [4, 1], code: code, blockSizeBytes: 64) != block)
    }

    @Test("equals a code of the same parameters and no other")
    func equality() throws {
        let code = try ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 4)
        #expect(try code == ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 4))
        #expect(try code != ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 5))
        #expect(try code != ReedSolomonCode(dataFragmentCount: 3, fragmentCount: 4))
    }
}
