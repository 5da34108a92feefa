// Answering AUDIT (docs/protocol.md, Audit) from the store: it reads the server's fragments as they are on the disk, so
// what is damaged there is noticed, and lost, as it is by any other reading.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumProtocol

/// What is looked at for one answer.
package struct AuditLimits: Sendable {
    package var stripes = AuditQuery.stripesMax
    /// Of fragments; a version's that are read together more than that at most.
    package var bytes = 64 << 20
    /// With those that have nothing to tell.
    package var objects = 4 * AuditQuery.stripesMax

    package init() {}
}

/// What an audit reads of a server.
package protocol AuditedStore: ReplicaStore {
    /// Whose it is.
    var node: NodeID { get }
    var parameters: ClusterParameters { get }
    /// At most `limit` objects of the slot above `after`, in the order of their keys, and whether something of them is
    /// committed.
    func objects(
        inSlot slot: Slot, after: [UInt8]?, limit: Int
    ) throws -> [(key: [UInt8], isCommitted: Bool)]
    /// Whether what the record names and is not there may be marked as lost.
    func mayLose(_ parts: LostParts, of key: ObjectKey) -> Bool
}

extension AuditedStore {
    /// The answer to an AUDIT.
    ///
    /// - Parameters:
    ///   - slots: the group's, in order.
    ///   - found: told of what turns out to be lost.
    /// - Throws: when the slots cannot be gone through.
    package func auditAnswer(
        _ query: AuditQuery, slots: some Sequence<Slot>, limits: AuditLimits = AuditLimits(),
        lost found: (ObjectKey, [LostParts]) -> Void = { _, _ in }
    ) throws -> AuditAnswer {
        var answer = AuditInProgress(query, self, limits)
        for slot in slots where slot >= query.from.slot && !answer.isDone {
            try answer.read(slot)
        }
        for (key, parts) in answer.lost { found(key, [parts]) }
        return AuditAnswer(versions: answer.versions, next: answer.next)
    }

    /// Whether the record says, still, that this is there.
    fileprivate func names(_ parts: LostParts, of key: ObjectKey) -> Bool {
        guard case .held(let record) = record(of: key) else { return false }
        return switch parts {
        case .descriptor(let timestamp): record.version(timestamp) != nil
        case .fragments(let timestamp): record.version(timestamp)?.holdsFragments ?? false
        case .stripe(let attempt, let stripe): record.attempt(attempt)?.good.contains(stripe) ?? false
        }
    }
}

extension ProtocolStore: AuditedStore {
    /// The answer to an AUDIT, or why there is none; as `auditAnswer`.
    package func audit(
        _ query: AuditQuery, slots: some Sequence<Slot>, limits: AuditLimits = AuditLimits(),
        lost found: (ObjectKey, [LostParts]) -> Void = { _, _ in }
    ) -> Result<AuditAnswer, Refusal> {
        do {
            return .success(try auditAnswer(query, slots: slots, limits: limits, lost: found))
        } catch {
            _ = lost(.listing(error))
            return .failure(.storageFailed)
        }
    }

    package func objects(
        inSlot slot: Slot, after: [UInt8]?, limit: Int
    ) throws -> [(key: [UInt8], isCommitted: Bool)] {
        try store.objects(inSlot: slot.rawValue, after: after, limit: limit).map { ($0.key, !$0.summary.isEmpty) }
    }

    /// Not when so much is lost that the machine is suspect.
    package func mayLose(_ parts: LostParts, of key: ObjectKey) -> Bool {
        lost(.found("\(key): its record has \(parts), which is not there, or not what it should be"))
    }

    /// What is lost of a stripe that somebody doubts; nil when its fragment is the right one, or is not held anyway.
    package func lostParts(_ doubt: AuditDoubt) -> LostParts? {
        guard let position = parameters.placement(of: doubt.key).position(of: node) else { return nil }
        let found: DoubtedParts
        switch doubt.stripe {
        case .ofVersion(let timestamp, let stripe): found = look(at: doubt.key, timestamp, stripe, position)
        case .staged(let attempt, let stripe): found = look(at: doubt.key, attempt, stripe, position)
        }
        switch found {
        case .good: return nil
        case .lost(let parts): return names(parts, of: doubt.key) ? parts : nil
        case .wrong(let parts): return names(parts, of: doubt.key) && mayLose(parts, of: doubt.key) ? parts : nil
        }
    }

