// Fingerprints follow the erasure code: the property everything else rests on.

import ErasureCode
import Fingerprint
import Testing

@Suite("Fingerprints are linear over the code's field")
struct LinearityTests {
    @Test("combining follows the definition at every level", arguments: Level.all)
    func combining(level: Level) {
        var generator = SeededGenerator(seed: 21)
        for count in [0, 1, 2, 7, 255] {
            let coefficients = generator.bytes(count)
            let fingerprints = (0..<count).map { _ in generator.bytes(16) }
            let expected = zip(coefficients, fingerprints).reduce(UInt128(0)) { sum, term in
                sum ^ ReferenceField.multiply(ReferenceField.embedding[Int(term.0)], integer(term.1))
            }
            let combined = level.combine(coefficients: coefficients, fingerprints: fingerprints)
            #expect(combined == littleEndianBytes(expected), "\(count) terms")
        }
    }

    @Test("every coefficient is embedded as the definition says, at every level", arguments: Level.all)
    func embedding(level: Level) {
        let one = littleEndianBytes(1)
        for byte in UInt8.min...UInt8.max {
            let embedded = level.combine(coefficients: [byte], fingerprints: [one])
            #expect(embedded == littleEndianBytes(ReferenceField.embedding[Int(byte)]))
        }
    }

    @Test(
        "each fragment's fingerprint is the generator row's combination of the data fragments' fingerprints",
        arguments: [(2, 4), (3, 7), (4, 8), (8, 10), (7, 19)], Level.all)
    func parityFollowsData(parameters: (m: Int, n: Int), level: Level) throws {
        let code = try ReedSolomonCode(dataFragmentCount: parameters.m, fragmentCount: parameters.n)
        let seed = UInt64(parameters.m * 100 + parameters.n)
        var generator = SeededGenerator(seed: seed)
        for sizeBytes in [1, 50, 1000, 4096 * parameters.m, 9999] {
            let key = PreparedKey(level: level, key: generator.bytes(16))
            let fragments = code.encode(block: SharedBytes(generator.bytes(sizeBytes)))
            let fingerprints = fragments.map { fragment in fragment.withUnsafeBytes { key.fingerprint($0) } }
            for position in 0..<parameters.n {
                let row = Array(code.generatorRow(FragmentIndex(UInt8(position))))
                let combined = level.combine(
                    coefficients: row, fingerprints: Array(fingerprints.prefix(parameters.m)))
                #expect(fingerprints[position] == combined, "seed \(seed), \(sizeBytes) bytes, fragment \(position)")
            }
        }
    }
}
