// Fingerprints at a point that somebody chose.

import ErasureCode
import Fingerprint
import Testing

@Suite("A fingerprint at a point")
struct FingerprintPointTests {
    @Test("is what the definition says, and another one at another point")
    func definition() {
        var generator = SeededGenerator(seed: 41)
        for count in [0, 1, 16, 129, 5000] {
            let data = generator.bytes(count)
            let points = (0..<3).map { _ in generator.bytes(16) }
            let fingerprints = points.map { FingerprintPoint($0).fingerprint(of: SharedBytes(data)).bytes }
            for (point, fingerprint) in zip(points, fingerprints) {
                let expected = littleEndianBytes(ReferenceKey(integer(point)).fingerprint(data))
                #expect(fingerprint == expected, "\(count) bytes")
            }
            // Of one byte or none it is the same everywhere.
            #expect(Set(fingerprints).count == (count > 1 ? 3 : 1))
        }
    }

    @Test("is linear: that of a parity fragment follows from those of the data", arguments: [(2, 4), (4, 10), (7, 19)])
    func linear(m: Int, n: Int) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        var generator = SeededGenerator(seed: 42)
        let point = FingerprintPoint(generator.bytes(16))
        let all = code.encode(block: SharedBytes(generator.bytes(999 * m))).map(point.fingerprint)
        for place in m..<n {
            let row = code.generatorRow(FragmentIndex(UInt8(place)))
            let expected = zip(row, all).reduce(UInt128(0)) { sum, term in
                sum ^ ReferenceField.multiply(ReferenceField.embedding[Int(term.0)], integer(term.1.bytes))
            }
            #expect(integer(all[place].bytes) == expected)
        }
    }

    @Test("takes notice of any changed byte")
    func changes() {
        var generator = SeededGenerator(seed: 43)
        let point = FingerprintPoint(generator.bytes(16))
        let data = generator.bytes(1000)
        let right = point.fingerprint(of: SharedBytes(data))
        for _ in 0..<50 {
            var changed = data
            changed[Int.random(in: 0..<data.count, using: &generator)] ^= UInt8.random(in: 1...255, using: &generator)
            #expect(point.fingerprint(of: SharedBytes(changed)) != right)
        }
    }
}
