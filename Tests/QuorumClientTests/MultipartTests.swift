// Uploads in parts on whole clusters: by several clients with one key, again after answers that were lost, among liars.

import ErasureCode
import QuorumProtocol
import QuorumServer
import Synchronization
import Testing

@testable import QuorumClient

@Suite("An upload in parts", .serialized)
struct MultipartTests {
    private static let stripe = 1 << 20
    private static let key = try! ObjectKey("bucket/film")

    private func source(_ value: SharedBytes) -> AsyncStream<SharedBytes> {
        AsyncStream { continuation in
            // Pieces of a size that has nothing to do with stripes.
            for start in stride(from: 0, to: value.count, by: 300_007) {
                continuation.yield(value[start..<min(value.count, start + 300_007)])
            }
            continuation.finish()
        }
    }

    private func put(
        _ number: Int, _ value: SharedBytes, _ upload: MultipartUpload, _ client: ObjectClient, etag: String = ""
    ) async throws -> UploadedPart {
        try await client.putPart(number, of: upload, seal: { $0.etag = etag }, from: source(value))
    }

    @Test(
        "becomes its parts by their numbers, whoever stored them and in whatever order, among liars",
        .timeLimit(.minutes(3)), arguments: [nil, LargeValueLiar.Way.stagesNothing, .sendsGarbage, .refuses])
    func joined(liar: LargeValueLiar.Way?) async throws {
        try await withCluster(liar: liar) { cluster, client in
            let metadata = ObjectMetadata(contentType: "video/none", user: ["a": "b"])
            let upload = try await client.beginUpload(Self.key, metadata: metadata)
            let named = try #require(MultipartUpload(Self.key, id: upload.id))
            #expect(named == upload && MultipartUpload(Self.key, id: "film") == nil)
            let other = try cluster.client()
            let values = [
                testBytes(17 * Self.stripe + 1, seed: 1), testBytes(100, seed: 2), testBytes(2 * Self.stripe, seed: 3),
            ]
            _ = try await put(900, values[2], named, other, etag: "c")
            _ = try await put(2, testBytes(70_000, seed: 9), upload, client, etag: "wrong")
            async let first = put(1, values[0], upload, client, etag: "a")
            async let second = put(2, values[1], named, other, etag: "b")
            #expect(try await (first.lengthBytes, second.lengthBytes) == (UInt64(values[0].count), 100))
            _ = try await put(901, SharedBytes(), upload, client)
            let parts = try await other.parts(of: upload)
            #expect(parts.map(\.number) == [1, 2, 900, 901] && parts.map(\.etag) == ["a", "b", "c", ""])
            #expect(parts.map(\.lengthBytes) == values.map { UInt64($0.count) } + [0])
            #expect(try await other.uploads(in: "bucket").map(\.upload) == [upload])
            #expect(try await client.uploads(in: "bucke").isEmpty)
            await #expect(throws: ClientError.self) { try await client.head(Self.key) }
            let result = try await other.complete(upload, etag: "whole")
            let found = try await client.get(Self.key)
            #expect(found.value == ObjectClient.joined(values) && found.status.timestamp == result.timestamp)
            #expect(found.status.metadata.user == ["a": "b"] && found.status.etag == "whole")
            #expect(found.status.layout.partCount == 3)
            let range = try await client.open(
                Self.key, range: UInt64(values[0].count - 5)..<UInt64(values[0].count + 105))
            var bytes: [UInt8] = []
            for try await piece in range { bytes += piece.array }
            #expect(bytes == values[0].array.suffix(5) + values[1].array + values[2].array.prefix(5))
            #expect(try await client.uploads(in: "bucket").isEmpty)
            await #expect(throws: ClientError.self) { try await client.parts(of: upload) }
            await #expect(throws: ClientError.self) { try await put(1, values[1], upload, client) }
            #expect(try await client.openUploads(to: Self.key, of: client.id).isEmpty)
            await other.close()
        }
    }

