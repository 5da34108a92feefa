// The store's campaign, a slice of it.

import StorageSimulator
import Testing

@Suite struct StorageWorldTests {
    @Test("Through crashes, torn writes, failed syncs, full and rotten disks nothing is lost or invented")
    func campaign() {
        let start = UInt64.random(in: 1..<1 << 40)
        for seed in start..<start + 40 {
            var world = StorageWorld(seed: seed)
            let report = world.run()
            #expect(report.violation == nil, "solidus-sim storage --seeds \(seed) --tell")
        }
    }

    @Test("One seed tells one story")
    func determinism() {
        for seed in 1...5 as ClosedRange<UInt64> {
            var first = StorageWorld(seed: seed, tells: true)
            var second = StorageWorld(seed: seed, tells: true)
            #expect(first.run().story == second.run().story, "seed \(seed)")
        }
    }
}
