// What servers' stores answer to AUDIT: the stores of a cluster whose servers have ended.

import ClusterFiles
import ErasureCode
import Fingerprint
import Foundation
import ObjectStorage
import ProtocolStorage
import QuorumProtocol
import Synchronization
import Testing

@testable import QuorumClient

@Suite("What a store tells an auditor", .serialized)
struct StoreAuditTests {
    private static let stripeSizeBytes = 1 << 20
    /// Of the large value, in stripes of that size; the second one has a small one.
    private static let partSizesBytes = [8 * stripeSizeBytes, 100, 4 * stripeSizeBytes - 7]
    private static let largeStripeCount = 13
    private static let point = Array(40...55) as [UInt8]
    private static let names = (0..<9).map { "audited/\($0)" } + ["audited-not/x", "zoo/y"]
    private static let large = "audited/large"

    private static func value(_ name: String) -> SharedBytes {
        testBytes(3000, seed: name.utf8.reduce(1) { $0 &* 31 &+ UInt64($1) })
    }

    private static func part(_ number: Int) -> SharedBytes {
        testBytes(partSizesBytes[number], seed: UInt64(number) + 50)
    }

    /// One server's store, opened without its server.
    private final class OpenStore {
        let store: ProtocolStore
        let node: NodeID
        let parameters: ClusterParameters
        private let losses = Losses()

        private final class Losses: Sendable {
            let all = Mutex<[String]>([])
            let marked = Mutex<[String]>([])
        }

        init(_ cluster: InProcessCluster, _ index: Int) throws {
            let home = try ServerHome(path: "\(cluster.directory)/servers/\(index)")
            parameters = home.cluster.parameters
            node = home.node
            let opened = try ObjectStore(
                directory: home.storeDirectory,
                owner: StoreOwner(home.node, of: parameters.configuration.cluster),
                options: StorageOptions(segmentSizeBytes: 4 << 20))
            let losses = losses
            store = ProtocolStore(store: opened, node: home.node, parameters: parameters) { loss in
                losses.all.withLock { $0.append("\(loss)") }
                return true
            }
        }

        deinit { store.store.abandon() }

        var lost: [String] { losses.all.withLock { $0 } }
        /// What the replica is told of.
        var marked: [String] { losses.marked.withLock { $0 } }

        func audit(_ query: AuditQuery, _ limits: AuditLimits = AuditLimits()) throws -> AuditAnswer {
            let losses = losses
            return try store.audit(query, slots: Slot.all, limits: limits) { key, parts in
                losses.marked.withLock { $0 += parts.map { "\(key): \($0)" } }
            }.get()
        }

        /// All answers from one place to the end, each going on where the last one ended.
        func pages(_ query: AuditQuery, _ limits: AuditLimits) throws -> [AuditAnswer] {
            var pages: [AuditAnswer] = []
            var place: AuditPlace? = query.from
            while let from = place {
                let query = AuditQuery(
                    group: query.group, from: from, before: query.before, bucket: query.bucket,
                    point: query.point,
                    wantsNames: query.wantsNames)
                let page = try audit(query, limits)
                pages.append(page)
                place = page.next
                if let place { try #require(place > from) }
            }
            return pages
        }

        /// Has the object's record say something else of the version.
        func change(_ key: ObjectKey, _ fragments: HeldFragments) throws {
            guard case .held(var record) = store.record(of: key), let timestamp = record.highestCommitted
            else {
                throw StorageError.notInMemory
            }
            record.held[0].fragments = fragments
            let mutation = ObjectMutation(
                key: key.bytes, slot: key.slot.rawValue, record: .set(record.bytes),
                summary: timestamp.storedVersion.bytes)
            try store.store.apply([mutation])[0].get()
        }
    }

    private static func query(
        from: AuditPlace = AuditPlace(Slot(0)), before: AuditPlace? = nil, bucket: String? = nil,
        wantsNames: Bool = true
    ) -> AuditQuery {
        AuditQuery(
            group: GroupID(0), from: from, before: before, bucket: bucket, point: point,
            wantsNames: wantsNames)
    }