    @Test("that is complete gives the same version again, also when that was overwritten", .timeLimit(.minutes(3)))
    func once() async throws {
        try await withCluster { cluster, client in
            let upload = try await client.beginUpload(Self.key)
            _ = try await put(1, testBytes(Self.stripe + 1, seed: 1), upload, client)
            let first = try await client.complete(upload)
            let next = try await client.put(Self.key, testBytes(5, seed: 2))
            #expect(try await client.complete(upload).timestamp == first.timestamp)
            #expect(try await client.head(Self.key).timestamp == next.timestamp)
            // The process that completes another one does not come to say so.
            let second = try await client.beginUpload(Self.key)
            let part = try await client.putPart(1, of: second, from: source(testBytes(Self.stripe + 1, seed: 3)))
            #expect(part.lengthBytes == UInt64(Self.stripe + 1))
            let noted = try #require(try await client.notedParts(of: second).first?.contents)
            let written = try await client.write(
                Self.key, .staged(StagedContents(parts: [noted]), ObjectMetadata(), salt: .random()))
            let last = try await client.put(Self.key, testBytes(6, seed: 4))
            let other = try cluster.client()
            #expect(try await other.complete(second).timestamp == written.timestamp)
            #expect(try await other.head(Self.key).timestamp == last.timestamp)
            #expect(try await client.complete(second).timestamp == written.timestamp)
            await other.close()
        }
    }

    @Test("is refused a part that it has not, or that is another one, and stays as it was", .timeLimit(.minutes(3)))
    func otherParts() async throws {
        try await withCluster { _, client in
            let upload = try await client.beginUpload(Self.key)
            let unknown = try #require(MultipartUpload(Self.key, id: String(repeating: "7", count: 32)))
            let elsewhere = try #require(MultipartUpload(try ObjectKey("bucket/other"), id: upload.id))
            await #expect(throws: ClientError.self) { try await client.complete(upload) }
            _ = try await put(1, testBytes(10, seed: 1), upload, client, etag: "a")
            _ = try await put(2, testBytes(20, seed: 2), upload, client, etag: "b")
            for number in [0, -1, 10_001] {
                do {
                    _ = try await put(number, testBytes(1, seed: 1), upload, client)
                    Issue.record("part \(number) was stored")
                } catch ClientError.noPart(Self.key, let named) { #expect(named == number) }
            }
            for over in [unknown, elsewhere] {
                for attempt: () async throws -> Void in [
                    { _ = try await self.put(1, testBytes(1, seed: 1), over, client) },
                    { _ = try await client.parts(of: over) }, { _ = try await client.complete(over) },
                ] {
                    do {
                        try await attempt()
                        Issue.record("an upload that never was went on")
                    } catch ClientError.uploadEnded {}
                }
            }
            let wrong: [[PartToJoin]] = [
                [PartToJoin(number: 3)], [PartToJoin(number: 1), PartToJoin(number: 1)],
                [PartToJoin(number: 2), PartToJoin(number: 1)], [PartToJoin(number: 1, etag: "b")], [],
            ]
            for parts in wrong {
                await #expect(throws: ClientError.self) { try await client.complete(upload, parts: parts) }
            }
            do {
                _ = try await client.putPart(3, of: upload, lengthBytes: 6, from: source(testBytes(5, seed: 1)))
                Issue.record("a part of another length was stored")
            } catch ClientError.wrongLength(_, let got, let expected) {
                #expect(got == 5 && expected == 6)
            }
            #expect(try await client.parts(of: upload).map(\.number) == [1, 2])
            await #expect(throws: ClientError.self) { try await client.head(Self.key) }
            _ = try await client.complete(upload, parts: [PartToJoin(number: 2, etag: "b")])
            #expect(try await client.get(Self.key).value == testBytes(20, seed: 2))
        }
    }

    @Test("goes by notes of its own parts only, whatever lies beside them", .timeLimit(.minutes(3)))
    func foreignNotes() async throws {
        try await withCluster { _, client in
            let (upload, other) = (try await client.beginUpload(Self.key), try await client.beginUpload(Self.key))
            _ = try await put(1, testBytes(10, seed: 1), upload, client)
            _ = try await put(2, testBytes(20, seed: 2), other, client)
            let foreign = try #require(try await client.notedParts(of: other).first?.contents)
            let bytes = SharedBytes(PartNote(foreign).bytes())
            var keys = [try upload.note(ofPart: 2), try upload.note(ofPart: 3)]
            for suffix in [".1", ".+0001", ".00000", ".10001", ".000001", ".x"] {
                keys.append(
                    try ObjectKey(upload: upload.upload, to: Self.key.bucketBytes, note: suffix))
            }
            for key in keys { _ = try await client.write(key, .value(bytes, ObjectMetadata(), salt: .random())) }
            _ = try await client.write(
                try upload.note(ofPart: 4), .value(testBytes(10, seed: 4), ObjectMetadata(), salt: .random()))
            #expect(try await client.parts(of: upload).map(\.number) == [1])
            await #expect(throws: ClientError.self) {
                try await client.complete(upload, parts: [PartToJoin(number: 1), PartToJoin(number: 2)])
            }
            _ = try await client.complete(upload)
            #expect(try await client.get(Self.key).value == testBytes(10, seed: 1))
        }
    }

