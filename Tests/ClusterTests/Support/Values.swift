// Reproducible randomness, and values that say of themselves whether they are whole.

import ErasureCode
import Fingerprint
import Foundation
import QuorumProtocol

/// SplitMix64, so that a seed names a run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// The run's generator for one purpose, independent of all others.
    init(_ purpose: String) {
        self.init(seed: purpose.utf8.reduce(Self.seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
    }

    /// The seed of this run: the one in SOLIDUS_TEST_SEED, or a fixed one.
    static var seed: UInt64 {
        ProcessInfo.processInfo.environment["SOLIDUS_TEST_SEED"].flatMap { UInt64($0) } ?? 0x5011_d005
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func bytes(_ count: Int) -> SharedBytes {
        SharedBytes(count: count) { target in
            var offset = 0
            while offset + 8 <= count {
                target.storeBytes(of: next(), toByteOffset: offset, as: UInt64.self)
                offset += 8
            }
            while offset < count {
                target[offset] = UInt8(truncatingIfNeeded: next())
                offset += 1
            }
        }
    }
}

/// A value that names its object and its number and carries the hash of all of it, so that neither half a value nor
/// another object's can pass for it.
enum SelfCheckingValue {
    static let sizeBytesMin = 16 + 32

    static func make(_ key: ObjectKey, number: UInt64, sizeBytes: Int) -> SharedBytes {
        precondition(sizeBytes >= sizeBytesMin)
        var generator = SeededGenerator(seed: number &* 0x1000 &+ UInt64(sizeBytes))
        let body = generator.bytes(sizeBytes - sizeBytesMin)
        let head = bigEndian(number) + bigEndian(UInt64(sizeBytes))
        let digest = Digest256.sha256(pieces: [SharedBytes(key.bytes), SharedBytes(head), body])
        return SharedBytes(head + digest.bytes + body.array)
    }

    /// The value's number; nil when the bytes are not exactly one value of this object.
    static func number(_ value: SharedBytes, of key: ObjectKey) -> UInt64? {
        guard value.count >= sizeBytesMin else { return nil }
        let number = integer(value[0..<8])
        guard integer(value[8..<16]) == UInt64(value.count) else { return nil }
        let digest = Digest256.sha256(
            pieces: [SharedBytes(key.bytes), value[0..<16], value[sizeBytesMin..<value.count]])
        return digest.bytes == value[16..<sizeBytesMin].array ? number : nil
    }

    private static func bigEndian(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    private static func integer(_ bytes: SharedBytes) -> UInt64 { bytes.array.reduce(0) { $0 << 8 | UInt64($1) } }
}

/// Bytes that a label names.
enum SeededBytes {
    static func make(_ label: String, _ count: Int) -> SharedBytes {
        var generator = SeededGenerator(label)
        return generator.bytes(count)
    }
}
