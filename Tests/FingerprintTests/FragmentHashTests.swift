// Fragment hashes of every level against a straight computation with libcrypto.

import ErasureCode
import Fingerprint
import Testing

@Suite("The hash of a fragment")
struct FragmentHashTests {
    /// The definition: leaves of 2 KiB under 0x00, the root over length and leaf hashes under 0x01.
    static func reference(_ fragment: [UInt8]) -> [UInt8] {
        var root: [UInt8] = [0x01]
        root += (0..<8).map { UInt8(truncatingIfNeeded: fragment.count >> (8 * $0)) }
        for start in stride(from: 0, to: fragment.count, by: 2048) {
            root += LibCrypto.sha256([0x00] + fragment[start..<min(start + 2048, fragment.count)])
        }
        return LibCrypto.sha256(root)
    }

    @Test("follows the definition for every short length, at every level", arguments: Level.all)
    func shortFragments(level: Level) {
        var generator = SeededGenerator(seed: 31)
        for count in 0...260 {
            let fragment = generator.bytes(count)
            #expect(level.treeHashes([SharedBytes(fragment)]) == [Self.reference(fragment)], "\(count) bytes")
        }
    }

    @Test("follows the definition around leaf boundaries and for many leaves, at every level", arguments: Level.all)
    func leafBoundaries(level: Level) {
        var generator = SeededGenerator(seed: 32)
        for leaves in [1, 2, 3, 4, 5, 15, 16, 17, 33] {
            for surplus in [-65, -64, -1, 0, 1, 55, 56, 63, 64] {
                let fragment = generator.bytes(2048 * leaves + surplus)
                let hashes = level.treeHashes([SharedBytes(fragment)])
                #expect(hashes == [Self.reference(fragment)], "\(fragment.count) bytes")
            }
        }
    }

    @Test("is the same whether fragments are hashed alone or together, at every level", arguments: Level.all)
    func manyFragments(level: Level) {
        var generator = SeededGenerator(seed: 33)
        for count in [1, 2, 3, 4, 5, 8, 17, 19] {
            for sizeBytes in [0, 1, 100, 2048, 5000] {
                let fragments = (0..<count).map { _ in generator.bytes(sizeBytes) }
                let hashes = level.treeHashes(fragments.map { SharedBytes($0) })
                #expect(hashes == fragments.map(Self.reference), "\(count) fragments of \(sizeBytes) bytes")
            }
        }
    }

    @Test("does not depend on where the bytes lie in memory, at any level", arguments: Level.all)
    func alignment(level: Level) {
        var generator = SeededGenerator(seed: 34)
        let storage = SharedBytes(generator.bytes(4500 + 64))
        for offset in 0..<64 {
            let slice = storage[offset..<offset + 4500]
            #expect(level.treeHashes([slice]) == [Self.reference(slice.array)], "offset \(offset)")
        }
    }

    @Test("is never that of a fragment whose bytes spell another one's root")
    func rootIsNoLeaf() {
        let inner = [UInt8](repeating: 9, count: 100)
        let rootInput = [0x01, 100, 0, 0, 0, 0, 0, 0, 0] + LibCrypto.sha256([0x00] + inner)
        #expect(LibCrypto.sha256(rootInput) == Digest256.fragmentHash(of: SharedBytes(inner)).bytes)
        #expect(
            Digest256.fragmentHash(of: SharedBytes(rootInput)) != Digest256.fragmentHash(of: SharedBytes(inner)))
    }
}

@Suite("A digest")
struct Digest256Tests {
    @Test(
        "of NIST's example messages is the published one",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func nistVectors(message: String, expected: String) {
        let bytes = Array(message.utf8)
        #expect(Digest256.sha256(bytes).description == expected)
        #expect(Digest256.sha256(SharedBytes(bytes)).description == expected)
        #expect(Digest256.sha256(message.utf8.lazy.map { $0 }).description == expected)
    }

    @Test("of several pieces is that of their concatenation")
    func pieces() {
        let pieces: [[UInt8]] = [[1, 2], [], [3], Array(4...200)]
        let whole = Digest256.sha256(Array(1...200))
        #expect(Digest256.sha256(pieces: pieces) == whole)
        #expect(Digest256.sha256(pieces: pieces.map { SharedBytes($0) }) == whole)
    }

    @Test("keeps its 32 bytes and takes no other number of them")
    func bytesRoundTrip() throws {
        let bytes = Array(UInt8(100)..<132)
        let digest = try #require(Digest256(bytes: bytes))
        #expect(digest.bytes == bytes)
        #expect(digest.withUnsafeBytes { Array($0) } == bytes)
        #expect(Digest256(bytes: bytes.dropLast()) == nil)
        #expect(Digest256(bytes: bytes + [0]) == nil)
    }

    @Test("is ordered as its bytes are")
    func order() throws {
        var generator = SeededGenerator(seed: 35)
        for position in 0..<32 {
            var low = generator.bytes(32)
            var high = low
            low[position] = 0x7f
            high[position] = 0x80
            if position < 31 {
                low[position + 1] = 0xff
                high[position + 1] = 0x00
            }
            let smaller = try #require(Digest256(bytes: low)), larger = try #require(Digest256(bytes: high))
            #expect(smaller < larger)
            #expect(!(larger < smaller))
            #expect(smaller != larger)
        }
    }
}
