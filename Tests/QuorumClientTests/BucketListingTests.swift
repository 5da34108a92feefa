// Listing a bucket through the client library: against a model, among liars and laggards, and while it is written.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import QuorumServer
import Synchronization
import Testing

@Suite("Listing a bucket", .serialized)
struct BucketListingTests {
    /// What a listing should show of these names, in order.
    private static func expected(_ names: [String], prefix: String = "", delimiter: String? = nil) -> [String] {
        var shown: Set<[UInt8]> = []
        for name in names where name.utf8.starts(with: prefix.utf8) {
            let rest = name.dropFirst(prefix.count)
            if let delimiter, let range = rest.range(of: delimiter) {
                shown.insert(Array((prefix + rest[..<range.upperBound]).utf8))
            } else {
                shown.insert(Array(name.utf8))
            }
        }
        return shown.sorted { $0.lexicographicallyPrecedes($1) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The names within the bucket that a listing shows.
    private static func names(_ listing: BucketListing, limit: Int = .max) async throws -> [String] {
        var names: [String] = []
        for try await entry in listing {
            names.append(String(String(decoding: entry.bytes, as: UTF8.self).drop { $0 != "/" }.dropFirst()))
            if names.count == limit { break }
        }
        return names
    }

    private static func list(
        _ client: ObjectClient, _ prefix: String = "", _ delimiter: String = "", after: String? = nil,
        pageSize: Int = 1000
    ) async throws -> [String] {
        try await names(
            try client.list(
                prefix: Array("bucket/\(prefix)".utf8), delimiter: Array(delimiter.utf8),
                after: after.map { Array("bucket/\($0)".utf8) }, pageSize: pageSize))
    }

    private static let names = [
        "a", "a/b", "a/b/c", "a/c", "a//d", "a/b/", "b", "ba", "photos/2024/1", "photos/2024/2", "photos/2025/1",
        "photos/x",
        "photos", "ä/ö", "ä/ü", "z z", "~",
    ]

    @Test(
        "shows what was put, deleted and overwritten, in order, by prefix and delimiter, in pages", arguments: [4, 6])
    func model(serverCount: Int) async throws {
        try await withCluster(serverCount: serverCount) { _, client in
            for (number, name) in Self.names.enumerated() {
                _ = try await client.put(try ObjectKey("bucket/" + name), testBytes(number, seed: 1))
            }
            for name in ["gone", "a/gone", "gone/too/far"] {
                let key = try ObjectKey("bucket/" + name)
                _ = try await client.put(key, testBytes(9, seed: 2))
                _ = try await client.delete(key)
            }
            _ = try await client.put(try ObjectKey("bucke/other"), testBytes(1, seed: 3))
            _ = try await client.put(try ObjectKey("buckets/other"), testBytes(1, seed: 3))
            let again = try await client.put(
                try ObjectKey("bucket/b"), testBytes(700, seed: 4), metadata: ObjectMetadata(etag: "mine"))
            for pageSize in [1, 2, 3, 1000] {
                for prefix in ["", "a", "a/", "photos/", "photos/2024", "nothing", "ä/"] {
                    for delimiter in ["", "/", "/2", "o"] {
                        let shown = try await Self.list(client, prefix, delimiter, pageSize: pageSize)
                        #expect(
                            shown
                                == Self.expected(
                                    Self.names, prefix: prefix, delimiter: delimiter.isEmpty ? nil : delimiter),
                            "prefix \(prefix), delimiter \(delimiter), pages of \(pageSize)")
                    }
                }
            }
            var sizes: [String: ListedObject] = [:]
            for try await entry in try client.list("bucket") {
                if case .object(let object) = entry { sizes[object.key.text] = object }
            }
            for (number, name) in Self.names.enumerated() where name != "b" {
                #expect(sizes["bucket/" + name]?.lengthBytes == UInt64(number))
            }
            let overwritten = try #require(sizes["bucket/b"])
            #expect(
                overwritten.lengthBytes == 700 && overwritten.timestamp == again.timestamp && overwritten.etag == "mine"
            )
        }
    }

    @Test("goes on behind a name or a prefix, and each name appears once over all pages")
    func after() async throws {
        try await withCluster { _, client in
            for name in Self.names { _ = try await client.put(try ObjectKey("bucket/" + name), testBytes(1, seed: 1)) }
            let all = Self.expected(Self.names)
            for (place, name) in all.enumerated() {
                #expect(try await Self.list(client, after: name, pageSize: 2) == Array(all[(place + 1)...]))
            }
            let top = Self.expected(Self.names, delimiter: "/")
            for (place, name) in top.enumerated() {
                #expect(try await Self.list(client, "", "/", after: name, pageSize: 1) == Array(top[(place + 1)...]))
            }
        }
    }

