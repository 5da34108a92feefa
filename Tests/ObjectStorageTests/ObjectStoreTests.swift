// What the store does while nothing goes wrong, and what it refuses.

import ErasureCode
import Foundation
import ObjectStorage
import Testing

@Suite struct ObjectStoreTests {
    @Test(
        "Records and parts are read back as they were stored, also after closing",
        arguments: [0, 1, 1024, 1025, 4096, 70_000, 300_000])
    func roundTrip(sizeBytes: Int) throws {
        let fixture = try StoreFixture()
        let content = bytes(sizeBytes, seed: 1)
        let descriptor = bytes(10, seed: 2)
        func check(_ store: ObjectStore) throws {
            #expect(store.incarnation == 7)
            #expect(try store.record(of: key("a")) == [1, 2, 3])
            #expect(try store.part(of: key("a"), version: version(1), part: .descriptor) == descriptor)
            #expect(
                try store.part(of: key("a"), version: version(1), part: .fragment(FragmentIndex(0), StripeIndex(4)))
                    == content)
        }
        let store = try fixture.open()
        try store.applyAll([
            ObjectMutation(
                key: key("a"), record: .set([1, 2, 3]),
                puts: [put(1, .descriptor, descriptor), put(1, .fragment(FragmentIndex(0), StripeIndex(4)), content)])
        ])
        try check(store)
        try store.close()
        let reopened = try fixture.open()
        try check(reopened)
    }

    @Test("What was never stored is absent")
    func absent() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        #expect(try store.record(of: key("a")) == nil)
        #expect(try store.expiry(of: key("a")) == nil)
        #expect(try store.part(of: key("a"), version: version(1), part: .descriptor) == nil)
        let long = [UInt8](repeating: 1, count: 100_000)
        #expect(try store.part(of: long, version: version(1), part: .descriptor) == nil)
    }

    @Test("A dropped version loses every part, and no other version any")
    func drops() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let content = bytes(5000, seed: 3)
        let parts: [VersionPart] = [
            .descriptor, .fragment(FragmentIndex(0), StripeIndex(0)), .fragment(FragmentIndex(0), StripeIndex(.max)),
        ]
        for name in ["a", "ab"] {
            try store.applyAll([
                ObjectMutation(
                    key: key(name), puts: [1, 2].flatMap { number in parts.map { put(number, $0, content) } })
            ])
        }
        try store.applyAll([ObjectMutation(key: key("a"), drops: [version(1), version(9)])])
        for part in parts {
            #expect(try store.part(of: key("a"), version: version(1), part: part) == nil)
            #expect(try store.part(of: key("a"), version: version(2), part: part) == content)
            #expect(try store.part(of: key("ab"), version: version(1), part: part) == content)
        }
    }

    @Test("An object's versions are those that have any part left")
    func versions() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let content = bytes(100, seed: 3)
        let last: VersionPart = .page(.max)
        for name in ["a", "ab"] {
            try store.applyAll([
                ObjectMutation(
                    key: key(name), record: .set([1]),
                    puts: [3, 1, 2].flatMap { [put($0, .descriptor, content), put($0, last, content)] })
            ])
        }
        let long = StoredVersion([UInt8](repeating: 0, count: 128))
        try store.applyAll([
            ObjectMutation(
                key: key("a"), puts: [PartPut(version: long, part: .descriptor, bytes: content)], drops: [version(2)])
        ])
        #expect(try store.versions(of: key("a")) == [version(1), version(3), long].sorted())
        #expect(try store.versions(of: key("ab")) == [version(1), version(2), version(3)])
        #expect(try store.versions(of: key("abc")) == [])
        try store.applyAll([ObjectMutation(key: key("a"), drops: [version(1), version(3), long])])
        #expect(try store.versions(of: key("a")) == [])
    }

    @Test("A part stored again replaces the one before, and within one mutation drops come before puts")
    func replacement() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let first = bytes(3000, seed: 1)
        let second = bytes(20, seed: 2)
        try store.applyAll([ObjectMutation(key: key("a"), puts: [put(1, .descriptor, first)])])
        try store.applyAll([
            ObjectMutation(
                key: key("a"),
                puts: [put(1, .descriptor, second), put(1, .fragment(FragmentIndex(0), StripeIndex(1)), first)])
        ])
        #expect(try store.part(of: key("a"), version: version(1), part: .descriptor) == second)
        try store.applyAll([
            ObjectMutation(key: key("a"), puts: [put(1, .descriptor, first)], drops: [version(1)])
        ])
        #expect(try store.part(of: key("a"), version: version(1), part: .descriptor) == first)
        #expect(
            try store.part(of: key("a"), version: version(1), part: .fragment(FragmentIndex(0), StripeIndex(1))) == nil)
    }

    @Test("Mutations of one batch take effect in their order")
    func orderWithinBatch() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        try store.applyAll([
            ObjectMutation(key: key("a"), record: .set([1]), puts: [put(1, bytes(2000, seed: 1))], expiry: .set(5)),
            ObjectMutation(key: key("a"), record: .set([2]), drops: [version(1)], expiry: .set(6)),
            ObjectMutation(key: key("a"), puts: [put(2, bytes(2000, seed: 2))], expiry: .clear),
            ObjectMutation(key: key("a"), expiry: .set(8)),
        ])
        #expect(try store.record(of: key("a")) == [2])
        #expect(try store.part(of: key("a"), version: version(1), part: .descriptor) == nil)
        #expect(try store.part(of: key("a"), version: version(2), part: .descriptor) == bytes(2000, seed: 2))
        #expect(try store.expired(before: 100, limit: 9) == [ExpiredObject(key: key("a"), expiry: 8)])
    }

    @Test("Looking for expired objects goes on where it ended, also when that object is gone")
    func expiryCursor() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let names = (0..<7).map { "object \($0)" }
        try store.applyAll(
            names.enumerated().map {
                ObjectMutation(key: key($1), record: .set([1]), expiry: .set(UInt64(10 + $0 / 2)))
            })
        var found: [ExpiredObject] = []
        var last: ExpiredObject?
        repeat {
            let some = try store.expired(before: 13, after: last, limit: 2)
            found += some
            last = some.last
            if found.count == 4, let last { try store.applyAll([ObjectMutation(key: last.key, expiry: .clear)]) }
        } while last != nil
        #expect(found.map(\.key) == names.prefix(6).map { key($0) })
    }

    @Test("Expired objects come earliest first, each under its newest expiry only")
    func expiry() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        try store.applyAll(
            [("a", 300), ("b", 100), ("c", 200), ("d", UInt64.max)].map {
                ObjectMutation(key: key($0.0), expiry: .set($0.1))
            })
        try store.applyAll([
            ObjectMutation(key: key("b"), expiry: .set(250)), ObjectMutation(key: key("c"), expiry: .clear),
            ObjectMutation(key: key("a"), record: .set([1])),
        ])
        #expect(
            try store.expired(before: 301, limit: 9)
                == [ExpiredObject(key: key("b"), expiry: 250), ExpiredObject(key: key("a"), expiry: 300)])
        #expect(try store.expired(before: 300, limit: 9).map(\.key) == [key("b")])
        #expect(try store.expired(before: .max, limit: 1).map(\.key) == [key("b")])
        #expect(try store.expiry(of: key("c")) == nil)
        #expect(try store.expiry(of: key("d")) == UInt64.max)
    }

    @Test("Objects are listed in the order of their keys, page by page, without those that lost their record")
    func listing() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        for name in ["b", "a", "ab", "c"] { try store.applyAll([ObjectMutation(key: key(name), record: .set([9]))]) }
        try store.applyAll([
            ObjectMutation(key: key("z"), expiry: .set(1)), ObjectMutation(key: key("c"), record: .clear),
        ])
        #expect(try store.objects(after: nil, limit: 2).map(\.key) == [key("a"), key("ab")])
        #expect(try store.objects(after: key("ab"), limit: 9) == [ListedObject(key: key("b"), record: [9])])
        #expect(try store.objects(after: key("aa"), limit: 1).map(\.key) == [key("ab")])
        #expect(try store.objects(after: nil, limit: 0).isEmpty)
    }

    @Test("A mutation over a limit is refused alone and changes nothing")
    func limits() throws {
        let fixture = try StoreFixture()
        fixture.options.partSizeBytesMax = 1000
        fixture.options.recordSizeBytesMax = 100
        fixture.options.batchSizeBytesMax = 5000
        let store = try fixture.open()
        let long = StoredVersion([UInt8](repeating: 0, count: 129))
        let results = store.apply([
            ObjectMutation(key: [], record: .set([1])),
            ObjectMutation(key: [UInt8](repeating: 1, count: 2049), record: .set([1])),
            ObjectMutation(key: key("a"), record: .set([UInt8](repeating: 1, count: 101))),
            ObjectMutation(key: key("a"), record: .set([1]), puts: [put(1, bytes(1001, seed: 1))]),
            ObjectMutation(key: key("a"), record: .set([1]), drops: [long]),
            ObjectMutation(key: key("a"), record: .set([1]), drops: [StoredVersion([])]),
            ObjectMutation(
                key: key("a"), record: .set([1]),
                puts: (0..<6).map { put(1, .fragment(FragmentIndex(0), StripeIndex($0)), bytes(1000, seed: 1)) }),
            ObjectMutation(key: [UInt8](repeating: 2, count: 2048), record: .set([7])),
        ])
        let expected: [StorageError?] = [
            .overLimit(field: "key size", value: 0, limit: 0),
            .overLimit(field: "key size", value: 2049, limit: 2048),
            .overLimit(field: "record size", value: 101, limit: 100),
            .overLimit(field: "part size", value: 1001, limit: 1000),
            .overLimit(field: "version size", value: 129, limit: 128),
            .overLimit(field: "version size", value: 0, limit: 0),
        ]
        #expect(results[..<6].map(\.error) == expected)
        guard case .overLimit(let field, _, _) = results[6].error else {
            Issue.record("unexpected \(results[6])")
            return
        }
        #expect(field == "batch size")
        #expect(results[7].error == nil)
        #expect(try store.objects(after: nil, limit: 9).map(\.record) == [[7]])
    }

    @Test("A batch larger than a segment gets a segment of its own")
    func largeBatch() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let content = bytes(1 << 20, seed: 5)
        for number in 1...3 { try store.applyAll([ObjectMutation(key: key("a"), puts: [put(number, content)])]) }
        store.abandon()
        let reopened = try fixture.open()
        for number in 1...3 {
            #expect(try reopened.part(of: key("a"), version: version(number), part: .descriptor) == content)
        }
    }

    @Test("A batch of more parts than one gathering write takes is stored whole")
    func manyParts() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        let puts = (0..<2500).map {
            put(1, .fragment(FragmentIndex(0), StripeIndex($0)), bytes(1100, seed: UInt64($0)))
        }
        try store.applyAll([ObjectMutation(key: key("a"), puts: puts)])
        for stripe in [0, 1023, 1024, 2499] as [UInt32] {
            let found = try store.part(
                of: key("a"), version: version(1), part: .fragment(FragmentIndex(0), StripeIndex(stripe)))
            #expect(found == bytes(1100, seed: UInt64(stripe)))
        }
    }

    @Test("A store is open once, and a closed one refuses everything")
    func lockAndClose() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        #expect(throws: StorageError.locked(path: fixture.directory + "/lock")) { try fixture.open() }
        try store.close()
        try store.close()
        #expect(throws: StorageError.closed) { try store.record(of: key("a")) }
        #expect(throws: StorageError.closed) { try store.reclaim(limit: 1) }
        #expect(store.apply([ObjectMutation(key: key("a"))]).map(\.error) == [.closed])
        try fixture.open().close()
    }

    @Test("Creating refuses a directory that holds anything, opening one that holds no store")
    func createAndOpenRefusals() throws {
        let fixture = try StoreFixture()
        #expect(throws: StorageError.alreadyExists(path: fixture.directory)) {
            try ObjectStore.create(directory: fixture.directory, incarnation: 1)
        }
        for missing in [fixture.journal, fixture.root + "/nowhere"] {
            #expect {
                try ObjectStore(directory: missing)
            } throws: { error in
                guard case .notAStore(missing + "/store", _) = error as? StorageError else { return false }
                return true
            }
        }
    }

    @Test("Readers beside a writer that drops and reclaims see a part whole or not at all")
    func concurrentReaders() async throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for round in 0..<400 {
                    try store.applyAll([
                        ObjectMutation(
                            key: key("a"), puts: [put(round, bytes(9000, seed: UInt64(round)))],
                            drops: round > 0 ? [version(round - 1)] : [])
                    ])
                    if round % 8 == 0 {
                        try store.flushIndex()
                        _ = try store.reclaimAll()
                    }
                }
            }
            group.addTask {
                for round in 0..<4000 {
                    let number = round / 10
                    let found = try store.part(of: key("a"), version: version(number), part: .descriptor)
                    if let found { #expect(found == bytes(9000, seed: UInt64(number))) }
                }
            }
            try await group.waitForAll()
        }
    }
}
