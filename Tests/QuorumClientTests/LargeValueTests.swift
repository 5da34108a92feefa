// Values of several stripes in and out of whole clusters: as streams, with servers that fail meanwhile.

import ClusterFiles
import ErasureCode
import Foundation
import ObjectStorage
import QuorumClient
import QuorumProtocol
import QuorumServer
import Synchronization
import Testing

/// Pieces of a value, of sizes that have nothing to do with stripes.
private struct Pieces: AsyncSequence, Sendable {
    typealias Element = SharedBytes

    let value: SharedBytes
    var pieceSizeBytes = 300_007
    /// Called before the piece of each number.
    var before: @Sendable (Int) async throws -> Void = { _ in }

    struct AsyncIterator: AsyncIteratorProtocol {
        let pieces: Pieces
        var number = 0

        mutating func next() async throws -> SharedBytes? {
            try await pieces.before(number)
            let start = number * pieces.pieceSizeBytes
            guard start < pieces.value.count else { return nil }
            number += 1
            return pieces.value[start..<Swift.min(pieces.value.count, start + pieces.pieceSizeBytes)]
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: self) }
}

private func joined(_ bytes: ObjectBytes) async throws -> [UInt8] {
    var all: [UInt8] = []
    for try await piece in bytes { all += piece.array }
    return all
}

@Suite("Large values", .serialized)
struct LargeValueTests {
    private static let stripe = 1 << 20

