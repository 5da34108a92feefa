// What a cross-checksum lets pass and what it refuses, garbage of a lying writer included.

import CFragmentCore
import ErasureCode
import Fingerprint
import Testing

@Suite("A fingerprinted cross-checksum")
struct CrossChecksumTests {
    static let codes = [(1, 1), (1, 4), (2, 4), (3, 7), (4, 8), (8, 10), (7, 19), (4, 4)]

    private static func encode(
        m: Int, n: Int, blockSizeBytes: Int
    ) throws -> (fragments: [SharedBytes], crossChecksum: CrossChecksum, block: SharedBytes) {
        var generator = SeededGenerator(seed: UInt64(m * 1000 + n))
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        let block = SharedBytes(generator.bytes(blockSizeBytes))
        let (fragments, crossChecksum) = CrossChecksum.encode(block: block, code: code)
        return (fragments, crossChecksum, block)
    }

    /// What a writer publishes who does everything as it should, only over these fragments, consistent or not.
    private static func commit(
        to fragments: [SharedBytes], code: ReedSolomonCode, blockSizeBytes: Int
    ) -> CrossChecksum {
        CrossChecksum(
            code: code, blockSizeBytes: blockSizeBytes, hashes: Digest256.fragmentHashes(of: fragments),
            data: fragments.prefix(code.dataFragmentCount))
    }

    @Test("lets every fragment of an honest encoding pass and decodes them", arguments: codes)
    func honestFragmentsPass(m: Int, n: Int) throws {
        for blockSizeBytes in [0, 1, 100, 4096, 20_001] {
            let (fragments, crossChecksum, block) = try Self.encode(m: m, n: n, blockSizeBytes: blockSizeBytes)
            var verified: [VerifiedFragment] = []
            for (position, fragment) in fragments.enumerated() {
                let index = FragmentIndex(UInt8(position))
                verified.append(try crossChecksum.verify(fragment, at: index))
                #expect(verified[position].index == index)
                #expect(verified[position].bytes == fragment)
            }
            #expect(try crossChecksum.decode(Array(verified.suffix(m))) == block)
            let together = crossChecksum.verify(fragments.enumerated().map { (FragmentIndex(UInt8($0)), $1) })
            #expect(try together.map { try $0.get().bytes } == fragments)
            #expect(crossChecksum.matchesEncoding(of: block))
        }
    }

    @Test("survives being taken apart and put together")
    func reassembly() throws {
        let (fragments, crossChecksum, _) = try Self.encode(m: 3, n: 7, blockSizeBytes: 1000)
        let copy = try CrossChecksum(
            code: ReedSolomonCode(dataFragmentCount: 3, fragmentCount: 7), blockSizeBytes: 1000,
            hashes: crossChecksum.hashes.map { try #require(Digest256(bytes: $0.bytes)) },
            fingerprints: crossChecksum.fingerprints.map { try #require(Fingerprint(bytes: $0.bytes)) })
        #expect(copy == crossChecksum)
        _ = try copy.verify(fragments[6], at: FragmentIndex(6))
    }

    @Test("refuses a fragment with any one byte flipped, by its hash")
    func flippedByte() throws {
        let (fragments, crossChecksum, _) = try Self.encode(m: 2, n: 4, blockSizeBytes: 600)
        for position in 0..<4 {
            let index = FragmentIndex(UInt8(position))
            for offset in 0..<fragments[position].count {
                var bytes = fragments[position].array
                bytes[offset] ^= UInt8(1) << UInt8(offset % 8)
                #expect(throws: FragmentVerificationError.hashMismatch(index)) {
                    try crossChecksum.verify(SharedBytes(bytes), at: index)
                }
            }
        }
    }

    @Test("refuses a fragment in another one's place")
    func wrongIndex() throws {
        let (fragments, crossChecksum, _) = try Self.encode(m: 3, n: 7, blockSizeBytes: 600)
        for held in 0..<7 {
            for claimed in 0..<7 where claimed != held {
                let index = FragmentIndex(UInt8(claimed))
                #expect(throws: FragmentVerificationError.hashMismatch(index)) {
                    try crossChecksum.verify(fragments[held], at: index)
                }
            }
        }
    }

    @Test("refuses a position beyond n", arguments: [UInt8(7), 255])
    func indexOutOfRange(position: UInt8) throws {
        let (fragments, crossChecksum, _) = try Self.encode(m: 3, n: 7, blockSizeBytes: 600)
        let index = FragmentIndex(position)
        #expect(throws: FragmentVerificationError.indexOutOfRange(index, fragmentCount: 7)) {
            try crossChecksum.verify(fragments[0], at: index)
        }
    }

