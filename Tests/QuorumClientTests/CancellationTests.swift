// What cancelling a task does to the operation it waits for.

import QuorumClient
import QuorumProtocol
import Testing

@Suite("Cancelling operations", .serialized)
struct CancellationTests {
    @Test("a put that waits for its turn behind one that cannot finish ends when its task is cancelled")
    func waitingPut() async throws {
        try await withCluster(timeoutMilliseconds: 600_000) { cluster, client in
            for index in 0..<2 { await cluster.stop(index) }
            let key = try ObjectKey("bucket/key")
            let puts = (0..<3).map { number in
                Task { try await client.put(key, testBytes(100, seed: UInt64(number))) }
            }
            // Whichever has the turn, the others wait for as long as it does.
            for put in puts.reversed() {
                put.cancel()
                let result = await put.result
                guard case .failure(ClientError.cancelled) = result else {
                    Issue.record("a cancelled put ended with \(result)")
                    continue
                }
            }
        }
    }
}
