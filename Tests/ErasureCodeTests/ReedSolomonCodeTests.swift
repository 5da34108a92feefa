// The code's promises: any m of n fragments give the block back, and parity is what the Cauchy matrix says.

import ErasureCode
import Testing

@Suite("A Reed-Solomon code")
struct ReedSolomonCodeTests {
    @Test(
        "gives the block back from every choice of m fragments",
        arguments: (1...8).flatMap { n in (1...n).map { (m: $0, n: n) } })
    func everyErasurePattern(m: Int, n: Int) throws {
        let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
        var generator = SeededGenerator(seed: UInt64(100 * m + n))
        for sizeBytes in [1, m, 3 * m + 1, 67 * m - m / 2] {
            let block = SharedBytes(generator.bytes(sizeBytes))
            let fragments = code.encode(block: block)
            for pattern in 0..<(1 << n) where pattern.nonzeroBitCount == m {
                let given = (0..<n).filter { pattern >> $0 & 1 == 1 }.map {
                    (index: FragmentIndex(UInt8($0)), bytes: fragments[$0])
                }
                #expect(try code.decode(given.reversed(), blockSizeBytes: sizeBytes) == block)
            }
        }
    }
}
