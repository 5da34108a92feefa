// Bytes, buffers, texts and streams into objects and back. Nothing of the library's but `Solidus` is imported, as in a
// user's program.

import Foundation
import Solidus
import Testing

@Suite("Bytes into objects and back", .oneCluster, .timeLimit(.minutes(3)))
struct BytesTests {
    @Test("arrays, data, slices, texts and buffers are stored and read back")
    func kinds() async throws {
        try await withObjectClient(home: OneCluster.current.home()) { client in
            let bytes = testBytes(1000, seed: 1)
            let key = try ObjectKey("kinds/key")
            try await client.put(key, bytes)
            #expect(try await client.get(key).bytes == bytes)
            try await client.put(key, Data(bytes.reversed()))
            #expect(try await client.get(key).bytes == bytes.reversed())
            try await client.put(key, bytes[10..<20])
            #expect(try await client.get(key).bytes == Array(bytes[10..<20]))
            try await client.put(key, "Grüße")
            #expect(try await client.get(key).text == "Grüße")
            try await client.put(key, [0xff, 0xfe])
            #expect(try await client.get(key).text == nil)
            var buffer = ByteBuffer(bytes: bytes)
            buffer.moveReaderIndex(forwardBy: 100)
            try await client.put(key, buffer)
            #expect(try await client.get(key).buffer == buffer)
        }
    }

    @Test("what is written to a buffer after it was handed over does not change what is stored")
    func bufferChangedLater() throws {
        var buffer = ByteBuffer(bytes: testBytes(100, seed: 2))
        let shared = SharedBytes(buffer)
        buffer.setBytes([UInt8](repeating: 0, count: 100), at: 0)
        #expect(shared.array == testBytes(100, seed: 2))
    }

    @Test(
        "a stream of buffers of any sizes becomes an object, and the object a stream of buffers",
        arguments: [0, 1, 1000, Fixture.stripeSizeBytes, Fixture.stripeSizeBytes * 5 + 7])
    func streams(count: Int) async throws {
        try await withObjectClient(home: OneCluster.current.home()) { client in
            let bytes = testBytes(count, seed: UInt64(count))
            let key = try ObjectKey("streams/\(count)")
            let told = Told()
            try await client.put(key, progress: { told.tell($0) }, from: Self.stream(bytes, pieceSizeBytes: 10_007))
            #expect(told.last == UInt64(count))
            let buffers = try await client.open(key).buffers
            #expect(buffers.status.lengthBytes == UInt64(count))
            var read: [UInt8] = []
            for try await buffer in buffers { read += buffer.readableBytesView }
            #expect(read == bytes)
        }
    }

    @Test("parts, of bytes and of buffers, become one object")
    func parts() async throws {
        try await withObjectClient(home: OneCluster.current.home()) { client in
            let bytes = testBytes(Fixture.stripeSizeBytes * 2 + 7, seed: 5)
            let key = try ObjectKey("parts/key")
            let upload = try await client.beginUpload(key, metadata: ObjectMetadata(contentType: "text/plain"))
            try await client.putPart(2, of: upload, Array("Grüße".utf8), etag: "b")
            let part = try await client.putPart(
                1, of: upload, lengthBytes: UInt64(bytes.count), from: Self.stream(bytes, pieceSizeBytes: 10_007))
            #expect(part.lengthBytes == UInt64(bytes.count) && part.etag == "")
            #expect(try await client.parts(of: upload).map(\.etag) == ["", "b"])
            let result = try await client.complete(
                upload, parts: [PartToJoin(number: 1), PartToJoin(number: 2, etag: "b")], etag: "whole")
            let object = try await client.get(key)
            #expect(object.bytes == bytes + Array("Grüße".utf8) && object.status.timestamp == result.timestamp)
            #expect(object.status.metadata.contentType == "text/plain" && object.status.etag == "whole")
        }
    }

