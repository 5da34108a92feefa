// Changes in the form in which the store takes them, and names of versions there.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumProtocol

extension Timestamp {
    /// The version's name in the store: the timestamp's canonical bytes, so that both are ordered alike.
    package var storedVersion: StoredVersion {
        var encoder = CanonicalEncoder(reservingBytes: Timestamp.sizeBytes)
        encoder.append(isPlanted(.versionNamedByWriter) ? withoutDigest : self)
        return StoredVersion(encoder.bytes)
    }

    private var withoutDigest: Timestamp {
        Timestamp(counter: counter, writer: writer, digest: Digest256.sha256([UInt8]()))
    }

    /// The timestamp that a version in the store is named by.
    ///
    /// - Throws: when the name is not of that form.
    package init(_ version: StoredVersion) throws(MalformedEncoding) {
        var decoder = CanonicalDecoder(version.bytes)
        self = try decoder.timestamp("version")
        try decoder.finish()
    }
}

extension ObjectMutation {
    /// The store's form of a change of the protocol's. Its slot's list names the highest committed version, if there is
    /// one.
    package init(_ change: ObjectChange) {
        self.init(key: change.key.bytes, slot: change.key.slot.rawValue, record: .set(change.record.bytes))
        if !isPlanted(.committedUnlisted) { summary = change.record.highestCommitted?.storedVersion.bytes ?? [] }
        expiry = change.nextDueMilliseconds.map { .set($0) } ?? .clear
        if !isPlanted(.dropsForgotten) { drops = change.drops.map(\.storedVersion) }
        for parts in change.puts {
            let version = parts.timestamp.storedVersion
            puts.append(PartPut(version: version, part: .descriptor, bytes: SharedBytes(parts.descriptor.bytes)))
            for (stripe, fragment) in parts.fragments.enumerated() {
                puts.append(
                    PartPut(
                        version: version, part: .fragment(fragment.index, StripeIndex(UInt32(stripe))),
                        bytes: fragment.bytes))
            }
        }
    }
}

extension StoreFailure {
    /// Why the store did not take a change, as the protocol says it.
    package init(_ error: StorageError) {
        if case .noSpace = error { self = .full } else { self = .failed }
    }
}
