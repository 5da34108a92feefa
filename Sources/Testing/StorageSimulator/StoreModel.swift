// What a store must hold, and random changes of it over few names, so that they meet often.

import ErasureCode
import ObjectStorage

/// One object as the store should show it.
package struct ObjectModel: Equatable, Sendable {
    package var record: [UInt8]?
    package var summary: [UInt8] = []
    package var head: [UInt8]?
    package var expiry: UInt64?
    package var parts: [StoredVersion: [VersionPart: SharedBytes]] = [:]
}

/// A whole store as it should be.
package struct StoreModel: Equatable, Sendable {
    package var objects: [[UInt8]: ObjectModel] = [:]
    package var rows: [StoreTable: [[UInt8]: [UInt8]]] = [:]

    package init() {}

    package mutating func apply(_ mutations: [StoreMutation]) {
        for mutation in mutations {
            for object in mutation.objects { apply(object) }
        }
        for mutation in mutations {
            for row in mutation.rows { apply(row) }
        }
    }

    private mutating func apply(_ mutation: ObjectMutation) {
        var object = objects[mutation.key] ?? ObjectModel()
        switch mutation.record {
        case .keep: break
        case .set(let bytes):
            object.record = bytes
            object.summary = mutation.summary
        case .clear: object.record = nil
        }
        switch mutation.head {
        case .keep: break
        case .set(let bytes): object.head = bytes
        case .clear: object.head = nil
        }
        switch mutation.expiry {
        case .keep: break
        case .set(let time): object.expiry = time
        case .clear: object.expiry = nil
        }
        for version in mutation.drops { object.parts[version] = nil }
        for put in mutation.puts { object.parts[put.version, default: [:]][put.part] = put.bytes }
        objects[mutation.key] = object
    }

    private mutating func apply(_ row: RowChange) {
        switch row {
        case .put(let table, let key, let value): rows[table, default: [:]][key] = value
        case .delete(let table, let key): rows[table]?[key] = nil
        case .deleteRange(let table, let first, let end):
            rows[table] = rows[table]?.filter {
                $0.key.lexicographicallyPrecedes(first) || !$0.key.lexicographicallyPrecedes(end)
            }
        case .add(let table, let key, let amounts):
            let numbers = rows[table]?[key].flatMap(CounterRow.numbers) ?? []
            let sums = (0..<max(numbers.count, amounts.count)).map { place in
                (numbers.indices.contains(place) ? numbers[place] : 0)
                    + (amounts.indices.contains(place) ? amounts[place] : 0)
            }
            let bytes = sums.flatMap { number in withUnsafeBytes(of: number.littleEndian) { Array($0) } }
            rows[table, default: [:]][key] = bytes
        }
    }

    /// The first difference between the store and this model, or nil.
    ///
    /// - Parameter partsMayBeLost: whether a part may be refused as corrupt or missing; never may it be another one.
    package func difference(from store: ObjectStore, partsMayBeLost: Bool = false) throws(StorageError) -> String? {
        for name in StorageWorkload.keys {
            let object = objects[name] ?? ObjectModel()
            if try store.record(of: name) != object.record { return "the record of \(name)" }
            if try store.expiry(of: name) != object.expiry { return "the expiry of \(name)" }
            for version in StorageWorkload.versions {
                for part in StorageWorkload.parts {
                    let found: SharedBytes?
                    do throws(StorageError) {
                        found = try store.part(of: name, version: version, part: part)
                    } catch {
                        switch error {
                        case .corruptPart where partsMayBeLost, .missingSegment where partsMayBeLost: continue
                        default: throw error
                        }
                    }
                    if found != object.parts[version]?[part] {
                        return "\(part) of version \(version.bytes.last ?? 0) of \(name): \(found?.count ?? -1) bytes"
                    }
                }
            }
        }
        return try differenceOfLists(from: store)
    }

    private func differenceOfLists(from store: ObjectStore) throws(StorageError) -> String? {
        let ordered = objects.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        let listed = ordered.compactMap { name, object in object.record.map { ListedObject(key: name, record: $0) } }
        if try store.objects(after: nil, limit: .max) != listed { return "the list of objects" }
        let live = ordered.compactMap { name, object in object.head.map { LiveObject(key: name, head: $0) } }
        if try store.liveObjects(from: nil, below: nil, limit: .max) != live { return "the list of live objects" }
        for slot in Set(StorageWorkload.keys.map(StorageWorkload.slot)) {
            let members = ordered.filter { StorageWorkload.slot($0.key) == slot && $0.value.record != nil }
                .map { SlotObject(key: $0.key, summary: $0.value.summary) }
            if try store.objects(inSlot: slot, after: nil, limit: .max) != members { return "the list of slot \(slot)" }
        }
        let expired = objects.compactMap { name, object in object.expiry.map { ExpiredObject(key: name, expiry: $0) } }
        if try Set(store.expired(before: .max, limit: .max)) != Set(expired) { return "the expiries" }
        for table in StoreTable.allCases {
            let expected = (rows[table] ?? [:]).map { StoreRow(key: $0, value: $1) }
                .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            if try store.rows(table, from: nil, below: nil, limit: .max) != expected { return "the table \(table)" }
        }
        return nil
    }
}