    @Test("says what is wrong with a bucket's name or too long a prefix")
    func refusals() async throws {
        try await withCluster { _, client in
            for bucket in ["", "Bucket", "a b", "-a"] {
                #expect(throws: ClientError.self) { try client.list(bucket) }
            }
            #expect(throws: ClientError.self) { try client.list("bucket", prefix: String(repeating: "x", count: 1100)) }
            #expect(throws: ClientError.self) {
                try client.list("bucket", delimiter: String(repeating: "/", count: 65))
            }
            let nothing = try await Self.names(try client.list("empty"))
            #expect(nothing.isEmpty)
        }
    }

    @Test("with one server down, and with one that missed everything, shows the same")
    func laggard() async throws {
        try await withCluster(timeoutMilliseconds: 60_000) { cluster, client in
            for name in Self.names.dropLast(4) {
                _ = try await client.put(try ObjectKey("bucket/" + name), testBytes(1, seed: 1))
            }
            await cluster.stop(2)
            for name in Self.names.suffix(4) {
                _ = try await client.put(try ObjectKey("bucket/" + name), testBytes(1, seed: 1))
            }
            _ = try await client.delete(try ObjectKey("bucket/a"))
            let all = Self.expected(Self.names.filter { $0 != "a" })
            #expect(try await Self.list(client) == all)
            try await cluster.start(2)
            #expect(try await Self.list(client, pageSize: 3) == all)
            // Now what the laggard has missed rests on two others that answer at all.
            await cluster.stop(0)
            #expect(try await Self.list(client, pageSize: 3) == all)
            #expect(
                try await Self.list(client, "", "/", pageSize: 2)
                    == Self.expected(Self.names.filter { $0 != "a" }, delimiter: "/"))
        }
    }

    /// All at once: none waits for what the others wait for.
    private static func withEach(
        _ keys: [ObjectKey], _ body: @escaping @Sendable (ObjectKey) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in keys { group.addTask { try await body(key) } }
            try await group.waitForAll()
        }
    }

    @Test("goes on beside a server that is down, whatever another has missed of deletions")
    func deletions() async throws {
        try await withCluster(timeoutMilliseconds: 20_000) { cluster, client in
            let keys = try (0..<450).map { try ObjectKey("bucket/\(1000 + $0)") }
            try await Self.withEach(keys) { _ = try await client.put($0, testBytes(1, seed: 1)) }
            await cluster.stop(2)
            try await Self.withEach(keys.dropLast(10)) { _ = try await client.delete($0) }
            try await cluster.start(2)
            await cluster.stop(0)
            #expect(try await Self.list(client, pageSize: 70) == keys.suffix(10).map { "\($0.text.dropFirst(7))" })
        }
    }

    /// Names prefixes that are not there, and counts how often it is asked for the bucket.
    private final class PrefixInventor: ServerInterposer {
        private let answer = Mutex<(@Sendable (RequestTag, Reply?) -> Void)?>(nil)
        let askedCount = Atomic(0)

        func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
            self.answer.withLock { $0 = answer }
        }
        func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? { request }
        func send(_ reply: Reply, tag: RequestTag) { answer.withLock { $0 }?(tag, reply) }
        func keeps(_ change: ObjectChange) -> Bool { true }

        func list(_ query: ListingQuery, _ answer: ListingAnswer) -> ListingAnswer? {
            guard !query.delimiter.isEmpty else { return answer }
            askedCount.add(1, ordering: .relaxed)
            guard let first = answer.objects.first else { return answer }
            var answer = answer
            answer.prefixes = (0..<(query.limit - 1)).compactMap { number in
                let prefix = first.key.bytes + Array("-\(100 + number)/".utf8)
                return (try? ObjectKey(bytes: prefix + [120])).map {
                    ListedPrefix(prefix, witnesses: [ListedKey($0, first.live)])
                }
            }
            answer.objects = [first]
            answer.below = first.key.bytes + Array("-999".utf8)
            return answer
        }
    }

    /// Honest, and silent until the liar was asked twice, who is therefore heard.
    private final class SilentBefore: ServerInterposer {
        private let liar: PrefixInventor
        private let answer = Mutex<(@Sendable (RequestTag, Reply?) -> Void)?>(nil)

        init(_ liar: PrefixInventor) { self.liar = liar }

        func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
            self.answer.withLock { $0 = answer }
        }
        func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? { request }
        func send(_ reply: Reply, tag: RequestTag) { answer.withLock { $0 }?(tag, reply) }
        func keeps(_ change: ObjectChange) -> Bool { true }

        func list(_ query: ListingQuery, _ answer: ListingAnswer) -> ListingAnswer? {
            liar.askedCount.load(ordering: .relaxed) < 2 ? nil : answer
        }
    }

    @Test("asks a server no more that has named many prefixes which are not there")
    func inventedPrefixes() async throws {
        let liar = PrefixInventor()
        try await withCluster(interposers: [0: SilentBefore(liar), 1: liar]) { _, client in
            let names = (1000..<1320).map { "\($0)" }
            try await Self.withEach(names.map { try ObjectKey("bucket/" + $0) }) {
                _ = try await client.put($0, testBytes(1, seed: 1))
            }
            #expect(try await Self.list(client, "", "/", pageSize: 20) == names)
            // Of sixteen pages, two answers of the liar are one too many, and some may have come too late.
            #expect((2...10).contains(liar.askedCount.load(ordering: .relaxed)))
        }
    }

    @Test("with two servers down says which group has too few, and who is missing")
    func unavailable() async throws {
        try await withCluster(timeoutMilliseconds: 1500) { cluster, client in
            await cluster.stop(0)
            await cluster.stop(3)
            do {
                _ = try await Self.list(client)
                Issue.record("two servers of four listed a bucket")
            } catch ClientError.listingUnavailable(let bucket, let groups, let troubles) {
                #expect(bucket == "bucket" && groups.count == 1)
                #expect(Set(troubles.map(\.server.rawValue)) == [0, 3])
            }
        }
    }

    /// What a server makes of its listings.
    enum Lie: CaseIterable {
        case omission, invention, stale, otherHead, nothingYet, silence, foreignKeys, falseWitness, deletedIsThere
    }

    final class LyingLister: ServerInterposer {
        private let lie: Lie
        private let first = Mutex<[[UInt8]: LiveVersion]>([:])

        init(_ lie: Lie) {
            self.lie = lie
        }

        func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
            self.answer.withLock { $0 = answer }
        }
        private let answer = Mutex<(@Sendable (RequestTag, Reply?) -> Void)?>(nil)
        func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? { request }
        func send(_ reply: Reply, tag: RequestTag) { answer.withLock { $0 }?(tag, reply) }
        func keeps(_ change: ObjectChange) -> Bool { true }

        private static func head(_ live: LiveVersion, length: UInt64) -> LiveVersion {
            LiveVersion(
                timestamp: live.timestamp, isSound: true,
                head: ListedHead(lengthBytes: length, etag: "lie", modifiedMilliseconds: 1))
        }

        private static func invented(_ name: String, counter: UInt64 = 7) -> ListedKey? {
            guard let key = try? ObjectKey(name) else { return nil }
            let timestamp = Timestamp(
                counter: counter, writer: ClientID(high: 1, low: 1), digest: .sha256(Array(name.utf8)))
            return ListedKey(
                key,
                LiveVersion(
                    timestamp: timestamp, isSound: true,
                    head: ListedHead(lengthBytes: 1, etag: "", modifiedMilliseconds: 1)))
        }

        func list(_ query: ListingQuery, _ answer: ListingAnswer) -> ListingAnswer? {
            var answer = answer
            func within(_ listed: ListedKey?) -> ListedKey? {
                guard let listed, listed.key.bytes.starts(with: query.prefix),
                    !listed.key.bytes.lexicographicallyPrecedes(query.lowest),
                    answer.below.map({ listed.key.bytes.lexicographicallyPrecedes($0) }) ?? true
                else { return nil }
                return listed
            }
            switch lie {
            case .omission:
                answer.objects = answer.objects.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
                answer.prefixes = []
            case .invention:
                let new = (0..<20).compactMap { within(Self.invented("bucket/invented-\($0)")) }
                    .filter { query.commonPrefix(of: $0.key) == nil }
                let room = query.limit - answer.objects.count - answer.prefixes.count
                answer.objects = (answer.objects + new.prefix(max(0, room))).sorted { $0.key < $1.key }
            case .stale, .deletedIsThere:
                let known = first.withLock { known in
                    for listed in answer.objects where known[listed.key.bytes] == nil {
                        known[listed.key.bytes] = listed.live
                    }
                    return known
                }
                answer.objects = answer.objects.map { ListedKey($0.key, known[$0.key.bytes] ?? $0.live) }
                guard lie == .deletedIsThere, answer.below == nil else { break }
                let missing = known.filter { key, _ in !answer.objects.contains { $0.key.bytes == key } }
                    .compactMap { key, live in (try? ObjectKey(bytes: key)).map { ListedKey($0, live) } }
                    .filter { within($0) != nil && query.commonPrefix(of: $0.key) == nil }
                let room = query.limit - answer.objects.count - answer.prefixes.count
                answer.objects = (answer.objects + missing.prefix(max(0, room))).sorted { $0.key < $1.key }
            case .otherHead:
                answer.objects = answer.objects.map { ListedKey($0.key, Self.head($0.live, length: 99_999)) }
            case .nothingYet:
                answer = ListingAnswer()
                answer.below = query.lowest + [0]
            case .silence:
                return nil
            case .foreignKeys:
                answer.objects = ["aaa/x", "zzz/x"].compactMap { Self.invented($0) }
            case .falseWitness:
                answer.prefixes = answer.prefixes.map { listed in
                    let name = String(decoding: listed.prefix, as: UTF8.self) + "\u{1}"
                    return ListedPrefix(listed.prefix, witnesses: Self.invented(name).map { [$0] } ?? listed.witnesses)
                }
                guard !query.delimiter.isEmpty, query.limit > answer.objects.count + answer.prefixes.count else {
                    break
                }
                let invented = Array("bucket/invented/".utf8)
                if let witness = within(Self.invented("bucket/invented/x")),
                    query.commonPrefix(of: witness.key) == invented
                {
                    answer.prefixes = (answer.prefixes + [ListedPrefix(invented, witnesses: [witness])])
                        .sorted { $0.prefix.lexicographicallyPrecedes($1.prefix) }
                }
            }
            return answer
        }
    }

    @Test("shows the truth beside a server that lies about it", arguments: Lie.allCases)
    func liars(lie: Lie) async throws {
        try await withCluster(timeoutMilliseconds: 5_000, interposers: [1: LyingLister(lie)]) { cluster, client in
            for name in Self.names { _ = try await client.put(try ObjectKey("bucket/" + name), testBytes(5, seed: 1)) }
            #expect(try await Self.list(client) == Self.expected(Self.names))
            for name in ["b", "a/b/c"] { _ = try await client.delete(try ObjectKey("bucket/" + name)) }
            let now = try await client.put(try ObjectKey("bucket/ba"), testBytes(50, seed: 1))
            let left = Self.names.filter { $0 != "b" && $0 != "a/b/c" }
            for pageSize in [3, 1000] {
                #expect(try await Self.list(client, pageSize: pageSize) == Self.expected(left))
                #expect(
                    try await Self.list(client, "", "/", pageSize: pageSize) == Self.expected(left, delimiter: "/"))
            }
            for try await case .object(let object) in try client.list("bucket") {
                #expect(object.lengthBytes == (object.key.text == "bucket/ba" ? 50 : 5), "\(object.key)")
                if object.key.text == "bucket/ba" { #expect(object.timestamp == now.timestamp) }
            }
            // Beside the liar another server is down: the liar's answer is among the three that count.
            await cluster.stop(3)
            guard ![.silence, .foreignKeys, .nothingYet].contains(lie) else {
                await #expect(throws: ClientError.self) { try await Self.list(client) }
                return
            }
            #expect(try await Self.list(client) == Self.expected(left))
            #expect(try await Self.list(client, "", "/") == Self.expected(left, delimiter: "/"))
        }
    }

    @Test("a listing shows of each object what was complete when it began, or something later, while it is written")
    func regular() async throws {
        /// Of one object, which one writer writes: how many of its writes have begun and ended.
        struct Writes {
            var begun = 0
            var ended = 0
        }
        final class Progress: Sendable {
            let of = Mutex([Writes](repeating: Writes(), count: 12))
        }
        let keyCount = 12
        let writes = Progress()
        let keys = try (0..<keyCount).map { try ObjectKey("bucket/\($0)") }
        try await withCluster { _, client in
            let writing = keys.enumerated().map { number, key in
                Task {
                    for round in 1...15 {
                        writes.of.withLock { $0[number].begun = round }
                        // The length says which write it was; every third is a deletion.
                        if round % 3 == 0 {
                            _ = try await client.delete(key)
                        } else {
                            _ = try await client.put(key, testBytes(round, seed: 1))
                        }
                        writes.of.withLock { $0[number].ended = round }
                    }
                }
            }
            var listingCount = 0
            while listingCount < 3 || writes.of.withLock({ $0.contains { $0.ended < 15 } }) {
                let before = writes.of.withLock { $0 }
                var shown: [ObjectKey: UInt64] = [:]
                let listing = try client.list(prefix: Array("bucket/".utf8), pageSize: 5)
                for try await case .object(let object) in listing {
                    #expect(shown.updateValue(object.lengthBytes, forKey: object.key) == nil, "\(object.key) twice")
                }
                let after = writes.of.withLock { $0 }
                for number in 0..<keyCount {
                    let allowed = before[number].ended...after[number].begun
                    if let length = shown[keys[number]] {
                        #expect(allowed.contains(Int(length)), "\(keys[number]): \(length) is not of \(allowed)")
                    } else {
                        #expect(allowed.contains { $0 % 3 == 0 }, "\(keys[number]) is missing: \(allowed)")
                    }
                }
                listingCount += 1
            }
            for task in writing { try await task.value }
            #expect(try await Self.list(client).isEmpty)
        }
    }
}
