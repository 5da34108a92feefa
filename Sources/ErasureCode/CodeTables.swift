// What encoding and decoding compute with: made once per code and shared by all its copies.

import CISAL
import Synchronization

/// A code's generator matrix, its parity rows ready for use, and the recovery matrices that decoding needed so far.
final class CodeTables: Sendable {
    /// The generator matrix, n rows of m coefficients.
    let generator: [UInt8]
    /// The generator's rows m ..< n.
    let parity: LinearCombinations

    /// Recovery matrices by the fragments they recover from. As long as the same servers answer, so do the same few
    /// matrices; inverting and expanding one costs as much as decoding some 10 KiB.
    private let recoveries = Mutex<[FragmentSet: LinearCombinations]>([:])
    private static let recoveryCountMax = 64

    init(dataFragmentCount m: Int, fragmentCount n: Int) {
        var matrix = [UInt8](repeating: 0, count: n * m)
        gf_gen_cauchy1_matrix(&matrix, Int32(n), Int32(m))
        generator = matrix
        parity = LinearCombinations(coefficients: matrix[(m * m)...], inputCount: m)
    }

    /// The recovery from these fragments: the remembered one, or what `make` gives, which is remembered in turn.
    func recovery(from given: FragmentSet, make: () -> LinearCombinations) -> LinearCombinations {
        if let known = recoveries.withLock({ $0[given] }) { return known }
        let made = make()
        recoveries.withLock { recoveries in
            if recoveries.count >= Self.recoveryCountMax, let any = recoveries.keys.first {
                recoveries[any] = nil
            }
            recoveries[given] = made
        }
        return made
    }
}
