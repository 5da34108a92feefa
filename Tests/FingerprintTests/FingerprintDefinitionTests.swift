// The fingerprint kernels of every level against the definition.

import CFragmentCore
import ErasureCode
import Fingerprint
import Testing

@Suite("The fingerprint of a byte string")
struct FingerprintDefinitionTests {
    /// n, r, fp of the design's vectors; r = SHA-256("key" + n)[..<16], data = SHAKE256("data" + n, n bytes).
    static let vectors: [(Int, String, String)] = [
        (0, "5f9fd8c39af59ee0a20c01e58c4019a8", "00000000000000000000000000000000"),
        (1, "dab303ccd7cde2f42166a28796097481", "053d8555a9979a1ca13fe8ac5560ce0d"),
        (7, "9d69905d8593bfb083eb78f6d0923f1e", "61b2a91ce7aa217c5e36b7d9c93c6c74"),
        (127, "cc843e4a767f64ad5c14738bceb445fd", "d4114442dac5b7b5e1c03e0faa76622a"),
        (128, "11ca14eb567d6266160eb6f13aac2653", "746176617afe56a217d1cc2895555088"),
        (129, "5321c599b25ce3613f5c1554665d61de", "b5314b5ac72e3a9ae3199b7f2f9961d0"),
        (4096, "7f7befd4c3691e40b65194733df3d5c1", "cddc560e9d7cb6ddb1e05a05cfe1a161"),
        (5000, "e100fcf273d5ee04f43887d63ae55ae5", "afa42c19a093700043f3582135550b1d"),
    ]

    @Test("matches the published vectors at every level", arguments: Level.all)
    func vectors(level: Level) {
        for (count, key, expected) in Self.vectors {
            let r = Array(LibCrypto.sha256(Array("key\(count)".utf8))[..<16])
            #expect(r == bytes(hex: key).reversed())
            let data = LibCrypto.shake256("data\(count)", count: count)
            #expect(level.fingerprint(key: r, data: data) == bytes(hex: expected).reversed(), "\(count) bytes")
        }
    }