    @Test(
        "of every size come back as they were put, whole and in ranges", .timeLimit(.minutes(5)),
        arguments: [VerificationMode.fingerprint, .full, .none])
    func roundTrip(mode: VerificationMode) async throws {
        try await withCluster(mode: mode) { cluster, client in
            let sizes = [0, 1, Self.stripe, Self.stripe + 1, 2 * Self.stripe, 16 * Self.stripe, 17 * Self.stripe + 5]
            for (number, size) in sizes.enumerated() {
                let key = try ObjectKey("bucket/size-\(size)")
                let value = testBytes(size, seed: UInt64(number) + 1)
                let isKnown = number.isMultiple(of: 2)
                let safe = Mutex<[UInt64]>([])
                let metadata = ObjectMetadata(contentType: "video/none", user: ["a": "b"])
                let put = try await client.put(
                    key, lengthBytes: isKnown ? UInt64(size) : nil, metadata: metadata,
                    progress: { bytes in safe.withLock { $0.append(bytes) } }, from: Pieces(value: value))
                #expect(put.timestamp.counter == 1)
                #expect(safe.withLock { $0.last } == UInt64(size) && safe.withLock { $0 == $0.sorted() })
                let object = try await client.open(key)
                #expect(object.status.timestamp == put.timestamp && object.status.metadata.user == ["a": "b"])
                #expect(object.status.lengthBytes == UInt64(size))
                #expect(try await joined(object) == value.array)
                #expect(try await client.get(key).value == value)
                #expect(try await client.head(key).lengthBytes == UInt64(size))
                for range in Self.ranges(size) {
                    let part = try await client.open(key, range: range)
                    let end = min(Int(range.upperBound), size)
                    #expect(try await joined(part) == Array(value.array[Int(range.lowerBound)..<end]), "\(range)")
                }
                await #expect(throws: ClientError.self) {
                    try await client.open(key, range: UInt64(size)..<UInt64(size + 1))
                }
            }
            // What is large is overwritten by what is small, and deleted, as anything else.
            let key = try ObjectKey("bucket/size-\(2 * Self.stripe)")
            #expect(try await client.put(key, testBytes(5, seed: 9)).timestamp.counter == 2)
            #expect(try await client.get(key).value == testBytes(5, seed: 9))
            let other = try ObjectKey("bucket/size-\(17 * Self.stripe + 5)")
            #expect(try await client.delete(other) != nil)
            await #expect(throws: ClientError.self) { try await client.open(other) }
        }
    }

    private static func ranges(_ size: Int) -> [Range<UInt64>] {
        guard size > 0 else { return [] }
        let size = UInt64(size)
        let stripe = UInt64(stripe)
        let ranges = [0..<1, (size - 1)..<size, 0..<size, 0..<(size + 10), (size / 3)..<(size / 3 + 1)]
        guard size > stripe else { return ranges }
        return ranges + [(stripe - 1)..<(stripe + 1), stripe..<size, (size / 2)..<min(size, size / 2 + stripe)]
    }

    @Test(
        "of up to 16 stripes are taken where versions are verified later, and larger ones refused",
        .timeLimit(.minutes(3)), arguments: [VerificationMode.lazy, .readTime])
    func verifiedLater(mode: VerificationMode) async throws {
        try await withCluster(mode: mode) { cluster, client in
            let key = try ObjectKey("bucket/large")
            let limit = 16 * Self.stripe
            for size in [limit + 1, 40 * Self.stripe] {
                do {
                    let value = testBytes(size, seed: 1)
                    _ = try await client.put(key, lengthBytes: UInt64(size), from: Pieces(value: value))
                    Issue.record("a value of more than 16 stripes was stored")
                } catch ClientError.valueTooLarge(_, size, limit) {}
                // Of unknown length, too; nothing is left of it.
                await #expect(throws: ClientError.self) {
                    try await client.put(key, from: Pieces(value: testBytes(size, seed: 1)))
                }
                await #expect(throws: ClientError.self) { try await client.head(key) }
            }
            for size in [limit, Self.stripe + 1, Self.stripe] {
                let value = testBytes(size, seed: UInt64(size))
                _ = try await client.put(key, from: Pieces(value: value))
                try await cluster.withClient(ClientOptions()) { reader in
                    #expect(try await reader.get(key).value == value)
                    #expect(try await reader.head(key).lengthBytes == UInt64(size))
                    for range in Self.ranges(size) {
                        let part = try await joined(reader.open(key, range: range))
                        #expect(part == Array(value.array[Int(range.lowerBound)..<min(Int(range.upperBound), size)]))
                    }
                }
            }
            // A server that is gone, and what was written meanwhile.
            await cluster.stop(1)
            let value = testBytes(3 * Self.stripe, seed: 5)
            _ = try await client.put(key, from: Pieces(value: value))
            try await cluster.start(1)
            await cluster.stop(0)
            #expect(try await client.get(key).value == value)
            #expect(try await client.delete(key) != nil)
        }
    }

    @Test("go on while a server is gone, and fill it when it comes back", .timeLimit(.minutes(5)))
    func filled() async throws {
        try await withCluster { cluster, client in
            let key = try ObjectKey("bucket/filled")
            let value = testBytes(20 * Self.stripe, seed: 3)
            await cluster.stop(3)
            nonisolated(unsafe) let cluster = cluster
            let source = Pieces(
                value: value, pieceSizeBytes: Self.stripe,
                before: { number in
                    guard number == 8 else { return }
                    try await cluster.start(3)
                    while !client.isConnected(to: NodeID(3)) { try await Task.sleep(for: .milliseconds(10)) }
                })
            _ = try await client.put(key, lengthBytes: UInt64(value.count), from: source)
            let holdings = try await ObjectHoldings.ask(
                key, ClientHome(clusterDirectory: cluster.directory), by: client, timeoutMilliseconds: 20_000)
            #expect(holdings.goodCount == 4, "\(holdings.servers)")
            await cluster.stop(0)
            #expect(try await client.get(key).value == value)
        }
    }

    @Test("are stored and read while a server is gone for good", .timeLimit(.minutes(5)))
    func oneGone() async throws {
        try await withCluster { cluster, client in
            let key = try ObjectKey("bucket/one-gone")
            let value = testBytes(5 * Self.stripe + 77, seed: 4)
            nonisolated(unsafe) let cluster = cluster
            let source = Pieces(
                value: value, pieceSizeBytes: Self.stripe,
                before: { number in if number == 2 { await cluster.stop(1) } })
            _ = try await client.put(key, from: source)
            #expect(try await client.get(key).value == value)
            let holdings = try await ObjectHoldings.ask(
                key, ClientHome(clusterDirectory: cluster.directory), by: client, timeoutMilliseconds: 2000)
            #expect(holdings.goodCount == 3, "\(holdings.servers)")
        }
    }

    @Test("leave the old version and nothing else when their source fails, lies about its length, or is cancelled")
    func failures() async throws {
        struct Broken: Error {}
        try await withCluster { cluster, client in
            let key = try ObjectKey("bucket/failing")
            let old = testBytes(1000, seed: 5)
            _ = try await client.put(key, old)
            let value = testBytes(4 * Self.stripe, seed: 6)
            await #expect(throws: Broken.self) {
                try await client.put(
                    key, from: Pieces(value: value, before: { if $0 == 10 { throw Broken() } }))
            }
            for wrong in [value.count - 1, value.count + 1, 100] {
                do {
                    _ = try await client.put(key, lengthBytes: UInt64(wrong), from: Pieces(value: value))
                    Issue.record("\(wrong) bytes were believed")
                } catch ClientError.wrongLength(_, _, let expected) {
                    #expect(expected == UInt64(wrong))
                }
            }
            let hasBegun = Mutex(false)
            let writing = Task {
                try await client.put(
                    key,
                    from: Pieces(
                        value: value,
                        before: { number in
                            if number > 8 { hasBegun.withLock { $0 = true } }
                            if number > 8 { try await Task.sleep(for: .seconds(60)) }
                        }))
            }
            while !hasBegun.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            writing.cancel()
            await #expect(throws: (any Error).self) { try await writing.value }
            #expect(try await client.get(key).value == old)
            // What was staged is given back, not only forgotten by the client.
            for index in 0..<4 {
                await cluster.stop(index)
                let store = try ObjectStore(directory: "\(cluster.directory)/servers/\(index)/store")
                let record = try ObjectRecord(decoding: try #require(try store.record(of: key.bytes)))
                #expect(record.staged.isEmpty && record.held.count == 1, "server \(index)")
                try store.close()
            }
        }
    }

    @Test("are read to the end of the version that was opened, whatever is written meanwhile", .timeLimit(.minutes(3)))
    func overwrittenWhileRead() async throws {
        try await withCluster { _, client in
            let key = try ObjectKey("bucket/overwritten")
            let first = testBytes(9 * Self.stripe, seed: 7)
            _ = try await client.put(key, from: Pieces(value: first))
            let object = try await client.open(key)
            var iterator = object.makeAsyncIterator()
            var read = try #require(try await iterator.next()).array
            for seed in 20..<23 as Range<UInt64> {
                _ = try await client.put(key, from: Pieces(value: testBytes(2 * Self.stripe, seed: seed)))
            }
            while let piece = try await iterator.next() { read += piece.array }
            #expect(read == first.array)
            #expect(try await client.get(key).value == testBytes(2 * Self.stripe, seed: 22))
        }
    }

    @Test("of a version that is gone cannot be read; the one that replaced it is, at once", .timeLimit(.minutes(3)))
    func gone() async throws {
        try await withCluster { _, client in
            let key = try ObjectKey("bucket/gone")
            let first = try await client.put(key, from: Pieces(value: testBytes(3 * Self.stripe, seed: 1)))
            let object = try await client.open(key)
            #expect(object.status.timestamp == first.timestamp)
            // More than are retained; nobody has begun to read the first one.
            for seed in 2..<12 as Range<UInt64> {
                _ = try await client.put(key, from: Pieces(value: testBytes(2 * Self.stripe, seed: seed)))
            }
            do {
                _ = try await joined(object)
                Issue.record("a version was kept beyond all that are retained")
            } catch ClientError.overwritten(key, first.timestamp) {}
            #expect(try await client.get(key).value == testBytes(2 * Self.stripe, seed: 11))
        }
    }

    @Test("are gone on with when an upload was interrupted: what is there is not sent again", .timeLimit(.minutes(5)))
    func goneOnWith() async throws {
        struct Interruption: Error {}
        try await withCluster { _, client in
            let key = try ObjectKey("bucket/resumed")
            let value = testBytes(20 * Self.stripe + 7, seed: 31)
            let upload = client.newUpload(lengthBytes: UInt64(value.count))
            let broken = Pieces(
                value: value, pieceSizeBytes: Self.stripe, before: { if $0 == 15 { throw Interruption() } })
            await #expect(throws: Interruption.self) {
                try await client.put(key, lengthBytes: UInt64(value.count), upload: upload, from: broken)
            }
            await #expect(throws: ClientError.self) { try await client.head(key) }
            #expect(try await client.stored(upload, as: key) == nil)
            let sent = client.trafficBytes.sent
            // Its third stripe is another one by now: what is stored is what is read.
            var changed = value.array
            changed[2 * Self.stripe + 5] ^= 1
            let again = SharedBytes(changed)
            let name = try #require(ResumableUpload("\(upload)"))
            let put = try await client.put(
                key, lengthBytes: UInt64(value.count), upload: name,
                from: Pieces(value: again, pieceSizeBytes: Self.stripe))
            // Of 20 stripes 14 had been read before, of which some may not have been staged: twice their size is sent.
            #expect(client.trafficBytes.sent - sent < UInt64(13 * 2 * Self.stripe))
            #expect(try await client.get(key).value == again)
            #expect(try await client.stored(upload, as: key)?.timestamp == put.timestamp)
            // What is over is not gone on with.
            await #expect(throws: ClientError.self) {
                try await client.put(key, lengthBytes: UInt64(value.count), upload: upload, from: Pieces(value: value))
            }
            #expect(try await client.get(key).value == again)
            await client.discard(client.newUpload(lengthBytes: nil), of: key)
        }
    }

    @Test("and small ones are found and read by their versions while these are kept", .timeLimit(.minutes(3)))
    func versions() async throws {
        try await withCluster(liar: .sendsGarbage) { _, client in
            let key = try ObjectKey("bucket/versions")
            #expect(try await client.versions(of: key).isEmpty)
            let values = [testBytes(100, seed: 1), testBytes(3 * Self.stripe, seed: 2), testBytes(0, seed: 3)]
            var written: [Timestamp] = []
            for value in values { written.append(try await client.put(key, from: Pieces(value: value)).timestamp) }
            let deletion = try #require(try await client.delete(key))
            let versions = try await client.versions(of: key)
            #expect(versions.map(\.timestamp) == [deletion.timestamp] + written.reversed())
            #expect(versions.map(\.isCurrent) == [true, false, false, false])
            #expect(versions.map { $0.head?.lengthBytes } == [nil] + values.reversed().map { UInt64($0.count) })
            for (timestamp, value) in zip(written, values) {
                #expect(try await joined(client.open(key, version: timestamp)) == value.array)
            }
            let range = UInt64(Self.stripe - 5)..<UInt64(Self.stripe + 5)
            let part = try await client.open(key, version: written[1], range: range)
            #expect(try await joined(part) == Array(values[1].array[Int(range.lowerBound)..<Int(range.upperBound)]))
            for none in [deletion.timestamp, try #require(Timestamp(fullName: "9" + written[0].fullName))] {
                await #expect(throws: ClientError.self) { try await client.open(key, version: none) }
            }
        }
    }

    @Test("tell which of the bytes that an interrupted download left are theirs", .timeLimit(.minutes(3)))
    func goodPrefix() async throws {
        try await withCluster { _, client in
            let key = try ObjectKey("bucket/prefix")
            let value = testBytes(18 * Self.stripe + 9, seed: 12)
            _ = try await client.put(key, from: Pieces(value: value))
            let object = try await client.open(key)
            func good(_ bytes: [UInt8]) async throws -> Int {
                Int(
                    try await object.goodPrefixBytes(of: UInt64(bytes.count)) { range in
                        SharedBytes(Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
                    })
            }
            #expect(try await good(value.array) == value.count)
            #expect(try await good(Array(value.array.prefix(5 * Self.stripe + 100))) == 5 * Self.stripe)
            #expect(try await good(Array(value.array.prefix(Self.stripe - 1))) == 0)
            var rotten = value.array
            rotten[17 * Self.stripe + 1] ^= 1
            #expect(try await good(rotten) == 17 * Self.stripe)
        }
    }

    @Test("are copied piece by piece, with their metadata")
    func copied() async throws {
        try await withCluster { _, client in
            let (source, target) = (try ObjectKey("bucket/source"), try ObjectKey("other/target"))
            let value = testBytes(3 * Self.stripe + 1, seed: 8)
            _ = try await client.put(source, metadata: ObjectMetadata(contentType: "a/b"), from: Pieces(value: value))
            let copy = try await client.copy(source, to: target)
            #expect(copy.source.lengthBytes == UInt64(value.count))
            let object = try await client.get(target)
            #expect(object.value == value && object.status.metadata.contentType == "a/b")
        }
    }

    @Test(
        "are stored and read beside a server that says it has what it has not, or sends garbage",
        .timeLimit(.minutes(5)), arguments: LargeValueLiar.Way.allCases)
    func liar(way: LargeValueLiar.Way) async throws {
        try await withCluster(liar: way) { _, client in
            let key = try ObjectKey("bucket/liar")
            let value = testBytes(18 * Self.stripe + 3, seed: 9)
            _ = try await client.put(key, from: Pieces(value: value))
            #expect(try await client.get(key).value == value)
            let range = UInt64(17 * Self.stripe)..<UInt64(18 * Self.stripe)
            let part = try await client.open(key, range: range)
            #expect(try await joined(part) == Array(value.array[Int(range.lowerBound)..<Int(range.upperBound)]))
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

/// A server that lies about stripes.
final class LargeValueLiar: ServerInterposer {
    enum Way: CaseIterable {
        /// It acknowledges what it is sent, and keeps none of it.
        case stagesNothing
        /// It sends garbage for fragments and pages.
        case sendsGarbage
        /// It refuses all that has to do with stripes.
        case refuses
    }

    private let way: Way
    private let answer = Mutex<(@Sendable (RequestTag, Reply?) -> Void)?>(nil)

    init(_ way: Way) { self.way = way }

    func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
        self.answer.withLock { $0 = answer }
    }

    func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? {
        let answer = answer.withLock { $0 }
        switch (way, request) {
        case (.stagesNothing, .stage):
            answer?(tag, .staged)
            return nil
        case (.refuses, .stage), (.refuses, .fetch), (.refuses, .discard):
            answer?(tag, .refused(.storageFailed))
            return nil
        default:
            return request
        }
    }

    func send(_ reply: Reply, tag: RequestTag) {
        let answer = answer.withLock { $0 }
        guard way == .sendsGarbage, case .fetched(let parts) = reply else {
            answer?(tag, reply)
            return
        }
        let garbage = parts.fragment.map { SharedBytes($0.array.map { $0 ^ 1 }) }
        answer?(
            tag,
            .fetched(FetchedParts(position: parts.position, fragment: garbage, page: parts.page.map { $0.reversed() })))
    }

    func keeps(_ change: ObjectChange) -> Bool { true }
}
