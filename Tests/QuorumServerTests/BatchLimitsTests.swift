// What goes into one batch.

import QuorumProtocol
import QuorumServer
import Testing

@Suite("A batch")
struct BatchLimitsTests {
    /// How many items of a kind have room.
    private func count(itemsMax: Int = 4096, sizeBytes: Int = 0, statementCount: Int = 1) -> Int {
        var limits = BatchLimits(itemsMax: itemsMax)
        var count = 0
        while count < 10_000, limits.take(sizeBytes: sizeBytes, statementCount: statementCount) { count += 1 }
        return count
    }

    @Test("has no more items than it may, and one at least")
    func items() {
        #expect(count() == 4096)
        #expect(count(itemsMax: 1) == 1)
        #expect(count(itemsMax: 0) == 1)
    }

    @Test("is full with 32 MiB of parts")
    func size() {
        #expect(count(sizeBytes: 1 << 20) == 32)
        #expect(count(sizeBytes: 100 << 20) == 1)
    }

    @Test(
        "never has more statements than one signature may be over, however many come with each refusal",
        arguments: 1...8)
    func statements(faults: Int) throws {
        let parameters = ClusterParameters(
            Configuration(
                cluster: ClusterID(high: 1, low: 2), quorums: try QuorumConfiguration(faults: faults)))
        let each = parameters.pendingVersionsMax
        #expect(count(statementCount: each) * each <= MerkleTree.leafCountMax)
        #expect(count(statementCount: each) == min(4096, MerkleTree.leafCountMax / each))
    }
}
