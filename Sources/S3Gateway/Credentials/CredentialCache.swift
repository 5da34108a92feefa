// Access keys in memory, so that not every request reads one from the cluster.

import QuorumClient

final class CredentialCache: Sendable {
    /// How long one is used when the cluster cannot be asked.
    private static let staleSeconds = 600

    private let records: CredentialRecords
    private let cache: RecordCache<Credential>

    init(_ records: CredentialRecords) {
        self.records = records
        cache = RecordCache(staleSeconds: Self.staleSeconds) { name throws(ClientError) in
            try await records.credential(name)
        }
    }

    /// Nil when there is no such key. One that was made up is known by itself, and nobody is asked for it.
    ///
    /// - Throws: `.slowDown` while too many others are looked up, or the cluster does not answer.
    func credential(_ accessKey: String) async throws(S3Error) -> Credential? {
        guard records.isGenuine(accessKey) else { return nil }
        return try await cache.value(accessKey)
    }
}