    /// What an answer, or several, tell of each stripe of users' objects, in order.
    private static func told(_ answers: [AuditAnswer]) -> [Told] {
        answers.flatMap(\.versions).flatMap { version -> [Told] in
            guard case .named(let key, _) = version.name, key.reservation == nil else { return [] }
            return zip(version.stripes, version.fragments).map { Told(key: key, stripe: $0, $1) }
        }
    }

    private static func stripeCount(_ answer: AuditAnswer) -> Int {
        answer.versions.reduce(0) { $0 + $1.fragments.count }
    }

    private struct Told: Hashable {
        let key: ObjectKey
        let stripe: UInt64
        let fragment: AuditedFragment

        init(key: ObjectKey, stripe: UInt64, _ fragment: AuditedFragment) {
            self.key = key
            self.stripe = stripe
            self.fragment = fragment
        }
    }

    /// A cluster with small objects and a large one, one empty and one deleted, whose servers have ended.
    private func withStores(_ body: (InProcessCluster) throws -> Void) async throws {
        let cluster = try await InProcessCluster(stripeSizeBytesMax: Self.stripeSizeBytes)
        let client = try cluster.client()
        do {
            for name in Self.names { _ = try await client.put(try ObjectKey(name), Self.value(name)) }
            let upload = try await client.beginUpload(try ObjectKey(Self.large))
            for number in Self.partSizesBytes.indices {
                let pieces = AsyncStream { continuation in
                    continuation.yield(Self.part(number))
                    continuation.finish()
                }
                _ = try await client.putPart(number + 1, of: upload, seal: nil, from: pieces)
            }
            _ = try await client.complete(upload)
            _ = try await client.put(try ObjectKey("audited/empty"), SharedBytes())
            _ = try await client.put(try ObjectKey("audited/gone"), testBytes(100, seed: 1))
            _ = try await client.delete(try ObjectKey("audited/gone"))
            await client.close()
            for index in cluster.servers.indices { await cluster.stop(index) }
            try body(cluster)
        } catch {
            await client.close()
            await cluster.remove()
            throw error
        }
        await cluster.remove()
    }

    @Test(
        "is the fingerprint of each fragment of what is there, and nothing of what is deleted or empty")
    func all() async throws {
        try await withStores { cluster in
            let point = FingerprintPoint(Self.point)
            var answers: [NodeID: AuditAnswer] = [:]
            let stores = try cluster.servers.indices.map { try OpenStore(cluster, $0) }
            let parameters = stores[0].parameters
            for store in stores {
                let answer = try store.audit(Self.query())
                answers[store.node] = answer
                let told = Self.told([answer])
                #expect(answer.next == nil && told.count == Self.names.count + Self.largeStripeCount)
                #expect(Set(told.map(\.key.text)) == Set(Self.names + [Self.large]))
                for told in told where told.key.text != Self.large {
                    let key = told.key
                    let position = try #require(parameters.placement(of: key).position(of: store.node))
                    let fragment = parameters.quorums.code.encode(block: Self.value(key.text))[
                        position.offset]
                    #expect(told.fragment == .held(point.fingerprint(of: fragment)), "\(key)")
                }
            }
            let query = Self.query()
            let group = parameters.configuration.groups[0]
            var round = AuditRound(query, group: group, parameters: parameters)
            for (node, answer) in answers {
                let isTaken = round.take(answer, to: query, from: node)
                #expect(isTaken)
            }
            let findings = round.findings(trusting: group.members)
            // With what is noted of the upload.
            #expect(findings.stripeCount >= Self.names.count + Self.largeStripeCount)
            #expect(findings.troubles.isEmpty && findings.untroubled.isEmpty)
        }
    }

    @Test("comes in parts by stripes, bytes and objects, together as much as at once")
    func pages() async throws {
        try await withStores { cluster in
            let store = try OpenStore(cluster, 1)
            for bucket in [nil, "audited"] as [String?] {
                let query = Self.query(bucket: bucket)
                let whole = Self.told([try store.audit(query)])
                var byStripes = AuditLimits()
                byStripes.stripes = 7
                let few = try store.pages(query, byStripes)
                #expect(Self.told(few) == whole)
                #expect(few.dropLast().allSatisfy { Self.stripeCount($0) == 7 } && few.count >= 3)

                var byBytes = AuditLimits()
                byBytes.bytes = 1_200_000
                let short = try store.pages(query, byBytes)
                #expect(Self.told(short) == whole && short.count >= 5)
                #expect(short.allSatisfy { Self.told([$0]).count <= 3 + Self.names.count })

                var byObjects = AuditLimits()
                byObjects.objects = 1
                let single = try store.pages(query, byObjects)
                #expect(Self.told(single) == whole)
                #expect(single.allSatisfy { $0.versions.count <= 1 } && single.count >= 10)
            }
        }
    }