    private func look(
        at key: ObjectKey, _ timestamp: Timestamp, _ stripe: UInt64, _ position: Position
    ) -> DoubtedParts {
        guard case .held(let record) = record(of: key), let version = record.version(timestamp), version.holdsFragments
        else { return .good }
        let descriptor: Descriptor
        switch self.descriptor(of: timestamp, key: key) {
        case .held(let sealed): descriptor = sealed.descriptor
        case .lost: return .lost(.descriptor(timestamp))
        case .absent, .unreadable, .notInMemory: return .good
        }
        if let staged = descriptor.staged {
            return staged.stagedStripe(stripe).map { look(at: key, $0.attempt, $0.number, position) } ?? .good
        }
        guard stripe < UInt64(descriptor.stripes.count) else { return .good }
        let fragments = fragments(of: timestamp, key: key, stripeCount: descriptor.stripes.count)
        return judge(
            fragments.map { $0[Int(stripe)] }, position, descriptor.stripes[Int(stripe)], .fragments(timestamp))
    }

    private func look(
        at key: ObjectKey, _ attempt: AttemptName, _ stripe: UInt32, _ position: Position
    ) -> DoubtedParts {
        let parts = LostParts.stripe(attempt, stripe)
        guard names(parts, of: key) else { return .good }
        switch stagedEntry(of: attempt, stripe: stripe, key: key) {
        case .held(let bytes):
            var decoder = CanonicalDecoder(bytes)
            guard let entry = try? StripeEntry.decode(&decoder, parameters: parameters) else { return .wrong(parts) }
            return judge(stagedFragment(of: attempt, stripe: stripe, key: key), position, entry, parts)
        case .lost: return .lost(parts)
        case .absent: return .wrong(parts)
        case .unreadable, .notInMemory: return .good
        }
    }

    private func judge(
        _ stored: StoredParts<SharedBytes>, _ position: Position, _ stripe: CrossChecksum, _ parts: LostParts
    ) -> DoubtedParts {
        switch stored {
        case .held(let bytes):
            (try? stripe.verify(bytes, at: position.fragmentIndex)) != nil ? .good : .wrong(parts)
        case .lost: .lost(parts)
        case .absent: .wrong(parts)
        case .unreadable, .notInMemory: .good
        }
    }
}

/// What became of a look at something that somebody doubts.
private enum DoubtedParts {
    /// Or nobody can say just now, or it is not held.
    case good
    /// Reading it has counted that already.
    case lost(LostParts)
    /// It is not there, or whole and not what it should be.
    case wrong(LostParts)
}

extension StagedContents {
    /// Under which name servers have a stripe of the value; nil when it has not so many.
    fileprivate func stagedStripe(_ stripe: UInt64) -> (attempt: AttemptName, number: UInt32)? {
        var first: UInt64 = 0
        for part in parts {
            let end = first + UInt64(part.stripeCount)
            if stripe < end { return (part.attempt, UInt32(stripe - first)) }
            first = end
        }
        return nil
    }
}

private struct AuditInProgress<Store: AuditedStore> {
    private static var objectsPerStep: Int { 100 }

    private let query: AuditQuery
    private let store: Store
    private let point: FingerprintPoint
    private let prefix: [UInt8]
    private(set) var versions: [AuditedStripes] = []
    /// Where it ended early.
    private(set) var next: AuditPlace?
    /// What turned out to be lost.
    private(set) var lost: [(ObjectKey, LostParts)] = []
    /// Whether it came to the end of what was asked for.
    private var isComplete = false
    /// What there is still room for.
    private var left: AuditLimits

    init(_ query: AuditQuery, _ store: Store, _ limits: AuditLimits) {
        left = limits
        self.query = query
        self.store = store
        point = FingerprintPoint(query.point)
        prefix = query.bucket.map { Array("\($0)/".utf8) } ?? []
    }

    var isDone: Bool { isComplete || next != nil }

    /// Whether there is room for a stripe here. If not this is where the answer ends.
    private mutating func begin(_ place: AuditPlace) -> Bool {
        if let before = query.before, place >= before { isComplete = true }
        if !isComplete, left.stripes <= 0 || left.bytes <= 0 || left.objects < 0 { next = place }
        return !isDone
    }

    mutating func read(_ slot: Slot) throws {
        var after = prefix
        if query.from.slot == slot, let key = query.from.key {
            // Wherever the question begins, nothing is told of other buckets.
            if key.bytes.starts(with: prefix) { read(key, from: query.from.stripe) }
            if prefix.lexicographicallyPrecedes(key.bytes) { after = key.bytes }
        } else if !begin(AuditPlace(slot)) {
            return
        }
        while !isDone {
            let listed = try store.objects(
                inSlot: slot, after: after.isEmpty ? nil : after, limit: Self.objectsPerStep)
            for object in listed where !isDone {
                guard object.key.starts(with: prefix) else { return }
                read(try ObjectKey(bytes: object.key), from: 0, isCommitted: object.isCommitted)
            }
            guard listed.count == Self.objectsPerStep, let last = listed.last else { return }
            after = last.key
        }
    }