    @Test("has a part that fails give back what it took", .timeLimit(.minutes(3)))
    func failedPart() async throws {
        try await withCluster { _, client in
            let upload = try await client.beginUpload(Self.key)
            do {
                _ = try await client.putPart(
                    1, of: upload, lengthBytes: 9 << 20, from: source(testBytes(3 * Self.stripe, seed: 1)))
                Issue.record("a part of another length was stored")
            } catch ClientError.wrongLength {}
            #expect(try await client.openUploads(to: Self.key, of: client.id).isEmpty)
            _ = try await put(1, testBytes(5, seed: 2), upload, client)
            _ = try await client.complete(upload)
            #expect(try await client.get(Self.key).value == testBytes(5, seed: 2))
        }
    }

    @Test("may be empty, and can be given up", .timeLimit(.minutes(3)))
    func aborted() async throws {
        try await withCluster { _, client in
            let empty = try await client.beginUpload(Self.key, metadata: ObjectMetadata(contentType: "text/plain"))
            _ = try await put(1, SharedBytes(), empty, client)
            _ = try await client.complete(empty)
            #expect(try await client.head(Self.key).lengthBytes == 0)
            #expect(try await client.head(Self.key).metadata.contentType == "text/plain")
            let upload = try await client.beginUpload(Self.key)
            _ = try await put(1, testBytes(3 * Self.stripe, seed: 1), upload, client)
            let open = try await client.openUploads(to: Self.key, of: client.id)
            #expect(open.map(\.id) == [upload.id] && open[0].chargedBytes >= UInt64(3 * Self.stripe / 2))
            #expect(open[0].expiresMilliseconds == open[0].lastMilliseconds + 7 * 86_400_000)
            try await client.abort(upload)
            try await client.abort(upload)
            #expect(try await client.openUploads(to: Self.key, of: client.id).isEmpty)
            #expect(try await client.uploads(in: "bucket").isEmpty)
            await #expect(throws: ClientError.self) { try await client.complete(upload) }
            #expect(try await client.head(Self.key).lengthBytes == 0)
        }
    }

    @Test(
        "has 16 stripes at most where versions are verified later", .timeLimit(.minutes(3)),
        arguments: [VerificationMode.lazy, .readTime])
    func verifiedLater(mode: VerificationMode) async throws {
        try await withCluster(mode: mode) { _, client in
            let upload = try await client.beginUpload(Self.key)
            let parts = (1...17).map { testBytes(5 + $0, seed: UInt64($0)) }
            for (place, part) in parts.enumerated() { _ = try await put(place + 1, part, upload, client) }
            do {
                _ = try await client.complete(upload)
                Issue.record("an object of 17 stripes")
            } catch ClientError.tooManyStripes(Self.key, limit: 16) {}
            await #expect(throws: ClientError.self) { try await client.head(Self.key) }
            // Without the last one it can be joined.
            _ = try await client.complete(upload, parts: (1...16).map { PartToJoin(number: $0) })
            #expect(try await client.get(Self.key).value.array == parts.dropLast().flatMap(\.array))
        }
    }

    private func withCluster(
        mode: VerificationMode = .fingerprint, liar: LargeValueLiar.Way? = nil,
        _ body: (InProcessCluster, ObjectClient) async throws -> Void
    ) async throws {
        let interposers: [Int: any ServerInterposer] = liar.map { [0: LargeValueLiar($0)] } ?? [:]
        let cluster = try await InProcessCluster(mode: mode, interposers: interposers)
        do {
            try await cluster.withClient(ClientOptions()) { client in try await body(cluster, client) }
        } catch {
            await cluster.remove()
            throw error
        }
        await cluster.remove()
    }
}
