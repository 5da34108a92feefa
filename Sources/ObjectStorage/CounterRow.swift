// Rows that are sums: changes add to them, so that each change says by itself what it adds, whatever becomes of the
// others in its batch.

/// The value of a row of numbers: each in eight bytes, little-endian.
package enum CounterRow {
    static let countMax = 16

    /// The numbers; nil when the bytes are no such row.
    package static func numbers(_ bytes: [UInt8]) -> [Int64]? {
        guard bytes.count % 8 == 0, bytes.count / 8 <= countMax else { return nil }
        return bytes.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: 8).map {
                Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: Int64.self))
            }
        }
    }

    static func bytes(_ numbers: [Int64]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 * numbers.count)
        for number in numbers { bytes.appendLittle(UInt64(bitPattern: number)) }
        return bytes
    }

    /// The sums, those of the longer row where the other has none. They wrap around: an overflow must not keep a server
    /// from starting.
    static func sum(_ numbers: [Int64], _ amounts: [Int64]) -> [Int64] {
        (0..<max(numbers.count, amounts.count)).map { place in
            (numbers.indices.contains(place) ? numbers[place] : 0)
                &+ (amounts.indices.contains(place) ? amounts[place] : 0)
        }
    }
}
