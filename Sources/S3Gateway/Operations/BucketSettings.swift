// What is kept of a bucket for all gateways: who may read it without saying who he is, and its CORS rules. Each is a
// record of its own that is written as a whole, so that no change of one undoes another one's of the other.

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

final class BucketSettings: Sendable {
    private let records: SharedRecords
    private let anonymous: RecordCache<AnonymousRecord>
    private let rules: RecordCache<[CORSRule]>

    init(_ records: SharedRecords) {
        self.records = records
        anonymous = RecordCache { bucket throws(ClientError) in
            try await records.read(Self.anonymousName(bucket), as: AnonymousRecord.self)
        }
        rules = RecordCache { bucket throws(ClientError) in
            try await records.read(Self.corsName(bucket), as: [CORSRule].self)
        }
    }

    func anonymousRights(on bucket: String) async throws(S3Error) -> Rights {
        // Nobody can have set anything for what is no bucket.
        guard ObjectKey.isBucket(bucket) else { return [] }
        return try await anonymous.value(bucket)?.granted ?? []
    }

    func corsRules(of bucket: String) async throws(S3Error) -> [CORSRule] {
        guard ObjectKey.isBucket(bucket) else { return [] }
        return try await rules.value(bucket) ?? []
    }

    /// - Parameter rules: none to take them away.
    func setCORSRules(_ rules: [CORSRule], of bucket: String) async throws(ClientError) {
        self.rules.forget(bucket)
        defer { self.rules.forget(bucket) }
        try await write(rules.isEmpty ? nil : rules, Self.corsName(bucket))
    }

    /// - Parameter rights: "read" or "read,list"; nil for nothing.
    func setAnonymous(_ rights: String?, on bucket: String) async throws(ClientError) {
        anonymous.forget(bucket)
        defer { anonymous.forget(bucket) }
        try await write(rights.map(AnonymousRecord.init), Self.anonymousName(bucket))
    }

    /// Takes away what is set of a bucket that is not there, or no more.
    func clear(_ bucket: String) async throws(ClientError) {
        try await setAnonymous(nil, on: bucket)
        try await setCORSRules([], of: bucket)
    }

    private func write(_ value: (some Encodable)?, _ name: String) async throws(ClientError) {
        if let value {
            try await records.write(name, value)
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
        try await BucketSettings(SharedRecords(client, key: key)).setAnonymous(rights, on: bucket)
    }
}
