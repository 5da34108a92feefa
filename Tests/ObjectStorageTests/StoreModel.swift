// What a store must hold: a dictionary beside it, and a random workload over both.

import ErasureCode
import ObjectStorage
import Testing

/// One object as the store should show it.
struct ObjectModel: Equatable {
    var record: [UInt8]?
    var expiry: UInt64?
    var parts: [StoredVersion: [VersionPart: SharedBytes]] = [:]
}

/// A whole store as it should be.
struct StoreModel: Equatable {
    var objects: [[UInt8]: ObjectModel] = [:]

    mutating func apply(_ mutations: [ObjectMutation]) {
        for mutation in mutations {
            var object = objects[mutation.key] ?? ObjectModel()
            switch mutation.record {
            case .keep: break
            case .set(let bytes): object.record = bytes
            case .clear: object.record = nil
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
    }

    /// The first difference between the store and this model, or nil.
    func difference(from store: ObjectStore) throws -> String? {
        for name in Workload.keys {
            let object = objects[name] ?? ObjectModel()
            if try store.record(of: name) != object.record { return "record of \(name)" }
            if try store.expiry(of: name) != object.expiry { return "expiry of \(name)" }
            for number in Workload.versions {
                for part in Workload.parts {
                    let found = try store.part(of: name, version: version(number), part: part)
                    if found != object.parts[version(number)]?[part] {
                        return "\(part) of version \(number) of \(name): \(found?.count ?? -1) bytes"
                    }
                }
            }
        }
        let listed = objects.compactMap { name, object in
            object.record.map { ListedObject(key: name, record: $0) }
        }
        if try store.objects(after: nil, limit: .max) != listed.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) })
        {
            return "listing"
        }
        let expired = objects.compactMap { name, object in object.expiry.map { ExpiredObject(key: name, expiry: $0) } }
        if try Set(store.expired(before: .max, limit: .max)) != Set(expired) { return "expiries" }
        return nil
    }
}

/// Random mutations over a few keys, versions and parts, so that they meet often.
struct Workload {
    static let keys: [[UInt8]] = [[0], [0, 0], Array("key".utf8), [UInt8](repeating: 255, count: 300)]
    static let versions = 0..<4
    static let parts: [VersionPart] = [.descriptor, .fragment(StripeIndex(0)), .fragment(StripeIndex(1))]
    private static let sizes = [0, 1, 100, 1024, 1025, 4096, 5000, 20_000, 60_000]

    var generator: SeededGenerator

    mutating func batch() -> [ObjectMutation] {
        (0..<Int.random(in: 1...4, using: &generator)).map { _ in mutation() }
    }

    private mutating func mutation() -> ObjectMutation {
        var mutation = ObjectMutation(key: Self.keys.randomElement(using: &generator)!)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: mutation.record = .clear
        case 1...3:
            let count = Int.random(in: 0...200, using: &generator)
            mutation.record = .set((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
        default: break
        }
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: mutation.expiry = .clear
        case 1...2: mutation.expiry = .set(UInt64.random(in: 0..<1000, using: &generator))
        default: break
        }
        for number in Self.versions where Int.random(in: 0..<4, using: &generator) == 0 {
            mutation.drops.append(version(number))
        }
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            mutation.puts.append(
                put(
                    Int.random(in: Self.versions, using: &generator), Self.parts.randomElement(using: &generator)!,
                    bytes(Self.sizes.randomElement(using: &generator)!, seed: generator.next())))
        }
        return mutation
    }
}
