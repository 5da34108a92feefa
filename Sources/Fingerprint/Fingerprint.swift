// Homomorphic fingerprints (Hendricks, Ganger, Reiter, PODC 2007) as plain values.

/// A fragment's fingerprint: an element of GF(2^128), 16 bytes when serialised, little-endian.
///
/// Linear over the erasure code's field: the fingerprint of a linear combination of fragments is the same combination
/// of their fingerprints, the coefficients taken through the embedding E of GF(2^8) into GF(2^128).
package struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    /// Number of bytes.
    package static let sizeBytes = 16

    /// The bytes as they lie in memory, so that an array of fingerprints is an array of their bytes.
    private var words: (UInt64, UInt64)

    /// A fingerprint whose bytes `fill` writes.
    init(fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        words = (0, 0)
        Swift.withUnsafeMutableBytes(of: &words) { fill($0.baseAddress!.assumingMemoryBound(to: UInt8.self)) }
    }

    /// The fingerprint with exactly these 16 bytes; nil for any other number of bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.sizeBytes else { return nil }
        self.init { target in
            _ = UnsafeMutableBufferPointer(start: target, count: Self.sizeBytes).initialize(from: bytes)
        }
    }

    /// The bytes as an array, lowest coefficients first.
    package var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// Calls `body` with the 16 bytes; the pointer is valid only during the call.
    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try Swift.withUnsafeBytes(of: words) { bytes throws(E) in try body(bytes) }
    }

    package static func == (left: Fingerprint, right: Fingerprint) -> Bool { left.words == right.words }

    package func hash(into hasher: inout Hasher) {
        withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// The integer in hexadecimal, highest coefficient first.
    package var description: String { lowerCaseHex(bytes.reversed()) }
}