    @Test("is of the places that were asked for, also within a large value")
    func range() async throws {
        try await withStores { cluster in
            let store = try OpenStore(cluster, 2)
            let whole = Self.told([try store.audit(Self.query())])
            let large = try ObjectKey(Self.large)
            let places = [
                AuditPlace(large, stripe: 5), AuditPlace(large, stripe: 8), AuditPlace(large, stripe: 12),
                AuditPlace(large, stripe: 13),
                AuditPlace(try ObjectKey(Self.names[0])), AuditPlace(try ObjectKey("audited/empty")),
                AuditPlace(Slot(1000)),
            ]
            for place in places {
                let isBefore = { (told: Told) in
                    AuditPlace(told.key, stripe: told.stripe) < place
                }
                let upTo = try store.audit(Self.query(before: place))
                let from = try store.audit(Self.query(from: place))
                #expect(Self.told([upTo]) == whole.filter(isBefore) && upTo.next == nil)
                #expect(Self.told([from]) == whole.filter { !isBefore($0) })
            }
            let middle = try store.audit(
                Self.query(from: AuditPlace(large, stripe: 5), before: AuditPlace(large, stripe: 9)))
            #expect(Self.told([middle]).map(\.stripe) == [5, 6, 7, 8] && middle.versions[0].first == 5)
        }
    }

    @Test("is of one bucket, wherever the question begins")
    func bucket() async throws {
        try await withStores { cluster in
            let store = try OpenStore(cluster, 0)
            for bucket in ["audited", "audited-not", "zoo", "nothing"] {
                let whole = Self.told([try store.audit(Self.query())])
                let own = whole.filter { $0.key.text.hasPrefix("\(bucket)/") }
                #expect(own.isEmpty == (bucket == "nothing"))
                // Also at objects of other buckets, and between objects of this one.
                for name in Self.names + [Self.large] {
                    let from = AuditPlace(try ObjectKey(name))
                    let told = Self.told([try store.audit(Self.query(from: from, bucket: bucket))])
                    let expected = own.filter { told in
                        AuditPlace(told.key, stripe: told.stripe) >= from
                    }
                    #expect(told == expected, "\(bucket) from \(name)")
                }
            }
        }
    }

    @Test("numbers versions where no names are wanted")
    func numbered() async throws {
        try await withStores { cluster in
            let store = try OpenStore(cluster, 0)
            let named = try store.audit(Self.query())
            let numbered = try store.audit(Self.query(wantsNames: false))
            let expected = named.versions.map { version -> AuditedName? in
                guard case .named(let key, let timestamp) = version.name else { return nil }
                return .numbered(AuditedName.number(of: key, timestamp, at: Self.point))
            }
            #expect(numbered.versions.map(\.name) == expected)
            #expect(numbered.versions.map(\.fragments) == named.versions.map(\.fragments))
        }
    }

    @Test("says what is lost, of a large value stripe by stripe, and has noticed it")
    func rotten() async throws {
        try await withStores { cluster in
            let parameters = try OpenStore(cluster, 0).parameters
            var damaged: [Int: [Told]] = [:]
            // The first data fragments are the values' first bytes.
            let places = [
                (Self.names[0], Self.value(Self.names[0]), 100, 0),
                (Self.large, Self.part(0), 3 * Self.stripeSizeBytes + 100, 3),
                (Self.large, Self.part(2), 100, 9),
            ]
            for (name, value, offset, stripe) in places {
                let key = try ObjectKey(name)
                let index = Int(parameters.placement(of: key).nodes[0].rawValue)
                let journal = "\(cluster.directory)/servers/\(index)/store/journal"
                try Self.flip(Array(value.array[offset..<offset + 40]), in: journal)
                damaged[index, default: []].append(Told(key: key, stripe: UInt64(stripe), .missing))
            }
            for index in cluster.servers.indices {
                let store = try OpenStore(cluster, index)
                let told = Self.told([try store.audit(Self.query())])
                let expected = damaged[index] ?? []
                #expect(told.count == Self.names.count + Self.largeStripeCount)
                #expect(Set(told.filter { $0.fragment == .missing }) == Set(expected))
                #expect(store.lost.count == expected.count, "\(store.lost)")
                #expect(store.marked.count == expected.count, "\(store.marked)")
            }
        }
    }

