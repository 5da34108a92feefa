// Looks at everything that a server's store should have, and says what is damaged, missing or too much.
//
// A record says what the server holds. A part proves itself by its checksum, a descriptor by its digest, which the
// version's name contains, and a fragment by its hash in the descriptor or in the stripe's entry, which the descriptor
// names. So what a record names is good when every part of it proves itself. Nothing is changed.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumProtocol

/// What is not as it should be at an object.
package enum StoreTrouble: Sendable {
    /// It is there no more, or damaged.
    case lost(StoreLoss)
    /// It is whole, and another one's, or not what its hash says; which part of the version is of no use for that.
    case wrong(ObjectKey, Timestamp, String, LostParts? = nil)
    case wrongStripe(ObjectKey, AttemptName, UInt32, String)
    /// The record notes that the version's fragments are lost.
    case notedLost(ObjectKey, Timestamp)
    /// Committed here by its certificate; what else belongs to it never came.
    case missing(ObjectKey, Timestamp, isDescriptor: Bool)
    /// It takes space and no record names it.
    case stray(ObjectKey)
    /// An object that this server does not keep.
    case foreign(ObjectKey)
    /// A name or a row that was never stored so.
    case malformed(String)
    /// The index is damaged, and could not be made anew.
    case index(String)
    /// What is wanted of an object by its record is not what the table of wants says.
    case wrongWant(ObjectKey)
    /// A client is charged something else than its objects' records say.
    case wrongCharge(ClientID)

    /// How it counts.
    package enum Kind: Sendable {
        case damage
        /// It never came, which is no damage of this store's.
        case missing
        /// It cannot be read at the moment, whatever it is.
        case unread
    }

    package var kind: Kind {
        switch self {
        case .missing: .missing
        case .lost(.unreadable): .unread
        default: .damage
        }
    }
}

extension StoreTrouble {
    /// What is lost by it, and of which object; nil where nothing is, or it cannot be told.
    package var lost: (key: ObjectKey, parts: LostParts)? {
        switch self {
        case .lost(.part(let key, let timestamp, _)): (key, .fragments(timestamp))
        case .lost(.descriptor(let key, let timestamp, _)), .lost(.foreignDescriptor(let key, let timestamp)):
            (key, .descriptor(timestamp))
        case .lost(.stripe(let key, let attempt, let stripe, _)), .wrongStripe(let key, let attempt, let stripe, _):
            (key, .stripe(attempt, stripe))
        case .wrong(let key, _, _, let parts?): (key, parts)
        default: nil
        }
    }
}

extension StoreTrouble: CustomStringConvertible {
    package var description: String {
        switch self {
        case .lost(let loss): "\(loss)"
        case .wrong(let key, let timestamp, let what, _): "\(key) at \(timestamp): \(what)"
        case .wrongStripe(let key, let attempt, let stripe, let what):
            "stripe \(stripe) of \(attempt) of \(key): \(what)"
        case .notedLost(let key, let timestamp): "\(key) at \(timestamp): its fragments are noted as lost"
        case .index(let reason): "the index is damaged and could not be made anew: \(reason)"
        case .missing(let key, let timestamp, isDescriptor: true): "\(key) at \(timestamp) is without its description"
        case .missing(let key, let timestamp, isDescriptor: false): "\(key) at \(timestamp) is without its fragments"
        case .stray(let key): "\(key): something is stored of a version that the object's record does not name"
        case .foreign(let key): "\(key) belongs to a group that this server is not in"
        case .malformed(let what): "the index has an entry that was never written so: \(what)"
        case .wrongWant(let key): "\(key): the table of what this server wants says something else than its record"
        case .wrongCharge(let client): "client \(client) is charged something else than what is stored for it"
        }
    }
}

/// What a check has seen so far.
package struct StoreFindings: Sendable {
    package var objectCount = 0
    package var versionCount = 0
    /// Fragments that were read and compared with their hashes.
    package var fragmentCount = 0
    package var fragmentBytes: UInt64 = 0
    /// Objects of which no record could be read, or that are not this server's.
    package var unknownCount = 0
    /// Charged by the records.
    fileprivate var charges = Accounts()

    package init() {}

    package mutating func add(_ other: StoreFindings) {
        objectCount += other.objectCount
        versionCount += other.versionCount
        fragmentCount += other.fragmentCount
        fragmentBytes += other.fragmentBytes
        unknownCount += other.unknownCount
        charges.apply(other.charges.all)
    }
}

