// Looks at everything that a server's store should have, and says what is damaged, missing or too much.
//
// A record says what the server holds. A part proves itself by its checksum, a descriptor by its digest, which the
// version's name contains, and a fragment by its hash in the descriptor or in the stripe's entry. So a store is good when
// every part that a record names proves itself, and nothing else takes space. Nothing is changed.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumProtocol

/// What is not as it should be at an object.
package enum StoreFlaw: Sendable {
    /// It is there no more, or damaged.
    case lost(StoreLoss)
    /// It is whole, and another one's, or not what its hash says.
    case wrong(ObjectKey, Timestamp, String)
    case wrongStripe(ObjectKey, AttemptName, UInt32, String)
    /// Committed here by its certificate; what else belongs to it never came, or was noted as lost.
    case missing(ObjectKey, Timestamp, isDescriptor: Bool)
    /// It takes space and no record names it.
    case stray(ObjectKey)
    /// An object that this server does not keep.
    case foreign(ObjectKey)
    /// A name or a row that was never stored so.
    case malformed(String)
    /// A client is charged something else than its objects' records say.
    case wrongCharge(ClientID)

    /// Whether others' fragments give it back: what is missing is no damage of this store's.
    package var isMissing: Bool {
        if case .missing = self { true } else { false }
    }
}

extension StoreFlaw: CustomStringConvertible {
    package var description: String {
        switch self {
        case .lost(let loss): "\(loss)"
        case .wrong(let key, let timestamp, let what): "\(key) at \(timestamp): \(what)"
        case .wrongStripe(let key, let attempt, let stripe, let what):
            "stripe \(stripe) of \(attempt) of \(key): \(what)"
        case .missing(let key, let timestamp, isDescriptor: true): "\(key) at \(timestamp) is without its description"
        case .missing(let key, let timestamp, isDescriptor: false): "\(key) at \(timestamp) is without its fragments"
        case .stray(let key): "\(key): something is stored of a version that the object's record does not name"
        case .foreign(let key): "\(key) belongs to a group that this server is not in"
        case .malformed(let what): "the index has an entry that was never written so: \(what)"
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
    /// Charged by the records.
    fileprivate var charges = Accounts()

    package init() {}

    package mutating func add(_ other: StoreFindings) {
        objectCount += other.objectCount
        versionCount += other.versionCount
        fragmentCount += other.fragmentCount
        fragmentBytes += other.fragmentBytes
        charges.apply(other.charges.all)
    }
}

/// Checks one server's store, some objects at a time; several threads may.
package struct StoreCheck: Sendable {
    private let store: ObjectStore
    private let node: NodeID
    private let parameters: ClusterParameters
    private let found: @Sendable (StoreFlaw) -> Void

    /// - Parameter found: told of each flaw, on the thread that finds it.
    package init(
        _ store: ObjectStore, of node: NodeID, parameters: ClusterParameters,
        found: @escaping @Sendable (StoreFlaw) -> Void
    ) {
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
                continue
            }
            check(key, reader, &findings)
        }
        return findings
    }

    /// Compares what clients are charged with what all objects' records say, once all were looked at.
    package func checkCharges(_ findings: StoreFindings) {
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
            return
        }
        guard case .held(let record) = reader.record(of: key) else { return }
        findings.charges.apply(record.charges)
        for version in record.held {
            findings.versionCount += 1
            check(version, of: key, position, reader, &findings)
        }
        for timestamp in ([record.committed].compactMap { $0 } + record.unverified).map(\.timestamp) {
            guard let version = record.version(timestamp) else {
                found(.missing(key, timestamp, isDescriptor: true))
                continue
            }
            if version.hasStripes, !version.holdsFragments { found(.missing(key, timestamp, isDescriptor: false)) }
        }
        for attempt in record.staged { check(attempt, of: key, position, reader, &findings) }
        checkStrays(key, record)
    }

    private func check(
        _ version: HeldVersion, of key: ObjectKey, _ position: Position, _ reader: ProtocolStore,
        _ findings: inout StoreFindings
    ) {
        let timestamp = version.timestamp
        let descriptor: Descriptor
        switch reader.descriptor(of: timestamp, key: key) {
        case .held(let sealed): descriptor = sealed.descriptor
        case .absent:
            found(.wrong(key, timestamp, "its description is not there"))
            return
        case .lost, .unreadable, .notInMemory: return
        }
        guard descriptor.key == key else {
            found(.wrong(key, timestamp, "its description is that of \(descriptor.key)"))
            return
        }
        guard version.holdsFragments, !descriptor.stripes.isEmpty else { return }
        switch reader.fragments(of: timestamp, key: key, stripeCount: descriptor.stripes.count) {
        case .held(let fragments):
            for (crossChecksum, bytes) in zip(descriptor.stripes, fragments) {
                count(bytes, &findings)
                guard let problem = problem(bytes, position, crossChecksum) else { continue }
                found(.wrong(key, timestamp, problem))
            }
        case .absent: found(.wrong(key, timestamp, "its fragments are not there"))
        case .lost, .unreadable, .notInMemory: return
        }
    }

    private func check(
        _ attempt: StagedAttempt, of key: ObjectKey, _ position: Position, _ reader: ProtocolStore,
        _ findings: inout StoreFindings
    ) {
        for stripe in attempt.stripes.ranges.joined() {
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
                count(bytes, &findings)
                if let problem = problem(bytes, position, crossChecksum) {
                    found(.wrongStripe(key, attempt.name, stripe, problem))
                }
            case .absent: found(.wrongStripe(key, attempt.name, stripe, "its fragment is not there"))
            case .lost, .unreadable, .notInMemory: continue
            }
        }
    }

    private func count(_ bytes: SharedBytes, _ findings: inout StoreFindings) {
        findings.fragmentCount += 1
        findings.fragmentBytes += UInt64(bytes.count)
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
