// Values that say of themselves which write they come from, to the last byte.

import ErasureCode
import Fingerprint

/// Steele, Lea & Flood's SplitMix64 (*Fast splittable pseudorandom number generators*, OOPSLA 2014): a seed names a
/// run.
struct TortureGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// The stream of one purpose, independent of all others.
    init(seed: UInt64, purpose: String) {
        self.init(seed: purpose.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True `percent` times in a hundred.
    mutating func chance(percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

/// The value of one write: its name, a line's end, and bytes that only this name at this key has, as many as only it
/// has.
enum TortureValue {
    private static let nameSizeBytesMax = 64
    static let sizeBytesMin = 128
    private static let lineEnd = UInt8(ascii: "\n")

    /// How large values may be.
    struct Sizes: Sendable {
        /// Of those that go with their PREPARE.
        let smallBytesMax: Int
        /// Of those of several stripes; nil for none.
        let largeBytesMax: Int?
    }

    static func bytes(_ name: String, key: String, _ sizes: Sizes) -> SharedBytes {
        var generator = TortureGenerator(seed: 0x5011_d005, purpose: "\(key) \(name)")
        // Small ones lie in a server's index, middle ones are verified at once, large ones on worker threads.
        let small = [1 << 10, 1 << 10, 1 << 10, 16 << 10, 16 << 10, 256 << 10].map { min($0, sizes.smallBytesMax) }
        let limits = small + (sizes.largeBytesMax.map { [$0, $0, $0] } ?? [])
        let limit = limits[Int.random(in: 0..<limits.count, using: &generator)]
        let head = Array(name.utf8) + [lineEnd]
        precondition(head.count <= nameSizeBytesMax && limit >= sizeBytesMin)
        let size = Int.random(in: sizeBytesMin...limit, using: &generator)
        return SharedBytes(count: size) { target in
            target.copyBytes(from: head)
            var offset = head.count
            while offset + 8 <= size {
                target.storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
                offset += 8
            }
            while offset < size {
                target[offset] = UInt8(truncatingIfNeeded: generator.next())
                offset += 1
            }
        }
    }

    /// The name of the write that a value read under `key` comes from. A value that is not exactly one write's gets a
    /// name that no write has.
    static func name(of value: SharedBytes, key: String, _ sizes: Sizes) -> String {
        let head = value[0..<min(value.count, nameSizeBytesMax)].array
        if let end = head.firstIndex(of: lineEnd), let name = String(validating: head[..<end], as: UTF8.self),
            bytes(name, key: key, sizes) == value
        {
            return name
        }
        return foreign(value)
    }

    /// The name of the write that a piece of a value comes from.
    ///
    /// - Parameters:
    ///   - name: which write it claims to come from.
    ///   - range: where in the value the piece was.
    static func name(
        _ name: String, of piece: SharedBytes, at range: Range<Int>, lengthBytes: Int, key: String, _ sizes: Sizes
    ) -> String {
        guard isName(name) else { return foreign(piece) }
        let whole = bytes(name, key: key, sizes)
        guard whole.count == lengthBytes, range.upperBound <= whole.count, whole[range] == piece else {
            return foreign(piece)
        }
        return name
    }

    /// Whether a write may have the name; others write, too, and call their values what they like.
    static func isName(_ name: String) -> Bool { name.utf8.count < nameSizeBytesMax }

    private static func foreign(_ value: SharedBytes) -> String {
        "foreign bytes, \(value.count) of them, SHA-256 \(Digest256.sha256(pieces: [value]))"
    }
}
