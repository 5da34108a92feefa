// Homomorphic fingerprints (Hendricks, Ganger, Reiter, PODC 2007) and the keys they are taken under.

import CFragmentCore
import ErasureCode

/// A fragment's fingerprint: an element of GF(2^128), 16 bytes when serialised, little-endian.
///
/// Linear over the erasure code's field: the fingerprint of a linear combination of fragments is the same combination
/// of their fingerprints, the coefficients taken through the embedding E of GF(2^8) into GF(2^128).
package struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    /// Number of bytes.
    package static let sizeBytes = 16

    /// Little-endian words, low first.
    private var low: UInt64
    private var high: UInt64

    /// A fingerprint whose bytes `fill` writes.
    init(fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        var storage: (UInt64, UInt64) = (0, 0)
        Swift.withUnsafeMutableBytes(of: &storage) { fill($0.baseAddress!.assumingMemoryBound(to: UInt8.self)) }
        low = UInt64(littleEndian: storage.0)
        high = UInt64(littleEndian: storage.1)
    }

    /// The fingerprint with exactly these 16 bytes; nil for any other number of bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.sizeBytes else { return nil }
        self.init { target in
            for (offset, byte) in bytes.enumerated() { target[offset] = byte }
        }
    }

    /// The bytes as an array, lowest coefficients first.
    package var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// Calls `body` with the 16 bytes; the pointer is valid only during the call.
    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        let storage = (low.littleEndian, high.littleEndian)
        return try Swift.withUnsafeBytes(of: storage) { bytes throws(E) in try body(bytes) }
    }

    /// The combination of fingerprints with coefficients from the code's field: sum of E(coefficient_j) times
    /// fingerprint_j. Both have the same count.
    package static func combining(
        _ fingerprints: [Fingerprint], coefficients: some Collection<UInt8>
    ) -> Fingerprint {
        precondition(fingerprints.count == coefficients.count)
        var packed: [UInt8] = []
        packed.reserveCapacity(sizeBytes * fingerprints.count)
        for fingerprint in fingerprints { fingerprint.withUnsafeBytes { packed.append(contentsOf: $0) } }
        return Fingerprint { result in
            sfc_fingerprint_combine(sfc_active_level(), Array(coefficients), packed, fingerprints.count, result)
        }
    }

    /// The integer in hexadecimal, highest coefficient first.
    package var description: String { lowerCaseHex(bytes.reversed()) }
}

/// A key r prepared for taking fingerprints. Preparing costs as much as fingerprinting some 20 KiB, so a key is made
/// once per stripe and shared.
package final class FingerprintKey: @unchecked Sendable {
    // The C key is immutable from creation to deinit: threads may read it at once.
    private let prepared: OpaquePointer

    /// The key given by its 16 bytes, little-endian; nil for any other number of bytes.
    package convenience init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Fingerprint.sizeBytes else { return nil }
        self.init(sixteenBytes: Array(bytes))
    }

    init(sixteenBytes: [UInt8]) {
        guard let key = sfc_fingerprint_key_create(sfc_active_level(), sixteenBytes) else {
            preconditionFailure("out of memory")
        }
        prepared = key
    }

    deinit { sfc_fingerprint_key_destroy(prepared) }

    /// The fingerprint of the bytes under this key.
    package func fingerprint(of bytes: SharedBytes) -> Fingerprint {
        bytes.withUnsafeBytes { source in
            Fingerprint { result in
                sfc_fingerprint(
                    prepared, source.baseAddress?.assumingMemoryBound(to: UInt8.self), source.count, result)
            }
        }
    }
}