    @Test("a length that the source does not have is refused, and nothing is stored", arguments: [99, 101])
    func wrongLength(stated: UInt64) async throws {
        try await withObjectClient(home: OneCluster.current.home()) { client in
            let key = try ObjectKey("lengths/\(stated)")
            let error = await #expect(throws: ClientError.self) {
                try await client.put(
                    key, lengthBytes: stated, from: Self.stream(testBytes(100, seed: 3), pieceSizeBytes: 40))
            }
            guard case .wrongLength(key, got: 100, expected: stated) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            await #expect(throws: ClientError.self) { try await client.head(key) }
        }
    }

    @Test("a source's error is thrown, and nothing is stored")
    func failingSource() async throws {
        struct Spilled: Error {}
        try await withObjectClient(home: OneCluster.current.home()) { client in
            let key = try ObjectKey("sources/failing")
            let source = AsyncThrowingStream<ByteBuffer, any Error> { continuation in
                continuation.yield(ByteBuffer(bytes: testBytes(Fixture.stripeSizeBytes * 3, seed: 4)))
                continuation.finish(throwing: Spilled())
            }
            await #expect(throws: Spilled.self) { try await client.put(key, from: source) }
            await #expect(throws: ClientError.self) { try await client.head(key) }
        }
    }

    @Test("ranges are read of values of one stripe and of many", arguments: [1000, Fixture.stripeSizeBytes * 3 + 3])
    func ranges(count: Int) async throws {
        try await withObjectClient(home: OneCluster.current.home()) { client in
            let bytes = testBytes(count, seed: 5)
            let key = try ObjectKey("ranges/\(count)")
            try await client.put(key, bytes)
            for range in [0..<1, 0..<count, 17..<count - 5, count / 2..<count * 2 / 3, count - 1..<count] {
                let object = try await client.get(key, range: UInt64(range.lowerBound)..<UInt64(range.upperBound))
                #expect(object.bytes == Array(bytes[range]), "\(range)")
                #expect(object.status.lengthBytes == UInt64(count))
            }
            #expect(try await client.get(key, range: 900..<UInt64.max).bytes == Array(bytes[900...]))
            #expect(try await client.get(key, range: 5..<5).bytes == [])
            var streamed: [UInt8] = []
            for try await buffer in try await client.open(key, range: 3..<997).buffers {
                streamed += buffer.readableBytesView
            }
            #expect(streamed == Array(bytes[3..<997]))
            let error = await #expect(throws: ClientError.self) {
                try await client.get(key, range: UInt64(count)..<UInt64(count) + 1)
            }
            guard case .invalidRange(key, lengthBytes: UInt64(count)) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test("what is stored can be listed, looked at, copied and deleted, with nothing else imported")
    func otherOperations() async throws {
        try await withObjectClient(home: OneCluster.current.home()) { client in
            try await client.createBucket("others")
            #expect(try await client.buckets().buckets.contains { $0.name == "others" })
            let key = try ObjectKey("others/a")
            let written = try await client.put(
                key, "text", metadata: ObjectMetadata(contentType: "text/plain", user: ["by": "test"]))
            let status = try await client.head(key)
            #expect(status.timestamp == written.timestamp)
            #expect(status.metadata.user == ["by": "test"])
            _ = try await client.copy(key, to: ObjectKey("others/b"))
            var names: [String] = []
            for try await entry in try client.list("others") {
                if case .object(let object) = entry { names.append(object.key.text) }
            }
            #expect(names == ["others/a", "others/b"])
            #expect(try await client.delete(key) != nil)
            #expect(try await client.delete(key) == nil)
            let error = await #expect(throws: ClientError.self) { try await client.get(key) }
            guard case .notFound(key) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    static func stream(_ bytes: [UInt8], pieceSizeBytes: Int) -> AsyncStream<ByteBuffer> {
        AsyncStream { continuation in
            for start in stride(from: 0, to: bytes.count, by: pieceSizeBytes) {
                continuation.yield(ByteBuffer(bytes: bytes[start..<min(start + pieceSizeBytes, bytes.count)]))
            }
            continuation.finish()
        }
    }
}
