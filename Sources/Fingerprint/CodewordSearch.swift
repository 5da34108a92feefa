// Which fingerprints of one stripe's fragments, all at one point, belong together. They are linear over the code's
// field: those of n fragments of one block are a codeword, as the fragments are.

import ErasureCode

extension ReedSolomonCode {
    /// How many choices of m fingerprints are tried. Those that were right before come first, so that it takes one as a
    /// rule; a code with many ways to be wrong is not worth all of them.
    private static let choicesMax = 10_000

    /// The fingerprints that contradict the codeword that at least `agreeing` of them belong to.
    ///
    /// - Parameters:
    ///   - fingerprints: at one point, of fragments of one stripe; those that are most likely right first.
    ///   - agreeing: more than the half of m + n, so that there is one such codeword at most.
    /// - Returns: nil when there is none, or none was found.
    package func contradictions(
        among fingerprints: [(index: FragmentIndex, fingerprint: Fingerprint)], agreeing: Int
    ) -> [FragmentIndex]? {
        precondition(2 * agreeing >= dataFragmentCount + fragmentCount)
        let count = fingerprints.count
        guard count >= agreeing else { return nil }
        var chosen = Array(0..<dataFragmentCount)
        for _ in 0..<Self.choicesMax {
            let contradicting = contradictions(to: chosen, among: fingerprints)
            if count - contradicting.count >= agreeing { return contradicting }
            // The next choice, in which the first ones change last.
            guard let place = chosen.indices.last(where: { chosen[$0] < count - dataFragmentCount + $0 }) else {
                return nil
            }
            let first = chosen[place] + 1
            for next in place..<dataFragmentCount { chosen[next] = first + next - place }
        }
        return nil
    }

    private func contradictions(
        to chosen: [Int], among fingerprints: [(index: FragmentIndex, fingerprint: Fingerprint)]
    ) -> [FragmentIndex] {
        let given = chosen.map { fingerprints[$0] }.sorted { $0.index < $1.index }
        let recovered = recoveryRows(from: given.map(\.index))
        let data = (0..<dataFragmentCount).map { offset -> Fingerprint in
            let index = FragmentIndex(UInt8(offset))
            if let held = given.first(where: { $0.index == index }) { return held.fingerprint }
            guard let row = recovered[index] else {
                preconditionFailure("a data fragment is neither given nor missing")
            }
            return .combination(row, of: given.map(\.fingerprint))
        }
        return fingerprints.compactMap { index, fingerprint in
            Fingerprint.combination(generatorRow(index), of: data) == fingerprint ? nil : index
        }
    }
}
