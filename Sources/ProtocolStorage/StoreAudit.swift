// Answering AUDIT (docs/protocol.md, Audit) from the store: it reads the server's fragments as they are on the disk, so
// what is damaged there is noticed, and lost, as it is by any other reading.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumProtocol

extension ProtocolStore {
    /// - Parameter slots: the group's, in order.
    package func audit(_ query: AuditQuery, slots: some Sequence<Slot>) -> Result<AuditAnswer, Refusal> {
        var answer = AuditInProgress(query, self)
        do {
            for slot in slots where slot >= query.from.slot && !answer.isDone {
                try answer.read(slot)
            }
            return .success(AuditAnswer(versions: answer.versions, next: answer.next))
        } catch {
            _ = lost(.listing(error))
            return .failure(.storageFailed)
        }
    }
}

private struct AuditInProgress {
    /// Bytes of fragments, and objects, that are looked at for one answer; a stripe more than that at most.
    private static let bytesMax = 64 << 20
    private static let objectsMax = 4 * AuditQuery.stripesMax
    private static let objectsPerStep = 100

    private let query: AuditQuery
    private let store: ProtocolStore
    private let point: FingerprintPoint
    private let prefix: [UInt8]
    private(set) var versions: [AuditedStripes] = []
    /// Where it ended early.
    private(set) var next: AuditPlace?
    /// Whether it came to the end of what was asked for.
    private var isComplete = false
    private var stripesLeft = AuditQuery.stripesMax
    private var bytesLeft = Self.bytesMax
    private var objectsLeft = Self.objectsMax

    init(_ query: AuditQuery, _ store: ProtocolStore) {
        self.query = query
        self.store = store
        point = FingerprintPoint(query.point)
        prefix = query.bucket.map { Array("\($0)/".utf8) } ?? []
    }

    var isDone: Bool { isComplete || next != nil }

    /// Whether there is room for a stripe here. If not this is where the answer ends.
    private mutating func begin(_ place: AuditPlace) -> Bool {
        if let before = query.before, place >= before { isComplete = true }
        if !isComplete, stripesLeft == 0 || bytesLeft <= 0 || objectsLeft == 0 { next = place }
        return !isDone
    }

    mutating func read(_ slot: Slot) throws {
        var after = prefix
        if query.from.slot == slot, let key = query.from.key {
            read(key, from: query.from.stripe)
            after = key.bytes
        } else if !begin(AuditPlace(slot)) {
            return
        }
        while !isDone {
            let listed = try store.store.objects(
                inSlot: slot.rawValue, after: after.isEmpty ? nil : after, limit: Self.objectsPerStep)
            for object in listed where !isDone {
                guard object.key.starts(with: prefix) else { return }
                // The list has the highest version that is committed, sound or not; without one there is nothing.
                if !object.summary.isEmpty { read(try ObjectKey(bytes: object.key), from: 0) }
            }
            guard listed.count == Self.objectsPerStep, let last = listed.last else { return }
            after = last.key
        }
    }

    private mutating func read(_ key: ObjectKey, from first: UInt64) {
        guard begin(AuditPlace(key, stripe: first)) else { return }
        objectsLeft -= 1
        guard case .held(let record) = store.record(of: key), let timestamp = record.committedTimestamp,
            let version = record.version(timestamp), version.hasStripes,
            case .held(let sealed) = store.descriptor(of: timestamp, key: key)
        else { return }
        let fragments = read(sealed.descriptor, timestamp, version.fragments, key, from: first)
        guard !fragments.isEmpty else { return }
        let name =
            query.wantsNames
            ? AuditedName.named(key, timestamp)
            : .numbered(AuditedName.number(of: key, timestamp, at: query.point))
        versions.append(AuditedStripes(name, first: first, fragments: fragments))
    }

    /// As many stripes as there is room for.
    private mutating func read(
        _ descriptor: Descriptor, _ timestamp: Timestamp, _ held: HeldFragments, _ key: ObjectKey, from first: UInt64
    ) -> [AuditedFragment] {
        let store = store
        var fragments: [AuditedFragment] = []
        var stripe = first
        guard let staged = descriptor.staged else {
            let all = store.fragments(of: timestamp, key: key, stripeCount: descriptor.stripes.count)
            while stripe < UInt64(descriptor.stripes.count), begin(AuditPlace(key, stripe: stripe)) {
                fragments.append(fragment(held) { all.map { $0[Int(stripe)] } })
                stripe += 1
            }
            return fragments
        }
        var base: UInt64 = 0
        for part in staged.parts {
            let end = base + UInt64(part.stripeCount)
            while stripe < end {
                guard begin(AuditPlace(key, stripe: stripe)) else { return fragments }
                let number = UInt32(stripe - base)
                fragments.append(
                    fragment(held) { store.stagedFragment(of: part.attempt, stripe: number, key: key) })
                stripe += 1
            }
            base = end
        }
        return fragments
    }

    private mutating func fragment(
        _ held: HeldFragments, _ read: () -> StoredParts<SharedBytes>
    ) -> AuditedFragment {
        stripesLeft -= 1
        switch held {
        case .void: return .void
        case .absent: return .missing
        // Of a large value only some stripes may be lost.
        case .held, .lost: break
        }
        switch read() {
        case .held(let bytes):
            bytesLeft -= bytes.count
            return .held(point.fingerprint(of: bytes))
        case .absent, .lost: return .missing
        case .unreadable, .notInMemory: return .unreadable
        }
    }
}
