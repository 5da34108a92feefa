// Fingerprints of single fragments at a point that somebody chose, for audits (docs/protocol.md, Audit).

import CFragmentCore
import ErasureCode

/// A point r of GF(2^128), prepared for taking fingerprints at it. Immutable, and therefore shared between threads.
package final class FingerprintPoint: @unchecked Sendable {
    private let key: OpaquePointer

    /// - Parameter bytes: 16 of them, lowest coefficients first.
    package init(_ bytes: [UInt8]) {
        precondition(bytes.count == Fingerprint.sizeBytes)
        guard let prepared = sfc_fingerprint_key_create(sfc_active_level(), bytes) else {
            preconditionFailure("out of memory")
        }
        key = prepared
    }

    deinit { sfc_fingerprint_key_destroy(key) }

    /// The fragment's fingerprint at this point.
    package func fingerprint(of fragment: SharedBytes) -> Fingerprint {
        fragment.withUnsafeBytes { bytes in
            Fingerprint {
                sfc_fingerprint(key, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, $0)
            }
        }
    }
}

extension Fingerprint {
    /// The fingerprint of the same linear combination of the fragments that have these.
    static func combination(_ coefficients: ArraySlice<UInt8>, of fingerprints: [Fingerprint]) -> Fingerprint {
        precondition(coefficients.count == fingerprints.count)
        return Array(coefficients).withUnsafeBufferPointer { coefficients in
            fingerprints.withUnsafeBytes { bytes in
                Fingerprint { result in
                    sfc_fingerprint_combine(
                        sfc_active_level(), coefficients.baseAddress,
                        bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), coefficients.count, result)
                }
            }
        }
    }
}
