// Closed-loop load: so many operations in flight, each followed at once by the next.

import BenchmarkResults
import ErasureCode
import Histogram
import QuorumClient
import QuorumProtocol

/// What a period of load did.
struct LoadOutcome: Sendable {
    var operationCount = 0
    var roundCount = 0
    var seconds = 0.0
    /// Latencies in nanoseconds, to three digits.
    var latencies = Self.newHistogram()

    static func newHistogram() -> Histogram<UInt32> {
        Histogram(lowestDiscernibleValue: 1000, highestTrackableValue: 300_000_000_000)
    }

    mutating func note(latencyNanoseconds: UInt64, rounds: Int) {
        operationCount += 1
        roundCount += rounds
        latencies.record(latencyNanoseconds)
    }

    mutating func add(_ other: LoadOutcome) {
        operationCount += other.operationCount
        roundCount += other.roundCount
        latencies.add(other.latencies)
    }

    func microseconds(atPercentile percentile: Double) -> Double {
        Double(latencies.valueAtPercentile(percentile)) / 1000
    }
}

/// One workload on one cluster.
struct Load: Sendable {
    let cluster: BenchmarkCluster
    let workload: Workload
    /// What PUTs store; which bytes makes no difference.
    let value: SharedBytes

    /// Among how many objects of its own a slot's overwrites go round.
    static let ownObjectCount = 4

    /// Begins new operations for so long, and so many at least in each slot; returns when all have ended.
    func run(seconds: Double, operationCountMin: Int = 1) async throws -> LoadOutcome {
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let objectCount = cluster.objectCount(workload.size)
        // So many at least that a warm-up leaves no object to be written for the first time.
        let operationCountMin = max(operationCountMin, workload.operation == .overwrite ? Self.ownObjectCount : 1)
        return try await withThrowingTaskGroup(of: LoadOutcome.self) { group in
            for slot in 0..<workload.clientCount {
                let client = cluster.clients[slot % cluster.clients.count]
                group.addTask {
                    try await loop(
                        client, slot: slot, until: deadline, operationCountMin: operationCountMin,
                        objectCount: objectCount)
                }
            }
            var total = LoadOutcome()
            for try await outcome in group { total.add(outcome) }
            total.seconds = (ContinuousClock.now - start).inSeconds
            return total
        }
    }

    private func loop(
        _ client: ObjectClient, slot: Int, until deadline: ContinuousClock.Instant, operationCountMin: Int,
        objectCount: Int
    ) async throws -> LoadOutcome {
        var outcome = LoadOutcome()
        repeat {
            let key =
                switch workload.operation {
                case .put: cluster.newKey(workload.size)
                case .overwrite:
                    cluster.ownKey(workload.size, slot: slot, number: outcome.operationCount % Self.ownObjectCount)
                case .get, .getDuringPause: cluster.key(workload.size, number: .random(in: 0..<objectCount))
                }
            let begin = ContinuousClock.now
            let rounds = try await operate(client, key)
            outcome.note(
                latencyNanoseconds: UInt64((ContinuousClock.now - begin).inSeconds * 1e9), rounds: rounds)
        } while ContinuousClock.now < deadline || outcome.operationCount < operationCountMin
        return outcome
    }

    /// One operation; returns its rounds.
    private func operate(_ client: ObjectClient, _ key: ObjectKey) async throws -> Int {
        do {
            switch workload.operation {
            case .put, .overwrite:
                return try await client.put(key, value).rounds
            case .get, .getDuringPause:
                let object = try await client.get(key)
                guard object.value.count == value.count else {
                    throw BenchmarkError.wrongValue(
                        key, gotBytes: object.value.count, expectedBytes: value.count)
                }
                return object.status.rounds
            }
        } catch let error as ClientError {
            throw BenchmarkError.operationFailed(
                Setting(mode: cluster.variant.mode, without: cluster.variant.without, workload: workload),
                reason: error.description)
        }
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
