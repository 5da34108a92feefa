// Access keys in memory, so that not every request reads one from the cluster.

import QuorumClient
import Synchronization

final class CredentialCache: Sendable {
    private struct Entry {
        /// Nil for a key that there is none of.
        let credential: Credential?
        let read: ContinuousClock.Instant
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var lookups = 0
    }

    /// How long a removed key may still be used.
    private static let freshSeconds = 10
    /// How long one is used when the cluster cannot be asked.
    private static let staleSeconds = 600
    private static let countMax = 4096
    /// Keys that are looked up at a time: whoever makes up keys is not to keep the cluster busy.
    private static let lookupsMax = 32

    private let records: CredentialRecords
    private let state = Mutex(State())

    init(_ records: CredentialRecords) { self.records = records }

    /// Nil when there is no such key.
    ///
    /// - Throws: `.slowDown` while too many others are looked up, or the cluster does not answer.
    func credential(_ accessKey: String) async throws(S3Error) -> Credential? {
        guard Credential.isAccessKey(accessKey) else { return nil }
        let now = ContinuousClock.now
        let known = state.withLock { $0.entries[accessKey] }
        if let known, now - known.read < .seconds(Self.freshSeconds) { return known.credential }
        let mayAsk = state.withLock { state in
            guard state.lookups < Self.lookupsMax else { return false }
            state.lookups += 1
            return true
        }
        guard mayAsk else {
            if let credential = known?.credential { return credential }
            throw S3Error(.slowDown, "Please reduce your request rate.")
        }
        defer { state.withLock { $0.lookups -= 1 } }
        do throws(ClientError) {
            let credential = try await records.credential(accessKey)
            state.withLock { state in
                if state.entries.count >= Self.countMax, state.entries[accessKey] == nil {
                    state.entries = state.entries.filter { $0.value.credential != nil }
                    if state.entries.count >= Self.countMax, let any = state.entries.keys.first {
                        state.entries[any] = nil
                    }
                }
                state.entries[accessKey] = Entry(credential: credential, read: now)
            }
            return credential
        } catch {
            if let known, let credential = known.credential, now - known.read < .seconds(Self.staleSeconds) {
                return credential
            }
            throw S3Error(error)
        }
    }
}