    @Test("what is doubted is lost only if it is, counted once, and never beyond what the version has")
    func doubted() async throws {
        try await withStores { cluster in
            let parameters = try OpenStore(cluster, 0).parameters
            let (small, large) = (try ObjectKey(Self.names[0]), try ObjectKey(Self.large))
            let smallIndex = Int(parameters.placement(of: small).nodes[0].rawValue)
            let largeIndex = Int(parameters.placement(of: large).nodes[0].rawValue)
            func journal(_ index: Int) -> String { "\(cluster.directory)/servers/\(index)/store/journal" }
            try Self.flip(Array(Self.value(small.text).array[100..<140]), in: journal(smallIndex))
            let third = 3 * Self.stripeSizeBytes
            try Self.flip(Array(Self.part(0).array[(third + 100)..<(third + 140)]), in: journal(largeIndex))
            for (key, index, bad, count) in [
                (small, smallIndex, UInt64(0), UInt64(1)), (large, largeIndex, 3, UInt64(Self.largeStripeCount)),
            ] {
                let store = try OpenStore(cluster, index)
                guard case .held(let record) = store.store.record(of: key), let version = record.highestCommitted
                else {
                    Issue.record("\(key) is not there")
                    continue
                }
                for stripe in Array(0..<count) + [count, .max] where stripe != bad {
                    #expect(store.store.lostParts(AuditDoubt(key: key, .ofVersion(version, stripe))) == nil)
                }
                #expect(store.lost.isEmpty, "\(store.lost)")
                let lost = store.store.lostParts(AuditDoubt(key: key, .ofVersion(version, bad)))
                #expect(lost != nil && store.lost.count == 1, "\(store.lost)")
                if case .stripe(let attempt, let number)? = lost {
                    for other in [number + 1, .max] {
                        #expect(store.store.lostParts(AuditDoubt(key: key, .staged(attempt, other))) == nil)
                    }
                    #expect(store.store.lostParts(AuditDoubt(key: key, .staged(attempt, number))) == lost)
                } else {
                    #expect(key == small && lost == .fragments(version))
                }
                // Of a version that is not there, and of an object that is not.
                let unknown = Timestamp(counter: .max, writer: version.writer, digest: version.digest)
                #expect(store.store.lostParts(AuditDoubt(key: key, .ofVersion(unknown, 0))) == nil)
                let absent = try ObjectKey("audited/never")
                #expect(store.store.lostParts(AuditDoubt(key: absent, .ofVersion(version, 0))) == nil)
            }
        }
    }

    /// Turns a bit of these bytes where a journal has them.
    private static func flip(_ bytes: [UInt8], in journal: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: journal) {
            let url = URL(fileURLWithPath: "\(journal)/\(name)")
            var data = try Data(contentsOf: url)
            guard let range = data.range(of: Data(bytes)) else { continue }
            data[range.lowerBound] ^= 1
            try data.write(to: url)
            return
        }
        Issue.record("the bytes are nowhere in \(journal)")
    }

    @Test(
        "says what a record says that there is none of",
        arguments: [(HeldFragments.absent, AuditedFragment.missing), (.void, .void)])
    func held(fragments: HeldFragments, fragment: AuditedFragment) async throws {
        try await withStores { cluster in
            let store = try OpenStore(cluster, 3)
            let key = try ObjectKey(Self.names[4])
            try store.change(key, fragments)
            let told = Self.told([try store.audit(Self.query())])
            #expect(told.filter { $0.key == key }.map(\.fragment) == [fragment])
            #expect(told.count { $0.key != key } == Self.names.count - 1 + Self.largeStripeCount)
            #expect(store.lost.isEmpty)
        }
    }
}