/// Random mutations over a few keys, versions, parts and rows.
package struct StorageWorkload: Sendable {
    package static let keys: [[UInt8]] = [[0], [0, 0], Array("key".utf8), [UInt8](repeating: 255, count: 300)]
    package static let versions = (0..<4).map { StoredVersion([UInt8](repeating: 7, count: 20) + [UInt8($0)]) }
    package static let parts: [VersionPart] = [
        .descriptor, .fragment(FragmentIndex(0), StripeIndex(0)), .fragment(FragmentIndex(3), StripeIndex(0)),
        .fragment(FragmentIndex(0), StripeIndex(1)), .page(0),
    ]
    private static let rowKeys: [[UInt8]] = [[0], [1], [1, 0], [2], [255, 255]]
    private static let sizes = [0, 1, 100, 1024, 1025, 4096, 5000, 20_000]

    private var dice: Dice

    package init(dice: Dice) { self.dice = dice }

    package static func slot(_ key: [UInt8]) -> UInt16 { UInt16(key.count % 3) &* 1000 }

    package mutating func batch() -> [StoreMutation] { (0...dice.below(4)).map { _ in mutation() } }

    /// A change that stores something large in the place of something.
    package mutating func storing() -> StoreMutation {
        let key = dice.pick(Self.keys)
        let put = PartPut(
            version: dice.pick(Self.versions), part: dice.pick(Self.parts), bytes: SharedBytes(dice.bytes(20_000)))
        return StoreMutation(objects: [ObjectMutation(key: key, slot: Self.slot(key), puts: [put])])
    }

    /// A deletion of every object: something small is stored in the place of all that there was.
    package static var deletions: [StoreMutation] {
        keys.map { key in
            let tombstone = PartPut(
                version: versions[0], part: .descriptor, bytes: SharedBytes([UInt8](repeating: 1, count: 100)))
            return StoreMutation(objects: [
                ObjectMutation(key: key, slot: slot(key), puts: [tombstone], drops: versions, purpose: .frees)
            ])
        }
    }

    private mutating func mutation() -> StoreMutation {
        var mutation = StoreMutation()
        for _ in 0..<dice.pick([0, 1, 1, 1, 1, 1, 2]) { mutation.objects.append(object()) }
        for _ in 0..<dice.pick([0, 0, 0, 1, 2]) { mutation.rows.append(row()) }
        if mutation.objects.isEmpty, mutation.rows.isEmpty { mutation.rows.append(row()) }
        return mutation
    }

    private mutating func row() -> RowChange {
        let table = dice.pick(StoreTable.allCases)
        let key = dice.pick(Self.rowKeys)
        switch dice.below(6) {
        case 0: return .delete(table, key: key)
        case 1: return .deleteRange(table, from: key, to: dice.pick(Self.rowKeys))
        // Its rows are sums, of which some come to nothing.
        case _ where table == .accounts:
            return .add(table, key: key, (0...dice.below(3)).map { _ in Int64(dice.below(5)) - 2 })
        default: return .put(table, key: key, value: dice.bytes(dice.below(50)))
        }
    }

    private mutating func object() -> ObjectMutation {
        let key = dice.pick(Self.keys)
        var mutation = ObjectMutation(key: key, slot: Self.slot(key))
        switch dice.below(6) {
        case 0: mutation.record = .clear
        case 1...3:
            mutation.record = .set(dice.bytes(dice.below(200)))
            mutation.summary = dice.bytes(dice.below(40))
        default: break
        }
        switch dice.below(6) {
        case 0: mutation.head = .clear
        case 1...2: mutation.head = .set(dice.bytes(dice.below(60)))
        default: break
        }
        switch dice.below(6) {
        case 0: mutation.expiry = .clear
        case 1...2: mutation.expiry = .set(UInt64(dice.below(1000)))
        default: break
        }
        for version in Self.versions where dice.chance(25) { mutation.drops.append(version) }
        for _ in 0..<dice.below(4) {
            mutation.puts.append(
                PartPut(
                    version: dice.pick(Self.versions), part: dice.pick(Self.parts),
                    bytes: SharedBytes(dice.bytes(dice.pick(Self.sizes)))))
        }
        return mutation
    }
}
