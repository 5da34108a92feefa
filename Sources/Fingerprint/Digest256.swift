// SHA-256 digests as plain values.

import CFragmentCore
import ErasureCode

/// Thirty-two bytes of SHA-256 output, held inline. Ordered as byte strings are, lexicographically.
public struct Digest256: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Number of bytes.
    package static let sizeBytes = 32

    /// The bytes as they lie in memory, so that an array of digests is an array of their bytes.
    private var words: (UInt64, UInt64, UInt64, UInt64)

    /// A digest whose bytes `fill` writes into the zeroed memory it is handed.
    package init(fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        words = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { storage in
            fill(storage.baseAddress!.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// The digest with exactly these 32 bytes; nil for any other number of bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.sizeBytes else { return nil }
        self.init { target in
            _ = UnsafeMutableBufferPointer(start: target, count: Self.sizeBytes).initialize(from: bytes)
        }
    }

    /// The digest from 64 hexadecimal digits; nil for anything else.
    package init?(hexadecimal: String) {
        let digits = hexadecimal.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue.map { UInt8($0) } }
        guard hexadecimal.utf8.count == 2 * Self.sizeBytes, digits.count == 2 * Self.sizeBytes else { return nil }
        self.init(bytes: (0..<Self.sizeBytes).map { digits[2 * $0] << 4 | digits[2 * $0 + 1] })
    }

    /// SHA-256 of the bytes.
    package static func sha256(_ bytes: some Collection<UInt8>) -> Digest256 {
        bytes.withContiguousStorageIfAvailable { sha256(of: [UnsafeRawBufferPointer($0)]) }
            ?? Array(bytes).withUnsafeBytes { sha256(of: [$0]) }
    }

    /// SHA-256 of the bytes.
    package static func sha256(_ bytes: [UInt8]) -> Digest256 {
        bytes.withUnsafeBufferPointer { source in
            Digest256 { digest in
                var start = source.baseAddress
                var count = source.count
                sfc_sha256(&start, &count, 1, digest)
            }
        }
    }

    /// SHA-256 of the bytes.
    package static func sha256(_ bytes: SharedBytes) -> Digest256 {
        bytes.withUnsafeBytes { sha256(of: [$0]) }
    }

    /// SHA-256 of the pieces one after another.
    package static func sha256(pieces: [SharedBytes]) -> Digest256 {
        withUnsafePointers(to: pieces[...]) { pointers in
            Digest256 { digest in sfc_sha256(pointers.baseAddress, pieces.map(\.count), pieces.count, digest) }
        }
    }

    /// SHA-256 of the pieces one after another.
    package static func sha256(pieces: [[UInt8]]) -> Digest256 {
        sha256(pieces.flatMap { $0 })
    }

    private static func sha256(of pieces: [UnsafeRawBufferPointer]) -> Digest256 {
        let pointers = pieces.map { $0.baseAddress?.assumingMemoryBound(to: UInt8.self) }
        return Digest256 { digest in sfc_sha256(pointers, pieces.map(\.count), pieces.count, digest) }
    }

    /// The bytes as an array.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// Calls `body` with the 32 bytes; the pointer is valid only during the call.
    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try Swift.withUnsafeBytes(of: words) { bytes throws(E) in try body(bytes) }
    }

    public static func == (left: Digest256, right: Digest256) -> Bool { left.words == right.words }

    public static func < (left: Digest256, right: Digest256) -> Bool {
        left.wordsOfSignificance < right.wordsOfSignificance
    }

    /// The words whose order is that of the bytes: the first byte of each counts most.
    private var wordsOfSignificance: (UInt64, UInt64, UInt64, UInt64) {
        (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
    }

    /// All of it: whoever could choose digests that agree in a part could make a table slow.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    /// A part of the digest as a number, for tables that bear with digests that agree in it.
    package var prefixWord: UInt64 { words.0 }

    /// Sixty-four lower-case hexadecimal digits.
    public var description: String { lowerCaseHex(bytes) }
}

/// Two lower-case hexadecimal digits per byte.
func lowerCaseHex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(2 * bytes.count)
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
