// Thresholds, brute-forced.

import QuorumProtocol
import Testing

@Suite("A quorum system")
struct QuorumConfigurationTests {
    static let systems = (0...6).flatMap { f in [f + 1, f + 2, f + 8].map { (f, $0) } }

    @Test("has n = m + 2f servers, quorums of n - f and f + 1 vouchers", arguments: systems)
    func thresholds(faults: Int, dataFragmentCount: Int) throws {
        let quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        #expect(quorums.serverCount == dataFragmentCount + 2 * faults)
        #expect(quorums.quorum == quorums.serverCount - faults)
        #expect(quorums.quorum == dataFragmentCount + faults)
        #expect(quorums.vouchers == faults + 1)
        #expect(quorums.positions.count == quorums.serverCount)
        #expect(quorums.code.dataFragmentCount == dataFragmentCount)
        #expect(quorums.code.fragmentCount == quorums.serverCount)
    }

    @Test("has m = f + 1, n = 3f + 1 unless told otherwise", arguments: 0...6)
    func defaults(faults: Int) throws {
        let quorums = try QuorumConfiguration(faults: faults)
        #expect(quorums.serverCount == 3 * faults + 1)
    }

    @Test(
        "lets two quorums meet in m servers and in a correct one, for every choice",
        arguments: [
            (0, 1), (0, 3), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4),
        ])
    func intersection(faults: Int, dataFragmentCount: Int) throws {
        let quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        let n = quorums.serverCount
        let sets = (0..<(1 << n)).filter { $0.nonzeroBitCount == quorums.quorum }
        let liars = (0..<(1 << n)).filter { $0.nonzeroBitCount == faults }
        for first in sets {
            for second in sets {
                let common = first & second
                #expect(common.nonzeroBitCount >= dataFragmentCount)
                if liars.contains(where: { common & ~$0 == 0 }) {
                    Issue.record("\(first) and \(second) meet in liars only")
                }
            }
        }
    }

    @Test("lets larger quorums meet in a correct server, by the smallest overlap there is", arguments: systems)
    func smallestOverlap(faults: Int, dataFragmentCount: Int) throws {
        let quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        let overlap = (0..<quorums.quorum).filter { $0 >= quorums.serverCount - quorums.quorum }.count
        #expect(overlap == dataFragmentCount)
        #expect(overlap > faults)
    }

    @Test("refuses numbers whose quorums could meet in liars only, and more servers than the code has room for")
    func refusals() {
        #expect(throws: QuorumConfigurationError.faultsOutOfRange(-1)) { try QuorumConfiguration(faults: -1) }
        #expect(throws: QuorumConfigurationError.faultsOutOfRange(85)) { try QuorumConfiguration(faults: 85) }
        #expect(throws: QuorumConfigurationError.tooFewDataFragments(2, faults: 2)) {
            try QuorumConfiguration(faults: 2, dataFragmentCount: 2)
        }
        #expect(throws: QuorumConfigurationError.tooManyServers(dataFragments: 254, faults: 1)) {
            try QuorumConfiguration(faults: 1, dataFragmentCount: 254)
        }
        #expect(throws: QuorumConfigurationError.tooManyServers(dataFragments: .max, faults: 1)) {
            try QuorumConfiguration(faults: 1, dataFragmentCount: .max)
        }
        #expect(throws: Never.self) { try QuorumConfiguration(faults: 1, dataFragmentCount: 253) }
        #expect(throws: Never.self) { try QuorumConfiguration(faults: 0, dataFragmentCount: 255) }
    }

    @Test("refuses codes with so many combinations of fragments that some inconsistent one could be made to pass")
    func fingerprintsMustBind() {
        // C(34, 13) and C(72, 65) are below 2^32; C(37, 14), C(92, 83) and all of the larger ones are not.
        #expect(throws: Never.self) { try QuorumConfiguration(faults: 11) }
        #expect(throws: Never.self) { try QuorumConfiguration(faults: 4, dataFragmentCount: 64) }
        for (m, faults) in [(13, 12), (82, 5), (128, 63), (200, 27), (85, 84)] {
            #expect(throws: QuorumConfigurationError.fingerprintsTooShort(dataFragments: m, faults: faults)) {
                try QuorumConfiguration(faults: faults, dataFragmentCount: m)
            }
        }
    }

    @Test("describes even absurd numbers without trapping")
    func descriptions() {
        for error in [
            QuorumConfigurationError.tooManyServers(dataFragments: .max, faults: 1), .faultsOutOfRange(.min),
            .tooFewDataFragments(.min, faults: 2), .fingerprintsTooShort(dataFragments: .max, faults: .max),
        ] {
            #expect(!error.description.isEmpty)
        }
    }
}
