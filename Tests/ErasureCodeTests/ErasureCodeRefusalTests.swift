// What the code refuses, and with which evidence.

import ErasureCode
import Testing

@Suite("An erasure code's refusals")
struct ErasureCodeRefusalTests {
    @Test(
        "parameters outside 1 <= m <= n <= 255 make no code",
        arguments: [(0, 0), (0, 4), (-1, 4), (5, 4), (1, 256), (256, 256), (Int.max, Int.max), (Int.min, 1)])
    func invalidParameters(m: Int, n: Int) {
        #expect(throws: ErasureCodeError.invalidParameters(dataFragmentCount: m, fragmentCount: n)) {
            try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        }
    }

    private static func encoded() throws -> (code: ReedSolomonCode, given: [(index: FragmentIndex, bytes: SharedBytes)])
    {
        let code = try ReedSolomonCode(dataFragmentCount: 3, fragmentCount: 7)
        let fragments = code.encode(block: SharedBytes(Array(0..<100)))
        return (code, fragments.enumerated().map { (FragmentIndex(UInt8($0)), $1) })
    }

    @Test("m - 1 fragments are too few", arguments: 0..<3)
    func tooFew(count: Int) throws {
        let (code, given) = try Self.encoded()
        #expect(throws: ErasureCodeError.tooFewFragments(have: count, need: 3)) {
            try code.decode(Array(given.suffix(count)), blockSizeBytes: 100)
        }
    }

    @Test("a position given twice is refused, even with the same bytes")
    func duplicate() throws {
        let (code, given) = try Self.encoded()
        #expect(throws: ErasureCodeError.duplicateFragment(FragmentIndex(5))) {
            try code.decode([given[0], given[5], given[5]], blockSizeBytes: 100)
        }
    }

    @Test("a position beyond n is refused", arguments: [UInt8(7), 255])
    func outOfRange(position: UInt8) throws {
        let (code, given) = try Self.encoded()
        let index = FragmentIndex(position)
        #expect(throws: ErasureCodeError.indexOutOfRange(index, fragmentCount: 7)) {
            try code.decode([given[0], given[1], (index, given[2].bytes)], blockSizeBytes: 100)
        }
    }

    @Test("a fragment of another size is refused", arguments: [0, 33, 35, 100])
    func wrongSize(sizeBytes: Int) throws {
        let (code, given) = try Self.encoded()
        let odd = (index: FragmentIndex(2), bytes: SharedBytes([UInt8](repeating: 1, count: sizeBytes)))
        #expect(throws: ErasureCodeError.fragmentSizeMismatch(FragmentIndex(2), got: sizeBytes, expected: 34)) {
            try code.decode([given[0], given[1], odd], blockSizeBytes: 100)
        }
    }

    @Test("a negative or absurd block size is refused without a trap", arguments: [-1, Int.min, Int.max])
    func absurdBlockSize(blockSizeBytes: Int) throws {
        let (code, given) = try Self.encoded()
        #expect(throws: ErasureCodeError.self) {
            try code.decode(Array(given.prefix(3)), blockSizeBytes: blockSizeBytes)
        }
    }
}
