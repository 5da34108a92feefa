// Reads that `solidus-bench objects` times: pages of listings, ranges of a large object, seeded objects under load.

import BenchmarkResults
import ErasureCode
import QuorumClient
import QuorumProtocol
import StoreSeeding

/// One listing of a whole bucket.
enum ListingRun {
    static let pageSize = 1000

    struct Outcome: Sendable {
        let keysPerSecond: Double
        let pageMilliseconds: Double
    }

    /// - Throws: `.wrongListing` when it does not show exactly the seeded keys.
    static func run(_ plan: SeedPlan, by client: ObjectClient) async throws -> Outcome {
        let start = ContinuousClock.now
        var pages: [Double] = []
        var pageStart = start
        var count = 0
        for try await entry in try client.list(prefix: Array("\(plan.bucket)/".utf8), pageSize: pageSize) {
            guard case .object(let object) = entry, object.key == (try plan.key(count)) else { break }
            count += 1
            guard count.isMultiple(of: pageSize) else { continue }
            let now = ContinuousClock.now
            pages.append((now - pageStart).inSeconds * 1000)
            pageStart = now
        }
        let end = ContinuousClock.now
        guard count == plan.objectCount else {
            throw BenchmarkError.wrongListing(bucket: plan.bucket, got: count, expected: plan.objectCount)
        }
        if pages.isEmpty { pages = [(end - start).inSeconds * 1000] }
        return Outcome(keysPerSecond: Double(count) / (end - start).inSeconds, pageMilliseconds: median(pages))
    }
}

/// Ranges of a large object, in turns with objects of one stripe: of these, too, each is another one, that was written
/// before the large object, so that a disk has to be asked for neither more than for the other.
struct RangeRun: Sendable {
    private static let rangeSizeBytes: UInt64 = 64 << 10
    private static let stripeSizeBytes = 1 << 20

    let cluster: BenchmarkCluster
    /// Those that run now.
    let servers: [ServerChild]
    let key: ObjectKey
    let sizeBytes: UInt64
    let readCount: Int

    struct Outcome: Sendable {
        var rangeMilliseconds = 0.0
        var objectMilliseconds = 0.0
        /// A range.
        var receivedBytes = 0.0
        var requests = 0.0
        var openingRounds = 0.0
    }

    func run() async throws -> Outcome {
        let client = cluster.clients[0]
        let contents = TransferContents(sizeBytes: sizeBytes)
        let size = ByteSize(bytes: Self.stripeSizeBytes)
        let objectCount = cluster.objectCount(size)
        var ranges: [Double] = []
        var objects: [Double] = []
        for _ in 0..<readCount {
            var start = ContinuousClock.now
            _ = try await readRange(client, contents)
            ranges.append((ContinuousClock.now - start).inSeconds * 1000)
            start = .now
            _ = try await client.get(cluster.key(size, number: .random(in: 0..<objectCount)))
            objects.append((ContinuousClock.now - start).inSeconds * 1000)
        }
        // By themselves, since answers that come late are counted, too.
        try await cluster.settle()
        let before = (try requestCount(), client.trafficBytes.received)
        var rounds = 0
        for _ in 0..<readCount { rounds += try await readRange(client, contents) }
        try await cluster.settle()
        let after = (try requestCount(), client.trafficBytes.received)
        return Outcome(
            rangeMilliseconds: median(ranges), objectMilliseconds: median(objects),
            receivedBytes: Double(after.1 - before.1) / Double(readCount),
            requests: Double(after.0 - before.0) / Double(readCount),
            openingRounds: Double(rounds) / Double(readCount))
    }

    private func requestCount() throws -> UInt64 {
        try servers.reduce(UInt64(0)) { $0 + (try $1.counters().requests) }
    }

    /// One range somewhere, within a stripe; the rounds until it was open.
    private func readRange(_ client: ObjectClient, _ contents: TransferContents) async throws -> Int {
        let start = Self.rangeSizeBytes * UInt64.random(in: 0..<(sizeBytes / Self.rangeSizeBytes))
        let object = try await client.open(key, range: start..<start + Self.rangeSizeBytes)
        var offset = start
        for try await piece in object {
            guard contents.matches(piece, from: offset) else { throw BenchmarkError.wrongBytes(key, from: offset) }
            offset += UInt64(piece.count)
        }
        return object.status.rounds
    }
}

/// Closed loops that read seeded objects at random.
struct SeededReads: Sendable {
    let plan: SeedPlan
    let clients: [ObjectClient]
    let loopCount: Int

    /// How many were read in so long, each with the value that was seeded.
    func run(seconds: Double) async throws -> Int {
        let deadline = ContinuousClock.now + .seconds(seconds)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for slot in 0..<loopCount {
                let client = clients[slot % clients.count]
                group.addTask {
                    var count = 0
                    while ContinuousClock.now < deadline {
                        let number = Int.random(in: 0..<plan.objectCount)
                        let key = try plan.key(number)
                        guard try await client.get(key).value == plan.value(number) else {
                            throw BenchmarkError.wrongBytes(key, from: 0)
                        }
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
    }
}
