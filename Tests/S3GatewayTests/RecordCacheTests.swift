// What is kept in memory of what gateways share.

import QuorumClient
import Synchronization
import Testing

@testable import S3Gateway

@Suite("Records in memory") struct RecordCacheTests {
    @Test("are read once for all who ask at a time, and again after a change")
    func once() async throws {
        let reads = Mutex(0)
        let cache = RecordCache<Int> { _ throws(ClientError) in
            try? await Task.sleep(for: .milliseconds(50))
            return reads.withLock { count in
                count += 1
                return count
            }
        }
        let values = try await withThrowingTaskGroup(of: Int?.self) { group in
            for _ in 0..<100 { group.addTask { try await cache.value("a") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(values) == [1])
        #expect(try await cache.value("a") == 1)
        cache.forget("a")
        #expect(try await cache.value("a") == 2)
    }

    @Test("of made-up names are bounded, and keep no known one out")
    func bounded() async throws {
        let underWay = Mutex((now: 0, most: 0))
        let cache = RecordCache<Int> { name throws(ClientError) in
            underWay.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            if name.hasPrefix("slow") { try? await Task.sleep(for: .milliseconds(100)) }
            underWay.withLock { $0.now -= 1 }
            return name == "known" ? 1 : nil
        }
        #expect(try await cache.value("known") == 1)
        let refused = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<500 {
                group.addTask {
                    do {
                        return try await cache.value("slow\(number)") != nil
                    } catch {
                        return (error as? S3Error)?.code == .slowDown
                    }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(refused > 0 && underWay.withLock { $0.most } <= RecordCache<Int>.guessesMax)
        for number in 0..<(RecordCache<Int>.countMax + 100) { _ = try await cache.value("\(number)") }
        #expect(cache.counts.known == 1 && cache.counts.unknown == RecordCache<Int>.countMax)
        #expect(try await cache.value("known") == 1)
    }

    @Test("that were begun to be read before a change are not kept")
    func changed() async throws {
        let value = Mutex(1)
        let cache = RecordCache<Int> { _ throws(ClientError) in
            let read = value.withLock { $0 }
            try? await Task.sleep(for: .milliseconds(100))
            return read
        }
        async let before = cache.value("a")
        try await Task.sleep(for: .milliseconds(30))
        value.withLock { $0 = 2 }
        cache.forget("a")
        _ = try await before
        #expect(try await cache.value("a") == 2)
    }
}
