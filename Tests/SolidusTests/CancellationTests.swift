// What cancelling a task does to the transfer that it waits for.

import Foundation
import Solidus
import Testing

@Suite("Cancelling", .timeLimit(.minutes(3)))
struct CancellationTests {
    /// Longer than a test may take.
    private static var patient: ClientOptions {
        var options = ClientOptions()
        options.timeoutMilliseconds = 600_000
        return options
    }

    @Test("a put whose source gives no more ends when its task is cancelled, and stores nothing")
    func putOfSilentSource() async throws {
        try await Fixture.run { fixture in
            try await withObjectClient(home: fixture.home(), options: Self.patient) { client in
                let key = try ObjectKey("cancelled/put")
                let (source, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
                continuation.yield(ByteBuffer(bytes: testBytes(Fixture.stripeSizeBytes * 6, seed: 9)))
                let begun = Told()
                let put = Task {
                    try await client.put(key, progress: { begun.tell($0) }, from: source)
                }
                while begun.last == nil { try await Task.sleep(for: .milliseconds(5)) }
                put.cancel()
                await expectCancelled(put)
                await #expect(throws: ClientError.self) { try await client.head(key) }
            }
        }
    }

    @Test("a copy that is cancelled on its way throws and does not end the process", arguments: 0..<4)
    func copy(step: Int) async throws {
        try await Fixture.run { fixture in
            try await withObjectClient(home: fixture.home(), options: Self.patient) { client in
                let (source, target) = (try ObjectKey("cancelled/source"), try ObjectKey("cancelled/target"))
                try await client.put(source, testBytes(Fixture.stripeSizeBytes * 8, seed: 12))
                let told = Told()
                let copy = Task { try await client.copy(source, to: target, progress: { told.tell($0) }) }
                while told.all.count <= step * 2 { try await Task.sleep(for: .milliseconds(1)) }
                copy.cancel()
                // It may have been done just before.
                if case .success = await copy.result { return }
                await expectCancelled(copy)
            }
        }
    }

    @Test("operations that wait for servers that are gone end when their tasks are cancelled")
    func goneServers() async throws {
        try await Fixture.run { fixture in
            try await withObjectClient(home: fixture.home(), options: Self.patient) { client in
                let key = try ObjectKey("cancelled/large")
                try await client.put(key, testBytes(Fixture.stripeSizeBytes * 6, seed: 10))
                let path = fixture.path("file")
                try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
                await fixture.stopHalf()
                await expectCancelledSoon { try await client.get(key).bytes }
                await expectCancelledSoon { try await client.get(key, range: 5..<100).bytes }
                await expectCancelledSoon { try await client.put(key, [1]) }
                await expectCancelledSoon { try await client.put(key, fromFile: path) }
                await expectCancelledSoon { try await client.get(key, toFile: path + "-new") }
                #expect(try FileTests.names(fixture.directory) == ["cluster", "file"])
            }
        }
    }

    /// Cancels a task that has had time to begin.
    private func expectCancelledSoon<T: Sendable>(
        sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping @Sendable () async throws -> T
    ) async {
        let task = Task { try await body() }
        try? await Task.sleep(for: .milliseconds(100))
        task.cancel()
        await expectCancelled(task, sourceLocation: sourceLocation)
    }

    private func expectCancelled<T: Sendable>(
        _ task: Task<T, any Error>, sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        let result = await task.result
        guard case .failure(ClientError.cancelled) = result else {
            Issue.record("a cancelled operation ended with \(result)", sourceLocation: sourceLocation)
            return
        }
    }
}
