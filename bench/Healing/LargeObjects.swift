// Large objects that go in and out as streams, some at a time.

import ErasureCode
import QuorumClient
import QuorumProtocol

struct LargeObjects: Sendable {
    static let bucket = "large"
    /// As many as a server repairs at a time.
    private static let atOnce = 2

    let count: Int
    let sizeBytes: UInt64
    private let contents: TransferContents

    init(count: Int, sizeBytes: UInt64) {
        self.count = count
        self.sizeBytes = sizeBytes
        contents = TransferContents(sizeBytes: sizeBytes)
    }

    var valueBytes: UInt64 { UInt64(count) * sizeBytes }

    func key(_ number: Int) throws -> ObjectKey { try ObjectKey("\(Self.bucket)/\(number)") }

    /// Stores all of them; the seconds that it took.
    func put(by clients: [ObjectClient]) async throws -> Double {
        try await forEach(clients) { key, client in
            _ = try await client.put(key, lengthBytes: sizeBytes, from: contents)
        }
    }

    /// Reads all of them, and compares every byte; the seconds that it took.
    func get(by clients: [ObjectClient]) async throws -> Double {
        try await forEach(clients) { key, client in
            var offset: UInt64 = 0
            for try await piece in try await client.open(key) {
                guard contents.matches(piece, from: offset) else { throw BenchmarkError.wrongBytes(key, from: offset) }
                offset += UInt64(piece.count)
            }
            guard offset == sizeBytes else {
                throw BenchmarkError.wrongValue(key, gotBytes: Int(offset), expectedBytes: Int(sizeBytes))
            }
        }
    }

    private func forEach(
        _ clients: [ObjectClient], _ body: @escaping @Sendable (ObjectKey, ObjectClient) async throws -> Void
    ) async throws -> Double {
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                if number >= Self.atOnce { try await group.next() }
                let (key, client) = (try key(number), clients[number % clients.count])
                group.addTask { try await body(key, client) }
            }
            try await group.waitForAll()
        }
        return (ContinuousClock.now - start).inSeconds
    }
}
