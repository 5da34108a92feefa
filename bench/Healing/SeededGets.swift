// GETs of seeded objects: as many as are answered, and at an even pace. At a pace each is due at a moment of its own,
// and its latency counts from then, so that none hides another's delay.

import QuorumClient
import QuorumProtocol
import StoreSeeding

struct SeededGets: Sendable {
    /// How many may be under way at a pace, so that those that wait do not hold up the next.
    private static let slotCount = 256

    let plan: SeedPlan
    let clients: [ObjectClient]

    /// Keeps so many under way for so long; how many were answered a second.
    func peak(loopCount: Int, seconds: Double) async throws -> Double {
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for slot in 0..<loopCount {
                group.addTask {
                    var count = 0
                    while ContinuousClock.now < deadline {
                        try await get(by: clients[slot % clients.count])
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        return Double(count) / (ContinuousClock.now - start).inSeconds
    }

    /// Does all that are due in so many seconds, and returns when they have ended.
    func paced(perSecond rate: Double, seconds: Double) async throws -> LoadOutcome {
        let schedule = Schedule(rate: rate, count: max(1, Int(seconds * rate)))
        return try await withThrowingTaskGroup(of: LoadOutcome.self) { group in
            for _ in 0..<min(Self.slotCount, schedule.count) {
                group.addTask {
                    var outcome = LoadOutcome()
                    while let (number, due) = schedule.next() {
                        try await Task.sleep(until: due, clock: .continuous)
                        try await get(by: clients[number % clients.count])
                        outcome.note(latencyNanoseconds: UInt64((ContinuousClock.now - due).inSeconds * 1e9), rounds: 0)
                    }
                    return outcome
                }
            }
            var total = LoadOutcome()
            for try await outcome in group { total.add(outcome) }
            total.seconds = (ContinuousClock.now - schedule.start).inSeconds
            return total
        }
    }

    private func get(by client: ObjectClient) async throws {
        let key = try plan.key(.random(in: 0..<plan.objectCount))
        let value = try await client.get(key).value
        guard value.count == plan.valueSizeBytes else {
            throw BenchmarkError.wrongValue(key, gotBytes: value.count, expectedBytes: plan.valueSizeBytes)
        }
    }
}
