// What clients are given that is odd, wrong, or ends in the middle.

import ClusterFiles
import ErasureCode
import Foundation
import ObjectStorage
import QuorumClient
import QuorumProtocol
import QuorumServer
import Synchronization
import Testing

@Suite("Odd and wrong input", .serialized, .timeLimit(.minutes(3)))
struct BadInputTests {
    private static let stripe = 1 << 20

    /// A name of each class of bytes that there is in UTF-8.
    private static let names: [[UInt8]] =
        [
            "a", "/", "//", "/a", "a/", "a//b", ".", "..", "../a", "a/./b", " ", " a ", "a\tb\r\nc", "\u{1B}[2J",
            "\u{7F}",
            "\u{85}\u{9F}", "\u{A0}", "e\u{301}", "\u{E9}", "\u{FEFF}", "\u{202E}abc", "\u{FFFF}", "\u{10FFFF}",
            "\u{1F600}", "a\\b", "a*?[b]", "%2F", "\"'`$(x)", "_a", "CON", "a.", String(repeating: "x", count: 1024),
            String(repeating: "\u{E9}", count: 512),
        ].map { Array($0.utf8) } + [[0], Array(1...31)]

    @Test("keys of every class of bytes are stored, read, listed and deleted just as they are")
    func names() async throws {
        try await withCluster { _, client in
            let keys = try Self.names.map { try ObjectKey(bytes: Array("bucket/".utf8) + $0) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, key) in keys.enumerated() {
                    group.addTask {
                        let value = testBytes(number, seed: UInt64(number) + 1)
                        _ = try await client.put(key, value)
                        #expect(try await client.get(key).value == value, "\(key)")
                    }
                }
                try await group.waitForAll()
            }
            for pageSize in [7, 1000] {
                var listed: [ObjectKey] = []
                for try await case .object(let object) in try client.list(
                    prefix: Array("bucket/".utf8), pageSize: pageSize)
                {
                    listed.append(object.key)
                }
                #expect(listed == keys.sorted())
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for key in keys {
                    group.addTask {
                        let deletion = try await client.delete(key)
                        #expect(deletion != nil, "\(key)")
                    }
                }
                try await group.waitForAll()
            }
            for try await entry in try client.list("bucket") { Issue.record("\(entry) was not deleted") }
        }
    }

    @Test(
        "what is no key is refused with the reason",
        arguments: [
            ("", "no slash"), ("bucket", "no slash"), ("bucket/", "is empty"), ("/a", "bucket"), ("Bucket/a", "bucket"),
            ("_buckets/a", "bucket"), ("a b/c", "bucket"), ("bucket/" + String(repeating: "x", count: 1025), "1024"),
        ])
    func noKeys(text: String, reason: String) {
        do throws(ObjectKeyError) {
            _ = try ObjectKey(text)
            Issue.record("'\(text)' is a key")
        } catch {
            #expect("\(error)".contains(reason), "\(error)")
        }
        for bytes: [UInt8] in [[0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]] {
            #expect(throws: ObjectKeyError.notUTF8) { try ObjectKey(bytes: Array("bucket/a".utf8) + bytes) }
        }
    }

    @Test("a size that nothing can have is refused before a byte is read; a stream of unknown size has room for most")
    func sizes() async throws {
        try await withCluster { cluster, client in
            let key = try ObjectKey("bucket/large")
            let wasRead = Mutex(false)
            let source = AsyncStream<SharedBytes> {
                wasRead.withLock { $0 = true }
                return nil
            }
            await #expect(throws: ClientError.self) {
                try await client.put(key, lengthBytes: (5 << 40) + 1, from: source)
            }
            #expect(!wasRead.withLock { $0 })
            // UPLOAD:STRIPE. Of unknown length the stripes are the cluster's largest; where it is known, small ones that do.
            func stripeBytes(_ lengthBytes: UInt64?) -> UInt64? {
                "\(client.newUpload(lengthBytes: lengthBytes))".split(separator: ":").last.flatMap { UInt64($0) }
            }
            #expect(stripeBytes(nil) == UInt64(Self.stripe) && stripeBytes(2 << 20) == UInt64(Self.stripe))
        }
    }

    @Test(
        "an upload's name in another client's hands does its upload no harm, and once it is stored is good for nothing")
    func foreignUpload() async throws {
        struct Interruption: Error {}
        try await withCluster { cluster, client in
            _ = try OperatorHome(clusterDirectory: cluster.directory).add(
                NewClient(name: "other", grants: [NewClient.everything]))
            for server in cluster.servers { _ = await server?.reload() }
            let other = try ObjectClient(home: ClientHome(clusterDirectory: cluster.directory, client: "other"))
            let key = try ObjectKey("bucket/shared")
            let (value, theirs) = (testBytes(5 * Self.stripe, seed: 1), testBytes(4 * Self.stripe, seed: 2))
            let upload = client.newUpload(lengthBytes: UInt64(value.count))
            func pieces(_ value: SharedBytes, failing: Bool) -> AsyncThrowingStream<SharedBytes, any Error> {
                AsyncThrowingStream { continuation in
                    for start in stride(from: 0, to: failing ? 3 * Self.stripe : value.count, by: Self.stripe) {
                        continuation.yield(value[start..<(start + Self.stripe)])
                    }
                    continuation.finish(throwing: failing ? Interruption() : nil)
                }
            }
            await #expect(throws: Interruption.self) {
                try await client.put(key, upload: upload, from: pieces(value, failing: true))
            }
            // Under the same name, at the same key: stripes, a version, and DISCARD of it.
            #expect(
                try await other.put(key, upload: upload, from: pieces(theirs, failing: false)).timestamp.counter == 1)
            #expect(try await other.get(key).value == theirs)
            await other.discard(upload, of: key)
            #expect(try await client.stored(upload, as: key) == nil)
            let put = try await client.put(key, upload: upload, from: pieces(value, failing: false))
            #expect(try await client.get(key).value == value)
            #expect(try await client.stored(upload, as: key)?.timestamp == put.timestamp)
            do {
                _ = try await client.put(key, upload: upload, from: pieces(theirs, failing: false))
                Issue.record("an upload was stored twice")
            } catch let error as ClientError {
                guard case .uploadEnded = error else {
                    Issue.record("\(error)")
                    return
                }
                #expect("\(error)".contains("cannot be gone on with"))
            }
            #expect(try await client.get(key).value == value)
            await other.close()
        }
    }

    @Test("a quota that runs out in the middle of a value leaves the old one, says which quota, and gives all back")
    func quota() async throws {
        try await withCluster { cluster, client in
            let key = try ObjectKey("bucket/quota")
            _ = try await client.put(key, testBytes(100, seed: 1))
            let home = try OperatorHome(clusterDirectory: cluster.directory)
            _ = try home.setQuotas("first") { $0.storedBytes = 3_000_000 }
            for server in cluster.servers { _ = await server?.reload() }
            do throws(ClientError) {
                _ = try await client.put(key, testBytes(12 * Self.stripe, seed: 2))
                Issue.record("12 MiB went into 3 MB at each server")
            } catch {
                guard case .refused = error else {
                    Issue.record("\(error)")
                    return
                }
                #expect("\(error)".contains("of 3000000 that it may have"), "\(error)")
                #expect(!error.mayHaveTakenEffect)
            }
            #expect(try await client.get(key).value == testBytes(100, seed: 1))
            // There is room again for what fits.
            _ = try await client.put(key, testBytes(4 * Self.stripe, seed: 3))
            #expect(try await client.get(key).value == testBytes(4 * Self.stripe, seed: 3))
        }
    }

    /// Counts what it is asked to list.
    private final class CountingLister: ServerInterposer {
        let askedCount = Atomic(0)
        private let answer = Mutex<(@Sendable (RequestTag, Reply?) -> Void)?>(nil)

        func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
            self.answer.withLock { $0 = answer }
        }
        func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? { request }
        func send(_ reply: Reply, tag: RequestTag) { answer.withLock { $0 }?(tag, reply) }
        func keeps(_ change: ObjectChange) -> Bool { true }
        func list(_ query: ListingQuery, _ answer: ListingAnswer) -> ListingAnswer? {
            askedCount.add(1, ordering: .relaxed)
            return answer
        }
    }

    @Test("a client that goes away in the middle of a listing leaves servers a page or two to work on")
    func abandonedListing() async throws {
        let listers = (0..<4).map { _ in CountingLister() }
        func askedCount() -> Int { listers.reduce(0) { $0 + $1.askedCount.load(ordering: .relaxed) } }
        let interposers = Dictionary(uniqueKeysWithValues: listers.enumerated().map { ($0.offset, $0.element) })
        try await withCluster(interposers: interposers) { cluster, client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<120 {
                    group.addTask { _ = try await client.put(try ObjectKey("bucket/\(number)"), SharedBytes([1])) }
                }
                try await group.waitForAll()
            }
            try await cluster.withClient(ClientOptions()) { leaving in
                for try await _ in try leaving.list(prefix: Array("bucket/".utf8), pageSize: 4) { break }
            }
            // What was asked for ahead of the reader is asked for by now, and what was begun is done.
            var last = -1
            while askedCount() != last {
                last = askedCount()
                try await Task.sleep(for: .milliseconds(100))
            }
            #expect((3...12).contains(last), "\(last) pages of four servers, of 30 of each")
        }
    }
}
