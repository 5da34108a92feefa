// The core's kernels one by one, at every level this machine has, beside memcpy and one stream of libcrypto's SHA-256.

import CFragmentCore
import CLibCrypto
import ErasureCode
import Glibc

/// One instruction set level of the core.
struct CoreLevel {
    let index: Int
    var name: String { String(cString: sfc_level_name(index)) }

    static let all = (0..<sfc_level_count()).map { CoreLevel(index: $0) }
    static let active = CoreLevel(index: sfc_active_level())
}

/// What hashing and fingerprinting one fragment costs.
struct KernelTimings {
    /// One level's kernels.
    struct PerLevel {
        let level: CoreLevel
        let fingerprint: Timing
        let treeHash: Timing
        /// Preparing a key, which is done once per stripe.
        let key: Timing
    }

    let fragmentSizeBytes: Int
    let memcpy: Timing
    let openSSL: Timing
    let levels: [PerLevel]

    init(fragmentSizeBytes size: Int, rounds: Int, sampleSeconds: Double) {
        let fragment = RandomBytes.block(sizeBytes: size)
        let copy = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        let digest = UnsafeMutablePointer<UInt8>.allocate(capacity: 32)
        let stream = OneStreamSHA256()
        let keys = CoreLevel.all.map { sfc_fingerprint_key_create($0.index, RandomBytes.key)! }
        defer {
            copy.deallocate()
            digest.deallocate()
            for key in keys { sfc_fingerprint_key_destroy(key) }
        }

        let timings = fragment.withUnsafeBytes { buffer -> [Timing] in
            let bytes: UnsafePointer<UInt8>? = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
            var candidates = [
                Candidate("memcpy", bytes: size) { Glibc.memcpy(copy, bytes!, size) },
                Candidate("OpenSSL SHA-256, one stream", bytes: size) {
                    stream.hash(bytes!, count: size, into: digest)
                },
            ]
            for (level, key) in zip(CoreLevel.all, keys) {
                candidates += [
                    Candidate("fingerprint", bytes: size) { sfc_fingerprint(key, bytes!, size, digest) },
                    Candidate("tree hash", bytes: size) {
                        withUnsafePointer(to: bytes) { sfc_tree_hashes(level.index, $0, 1, size, digest) }
                    },
                    Candidate("key", bytes: 0) {
                        sfc_fingerprint_key_destroy(sfc_fingerprint_key_create(level.index, RandomBytes.key))
                    },
                ]
            }
            return measureInterleaved(candidates, rounds: rounds, sampleSeconds: sampleSeconds)
        }
        fragmentSizeBytes = size
        memcpy = timings[0]
        openSSL = timings[1]
        levels = CoreLevel.all.enumerated().map { position, level in
            let first = 2 + 3 * position
            return PerLevel(
                level: level, fingerprint: timings[first], treeHash: timings[first + 1], key: timings[first + 2])
        }
    }
}

/// SHA-256 as everyone has it: the yardstick.
private final class OneStreamSHA256 {
    private let context = EVP_MD_CTX_new()
    private let method = EVP_MD_fetch(nil, "SHA256", nil)

    func hash(_ bytes: UnsafePointer<UInt8>, count: Int, into digest: UnsafeMutablePointer<UInt8>) {
        EVP_DigestInit_ex2(context, method, nil)
        EVP_DigestUpdate(context, bytes, count)
        EVP_DigestFinal_ex(context, digest, nil)
    }

    deinit {
        EVP_MD_CTX_free(context)
        EVP_MD_free(method)
    }
}

/// Bytes to work on; which ones makes no difference to any kernel's speed.
enum RandomBytes {
    static let key = (UInt8(0)..<16).map { 17 &+ 29 &* $0 }

    static func block(sizeBytes: Int) -> SharedBytes {
        SharedBytes(uninitializedCount: sizeBytes) { target in
            var state: UInt64 = 1
            for offset in target.indices {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                target[offset] = UInt8(truncatingIfNeeded: state >> 56)
            }
        }
    }
}