    @Test("refuses a fragment of another size", arguments: [0, 199, 201, 600])
    func wrongSize(sizeBytes: Int) throws {
        let (_, crossChecksum, _) = try Self.encode(m: 3, n: 7, blockSizeBytes: 600)
        let index = FragmentIndex(1)
        #expect(throws: FragmentVerificationError.wrongSize(index, got: sizeBytes, expected: 200)) {
            try crossChecksum.verify(SharedBytes([UInt8](repeating: 0, count: sizeBytes)), at: index)
        }
    }

    @Test("refuses by fingerprint a garbage fragment whose hash the writer committed to", arguments: [0, 2, 3, 6])
    func garbageWithMatchingHash(position: Int) throws {
        var generator = SeededGenerator(seed: 41)
        let code = try ReedSolomonCode(dataFragmentCount: 3, fragmentCount: 7)
        // The lying writer does everything as it should, only over a garbage fragment.
        var fragments = code.encode(block: SharedBytes(generator.bytes(5000)))
        fragments[position] = SharedBytes(generator.bytes(fragments[position].count))
        let crossChecksum = Self.commit(to: fragments, code: code, blockSizeBytes: 5000)
        let arbitrary = try CrossChecksum(
            code: code, blockSizeBytes: 5000, hashes: crossChecksum.hashes,
            fingerprints: Array(repeating: #require(Fingerprint(bytes: generator.bytes(16))), count: 3))

        let refused = (0..<7).filter { candidate in
            let index = FragmentIndex(UInt8(candidate))
            do throws(FragmentVerificationError) {
                _ = try crossChecksum.verify(fragments[candidate], at: index)
                return false
            } catch {
                #expect(error == .fingerprintMismatch(index))
                return true
            }
        }
        // Garbage parity stands out itself; garbage data makes all parity contradict the fingerprints.
        #expect(refused == (position < 3 ? [3, 4, 5, 6] : [position]))

        // Arbitrary fingerprints do not help: with them nothing passes.
        for candidate in 0..<7 {
            let index = FragmentIndex(UInt8(candidate))
            #expect(throws: FragmentVerificationError.fingerprintMismatch(index)) {
                try arbitrary.verify(fragments[candidate], at: index)
            }
        }
    }

    @Test("refuses every fragment once any hash, fingerprint or the block's size is changed")
    func bindsEverything() throws {
        let (fragments, honest, _) = try Self.encode(m: 2, n: 4, blockSizeBytes: 1000)
        var hashes = honest.hashes
        hashes[3] = Digest256.sha256([UInt8(1)])
        let otherHash = try CrossChecksum(
            code: honest.code, blockSizeBytes: 1000, hashes: hashes, fingerprints: honest.fingerprints)
        // 999 bytes make fragments of the same size.
        let otherSize = try CrossChecksum(
            code: honest.code, blockSizeBytes: 999, hashes: honest.hashes, fingerprints: honest.fingerprints)
        let otherFingerprint = try CrossChecksum(
            code: honest.code, blockSizeBytes: 1000, hashes: honest.hashes, fingerprints: honest.fingerprints.reversed()
        )
        for changed in [otherHash, otherSize, otherFingerprint] {
            for position in 0..<3 {
                let index = FragmentIndex(UInt8(position))
                #expect(throws: FragmentVerificationError.fingerprintMismatch(index)) {
                    try changed.verify(fragments[position], at: index)
                }
            }
        }
    }

    @Test("judges fragments that are checked together as it judges each alone")
    func mixedBatch() throws {
        var generator = SeededGenerator(seed: 42)
        let code = try ReedSolomonCode(dataFragmentCount: 3, fragmentCount: 7)
        var fragments = code.encode(block: SharedBytes(generator.bytes(9000)))
        // Parity fragment 5 is garbage that the writer committed to; 1 is altered, 2 cut and 6 swapped on the way.
        fragments[5] = SharedBytes(generator.bytes(3000))
        let crossChecksum = Self.commit(to: fragments, code: code, blockSizeBytes: 9000)
        let offered: [(index: FragmentIndex, bytes: SharedBytes)] = [
            (FragmentIndex(6), fragments[4]), (FragmentIndex(0), fragments[0]),
            (FragmentIndex(1), SharedBytes(generator.bytes(3000))), (FragmentIndex(2), fragments[2][0..<2999]),
            (FragmentIndex(5), fragments[5]), (FragmentIndex(9), fragments[3]), (FragmentIndex(4), fragments[4]),
        ]
        let errors = crossChecksum.verify(offered).map { result -> FragmentVerificationError? in
            if case .failure(let error) = result { error } else { nil }
        }
        #expect(
            errors == [
                .hashMismatch(FragmentIndex(6)), nil, .hashMismatch(FragmentIndex(1)),
                .wrongSize(FragmentIndex(2), got: 2999, expected: 3000), .fingerprintMismatch(FragmentIndex(5)),
                .indexOutOfRange(FragmentIndex(9), fragmentCount: 7), nil,
            ])
        for (fragment, error) in zip(offered, errors) {
            let alone = Result { () throws(FragmentVerificationError) in
                try crossChecksum.verify(fragment.bytes, at: fragment.index)
            }
            if case .failure(let lonely) = alone { #expect(lonely == error) } else { #expect(error == nil) }
        }
        #expect(crossChecksum.verify([]).isEmpty)
    }

    @Test("tells a block's encoding from one that differs in a single fragment", arguments: [0, 2, 3, 6])
    func reencoding(position: Int) throws {
        var generator = SeededGenerator(seed: 43)
        let code = try ReedSolomonCode(dataFragmentCount: 3, fragmentCount: 7)
        let block = SharedBytes(generator.bytes(5000))
        var fragments = code.encode(block: block)
        var altered = fragments[position].array
        altered[17] ^= 1
        fragments[position] = SharedBytes(altered)
        let poisonous = Self.commit(to: fragments, code: code, blockSizeBytes: 5000)
        #expect(!poisonous.matchesEncoding(of: block))
        // Nor does any block that some of its fragments decode to match.
        for start in 0..<5 {
            let chosen = (start..<start + 3).map { (FragmentIndex(UInt8($0)), fragments[$0]) }
            let decoded = try code.decode(chosen, blockSizeBytes: 5000)
            #expect(!poisonous.matchesEncoding(of: decoded))
        }
        let honest = CrossChecksum.encode(block: block, code: code).crossChecksum
        #expect(honest.matchesEncoding(of: block))
        #expect(!honest.matchesEncoding(of: block[0..<4999]))
    }

    @Test("decodes no fragment that was verified against another cross-checksum")
    func foreignFragment() throws {
        let code = try ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 4)
        let (fragments, crossChecksum) = CrossChecksum.encode(block: SharedBytes(Array(0..<100)), code: code)
        let (otherFragments, other) = CrossChecksum.encode(block: SharedBytes(Array(1..<101)), code: code)
        let good = try crossChecksum.verify(fragments[0], at: FragmentIndex(0))
        let foreign = try other.verify(otherFragments[1], at: FragmentIndex(1))
        #expect(throws: ErasureCodeError.foreignFragment(FragmentIndex(1))) {
            try crossChecksum.decode([good, foreign])
        }
        #expect(throws: ErasureCodeError.tooFewFragments(have: 1, need: 2)) { try crossChecksum.decode([good]) }
        #expect(throws: ErasureCodeError.duplicateFragment(FragmentIndex(0))) {
            try crossChecksum.decode([good, good])
        }
    }

    @Test("checks hashes alone where only that is asked")
    func hashOnly() throws {
        let (fragments, crossChecksum, _) = try Self.encode(m: 2, n: 4, blockSizeBytes: 1000)
        try crossChecksum.verifyHash(fragments[2], at: FragmentIndex(2))
        #expect(throws: FragmentVerificationError.hashMismatch(FragmentIndex(3))) {
            try crossChecksum.verifyHash(fragments[2], at: FragmentIndex(3))
        }
    }

    @Test("is made only of n hashes, m fingerprints and a size that is not negative")
    func counts() throws {
        let (_, honest, _) = try Self.encode(m: 2, n: 4, blockSizeBytes: 10)
        #expect(throws: CrossChecksumError.wrongHashCount(got: 3, expected: 4)) {
            try CrossChecksum(
                code: honest.code, blockSizeBytes: 10, hashes: honest.hashes.dropLast(),
                fingerprints: honest.fingerprints)
        }
        #expect(throws: CrossChecksumError.wrongFingerprintCount(got: 1, expected: 2)) {
            try CrossChecksum(
                code: honest.code, blockSizeBytes: 10, hashes: honest.hashes,
                fingerprints: honest.fingerprints.dropLast())
        }
        #expect(throws: CrossChecksumError.invalidBlockSize(-1)) {
            try CrossChecksum(
                code: honest.code, blockSizeBytes: -1, hashes: honest.hashes, fingerprints: honest.fingerprints)
        }
    }

    @Test("derives its key from exactly the documented bytes")
    func keyDerivation() throws {
        let (fragments, crossChecksum, _) = try Self.encode(m: 3, n: 7, blockSizeBytes: 1000)
        var layout = Array("solidus fingerprint key v1".utf8)
        layout += [UInt8](repeating: 0, count: 32 - layout.count)
        layout += [7, 0, 3, 0, ReedSolomonCode.matrixID]
        layout += [0x4e, 0x01, 0, 0, 0, 0, 0, 0]
        layout += [0xe8, 0x03, 0, 0, 0, 0, 0, 0]
        for fragment in fragments { layout += FragmentHashTests.reference(fragment.array) }
        let key = Array(LibCrypto.sha256(layout).prefix(16))
        #expect(
            crossChecksum.fingerprints.map(\.bytes)
                == fragments.prefix(3).map { Level.all[0].fingerprint(key: key, data: $0.array) })
    }
}
