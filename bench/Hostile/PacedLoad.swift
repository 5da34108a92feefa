// Correct clients that work at an even pace, whatever becomes of the operations before: each operation is due at a
// moment of its own, and its latency counts from then. In a closed loop clients would ask the less the longer they
// wait, and so hide what an attack does to them.

import BenchmarkResults
import ClusterFiles
import ErasureCode
import QuorumClient
import QuorumProtocol

/// PUTs, GETs and first GETs on one cluster.
struct PacedLoad: Sendable {
    let cluster: BenchmarkCluster
    let size: ByteSize
    /// PUTs a second, and as many GETs.
    let operationsPerSecond: Double
    /// Whose home the first GETs are done with; nil for none of them.
    let visitor: String?

    /// First GETs a second: each makes a client of its own.
    private static let firstGetsPerSecond = 4.0
    /// How many operations of a kind may be under way, so that those that an attack holds up do not hold up the next.
    private static let slotCount = 64
    /// Objects that are written, which attacks may be aimed at.
    private static let writtenCount = 32
    private static let readCount = 64

    /// The objects that PUTs write.
    var writtenObjects: [ObjectKey] {
        (0..<Self.writtenCount).map { cluster.ownKey(size, slot: $0 % cluster.clients.count, number: $0) }
    }

    /// Writes what is to be read, and everything else once, so that all of it is written again later.
    func prepare() async throws {
        let value = RandomBytes.block(sizeBytes: size.bytes)
        for _ in 0..<Self.readCount { _ = try await cluster.clients[0].put(cluster.newKey(size), value) }
        for (number, key) in writtenObjects.enumerated() { _ = try await client(number).put(key, value) }
        try await cluster.settle()
    }

    /// Runs all operations that are due in so many seconds, and returns when they have ended.
    func run(seconds: Double) async -> [HostileOperation: HostileFigures] {
        await withTaskGroup(of: (HostileOperation, HostileFigures).self) { group in
            for operation in HostileOperation.allCases where operation != .firstGet || visitor != nil {
                group.addTask { (operation, await run(operation, seconds: seconds)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private func run(_ operation: HostileOperation, seconds: Double) async -> HostileFigures {
        let rate = operation == .firstGet ? Self.firstGetsPerSecond : operationsPerSecond
        let schedule = Schedule(rate: rate, count: max(1, Int(seconds * rate)))
        let value = RandomBytes.block(sizeBytes: size.bytes)
        let (outcome, failure) = await withTaskGroup(of: (LoadOutcome, String?).self) { group in
            for _ in 0..<min(Self.slotCount, schedule.count) {
                group.addTask { await work(operation, schedule, value) }
            }
            var total = LoadOutcome()
            var failure: String?
            for await (outcome, slotFailure) in group {
                total.add(outcome)
                failure = failure ?? slotFailure
            }
            return (total, failure)
        }
        let spent = (ContinuousClock.now - schedule.start).inSeconds
        return HostileFigures(
            dueCount: schedule.count, operationCount: outcome.operationCount,
            operationsPerSecond: Double(outcome.operationCount) / spent,
            p50Milliseconds: outcome.microseconds(atPercentile: 50) / 1000,
            p99Milliseconds: outcome.microseconds(atPercentile: 99) / 1000,
            maximumMilliseconds: outcome.microseconds(atPercentile: 100) / 1000, firstFailure: failure)
    }

    /// Does what is due and nobody else has begun, until nothing is left; why something failed, if it did.
    private func work(
        _ operation: HostileOperation, _ schedule: Schedule, _ value: SharedBytes
    ) async -> (LoadOutcome, String?) {
        var outcome = LoadOutcome()
        var failure: String?
        while let (number, due) = schedule.next() {
            do {
                try await Task.sleep(until: due, clock: .continuous)
                try await operate(operation, number: number, value)
                outcome.note(latencyNanoseconds: UInt64((ContinuousClock.now - due).inSeconds * 1e9), rounds: 0)
            } catch {
                failure = failure ?? "\(error)"
            }
        }
        return (outcome, failure)
    }

    private func client(_ number: Int) -> ObjectClient { cluster.clients[number % cluster.clients.count] }

    private func operate(_ operation: HostileOperation, number: Int, _ value: SharedBytes) async throws {
        let read = cluster.key(size, number: .random(in: 0..<Self.readCount))
        switch operation {
        case .put:
            // The same client writes an object each time.
            let objects = writtenObjects
            _ = try await client(number % objects.count).put(objects[number % objects.count], value)
        case .get:
            try check(await client(number).get(read), read, value)
        case .firstGet:
            guard let visitor else { return }
            var options = ClientOptions()
            options.timeoutMilliseconds = cluster.plan.clientTimeoutMilliseconds
            options.workerCount = 1
            let home = try ClientHome(clusterDirectory: cluster.directory, client: visitor)
            let client = try ObjectClient(home: home, options: options)
            do {
                try check(await client.get(read), read, value)
            } catch {
                await client.close()
                throw error
            }
            await client.close()
        }
    }

    private func check(_ object: StoredObject, _ key: ObjectKey, _ value: SharedBytes) throws {
        guard object.value.count == value.count else {
            throw BenchmarkError.wrongValue(key, gotBytes: object.value.count, expectedBytes: value.count)
        }
    }
}
