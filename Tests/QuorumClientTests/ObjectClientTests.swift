// The client library against a real cluster: what a user may rely on while nothing lies.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Testing

@Suite("The client library against a running cluster", .serialized)
struct ObjectClientTests {
    private static let sizes = [0, 1, 2, 3, 1000, 65_536, 65_537, 1 << 20]

    @Test("values of every size come back as they were put, in the rounds promised")
    func roundTrip() async throws {
        try await withCluster { _, client in
            for (number, size) in Self.sizes.enumerated() {
                let key = try ObjectKey("bucket/size-\(size)")
                let value = testBytes(size, seed: UInt64(number) + 1)
                let metadata = ObjectMetadata(contentType: "text/plain", user: ["colour": "blue"])
                let put = try await client.put(key, value, metadata: metadata)
                #expect(put.rounds == 3)
                #expect(put.timestamp.counter == 1)
                let object = try await client.get(key)
                #expect(object.value == value)
                #expect(object.status.timestamp == put.timestamp)
                #expect(object.status.metadata.contentType == "text/plain")
                #expect(object.status.metadata.user == ["colour": "blue"])
                #expect(object.status.observations.misbehaving.isEmpty)
                let status = try await client.head(key)
                #expect(status.lengthBytes == UInt64(size))
                #expect(status.etag == put.timestamp.digest.description)
            }
        }
    }

    @Test("a partial write sends and stores m + f fragments, and one with a server down all that are left")
    func partialWrites() async throws {
        try await withCluster { cluster, whole in
            var options = ClientOptions()
            options.writesPartially = true
            options.hedgeMilliseconds = 60_000
            let value = SharedBytes([UInt8](repeating: 7, count: 200_000))
            let key = try ObjectKey("tests/partial")
            try await cluster.withClient(options) { partial in
                let before = partial.trafficBytes.sent
                _ = try await partial.put(key, value)
                while partial.hasQueuedRequests { try await Task.sleep(for: .milliseconds(10)) }
                #expect(partial.trafficBytes.sent - before < 200_000 * 16 / 10)
                #expect(try await partial.get(key).value == value)
                #expect(try await whole.get(key).value == value)
            }
            await cluster.stop(0)
            options.hedgeMilliseconds = 20
            try await cluster.withClient(options) { partial in
                #expect(try await partial.get(key).value == value)
                _ = try await partial.put(key, SharedBytes([1]))
                #expect(try await whole.get(key).value == SharedBytes([1]))
            }
        }
    }

    @Test("overwriting raises the counter, deleting hides the object, and it can be put again")
    func overwriteAndDelete() async throws {
        try await withCluster { _, client in
            let key = try ObjectKey("bucket/key")
            await #expect(throws: ClientError.self) { try await client.get(key) }
            for counter in 1...3 as ClosedRange<UInt64> {
                let put = try await client.put(key, testBytes(5000, seed: counter))
                #expect(put.timestamp.counter == counter)
                #expect(try await client.get(key).value == testBytes(5000, seed: counter))
            }
            #expect(try await client.delete(key)?.timestamp.counter == 4)
            for isHead in [true, false] {
                do {
                    if isHead { _ = try await client.head(key) } else { _ = try await client.get(key) }
                    Issue.record("a deleted object was found")
                } catch ClientError.notFound(let missing) {
                    #expect(missing == key)
                }
            }
            #expect(try await client.put(key, testBytes(7, seed: 9)).timestamp.counter == 5)
            #expect(try await client.get(key).value == testBytes(7, seed: 9))
        }
    }

    @Test("deleting what is absent writes nothing, whether it was never there or was deleted")
    func deleteAbsent() async throws {
        try await withCluster { cluster, client in
            let key = try ObjectKey("bucket/key")
            func storedChanges() -> [UInt64?] { cluster.servers.map { $0?.counters.storedChanges } }
            let before = storedChanges()
            #expect(try await client.delete(key)?.timestamp == nil)
            #expect(storedChanges() == before)
            _ = try await client.put(key, testBytes(1000, seed: 1))
            #expect(try await client.delete(key)?.timestamp.counter == 2)
            #expect(try await client.delete(key)?.timestamp == nil)
            // Who has to stand above what was begun writes all the same; of what went before nothing was written.
            #expect(try await client.writeTombstone(key).timestamp.counter == 3)
            #expect(storedChanges() != before)
        }
    }

    @Test("a value larger than a stripe is stored as any other")
    func severalStripes() async throws {
        try await withCluster { _, client in
            let key = try ObjectKey("bucket/large")
            let value = testBytes(3 * client.parameters.limits.stripeSizeBytesMax + 1, seed: 1)
            #expect(try await client.put(key, value).timestamp.counter == 1)
            #expect(try await client.get(key).value == value)
            #expect(try await client.put(key, value).timestamp.counter == 2)
        }
    }

    @Test("many operations at once on many objects and on one each see whole values")
    func concurrency() async throws {
        try await withCluster { _, client in
            let shared = try ObjectKey("bucket/shared")
            let written = (1...24 as ClosedRange<UInt64>).map { testBytes(3000 + Int($0), seed: $0) }
            _ = try await client.put(shared, written[0])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in written.indices {
                    group.addTask {
                        let own = try ObjectKey("bucket/own-\(number)")
                        _ = try await client.put(own, written[number])
                        #expect(try await client.get(own).value == written[number])
                        _ = try await client.put(shared, written[number])
                    }
                    group.addTask {
                        let seen = try await client.get(shared).value
                        #expect(written.contains(seen))
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await client.head(shared).timestamp.counter == UInt64(written.count) + 1)
        }
    }

    @Test("a wide code, m = 5 of n = 7, stores and reads")
    func wideCode() async throws {
        try await withCluster(faults: 1, dataFragmentCount: 5) { cluster, client in
            let key = try ObjectKey("bucket/wide")
            let value = testBytes(100_003, seed: 5)
            _ = try await client.put(key, value)
            await cluster.stop(2)
            #expect(try await client.get(key).value == value)
        }
    }

    @Test("with one server down everything works; with two the error names them in time; back up, nothing is lost")
    func serversDown() async throws {
        try await withCluster(timeoutMilliseconds: 4000) { cluster, client in
            let key = try ObjectKey("bucket/key")
            _ = try await client.put(key, testBytes(40_000, seed: 1))
            await cluster.stop(0)
            #expect(try await client.get(key).value == testBytes(40_000, seed: 1))
            _ = try await client.put(key, testBytes(40_000, seed: 2))
            await cluster.stop(1)
            do {
                _ = try await client.get(key)
                Issue.record("two of four servers made a quorum")
            } catch ClientError.unavailable(_, _, let troubles) {
                #expect(troubles.map(\.server) == [NodeID(0), NodeID(1)])
            }
            try await cluster.start(0)
            try await cluster.start(1)
            #expect(try await client.get(key).value == testBytes(40_000, seed: 2))
        }
    }

    @Test("a closed client refuses, and a cancelled task ends its operation")
    func endings() async throws {
        try await withCluster { cluster, client in
            let key = try ObjectKey("bucket/key")
            await cluster.stop(0)
            await cluster.stop(1)
            let stuck = Task { try await client.get(key) }
            try await Task.sleep(for: .milliseconds(50))
            stuck.cancel()
            let result = await stuck.result
            guard case .failure(ClientError.cancelled) = result else {
                Issue.record("\(result)")
                return
            }
            await client.close()
            do {
                _ = try await client.get(key)
                Issue.record("a closed client answered")
            } catch ClientError.closed {}
        }
    }
}
