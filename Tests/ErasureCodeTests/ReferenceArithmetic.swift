// GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, bit by bit: the independent arithmetic the code is compared with.

enum ReferenceByteField {
    static func multiply(_ a: UInt8, _ b: UInt8) -> UInt8 {
        var product = 0
        for bit in 0..<8 where b >> bit & 1 == 1 { product ^= Int(a) << bit }
        for degree in stride(from: 14, through: 8, by: -1) where product >> degree & 1 == 1 {
            product ^= 0x11d << (degree - 8)
        }
        return UInt8(product)
    }

    /// inverses[a] times a is 1, found by search; zero has none.
    static let inverses: [UInt8?] = (UInt8.min...UInt8.max).map { a in
        (UInt8.min...UInt8.max).first { multiply(a, $0) == 1 }
    }

    /// Row `index` of the systematic Cauchy generator matrix with m columns.
    static func generatorRow(_ index: Int, dataFragmentCount m: Int) -> [UInt8] {
        (0..<m).map { column in
            index < m ? (index == column ? 1 : 0) : inverses[index ^ column]!
        }
    }

    /// All n fragments of a block, from the definition.
    static func encode(_ block: [UInt8], dataFragmentCount m: Int, fragmentCount n: Int) -> [[UInt8]] {
        let sizeBytes = (block.count + m - 1) / m
        let padded = block + [UInt8](repeating: 0, count: sizeBytes * m - block.count)
        let data = (0..<m).map { Array(padded[$0 * sizeBytes..<($0 + 1) * sizeBytes]) }
        return (0..<n).map { index in
            var fragment = [UInt8](repeating: 0, count: sizeBytes)
            for (coefficient, piece) in zip(generatorRow(index, dataFragmentCount: m), data) where coefficient != 0 {
                for offset in fragment.indices { fragment[offset] ^= multiply(coefficient, piece[offset]) }
            }
            return fragment
        }
    }
}
