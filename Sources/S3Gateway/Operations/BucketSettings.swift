// What is kept of a bucket for all gateways: who may read it without saying who he is, and its CORS rules.

import Foundation
import QuorumClient
import QuorumProtocol
import Synchronization

/// A rule of a bucket by which browsers let other sites' pages use it.
struct CORSRule: Codable, Equatable, Sendable {
    var id: String?
    var origins: [String]
    var methods: [String]
    var headers: [String]
    var exposed: [String]
    var maxAgeSeconds: Int?
}

struct BucketSettings: Codable, Equatable, Sendable {
    /// "read", "read,list" or nil.
    var anonymous: String?
    var corsRules: [CORSRule] = []

    var anonymousRights: Rights {
        guard let anonymous, let grant = Grant("*:\(anonymous)") else { return [] }
        // Nothing else is ever given to everybody.
        return grant.rights.intersection([.read, .list])
    }
}

final class BucketSettingsCache: Sendable {
    private struct Entry {
        let settings: BucketSettings
        let read: ContinuousClock.Instant
    }

    private static let freshSeconds = 10
    private static let countMax = 4096

    private let records: SharedRecords
    private let entries = Mutex<[String: Entry]>([:])

    init(_ records: SharedRecords) { self.records = records }

    func settings(of bucket: String) async throws(ClientError) -> BucketSettings {
        // Nobody can have set anything for what is no bucket.
        guard ObjectKey.isBucket(bucket) else { return BucketSettings() }
        let now = ContinuousClock.now
        if let entry = entries.withLock({ $0[bucket] }), now - entry.read < .seconds(Self.freshSeconds) {
            return entry.settings
        }
        let settings = try await records.read(Self.name(bucket), as: BucketSettings.self) ?? BucketSettings()
        remember(settings, bucket, now)
        return settings
    }

    /// - Parameter change: of what is kept.
    func change(_ bucket: String, _ change: (inout BucketSettings) -> Void) async throws(ClientError) {
        var settings = try await records.read(Self.name(bucket), as: BucketSettings.self) ?? BucketSettings()
        change(&settings)
        if settings == BucketSettings() {
            _ = try await records.delete(Self.name(bucket))
        } else {
            try await records.write(Self.name(bucket), settings)
        }
        remember(settings, bucket, .now)
    }

    private func remember(_ settings: BucketSettings, _ bucket: String, _ time: ContinuousClock.Instant) {
        entries.withLock { entries in
            if entries.count >= Self.countMax, entries[bucket] == nil { entries = [:] }
            entries[bucket] = Entry(settings: settings, read: time)
        }
    }

    private static func name(_ bucket: String) -> String { "buckets/\(bucket)" }
}

/// What everybody may do with a bucket.
public enum AnonymousAccess {
    /// - Parameters:
    ///   - rights: "read" or "read,list"; nil for nothing.
    ///   - key: that all gateways of the cluster have.
    package static func set(
        _ rights: String?, on bucket: String, _ client: ObjectClient, key: [UInt8]
    ) async throws(ClientError) {
        try await BucketSettingsCache(SharedRecords(client, key: key)).change(bucket) { $0.anonymous = rights }
    }
}