    @Test("theta is a root of the code field's polynomial, and E a homomorphism")
    func embeddingIsHomomorphic() {
        let theta = ReferenceField.theta
        let value = [8, 4, 3, 2, 0].reduce(UInt128(0)) { $0 ^ ReferenceField.power(theta, UInt128($1)) }
        #expect(value == 0)
        // x * x^7 = x^8 = x^4 + x^3 + x^2 + 1 in the code's field.
        #expect(
            ReferenceField.multiply(ReferenceField.embedding[2], ReferenceField.embedding[0x80])
                == ReferenceField.embedding[0x1d])
    }

    /// Keys whose minimal polynomial is short or otherwise out of the ordinary.
    static let specialKeys: [(name: String, key: UInt128)] = {
        // (2^128 - 1) / (2^d - 1) as an exponent maps the field's units onto those of the subfield with 2^d elements.
        let subfields: [(String, UInt128)] = [2, 4, 8, 16, 32, 64].map { degree in
            let exponent = UInt128.max / ((UInt128(1) << UInt128(degree)) - 1)
            return ("element of the subfield of 2^\(degree)", ReferenceField.power(0x1234_5678_9abc_def1, exponent))
        }
        return [
            ("0", 0), ("1", 1), ("z", 2), ("theta", ReferenceField.theta), ("all ones", .max),
            ("the highest bit", UInt128(1) << 127), ("E(255)", ReferenceField.embedding[255]),
        ] + subfields
    }()

    @Test("of special keys follows the definition at every level", arguments: Level.all)
    func specialKeys(level: Level) {
        var generator = SeededGenerator(seed: 11)
        for (name, key) in Self.specialKeys {
            let prepared = PreparedKey(level: level, key: littleEndianBytes(key))
            let reference = ReferenceKey(key)
            for count in [0, 1, 2, 16, 127, 128, 129, 255, 256, 1000, 4096 + 128 + 5] {
                let data = generator.bytes(count)
                let expected = littleEndianBytes(reference.fingerprint(data))
                #expect(prepared.fingerprint(data) == expected, "key \(name), \(count) bytes")
            }
        }
    }

    @Test("of every length up to 400 bytes follows the definition at every level", arguments: Level.all)
    func everyShortLength(level: Level) {
        var generator = SeededGenerator(seed: 12)
        let key = generator.bytes(16)
        let prepared = PreparedKey(level: level, key: key)
        let reference = ReferenceKey(integer(key))
        for count in 0...400 {
            let data = generator.bytes(count)
            let expected = littleEndianBytes(reference.fingerprint(data))
            #expect(prepared.fingerprint(data) == expected, "\(count) bytes")
        }
    }

    @Test("of random long inputs under random keys follows the definition at every level", arguments: Level.all)
    func randomLongInputs(level: Level) {
        for seed in UInt64(100)..<112 {
            var generator = SeededGenerator(seed: seed)
            let key = generator.bytes(16)
            let data = generator.bytes(Int.random(in: 401...20_000, using: &generator))
            let expected = littleEndianBytes(ReferenceKey(integer(key)).fingerprint(data))
            #expect(level.fingerprint(key: key, data: data) == expected, "seed \(seed), \(data.count) bytes")
        }
    }

    @Test("of whole blocks and one chunk more or less follows the definition at every level", arguments: Level.all)
    func blockBoundaries(level: Level) {
        var generator = SeededGenerator(seed: 13)
        let key = generator.bytes(16)
        let prepared = PreparedKey(level: level, key: key)
        let reference = ReferenceKey(integer(key))
        for chunks in [1, 2, 3, 30, 31, 32, 33, 34, 63, 64, 65] {
            for surplus in [-1, 0, 1] {
                let data = generator.bytes(128 * chunks + surplus)
                let expected = littleEndianBytes(reference.fingerprint(data))
                #expect(prepared.fingerprint(data) == expected, "\(data.count) bytes")
            }
        }
    }

    @Test("does not depend on where the bytes lie in memory, at any level", arguments: Level.all)
    func alignment(level: Level) {
        var generator = SeededGenerator(seed: 14)
        let key = generator.bytes(16)
        let prepared = PreparedKey(level: level, key: key)
        let reference = ReferenceKey(integer(key))
        let count = 4096 + 200
        let data = generator.bytes(count)
        let expected = littleEndianBytes(reference.fingerprint(data))
        for offset in 0..<65 {
            // Exactly as long as the data reach, so that a memory checker sees any read beyond the end.
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: offset + count, alignment: 64)
            defer { memory.deallocate() }
            let target = UnsafeMutableRawBufferPointer(rebasing: memory[offset...])
            target.copyBytes(from: data)
            #expect(prepared.fingerprint(UnsafeRawBufferPointer(target)) == expected, "offset \(offset)")
        }
    }

    @Test("is zero for zeros, and takes notice of trailing but not of leading zeros", arguments: Level.all)
    func zeros(level: Level) {
        let key = [UInt8](repeating: 0x5a, count: 16)
        let zero = [UInt8](repeating: 0, count: 16)
        #expect(level.fingerprint(key: key, data: [UInt8](repeating: 0, count: 777)) == zero)
        let plain = level.fingerprint(key: key, data: [1, 2, 3])
        #expect(level.fingerprint(key: key, data: [UInt8](repeating: 0, count: 300) + [1, 2, 3]) == plain)
        #expect(level.fingerprint(key: key, data: [1, 2, 3, 0]) != plain)
    }

    @Test("is made of exactly sixteen bytes")
    func sixteenBytes() throws {
        let bytes = Array(UInt8(1)...16)
        #expect(Fingerprint(bytes: bytes)?.bytes == bytes)
        #expect(Fingerprint(bytes: bytes.dropLast()) == nil)
        #expect(Fingerprint(bytes: bytes + [0]) == nil)
    }

    @Test("comes from one active level that the machine has")
    func activeLevel() {
        #expect(sfc_active_level() < sfc_level_count())
        #expect(Level.all[0].description == "portable")
        #expect(sfc_level_name(sfc_level_count()) == nil)
    }
}
