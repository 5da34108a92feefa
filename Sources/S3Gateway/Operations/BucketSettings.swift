// What is kept of a bucket for all gateways: who may read it without saying who he is, and its CORS rules. Each is a
// record of its own that is written as a whole, so that no change of one undoes another one's of the other. A record names
// the bucket by when it was made and by whom: what was set of one that is gone is not set of the next one of its name.

import Foundation
import QuorumClient
import QuorumProtocol

/// A rule of a bucket by which browsers let other sites' pages use it.
struct CORSRule: Codable, Equatable, Sendable {
    var id: String?
    var origins: [String]
    var methods: [String]
    var headers: [String]
    var exposed: [String]
    var maxAgeSeconds: Int?
}

/// What everybody may do.
private struct AnonymousRecord: Codable, Sendable {
    /// "read" or "read,list".
    let rights: String

    var granted: Rights {
        guard let grant = Grant("*:\(rights)") else { return [] }
        // Nothing else is ever given to everybody.
        return grant.rights.intersection([.read, .list])
    }
}

/// What is set of one bucket.
private struct Setting<Value: Codable & Sendable>: Codable, Sendable {
    let owner: String
    let createdMilliseconds: UInt64
    let value: Value

    init(_ value: Value, of bucket: Bucket) {
        owner = "\(bucket.owner)"
        createdMilliseconds = bucket.createdMilliseconds
        self.value = value
    }

    func isOf(_ bucket: Bucket) -> Bool {
        createdMilliseconds == bucket.createdMilliseconds && owner == "\(bucket.owner)"
    }
}

final class BucketSettings: Sendable {
    private let client: ObjectClient
    private let records: SharedRecords
    private let anonymous: RecordCache<AnonymousRecord>
    private let rules: RecordCache<[CORSRule]>

    init(_ client: ObjectClient, _ records: SharedRecords) {
        self.client = client
        self.records = records
        anonymous = RecordCache { bucket throws(ClientError) in
            try await Self.value(Self.anonymousName(bucket), of: bucket, client, records)
        }
        rules = RecordCache { bucket throws(ClientError) in
            try await Self.value(Self.corsName(bucket), of: bucket, client, records)
        }
    }

    private static func value<Value: Codable & Sendable>(
        _ name: String, of bucket: String, _ client: ObjectClient, _ records: SharedRecords
    ) async throws(ClientError) -> Value? {
        guard let setting = try await records.read(name, as: Setting<Value>.self),
            let present = try await client.bucket(bucket), setting.isOf(present)
        else { return nil }
        return setting.value
    }

    func anonymousRights(on bucket: String) async throws -> Rights {
        // Nobody can have set anything for what is no bucket.
        guard ObjectKey.isBucket(bucket) else { return [] }
        return try await anonymous.value(bucket)?.granted ?? []
    }

    // The optimizer of Swift 6.3 crashes where this is inlined.
    @inline(never)
    func corsRules(of bucket: String) async throws -> [CORSRule] {
        guard ObjectKey.isBucket(bucket) else { return [] }
        return try await rules.value(bucket) ?? []
    }

    /// - Parameter rules: none to take them away.
    /// - Throws: `.noBucket`, and what the client meets.
    func setCORSRules(_ rules: [CORSRule], of bucket: String) async throws(ClientError) {
        self.rules.forget(bucket)
        defer { self.rules.forget(bucket) }
        try await write(rules.isEmpty ? nil : rules, of: bucket, Self.corsName(bucket))
    }

    /// - Parameter rights: "read" or "read,list"; nil for nothing.
    /// - Throws: `.noBucket`, and what the client meets.
    func setAnonymous(_ rights: String?, on bucket: String) async throws(ClientError) {
        anonymous.forget(bucket)
        defer { anonymous.forget(bucket) }
        try await write(rights.map(AnonymousRecord.init), of: bucket, Self.anonymousName(bucket))
    }

    /// The bucket was made or deleted: what was known of one of that name is not known any more.
    func forget(_ bucket: String) {
        anonymous.forget(bucket)
        rules.forget(bucket)
    }

    private func write(
        _ value: (some Codable & Sendable)?, of bucket: String, _ name: String
    ) async throws(ClientError) {
        if let value {
            guard let present = try await client.bucket(bucket) else { throw .noBucket(bucket) }
            try await records.write(name, Setting(value, of: present))
        } else {
            _ = try await records.delete(name)
        }
    }

    private static func anonymousName(_ bucket: String) -> String { "anonymous/\(bucket)" }
    private static func corsName(_ bucket: String) -> String { "cors/\(bucket)" }
}

/// What everybody may do with a bucket.
public enum AnonymousAccess {
    /// - Parameters:
    ///   - rights: "read" or "read,list"; nil for nothing.
    ///   - key: that all gateways of the cluster have.
    package static func set(
        _ rights: String?, on bucket: String, _ client: ObjectClient, key: [UInt8]
    ) async throws(ClientError) {
        try await BucketSettings(client, SharedRecords(client, key: key)).setAnonymous(rights, on: bucket)
    }
}
