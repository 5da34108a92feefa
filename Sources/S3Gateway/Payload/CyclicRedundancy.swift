// The three cyclic redundancy checks that S3 has, all reflected, beginning with ones and complemented at the end, and
// what they are of two pieces one after the other.

import CISAL

enum CyclicRedundancy {
    /// As `value` of an empty piece is 0, so goes on `value` of what came before.
    static func crc32(_ value: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard let base = bytes.assumingMemoryBound(to: UInt8.self).baseAddress else { return value }
        return crc32_gzip_refl(value, base, UInt64(bytes.count))
    }

    static func crc32c(_ value: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard let base = bytes.assumingMemoryBound(to: UInt8.self).baseAddress else { return value }
        // The library leaves both complements to the caller, and changes nothing behind its pointer.
        return ~crc32_iscsi(UnsafeMutablePointer(mutating: base), Int32(bytes.count), ~value)
    }

    static func crc64NVMe(_ value: UInt64, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var state = ~value
        var place = 0
        tables.withUnsafeBufferPointer { tables in
            while place + 8 <= bytes.count {
                let word = state ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
                state = 0
                for byte in 0..<8 { state ^= tables[(7 - byte) << 8 | Int(word >> (8 * UInt64(byte)) & 0xFF)] }
                place += 8
            }
            while place < bytes.count {
                state = tables[Int((state ^ UInt64(bytes[place])) & 0xFF)] ^ state >> 8
                place += 1
            }
        }
        return ~state
    }

    /// The check of two pieces together, from those of each.
    ///
    /// - Parameters:
    ///   - lengthBytes: of the second piece.
    ///   - polynomial: reflected, in the lower `width` bits.
    static func combine(
        _ first: UInt64, _ second: UInt64, lengthBytes: UInt64, polynomial: UInt64, width: Int
    ) -> UInt64 {
        func multiply(_ left: UInt64, _ right: UInt64) -> UInt64 {
            var (product, right): (UInt64, UInt64) = (0, right)
            for bit in stride(from: width - 1, through: 0, by: -1) {
                if left >> UInt64(bit) & 1 == 1 { product ^= right }
                right = right & 1 == 1 ? right >> 1 ^ polynomial : right >> 1
            }
            return product
        }
        // x to the power of the second piece's bits, by squaring; 1 is the highest bit.
        var power = UInt64(1) << UInt64(width - 1)
        var square = UInt64(1) << UInt64(width - 2)
        for _ in 0..<3 { square = multiply(square, square) }
        var left = lengthBytes
        while left > 0 {
            if left & 1 == 1 { power = multiply(square, power) }
            square = multiply(square, square)
            left >>= 1
        }
        return multiply(power, first) ^ second
    }

    static let polynomial32: UInt64 = 0xEDB8_8320
    static let polynomial32C: UInt64 = 0x82F6_3B78
    static let polynomial64NVMe: UInt64 = 0x9A6C_9329_AC4B_C9B5

    /// Eight tables, by which eight bytes are taken at a time.
    private static let tables: [UInt64] = {
        var tables = [UInt64](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var state = UInt64(byte)
            for _ in 0..<8 { state = state & 1 == 1 ? state >> 1 ^ polynomial64NVMe : state >> 1 }
            tables[byte] = state
        }
        for table in 1..<8 {
            for byte in 0..<256 {
                let before = tables[(table - 1) << 8 | byte]
                tables[table << 8 | byte] = tables[Int(before & 0xFF)] ^ before >> 8
            }
        }
        return tables
    }()
}
