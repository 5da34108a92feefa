// What metrics and spans tell of a client's operations.

import InMemoryTracing
import MetricsTestKit
import Solidus
import Testing
import Tracing

@Suite("Metrics and spans", .oneCluster, .timeLimit(.minutes(3)))
struct InstrumentTests {
    /// Runs `body` with a client whose operations are recorded.
    private func withRecordedClient(
        _ name: String = "first", _ body: (ObjectClient, TestMetrics, InMemoryTracer) async throws -> Void
    ) async throws {
        let (metrics, tracer) = (TestMetrics(), InMemoryTracer())
        var options = ClientOptions()
        options.metricsFactory = metrics
        options.tracer = tracer
        try await withObjectClient(home: OneCluster.current.home(name), options: options) { client in
            try await body(client, metrics, tracer)
        }
    }

    @Test("every operation is counted once by its outcome and timed, however much it consists of")
    func counts() async throws {
        try await withRecordedClient { client, metrics, _ in
            let (small, large, copy) = (
                try ObjectKey("counted/small"), try ObjectKey("counted/large"), try ObjectKey("counted/copy")
            )
            let bytes = testBytes(Fixture.stripeSizeBytes * 3, seed: 11)
            try await client.createBucket("counted")
            try await client.put(small, [1, 2, 3])
            try await client.put(large, bytes)
            try await client.put(large, from: BytesTests.stream(bytes, pieceSizeBytes: 10_000))
            _ = try await client.get(small)
            _ = try await client.get(large, range: 10..<2_000_000)
            for try await _ in try await client.open(large) {}
            _ = try await client.head(small)
            _ = try await client.copy(small, to: copy)
            for try await _ in try client.list("counted") {}
            try await client.delete(copy)
            await #expect(throws: ClientError.self) { try await client.get(copy) }
            await #expect(throws: ClientError.self) {
                try await client.put(ObjectKey(recordOf: "counted"), [1])
            }
            let expected: [(operation: String, outcome: String, count: Int64)] = [
                ("create_bucket", "ok", 1), ("put", "ok", 3), ("get", "ok", 2), ("open", "ok", 1), ("head", "ok", 1),
                ("copy", "ok", 1), ("list", "ok", 1), ("delete", "ok", 1), ("get", "not_found", 1),
                ("put", "failed", 1),
            ]
            for (operation, outcome, count) in expected {
                let dimensions = [("operation", operation), ("outcome", outcome)]
                let counter = try metrics.expectCounter("solidus.client.operations", dimensions)
                #expect(counter.totalValue == count, "\(operation), \(outcome)")
                let timer = try metrics.expectTimer("solidus.client.duration", dimensions)
                #expect(timer.values.count == Int(count) && timer.values.allSatisfy { $0 > 0 }, "\(operation)")
            }
            let all = metrics.counterTotal(label: "solidus.client.operations")
            #expect(all == expected.reduce(0) { $0 + $1.count })
            let put = try metrics.expectCounter("solidus.client.bytes", [("operation", "put")])
            #expect(put.totalValue == Int64(3 + 2 * bytes.count))
            let get = try metrics.expectCounter("solidus.client.bytes", [("operation", "get")])
            #expect(get.totalValue == 3 + 1_999_990)
            let rounds = try metrics.expectRecorder("solidus.client.rounds", [("operation", "put")])
            #expect(rounds.values.count == 3 && rounds.values.allSatisfy { $0 >= 2 })
        }
    }

    @Test("a span tells of its operation, within the caller's")
    func spans() async throws {
        try await withRecordedClient { client, _, tracer in
            let key = try ObjectKey("traced/key")
            try await tracer.withSpan("caller") { _ in
                try await client.put(key, [1, 2, 3])
                _ = try await client.get(key)
            }
            await #expect(throws: ClientError.self) { try await client.get(ObjectKey("traced/none")) }
            await #expect(throws: ClientError.self) { try await client.get(key, range: 5..<6) }
            let spans = tracer.finishedSpans
            #expect(
                spans.map(\.operationName)
                    == ["solidus.put", "solidus.get", "caller", "solidus.get", "solidus.get"])
            try #require(spans.count == 5)
            #expect(spans[0].parentSpanID == spans[2].spanID && spans[1].parentSpanID == spans[2].spanID)
            #expect(spans[3].parentSpanID == nil)
            #expect(spans[0].kind == .client)
            #expect(spans[0].attributes.get("solidus.bucket") == "traced")
            #expect(spans[0].attributes.get("solidus.key") == "traced/key")
            #expect(spans[0].attributes.get("solidus.bytes") == 3)
            #expect(spans[0].attributes.get("solidus.rounds") == 3)
            #expect(spans[0].attributes.get("solidus.outcome") == "ok")
            #expect(spans[0].status == nil && spans[0].errors.isEmpty)
            #expect(spans[3].attributes.get("solidus.outcome") == "not_found")
            #expect(spans[3].status == nil && spans[3].errors.isEmpty)
            #expect(spans[4].attributes.get("solidus.outcome") == "failed")
            #expect(spans[4].status?.code == .error && spans[4].errors.count == 1)
        }
    }

    @Test("a span names the servers that refused")
    func refusals() async throws {
        try await withRecordedClient("guest") { client, metrics, tracer in
            await #expect(throws: ClientError.self) { try await client.put(ObjectKey("shared/key"), [1]) }
            let span = try #require(tracer.finishedSpans.first)
            #expect(span.attributes.get("solidus.outcome") == "refused")
            guard case .int64Array(let servers) = span.attributes.get("solidus.servers.refusing") else {
                Issue.record("\(span.attributes)")
                return
            }
            #expect(servers.count >= 2 && Set(servers).isSubset(of: [0, 1, 2, 3]))
            let counter = try metrics.expectCounter(
                "solidus.client.operations", [("operation", "put"), ("outcome", "refused")])
            #expect(counter.totalValue == 1)
        }
    }

    @Test("what a put's source does itself is counted for itself")
    func operationsOfSources() async throws {
        try await withRecordedClient { client, metrics, _ in
            let key = try ObjectKey("sources/part")
            try await client.put(key, [1, 2, 3])
            let source = AsyncStream { try? await client.get(key).buffer }
            try await client.put(ObjectKey("sources/whole"), from: source.prefix(1))
            let counter = try metrics.expectCounter(
                "solidus.client.operations", [("operation", "get"), ("outcome", "ok")])
            #expect(counter.totalValue == 1)
        }
    }
}
