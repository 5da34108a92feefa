// What the tests of this room share: seeded randomness, calls into one level of the C core, libcrypto as a reference.

import CFragmentCore
import CLibCrypto
import ErasureCode

/// SplitMix64: small, seeded, the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count + 8)
        while result.count < count {
            let word = next()
            for shift in stride(from: 0, to: 64, by: 8) { result.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        result.removeLast(result.count - count)
        return result
    }
}

/// One level of the C core this machine can run.
struct Level: Sendable, CustomStringConvertible {
    let index: Int

    var description: String { String(cString: sfc_level_name(index)) }

    static let all = (0..<sfc_level_count()).map { Level(index: $0) }

    func fingerprint(key: [UInt8], data: UnsafeRawBufferPointer) -> [UInt8] {
        PreparedKey(level: self, key: key).fingerprint(data)
    }

    func fingerprint(key: [UInt8], data: [UInt8]) -> [UInt8] {
        data.withUnsafeBytes { fingerprint(key: key, data: $0) }
    }

    func combine(coefficients: [UInt8], fingerprints: [[UInt8]]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 16)
        sfc_fingerprint_combine(index, coefficients, fingerprints.flatMap { $0 }, coefficients.count, &result)
        return result
    }

    func treeHashes(_ fragments: [SharedBytes]) -> [[UInt8]] {
        var digests = [UInt8](repeating: 0, count: 32 * fragments.count)
        withUnsafePointers(to: fragments[...]) { pointers in
            sfc_tree_hashes(index, pointers.baseAddress, pointers.count, fragments.first?.count ?? 0, &digests)
        }
        return fragments.indices.map { Array(digests[32 * $0..<32 * ($0 + 1)]) }
    }
}

/// A key of the C core at one level.
final class PreparedKey {
    private let prepared: OpaquePointer

    init(level: Level, key: [UInt8]) {
        precondition(key.count == 16)
        prepared = sfc_fingerprint_key_create(level.index, key)!
    }

    deinit { sfc_fingerprint_key_destroy(prepared) }

    func fingerprint(_ data: UnsafeRawBufferPointer) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 16)
        sfc_fingerprint(prepared, data.baseAddress?.assumingMemoryBound(to: UInt8.self), data.count, &result)
        return result
    }

    func fingerprint(_ data: [UInt8]) -> [UInt8] { data.withUnsafeBytes { fingerprint($0) } }
}

/// libcrypto's own functions, as references.
enum LibCrypto {
    static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        _ = EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha256(), nil)
        return digest
    }

    static func shake256(_ text: String, count: Int) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        let input = Array(text.utf8)
        var output = [UInt8](repeating: 0, count: count)
        EVP_DigestInit_ex2(context, EVP_shake256(), nil)
        EVP_DigestUpdate(context, input, input.count)
        EVP_DigestFinalXOF(context, &output, count)
        return output
    }
}

/// The bytes a hexadecimal string spells.
func bytes(hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue).map(UInt8.init)
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