/// Checks one server's store, some objects at a time; several threads may.
package struct StoreCheck: Sendable {
    private let store: ObjectStore
    private let node: NodeID
    private let parameters: ClusterParameters
    private let found: @Sendable (StoreTrouble) -> Void
    private let pace: @Sendable (_ readBytes: Int) -> Bool

    /// - Parameters:
    ///   - pace: called after each fragment that was read; may take its time, and says whether to go on.
    ///   - found: told of each trouble, on the thread that finds it.
    package init(
        _ store: ObjectStore, of node: NodeID, parameters: ClusterParameters,
        pace: @escaping @Sendable (_ readBytes: Int) -> Bool = { _ in true },
        found: @escaping @Sendable (StoreTrouble) -> Void
    ) {
        self.pace = pace
        self.store = store
        self.node = node
        self.parameters = parameters
        self.found = found
    }

    /// The names of objects above one, in order; empty at the end.
    ///
    /// - Throws: `StorageError` when the index cannot be read.
    package func keys(after: [UInt8]?, limit: Int) throws(StorageError) -> [[UInt8]] {
        try store.objects(after: after, limit: limit).map(\.key)
    }

    /// Looks at what is stored of these objects.
    package func check(_ keys: [[UInt8]]) -> StoreFindings {
        var findings = StoreFindings()
        let reader = ProtocolStore(store: store, node: node, parameters: parameters) { loss in
            found(.lost(loss))
            return true
        }
        for bytes in keys {
            findings.objectCount += 1
            guard let key = try? ObjectKey(bytes: bytes) else {
                found(.malformed("an object's name of \(bytes.count) bytes"))
                findings.unknownCount += 1
                continue
            }
            check(key, reader, &findings)
        }
        return findings
    }

    /// Compares what clients are charged with what all objects' records say, once all were looked at; not when some of
    /// them say nothing.
    package func checkCharges(_ findings: StoreFindings) {
        guard findings.unknownCount == 0 else { return }
        do {
            let summed = Dictionary(uniqueKeysWithValues: findings.charges.all.map { ($0.client, $0.charge) })
            let kept = Accounts(
                try ProtocolStore(store: store, node: node, parameters: parameters) { _ in true }.charges())
            let stored = Dictionary(uniqueKeysWithValues: kept.all.map { ($0.client, $0.charge) })
            for client in Set(summed.keys).union(stored.keys).sorted() where summed[client] != stored[client] {
                found(.wrongCharge(client))
            }
        } catch {
            found(.lost(.listing(error)))
        }
    }

    private func check(_ key: ObjectKey, _ reader: ProtocolStore, _ findings: inout StoreFindings) {
        guard let position = parameters.placement(of: key).position(of: node) else {
            found(.foreign(key))
            findings.unknownCount += 1
            return
        }
        guard case .held(let record) = reader.record(of: key) else {
            findings.unknownCount += 1
            return
        }
        if let broken = record.brokenInvariant { found(.malformed("the record of \(key): \(broken)")) }
        findings.charges.apply(record.charges)
        for version in record.held {
            findings.versionCount += 1
            check(version, of: key, in: record, position, reader, &findings)
        }
        for timestamp in ([record.committed].compactMap { $0 } + record.unverified).map(\.timestamp) {
            if record.version(timestamp) == nil { found(.missing(key, timestamp, isDescriptor: true)) }
        }
        checkWant(key, record, reader)
        for attempt in record.staged { check(attempt, of: key, position, reader, &findings) }
        checkStrays(key, record)
    }

    private func check(
        _ version: HeldVersion, of key: ObjectKey, in record: ObjectRecord, _ position: Position,
        _ reader: ProtocolStore, _ findings: inout StoreFindings
    ) {
        let timestamp = version.timestamp
        // Its description may be lost with its fragments.
        guard version.fragments != .lost else {
            found(.notedLost(key, timestamp))
            return
        }
        let descriptor: Descriptor
        switch reader.descriptor(of: timestamp, key: key) {
        case .held(let sealed): descriptor = sealed.descriptor
        case .absent:
            found(.wrong(key, timestamp, "its description is not there", .descriptor(timestamp)))
            return
        case .lost, .unreadable, .notInMemory: return
        }
        guard descriptor.key == key else {
            found(.wrong(key, timestamp, "its description is that of \(descriptor.key)", .descriptor(timestamp)))
            return
        }
        if version.hasStripes != descriptor.hasStripes || version.head != descriptor.listedHead {
            found(.wrong(key, timestamp, "the record says something else of it than its description"))
        }
        switch version.fragments {
        case .held: break
        case .absent:
            found(.missing(key, timestamp, isDescriptor: false))
            return
        case .void, .lost: return
        }
        if let staged = descriptor.staged {
            check(staged, of: timestamp, key, in: record, reader)
            return
        }
        guard !descriptor.stripes.isEmpty else { return }
        switch reader.fragments(of: timestamp, key: key, stripeCount: descriptor.stripes.count) {
        case .held(let fragments):
            for (crossChecksum, bytes) in zip(descriptor.stripes, fragments) {
                _ = count(bytes, &findings)
                guard let problem = problem(bytes, position, crossChecksum) else { continue }
                found(.wrong(key, timestamp, problem, .fragments(timestamp)))
            }
        case .absent: found(.wrong(key, timestamp, "its fragments are not there", .fragments(timestamp)))
        case .lost, .unreadable, .notInMemory: return
        }
    }

    private func checkWant(_ key: ObjectKey, _ record: ObjectRecord, _ reader: ProtocolStore) {
        do {
            let isWanted = record.wanted(key, node: node, parameters) != nil
            if try reader.isWanted(key) != isWanted { found(.wrongWant(key)) }
        } catch {
            found(.lost(.listing(error)))
        }
    }

    /// Whether what is staged is what the version's description names; each stripe is looked at with its attempt.
    private func check(
        _ staged: StagedContents, of timestamp: Timestamp, _ key: ObjectKey, in record: ObjectRecord,
        _ reader: ProtocolStore
    ) {
        guard record.missingStripes(of: staged).isEmpty else {
            found(.wrong(key, timestamp, "stripes that it names are not staged"))
            return
        }
        if case .held(let wrong) = staged.inspect(key, in: reader, parameters: parameters), !wrong.isEmpty {
            found(.wrong(key, timestamp, "stripes that it names are others than those that are staged"))
        }
    }

    private func check(
        _ attempt: StagedAttempt, of key: ObjectKey, _ position: Position, _ reader: ProtocolStore,
        _ findings: inout StoreFindings
    ) {
        for stripe in attempt.good.ranges.joined() {
            let crossChecksum: CrossChecksum
            switch reader.stagedEntry(of: attempt.name, stripe: stripe, key: key) {
            case .held(let bytes):
                var decoder = CanonicalDecoder(bytes)
                guard let decoded = try? StripeEntry.decode(&decoder, parameters: parameters) else {
                    found(.wrongStripe(key, attempt.name, stripe, "its entry cannot be read"))
                    continue
                }
                crossChecksum = decoded
            case .absent:
                found(.wrongStripe(key, attempt.name, stripe, "its entry is not there"))
                continue
            case .lost, .unreadable, .notInMemory: continue
            }
            switch reader.stagedFragment(of: attempt.name, stripe: stripe, key: key) {
            case .held(let bytes):
                if let problem = problem(bytes, position, crossChecksum) {
                    found(.wrongStripe(key, attempt.name, stripe, problem))
                }
                guard count(bytes, &findings) else { return }
            case .absent: found(.wrongStripe(key, attempt.name, stripe, "its fragment is not there"))
            case .lost, .unreadable, .notInMemory: continue
            }
        }
    }

    /// Whether to go on.
    private func count(_ bytes: SharedBytes, _ findings: inout StoreFindings) -> Bool {
        findings.fragmentCount += 1
        findings.fragmentBytes += UInt64(bytes.count)
        return pace(bytes.count)
    }

    private func problem(_ bytes: SharedBytes, _ position: Position, _ crossChecksum: CrossChecksum) -> String? {
        let isRight = (try? crossChecksum.verify(bytes, at: position.fragmentIndex)) != nil
        return isRight ? nil : "its fragment is not the one that its hash names"
    }

    /// What is stored under names that the record does not know.
    private func checkStrays(_ key: ObjectKey, _ record: ObjectRecord) {
        let named = Set(record.held.map(\.timestamp.storedVersion))
        let staged = Set(
            record.staged.flatMap { attempt in attempt.chunks.joined().map { attempt.name.storedVersion(chunk: $0) } })
        do {
            for version in try store.versions(of: key.bytes) where !named.contains(version) && !staged.contains(version)
            {
                found(.stray(key))
            }
        } catch {
            found(.lost(.record(key, error)))
        }
    }
}