    /// The highest version that is committed, sound or not: it is what others read.
    private mutating func read(_ key: ObjectKey, from first: UInt64, isCommitted: Bool = true) {
        left.objects -= 1
        guard begin(AuditPlace(key, stripe: first)) else { return }
        guard isCommitted, case .held(let record) = store.record(of: key), let timestamp = record.highestCommitted,
            let version = record.version(timestamp), version.hasStripes
        else { return }
        let sealed: SealedDescriptor
        switch store.descriptor(of: timestamp, key: key) {
        case .held(let held): sealed = held
        case .lost: return lost.append((key, .descriptor(timestamp)))
        case .absent:
            let parts = LostParts.descriptor(timestamp)
            if store.names(parts, of: key), store.mayLose(parts, of: key) { lost.append((key, parts)) }
            return
        case .unreadable, .notInMemory: return
        }
        guard version.fragments != .absent || !isLeftOut(sealed.descriptor) else { return }
        let fragments = read(sealed.descriptor, version, of: record, key, from: first)
        guard !fragments.isEmpty else { return }
        let name =
            query.wantsNames
            ? AuditedName.named(key, timestamp)
            : .numbered(AuditedName.number(of: key, timestamp, at: query.point))
        versions.append(
            AuditedStripes(
                name, first: first, fragments: fragments, leavesSpares: sealed.descriptor.leavesSpares))
    }

    /// Whether the writer need not have brought this server a fragment.
    private func isLeftOut(_ descriptor: Descriptor) -> Bool {
        let position = store.parameters.placement(of: descriptor.key).position(of: store.node)
        return descriptor.leavesSpares && !store.parameters.limits.fillsSpares
            && position.map(store.parameters.quorums.spares.contains) ?? false
    }

    /// As many stripes as there is room for.
    private mutating func read(
        _ descriptor: Descriptor, _ version: HeldVersion, of record: ObjectRecord, _ key: ObjectKey, from first: UInt64
    ) -> [AuditedFragment] {
        let (store, timestamp, held) = (store, version.timestamp, version.fragments)
        var fragments: [AuditedFragment] = []
        var stripe = first
        guard let staged = descriptor.staged else {
            let all = store.fragments(of: timestamp, key: key, stripeCount: descriptor.stripes.count)
            while stripe < UInt64(descriptor.stripes.count), begin(AuditPlace(key, stripe: stripe)) {
                fragments.append(fragment(held, key, .fragments(timestamp)) { all.map { $0[Int(stripe)] } })
                stripe += 1
            }
            return fragments
        }
        var base: UInt64 = 0
        for part in staged.parts {
            let end = base + UInt64(part.stripeCount)
            // What the writer has staged here under that name may be something else, until the version has its place
            // among what is staged, and the stripe is there again.
            let attempt = record.attempt(part.attempt)
            let isAdopted = attempt?.holders.contains { $0.timestamp == timestamp } ?? false
            while stripe < end {
                guard begin(AuditPlace(key, stripe: stripe)) else { return fragments }
                let number = UInt32(stripe - base)
                let isShown = held != .lost || isAdopted && attempt?.good.contains(number) ?? false
                fragments.append(
                    fragment(isShown ? held : .absent, key, .stripe(part.attempt, number)) {
                        store.stagedFragment(of: part.attempt, stripe: number, key: key)
                    })
                stripe += 1
            }
            base = end
        }
        return fragments
    }

    /// - Parameter parts: what is lost if it cannot be shown.
    private mutating func fragment(
        _ held: HeldFragments, _ key: ObjectKey, _ parts: LostParts, _ read: () -> StoredParts<SharedBytes>
    ) -> AuditedFragment {
        left.stripes -= 1
        switch held {
        case .void: return .void
        case .absent: return .missing
        // Of a large value only some stripes may be lost.
        case .held, .lost: break
        }
        switch read() {
        case .held(let bytes):
            left.bytes -= bytes.count
            return .held(point.fingerprint(of: bytes))
        case .lost:
            if held == .held { lost.append((key, parts)) }
            return .missing
        case .absent:
            guard held == .held, store.names(parts, of: key) else { return .missing }
            guard store.mayLose(parts, of: key) else { return .unreadable }
            lost.append((key, parts))
            return .missing
        case .unreadable, .notInMemory: return .unreadable
        }
    }
}
