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

extension StoreMutation {
    /// The store's form of a change of the protocol's: of its object, of what clients are charged for it, and of the
    /// lists of objects at which clients have left something.
    package init(_ change: ObjectChange) {
        self.init(objects: [ObjectMutation(change)])
        for charge in change.charges {
            rows.append(.add(.accounts, key: charge.client.bytes, charge.charge.numbers))
        }
        for listing in change.listings {
            let key = Self.row(of: listing.client, change.key.bytes)
            let table = listing.kind.table
            rows.append(listing.isListed ? .put(table, key: key, value: [1]) : .delete(table, key: key))
        }
        switch change.want {
        case .begin(let milliseconds) where !isPlanted(.wantUnlisted):
            rows.append(.put(.wants, key: change.key.bytes, value: WantRow.bytes(milliseconds)))
        case .end: rows.append(.delete(.wants, key: change.key.bytes))
        case .keep, .begin: break
        }
    }

    static func row(of client: ClientID, _ key: [UInt8]) -> [UInt8] { client.bytes + key }
}

/// The value of a row in the table of wants: since when it is there, in milliseconds of the server's clock.
enum WantRow {
    static func bytes(_ milliseconds: UInt64) -> [UInt8] {
        var encoder = CanonicalEncoder(reservingBytes: 8)
        encoder.append(milliseconds)
        return encoder.bytes
    }

    static func milliseconds(_ bytes: [UInt8]) -> UInt64? {
        var decoder = CanonicalDecoder(bytes)
        guard let milliseconds: UInt64 = try? decoder.integer("want"), (try? decoder.finish()) != nil else {
            return nil
        }
        return milliseconds
    }
}

extension UnfinishedKind {
    var table: StoreTable {
        switch self {
        case .versions: .bare
        case .uploads: .uploads
        }
    }
}

extension ObjectMutation {
    /// The store's form of a change of the protocol's. Its slot's list names the highest committed version, if there is
    /// one.
    package init(_ change: ObjectChange) {
        self.init(key: change.key.bytes, slot: change.key.slot.rawValue, record: .set(change.record.bytes))
        if !isPlanted(.committedUnlisted) { summary = change.record.highestCommitted?.storedVersion.bytes ?? [] }
        switch change.live {
        case .keep: break
        case .set(let live): head = .set(live.bytes)
        case .clear: head = .clear
        }
        purpose = change.freesSpace ? .frees : .stores
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
        for drop in change.stagedDrops {
            drops += drop.chunks.joined().map { drop.attempt.storedVersion(chunk: $0) }
        }
        for staged in change.stagedPuts {
            let (version, number) = staged.attempt.storedPlace(of: staged.stripe)
            puts.append(PartPut(version: version, part: .page(number), bytes: SharedBytes(staged.entry)))
            puts.append(
                PartPut(
                    version: version, part: .fragment(staged.fragment.index, StripeIndex(number)),
                    bytes: staged.fragment.bytes))
        }
    }
}

extension AttemptName {
    /// What the store calls a run of 4,096 stripes of the attempt: shorter than any version's name, so that neither is
    /// taken for the other.
    func storedVersion(chunk: UInt32) -> StoredVersion {
        var encoder = CanonicalEncoder(reservingBytes: 64)
        encoder.append(tag: "staged")
        encode(into: &encoder)
        encoder.append(chunk)
        return StoredVersion(encoder.bytes)
    }

    /// Where the store has a stripe: under which version, and which number there.
    package func storedPlace(of stripe: UInt32) -> (version: StoredVersion, number: UInt32) {
        (storedVersion(chunk: stripe / StagedLimits.stripesPerChunk), stripe % StagedLimits.stripesPerChunk)
    }
}

extension StoreFailure {
    /// Why the store did not take a change, as the protocol says it.
    package init(_ error: StorageError) {
        switch error {
        case .noSpace: self = .full
        case .recordLost: self = .recordLost
        default: self = .failed
        }
    }
}
