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
}
