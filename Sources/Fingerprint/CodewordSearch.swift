// Which fingerprints of one stripe's fragments, all at one point, belong together. They are linear over the code's
// field: those of n fragments of one block are a codeword, as the fragments are.

import ErasureCode

extension ReedSolomonCode {
    /// Where there are more choices of m right ones than this, any choice is taken by chance, and otherwise all in turn.
    /// So often that each is missed, by chance, with odds of less than e^-30.
    private static let thoroughness = 30.0

    /// The fingerprints that contradict the codeword that at least `agreeing` of them belong to.
    ///
    /// - Parameters:
    ///   - fingerprints: at one point, of fragments of one stripe; those that are most likely right first.
    ///   - agreeing: at least the half of m + n, so that there is one such codeword at most.
    /// - Returns: nil when there is none.
    package func contradictions(
        among fingerprints: [(index: FragmentIndex, fingerprint: Fingerprint)], agreeing: Int
    ) -> [FragmentIndex]? {
        precondition(2 * agreeing >= dataFragmentCount + fragmentCount)
        guard fingerprints.count >= agreeing else { return nil }
        return choices(of: fingerprints.count, agreeing: agreeing).lazy
            .map { contradictions(to: $0, among: fingerprints) }
            .first { fingerprints.count - $0.count >= agreeing }
    }

    /// Choices of m, one of which is of right ones only: the first ones, and then any. Wrong ones among the first would
    /// spoil most of those that come next in order, so these are drawn.
    private func choices(of count: Int, agreeing: Int) -> some Sequence<[Int]> {
        let (m, all) = (dataFragmentCount, Self.binomial(count, dataFragmentCount))
        let right = Self.binomial(agreeing, m)
        let isThorough = right < Self.thoroughness
        // Where all have to agree, one choice is as good as another.
        var left = count == agreeing ? 1 : Int((isThorough ? all : Self.thoroughness * all / right).rounded(.up))
        return sequence(state: Array(0..<m)) { chosen -> [Int]? in
            guard left > 0 else { return nil }
            left -= 1
            defer {
                if isThorough {
                    Self.advance(&chosen, below: count)
                } else {
                    chosen = Array((0..<count).shuffled().prefix(m))
                }
            }
            return chosen
        }
    }

    /// The next choice, in which the first ones change last.
    private static func advance(_ chosen: inout [Int], below count: Int) {
        guard let place = chosen.indices.last(where: { chosen[$0] < count - chosen.count + $0 }) else { return }
        let first = chosen[place] + 1
        for next in place..<chosen.count { chosen[next] = first + next - place }
    }

    private static func binomial(_ total: Int, _ count: Int) -> Double {
        (0..<min(count, total - count)).reduce(1) { $0 * Double(total - $1) / Double($1 + 1) }
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
