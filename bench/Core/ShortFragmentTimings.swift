// What verifying one short fragment costs at every level: with objects of a few bytes it is not the bytes that take the
// time but the fingerprint's key and the hashes' fixed parts.

import BenchmarkResults
import CFragmentCore
import ErasureCode
import Fingerprint

/// One fragment, verified at one level as a server does.
struct ShortFragmentTimings {
    let level: CoreLevel
    /// All of it.
    let verify: Timing
    /// Hashing the fragment and deriving the key's bytes from all hashes.
    let hashing: Timing

    /// Preparing the key, fingerprinting and comparing: the rest.
    var fingerprintSeconds: Double { median(zip(verify.samples, hashing.samples).map(-)) }

    static func atAllLevels(
        code: ReedSolomonCode, fragmentSizeBytes size: Int, rounds: Int, sampleSeconds: Double
    ) -> [ShortFragmentTimings] {
        let stripe = ShortStripe(code: code, fragmentSizeBytes: size)
        let candidates = CoreLevel.all.flatMap { level in
            [
                Candidate("verify one", bytes: size) { stripe.verify(at: level) },
                Candidate("hash one, derive key", bytes: size) { stripe.hash(at: level) },
            ]
        }
        let timings = measureInterleaved(candidates, rounds: rounds, sampleSeconds: sampleSeconds)
        return CoreLevel.all.enumerated().map { position, level in
            ShortFragmentTimings(level: level, verify: timings[2 * position], hashing: timings[2 * position + 1])
        }
    }
}

/// An honest stripe, in plain memory so that no call is charged with more than the core behind it. What is verified is
/// its last fragment.
private final class ShortStripe {
    private let fragments: [SharedBytes]
    private let shape: sfc_stripe_shape
    // `fragments` keeps alive what these point to.
    private let pointers: UnsafeMutablePointer<UnsafePointer<UInt8>?>
    private let generator: UnsafeMutablePointer<UInt8>
    private let hashes: UnsafeMutablePointer<UInt8>
    private let fingerprints: UnsafeMutablePointer<UInt8>
    private let digest = UnsafeMutablePointer<UInt8>.allocate(capacity: Int(SFC_DIGEST_BYTES))

    init(code: ReedSolomonCode, fragmentSizeBytes size: Int) {
        let (n, m) = (code.fragmentCount, code.dataFragmentCount)
        fragments = code.encode(block: RandomBytes.block(sizeBytes: m * size))
        shape = sfc_stripe_shape(
            fragment_count: UInt16(n), data_fragment_count: UInt16(m), matrix_id: ReedSolomonCode.matrixID,
            fragment_size_bytes: UInt64(size), block_size_bytes: UInt64(m * size))
        pointers = .allocate(capacity: n)
        for (position, fragment) in fragments.enumerated() { (pointers + position).initialize(to: fragment.start) }
        generator = .allocate(capacity: code.generator.count)
        generator.initialize(from: code.generator, count: code.generator.count)
        hashes = .allocate(capacity: n * Int(SFC_DIGEST_BYTES))
        fingerprints = .allocate(capacity: m * Int(SFC_FINGERPRINT_BYTES))
        let active = CoreLevel.active
        sfc_tree_hashes(active.index, pointers, n, size, hashes)
        var stripe = stripe(at: active)
        sfc_stripe_fingerprints(&stripe, hashes, pointers, fingerprints)
    }

    deinit {
        pointers.deallocate()
        generator.deallocate()
        hashes.deallocate()
        fingerprints.deallocate()
        digest.deallocate()
    }

    private func stripe(at level: CoreLevel) -> sfc_stripe {
        sfc_stripe(level: level.index, shape: shape, generator: generator)
    }

    func verify(at level: CoreLevel) {
        var stripe = stripe(at: level)
        let last = fragments.count - 1
        var index = UInt8(last)
        var verdict: UInt8 = 0
        sfc_fragments_verify(&stripe, hashes, fingerprints, &index, pointers + last, 1, &verdict)
        precondition(verdict == SFC_FRAGMENT_GOOD.rawValue, "an honest fragment is refused")
    }

    func hash(at level: CoreLevel) {
        var shape = shape
        sfc_tree_hashes(level.index, pointers + (fragments.count - 1), 1, Int(shape.fragment_size_bytes), digest)
        sfc_derive_key(level.index, &shape, hashes, digest)
    }
}
