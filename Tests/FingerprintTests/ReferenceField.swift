// A slow reference of the fingerprint that follows the definition letter by letter: UInt128 integers, bit by bit.

/// K = GF(2)[z]/(z^128 + z^7 + z^2 + z + 1); bit i of the integer is the coefficient of z^i.
enum ReferenceField {
    static let theta: UInt128 = 0x053d_8555_a997_9a1c_a13f_e8ac_5560_ce0c

    static func multiply(_ a: UInt128, _ b: UInt128) -> UInt128 {
        var product: UInt128 = 0
        var shifted = a
        var rest = b
        while rest != 0 {
            if rest & 1 == 1 { product ^= shifted }
            let carry = shifted >> 127 == 1
            shifted <<= 1
            if carry { shifted ^= 0x87 }
            rest >>= 1
        }
        return product
    }

    static func power(_ base: UInt128, _ exponent: UInt128) -> UInt128 {
        var result: UInt128 = 1
        var square = base
        var rest = exponent
        while rest != 0 {
            if rest & 1 == 1 { result = multiply(result, square) }
            square = multiply(square, square)
            rest >>= 1
        }
        return result
    }

    /// E(byte) for all bytes.
    static let embedding: [UInt128] = (0..<256).map { byte in
        var value: UInt128 = 0
        for j in 0..<8 where byte >> j & 1 == 1 { value ^= power(theta, UInt128(j)) }
        return value
    }

    /// Horner's rule, s = s r + E(d), over the bytes in order.
    static func fingerprint(key: UInt128, data: some Sequence<UInt8>) -> UInt128 {
        var sum: UInt128 = 0
        for byte in data { sum = multiply(sum, key) ^ embedding[Int(byte)] }
        return sum
    }
}

/// A fixed key's multiplication table, so that the reference does thousands of bytes in reasonable time: by linearity,
/// x times the key is the sum of the products of x's bytes.
struct ReferenceKey {
    private let products: [UInt128]

    init(_ key: UInt128) {
        var products: [UInt128] = []
        for position in 0..<16 {
            for byte in 0..<256 { products.append(ReferenceField.multiply(UInt128(byte) << (8 * position), key)) }
        }
        self.products = products
    }

    func fingerprint(_ data: some Sequence<UInt8>) -> UInt128 {
        products.withUnsafeBufferPointer { products in
            ReferenceField.embedding.withUnsafeBufferPointer { embedding in
                var sum: UInt128 = 0
                for byte in data {
                    var next = embedding[Int(byte)]
                    for position in 0..<16 {
                        next ^= products[256 * position + Int(truncatingIfNeeded: sum >> (8 * position)) & 255]
                    }
                    sum = next
                }
                return sum
            }
        }
    }
}

/// A byte string as the little-endian integer it spells.
func integer(_ bytes: [UInt8]) -> UInt128 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt128($1) }
}

/// The 16 bytes of an integer, little-endian.
func littleEndianBytes(_ value: UInt128) -> [UInt8] {
    (0..<16).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
