// The lists that the index keeps of objects, and the tables of rows beside them.

import ErasureCode
import Foundation
import ObjectStorage
import Testing

@Suite struct RowTests {
    @Test("An object is in its slot's list while it has a record, and in the listing while it has a head")
    func lists() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        defer { withExtendedLifetime(fixture) {} }
        try store.applyAll([
            ObjectMutation(key: key("b"), slot: 7, record: .set([1]), summary: [11], head: .set([21])),
            ObjectMutation(key: key("a"), slot: 7, record: .set([2]), summary: [12]),
            ObjectMutation(key: key("c"), slot: 7 << 8, record: .set([3]), head: .set([])),
        ])
        #expect(
            try store.objects(inSlot: 7, after: nil, limit: 9) == [
                SlotObject(key: key("a"), summary: [12]), SlotObject(key: key("b"), summary: [11]),
            ])
        #expect(try store.objects(inSlot: 7, after: key("a"), limit: 9).map(\.key) == [key("b")])
        #expect(try store.objects(inSlot: 7 << 8, after: nil, limit: 9).map(\.key) == [key("c")])
        #expect(try store.objects(inSlot: 0, after: nil, limit: 9).isEmpty)
        #expect(
            try store.liveObjects(from: nil, below: nil, limit: 9) == [
                LiveObject(key: key("b"), head: [21]), LiveObject(key: key("c"), head: []),
            ])
        #expect(try store.liveObjects(from: key("b"), below: key("c"), limit: 9).map(\.key) == [key("b")])
        // A tombstone: the record stays, the listing does not show it.
        try store.applyAll([ObjectMutation(key: key("b"), slot: 7, record: .set([4]), summary: [13], head: .clear)])
        #expect(try store.liveObjects(from: nil, below: nil, limit: 9).map(\.key) == [key("c")])
        #expect(try store.objects(inSlot: 7, after: key("a"), limit: 9) == [SlotObject(key: key("b"), summary: [13])])
        try store.applyAll([ObjectMutation(key: key("a"), slot: 7, record: .clear)])
        #expect(try store.objects(inSlot: 7, after: nil, limit: 9).map(\.key) == [key("b")])
    }

    @Test(
        "A walk over the listing shows what is between two keys, skips what it is told to, and ends when it is told to")
    func walk() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        defer { withExtendedLifetime(fixture) {} }
        let names = ["a", "b", "ba", "bb", "c", "d", "e"]
        try store.applyAll(
            names.enumerated().map { ObjectMutation(key: key($1), record: .set([1]), head: .set([UInt8($0)])) })
        func walk(
            from first: String, below end: String, _ step: (String) -> ObjectStore.LiveWalkStep = { _ in .next }
        ) throws -> [String] {
            var shown: [String] = []
            try store.walkLiveObjects(from: key(first), below: key(end)) { bytes, head in
                let name = String(decoding: bytes, as: UTF8.self)
                #expect(Array(head) == [UInt8(names.firstIndex(of: name) ?? 99)])
                shown.append(name)
                return step(name)
            }
            return shown
        }
        #expect(try walk(from: "a", below: "z") == names)
        #expect(try walk(from: "b", below: "d") == ["b", "ba", "bb", "c"])
        #expect(try walk(from: "aa", below: "b") == [])
        #expect(try walk(from: "x", below: "z") == [])
        #expect(
            try walk(from: "a", below: "z") { $0 == "b" ? .skip(to: key("c")) : .next } == ["a", "b", "c", "d", "e"])
        #expect(try walk(from: "a", below: "d") { $0 == "b" ? .skip(to: key("d")) : .next } == ["a", "b"])
        #expect(try walk(from: "a", below: "z") { $0 == "bb" ? .end : .next } == ["a", "b", "ba", "bb"])
    }

    @Test("One mutation changes several objects and tables, as a whole or not at all")
    func atomicity() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        defer { withExtendedLifetime(fixture) {} }
        let good = StoreMutation(
            objects: [
                ObjectMutation(key: key("a"), record: .set([1])), ObjectMutation(key: key("b"), record: .set([2])),
            ],
            rows: [
                .put(.wants, key: [1], value: [10]), .put(.accounts, key: [1], value: [20]),
                .put(.fences, key: [1], value: []),
            ])
        let bad = StoreMutation(
            objects: [ObjectMutation(key: key("c"), record: .set([3]))], rows: [.put(.lists, key: [], value: [1])])
        let results = store.apply([good, bad, StoreMutation()])
        #expect(results.map { $0.error == nil } == [true, false, false])
        #expect(try store.objects(after: nil, limit: 9).map(\.record) == [[1], [2]])
        #expect(try store.row(.wants, [1]) == [10])
        #expect(try store.row(.accounts, [1]) == [20])
        #expect(try store.row(.fences, [1]) == [])
        #expect(try store.row(.lists, [1]) == nil)
        #expect(try store.record(of: key("c")) == nil)
    }

    @Test(
        "A range of a table goes in one change, which leaves its neighbours and other tables alone, also after a crash")
    func ranges() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        try store.applyAll([
            StoreMutation(
                rows: (0..<10).map { .put(.staged, key: [$0], value: [$0]) } + [.put(.lists, key: [5], value: [5])])
        ])
        try store.applyAll([
            StoreMutation(rows: [
                .deleteRange(.staged, from: [3], to: [7]), .put(.staged, key: [4], value: [44]),
                .deleteRange(.staged, from: [9], to: [2]),
            ])
        ])
        store.abandon()
        let reopened = try fixture.open()
        let rows = try reopened.rows(.staged, from: nil, below: nil, limit: .max)
        #expect(rows.map(\.key) == [[0], [1], [2], [4], [7], [8], [9]])
        #expect(rows[3].value == [44])
        #expect(try reopened.rows(.staged, from: [1], below: [8], limit: 3).map(\.key) == [[1], [2], [4]])
        #expect(try reopened.row(.lists, [5]) == [5])
    }

    @Test("What is added to a row sums up, within a batch, over batches and over a crash")
    func sums() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        func numbers(_ store: ObjectStore, _ key: UInt8) throws -> [Int64]? {
            try store.row(.accounts, [key]).flatMap(CounterRow.numbers)
        }
        try store.applyAll([
            StoreMutation(rows: [.add(.accounts, key: [1], [5, -7])]),
            StoreMutation(rows: [.add(.accounts, key: [1], [1]), .add(.accounts, key: [2], [.max])]),
        ])
        #expect(try numbers(store, 1) == [6, -7])
        try store.applyAll([
            StoreMutation(rows: [
                .add(.accounts, key: [1], [0, 0, 3]), .add(.accounts, key: [2], [1]),
                .deleteRange(.accounts, from: [1], to: [2]), .add(.accounts, key: [1], [4]),
            ])
        ])
        #expect(try numbers(store, 1) == [4])
        #expect(try numbers(store, 2) == [.min])
        store.abandon()
        let reopened = try fixture.open()
        #expect(try numbers(reopened, 1) == [4])
        // Refused beside a good one, which goes on.
        let results = reopened.apply([
            StoreMutation(rows: [.add(.accounts, key: [1], [])]),
            StoreMutation(rows: [.add(.accounts, key: [1], [Int64](repeating: 1, count: 17))]),
            StoreMutation(rows: [.add(.accounts, key: [1], [-4])]),
        ])
        #expect(results.map { $0.error == nil } == [false, false, true])
        #expect(try numbers(reopened, 1) == [0])
        // A row that is no sum is not added to, and stays.
        try reopened.applyAll([StoreMutation(rows: [.put(.accounts, key: [3], value: [1, 2, 3])])])
        #expect(reopened.apply([StoreMutation(rows: [.add(.accounts, key: [3], [1])])])[0].error != nil)
        #expect(try reopened.row(.accounts, [3]) == [1, 2, 3])
    }

    @Test("Fragments of several positions and pages of one version are parts of their own")
    func parts() throws {
        let fixture = try StoreFixture()
        let store = try fixture.open()
        defer { withExtendedLifetime(fixture) {} }
        let parts: [VersionPart] = [
            .descriptor, .fragment(FragmentIndex(0), StripeIndex(1)), .fragment(FragmentIndex(1), StripeIndex(1)),
            .fragment(FragmentIndex(1), StripeIndex(0)), .page(0), .page(1),
        ]
        try store.applyAll([
            ObjectMutation(
                key: key("a"), puts: parts.enumerated().map { put(1, $1, bytes(2000 + $0, seed: UInt64($0))) })
        ])
        for (number, part) in parts.enumerated() {
            #expect(
                try store.part(of: key("a"), version: version(1), part: part)
                    == bytes(2000 + number, seed: UInt64(number)))
        }
        try store.applyAll([ObjectMutation(key: key("a"), drops: [version(1)])])
        for part in parts { #expect(try store.part(of: key("a"), version: version(1), part: part) == nil) }
    }

    @Test("A store that names a section or a table that this program does not know refuses to open, and says which")
    func unknownSections() throws {
        let base = try StoreFixture()
        let path = base.directory + "/store"
        let identity = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        // The tables are the last section: their numbers end the file.
        var unknownTable = identity
        unknownTable[unknownTable.count - 1] = 200
        var unknownSection = identity + [9, 0, 1, 0, 0, 0, 77]
        unknownSection[16] += 1
        for (bytes, name) in [(unknownTable, "table 200"), (unknownSection, "section 9")] {
            var bytes = bytes
            let checksum = crc32c(bytes[16...])
            for place in 0..<4 { bytes[12 + place] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * place)) }
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            #expect(throws: StorageError.unknownSection(path: path, name: name)) { try base.open() }
        }
    }

    /// CRC-32C, bit by bit.
    private func crc32c(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var state: UInt32 = ~0
        for byte in bytes {
            state ^= UInt32(byte)
            for _ in 0..<8 { state = state >> 1 ^ (state & 1 == 1 ? 0x82f6_3b78 : 0) }
        }
        return ~state
    }
}
